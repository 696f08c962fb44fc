// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: IRET to the hypervisor's segments, to selectors beyond the table, to data as code, and to addresses that are
 * not canonical or not the guest's. No combination gives more than ring 3: what the processor refuses comes back as a
 * failsafe callback (from Xen 4.17 as #GP; kernels take either), what it accepts faults at its first instruction. Flags
 * that give power are not taken.
 */
#include "guest.h"

/* Both stacks, the kernel's own and the one for entries from user mode, begin below what the catch comes back to. */
static void enter(void *arg)
{
    struct iret_context c = *(const struct iret_context *)arg;

    c.rsp = P(&c) & ~15ul;
    HYPERCALL2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, c.rsp);
    iret_hypercall(&c);
}

static int outcome(unsigned long rip, unsigned long cs, unsigned long ss, unsigned long rflags)
{
    struct iret_context c = {.rip = rip, .cs = cs, .rflags = rflags, .ss = ss};
    struct fault f = {.vector = 0};

    return faults(enter, &c, &f) ? (int)f.vector : -1;
}

/* In ring 3 each of these ends in a trap: syscall as user, ud2 as kernel. With CLI before it, by CLI if that is not
 * allowed. */
static const uint8_t user_code[] = {0x0f, 0x05}, kernel_code[] = {0x0f, 0x0b};
static const uint8_t user_cli[] = {0xfa, 0x0f, 0x05}, kernel_cli[] = {0xfa, 0x0f, 0x0b};

void guest_main(void)
{
    static const unsigned int selectors[] = {0xe008, 0xe010, 0xe040, 0xe048, 0xe050, 0xe060, 0xfff8,
                                             0x8,    0x10,   0xe02b, 0x4,    0xc,    0xfffc, 0x0};

    const int refused = on_umbra() ? VEC_FAILSAFE : TRAP_GP;

    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0), 0);
    CHECK_IS(outcome(P(kernel_code), FLAT_KERNEL_CS64 & ~3, FLAT_KERNEL_SS64, 0x202), TRAP_UD);
    CHECK_IS(outcome(P(user_code), FLAT_USER_CS64, FLAT_USER_SS64, 0x202), VEC_SYSCALL);
    for (unsigned int i = 0; i < ARRAY_SIZE(selectors); i++) {
        CHECK_IS(outcome(P(kernel_code), selectors[i] & ~3u, FLAT_KERNEL_SS64, 0x202), refused);
        CHECK_IS(outcome(P(user_code), selectors[i] | 3, FLAT_USER_SS64, 0x202), refused);
        if (selectors[i] != 0xe02b && selectors[i])
            CHECK_IS(outcome(P(user_code), FLAT_USER_CS64, selectors[i], 0x202), refused);
    }
    CHECK_IS(outcome(HV_TEXT + 0x1000, FLAT_KERNEL_CS64 & ~3, FLAT_KERNEL_SS64, 0x202), TRAP_PF);
    CHECK_IS(outcome(HV_FIRST, FLAT_USER_CS64, FLAT_USER_SS64, 0x202), TRAP_PF);
    /* Processors differ in who faults, IRET or the fetch. */
    CHECK(outcome(NONCANONICAL, FLAT_KERNEL_CS64 & ~3, FLAT_KERNEL_SS64, 0x202) >= TRAP_GP);
    CHECK(outcome(~0ul << 48, FLAT_USER_CS64, FLAT_USER_SS64, 0x202) >= TRAP_GP);
    /* IOPL, VM, VIF, VIP; with interrupts on and off. */
    CHECK_IS(outcome(P(kernel_code), FLAT_KERNEL_CS64 & ~3, FLAT_KERNEL_SS64, 0x1a3202), TRAP_UD);
    CHECK_IS(outcome(P(kernel_cli), FLAT_KERNEL_CS64 & ~3, FLAT_KERNEL_SS64, 0x1a3202), TRAP_GP);
    CHECK_IS(outcome(P(user_code), FLAT_USER_CS64, FLAT_USER_SS64, 0x3002), VEC_SYSCALL);
    CHECK_IS(outcome(P(user_cli), FLAT_USER_CS64, FLAT_USER_SS64, 0x3002), TRAP_GP);
}
