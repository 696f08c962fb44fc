/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a guest cannot be C: its note, its entry from 32-bit protected mode, the ways into traps and out of them.
 *
 * enter() leaves the C code for what is tried and is returned from by leave(), out of the trap that ended it, whatever
 * the stack was then. C functions take arguments in registers in all builds: A1, A2, A3.
 */
#include "layout.h"

#if LEVELS == 4
#define R(name)  %r##name
#define A1       %rdi
#define A2       %rsi
#define A3       %rdx
#define SEL_USER SEL_USER64
#define WORD     8
#else
#define R(name)  %e##name
#define A1       %eax
#define A2       %edx
#define A3       %ecx
#define SEL_USER SEL_USER32
#define WORD     4
#endif

        .section .note.Xen, "a", @note
        .balign 4
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   hvm_entry

        .text
        .globl  hvm_entry, turn_paging_on, enter, enter_call, leave, run_form, trap_stubs
        .globl  supervisor_access, user_access

        .code32
hvm_entry:
        cld
        movl    $stacks + STACK_BYTES, %esp
        lgdt    gdt_pointer
        ljmp    $SEL_CODE32, $1f
1:      movl    $SEL_DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
#if LEVELS == 4
        /* A map of the first 8 MiB until init_tables has made the guest's own. */
        movl    $first_l3 + 7, first_l4
        movl    $first_l2 + 7, first_l3
        movl    $0x000087, first_l2
        movl    $0x200087, first_l2 + 8
        movl    $0x400087, first_l2 + 16
        movl    $0x600087, first_l2 + 24
        movl    $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    $first_l4, %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $EFER_LME, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $CR0_PG | CR0_WP, %eax
        movl    %eax, %cr0
        ljmp    $SEL_CODE64, $2f
        .code64
2:      movl    %ebx, %edi
#else
        movl    %ebx, %eax
#endif
        call    hvm_main
        ud2

/* void turn_paging_on(void): on tables that map what runs. */
turn_paging_on:
        mov     %cr0, R(ax)
        or      $CR0_PG | CR0_WP, %eax
        mov     R(ax), %cr0
        jmp     1f
1:      ret

/* void enter(code, argument, access): access as in hvm.h, USER 4, AC 8. */
.macro  save
        push    R(bp)
        push    R(bx)
#if LEVELS == 4
        push    %r12
        push    %r13
        push    %r14
        push    %r15
#else
        push    %esi
        push    %edi
#endif
        mov     R(sp), R(bx)
        and     $~(STACK_BYTES - 1), R(bx)
        mov     R(sp), (R(bx))
.endm
enter:
        save
        mov     A1, R(bx)
        mov     A2, R(ax)
        mov     A3, R(bp)
        test    $4, R(bp)
        jnz     1f
        and     $8, R(bp)
        shl     $15, R(bp)              /* EFLAGS.AC */
        or      $2, R(bp)
        push    R(bp)
        popf
        jmp     *R(bx)
1:      push    $SEL_UDATA
        push    $user_stack
        push    $2
        push    $SEL_USER
        push    R(bx)
#if LEVELS == 4
        iretq
#else
        iret
#endif

/* void enter_call(function, argument) */
enter_call:
        save
        mov     A1, R(bx)
        mov     A2, A1
        and     $~15, R(sp)
        call    *R(bx)
        int     $VEC_END

/* void leave(stack pointer) */
leave:
        mov     A1, R(sp)
        push    $2
        popf
        cld
#if LEVELS == 4
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
#else
        pop     %edi
        pop     %esi
#endif
        pop     R(bx)
        pop     R(bp)
        ret

/* void run_form(struct form_regs *, code) */
run_form:
        push    R(bp)
        push    R(bx)
#if LEVELS == 4
        push    %r12
        mov     A1, R(bp)
        mov     A2, %r12
#else
        push    %esi
        push    %edi
        mov     A1, R(bp)
        push    A2
#endif
        push    6*WORD(R(bp))
        popf
        mov     (R(bp)), R(ax)
        mov     WORD(R(bp)), R(bx)
        mov     2*WORD(R(bp)), R(cx)
        mov     3*WORD(R(bp)), R(dx)
        mov     4*WORD(R(bp)), R(si)
        mov     5*WORD(R(bp)), R(di)
#if LEVELS == 4
        call    *%r12
#else
        call    *(%esp)
#endif
        mov     R(ax), (R(bp))
        mov     R(bx), WORD(R(bp))
        mov     R(cx), 2*WORD(R(bp))
        mov     R(dx), 3*WORD(R(bp))
        mov     R(si), 4*WORD(R(bp))
        mov     R(di), 5*WORD(R(bp))
        pushf
        pop     6*WORD(R(bp))
        push    $2
        popf
#if LEVELS == 4
        pop     %r12
#else
        add     $4, %esp
        pop     %edi
        pop     %esi
#endif
        pop     R(bx)
        pop     R(bp)
        ret

/* Code that does one access at the accumulator, in the order READ, WRITE, FETCH. */
.macro  accesses
        .balign 8
        mov     (R(ax)), R(ax)
        int     $VEC_END
        .balign 8
        movb    $0xcd, (R(ax))
        int     $VEC_END
        .balign 8
        jmp     *R(ax)
.endm
        .balign 8
supervisor_access:
        accesses
        .section .user, "awx"
        .balign 4096
user_access:
        accesses
        .balign 4096
        .skip   4096
user_stack:

/* ---- traps ---- */
        .text
        .balign 16
trap_stubs:
        .set    vector, 0
        .rept   VEC_END + 1
        .balign 16
        /* 8, 10 to 14, 17, 21, 29 and 30 push an error code. */
        .if     vector < 32
        .if     !((0x60227d00 >> vector) & 1)
        push    $0
        .endif
        .else
        push    $0
        .endif
        push    $vector
        jmp     trap_common
        .set    vector, vector + 1
        .endr

trap_common:
#if LEVELS == 4
        .irp    r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
        push    %\r
        .endr
        mov     %rsp, %rdi
        andq    $~15, %rsp
        mov     %rdi, %rbx
        cld
        call    trap
        mov     %rbx, %rsp
        .irp    r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
        pop     %\r
        .endr
        addq    $16, %rsp
        iretq
#else
        pusha
        mov     $SEL_DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %esp, %eax
        cld
        call    trap
        popa
        addl    $8, %esp
        iret
#endif

        .data
        .globl  gdt
        .balign 8
gdt:    .quad   0
        .quad   0x00af9b000000ffff      /* SEL_CODE64 */
        .quad   0x00cf9b000000ffff      /* SEL_CODE32 */
        .quad   0x00cf93000000ffff      /* SEL_DATA */
        .quad   0x00cffb000000ffff      /* SEL_USER32 */
        .quad   0x00cff3000000ffff      /* SEL_UDATA */
        .quad   0x00affb000000ffff      /* SEL_USER64 */
        .quad   0, 0                    /* SEL_TSS */
        .quad   0x008f9b000000ffff      /* SEL_CODE16 */
gdt_end:
        .globl  gdt_pointer
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt
        .long   0

        .bss
        .balign 4096
#if LEVELS == 4
first_l4: .skip 4096
first_l3: .skip 4096
first_l2: .skip 4096
#endif
        .section .note.GNU-stack, "", @progbits
