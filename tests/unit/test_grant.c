/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grant tables through their hypercall: what asks about a table or changes it, and copies; every status, limits, and
 * reference counts back to zero. Mappings: test_grant_map.c.
 */
#include "grant_guests.h"

#include <hv/stretch.h>

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
    assert_int_equal(grant_domain_init(d, 0, 1, 2), -EINVAL);
    assert_int_equal(grant_domain_init(d, 257, 1, 2), -EINVAL);
    assert_int_equal(grant_domain_init(d, 1, 100000, 2), -EINVAL);
    assert_int_equal(grant_domain_init(d, 1, 1, 0), -EINVAL);
    assert_int_equal(grant_domain_init(d, 1, 1, 3), -EINVAL);
    assert_int_equal(grant_domain_init(d, 1, 1, 0x11), -EINVAL);
    machine.fail_alloc = 4;
    assert_int_equal(grant_domain_init(d, 1, 1, 2), -ENOMEM);
    machine_destroy(d);
}

static void versions(void **state)
{
    struct gnttab_set_version s = {.version = 1};
    struct gnttab_get_version g = {.dom = 1};
    struct gnttab_get_status_frames f = {.dom = DOMID_SELF, .nr_frames = 1};
    struct gnttab_dump_table dump = {.dom = 1};

    assert_int_equal(op(GNTTABOP_set_version, &s, 1), 0);
    s.version = 3;
    assert_int_equal(op(GNTTABOP_set_version, &s, 1), -EINVAL);
    assert_int_equal(s.version, 1);
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

/* ---- copy ---- */

static struct gnttab_copy copy_op(void)
{
    return (struct gnttab_copy){.len = 16, .source.domid = DOMID_SELF, .dest.domid = DOMID_SELF};
}

static int run_copy(struct gnttab_copy *c)
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
    assert_int_equal(run_copy(&c), GNTST_okay);
    assert_string_equal((char *)mfn_to_virt(own) + 100, "from the guest");
    assert_quiet(page, 8);
    assert_quiet(own, 8);

    c = copy_op(); /* and back: refused, the grant is read-only */
    c.flags = GNTCOPY_dest_gref;
    c.source.u.gmfn = own.n;
    c.dest.domid = 1;
    c.dest.u.ref = 8;
    assert_int_equal(run_copy(&c), GNTST_general_error);
    grant(8, 0, page, 0);
    strcpy(mfn_to_virt(own), "to the guest");
    assert_int_equal(run_copy(&c), GNTST_okay);
    assert_string_equal(mfn_to_virt(page), "to the guest");
    assert_quiet(page, 8);

    c = copy_op(); /* within the caller, overlapping */
    c.source.u.gmfn = c.dest.u.gmfn = own.n;
    c.dest.offset = 3;
    assert_int_equal(run_copy(&c), GNTST_okay);
    assert_string_equal((char *)mfn_to_virt(own) + 3, "to the guest");
    c.dest.u.gmfn = own2.n;
    c.len = 4096;
    c.dest.offset = 0;
    assert_int_equal(run_copy(&c), GNTST_okay);
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
    assert_int_equal(run_copy(&c), GNTST_bad_page); /* not the caller's */
    c.dest.u.gmfn = own.n | (1ull << 40);
    assert_int_equal(run_copy(&c), GNTST_bad_page);
    c.dest.domid = 1;
    assert_int_equal(run_copy(&c), GNTST_permission_denied);
    c.flags = GNTCOPY_dest_gref;
    c.dest.u.ref = 8;
    c.dest.domid = 9;
    assert_int_equal(run_copy(&c), GNTST_bad_domain);
    c.dest.domid = 1;
    c.dest.u.ref = 5000;
    assert_int_equal(run_copy(&c), GNTST_bad_gntref);
    c.dest.u.ref = 8;
    c.dest.offset = 4081;
    assert_int_equal(run_copy(&c), GNTST_bad_copy_arg);
    c.dest.offset = 4080;
    assert_int_equal(run_copy(&c), GNTST_okay);
    c.source.offset = 4095;
    assert_int_equal(run_copy(&c), GNTST_bad_copy_arg);
    grant(9, 0, own, 0); /* a frame that the granter does not own: the claim is taken back */
    c = copy_op();
    c.source.u.gmfn = own.n;
    c.flags = GNTCOPY_dest_gref;
    c.dest.domid = 1;
    c.dest.u.ref = 9;
    assert_int_equal(run_copy(&c), GNTST_bad_page);
    assert_int_equal(in_use(9), 0);
    c = copy_op();
    c.source.u.gmfn = own.n;
    c.dest.u.gmfn = typed.n;
    assert_int_equal(get_page_and_type(mfn_to_page(typed), ctl, PT_SEGDESC), 0);
    assert_int_equal(run_copy(&c), GNTST_general_error);
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

/* ---- work between two preemption points ---- */

/* The longest stretch of a call that nothing wants to preempt. */
static unsigned int longest(unsigned int cmd, const void *arg, unsigned int count)
{
    unsigned int next = 0, most = 0;
    struct stretch s;

    stretch_init();
    stretch_begin(__HYPERVISOR_grant_table_op, cmd);
    assert_int_equal(op(cmd, arg, count), 0);
    stretch_end();
    while (stretch_read(&next, true, &s))
        most = MAX(most, s.work);
    return most;
}

static void work_of_batches(void **state)
{
    struct gnttab_copy c[600];
    struct gnttab_unmap_grant_ref u[600];
    xen_pfn_t list[256];
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = ARRAY_SIZE(list), .frame_list.p = list};
    struct gnttab_set_version version = {.version = 2};
    struct domain *d = new_domain(3, false, ARRAY_SIZE(list), 0);
    mfn_t own = guest_frame(ctl);

    for (unsigned int i = 0; i < ARRAY_SIZE(c); i++) {
        c[i] = copy_op();
        c[i].source.u.gmfn = c[i].dest.u.gmfn = own.n;
        u[i] = (struct gnttab_unmap_grant_ref){.handle = 12345};
    }
    assert_int_equal(longest(GNTTABOP_copy, c, ARRAY_SIZE(c)), STRETCH_FRAME);
    for (unsigned int i = 0; i < ARRAY_SIZE(c); i++)
        c[i].source.u.gmfn = ~0ul;
    assert_int_equal(longest(GNTTABOP_copy, c, ARRAY_SIZE(c)), 1);
    assert_int_equal(c[599].status, GNTST_bad_page);
    assert_int_equal(longest(GNTTABOP_unmap_grant_ref, u, ARRAY_SIZE(u)), 32);
    run_on(d->vcpu[0]);
    assert_in_range(longest(GNTTABOP_setup_table, &setup, 1), ARRAY_SIZE(list), STRETCH_BOUND);
    assert_int_equal(setup.status, GNTST_okay);
    assert_in_range(longest(GNTTABOP_set_version, &version, 1), 256, STRETCH_BOUND);
    run_on(ctl->vcpu[0]);
    finish_domain(d);
    machine_destroy(d);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, grant_setup, grant_teardown)
    const struct CMUnitTest tests[] = {
        T(bad_calls), T(setup_table), T(large_table), T(versions),      T(transfer_and_flush),
        T(swap),      T(copies),      T(copy_errors), T(copy_restarts), T(work_of_batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
