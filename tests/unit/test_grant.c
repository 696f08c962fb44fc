/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grant tables through their hypercall: a granting guest, a mapping control domain (by linear address and by
 * page-table entry, as gntdev does) and a third domain. Every operation and status, reference counts back to zero,
 * limits, a granter that changes its entries while they are claimed, teardown in every order, random operations.
 */
#include <pthread.h>
#include "fake/machine.h"

static struct domain *ctl, *a, *b;
static grant_entry_v1_t *table; /* a's first frame */
static mfn_t page;              /* a frame of a */

#define VA(n) (0x7f0000000000ull + (n)*4096ull)

static struct domain *new_domain(domid_t id, bool control, unsigned int frames, unsigned int track)
{
    struct domain *d = machine_domain(id, 1, control);

    assert_int_equal(evtchn_domain_init(d, 63), 0);
    assert_int_equal(grant_domain_init(d, frames, track), 0);
    return d;
}

static void finish_domain(struct domain *d)
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

static int setup(void **state)
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

static int teardown(void **state)
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

static long op(unsigned int cmd, const void *arg, unsigned int count)
{
    return hypercall(do_grant_table_op, cmd, arg, count);
}

static void grant(grant_ref_t ref, domid_t to, mfn_t frame, uint16_t flags)
{
    table[ref] =
        (grant_entry_v1_t){.flags = (uint16_t)(GTF_permit_access | flags), .domid = to, .frame = (uint32_t)frame.n};
}

static struct gnttab_map_grant_ref map(domid_t dom, grant_ref_t ref, uint32_t flags, uint64_t addr)
{
    struct gnttab_map_grant_ref m = {.host_addr = addr, .flags = flags, .ref = ref, .dom = dom};

    assert_int_equal(op(GNTTABOP_map_grant_ref, &m, 1), 0);
    return m;
}

static int map_status(domid_t dom, grant_ref_t ref, uint32_t flags, uint64_t addr)
{
    return map(dom, ref, flags, addr).status;
}

