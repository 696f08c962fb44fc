// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: 32-bit and 64-bit code make the same hypercalls, by registers of their own, and find the same in memory.
 * Without a hypervisor there is nobody to ask.
 */
#include "call.h"

static void ask_version(void)
{
    volatile uint32_t features[2] = {0, 0};
    volatile char *extra = new_page();

    CHECK_IS(hypercall(XEN_VERSION, 0, NULL, 0) >> 16, 4);
    CHECK_IS(hypercall(XEN_VERSION, 1, extra, 0), 0);
    CHECK_IS(extra[0], '.');
    CHECK_IS(hypercall(XEN_VERSION, 6, features, 0), 0);
    CHECK(features[1] & 1u << 2); /* auto_translated_physmap */
    CHECK_IS(hypercall(XEN_VERSION, 1, at(TEST_AREA), 0), -EFAULT);
}

static void use_events(void)
{
    volatile uint16_t bind[4] = {SELF, SELF, 0, 0}; /* and the port */
    volatile uint32_t status[6] = {SELF, 0, 99};    /* domain, port, status */

    CHECK_IS(hypercall(EVENT_OP, 6, bind, 0), 0);
    CHECK(bind[2]);
    status[1] = bind[2];
    CHECK_IS(hypercall(EVENT_OP, 5, status, 0), 0);
    CHECK_IS(status[2], 1); /* unbound */
    CHECK_IS(hypercall(EVENT_OP, 3, &status[1], 0), 0);
    CHECK_IS(hypercall(EVENT_OP, 3, &status[1], 0), -EINVAL);
}

static void ask_about_grants(void)
{
    volatile uint32_t size[4] = {SELF, 0, 0, 99};           /* domain, frames, at most, status */
    volatile uint32_t map[8] = {HOME_END, 0, 2, 0, 0x7ef0}; /* address, flags, grant, domain (16) and status */

    volatile unsigned long frames[2] = {99, 99};
    struct {
        uint16_t dom;
        uint32_t nr_frames;
        int16_t status;
        volatile unsigned long *frames;
    } setup = {SELF, 1, 99, frames};

    CHECK_IS(hypercall(GRANT_OP, 2, &setup, 1), 0);
    CHECK_IS(setup.status, 0);
    CHECK(frames[0] != 99 && frames[1] == 99);
    CHECK_IS(hypercall(GRANT_OP, 6, size, 1), 0);
    CHECK_IS(size[3] & 0xffff, 0);
    CHECK(size[2] >= size[1] && size[2]);
    CHECK_IS(hypercall(GRANT_OP, 0, map, 1), 0);
    CHECK_IS((int16_t)(map[4] >> 16), -2); /* no such domain */
}

static void ask_the_rest(void)
{
    volatile uint32_t param[4] = {SELF, 1, ~0u, ~0u}; /* domain, STORE_PFN, 64 bits of value */

    CHECK_IS(hypercall(HVM_OP, 1, param, 0), 0);
    CHECK_IS(param[3], 0);
    param[1] = 9; /* VIRIDIAN */
    CHECK_IS(hypercall(HVM_OP, 1, param, 0), -EINVAL);
    CHECK(hypercall(MEMORY_OP, 3, param, 0) * (long)PAGE_SIZE >= (long)HOME_END / 2);
    CHECK_IS(hypercall(SCHED_OP, 0, NULL, 0), 0);
    CHECK_IS(hypercall(CONSOLE_IO, 99, NULL, 0), -EPERM);
    CHECK_IS(hypercall(VCPU_OP, 3, NULL, 0), 1); /* is_up */
    CHECK_IS(hypercall(VCPU_OP, 3, at(99), 0), -ENOENT);
    CHECK_IS(hypercall(63, 0, NULL, 0), -ENOSYS);
}

void guest_main(void)
{
    use_tables();
    CHECK(!on_xen || cpuid(0x40000000).b == 0x566e6558); /* "XenV" */
    if (!on_xen)
        return;
    ask_version();
    use_events();
    ask_about_grants();
    ask_the_rest();
}
