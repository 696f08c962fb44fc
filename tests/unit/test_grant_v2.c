/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grant tables, version 2: the change of version both ways, status frames, sub-page and transitive grants. What is
 * common to both versions: test_grant.c and test_grant_map.c; a granter that races: test_grant_races.c.
 */
#include <umbra/umbra_op.h>
#include "grant_guests.h"
#include "../../hypervisor/grant/internal.h"

/* ---- the change of version ---- */

static unsigned int get_version(domid_t id)
{
    struct gnttab_get_version g = {.dom = id};

    assert_int_equal(op(GNTTABOP_get_version, &g, 1), 0);
    return g.version;
}

static void reserved_entries_stay(void **state)
{
    struct gnttab_map_grant_ref w, r;
    mfn_t other = guest_frame(a);

    grant(0, 0, page, 0);
    grant(1, 0, other, GTF_readonly);
    table[2].flags = GTF_accept_transfer;
    grant(3, 2, page, GTF_sub_page);
    grant(7, 2, other, 0);
    grant(8, 0, page, 0);
    w = map(1, 0, GNTMAP_host_map, VA(1));
    r = map(1, 1, GNTMAP_device_map | GNTMAP_readonly, 0);
    to_v2();
    assert_int_equal(get_version(1), 2);
    assert_int_equal(table2[0].hdr.flags, GTF_permit_access);
    assert_int_equal(table2[0].full_page.frame, page.n);
    assert_int_equal(table2[1].hdr.flags, GTF_permit_access | GTF_readonly);
    assert_int_equal(table2[2].hdr.flags, 0);
    assert_int_equal(table2[3].sub_page.length, PAGE_SIZE);
    assert_true(table2[7].hdr.domid == 2 && table2[7].full_page.frame == other.n);
    for (unsigned int i = 8; i < 256; i++)
        assert_true(table2[i].hdr.flags == 0 && status2[i] == 0);
    assert_int_equal(status2[0], GTF_reading | GTF_writing);
    assert_int_equal(status2[1], GTF_reading);
    assert_int_equal(unmap(w.handle, VA(1), 0), GNTST_okay);
    assert_quiet2(page, 0);

    table2[3].hdr.flags = 0;
    assert_int_equal(set_version(a, 1), 0);
    assert_int_equal(get_version(1), 1);
    assert_int_equal(table[0].flags, GTF_permit_access);
    assert_int_equal(table[0].frame, page.n);
    assert_int_equal(table[1].flags, GTF_permit_access | GTF_readonly | GTF_reading);
    assert_int_equal(unmap(r.handle, 0, r.dev_bus_addr), GNTST_okay);
    assert_quiet(other, 1);
    assert_true(table[7].flags == GTF_permit_access && table[7].frame == other.n);
    for (unsigned int i = 8; i < 512; i++)
        assert_true(table[i].flags == 0 && table[i].frame == 0);
}

static void change_refused(void **state)
{
    struct domain *limited = machine_domain(3, 1, false);
    struct gnttab_map_grant_ref m;

    assert_int_equal(set_version(a, 0), -EINVAL);
    assert_int_equal(set_version(a, 3), -EINVAL);
    assert_int_equal(set_version(a, ~0u), -EINVAL);
    evtchn_domain_init(limited, 63);
    assert_int_equal(grant_domain_init(limited, 1, 1, XEN_DOMCTL_GRANT_version(1)), 0);
    assert_int_equal(set_version(limited, 2), -ENOSYS);
    assert_int_equal(set_version(limited, 1), 0);
    finish_domain(limited);
    machine_destroy(limited);

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(set_version(a, 2), -EBUSY);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    machine.fail_alloc = 1;
    assert_int_equal(set_version(a, 2), -ENOMEM);
    assert_int_equal(table[8].flags, GTF_permit_access); /* nothing is lost */
    to_v2();

    grant2(9, 0, page, 0);
    m = map(1, 9, GNTMAP_device_map, 0);
    assert_int_equal(set_version(a, 1), -EBUSY);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    grant_through(2, 0, 2, 8);
    assert_int_equal(set_version(a, 1), -ERANGE);
    grant_part(2, page, 0, 4096);
    assert_int_equal(set_version(a, 1), -ERANGE);
    grant2(2, 0, _mfn(1ull << 32), 0);
    assert_int_equal(set_version(a, 1), -ERANGE);
    assert_int_equal(table2[9].hdr.flags, GTF_permit_access);
    assert_int_equal(get_version(1), 2);
    grant2(2, 0, page, 0);
    assert_int_equal(set_version(a, 1), 0);
}

