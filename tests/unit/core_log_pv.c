// SPDX-License-Identifier: BSD-2-Clause
/* The log of stores of a PV domain: all but its own stores, which are in pv_log.c. */
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include "../../hypervisor/mm/shadow/internal.h"
#include "core_log.h"

static const unsigned int pv_vcpus = 3; /* each on a CPU, and the control domain's on one */

static long pv_op(uint32_t command)
{
    return log_op(d->id, command, 0, TOTAL, bitmap);
}

static long pv_pool(uint32_t mb)
{
    op->cmd = XEN_DOMCTL_shadow_op;
    op->domain = d->id;
    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, .mb = mb};
    return CALL(domctl, op, 0, 0);
}

/* Frames whose numbers are 0 to PAGES - 1 to the guest. */
static mfn_t pv_frame[PAGES];

static void pv_begin(void)
{
    struct page_info *pg;
    unsigned int i = 0;

    d = core_guest(pv_vcpus, PAGES);
    list_for_each (pg, &d->page_list, list) {
        pv_frame[i] = page_to_mfn(pg);
        set_gpfn_from_mfn(pv_frame[i], i);
        i++;
    }
    core_as(control_domain->vcpu[0]);
    op = guest_new(struct xen_domctl);
    bitmap = guest_alloc(BYTES);
}

/* What another number for a frame is counted as: its bits may want memory. */
static uint32_t units_of_number(uint64_t gfn)
{
    uint32_t before = stretch_request();

    logdirty_set_gpfn(d, pv_frame[9], gfn);
    return stretch_request() - before;
}

static unsigned int pv_clean(void)
{
    memset(bitmap, 0x5a, BYTES);
    assert_int_equal(pv_op(XEN_DOMCTL_SHADOW_OP_CLEAN), 0);
    assert_int_equal(op->u.shadow_op.pages, TOTAL);
    return how_many();
}

/* Of numbers far apart, as many as a call may name, a stretch makes as much as there is room for. */
static void test_pv_spread(void **state)
{
    uint32_t begun, end;

    (void)state;
    pv_begin();
    assert_int_equal(OFF(), 0);
    assert_int_equal(pv_pool(2), 0);
    assert_int_equal(ENABLE(), 0);
    assert_int_equal(pv_clean(), 0);
    stretch_point();
    begun = stretch_request();
    for (uint64_t i = 1; !d->logdirty.all; i++)
        logdirty_set_gpfn(d, pv_frame[11], i * LOGDIRTY_PER_NODE);
    end = stretch_request();
    assert_in_range(end - begun, STRETCH_BOUND - LOGDIRTY_COVER_WORK, STRETCH_BOUND);
    assert_true(d->paging_pool->free > 100);
    for (uint64_t i = 1; i < 512; i++)
        logdirty_set_gpfn(d, pv_frame[11], i * LOGDIRTY_PER_NODE);
    assert_in_range(stretch_request() - end, 511, 512);
    assert_int_equal(d->logdirty.limit, 511 * LOGDIRTY_PER_NODE + 1);
    assert_int_equal(pv_clean(), TOTAL);
    stretch_point();
    assert_in_range(units_of_number(511 * LOGDIRTY_PER_NODE), 1 + STRETCH_FRAME, 1 + LOGDIRTY_COVER_WORK);
    assert_int_equal(OFF(), 0);
    core_kill(d);
}

