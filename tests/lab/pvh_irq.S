/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code of a guest made by hand (pvh.c) that looks at its interrupts: registers of the xAPIC in memory, and memory that
 * is not there; by x2APIC its own interrupts, the timer's, priorities, NMI, and a second vCPU that it starts again and
 * again, from real mode to 64-bit code. rbx: how often. When it fails, the step is in its memory, with the counters.
 */
        .section .rodata
        .globl  irq_code, irq_end, irq_handlers, ap_code, ap_end

/* Counters: of vector 0x40 + n, then NMIs, whether in one, NMIs within one, starts of the second vCPU. */
        .set    COUNT0, 0x28100
        .set    COUNT1, 0x28108
        .set    COUNT2, 0x28110
        .set    COUNT3, 0x28118
        .set    COUNT4, 0x28120
        .set    COUNT5, 0x28128
        .set    COUNT6, 0x28130
        .set    NMIS, 0x28140
        .set    IN_NMI, 0x28148
        .set    NESTED, 0x28150
        .set    STARTED, 0x28158
        .set    STEP, 0x28160
        .set    REASON, 0x28168

.macro step n
        movl    $\n, STEP
.endm
.macro to_msr msr, low, high=0
        movl    $\msr, %ecx
        movl    $\low, %eax
        movl    $\high, %edx
        wrmsr
.endm
.macro x2apic_on
        movl    $0x1b, %ecx
        rdmsr
        orl     $0xc00, %eax
        wrmsr
        to_msr  0x80f, 0x1ff
.endm
.macro hypercall nr, op, args:vararg
        movl    $\nr, %eax
        movl    $\op, %edi
        \args
        vmmcall
        expect  %eax, $0
.endm
/* Ends it unless they are equal. */
.macro expect what, value
        cmpl    \value, \what
        jne     end_it
.endm
/* Sleeps until the counter is as it should be; so is ae, where more may have come before it looks. */
.macro sleep_until counter, value, so=e
1:      cli
        cmpl    \value, \counter
        j\so    2f
        sti
        hlt
        jmp     1b
2:      sti
.endm
.macro handler counter
        lock incl \counter
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        to_msr  0x80b, 0
        popq    %rdx
        popq    %rcx
        popq    %rax
        iretq
.endm

irq_code:
        step    9               /* nothing is there */
        movl    $0xfee00000, %edi
        movl    $0, 0x100000(%rdi)
        movq    0x100000(%rdi), %rax
        incq    %rax
        jnz     end_it
        movzwl  0x100ffe(%rdi), %eax
        expect  %eax, $0xffff
        movl    $0x5a, %eax
        andl    0x100003(%rdi), %eax
        expect  %eax, $0x5a
        leaq    0x100000(%rdi), %rsi
        movl    $0x28300, %edi
        movl    $1024, %ecx
        rep movsb
        expect  0x286fc, $-1
        step    10              /* the APIC, by its registers in memory; interrupts are off */
        movl    $0xfee00000, %edi
        expect  0x30(%rdi), $0x50014
        movl    0x20(%rdi), %eax
        testl   %eax, %eax
        jnz     end_it
        movl    $0x1ff, 0xf0(%rdi)
        movl    $0x44040, 0x300(%rdi)
        testl   $1, 0x220(%rdi)
        jz      end_it
        step    11              /* by MSR; that interrupt still waits */
        x2apic_on
        rdmsr
        expect  %eax, $0x1ff
        step    12              /* one comes when interrupts are on, one instruction after STI */
        to_msr  0x83f, 0x40
        expect  COUNT0, $0
        sti
        movl    COUNT0, %esi
        movl    COUNT0, %edi
        cli
        expect  %esi, $0
        expect  %edi, $1
        step    18              /* an interrupt by an instruction, through a table that was never read before */
        lidt    new_idtr - irq_code + 0x10000
        int     $0x45
        expect  COUNT5, $1
        step    19              /* events, by a vector that no APIC is asked for, and as long as they are pending */
        movl    $0, %esi
        hypercall 24, 10, movl $(vcpu_info - irq_code + 0x10000), %edx
        hypercall 34, 0, movl $(callback - irq_code + 0x10000), %esi
        expect  COUNT6, $0
        sti
        nop
        movq    %rbx, %r13
        xorl    %eax, %eax
        cpuid
        movq    %r13, %rbx
        cli
        expect  COUNT6, $2
        hypercall 32, 7, movl $(channel - irq_code + 0x10000), %esi
        movl    channel - irq_code + 0x10004, %eax
        movl    %eax, channel - irq_code + 0x10000
        hypercall 32, 4, movl $(channel - irq_code + 0x10000), %esi
        expect  COUNT6, $2
        sti
        nop
        cli
        expect  COUNT6, $3
        step    13              /* the timer wakes from HLT, once */
        to_msr  0x832, 0x41
        to_msr  0x83e, 0xb
        to_msr  0x838, 100000
        sleep_until COUNT1, $1
        step    14              /* and again and again */
        to_msr  0x832, 0x20041
        to_msr  0x838, 100000
        sleep_until COUNT1, $6, ae
        to_msr  0x838, 0
        step    15              /* priority */
        movl    $4, %eax
        movq    %rax, %cr8
        to_msr  0x83f, 0x42
        nop
        expect  COUNT2, $0
        movl    $0x808, %ecx
        rdmsr
        expect  %eax, $0x40
        movq    %cr8, %rax
        expect  %eax, $4
        xorl    %eax, %eax
        movq    %rax, %cr8
        expect  COUNT2, $1
        step    16              /* NMI comes with interrupts off, and the second when the first has returned */
        cli
        to_msr  0x830, 0x4400
        movl    $1000, %r12d
        movq    %rbx, %r13