/* One slice of a change: the hypercall as its vCPU runs it once. */
static long one_slice(struct domain *d, unsigned int version)
{
    struct gnttab_set_version s = {.version = version};
    struct hcall hc = {.arg = {GNTTABOP_set_version, (unsigned long)&s, 1}};
    struct vcpu *v = current;
    long rc;

    run_on(d->vcpu[0]);
    rc = do_grant_table_op(&hc);
    run_on(v);
    return rc;
}

static struct domain *large_domain(grant_entry_v1_t **first)
{
    struct domain *d = new_domain(3, false, 256, 1);
    mfn_t m;

    for (unsigned int i = 0; i < 256; i++)
        while (grant_get_frame(d, i, &m) == -ERESTART)
            ;
    assert_int_equal(grant_get_frame(d, 0, &m), 0);
    *first = mfn_to_virt(m);
    return d;
}

/* Between the slices others see a table that is closed, but for the reserved entries. */
static void change_in_slices(void **state)
{
    grant_entry_v1_t *first;
    struct domain *d = large_domain(&first);
    struct gnttab_swap_grant_ref s = {.ref_a = 8, .ref_b = 9};
    mfn_t frame = guest_frame(d);
    struct gnttab_map_grant_ref m;
    grant_entry_v2_t *second;
    unsigned int slices = 1;
    mfn_t last;

    assert_int_equal(grant_get_frame(d, 255, &last), 0);
    memset(mfn_to_virt(last), 0xff, PAGE_SIZE);
    first[1] = first[8] = (grant_entry_v1_t){.flags = GTF_permit_access, .domid = 0, .frame = (uint32_t)frame.n};
    assert_int_equal(one_slice(d, 2), -ERESTART);
    assert_int_equal(map_status(3, 8, GNTMAP_device_map, 0), GNTST_general_error);
    m = map(3, 1, GNTMAP_device_map, 0);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(get_version(3), 1);
    run_on(d->vcpu[0]);
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_eagain);
    run_on(ctl->vcpu[0]);
    while (one_slice(d, 2) == -ERESTART)
        slices++;
    assert_int_equal(slices, 254 / 31);
    for (unsigned int i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(((char *)mfn_to_virt(last))[i], 0);
    assert_int_equal(get_version(3), 2);
    second = (grant_entry_v2_t *)(void *)first;
    assert_true(second[1].full_page.frame == frame.n && second[8].hdr.flags == 0);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);

    assert_int_equal(one_slice(d, 1), -ERESTART); /* begun, given up */
    assert_int_equal(one_slice(d, 2), 0);
    second[8].full_page.frame = frame.n;
    second[8].hdr = (grant_entry_header_t){.flags = GTF_permit_access, .domid = 0};
    m = map(3, 8, GNTMAP_device_map, 0);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(one_slice(d, 1), -EBUSY);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_int_equal(one_slice(d, 1), -ERESTART); /* its owner dies in the middle */
    assert_int_equal(grant_audit(d), 0);
    finish_domain(d);
    machine_destroy(d);
}

