/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * void svm_enter(struct cpu_user_regs *regs, uint64_t guest_vmcb, uint64_t host_vmcb)
 *
 * Interrupts are off. What VMRUN does not switch is switched here: general registers, and by VMSAVE and VMLOAD the rest
 * (FS, GS, TR, LDTR, the SYSCALL and SYSENTER registers). Nothing comes in while GIF is clear; with it set again an NMI
 * that waited comes at once, an interrupt as soon as they are on. AMD64 manual volume 2, section 15.5.
 */
#include "asm-offsets.h"

        .text
        .globl  svm_enter
        .hidden svm_enter
        .type   svm_enter, @function
svm_enter:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        pushq   %rdx
        pushq   %rsi
        movq    %rdx, %rax
        vmsave  %rax
        clgi
        sti
        movq    UREGS_rbx(%rdi), %rbx
        movq    UREGS_rcx(%rdi), %rcx
        movq    UREGS_rdx(%rdi), %rdx
        movq    UREGS_rsi(%rdi), %rsi
        movq    UREGS_rbp(%rdi), %rbp
        movq    UREGS_r8(%rdi), %r8
        movq    UREGS_r9(%rdi), %r9
        movq    UREGS_r10(%rdi), %r10
        movq    UREGS_r11(%rdi), %r11
        movq    UREGS_r12(%rdi), %r12
        movq    UREGS_r13(%rdi), %r13
        movq    UREGS_r14(%rdi), %r14
        movq    UREGS_r15(%rdi), %r15
        movq    UREGS_rdi(%rdi), %rdi
        movq    (%rsp), %rax
        vmload  %rax
        vmrun   %rax
        movq    (%rsp), %rax
        vmsave  %rax
        movq    16(%rsp), %rax
        movq    %rdi, UREGS_rdi(%rax)
        movq    %rbx, UREGS_rbx(%rax)
        movq    %rcx, UREGS_rcx(%rax)
        movq    %rdx, UREGS_rdx(%rax)
        movq    %rsi, UREGS_rsi(%rax)
        movq    %rbp, UREGS_rbp(%rax)
        movq    %r8, UREGS_r8(%rax)
        movq    %r9, UREGS_r9(%rax)
        movq    %r10, UREGS_r10(%rax)
        movq    %r11, UREGS_r11(%rax)
        movq    %r12, UREGS_r12(%rax)
        movq    %r13, UREGS_r13(%rax)
        movq    %r14, UREGS_r14(%rax)
        movq    %r15, UREGS_r15(%rax)
        movq    8(%rsp), %rax
        vmload  %rax
        cli
        stgi
        addq    $24, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        .section .note.GNU-stack, "", @progbits
