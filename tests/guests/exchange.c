// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: memory exchange with lists that overlap each other, sizes that do not match or overflow, frames that are
 * mapped, pinned, page tables or not the guest's, and lists in memory that cannot be read or written. Nothing that is
 * in use changes hands, and the guest owns as many frames afterwards as before.
 */
#include "guest.h"

static xen_pfn_t in[4], out[4];
static struct xen_memory_exchange x;

static void reset(void)
{
    x = (struct xen_memory_exchange){.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                     .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    set_xen_guest_handle(x.in.extent_start, in);
    set_xen_guest_handle(x.out.extent_start, out);
    in[0] = spare_mfn(1);
    out[0] = start_info->nr_pages - 2;
}

static long exchange(void)
{
    return HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_exchange, &x);
}

static long reservation(void)
{
    domid_t id = DOMID_SELF;

    return HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_current_reservation, &id);
}

#define REFUSED(change)        \
    do {                       \
        reset();               \
        change;                \
        CHECK(exchange() < 0); \
    } while (0)

void guest_main(void)
{
    void *page = new_page();
    long before = reservation();

    REFUSED(in[0] = mfn_of(page));
    REFUSED(in[0] = mfn_of(entry_of(page, 1)));
    REFUSED(in[0] = mfn_of(entry_of(page, 4)));
    REFUSED(in[0] = 0x200);
    REFUSED(in[0] = ~0ul);
    REFUSED(x.in.nr_extents = 2);
    REFUSED(x.in.nr_extents = ~0ul; x.out.nr_extents = ~0ul);
    REFUSED(x.in.extent_order = 9; x.in.nr_extents = 1ul << 55; x.out.nr_extents = 0);
    REFUSED(x.in.extent_order = 64);
    REFUSED(x.out.extent_order = 12; x.in.nr_extents = 4096);
    REFUSED(x.out.domid = 0);
    REFUSED(x.in.domid = 0);
    REFUSED(x.nr_exchanged = 2);
    REFUSED(set_xen_guest_handle(x.in.extent_start, (xen_pfn_t *)HV_TEXT));
    REFUSED(set_xen_guest_handle(x.in.extent_start, (xen_pfn_t *)NOT_MAPPED));
    CHECK_IS(reservation(), before);
    /* The result cannot be told: the frame is lost to the guest or not exchanged at all, but counted right. */
    reset();
    set_xen_guest_handle(x.out.extent_start, (xen_pfn_t *)HV_TEXT);
    CHECK(exchange() < 0);
    CHECK_IS(reservation(), before);
    CHECK_IS(try_write(page, 1), -1);
}