static void status_frames(void **state)
{
    grant_entry_v1_t *first;
    struct domain *d = large_domain(&first);
    static uint64_t list[33];
    mfn_t m;

    assert_int_equal(get_status_frames(3, 0, list), GNTST_okay);
    assert_int_equal(get_status_frames(3, 1, list), GNTST_general_error);
    assert_int_equal(grant_get_status_frame(d, 0, &m), -EINVAL);
    assert_int_equal(get_status_frames(9, 1, list), GNTST_bad_domain);
    assert_int_equal(set_version(d, 2), 0);
    assert_int_equal(get_status_frames(3, 33, list), GNTST_general_error);
    assert_int_equal(get_status_frames(3, 32, list), GNTST_okay);
    assert_true(list[31] && list[31] != list[30] && !list[32]);
    assert_int_equal(get_status_frames(3, ~0u, list), GNTST_general_error);
    assert_int_equal(get_status_frames(3, 32, FAULT), GNTST_bad_virt_addr);
    assert_int_equal(grant_get_status_frame(d, 31, &m), 0);
    assert_int_equal(m.n, list[31]);
    assert_int_equal(grant_get_status_frame(d, 32, &m), -EINVAL);
    assert_int_equal(grant_get_status_frame(d, ~0ul, &m), -EINVAL);
    assert_int_equal(grant_get_status_frame(d, 1ul << 61, &m), -EINVAL);
    run_on(b->vcpu[0]);
    assert_int_equal(get_status_frames(3, 1, list), GNTST_permission_denied);
    finish_domain(d);
    machine_destroy(d);
    run_on(ctl->vcpu[0]);
}

/* The table grows in version 2: by setup_table, and by a request for status frames; an allocation fails on the way. */
static void status_grows(void **state)
{
    struct domain *d = new_domain(3, false, 20, 1);
    struct gnttab_setup_table s = {.dom = 3, .nr_frames = 9};
    xen_pfn_t frames[20];
    uint64_t list[3];
    mfn_t m;

    assert_int_equal(set_version(d, 2), 0);
    assert_int_equal(get_status_frames(3, 2, list), GNTST_general_error);
    s.frame_list.p = frames;
    for (machine.fail_alloc = 1; s.status != GNTST_okay || grant_nr_frames(d) < 9; machine.fail_alloc += 1) {
        unsigned int n = machine.fail_alloc;

        op(GNTTABOP_setup_table, &s, 1);
        assert_int_equal(grant_audit(d), 0);
        machine.fail_alloc = n;
    }
    machine.fail_alloc = 0;
    assert_int_equal(get_status_frames(3, 2, list), GNTST_okay);
    assert_int_equal(get_status_frames(3, 3, list), GNTST_general_error);
    assert_int_equal(grant_get_status_frame(d, 2, &m), 0);
    assert_int_equal(grant_nr_frames(d), 17);
    assert_int_equal(get_status_frames(3, 3, list), GNTST_okay);
    assert_int_equal(m.n, list[2]);
    assert_int_equal(grant_get_status_frame(d, 3, &m), -EINVAL); /* beyond the limit of 20 frames */
    finish_domain(d);
    machine_destroy(d);
}

static void swap_entries(void **state)
{
    struct gnttab_swap_grant_ref s = {.ref_a = 8, .ref_b = 255};
    struct gnttab_map_grant_ref m;

    to_v2();
    grant_part(8, page, 7, 70);
    run_on(a->vcpu[0]);
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_okay);
    assert_true(table2[8].hdr.flags == 0 && table2[255].sub_page.page_off == 7 &&
                table2[255].full_page.frame == page.n);
    s.ref_a = 256;
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_bad_gntref);
    run_on(ctl->vcpu[0]);
    grant2(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    run_on(a->vcpu[0]);
    s.ref_a = 8;
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_eagain);
    run_on(ctl->vcpu[0]);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
}

/* ---- mappings ---- */