static void test_pv(void **state)
{
    struct page_info *pg;

    pv_begin();
    assert_int_equal(pv_op(XEN_DOMCTL_SHADOW_OP_CLEAN), -EINVAL);
    assert_int_equal(pv_op(XEN_DOMCTL_SHADOW_OP_PEEK), -EINVAL);
    assert_int_equal(OFF(), 0);
    assert_int_equal(pv_op(XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION), 0);
    assert_int_equal(op->u.shadow_op.mb, 0);
    core.preempt = 1;
    assert_int_equal(ENABLE(), 0);
    assert_true(core.restarts > 0);
    core.preempt = 0;
    assert_false(paging_mode_translate(d));
    assert_int_equal(ENABLE(), -EINVAL);
    for (unsigned int i = 0; i < pv_vcpus; i++) {
        assert_true(pv_on_shadows(&d->vcpu[i]->pv));
        assert_int_equal(d->vcpu[i]->pause_count, 0);
        for (unsigned int mode = 0; mode < 2; mode++)
            assert_true(d->vcpu[i]->pv.root[mode].cr3 && d->vcpu[i]->pv.root[mode].page->roots == 1);
    }
    assert_int_equal(d->pause_count, 0);
    assert_int_equal(pv_clean(), 0);
    /* Who takes a frame, who gives it back, who keeps it; numbers that change. */
    pg = mfn_to_page(pv_frame[5]);
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    assert_int_equal(pv_clean(), 1);
    put_page_and_type(pg);
    assert_int_equal(pv_clean(), 1);
    assert_true(says(5));
    assert_int_equal(pv_clean(), 0);
    assert_int_equal(get_own_writable(pg), 0); /* an entry of its own would say so itself */
    put_own_writable(pg);
    assert_int_equal(pv_clean(), 0);
    pg = get_writable_page(d, _gfn(pv_frame[7].n));
    for (unsigned int n = 0; n < 3; n++) {
        assert_int_equal(pv_clean(), 1);
        assert_true(says(7));
    }
    put_page_and_type(pg);
    assert_int_equal(pv_clean(), 1);
    assert_int_equal(pv_clean(), 0);
    assert_int_equal(units_of_number(10), 1);
    assert_int_equal(pv_clean(), 1);
    assert_true(says(10));
    assert_in_range(units_of_number(7 * LOGDIRTY_PER_NODE * PT_ENTRIES), 1 + STRETCH_FRAME, 1 + 3 * STRETCH_FRAME);
    assert_int_equal(units_of_number(7 * LOGDIRTY_PER_NODE * PT_ENTRIES + 1), 1);
    /* A number far away costs memory for its bits; more of them than there is make everything dirty, once. */
    for (uint64_t i = 0; !d->logdirty.all; i++) {
        stretch_point();
        logdirty_set_gpfn(d, pv_frame[11], i * LOGDIRTY_PER_NODE * PT_ENTRIES % P2M_GFNS + i * LOGDIRTY_PER_NODE);
    }
    assert_int_equal(pv_clean(), TOTAL);
    assert_int_equal(pv_pool(0), -EBUSY);
    assert_int_equal(OFF(), 0);
    assert_null(d->shadow);
    assert_int_equal(d->paging_pool->size, 0);
    for (unsigned int i = 0; i < pv_vcpus; i++)
        assert_false(pv_on_shadows(&d->vcpu[i]->pv) || d->vcpu[i]->pv.root[0].page);
    assert_int_equal(pv_pool(1), 0);
    while (paging_pool_resize(d, shadow_pv_least(d) - 1) == -ERESTART)
        stretch_point();
    assert_int_equal(ENABLE(), -ENOMEM); /* somebody has said so */
    assert_int_equal(d->logdirty.state, LOGDIRTY_OFF);
    assert_int_equal(OFF(), 0);
    assert_in_range(d->paging_pool->size, 1, ~0ul); /* and it stays */
    assert_int_equal(pv_pool(0), 0);
    assert_int_equal(d->paging_pool->size, 0);
    assert_int_equal(ENABLE(), 0);
    core.preempt = 1;
    assert_int_equal(OFF(), 0);
    core.preempt = 0;
    assert_int_equal(d->paging_pool->size, 0);
    assert_int_equal(ENABLE(), 0);
    core_kill(d); /* with the log on */
}

/* A size that the pool did not get is nobody's choice. */
static void test_pv_pool_not_got(void **state)
{
    pv_begin();
    assert_int_equal(OFF(), 0);
    assert_int_equal(pv_pool(~0u >> 12), -ENOMEM);
    assert_false(d->pv.pool_chosen);
    assert_int_equal(ENABLE(), 0);
    assert_int_equal(OFF(), 0);
    assert_int_equal(pv_pool(4), 0);
    assert_true(d->pv.pool_chosen);
    assert_int_equal(pv_pool(~0u >> 12), -ENOMEM);
    assert_true(d->pv.pool_chosen);
    core_kill(d);
}

/* Frames that come while the log is on, with numbers side by side: the bits are there for all of them at once. */
static void test_pv_populate(void **state)
{
    struct xen_memory_reservation *res = guest_new(struct xen_memory_reservation);
    xen_pfn_t *first = guest_new(xen_pfn_t);

    pv_begin();
    assert_int_equal(ENABLE(), 0);
    d->max_pages = 2 * PAGES + 32;
    core_settle();
    core_as(d->vcpu[0]);
    *first = 0x40000;
    *res = (struct xen_memory_reservation){
        .extent_start.p = first, .nr_extents = 1, .extent_order = 5, .domid = DOMID_SELF};
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, res, 0), 1); /* core_end knows the bound */
    core_as(control_domain->vcpu[0]);
    core_kill(d);
}

/* Whatever cannot be had, nothing is left of it. */
static void test_pv_no_memory(void **state)
{
    pv_begin();
    for (unsigned int n = 1;; n++) {
        long rc;

        core.fail_alloc = n;
        rc = ENABLE();
        if (!rc)
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(core.fail_alloc, 0);
        assert_int_equal(d->logdirty.state, LOGDIRTY_OFF);
        assert_null(d->shadow);
        assert_false(pv_on_shadows(&d->vcpu[0]->pv) || d->vcpu[0]->pv.root[0].page || paging_mode_translate(d));
        assert_true(!d->paging_pool || d->paging_pool->free == d->paging_pool->size);
        assert_int_equal(pv_op(XEN_DOMCTL_SHADOW_OP_CLEAN), -EINVAL);
    }
    assert_true(core.fail_alloc > 0);
    core.fail_alloc = 0;
    core_kill(d);
}

int core_log_pv_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_pv),           CORE_TEST(test_pv_spread),   CORE_TEST(test_pv_pool_not_got),
        CORE_TEST(test_pv_no_memory), CORE_TEST(test_pv_populate),
    };

    return cmocka_run_group_tests_name("log of stores, PV", tests, NULL, NULL);
}
