/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second CPU, from real mode to the mode that the first one has, whose control registers are in smp_mode.
 * The part up to smp_code_end is copied to SMP_CODE, and is all that real mode can reach.
 */
#include "layout.h"

        .text
        .globl  smp_code, smp_code_end

        .code16
smp_code:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   smp_gdt - smp_code
        movl    %cr0, %eax
        orl     $CR0_PE, %eax
        movl    %eax, %cr0
        ljmpl   $SEL_CODE32, $smp_32
        .balign 8
smp_gdt:
        .word   0x4f
        .long   gdt
smp_code_end:

        .code32
smp_32: movl    $SEL_DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
        movl    $stacks + 2 * STACK_BYTES, %esp
        lgdt    gdt_pointer
        movl    smp_mode + 8, %eax
        movl    %eax, %cr4
        movl    smp_mode + 4, %eax
        movl    %eax, %cr3
#if LEVELS > 2
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     smp_mode + 12, %eax
        wrmsr
#endif
        movl    smp_mode, %eax
        movl    %eax, %cr0
        jmp     1f
1:
#if LEVELS == 4
        ljmp    $SEL_CODE64, $2f
        .code64
2:      xorl    %ebp, %ebp
#endif
        call    smp_main
        ud2

        .section .note.GNU-stack, "", @progbits
