// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a guest asks for memory until it is given no more, in every size and with counts that overflow when they are
 * added to or shifted. Its own limit holds, whatever the host has; what it gets it can give back, once, and frames that
 * are not its own it cannot give.
 */
#include "guest.h"

static xen_pfn_t frames[4096];

static long memory(unsigned long cmd, unsigned long extents, unsigned int order, unsigned int flags)
{
    struct xen_memory_reservation r = {
        .nr_extents = extents, .extent_order = order, .mem_flags = flags, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, frames);
    return HYPERCALL2(__HYPERVISOR_memory_op, cmd, &r);
}

static long reservation(void)
{
    domid_t id = DOMID_SELF;

    return HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_current_reservation, &id);
}

static void fill(unsigned long pfn)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++)
        frames[i] = pfn + i;
}

void guest_main(void)
{
    long before = reservation(), got;

    for (unsigned int round = 0; round < 5; round++) {
        fill(start_info->nr_pages);
        got = memory(XENMEM_populate_physmap, ARRAY_SIZE(frames), 0, 0);
        CHECK(got >= 0 && got < (long)ARRAY_SIZE(frames));
        CHECK_IS(reservation(), before + got);
        CHECK_IS(memory(XENMEM_increase_reservation, 1, 0, 0), 0);
        CHECK_IS(memory(XENMEM_increase_reservation, 1, 9, XENMEMF_address_bits(32)), 0);
        CHECK_IS(memory(XENMEM_decrease_reservation, (unsigned long)got, 0, 0), got);
        CHECK_IS(reservation(), before);
        if (got)
            CHECK_IS(memory(XENMEM_decrease_reservation, 1, 0, 0), 0);
    }
    for (unsigned int order = 10; order < 70; order += 3)
        CHECK_IS(memory(XENMEM_populate_physmap, 1, order, 0), 0);
    for (unsigned int bit = 26; bit < 64; bit++) {
        CHECK(memory(XENMEM_decrease_reservation, 1ul << bit, 0, 0) <= 0);
    }
    frames[0] = 0x200;
    frames[1] = ~0ul;
    CHECK_IS(memory(XENMEM_decrease_reservation, 2, 0, 0), 0);
    frames[0] = ~0ul;
    CHECK_IS(memory(XENMEM_decrease_reservation, 1, 9, 0), 0);
    CHECK_IS(reservation(), before);
}
