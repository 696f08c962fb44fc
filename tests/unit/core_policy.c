// SPDX-License-Identifier: BSD-2-Clause
/* CPU policies: told and set, cut down to what the machine offers, hostile lists. The machine here is an invented one.
 */
#include "fake/core.h"

#include <hv/cpuid.h>
#include <hv/hvm.h>
#include <xen/sysctl.h>

#define NONE XEN_CPUID_NO_SUBLEAF

static const struct cpuid_policy machine = {
    .count = 7,
    .leaf =
        {
            {0, NONE, 0xd, 1, 2, 3},
            {1, NONE, 0x600f20, 0x1000, 0x00f00f00, 0x0f0f0f0f},
            {4, 0, 0x21, 5, 6, 7},
            {7, 0, 0, 0xff00, 0xf0, 0x10},
            {0xd, 0, 7, 576, 576, 0},
            {0x80000000, NONE, 0x80000008, 1, 2, 3},
            {0x80000001, NONE, 0, 0, 0x33, 0x20100800},
        },
};
static struct xen_sysctl *s;
static struct xen_domctl *op;
static xen_cpuid_leaf_t *leaves;
static xen_msr_entry_t *msrs;
static struct domain *d;

static void begin(void)
{
    pv_cpuid_policy = machine;
    s = guest_new(struct xen_sysctl);
    op = guest_new(struct xen_domctl);
    leaves = guest_alloc(256 * sizeof(*leaves));
    msrs = guest_alloc(4 * sizeof(*msrs));
    d = core_guest(1, 0);
    d->vcpu[0]->is_initialised = false; /* it is being built */
    core_as(control_domain->vcpu[0]);
}

static long sysctl(unsigned int cmd)
{
    s->cmd = cmd;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return CALL(sysctl, s, 0, 0);
}

static long ask(uint32_t index, uint32_t nr_leaves, uint32_t nr_msrs)
{
    s->u.cpu_policy = (struct xen_sysctl_cpu_policy){.index = index, .nr_leaves = nr_leaves, .nr_msrs = nr_msrs};
    s->u.cpu_policy.leaves.p = leaves;
    s->u.cpu_policy.msrs.p = msrs;
    return sysctl(XEN_SYSCTL_get_cpu_policy);
}

static long domctl(unsigned int cmd, uint32_t nr_leaves, uint32_t nr_msrs)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = d->id;
    op->u.cpu_policy = (struct xen_domctl_cpu_policy){.nr_leaves = nr_leaves, .nr_msrs = nr_msrs};
    op->u.cpu_policy.leaves.p = leaves;
    op->u.cpu_policy.msrs.p = msrs;
    return CALL(domctl, op, 0, 0);
}

static void test_told(void **state)
{
    begin();
    memset(&s->u, 0, sizeof(s->u)); /* how much room does it take? */
    s->u.cpu_policy.index = XEN_SYSCTL_cpu_policy_pv_default;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_policy), 0);
    assert_true(s->u.cpu_policy.nr_leaves >= machine.count && s->u.cpu_policy.nr_msrs == 2);
    assert_int_equal(ask(XEN_SYSCTL_cpu_policy_pv_max, 7, 2), 0);
    assert_int_equal(s->u.cpu_policy.nr_leaves, 7);
    assert_memory_equal(leaves, machine.leaf, 7 * sizeof(*leaves));
    assert_int_equal(msrs[0].idx, 0xce);
    assert_int_equal(ask(XEN_SYSCTL_cpu_policy_pv_max, 6, 2), -ENOBUFS);
    assert_int_equal(ask(XEN_SYSCTL_cpu_policy_pv_max, 7, 1), -ENOBUFS);
    assert_int_equal(ask(XEN_SYSCTL_cpu_policy_hvm_max, 7, 2), -EOPNOTSUPP);
    assert_int_equal(ask(6, 7, 2), -EINVAL);
    assert_int_equal(ask(~0u, 7, 2), -EINVAL);
    core.fail_alloc = 1;
    assert_int_equal(ask(0, 7, 2), -ENOMEM);
    leaves = FAULT;
    assert_int_equal(ask(XEN_SYSCTL_cpu_policy_pv_max, 7, 2), -EFAULT);
    s->u.cpu_policy._rsvd = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_policy), -EINVAL);
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_levelling_caps), 0);
    assert_int_equal(s->u.cpu_levelling_caps.caps, 0);
}