static void map_whole_pages(void **state)
{
    struct gnttab_map_grant_ref w, r;

    to_v2();
    grant2(8, 0, page, 0);
    w = map(1, 8, GNTMAP_host_map, VA(1));
    assert_int_equal(w.status, GNTST_okay);
    assert_int_equal(status2[8], GTF_reading | GTF_writing);
    assert_int_equal(table2[8].hdr.flags, GTF_permit_access); /* the guest's word is the guest's */
    assert_int_equal(frame_type_refs(page), 1);
    r = map(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0);
    assert_int_equal(r.status, GNTST_okay);
    assert_int_equal(unmap(w.handle, VA(1), 0), GNTST_okay);
    assert_int_equal(status2[8], GTF_reading);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
    status2[8] = 0xffff; /* the guest writes nonsense into its status */
    assert_int_equal(unmap(r.handle, 0, r.dev_bus_addr), GNTST_okay);
    assert_int_equal(status2[8], (uint16_t) ~(GTF_reading | GTF_writing));
    status2[8] = 0;
    assert_quiet2(page, 8);
    assert_int_equal(map_status(1, 255, GNTMAP_device_map, 0), GNTST_general_error);
    assert_int_equal(map_status(1, 256, GNTMAP_device_map, 0), GNTST_bad_gntref);
}

static void map_refused(void **state)
{
    mfn_t foreign = guest_frame(b);
    static const uint64_t bad[] = {0, 5, 1ull << 32, (1ull << 32) + 0x100, ~0ull, 1ull << 52};

    to_v2();
    grant_part(8, page, 0, 4096);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant_through(8, 0, 2, 8);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant2(8, 2, page, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant2(8, 0, page, GTF_readonly);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    table2[8].hdr.flags = GTF_accept_transfer;
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        grant2(8, 0, _mfn(bad[i]), 0);
        assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    }
    grant2(8, 0, _mfn(page.n + (1ull << 32)), 0); /* not its low half */
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_bad_page);
    grant2(8, 0, foreign, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    assert_quiet2(page, 8);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
}

/* ---- copies ---- */

static void copy_parts(void **state)
{
    to_v2();
    copy_side = guest_frame(ctl);
    memset(mfn_to_virt(page), 'x', PAGE_SIZE);
    grant_part(8, page, 100, 50);
    assert_int_equal(copy(1, 8, false, 100, 50), GNTST_okay);
    assert_int_equal(copy(1, 8, false, 149, 1), GNTST_okay);
    assert_int_equal(copy(1, 8, false, 150, 0), GNTST_okay);
    assert_int_equal(copy(1, 8, false, 99, 2), GNTST_bad_copy_arg);
    assert_int_equal(copy(1, 8, false, 149, 2), GNTST_bad_copy_arg);
    assert_int_equal(copy(1, 8, true, 0, 100), GNTST_bad_copy_arg);
    memset(mfn_to_virt(copy_side), 'y', PAGE_SIZE);
    assert_int_equal(copy(1, 8, true, 100, 50), GNTST_okay);
    for (unsigned int i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(((char *)mfn_to_virt(page))[i], i >= 100 && i < 150 ? 'y' : 'x');
    grant_part(8, page, 4000, 0xffff); /* runs out of the page: only what lies in it */
    assert_int_equal(copy(1, 8, false, 4000, 96), GNTST_okay);
    assert_int_equal(copy(1, 8, false, 4000, 97), GNTST_bad_copy_arg);
    grant_part(8, page, 0xffff, 0xffff);
    assert_int_equal(copy(1, 8, false, 4095, 1), GNTST_bad_copy_arg);
    grant_part(8, page, 0, 0);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_bad_copy_arg);
    assert_quiet2(page, 8);
    assert_quiet2(copy_side, 8);
    assert_int_equal(grant_audit(a), 0);
}

