// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: debug registers. Breakpoints in the hypervisor's range, general detect and I/O breakpoints are refused, by
 * hypercall and by a move. A watchpoint on memory that the hypervisor reads and writes for the guest, on a hypercall's
 * arguments and on the stack, makes no trap inside the hypervisor that it would not survive; nor does a blocked
 * breakpoint that fires at the first instruction after SYSCALL, nor single stepping into it.
 */
#include "guest.h"

#define DR7_WATCH(n) (1ul << (2 * (n)) | 0xful << (16 + 4 * (n))) /* reads and writes of 4 bytes */

static uint64_t watched[16];
static volatile unsigned int hits;

static long set(unsigned int reg, unsigned long value)
{
    return HYPERCALL2(__HYPERVISOR_set_debugreg, reg, value);
}

static void count(struct regs *r)
{
    if (r->vector == TRAP_DB)
        hits++;
    r->rflags &= ~0x100ul;
}

/* The load of SS holds debug traps back until after the next instruction, which enters the hypervisor. */
static void blocked_syscall(void)
{
    unsigned long selector = FLAT_KERNEL_SS, nr = __HYPERVISOR_xen_version;

    watched[0] = selector;
    __asm__ __volatile__("mov (%1), %%ss\n\tsyscall"
                         : "+a"(nr)
                         : "r"(watched), "D"(0), "S"(0)
                         : "rcx", "r11", "memory");
    CHECK_IS(nr, 4 << 16 | 17);
}

static void stepped_syscall(void)
{
    unsigned long nr = __HYPERVISOR_xen_version;

    __asm__ __volatile__("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tsyscall\n\tnop"
                         : "+a"(nr)
                         : "D"(0), "S"(0)
                         : "rcx", "r11", "memory");
    CHECK_IS(nr, 4 << 16 | 17);
}

void guest_main(void)
{
    static const unsigned long refused[] = {HV_FIRST, HV_PERDOMAIN, HV_TEXT, HV_DIRECTMAP, HV_END - 8, NONCANONICAL};
    static const uint8_t move[] = {0x48, 0xb8, 0, 0, 0, 0x40, 0xd0, 0x82, 0xff, 0xff, 0x0f, 0x23, 0xc0}; /* %dr0 */

    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
        for (unsigned int reg = 0; reg < 4; reg++)
            CHECK(set(reg, refused[i]) < 0);
    CHECK_IS(run_code(move, sizeof(move)), TRAP_GP);
    CHECK(set(7, 1ul << 13) < 0);
    CHECK(set(7, 1ul | 2ul << 16) < 0);
    CHECK(set(7, 1ul << 32) < 0);
    CHECK(set(8, 0) < 0);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_get_debugreg, 0, 0), 0);

    on_entry = count;
    CHECK_IS(set(0, P(&watched[0])), 0);
    CHECK_IS(set(1, P(&watched[1])), 0);
    CHECK_IS(set(7, DR7_WATCH(0) | DR7_WATCH(1)), 0);
    WRITE_ONCE(watched[0], 1);
    CHECK_IS(hits, 1);
    for (unsigned int i = 0; i < 50; i++) {
        CHECK_IS(HYPERCALL2(__HYPERVISOR_xen_version, XENVER_extraversion, watched), 0);
        (void)evtchn_op(EVTCHNOP_send, watched);
        blocked_syscall();
        stepped_syscall();
    }
    CHECK_IS(set(7, 0), 0);
    CHECK(hits > 50);
}