static void test_featureset(void **state)
{
    struct xen_sysctl_cpu_featureset *f;
    uint32_t *set = guest_alloc(32 * sizeof(*set)), r[4];

    begin();
    f = &s->u.cpu_featureset;
    memset(&s->u, 0, sizeof(s->u));
    f->index = XEN_SYSCTL_cpu_featureset_pv;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), 0);
    assert_int_equal(f->nr_features, 19);
    f->features.p = set;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), 0);
    assert_int_equal(set[0], 0x0f0f0f0f); /* 1.edx */
    assert_int_equal(set[1], 0x00f00f00); /* 1.ecx */
    assert_int_equal(set[2], 0x20100800); /* 80000001.edx */
    assert_int_equal(set[5], 0xff00);     /* 7.ebx */
    assert_int_equal(set[9], 0x10);       /* 7.edx */
    assert_int_equal(set[7], 0);          /* there is no leaf 80000007 */
    f->nr_features = 2;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), -ENOBUFS);
    f->index = XEN_SYSCTL_cpu_featureset_hvm;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), -EOPNOTSUPP);
    f->index = ~0u;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), -EINVAL);
    f->index = XEN_SYSCTL_cpu_featureset_pv_max;
    f->features.p = FAULT;
    f->nr_features = 19;
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), -EFAULT);
    f->index = XEN_SYSCTL_cpu_featureset_raw;
    f->features.p = set;
    f->nr_features = 19;
    cpuid(0x80000007, 0, r);
    assert_int_equal(sysctl(XEN_SYSCTL_get_cpu_featureset), 0);
    assert_int_equal(set[7], r[3]);                /* which is in no policy */
    assert_int_equal(set[2] & 1u << 29, 1u << 29); /* this program runs in long mode */
}

/* Fewer features, another name; more features than there are are cut off, sizes stay. */
static void test_set(void **state)
{
    begin();
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 7, 2), 0);
    leaves[0] = (xen_cpuid_leaf_t){0, NONE, 7, 11, 12, 13};
    leaves[1].c = ~0u;
    leaves[1].d = 0x0f;
    leaves[1].b = 99;
    leaves[3].b = 0x1ff;
    leaves[4].b = 1;
    leaves[7] = (xen_cpuid_leaf_t){7, 1, ~0u, ~0u, ~0u, ~0u}; /* not offered */
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 8, 2), 0);
    memset(leaves, 0, 8 * sizeof(*leaves));
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 8, 2), 0);
    assert_int_equal(op->u.cpu_policy.nr_leaves, 7);
    assert_int_equal(leaves[0].a, 7);
    assert_int_equal(leaves[0].b, 11);
    assert_int_equal(leaves[1].c, 0x00f00f00);
    assert_int_equal(leaves[1].d, 0x0f);
    assert_int_equal(leaves[1].b, 0x1000);
    assert_int_equal(leaves[3].b, 0x100);
    assert_int_equal(leaves[4].b, 576);
    assert_memory_equal(&pv_cpuid_policy, &machine, sizeof(machine));
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 0, 0), 0); /* once more: nothing changes, nothing is lost */
    assert_int_equal(cpuid_find(domain_cpuid_policy(d), 1, 0)->d, 0x0f);
}

static void test_told_of_hvm(void **state)
{
    static const struct hvm_ops some;

    begin();
    hvm_cpuid_init();
    hvm_ops = &some;
    assert_int_equal(ask(XEN_SYSCTL_cpu_policy_hvm_default, 7, 2), 0);
    hvm_ops = NULL;
    assert_memory_equal(leaves, hvm_cpuid_policy.leaf, 7 * sizeof(*leaves));
    assert_int_equal(leaves[1].c, 0x00f00f00 | 1 << 21); /* x2APIC; it has all that is PV's */
    assert_int_equal(leaves[1].d & 0x0f0f0f0f, 0x0f0f0f0f);
}

