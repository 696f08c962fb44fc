// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: 32-bit code makes hypercalls with structures that have pointers, longs and 64-bit numbers in them, laid out by
 * a compiler for its own ABI, and finds what 64-bit code finds. Without a hypervisor there is nobody to ask.
 */
#include "call.h"

static void ask(void)
{
    struct {
        unsigned int nr;
        volatile void *buffer;
    } memory_map = {.nr = 20, .buffer = new_page()};
    struct {
        const volatile uint32_t *ports;
        unsigned int nr;
        uint64_t timeout;
    } poll = {.nr = 0, .timeout = 1};
    struct {
        int state;
        uint64_t entered, time[4];
    } runstate = {.state = 99};
    struct {
        uint64_t timeout;
        uint32_t flags;
    } timer = {.flags = 1}; /* VCPU_SSHOTTMR_future: of the past */
    struct {
        unsigned long op, result, args[6];
    } calls[2] = {{.op = XEN_VERSION}, {.op = 13}};

    CHECK_IS(hypercall(MEMORY_OP, 9, &memory_map, 0), 0);
    CHECK(memory_map.nr >= 1 && memory_map.nr < 20);
    CHECK_IS(((volatile uint32_t *)memory_map.buffer)[0], 0); /* the first region begins at 0 */
    CHECK_IS(hypercall(SCHED_OP, 3, &poll, 0), 0);
    CHECK_IS(hypercall(VCPU_OP, 4, NULL, (unsigned long)&runstate), 0);
    CHECK_IS(runstate.state, 0); /* running */
    CHECK(runstate.time[0] && runstate.time[0] < 1ull << 50);
    CHECK_IS(hypercall(VCPU_OP, 8, NULL, (unsigned long)&timer), -ETIME);
    CHECK_IS(hypercall(13, (unsigned long)calls, (void *)2, 0), 0); /* multicall */
    CHECK_IS(calls[0].result >> 16, 4);
    CHECK_IS((long)calls[1].result, -EINVAL);
}

void guest_main(void)
{
    use_tables();
    CHECK(!on_xen || cpuid(0x40000000).b == 0x566e6558); /* "XenV" */
    if (on_xen)
        ask();
}