static int unmap(grant_handle_t handle, uint64_t addr, uint64_t dev)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr, .dev_bus_addr = dev, .handle = handle};

    assert_int_equal(op(GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

static uint16_t in_use(grant_ref_t ref)
{
    return table[ref].flags & (GTF_reading | GTF_writing);
}

static void assert_quiet(mfn_t m, grant_ref_t ref)
{
    assert_int_equal(in_use(ref), 0);
    assert_int_equal(frame_refs(m), 1);
    assert_int_equal(frame_type_refs(m), 0);
}

/* ---- queries ---- */

static void bad_calls(void **state)
{
    for (unsigned int cmd = 0; cmd <= GNTTABOP_cache_flush; cmd++)
        assert_int_equal(op(cmd, FAULT, 1), -EFAULT);
    assert_int_equal(op(13, FAULT, 1), -ENOSYS);
    assert_int_equal(op(~0u, FAULT, 1), -ENOSYS);
    assert_int_equal(op(GNTTABOP_map_grant_ref, FAULT, 0), 0);
    assert_int_equal(op(GNTTABOP_unmap_grant_ref, FAULT, 0), 0);
    assert_int_equal(op(GNTTABOP_map_grant_ref, FAULT, 0x80000000u), -EINVAL);
    assert_int_equal(op(GNTTABOP_setup_table, FAULT, 2), -EINVAL);
    assert_int_equal(op(GNTTABOP_query_size, FAULT, 0), -EINVAL);
}

static void setup_table(void **state)
{
    xen_pfn_t list[8] = {0};
    struct gnttab_setup_table s = {.dom = 1, .nr_frames = 3};
    struct gnttab_query_size q = {.dom = 1};
    mfn_t m;

    s.frame_list.p = list;
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_int_equal(grant_nr_frames(a), 3);
    assert_ptr_equal(mfn_to_virt(_mfn(list[0])), table);
    assert_true(list[1] && list[2] && !list[3]);
    assert_int_equal(op(GNTTABOP_query_size, &q, 1), 0);
    assert_true(q.status == GNTST_okay && q.nr_frames == 3 && q.max_nr_frames == 4);

    s.nr_frames = 5;
    op(GNTTABOP_setup_table, &s, 1);
    assert_int_equal(s.status, GNTST_general_error);
    s = (struct gnttab_setup_table){.dom = 9, .nr_frames = 1};
    op(GNTTABOP_setup_table, &s, 1);
    assert_int_equal(s.status, GNTST_bad_domain);
    s = (struct gnttab_setup_table){.dom = DOMID_SELF, .nr_frames = 1};
    s.frame_list.p = FAULT;
    op(GNTTABOP_setup_table, &s, 1);
    assert_int_equal(s.status, GNTST_bad_virt_addr);
    assert_int_equal(grant_get_frame(a, 4, &m), -EINVAL);
    assert_int_equal(grant_get_frame(a, ~0ul, &m), -EINVAL);
    assert_int_equal(grant_get_frame(a, 3, &m), 0);
    run_on(b->vcpu[0]);
    s.dom = q.dom = 1;
    op(GNTTABOP_setup_table, &s, 1);
    op(GNTTABOP_query_size, &q, 1);
    assert_int_equal(s.status, GNTST_permission_denied);
    assert_int_equal(q.status, GNTST_permission_denied);
    grant_dump();
}

static void large_table(void **state)
{
    struct domain *d = new_domain(3, false, 256, 0);
    static xen_pfn_t list[256];
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 256};

    run_on(d->vcpu[0]);
    s.frame_list.p = list;
    machine.fail_alloc = 40; /* in the middle of growing */
    op(GNTTABOP_setup_table, &s, 1);
    assert_int_equal(s.status, GNTST_general_error);
    op(GNTTABOP_setup_table, &s, 1);
    assert_int_equal(s.status, GNTST_okay);
    assert_true(machine.restarts >= 3);
    assert_int_equal(map_status(1, 0, GNTMAP_device_map, 0), GNTST_no_space); /* no maptrack at all */
    finish_domain(d);
    run_on(ctl->vcpu[0]);
    s.dom = 3;
    assert_int_equal(op(GNTTABOP_setup_table, &s, 1), 0);
    machine_destroy(d);
    d = machine_domain(3, 1, false);
    assert_int_equal(grant_domain_init(d, 0, 1), -EINVAL);
    assert_int_equal(grant_domain_init(d, 257, 1), -EINVAL);
    assert_int_equal(grant_domain_init(d, 1, 100000), -EINVAL);
    machine.fail_alloc = 4;
    assert_int_equal(grant_domain_init(d, 1, 1), -ENOMEM);
    machine_destroy(d);
}

static void versions(void **state)
{
    struct gnttab_set_version s = {.version = 1};
    struct gnttab_get_version g = {.dom = 1};
    struct gnttab_get_status_frames f = {.dom = DOMID_SELF, .nr_frames = 1};
    struct gnttab_dump_table dump = {.dom = 1};

    assert_int_equal(op(GNTTABOP_set_version, &s, 1), 0);
    s.version = 2;
    assert_int_equal(op(GNTTABOP_set_version, &s, 1), -ENOSYS);
    s.version = 3;
    assert_int_equal(op(GNTTABOP_set_version, &s, 1), -EINVAL);
    assert_int_equal(op(GNTTABOP_get_version, &g, 1), 0);
    assert_int_equal(g.version, 1);
    op(GNTTABOP_get_status_frames, &f, 1);
    assert_int_equal(f.status, GNTST_general_error);
    op(GNTTABOP_dump_table, &dump, 1);
    assert_int_equal(dump.status, GNTST_okay);
    run_on(b->vcpu[0]);
    assert_int_equal(op(GNTTABOP_get_version, &g, 1), -EPERM);
    g.dom = 9;
    assert_int_equal(op(GNTTABOP_get_version, &g, 1), -ESRCH);
    op(GNTTABOP_dump_table, &dump, 1);
    assert_int_equal(dump.status, GNTST_permission_denied);
    f.dom = 1;
    op(GNTTABOP_get_status_frames, &f, 1);
    assert_int_equal(f.status, GNTST_permission_denied);
}

static void transfer_and_flush(void **state)
{
    struct gnttab_transfer t = {.mfn = page.n, .domid = 2};
    struct gnttab_cache_flush c = {.op = GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL, .length = 100, .offset = 10};
    mfn_t own = guest_frame(ctl);

    assert_int_equal(op(GNTTABOP_transfer, &t, 1), 0);
    assert_int_equal(t.status, GNTST_bad_page);
    c.a.dev_bus_addr = own.n << PAGE_SHIFT;
    assert_int_equal(op(GNTTABOP_cache_flush, &c, 1), 0);
    c.length = 4087;
    assert_int_equal(op(GNTTABOP_cache_flush, &c, 1), -EINVAL);
    c.length = 1;
    c.op = GNTTAB_CACHE_INVAL;
    assert_int_equal(op(GNTTABOP_cache_flush, &c, 1), -EOPNOTSUPP);
    c.op = GNTTAB_CACHE_SOURCE_GREF;
    assert_int_equal(op(GNTTABOP_cache_flush, &c, 1), -EOPNOTSUPP);
    c.op = 1u << 7;
    assert_int_equal(op(GNTTABOP_cache_flush, &c, 1), -EINVAL);
    c.op = GNTTAB_CACHE_CLEAN;
    c.a.dev_bus_addr = page.n << PAGE_SHIFT;
    assert_int_equal(op(GNTTABOP_cache_flush, &c, 1), -EPERM);
    assert_int_equal(frame_refs(own), 1);
}

static void swap(void **state)
{
    struct gnttab_swap_grant_ref s = {.ref_a = 8, .ref_b = 9};
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    run_on(a->vcpu[0]);
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_eagain);
    run_on(ctl->vcpu[0]);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    run_on(a->vcpu[0]);
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_okay);
    assert_true(table[8].flags == 0 && table[9].frame == page.n);
    s.ref_a = 512;
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_bad_gntref);
    s.ref_a = s.ref_b;
    op(GNTTABOP_swap_grant_ref, &s, 1);
    assert_int_equal(s.status, GNTST_okay);
}