/* Guests of Debian's Xen are shown extended leaves up to 0x8000001e, and that CPUID may fault: neither is here. */
static void test_set_of_xen(void **state)
{
    begin();
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 7, 2), 0);
    leaves[5] = (xen_cpuid_leaf_t){0x80000000, NONE, 0x8000001e, 4, 5, 6};
    leaves[7] = (xen_cpuid_leaf_t){0x8000001e, NONE, 1, 1, 1, 1};
    msrs[0] = (xen_msr_entry_t){.idx = 0xce, .val = 1ull << 31};
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 8, 2), 0);
    assert_int_equal(cpuid_find(domain_cpuid_policy(d), 0x80000000, 0)->a, 0x80000008);
    assert_int_equal(cpuid_find(domain_cpuid_policy(d), 0x80000000, 0)->b, 4);
    assert_null(cpuid_find(domain_cpuid_policy(d), 0x8000001e, 0));
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 7, 2), 0);
    assert_int_equal(msrs[0].idx, 0xce);
    assert_int_equal(msrs[0].val, 0);
    leaves[5].a = 0x80000001;
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), 0);
    assert_int_equal(cpuid_find(domain_cpuid_policy(d), 0x80000000, 0)->a, 0x80000001);
}

/* Not told by default; a kernel that was told of it elsewhere stays so, where the processor has it. */
static void test_set_fsgsbase(void **state)
{
    bool had = cpu_features.fsgsbase;

    begin();
    for (int has = 0; has < 2; has++) {
        cpu_features.fsgsbase = has;
        assert_int_equal(ask(XEN_SYSCTL_cpu_policy_pv_default, 7, 2), 0);
        assert_int_equal(leaves[3].b & 1, 0);
        assert_int_equal(ask(XEN_SYSCTL_cpu_policy_pv_max, 7, 2), 0);
        assert_int_equal(leaves[3].b & 1, has);
        leaves[3].b |= 1;
        assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), 0);
        assert_int_equal(cpuid_find(domain_cpuid_policy(d), 7, 0)->b & 1, has);
    }
    cpu_features.fsgsbase = had;
}

/* A translated domain's features are cut down to those of its own kind. */
static void test_set_of_hvm(void **state)
{
    begin();
    hvm_cpuid_init();
    d = core_translated(3, 1, 0);
    d->vcpu[0]->is_initialised = false;
    core_as(control_domain->vcpu[0]);
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 7, 2), 0);
    assert_int_equal(leaves[1].c, 0x00f00f00 | 1 << 21);
    leaves[1].c = ~0u;
    leaves[1].d = 1 << 9;
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), 0);
    assert_int_equal(cpuid_find(domain_cpuid_policy(d), 1, 0)->c, 0x00f00f00 | 1 << 21);
    assert_int_equal(cpuid_find(domain_cpuid_policy(d), 1, 0)->d, 1 << 9);
}

static void test_set_errors(void **state)
{
    begin();
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 6, 2), -ENOBUFS);
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 7, 2), 0);
    leaves[0].a = 0xe;
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), -EINVAL);
    assert_int_equal(op->u.cpu_policy.err_leaf, 0);
    assert_int_equal(op->u.cpu_policy.err_subleaf, NONE);
    leaves[0].a = 0xd;
    msrs[1] = (xen_msr_entry_t){.idx = 0x1b};
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), -EINVAL);
    assert_int_equal(op->u.cpu_policy.err_msr, 0x1b);
    msrs[1] = (xen_msr_entry_t){.idx = 0xce, .val = 1ull << 30};
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), -EINVAL);
    msrs[1] = (xen_msr_entry_t){.idx = 0x10a, .flags = 1};
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 2), -EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 257, 0), -E2BIG);
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, ~0u, 0), -E2BIG);
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 0, 3), -E2BIG);
    core.fail_alloc = 1;
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 7, 1), -ENOMEM);
    leaves = FAULT;
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 1, 0), -EFAULT);
    assert_int_equal(domctl(XEN_DOMCTL_get_cpu_policy, 7, 2), -EFAULT);
    assert_null(d->pv.cpuid);
    d->vcpu[0]->is_initialised = true; /* too late */
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 0, 0), -EEXIST);
    d = control_domain;
    assert_int_equal(domctl(XEN_DOMCTL_set_cpu_policy, 0, 0), -EINVAL);
}

int core_policy_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_told),       CORE_TEST(test_featureset),   CORE_TEST(test_set),
        CORE_TEST(test_set_errors), CORE_TEST(test_told_of_hvm),  CORE_TEST(test_set_of_hvm),
        CORE_TEST(test_set_of_xen), CORE_TEST(test_set_fsgsbase),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
