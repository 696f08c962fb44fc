/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a guest cannot be C: its notes, its entry, hypercalls, and the ways in which the hypervisor enters it.
 *
 * All entries bring the frame that the PV ABI pushes into one form, struct regs of guest.h, and call trap(). Its return
 * goes back by the IRET hypercall; a caught fault does not return but leaves by catch_resume.
 */
#include "layout.h"

#include <xen/elfnote.h>

.macro NOTE_HEAD type
        .balign 4
        .long   4, 2f - 1f, \type
        .asciz  "Xen"
1:
.endm
.macro NOTE_QUAD type, value
        NOTE_HEAD \type
        .quad   \value
2:
.endm
.macro NOTE_TEXT type, value
        NOTE_HEAD \type
        .asciz  "\value"
2:
.endm

        .section .note.Xen, "a", @note
        NOTE_TEXT XEN_ELFNOTE_GUEST_OS, "umbra-guest-test"
        NOTE_TEXT XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
        NOTE_TEXT XEN_ELFNOTE_LOADER, "generic"
        NOTE_QUAD XEN_ELFNOTE_VIRT_BASE, VIRT_BASE
        NOTE_QUAD XEN_ELFNOTE_ENTRY, guest_entry
        NOTE_QUAD XEN_ELFNOTE_HYPERCALL_PAGE, hypercall_page

        .text
        .globl  guest_entry, hypercall_page, hypercall, raw_hypercall, call_caught, catch_resume, vcpu_entry
        .globl  trap_stubs, event_entry, failsafe_entry, syscall_entry, syscall32_entry

guest_entry:
        cld
        leaq    stacks + STACK_BYTES, %rsp
        movq    %rsi, %rdi
        call    lib_main
        ud2

/* The second vCPU: its context sets rsp and rdi. */
vcpu_entry:
        call    lib_vcpu_main
        ud2

/* long hypercall(unsigned long nr, five arguments), by the hypercall page. */
hypercall:
        movq    %rdi, %rax
        shlq    $5, %rax
        addq    $hypercall_page, %rax
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        movq    %rcx, %rdx
        movq    %r8, %r10
        movq    %r9, %r8
        jmp     *%rax

/* The same by the instruction itself, for numbers that have no stub. */
raw_hypercall:
        movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        movq    %rcx, %rdx
        movq    %r8, %r10
        movq    %r9, %r8
        syscall
        ret

/* bool call_caught(struct catch *, void (*fn)(void *), void *arg): was fn ended by a fault? */
call_caught:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        movq    %rsi, %rax
        movq    %rdx, %rdi
        subq    $8, %rsp
        call    *%rax
        addq    $8, %rsp
        xorl    %eax, %eax
        jmp     1f
/* void catch_resume(struct catch *): call_caught returns true. */
catch_resume:
        movq    (%rdi), %rsp
        movl    $1, %eax
1:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

/* --- entries ------------------------------------------------------------------------------------------------------ */

/* Vectors whose exception pushes an error code: 8, 10-14, 17. */
.set ERROR_CODE_VECTORS, 0x27d00

/* The ABI's frame begins with rcx and r11, before the error code. */
.macro ENTRY_HEAD
        popq    %rcx
        popq    %r11
.endm

        .balign 16
trap_stubs:
        .set    vec, 0
        .rept   32
        .balign 16
        ENTRY_HEAD
        .if     !((ERROR_CODE_VECTORS >> vec) & 1)
        pushq   $0
        .endif
        pushq   $vec
        jmp     trap_common
        .set    vec, vec + 1
        .endr

failsafe_entry: /* ds, es, fs, gs come before rip */
        ENTRY_HEAD
        addq    $32, %rsp
        pushq   $0
        pushq   $VEC_FAILSAFE
        jmp     trap_common
event_entry:
        ENTRY_HEAD
        pushq   $0
        pushq   $VEC_EVENT
        jmp     trap_common
syscall_entry:
        ENTRY_HEAD
        pushq   $0
        pushq   $VEC_SYSCALL
        jmp     trap_common
syscall32_entry:
        ENTRY_HEAD
        pushq   $0
        pushq   $VEC_SYSCALL32
trap_common:
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
        movq    %rsp, %rdi
        movq    %rsp, %rbx
        andq    $-16, %rsp
        call    trap
        movq    %rbx, %rsp
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
        addq    $16, %rsp
        /* struct iret_context in front of the frame */
        pushq   $0
        pushq   %rcx
        pushq   %r11
        pushq   %rax
        movl    $23, %eax
        syscall

        .balign 4096
hypercall_page:
        .skip   4096, 0xcc

        .section .note.GNU-stack, "", @progbits