/* ---- map and unmap ---- */

static void map_writable(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map, VA(1));
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(m.dev_bus_addr, page.n << PAGE_SHIFT);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(frame_refs(page), 2);
    assert_int_equal(frame_type_refs(page), 1);
    assert_int_equal(fake_pte_at(VA(1)).n & ~PTE_AVAIL, (page.n << 12) | PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D);
    assert_int_equal(unmap(m.handle, VA(2), 0), GNTST_general_error);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_int_equal(machine.flushes, 1);
    assert_int_equal(fake_pte_at(VA(1)).n, 0);
    assert_quiet(page, 8);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_bad_handle);
}

static void map_readonly(void **state)
{
    struct gnttab_map_grant_ref r, w;

    grant(8, 0, page, 0);
    r = map(1, 8, GNTMAP_host_map | GNTMAP_readonly, VA(1));
    assert_int_equal(in_use(8), GTF_reading);
    assert_int_equal(frame_type_refs(page), 0);
    assert_false(fake_pte_at(VA(1)).n & PTE_RW);
    w = map(1, 8, GNTMAP_host_map, VA(2));
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(frame_refs(page), 3);
    assert_int_equal(unmap(w.handle, VA(1), 0), GNTST_general_error); /* the other writability */
    assert_int_equal(unmap(w.handle, VA(2), 0), GNTST_okay);
    assert_int_equal(in_use(8), GTF_reading);
    /* The entry is the granter's to make read-only now. */
    grant(8, 0, page, GTF_readonly | GTF_reading);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(2)), GNTST_general_error);
    assert_int_equal(unmap(r.handle, VA(1), 0), GNTST_okay);
    assert_quiet(page, 8);
}

