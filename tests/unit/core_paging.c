// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls about translated domains. This machine has no hardware virtualisation, so createdomain refuses them and the
 * tests make them from inside; the rest is as elsewhere: hypercalls, teardown, no stretch beyond the bound (core_end).
 */
#include <hv/paging_pool.h>
#include <umbra/umbra_op.h>
#include "fake/core.h"

static struct domain *d;
static struct xen_domctl *op;

static int create(domid_t id, struct domain **out)
{
    struct xen_domctl_createdomain config = core_config(1);

    config.flags = XEN_DOMCTL_CDF_hvm;
    return domain_create(id, &config, false, out);
}

/* A translated domain of at most max pages, and a control domain that acts on it. */
static void translated(unsigned long max)
{
    assert_int_equal(create(3, &d), 0);
    assert_true(paging_mode_translate(d));
    d->max_pages = max;
    op = guest_new(struct xen_domctl);
    core_as(control_domain->vcpu[0]);
}

static long domctl(domid_t id, unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    return CALL(domctl, op, 0, 0);
}

static long shadow_op(domid_t id, unsigned int cmd, uint32_t mb)
{
    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = cmd, .mb = mb};
    return domctl(id, XEN_DOMCTL_shadow_op);
}

static void test_allocation(void **state)
{
    translated(1000);
    assert_int_equal(shadow_op(3, XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 77), 0);
    assert_int_equal(op->u.shadow_op.mb, 1); /* rounded up */
    core.preempt = 1;
    assert_int_equal(shadow_op(3, XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, 3), 0);
    assert_int_equal(core.restarts, (3 * 256 - PAGING_POOL_INITIAL) / 64 - 1);
    assert_int_equal(d->paging_pool->size, 3 * 256);
    assert_int_equal(shadow_op(3, XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 0), 0);
    assert_int_equal(op->u.shadow_op.mb, 3);
    assert_int_equal(shadow_op(3, XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, 1), 0);
    assert_int_equal(d->paging_pool->size, 256);
    assert_int_equal(shadow_op(3, XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, ~0u), -ENOMEM);
    assert_int_equal(d->paging_pool->size, 256);
    assert_int_equal(shadow_op(3, ~0u, 0), -EINVAL);
    assert_int_equal(shadow_op(0, XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 0), -EINVAL); /* a PV domain */
    assert_int_equal(shadow_op(99, XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 0), -ESRCH);
}

static void test_mempool(void **state)
{
    translated(1000);
    assert_int_equal(domctl(3, XEN_DOMCTL_get_paging_mempool_size), 0);
    assert_int_equal(op->u.paging_mempool.size, PAGING_POOL_INITIAL * PAGE_SIZE);
    op->u.paging_mempool.size = 300 * PAGE_SIZE;
    assert_int_equal(domctl(3, XEN_DOMCTL_set_paging_mempool_size), 0);
    assert_int_equal(d->paging_pool->size, 300);
    op->u.paging_mempool.size = 300 * PAGE_SIZE + 1;
    assert_int_equal(domctl(3, XEN_DOMCTL_set_paging_mempool_size), -EINVAL);
    op->u.paging_mempool.size = PAGE_MASK;
    assert_int_equal(domctl(3, XEN_DOMCTL_set_paging_mempool_size), -ENOMEM);
    op->u.paging_mempool.size = 0;
    assert_int_equal(domctl(3, XEN_DOMCTL_set_paging_mempool_size), -EBUSY); /* the P2M's root is in it */
    assert_int_equal(d->paging_pool->size, 300);
    assert_int_equal(domctl(0, XEN_DOMCTL_get_paging_mempool_size), -EOPNOTSUPP);
    assert_int_equal(domctl(0, XEN_DOMCTL_set_paging_mempool_size), -EOPNOTSUPP);
}

static void test_pool_is_told(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);

    translated(1000);
    *u = (struct umbra_op){.cmd = UMBRA_OP_pool, .interface_version = UMBRA_OP_INTERFACE_VERSION, .domain = 3};
    assert_int_equal(CALL(umbra_op, u, 0, 0), 0);
    assert_int_equal(u->u.pool.size, PAGING_POOL_INITIAL);
    assert_int_equal(u->u.pool.p2m, d->paging_pool->used[PAGING_P2M]);
    assert_int_equal(u->u.pool.shadow, 0);
    u->domain = 0;
    assert_int_equal(CALL(umbra_op, u, 0, 0), -EOPNOTSUPP);
}

static void test_dying(void **state)
{
    translated(1000);
    core_kill(d);
    op->u.shadow_op.mb = 1;
    assert_int_equal(shadow_op(3, XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, 1), -ESRCH);
}

/* Each allocation of the creation fails once; core_end counts what is left. */
static void test_no_memory(void **state)
{
    uint64_t free = heap_free_pages();
    int rc = -ENOMEM;

    for (unsigned int n = 1; rc; n++) {
        assert_true(n < 200);
        core.fail_alloc = n;
        rc = create(3, &d);
        if (rc) {
            assert_int_equal(rc, -ENOMEM);
            core_settle();
            core_pass(MILLISECS(10));
            assert_int_equal(heap_free_pages(), free);
        }
    }
    core.fail_alloc = 0;
    assert_int_equal(create(3, &d), -EEXIST);
    core_settle();
}

static void test_pool_growth_fails(void **state)
{
    translated(1000);
    for (unsigned int n = 1; n < 130; n += 43) {
        core.fail_alloc = n;
        op->u.paging_mempool.size = (d->paging_pool->size + 500) * PAGE_SIZE;
        assert_int_equal(domctl(3, XEN_DOMCTL_set_paging_mempool_size), -ENOMEM);
        assert_int_equal(d->paging_pool->size, d->paging_pool->free + d->paging_pool->used[PAGING_P2M]);
    }
}

/* The door is still closed. */
static void test_not_by_hypercall(void **state)
{
    op = guest_new(struct xen_domctl);
    op->u.createdomain = core_config(1);
    op->u.createdomain.flags = XEN_DOMCTL_CDF_hvm;
    assert_int_equal(domctl(5, XEN_DOMCTL_createdomain), -EOPNOTSUPP);
    op->u.createdomain.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
    assert_int_equal(domctl(5, XEN_DOMCTL_createdomain), -EOPNOTSUPP);
}

int core_paging_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_allocation),       CORE_TEST(test_mempool),
        CORE_TEST(test_pool_is_told),     CORE_TEST(test_dying),
        CORE_TEST(test_no_memory),        CORE_TEST(test_pool_growth_fails),
        CORE_TEST(test_not_by_hypercall),
    };

    return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}
