// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: instructions that belong to ring 0, executed by the guest kernel. Those that the ABI completes do no more
 * than it says; the others raise the exception that the processor would raise in ring 3, and the hypervisor's tables,
 * control registers and virtualisation state stay as they are.
 */
#include "guest.h"

#define ANY -2 /* #UD or #GP: depends on the processor's features */

struct attempt {
    uint8_t code[12];
    int8_t bytes, vector;
};

/* rax, and what it points to, belongs to the code where it is an operand. */
static const struct attempt attempts[] = {
    {{0x0f, 0x20, 0xe0, 0x0d, 0, 0, 4, 0, 0x0f, 0x22, 0xe0}, 11, -1}, /* CR4.OSXSAVE on, for those of XSETBV */
    {{0x0f, 0x01, 0x10}, 3, TRAP_GP},                                 /* lgdt (%rax) */
    {{0x0f, 0x01, 0x18}, 3, TRAP_GP},                                 /* lidt (%rax) */
    {{0x0f, 0x00, 0xd0}, 3, TRAP_GP},                                 /* lldt %ax */
    {{0x0f, 0x00, 0xd8}, 3, TRAP_GP},                                 /* ltr %ax */
    {{0x0f, 0x01, 0xf0}, 3, TRAP_GP},                                 /* lmsw %ax */
    {{0x0f, 0x01, 0x38}, 3, TRAP_GP},                                 /* invlpg (%rax) */
    {{0x0f, 0x01, 0xf8}, 3, TRAP_GP},                                 /* swapgs */
    {{0x48, 0x0f, 0x07}, 3, TRAP_GP},                                 /* sysret */
    {{0x0f, 0x35}, 2, ANY},                                           /* sysexit */
    {{0x31, 0xc0, 0x0f, 0x22, 0xc0}, 5, TRAP_GP},                     /* xor %eax, %eax; mov %rax, %cr0 */
    {{0x44, 0x0f, 0x22, 0xc0}, 4, ANY},                               /* mov %rax, %cr8 */
    {{0x44, 0x0f, 0x20, 0xc0}, 4, ANY},                               /* mov %cr8, %rax */
    {{0x0f, 0x33}, 2, TRAP_GP},                                       /* rdpmc */
    {{0x0f, 0xaa}, 2, TRAP_UD},                                       /* rsm */
    {{0x0f, 0x37}, 2, ANY},                                           /* getsec */
    {{0x0f, 0x01, 0xc1}, 3, ANY},                                     /* vmcall */
    {{0x0f, 0x01, 0xc2}, 3, ANY},                                     /* vmlaunch */
    {{0x0f, 0x01, 0xc4}, 3, ANY},                                     /* vmxoff */
    {{0x0f, 0x01, 0xd8}, 3, ANY},                                     /* vmrun */
    {{0x0f, 0x01, 0xd9}, 3, ANY},                                     /* vmmcall */
    {{0x0f, 0x01, 0xda}, 3, ANY},                                     /* vmload */
    {{0x0f, 0x01, 0xdc}, 3, ANY},                                     /* stgi */
    {{0x0f, 0x01, 0xdd}, 3, ANY},                                     /* clgi */
    {{0x0f, 0x01, 0xde}, 3, ANY},                                     /* skinit */
    {{0x0f, 0x01, 0xdf}, 3, ANY},                                     /* invlpga */
    {{0x0f, 0x01, 0xc8}, 3, ANY},                                     /* monitor */
    {{0x0f, 0x01, 0xc9}, 3, ANY},                                     /* mwait */
    {{0xb9, 1, 0, 0, 0, 0x0f, 0x01, 0xd1}, 8, TRAP_GP},               /* mov $1, %ecx; xsetbv */
    {{0x31, 0xc9, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x01, 0xd1}, 9, ANY}, /* xsetbv of 0 */
    {{0x66, 0x0f, 0x38, 0x82, 0x08}, 5, ANY},                         /* invpcid (%rax), %rcx */
    {{0xfa}, 1, TRAP_GP},                                             /* cli */
    {{0xfb}, 1, TRAP_GP},                                             /* sti */
    {{0xcd, 0x20}, 2, TRAP_GP},                                       /* int $0x20 */
    {{0xcd, 0x82}, 2, TRAP_GP},                                       /* int $0x82 */
    {{0xcd, 0x02}, 2, TRAP_GP},                                       /* int $2: no NMI */
    {{0xcd, 0x08}, 2, TRAP_GP},                                       /* int $8: no double fault */
    {{0xcd, 0x12}, 2, TRAP_GP},                                       /* int $18: no machine check */
    {{0xb8, 0x10, 0xe0, 0, 0, 0x8e, 0xd8}, 7, TRAP_GP},               /* mov $0xe010, %eax; mov %eax, %ds */
    {{0xb8, 0x10, 0xe0, 0, 0, 0x8e, 0xd0}, 7, TRAP_GP},               /* and %ss */
    {{0xb8, 0x08, 0xe0, 0, 0, 0x8e, 0xe8}, 7, TRAP_GP},               /* the hypervisor's code as %gs */
    {{0x68, 0x08, 0xe0, 0, 0, 0x50, 0x48, 0xcb}, 8, TRAP_GP},         /* push $0xe008; push %rax; lretq */
    {{0x0f, 0x06}, 2, -1},                                            /* clts */
    {{0x0f, 0x09}, 2, -1},                                            /* wbinvd */
};

void guest_main(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(attempts); i++) {
        const struct attempt *a = &attempts[i];
        int vector = run_code(a->code, (size_t)a->bytes);

        if (a->vector != ANY ? vector != a->vector : vector != TRAP_UD && vector != TRAP_GP)
            say("attempt %u: vector %d", i, vector);
        CHECK(a->vector != ANY ? vector == a->vector : vector == TRAP_UD || vector == TRAP_GP);
    }
    CHECK_IS(HYPERCALL2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
}