static void map_host_and_device(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map | GNTMAP_device_map, VA(1));
    assert_int_equal(frame_refs(page), 3);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr + 4096), GNTST_general_error);
    assert_int_equal(unmap(m.handle, 0, 0), GNTST_okay); /* nothing named, nothing done */
    assert_int_equal(frame_refs(page), 3);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_int_equal(frame_refs(page), 2);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_quiet(page, 8);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_bad_handle);
    assert_int_equal(unmap(12345678, VA(1), 0), GNTST_bad_handle);
}

/* As the stock xenstored does through gntdev: the address of an entry, and a software bit for the kernel. */
static void map_by_entry(void **state)
{
    uint64_t entry = 0x1234568;
    struct gnttab_map_grant_ref m;

    grant(GNTTAB_RESERVED_XENSTORE, 0, page, 0);
    m = map(1, GNTTAB_RESERVED_XENSTORE,
            GNTMAP_host_map | GNTMAP_application_map | GNTMAP_contains_pte | (1u << _GNTMAP_guest_avail0), entry);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(fake_pte_at(entry).n & PTE_AVAIL, 1u << 9);
    assert_int_equal(unmap(m.handle, entry, 0), GNTST_okay);
    assert_quiet(page, GNTTAB_RESERVED_XENSTORE);
}

static void map_errors(void **state)
{
    mfn_t foreign = guest_frame(b), typed = guest_frame(a);

    grant(8, 0, page, 0);
    assert_int_equal(map_status(1, 8, 0, VA(1)), GNTST_bad_gntref);
    assert_int_equal(map_status(9, 8, GNTMAP_host_map, VA(1)), GNTST_bad_domain);
    assert_int_equal(map_status(DOMID_SELF, 8, GNTMAP_host_map, VA(1)), GNTST_bad_domain);
    assert_int_equal(map_status(1, 512, GNTMAP_host_map, VA(1)), GNTST_bad_gntref);
    assert_int_equal(map_status(1, ~0u, GNTMAP_host_map, VA(1)), GNTST_bad_gntref);
    assert_int_equal(map_status(1, 9, GNTMAP_host_map, VA(1)), GNTST_general_error); /* invalid entry */
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, 8), GNTST_general_error);     /* no such address */
    assert_quiet(page, 8);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map | GNTMAP_device_map, 8), GNTST_general_error);
    assert_quiet(page, 8);
    grant(8, 2, page, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error); /* for another */
    grant(8, 0, page, GTF_readonly);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant(8, 0, page, GTF_sub_page);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    grant(8, 0, foreign, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    grant(8, 0, _mfn(5), 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    grant(8, 0, _mfn(0xffffffff), 0);
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_bad_page);
    assert_int_equal(in_use(8), 0);
    table[8].flags = GTF_accept_transfer;
    assert_int_equal(map_status(1, 8, GNTMAP_host_map, VA(1)), GNTST_general_error);
    assert_int_equal(get_page_and_type(mfn_to_page(typed), a, PT_SEGDESC), 0);
    grant(8, 0, typed, 0);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_general_error);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map | GNTMAP_readonly, 0), GNTST_okay);
    put_page_and_type(mfn_to_page(typed));
    machine.fail_alloc = 1;
    run_on(b->vcpu[0]);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_no_space);
}

static void one_user_at_a_time(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    grant(8, 2, page, GTF_reading | GTF_writing); /* the granter changes its mind while in use */
    run_on(b->vcpu[0]);
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_general_error);
    run_on(ctl->vcpu[0]);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    run_on(b->vcpu[0]);
    m = map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_quiet(page, 8);
}

/* The pinned frame is the one of the first use, whatever the entry says later. */
static void frame_changes_under_use(void **state)
{
    mfn_t other = guest_frame(a);
    struct gnttab_map_grant_ref m, n;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_device_map, 0);
    table[8].frame = (uint32_t)other.n;
    n = map(1, 8, GNTMAP_host_map, VA(1));
    assert_int_equal(n.dev_bus_addr, page.n << PAGE_SHIFT);
    assert_int_equal(frame_refs(other), 1);
    table[8].flags = 0;
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    assert_int_equal(unmap(n.handle, VA(1), 0), GNTST_okay);
    assert_quiet(page, 8);
}

