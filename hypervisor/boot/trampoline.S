/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where another CPU starts: in real mode, at the beginning of the page below 1 MiB that boot/smp.c copied this to. It
 * goes through protected to long mode and calls the entry on the stack that trampoline_args names. Every address is
 * relative to the page, whose address is in EBX. One CPU at a time.
 */
    .section .rodata, "a", @progbits
    .globl trampoline_start, trampoline_args, trampoline_end
    .balign 16
trampoline_start:
    .code16
    cli
    cld
    xorl    %ebx, %ebx
    mov     %cs, %bx
    mov     %bx, %ds
    shll    $4, %ebx

    leal    gdt - trampoline_start(%ebx), %eax
    movl    %eax, gdtr - trampoline_start + 2
    leal    protected - trampoline_start(%ebx), %eax
    movl    %eax, far32 - trampoline_start
    leal    long_mode - trampoline_start(%ebx), %eax
    movl    %eax, far64 - trampoline_start
    lgdtl   gdtr - trampoline_start
    movl    $0x11, %eax /* PE, ET */
    movl    %eax, %cr0
    ljmpl   *(far32 - trampoline_start)

    .code32
protected:
    movl    $0x10, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $(1 << 5), %eax /* PAE */
    movl    %eax, %cr4
    movl    trampoline_args - trampoline_start(%ebx), %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx /* EFER: LME, NXE */
    rdmsr
    orl     $(1 << 8 | 1 << 11), %eax
    wrmsr
    movl    $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
    movl    %eax, %cr0
    ljmpl   *(far64 - trampoline_start)(%ebx)

    .code64
long_mode:
    movl    %ebx, %ebx
    xorl    %ebp, %ebp
    movq    trampoline_args - trampoline_start + 8(%rbx), %rsp
    call    *trampoline_args - trampoline_start + 16(%rbx)
    ud2

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
    .quad 0x00cf93000000ffff /* 0x10: data */
    .quad 0x00af9b000000ffff /* 0x18: 64-bit code */
gdtr:
    .short . - gdt - 1
    .long 0
far32:
    .long 0
    .short 0x08
far64:
    .long 0
    .short 0x18
    .balign 8
trampoline_args: /* struct trampoline_args of smp.c */
    .quad 0, 0, 0
trampoline_end:

    .section .note.GNU-stack, "", @progbits
