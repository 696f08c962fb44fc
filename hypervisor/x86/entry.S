/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every way into the hypervisor and the only way back to a guest.
 *
 * Entry: 256 IDT stubs, SYSCALL from 64-bit code and SYSCALL from compatibility code. Each builds a struct
 * cpu_user_regs (without es..gs, which stay in the processor while a vCPU runs) and calls C on the stack of this CPU:
 *   vectors 0-31   do_trap      vectors 32-255   do_irq      SYSCALL   pv_syscall
 * SYSENTER is not available to guests (x86/cpu.c): it raises #GP.
 * #DB, NMI, #DF and #MC arrive on stacks of their own (IST); when they interrupted a guest, the frame is moved to
 * the main stack first, so that the common exit may switch vCPUs.
 *
 * Exit: exit_to_guest_work (C) returns with interrupts off and nothing left to do; then IRETQ, always: SYSRET has
 * pitfalls with non-canonical addresses and gains little. A fault of the IRETQ comes back through the exception table
 * to iret_fixup, which rebuilds the frame and hands it to pv_iret_fault.
 *
 * Invariants: the frame of an entry from a guest lies at cpu_info.guest_regs; DF and AC are clear in C; no guest value
 * is left in a register when C starts, no hypervisor value when the guest goes on.
 */
#include <asm-offsets.h>
#include <hv/layout.h>

#define SEL_USER_CS32    0xe023
#define SEL_USER_SS      0xe02b
#define VECTOR_SYSCALL32 0x101

        .code64
        .section .text, "ax", @progbits

.macro CLEAR_AC
        cmpb    $0, cpu_features + CPUF_smap(%rip)
        je      .Lno_smap\@
        clac
.Lno_smap\@:
.endm

/* Registers to the stack in the order of struct cpu_user_regs, then cleared: they steer no speculation. */
.macro SAVE_REGS
        cld
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rax
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        CLEAR_AC
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %esi, %esi
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        xorl    %r10d, %r10d
        xorl    %r11d, %r11d
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d
        xorl    %r14d, %r14d
        xorl    %r15d, %r15d
.endm

/* Leaves the stack pointer at the IRET frame. */
.macro RESTORE_REGS
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rax
        popq    %rcx
        popq    %rdx
        popq    %rsi
        popq    %rdi
        addq    $8, %rsp
.endm

/* C function with the frame at the stack pointer as its argument; the frame's address survives in rbx. */
.macro CALL_WITH_FRAME fn
        movq    %rsp, %rbx
        movq    %rsp, %rdi
        andq    $-16, %rsp
        call    \fn
        movq    %rbx, %rsp
.endm

/* reg = &cpu_info.guest_regs of this CPU. */
.macro GUEST_FRAME reg
        movq    %rsp, \reg
        orq     $(STACK_SIZE - 1), \reg
        subq    $(CPUINFO_sizeof - 1 - CPUINFO_guest_regs), \reg
.endm

.macro FIXUP from, to
        .pushsection .ex_table, "a"
        .quad   \from, \to
        .popsection
.endm

/* --- IDT --------------------------------------------------------------------------------------------------------- */

/* Vectors whose exception pushes an error code: 8, 10-14, 17, 21, 29, 30. */
.set ERROR_CODE_VECTORS, 0x60227d00

        .balign 16
idt_stub_area:
        .set    vec, 0
        .rept   256
        .balign 16
        .if     (vec >= 32) || !((ERROR_CODE_VECTORS >> (vec & 31)) & 1)
        pushq   $0
        .endif
        movl    $vec, 4(%rsp)
        .if     (vec == 1) || (vec == 2) || (vec == 8) || (vec == 18)
        jmp     entry_ist
        .elseif vec < 32
        jmp     entry_trap
        .else
        jmp     entry_irq
        .endif
        .set    vec, vec + 1
        .endr

        .section .rodata, "a", @progbits
        .balign 8
        .globl  idt_stubs
        .hidden idt_stubs
idt_stubs:
        .set    vec, 0
        .rept   256
        .quad   idt_stub_area + vec * 16
        .set    vec, vec + 1
        .endr
        .text

/* Exception: from a guest the frame already lies at guest_regs. */
entry_trap:
        SAVE_REGS
        CALL_WITH_FRAME do_trap
        testb   $3, UREGS_cs(%rsp)
        jz      return_to_hypervisor
        jmp     return_to_guest

entry_irq:
        SAVE_REGS
        CALL_WITH_FRAME do_irq
        testb   $3, UREGS_cs(%rsp)
        jz      return_to_hypervisor
        jmp     return_to_guest

/* On an IST stack. Interrupted hypervisor code is returned to directly: it may hold any lock. */
entry_ist:
        SAVE_REGS
        testb   $3, UREGS_cs(%rsp)
        jz      1f
        GUEST_FRAME %rdi
        movq    %rdi, %rbx
        movq    %rsp, %rsi
        movl    $(UREGS_kernel_sizeof / 8), %ecx
        rep movsq
        movq    %rbx, %rsp
        CALL_WITH_FRAME do_trap
        jmp     return_to_guest
1:      CALL_WITH_FRAME do_trap
return_to_hypervisor:
        RESTORE_REGS
        iretq

/* --- SYSCALL ------------------------------------------------------------------------------------------------------ */

/*
 * A small stub of each CPU (x86/desc.c) has switched to this CPU's stack and pushed the IRET frame, error code 0 and
 * the vector. Interrupts are off (SYSCALL_MASK), so that only IST exceptions can come before the stack is switched.
 */
        .balign 16
        .globl  syscall_entry
        .hidden syscall_entry
syscall_entry:
        SAVE_REGS
        sti
        CALL_WITH_FRAME pv_syscall
        jmp     return_to_guest

        .balign 16
        .globl  syscall32_entry
        .hidden syscall32_entry
syscall32_entry:
        movl    $VECTOR_SYSCALL32, 4(%rsp)
        movw    $SEL_USER_CS32, 16(%rsp)
        jmp     syscall_entry

/* --- exit --------------------------------------------------------------------------------------------------------- */

return_to_guest:
        GUEST_FRAME %rbx
        movq    %rbx, %rsp
        andq    $-16, %rsp
        call    exit_to_guest_work
        movq    %rbx, %rsp
        RESTORE_REGS
iret_to_guest:
        iretq
        FIXUP   iret_to_guest, iret_fixup

/* The IRET frame and all registers of the guest are as they were before the IRETQ. */
iret_fixup:
        pushq   $0
        SAVE_REGS
        CALL_WITH_FRAME pv_iret_fault
        jmp     return_to_guest

/* void pv_enter_guest(void): starts the current vCPU; what is on the stack is forgotten. */
        .globl  pv_enter_guest
        .hidden pv_enter_guest
        .type   pv_enter_guest, @function
pv_enter_guest:
        cli
        xorl    %ebp, %ebp
        jmp     return_to_guest

        .section .note.GNU-stack, "", @progbits