static void unmap_and_replace(void **state)
{
    struct gnttab_unmap_and_replace u = {.host_addr = VA(1), .new_addr = VA(2)};
    mfn_t own = guest_frame(ctl);

    grant(8, 0, page, 0);
    u.handle = map(1, 8, GNTMAP_host_map, VA(1)).handle;
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_general_error); /* nothing at new_addr */
    get_page_and_type(mfn_to_page(own), ctl, PT_WRITABLE);
    pv_grant_map_pte(ctl, VA(2), false, pte_make(own, PTE_P | PTE_RW));
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_okay);
    assert_int_equal(pte_mfn(fake_pte_at(VA(1))).n, own.n);
    assert_int_equal(fake_pte_at(VA(2)).n, 0);
    assert_quiet(page, 8);
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_bad_handle);
    u.host_addr = 0x8888;
    u.handle = map(1, 8, GNTMAP_host_map | GNTMAP_contains_pte, 0x8888).handle;
    u.new_addr = VA(1);
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_general_error);
    u.new_addr = 0;
    assert_int_equal(op(GNTTABOP_unmap_and_replace, &u, 1), 0);
    assert_int_equal(u.status, GNTST_okay);
    assert_quiet(page, 8);
}

static void batches(void **state)
{
    struct gnttab_map_grant_ref m[100];
    struct gnttab_unmap_grant_ref u[101];

    for (unsigned int i = 0; i < 100; i++) {
        grant(8 + i, 0, page, 0);
        m[i] = (struct gnttab_map_grant_ref){.host_addr = VA(i), .flags = GNTMAP_host_map, .ref = 8 + i, .dom = 1};
    }
    machine.preempt_every = 7;
    assert_int_equal(op(GNTTABOP_map_grant_ref, m, 100), 0);
    assert_true(machine.restarts >= 13);
    for (unsigned int i = 0; i < 100; i++) {
        assert_int_equal(m[i].status, GNTST_okay);
        u[i] = (struct gnttab_unmap_grant_ref){.host_addr = VA(i), .handle = m[i].handle, .status = 77};
    }
    assert_int_equal(frame_refs(page), 101);
    u[100] = u[99]; /* the same handle twice in one flush */
    machine.preempt_every = 1;
    machine.flushes = 0;
    assert_int_equal(op(GNTTABOP_unmap_grant_ref, u, 101), 0);
    assert_int_equal(machine.restarts, 3);
    assert_int_equal(machine.flushes, 4);
    for (unsigned int i = 0; i < 100; i++)
        assert_int_equal(u[i].status, GNTST_okay);
    assert_int_equal(u[100].status, GNTST_bad_handle);
    assert_quiet(page, 8);
}

static void exhausted_maptrack(void **state)
{
    struct gnttab_map_grant_ref m[256];

    grant(8, 2, page, 0);
    run_on(b->vcpu[0]);
    for (unsigned int i = 0; i < 256; i++) {
        m[i] = map(1, 8, GNTMAP_device_map, 0);
        assert_int_equal(m[i].status, GNTST_okay);
    }
    assert_int_equal(map_status(1, 8, GNTMAP_device_map, 0), GNTST_no_space);
    assert_int_equal(unmap(m[100].handle, 0, m[0].dev_bus_addr), GNTST_okay);
    m[100] = map(1, 8, GNTMAP_device_map, 0);
    assert_int_equal(m[100].status, GNTST_okay);
    for (unsigned int i = 0; i < 256; i++)
        assert_int_equal(unmap(m[i].handle, 0, m[i].dev_bus_addr), GNTST_okay);
    assert_quiet(page, 8);
}

/* ---- copy ---- */

static struct gnttab_copy copy_op(void)
{
    return (struct gnttab_copy){.len = 16, .source.domid = DOMID_SELF, .dest.domid = DOMID_SELF};
}

