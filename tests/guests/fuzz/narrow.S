/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls by 64-bit code, and by 32-bit code of a guest of 64 bits. */
#include "../hvm/lib/layout.h"

        .text
        .globl  narrow_call, wide_call

/* long narrow_call(uint32_t nr, const uint64_t arg[5]): in compatibility mode, which all of the guest is mapped for. */
narrow_call:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movl    %edi, %eax
        movl    (%rsi), %ebx
        movl    8(%rsi), %ecx
        movl    16(%rsi), %edx
        movl    32(%rsi), %edi
        movl    24(%rsi), %esi
        xorl    %ebp, %ebp
        pushq   $SEL_CODE32
        pushq   $1f
        lretq
        .code32
1:      vmmcall
        ljmp    $SEL_CODE64, $2f
        .code64
2:      movslq  %eax, %rax
        jmp     3f

/* long wide_call(uint32_t nr, const uint64_t arg[5]) */
wide_call:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movl    %edi, %eax
        movq    (%rsi), %rdi
        movq    16(%rsi), %rdx
        movq    24(%rsi), %r10
        movq    32(%rsi), %r8
        movq    8(%rsi), %rsi
        xorl    %r9d, %r9d
        vmmcall
3:      popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        .section .note.GNU-stack, "", @progbits
