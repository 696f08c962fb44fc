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

/* ---- version 2 ---- */

grant_entry_v2_t *table2;
grant_status_t *status2;
mfn_t copy_side;

int set_version(struct domain *d, unsigned int version)
{
    struct gnttab_set_version s = {.version = version};
    struct vcpu *v = current;
    long rc;

    run_on(d->vcpu[0]);
    rc = op(GNTTABOP_set_version, &s, 1);
    run_on(v);
    assert_int_equal(grant_audit(d), 0);
    if (!rc)
        assert_int_equal(s.version, version);
    return (int)rc;
}

int16_t get_status_frames(domid_t id, unsigned int nr, uint64_t *list)
{
    struct gnttab_get_status_frames f = {.dom = id, .nr_frames = nr};

    f.frame_list.p = list;
    assert_int_equal(op(GNTTABOP_get_status_frames, &f, 1), 0);
    return f.status;
}

void to_v2(void)
{
    uint64_t list = 0;

    assert_int_equal(set_version(a, 2), 0);
    assert_int_equal(get_status_frames(1, 1, &list), GNTST_okay);
    table2 = (grant_entry_v2_t *)(void *)table;
    status2 = mfn_to_virt(_mfn(list));
}

void grant2(grant_ref_t ref, domid_t to, mfn_t frame, uint16_t flags)
{
    table2[ref] = (grant_entry_v2_t){.full_page.frame = frame.n};
    table2[ref].hdr = (grant_entry_header_t){.flags = (uint16_t)(GTF_permit_access | flags), .domid = to};
}

void grant_part(grant_ref_t ref, mfn_t frame, uint16_t start, uint16_t length)
{
    table2[ref] = (grant_entry_v2_t){.sub_page = {.page_off = start, .length = length, .frame = frame.n}};
    table2[ref].hdr = (grant_entry_header_t){.flags = GTF_permit_access | GTF_sub_page, .domid = 0};
}

void grant_through(grant_ref_t ref, domid_t to, domid_t trans, grant_ref_t trans_ref)
{
    table2[ref] = (grant_entry_v2_t){.transitive = {.trans_domid = trans, .gref = trans_ref}};
    table2[ref].hdr = (grant_entry_header_t){.flags = GTF_transitive, .domid = to};
}

void assert_quiet2(mfn_t m, grant_ref_t ref)
{
    assert_int_equal(status2[ref], 0);
    assert_int_equal(frame_refs(m), 1);
    assert_int_equal(frame_type_refs(m), 0);
}

int copy(domid_t dom, grant_ref_t ref, bool to, uint16_t offset, uint16_t len)
{
    struct gnttab_copy c = {.len = len, .source.domid = DOMID_SELF, .dest.domid = DOMID_SELF};
    struct gnttab_copy_ptr *theirs = to ? &c.dest : &c.source, *mine = to ? &c.source : &c.dest;

    c.flags = to ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
    theirs->domid = dom;
    theirs->u.ref = ref;
    theirs->offset = offset;
    mine->u.gmfn = copy_side.n;
    assert_int_equal(op(GNTTABOP_copy, &c, 1), 0);
    return c.status;
}