/* b grants a frame to a, a grants that grant to the control domain. */
static void copy_through(void **state)
{
    mfn_t theirs = guest_frame(b), m;
    grant_entry_v1_t *bt;

    to_v2();
    copy_side = guest_frame(ctl);
    assert_int_equal(grant_get_frame(b, 0, &m), 0);
    bt = mfn_to_virt(m);
    bt[20] = (grant_entry_v1_t){.flags = GTF_permit_access, .domid = 1, .frame = (uint32_t)theirs.n};
    grant_through(8, 0, 2, 20);
    strcpy(mfn_to_virt(theirs), "of a third domain");
    assert_int_equal(copy(1, 8, false, 0, 100), GNTST_okay);
    assert_string_equal(mfn_to_virt(copy_side), "of a third domain");
    assert_int_equal(copy(1, 8, true, 0, 100), GNTST_okay);
    bt[20].flags |= GTF_readonly;
    assert_int_equal(copy(1, 8, false, 0, 100), GNTST_okay);
    assert_int_equal(copy(1, 8, true, 0, 100), GNTST_general_error);
    table2[8].hdr.flags |= GTF_readonly;
    bt[20].flags = GTF_permit_access;
    assert_int_equal(copy(1, 8, true, 0, 100), GNTST_general_error);
    assert_int_equal(copy(1, 8, false, 0, 100), GNTST_okay);
    assert_int_equal(bt[20].flags, GTF_permit_access);
    assert_int_equal(a->refcount, 3);
    assert_int_equal(b->refcount, 3);

    bt[20].domid = 0; /* granted to the caller, not to a */
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    bt[20].domid = 1;
    bt[20].frame = (uint32_t)page.n; /* a's frame, not b's */
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_bad_page);
    grant_through(8, 0, 2, 21);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    grant_through(8, 0, 2, 100000);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_bad_gntref);
    grant_through(8, 2, 2, 20);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    assert_quiet2(theirs, 8);
    assert_int_equal(a->refcount, 3);
    assert_int_equal(b->refcount, 3);
    assert_int_equal(grant_audit(a) + grant_audit(b), 0);
}

/* No chain is longer than one step, and none leads in a circle. */
static void no_chains(void **state)
{
    grant_entry_v2_t *bt;
    mfn_t theirs = guest_frame(b), m;

    to_v2();
    copy_side = guest_frame(ctl);
    assert_int_equal(set_version(b, 2), 0);
    assert_int_equal(grant_get_frame(b, 0, &m), 0);
    bt = mfn_to_virt(m);
    bt[20].transitive.trans_domid = 1;
    bt[20].transitive.gref = 9;
    bt[20].hdr = (grant_entry_header_t){.flags = GTF_transitive, .domid = 1};
    grant2(9, 2, page, 0);
    grant_through(8, 0, 2, 20);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    bt[20].transitive.gref = 8;
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    grant_through(8, 0, 1, 9); /* its own */
    grant2(9, 1, page, 0);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    for (unsigned int id = 3; id < 0x10000; id += id < 20 ? 1 : 0x3ff) {
        grant_through(8, 0, (domid_t)id, 9);
        assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    }
    grant_through(8, 0, DOMID_SELF, 9);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);

    /* A part of b's page, through a. */
    bt[20].sub_page.page_off = 10;
    bt[20].sub_page.length = 5;
    bt[20].sub_page.frame = theirs.n;
    bt[20].hdr = (grant_entry_header_t){.flags = GTF_permit_access | GTF_sub_page, .domid = 1};
    grant_through(8, 0, 2, 20);
    assert_int_equal(copy(1, 8, false, 10, 5), GNTST_okay);
    assert_int_equal(copy(1, 8, false, 10, 6), GNTST_bad_copy_arg);
    assert_quiet2(theirs, 8);
    assert_int_equal(grant_audit(a) + grant_audit(b), 0);
}