1:      xorl    %eax, %eax
        cpuid
        cmpl    $2, NMIS
        je      2f
        decl    %r12d
        jnz     1b
2:      movq    %r13, %rbx
        expect  NMIS, $2
        expect  NESTED, $0
        step    17              /* the second vCPU, which answers an interrupt by one */
        xorl    %r12d, %r12d
3:      incl    %r12d
        to_msr  0x830, 0x4500, 2
        to_msr  0x830, 0x4630, 2
1:      pause
        cmpl    %r12d, STARTED
        jne     1b
        to_msr  0x830, 0x4043, 2
        sleep_until COUNT4, %r12d
        expect  COUNT3, %r12d
        decq    %rbx
        jnz     3b
        step    0
end_it:
        cmpl    $0, STEP
        setne   REASON
        movl    $29, %eax       /* sched_op(SCHEDOP_shutdown, &reason) */
        movl    $2, %edi
        movl    $REASON, %esi
        vmmcall
        ud2

h0:     handler COUNT0
h1:     handler COUNT1
h2:     handler COUNT2
h3:     handler COUNT3
h4:     handler COUNT4
h5:     handler COUNT5
h6:     incl    COUNT6          /* the first time it leaves it pending */
        cmpl    $1, COUNT6
        je      1f
        movb    $0, 0x31000
        movq    $0, 0x31008
1:      iretq
nmi:    pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        movl    IN_NMI, %eax
        addl    %eax, NESTED
        movl    $1, IN_NMI
        incl    NMIS
        cmpl    $1, NMIS
        jne     1f
        to_msr  0x830, 0x4400
        xorl    %eax, %eax
        cpuid
1:      movl    $0, IN_NMI
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        iretq
        .balign 8
vcpu_info:                      /* of VCPUOP_register_vcpu_info: frame, offset */
        .quad   0x31
        .long   0, 0
callback:                       /* of HVMOP_set_param: itself, HVM_PARAM_CALLBACK_IRQ, a vector */
        .word   0x7ff0, 0
        .long   0
        .quad   2 << 56 | 0x46
channel:                        /* of EVTCHNOP_bind_ipi: vCPU, port; then of EVTCHNOP_send */
        .long   0, 0
new_idtr: .word 4095
        .quad   0x2f000
irq_end:

/* At 0x30000. */
        .code16
ap_code:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0xff0, %sp
        pushw   %ax
        popw    %bx
        cmpw    $0x3000, %bx
        jne     1f
        lgdtl   gdtr - ap_code
        lidtl   idtr - ap_code
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x10, $(0x30000 + 2f - ap_code)
1:      hlt
        .code32
2:      movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $0x20, %eax
        movl    %eax, %cr4
        movl    $0x1000, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x900, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80010000, %eax
        movl    %eax, %cr0
        ljmpl   $0x8, $(0x30000 + 3f - ap_code)
        .code64
3:      movl    $0x24000, %esp
        x2apic_on
        movl    COUNT3, %ebx
        incl    %ebx
        lock incl STARTED
        sleep_until COUNT3, %ebx
        to_msr  0x830, 0x4044
        cli
        hlt
gdtr:   .word   31
        .long   0x2d000
idtr:   .word   4095
        .long   0x2c000
ap_end:

/* Vectors and where in irq_code their handlers stand; 0: the end. */
        .balign 4
irq_handlers:
        .long   0x40, h0 - irq_code
        .long   0x41, h1 - irq_code
        .long   0x42, h2 - irq_code
        .long   0x43, h3 - irq_code
        .long   0x44, h4 - irq_code
        .long   0x45, h5 - irq_code
        .long   0x46, h6 - irq_code
        .long   2, nmi - irq_code
        .long   0

        .section .note.GNU-stack, "", @progbits
