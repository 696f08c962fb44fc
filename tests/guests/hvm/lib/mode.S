/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look from another paging mode. visit() leaves the guest's own mode for the one that its argument describes, reads
 * and writes a word there, and comes back. It runs in 32-bit code, which is there in all modes: under EFER.LMA as
 * compatibility mode. Paging is off on the way from one to the other, as the manuals want it. Whoever calls sees to it
 * that the tables map code, stack and argument where they are.
 */
#include "layout.h"

        .text
        .globl  visit

/* Control registers from here, in the order of struct visit. EFER.LME is set before CR4.PAE is. */
.macro  load_mode base, offset
        movl    %cr0, %eax
        andl    $~CR0_PG, %eax
        movl    %eax, %cr0
        movl    $MSR_EFER, %ecx
        rdmsr
        andl    $~(EFER_LME | EFER_NXE), %eax
        orl     \offset + 12(\base), %eax
        wrmsr
        movl    \offset + 8(\base), %eax
        movl    %eax, %cr4
        movl    \offset + 4(\base), %eax
        movl    %eax, %cr3
        movl    \offset(\base), %eax
        movl    %eax, %cr0
        jmp     1f
1:
.endm

/* void visit(struct visit *) */
#if LEVELS == 4
        .code64
visit:  pushq   %rbx
        pushq   %rbp
        movl    %edi, %ebp
        pushq   $SEL_CODE32
        pushq   $2f
        lretq
        .code32
2:
#else
        .code32
visit:  pushl   %ebx
        pushl   %ebp
        movl    %eax, %ebp
#endif
        subl    $16, %esp               /* a struct mode: this one */
        movl    $MSR_EFER, %ecx
        rdmsr
        andl    $EFER_LME | EFER_NXE, %eax
        movl    %eax, 12(%esp)
        movl    %cr4, %eax
        movl    %eax, 8(%esp)
        movl    %cr3, %eax
        movl    %eax, 4(%esp)
        movl    %cr0, %eax
        movl    %eax, (%esp)
        load_mode %ebp, 0
        movl    16(%ebp), %ebx
        movl    (%ebx), %eax
        movl    %eax, 20(%ebp)
        movl    24(%ebp), %eax
        movl    %eax, (%ebx)
        load_mode %esp, 0
        addl    $16, %esp
#if LEVELS == 4
        ljmp    $SEL_CODE64, $3f
        .code64
3:      popq    %rbp
        popq    %rbx
#else
        popl    %ebp
        popl    %ebx
#endif
        ret

        .section .note.GNU-stack, "", @progbits
