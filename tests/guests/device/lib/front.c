// SPDX-License-Identifier: BSD-2-Clause
/* What front ends of all kinds have in common. */
#include "front.h"

#define STEP_MS 5
#define RESETS  5u

static grant_entry_v1_t *entries;

void front_open(struct front *f, const char *dir)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};

    f->dir = dir;
    REQUIRE(store_read(dir, "backend", f->back, sizeof(f->back)));
    REQUIRE(evtchn_op(EVTCHNOP_alloc_unbound, &alloc) == 0);
    f->port = alloc.port;
}

bool front_set(const struct front *f, enum xenbus_state state)
{
    return store_write_number(f->dir, "state", (unsigned long)state);
}

enum xenbus_state back_state(const struct front *f)
{
    long state = store_number(f->back, "state");

    return state < 0 ? XenbusStateUnknown : (enum xenbus_state)state;
}

bool back_reaches(const struct front *f, enum xenbus_state state, unsigned int ms)
{
    for (unsigned int waited = 0; waited <= ms; waited += STEP_MS) {
        if (back_state(f) == state)
            return true;
        pause_ms(STEP_MS);
    }
    return false;
}

/* A back end that looks at an earlier state meanwhile may miss one: then from the beginning. */
bool front_reset(const struct front *f)
{
    for (unsigned int tries = 0; tries < RESETS; tries++) {
        if (!front_set(f, XenbusStateClosed) || !back_reaches(f, XenbusStateClosed, PATIENCE_MS))
            return false;
        if (front_set(f, XenbusStateInitialising) && back_reaches(f, XenbusStateInitWait, PATIENCE_MS / RESETS))
            return true;
    }
    return false;
}

void front_notify(const struct front *f)
{
    struct evtchn_send send = {.port = f->port};

    evtchn_op(EVTCHNOP_send, &send);
}

static grant_entry_v1_t *entry(grant_ref_t ref)
{
    if (!entries)
        entries = grant_entries();
    return &entries[ref];
}

void lend(grant_ref_t ref, unsigned long frame, uint16_t flags)
{
    grant_entry_v1_t *e = entry(ref);

    e->frame = (uint32_t)frame;
    e->domid = 0;
    __atomic_store_n(&e->flags, (uint16_t)(GTF_permit_access | flags), __ATOMIC_SEQ_CST);
}

bool end_lending(grant_ref_t ref)
{
    return !(__atomic_exchange_n(&entry(ref)->flags, 0, __ATOMIC_SEQ_CST) & (GTF_reading | GTF_writing));
}

uint16_t lending_in_use(grant_ref_t ref)
{
    return READ_ONCE(entry(ref)->flags) & (GTF_reading | GTF_writing);
}

static long memory(unsigned int cmd, xen_pfn_t *frame)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, frame);
    return HYPERCALL2(__HYPERVISOR_memory_op, cmd, &r);
}

bool give_back(unsigned long frame)
{
    xen_pfn_t given = frame;

    return memory(XENMEM_decrease_reservation, &given) == 1;
}

unsigned long get_frame(void)
{
    xen_pfn_t frame = start_info->nr_pages; /* the name that it gets: beyond all others */

    return memory(XENMEM_populate_physmap, &frame) == 1 ? frame : 0;
}