static int copy(struct gnttab_copy *c)
{
    assert_int_equal(op(GNTTABOP_copy, c, 1), 0);
    return c->status;
}

static void copies(void **state)
{
    mfn_t own = guest_frame(ctl), own2 = guest_frame(ctl);
    struct gnttab_copy c = copy_op();

    strcpy(mfn_to_virt(page), "from the guest");
    grant(8, 0, page, GTF_readonly);
    c.flags = GNTCOPY_source_gref;
    c.source.domid = 1;
    c.source.u.ref = 8;
    c.dest.u.gmfn = own.n;
    c.dest.offset = 100;
    assert_int_equal(copy(&c), GNTST_okay);
    assert_string_equal((char *)mfn_to_virt(own) + 100, "from the guest");
    assert_quiet(page, 8);
    assert_quiet(own, 8);

    c = copy_op(); /* and back: refused, the grant is read-only */
    c.flags = GNTCOPY_dest_gref;
    c.source.u.gmfn = own.n;
    c.dest.domid = 1;
    c.dest.u.ref = 8;
    assert_int_equal(copy(&c), GNTST_general_error);
    grant(8, 0, page, 0);
    strcpy(mfn_to_virt(own), "to the guest");
    assert_int_equal(copy(&c), GNTST_okay);
    assert_string_equal(mfn_to_virt(page), "to the guest");
    assert_quiet(page, 8);

    c = copy_op(); /* within the caller, overlapping */
    c.source.u.gmfn = c.dest.u.gmfn = own.n;
    c.dest.offset = 3;
    assert_int_equal(copy(&c), GNTST_okay);
    assert_string_equal((char *)mfn_to_virt(own) + 3, "to the guest");
    c.dest.u.gmfn = own2.n;
    c.len = 4096;
    c.dest.offset = 0;
    assert_int_equal(copy(&c), GNTST_okay);
    assert_memory_equal(mfn_to_virt(own), mfn_to_virt(own2), 4096);
    assert_quiet(own2, 8);
}

static void copy_errors(void **state)
{
    mfn_t own = guest_frame(ctl), typed = guest_frame(ctl);
    struct gnttab_copy c = copy_op();

    grant(8, 0, page, 0);
    c.source.u.gmfn = own.n;
    c.dest.u.gmfn = page.n;
    assert_int_equal(copy(&c), GNTST_bad_page); /* not the caller's */
    c.dest.u.gmfn = own.n | (1ull << 40);
    assert_int_equal(copy(&c), GNTST_bad_page);
    c.dest.domid = 1;
    assert_int_equal(copy(&c), GNTST_permission_denied);
    c.flags = GNTCOPY_dest_gref;
    c.dest.u.ref = 8;
    c.dest.domid = 9;
    assert_int_equal(copy(&c), GNTST_bad_domain);
    c.dest.domid = 1;
    c.dest.u.ref = 5000;
    assert_int_equal(copy(&c), GNTST_bad_gntref);
    c.dest.u.ref = 8;
    c.dest.offset = 4081;
    assert_int_equal(copy(&c), GNTST_bad_copy_arg);
    c.dest.offset = 4080;
    assert_int_equal(copy(&c), GNTST_okay);
    c.source.offset = 4095;
    assert_int_equal(copy(&c), GNTST_bad_copy_arg);
    grant(9, 0, own, 0); /* a frame that the granter does not own: the claim is taken back */
    c = copy_op();
    c.source.u.gmfn = own.n;
    c.flags = GNTCOPY_dest_gref;
    c.dest.domid = 1;
    c.dest.u.ref = 9;
    assert_int_equal(copy(&c), GNTST_bad_page);
    assert_int_equal(in_use(9), 0);
    c = copy_op();
    c.source.u.gmfn = own.n;
    c.dest.u.gmfn = typed.n;
    assert_int_equal(get_page_and_type(mfn_to_page(typed), ctl, PT_SEGDESC), 0);
    assert_int_equal(copy(&c), GNTST_general_error);
    put_page_and_type(mfn_to_page(typed));
    assert_quiet(page, 8);
    assert_quiet(own, 8);
    assert_quiet(typed, 8);
}

