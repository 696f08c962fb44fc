/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls by 64-bit code, and by 32-bit code of a guest of 64 bits. */
#include "../hvm/lib/layout.h"

        /* The number in EAX; what a caller keeps in registers stays there across the call. */
        .macro  begin_call
        .irp    reg, rbx, rbp, r12, r13, r14, r15
        pushq   %\reg
        .endr
        movl    %edi, %eax
        .endm

        .macro  end_call
        .irp    reg, r15, r14, r13, r12, rbp, rbx
        popq    %\reg
        .endr
        ret
        .endm

        .text
        .globl  narrow_call, wide_call

/* long narrow_call(uint32_t nr, const uint64_t arg[5]): in compatibility mode, which all of the guest is mapped for. */
narrow_call:
        begin_call
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
        end_call

/* long wide_call(uint32_t nr, const uint64_t arg[5]) */
wide_call:
        begin_call
        movq    (%rsi), %rdi
        movq    16(%rsi), %rdx
        movq    24(%rsi), %r10
        movq    32(%rsi), %r8
        movq    8(%rsi), %rsi
        xorl    %r9d, %r9d
        vmmcall
        end_call

        .section .note.GNU-stack, "", @progbits