/* What a grants to the caller may be what the caller granted to a. */
static void copy_there_and_back(void **state)
{
    mfn_t mine = guest_frame(ctl), m;
    grant_entry_v1_t *ct;

    to_v2();
    copy_side = guest_frame(ctl);
    assert_int_equal(grant_get_frame(ctl, 0, &m), 0);
    ct = mfn_to_virt(m);
    ct[30] = (grant_entry_v1_t){.flags = GTF_permit_access, .domid = 1, .frame = (uint32_t)mine.n};
    grant_through(8, 0, 0, 30);
    strcpy(mfn_to_virt(copy_side), "there and back");
    assert_int_equal(copy(1, 8, true, 0, 100), GNTST_okay);
    assert_string_equal(mfn_to_virt(mine), "there and back");
    assert_quiet2(mine, 8);
    assert_int_equal(ct[30].flags, GTF_permit_access);
    assert_int_equal(copy(1, 8, false, 4000, 97), GNTST_bad_copy_arg);
    grant_through(8, 0, DOMID_SELF, 30); /* no name of a domain in an entry */
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    grant_through(8, 0, 0, 30);
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_okay);
    assert_int_equal(set_version(a, 1), 0); /* which has no such grants */
    table[8] = (grant_entry_v1_t){.flags = GTF_transitive, .domid = 0, .frame = 30};
    assert_int_equal(copy(1, 8, false, 0, 1), GNTST_general_error);
    assert_int_equal(table[8].flags, GTF_transitive);
}

/* A use under way, as a copy on another CPU: what cannot be mapped cannot be mapped now either. */
static void join_a_copy(void **state)
{
    struct granted what;

    to_v2();
    grant_part(8, page, 0, 10);
    assert_int_equal(grant_pin(a, 8, 0, PIN_HOST_READ, USE_COPY, &what), GNTST_okay);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0), GNTST_general_error);
    grant2(8, 0, page, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0), GNTST_general_error);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_general_error);
    assert_int_equal(status2[8], GTF_reading);
    grant_unpin(a, 8, PIN_HOST_READ);
    grant_through(8, 0, 2, 3);
    assert_int_equal(grant_pin(a, 8, 0, PIN_HOST_WRITE, USE_COPY, &what), GNTST_okay);
    assert_true(what.kind == GRANT_TRANSITIVE && what.trans_domid == 2 && what.trans_ref == 3);
    assert_int_equal(grant_pin(a, 8, 0, PIN_HOST_READ, USE_THROUGH, &what), GNTST_general_error);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0), GNTST_general_error);
    grant_unpin(a, 8, PIN_HOST_WRITE);
    assert_quiet2(page, 8);
}

/* The entry changes its kind while it is in use: the first use's meaning stays, and none is mixed from both. */
static void kind_changes_under_use(void **state)
{
    struct gnttab_map_grant_ref r;

    to_v2();
    copy_side = guest_frame(ctl);
    grant2(8, 0, page, 0);
    r = map(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0);
    grant_part(8, copy_side, 0, 10);
    assert_int_equal(copy(1, 8, false, 1000, 10), GNTST_okay); /* the page that is in use */
    assert_int_equal(copy(1, 8, true, 0, 10), GNTST_general_error);
    assert_int_equal(status2[8], GTF_reading);
    grant_through(8, 0, 2, 3);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_general_error);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0), GNTST_okay);
    assert_int_equal(unmap(r.handle, 0, r.dev_bus_addr), GNTST_okay);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
}

/* ---- the audit ---- */

#define BROKEN(d, what, wrong)               \
    do {                                     \
        __typeof__(what) was = (what);       \
                                             \
        (what) = (wrong);                    \
        assert_true(grant_audit(d) > 0);     \
        (what) = was;                        \
        assert_int_equal(grant_audit(d), 0); \
    } while (0)