static void copy_restarts(void **state)
{
    struct gnttab_copy c[70];
    mfn_t own = guest_frame(ctl);

    for (unsigned int i = 0; i < 70; i++) {
        c[i] = copy_op();
        c[i].source.u.gmfn = c[i].dest.u.gmfn = own.n;
        c[i].status = 99;
    }
    machine.preempt_every = 2;
    assert_int_equal(op(GNTTABOP_copy, c, 70), 0);
    assert_true(machine.restarts >= 30);
    for (unsigned int i = 0; i < 70; i++)
        assert_int_equal(c[i].status, GNTST_okay);
}

/* ---- a granter that races ---- */

static volatile bool stop_racing;

static void *racer(void *arg)
{
    uint32_t n = 0;

    while (!stop_racing) {
        uint16_t flags = (uint16_t)(n % 3 ? GTF_permit_access : n % 2 ? GTF_permit_access | GTF_readonly : 0);

        __atomic_store_n(&table[8].frame, n % 5 ? (uint32_t)page.n : n, __ATOMIC_SEQ_CST);
        __atomic_store_n(&table[8].domid, (domid_t)(n % 7 == 0), __ATOMIC_SEQ_CST);
        __atomic_store_n(&table[8].flags, flags, __ATOMIC_SEQ_CST);
        n++;
    }
    return NULL;
}

static void racing_granter(void **state)
{
    unsigned int okay = 0;
    pthread_t thread;

    grant(8, 0, page, 0);
    stop_racing = false;
    assert_int_equal(pthread_create(&thread, NULL, racer, NULL), 0);
    for (unsigned int i = 0; i < 50000; i++) {
        struct gnttab_map_grant_ref m = map(1, 8, GNTMAP_host_map | (i % 2 ? GNTMAP_readonly : 0), VA(1));

        if (m.status == GNTST_okay) {
            okay++;
            assert_int_equal(m.dev_bus_addr, page.n << PAGE_SHIFT);
            assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
        } else {
            assert_true(m.status == GNTST_general_error || m.status == GNTST_bad_page);
        }
        assert_int_equal(frame_refs(page), 1);
        assert_int_equal(frame_type_refs(page), 0);
    }
    stop_racing = true;
    pthread_join(thread, NULL);
    print_message("racing granter: %u of 50000 maps succeeded\n", okay);
}

/* ---- teardown ---- */

static void mapper_dies(void **state)
{
    grant(8, 2, page, 0);
    run_on(b->vcpu[0]);
    for (unsigned int i = 0; i < 200; i++)
        assert_int_equal(map_status(1, 8, i % 2 ? GNTMAP_device_map : GNTMAP_host_map, VA(i)), GNTST_okay);
    assert_int_equal(frame_refs(page), 201);
    finish_domain(b);
    assert_int_equal(in_use(8), 0);
    assert_int_equal(frame_refs(page), 101); /* those of the page tables, which go with them */
    fake_ptes_drop();
    assert_quiet(page, 8);
    assert_int_equal(a->refcount, 3); /* its own, its frame's, its shared pages' */
}

static void granter_dies(void **state)
{
    struct gnttab_map_grant_ref m, n;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map, VA(1));
    n = map(1, 8, GNTMAP_device_map, 0);
    finish_domain(a);
    give_up_frame(a, page);
    assert_int_equal(frame_refs(page), 2); /* the mappings keep it */
    assert_ptr_equal(mfn_to_page(page)->owner, a);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_okay);
    assert_int_equal(unmap(n.handle, 0, n.dev_bus_addr), GNTST_okay);
    assert_null(mfn_to_page(page)->owner);
}

