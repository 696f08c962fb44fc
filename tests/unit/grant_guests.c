/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A granting guest, a mapping control domain and a third domain: made and taken down for each test, and their calls.
 */
#include "grant_guests.h"

struct domain *ctl, *a, *b;
grant_entry_v1_t *table;
mfn_t page;

struct domain *new_domain(domid_t id, bool control, unsigned int frames, unsigned int track)
{
    struct domain *d = machine_domain(id, 1, control);

    assert_int_equal(evtchn_domain_init(d, 63), 0);
    assert_int_equal(grant_domain_init(d, frames, track, XEN_DOMCTL_GRANT_version(2)), 0);
    return d;
}

void finish_domain(struct domain *d)
{
    int rc;

    machine.preempt_every = 1;
    assert_int_equal(evtchn_relinquish(d), 0);
    do {
        rc = grant_relinquish_mappings(d);
    } while (rc == -ERESTART);
    assert_int_equal(rc, 0);
    machine.preempt_every = 0;
    d->dying = DOM_DYING;
}

int grant_setup(void **state)
{
    mfn_t m;

    machine_reset();
    ctl = new_domain(0, true, ~0u, ~0u);
    a = new_domain(1, false, 4, 1);
    b = new_domain(2, false, 4, 1);
    run_on(ctl->vcpu[0]);
    assert_int_equal(grant_get_frame(a, 0, &m), 0);
    table = mfn_to_virt(m);
    page = guest_frame(a);
    return 0;
}

int grant_teardown(void **state)
{
    finish_domain(ctl);
    finish_domain(a);
    finish_domain(b);
    fake_ptes_drop();
    machine_destroy(ctl);
    machine_destroy(a);
    machine_destroy(b);
    machine_reset();
    return 0;
}

long op(unsigned int cmd, const void *arg, unsigned int count)
{
    return hypercall(do_grant_table_op, cmd, arg, count);
}

void grant(grant_ref_t ref, domid_t to, mfn_t frame, uint16_t flags)
{
    table[ref] =
        (grant_entry_v1_t){.flags = (uint16_t)(GTF_permit_access | flags), .domid = to, .frame = (uint32_t)frame.n};
}

struct gnttab_map_grant_ref map(domid_t dom, grant_ref_t ref, uint32_t flags, uint64_t addr)
{
    struct gnttab_map_grant_ref m = {.host_addr = addr, .flags = flags, .ref = ref, .dom = dom};

    assert_int_equal(op(GNTTABOP_map_grant_ref, &m, 1), 0);
    return m;
}

int map_status(domid_t dom, grant_ref_t ref, uint32_t flags, uint64_t addr)
{
    return map(dom, ref, flags, addr).status;
}

int unmap(grant_handle_t handle, uint64_t addr, uint64_t dev)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr, .dev_bus_addr = dev, .handle = handle};

    assert_int_equal(op(GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

uint16_t in_use(grant_ref_t ref)
{
    return table[ref].flags & (GTF_reading | GTF_writing);
}

void assert_quiet(mfn_t m, grant_ref_t ref)
{
    assert_int_equal(in_use(ref), 0);
    assert_int_equal(frame_refs(m), 1);
    assert_int_equal(frame_type_refs(m), 0);
}
