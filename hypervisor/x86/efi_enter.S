/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unsigned long efi_enter(unsigned long service, const unsigned long args[6]): a call by the convention of UEFI on x64
 * (specification 2.10, section 2.3.4): rcx, rdx, r8, r9, then the stack above 32 bytes for the callee's use; rsp is
 * aligned to 16 at the call. While it runs, efi_stack is where the caller's registers lie, and a fault of the firmware
 * continues at efi_enter_failed (x86/efi_call.c).
 */
        .code64
        .section .text, "ax", @progbits
        .globl  efi_enter, efi_enter_failed
        .hidden efi_enter, efi_enter_failed
efi_enter:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, efi_stack(%rip)
        subq    $56, %rsp
        movq    %rdi, %rax
        movq    32(%rsi), %r10
        movq    40(%rsi), %r11
        movq    %r10, 32(%rsp)
        movq    %r11, 40(%rsp)
        movq    (%rsi), %rcx
        movq    8(%rsi), %rdx
        movq    16(%rsi), %r8
        movq    24(%rsi), %r9
        call    *%rax
        jmp     1f
efi_enter_failed:
        movabs  $0x8000000000000015, %rax /* EFI_ABORTED */
1:      movq    efi_stack(%rip), %rsp
        movq    $0, efi_stack(%rip)
        cld
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

        .section .note.GNU-stack, "", @progbits