/* The mapper overwrites the entry behind the back of the grant code: the handle is stuck, nothing else. */
static void entry_overwritten(void **state)
{
    struct gnttab_map_grant_ref m;

    grant(8, 0, page, 0);
    m = map(1, 8, GNTMAP_host_map, VA(1));
    fake_ptes_drop();
    assert_int_equal(frame_refs(page), 1);
    assert_int_equal(unmap(m.handle, VA(1), 0), GNTST_general_error);
    assert_int_equal(in_use(8), GTF_reading | GTF_writing);
    finish_domain(ctl);
    assert_quiet(page, 8);
}

/* ---- random operations ---- */

#define SLOTS 200
static struct {
    bool used;
    uint32_t flags, handle;
    unsigned int ref;
} slot[SLOTS];

static void random_map(unsigned int i)
{
    static const uint32_t kinds[] = {GNTMAP_host_map, GNTMAP_device_map, GNTMAP_host_map | GNTMAP_device_map};
    uint32_t flags = kinds[random_below(3)] | (random_below(2) ? GNTMAP_readonly : 0);
    unsigned int ref = 8 + random_below(12);
    struct gnttab_map_grant_ref m = map(1, ref, flags, VA(i));
    bool ok =
        (table[ref].flags & GTF_permit_access) && (!(table[ref].flags & GTF_readonly) || (flags & GNTMAP_readonly));

    assert_int_equal(m.status, ok ? GNTST_okay : GNTST_general_error);
    if (!ok)
        return;
    slot[i].used = true;
    slot[i].flags = flags;
    slot[i].handle = m.handle;
    slot[i].ref = ref;
}

static void random_unmap(unsigned int i, mfn_t *frame)
{
    uint64_t host = random_below(2) ? VA(i) : 0, dev = random_below(2) ? frame[slot[i].ref - 8].n << PAGE_SHIFT : 0;

    assert_int_equal(unmap(slot[i].handle, host, dev), GNTST_okay);
    if (host)
        slot[i].flags &= ~(uint32_t)GNTMAP_host_map;
    if (dev)
        slot[i].flags &= ~(uint32_t)GNTMAP_device_map;
    slot[i].used = slot[i].flags & (GNTMAP_host_map | GNTMAP_device_map);
}

static void check_counts(mfn_t *frame)
{
    for (unsigned int r = 0; r < 12; r++) {
        unsigned int refs = 1, types = 0;

        for (unsigned int i = 0; i < SLOTS; i++)
            if (slot[i].used && slot[i].ref == 8 + r) {
                unsigned int n = !!(slot[i].flags & GNTMAP_host_map) + !!(slot[i].flags & GNTMAP_device_map);

                refs += n;
                types += slot[i].flags & GNTMAP_readonly ? 0 : n;
            }
        assert_int_equal(frame_refs(frame[r]), refs);
        assert_int_equal(frame_type_refs(frame[r]), types);
        assert_int_equal(in_use(8 + r), (refs > 1 ? GTF_reading : 0) | (types ? GTF_writing : 0));
    }
}

static void random_operations(void **state)
{
    mfn_t frame[12];

    seed_init("random_operations");
    memset(slot, 0, sizeof(slot));
    for (unsigned int r = 0; r < 12; r++) {
        frame[r] = guest_frame(a);
        grant(8 + r, 0, frame[r], r % 3 == 0 ? GTF_readonly : 0);
    }
    table[19].flags = 0;
    for (unsigned int n = random_ops(100000); n-- > 0;) {
        unsigned int i = random_below(SLOTS);

        if (slot[i].used)
            random_unmap(i, frame);
        else
            random_map(i);
        if (n % 128 == 0)
            check_counts(frame);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bad_calls),
        T(setup_table),
        T(large_table),
        T(versions),
        T(transfer_and_flush),
        T(swap),
        T(map_writable),
        T(map_readonly),
        T(map_host_and_device),
        T(map_by_entry),
        T(map_errors),
        T(one_user_at_a_time),
        T(frame_changes_under_use),
        T(unmap_and_replace),
        T(batches),
        T(exhausted_maptrack),
        T(copies),
        T(copy_errors),
        T(copy_restarts),
        T(racing_granter),
        T(mapper_dies),
        T(granter_dies),
        T(entry_overwritten),
        T(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