/* Each invariant, broken by hand. */
static void audit_finds(void **state)
{
    struct grant_table *t = a->grant, *ct = ctl->grant;
    struct active *active = &t->active[0][8];
    struct mapping *m;
    struct gnttab_map_grant_ref first;
    struct page_info *held;

    to_v2();
    grant2(8, 0, page, 0);
    first = map(1, 8, GNTMAP_device_map, 0);
    map(1, 8, GNTMAP_host_map | GNTMAP_readonly, VA(1));
    m = &ct->track[0][first.handle];
    BROKEN(a, active->pin[0], 2); /* G1 */
    BROKEN(a, active->pin[3], 0);
    BROKEN(a, t->active[0][9].pin[1], 1);
    BROKEN(a, m->flags, GNTMAP_device_map | GNTMAP_readonly);
    BROKEN(a, m->frame, m->frame + 1); /* G2 */
    BROKEN(a, active->what.domid, 2);
    BROKEN(a, active->what.kind, GRANT_SUB_PAGE);
    BROKEN(a, m->ref, 100000);
    BROKEN(a, t->nr_used, 0);   /* G3 */
    BROKEN(ctl, m->busy, true); /* G4 */
    BROKEN(ctl, m->flags, 0);
    BROKEN(ctl, ct->in_use, 1);
    BROKEN(ctl, ct->free_handle, ct->track[0][ct->free_handle].ref);
    BROKEN(ctl, ct->max_handles, 1);
    BROKEN(a, t->version, 3); /* G5 */
    BROKEN(a, t->max_version, 1);
    BROKEN(a, t->nr_status, 0);
    BROKEN(a, t->max_frames, 0);
    held = mfn_to_page(_mfn(active->what.frame));
    BROKEN(a, held->count_info, PGC_allocated | 1); /* G7 */
    BROKEN(a, held->type_info, held->type_info & ~PGT_count_mask);
    BROKEN(a, held->type_info, (uint64_t)PT_L1 << PGT_type_shift | PGT_validated | 1);
    BROKEN(a, held->owner, ctl);
    finish_domain(ctl);
    fake_ptes_drop();
    assert_int_equal(grant_audit(a), 0);
}

/* The audit of a from the beginning, as the caller of umbra_op makes it; its slices are in slices. */
static unsigned int slices;

static int audit(struct umbra_op_grant_audit *u)
{
    int rc;

    memset(u, 0, sizeof(*u));
    stretch_point();
    for (slices = 1; (rc = grant_audit_slice(a, u)) == -ERESTART; slices++)
        assert_true(slices < 10000);
    return rc;
}

/* What is told: the rule, what of it, and which entry or handle. */
static void audit_tells(void **state)
{
    struct active *active = &a->grant->active[0][8];
    struct umbra_op_grant_audit u;
    const char *rule, *what;

    grant(8, 0, page, 0);
    map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(audit(&u), 0);
    assert_true(u.broken == 0 && u.entries == 512 && u.handles == 1);
    active->pin[0]++;
    assert_int_equal(audit(&u), 0);
    active->pin[0]--;
    assert_int_equal(u.broken, 1);
    what = grant_audit_what(u.found[0].check, &rule);
    assert_string_equal(rule, "G1");
    assert_string_equal(what, "an entry counts other uses than the handles");
    assert_int_equal(u.found[0].number, 8);
    for (unsigned int i = 8; i < 30; i++) /* more than there is room to tell */
        a->grant->active[0][i].pin[1]++;
    assert_int_equal(audit(&u), 0);
    assert_int_equal(u.broken, 22 + 1);
    for (unsigned int i = 8; i < 30; i++)
        a->grant->active[0][i].pin[1]--;
    finish_domain(ctl);
    assert_int_equal(audit(&u), 0);
    assert_true(u.broken == 0 && u.handles == 0);
}

/* Whatever others do between two slices, a result is not made of two states of the table. */
static void use_meanwhile(unsigned int kind)
{
    struct gnttab_map_grant_ref m;

    if (kind == 0) {
        m = map(1, 8, GNTMAP_device_map, 0);
        assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    } else if (kind == 1) {
        assert_int_equal(copy(1, 8, false, 0, 1), GNTST_okay);
    } else {
        struct umbra_op_grant_audit other;

        assert_int_equal(audit(&other), 0);
        assert_int_equal(other.broken, 0);
    }
}

static void audit_in_slices(void **state)
{
    struct umbra_op_grant_audit u;
    mfn_t m;

    copy_side = guest_frame(ctl);
    grant(8, 0, page, 0);
    for (unsigned int i = 0; i < 300; i++)
        assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_okay);
    while (grant_get_frame(a, 3, &m) == -ERESTART)
        ;
    machine.preempt_every = 1;
    assert_int_equal(audit(&u), 0);
    assert_true(u.broken == 0 && u.entries == 4 * 512 && u.handles == 300);
    assert_in_range(slices, 2 * 4 + 1, 20);
    for (unsigned int kind = 0; kind < 3; kind++) {
        for (unsigned int n = 1, all = slices; n < all; n++) {
            memset(&u, 0, sizeof(u));
            stretch_point();
            for (unsigned int i = 0; i < n; i++)
                assert_int_equal(grant_audit_slice(a, &u), -ERESTART);
            use_meanwhile(kind);
            assert_int_equal(grant_audit_slice(a, &u), -EAGAIN);
            assert_int_equal(audit(&u), 0);
            assert_int_equal(u.broken, 0);
        }
    }
    machine.preempt_every = 0;
}

/* A slice while another CPU is in the middle of an operation: of granter and mapper. */
static int busy;

static void audit_meanwhile(void)
{
    struct umbra_op_grant_audit u = {0}, own = {0};

    assert_int_equal(grant_audit_slice(a, &u), -EAGAIN);
    assert_int_equal(grant_audit_slice(ctl, &own), -EAGAIN);
    assert_int_equal(grant_audit(a), -EAGAIN);
    busy++;
}

static void audit_under_way(void **state)
{
    struct gnttab_map_grant_ref m;

    busy = 0;
    grant(8, 0, page, 0);
    machine.meanwhile = audit_meanwhile;
    m = map(1, 8, GNTMAP_host_map, VA(1));
    assert_int_equal(busy, 1);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
    machine.meanwhile = audit_meanwhile;
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, 12), GNTST_general_error);
    assert_int_equal(busy, 2);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
    machine.meanwhile = audit_meanwhile;
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_int_equal(busy, 3);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_bad_handle);
    assert_int_equal(map_status(1, 9, GNTMAP_device_map, 0), GNTST_general_error);
    assert_int_equal(copy(1, 9, false, 0, 1), GNTST_general_error);
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
    assert_true(a->grant->begun == a->grant->ended && ctl->grant->begun == ctl->grant->ended);
}

/* Progress that no call has given out; what is told of it is something, too. */
static void audit_anywhere(void **state)
{
    struct umbra_op_grant_audit u = {0};
    const char *rule;

    grant(8, 0, page, 0);
    map(1, 8, GNTMAP_device_map, 0);
    seed_init("audit_anywhere");
    for (unsigned int i = 0; i < 20000; i++) {
        uint32_t *word = (uint32_t *)(void *)&u;
        int rc;

        for (unsigned int n = 0; n < sizeof(u) / 4; n++)
            word[n] = (uint32_t)(random_below(1u << 16) << 16 | random_below(1u << 16)) >> random_below(32);
        u.step = (uint16_t)random_below(9);
        u.begun = random_below(4) ? a->grant->begun : u.begun;
        do
            rc = grant_audit_slice(a, &u);
        while (rc == -ERESTART);
        assert_true(rc == 0 || rc == -EAGAIN);
        assert_non_null(grant_audit_what(u.found[random_below(ARRAY_SIZE(u.found))].check, &rule));
        assert_int_equal(rule[0], 'G');
    }
    assert_int_equal(grant_audit(a) + grant_audit(ctl), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, grant_setup, grant_teardown)
    const struct CMUnitTest tests[] = {
        T(reserved_entries_stay),
        T(change_refused),
        T(change_in_slices),
        T(status_frames),
        T(status_grows),
        T(swap_entries),
        T(map_whole_pages),
        T(map_refused),
        T(copy_parts),
        T(copy_through),
        T(no_chains),
        T(copy_there_and_back),
        T(join_a_copy),
        T(kind_changes_under_use),
        T(audit_finds),
        T(audit_tells),
        T(audit_in_slices),
        T(audit_under_way),
        T(audit_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
