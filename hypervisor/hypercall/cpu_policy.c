/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU policies: what CPUID shows to a domain, as lists of leaves and MSRs. sysctl tells what the machine has and what
 * PV domains may see, domctl what one domain sees, and lets its builder take features away before it runs.
 *
 * A domain's policy has exactly the leaves of its default. Of a leaf that is set, feature words and the number of
 * extended leaves are cut down to what that default offers, and FSGSBASE for PV domains; identification is taken as it
 * is, and sizes and state components stay the machine's. Leaves that the policy does not have are not shown, whatever
 * they say. Source: <xen/domctl.h>, <xen/sysctl.h>, <xen/arch-x86/cpufeatureset.h>.
 */
#include "domctl.h"
#include "sysctl.h"

#include <hv/cpuid.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/x86.h>

#define MAX_LEAVES 256u /* in a list that is set: with those that the policy does not have */

#define MSR_PLATFORM_INFO     0xceu
#define MSR_ARCH_CAPABILITIES 0x10au
/* CPUID may fault in user mode. Debian's Xen shows it to its PVH guests; it is cut off, as features are. */
#define PLATFORM_CPUID_FAULTING (1ull << 31)
static const uint32_t msrs[] = {MSR_PLATFORM_INFO, MSR_ARCH_CAPABILITIES}; /* both 0: nothing is offered by them */

#define L7_EBX_FSGSBASE 1u

enum { REG_A, REG_B, REG_C, REG_D };

/* The words of a feature set, in the ABI's order; MSRs among them have no leaf. */
static const struct feature_word {
    uint32_t leaf, sub;
    unsigned int reg;
} words[] = {
    {1, 0, REG_D}, {1, 0, REG_C},          {0x80000001, 0, REG_D}, {0x80000001, 0, REG_C}, {0xd, 1, REG_A},
    {7, 0, REG_B}, {7, 0, REG_C},          {0x80000007, 0, REG_D}, {0x80000008, 0, REG_B}, {7, 0, REG_D},
    {7, 1, REG_A}, {0x80000021, 0, REG_A}, {7, 1, REG_B},          {7, 2, REG_D},          {7, 1, REG_C},
    {7, 1, REG_D}, {~0u, 0, REG_A},        {~0u, 0, REG_D},        {0x80000021, 0, REG_C},
};

static uint32_t *word_of(xen_cpuid_leaf_t *l, unsigned int reg)
{
    uint32_t *r[] = {&l->a, &l->b, &l->c, &l->d};

    return r[reg];
}

static bool is_leaf(const xen_cpuid_leaf_t *l, uint32_t leaf, uint32_t sub)
{
    return l->leaf == leaf && (l->subleaf == sub || l->subleaf == XEN_CPUID_NO_SUBLEAF);
}

/*
 * A leaf with all that may be asked for. A PV kernel that another hypervisor told of FSGSBASE uses it, and can, since
 * it is always on here; it has to be told again where it moves on to. By default it is not told here.
 */
static xen_cpuid_leaf_t most_of(const struct cpuid_policy *by_default, unsigned int i)
{
    xen_cpuid_leaf_t l = by_default->leaf[i];

    if (by_default == &pv_cpuid_policy && is_leaf(&l, 7, 0) && cpu_features.fsgsbase)
        l.b |= L7_EBX_FSGSBASE;
    return l;
}

/* ---- telling ---- */

/* The leaves of a PV policy as the processor has them. */
static void machine_policy(struct cpuid_policy *p)
{
    *p = pv_cpuid_policy;
    for (unsigned int i = 0; i < p->count; i++) {
        xen_cpuid_leaf_t *l = &p->leaf[i];
        uint32_t r[4];

        cpuid(l->leaf, l->subleaf == XEN_CPUID_NO_SUBLEAF ? 0 : l->subleaf, r);
        *l = (xen_cpuid_leaf_t){l->leaf, l->subleaf, r[0], r[1], r[2], r[3]};
    }
}

/* Without a buffer: how much room it needs at most. 0, -ENOBUFS, -EFAULT. */
static int tell_leaves(const struct cpuid_policy *p, xen_cpuid_leaf_t *g, uint32_t *n)
{
    if (!g) {
        *n = MAX_LEAVES;
        return 0;
    }
    if (*n < p->count)
        return -ENOBUFS;
    *n = p->count;
    return guest_copy_to(g, p->leaf, p->count * sizeof(p->leaf[0]));
}

static int tell_msrs(xen_msr_entry_t *g, uint32_t *n)
{
    if (g && *n < ARRAY_SIZE(msrs))
        return -ENOBUFS;
    *n = ARRAY_SIZE(msrs);
    for (unsigned int i = 0; g && i < ARRAY_SIZE(msrs); i++) {
        xen_msr_entry_t e = {.idx = msrs[i]};

        if (guest_copy_to(g + i, &e, sizeof(e)))
            return -EFAULT;
    }
    return 0;
}

/* The policy that sysctl's index names, in p; -EINVAL, or -EOPNOTSUPP without hardware virtualisation. */
static int policy_of_index(uint32_t index, struct cpuid_policy *p)
{
    switch (index) {
    case XEN_SYSCTL_cpu_policy_raw:
    case XEN_SYSCTL_cpu_policy_host:
        machine_policy(p);
        return 0;
    case XEN_SYSCTL_cpu_policy_pv_max:
    case XEN_SYSCTL_cpu_policy_pv_default:
        *p = pv_cpuid_policy;
        for (unsigned int i = 0; i < p->count && index == XEN_SYSCTL_cpu_policy_pv_max; i++)
            p->leaf[i] = most_of(&pv_cpuid_policy, i);
        return 0;
    case XEN_SYSCTL_cpu_policy_hvm_max:
    case XEN_SYSCTL_cpu_policy_hvm_default:
        *p = hvm_cpuid_policy;
        return hvm_ops ? 0 : -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
}

long sysctl_cpu_policy(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_cpu_policy *c = &op->u.cpu_policy;
    struct cpuid_policy *p;
    int rc;

    if (c->_rsvd)
        return -EINVAL;
    p = hv_new(struct cpuid_policy);
    if (!p)
        return -ENOMEM;
    rc = policy_of_index(c->index, p);
    if (!rc)
        rc = tell_leaves(p, c->leaves.p, &c->nr_leaves);
    if (!rc)
        rc = tell_msrs(c->msrs.p, &c->nr_msrs);
    hv_free(p);
    *copyback = !rc;
    return rc;
}

static void features_of(const struct cpuid_policy *p, uint32_t set[ARRAY_SIZE(words)])
{
    for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
        const xen_cpuid_leaf_t *l = cpuid_find(p, words[i].leaf, words[i].sub);

        set[i] = l ? *word_of((xen_cpuid_leaf_t *)l, words[i].reg) : 0;
    }
}

/* What the processor has, also of words whose leaves are in no policy. */
static void features_of_machine(uint32_t set[ARRAY_SIZE(words)])
{
    for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
        uint32_t most[4], r[4];

        cpuid(words[i].leaf & 0x80000000, 0, most);
        cpuid(words[i].leaf, words[i].sub, r);
        set[i] = words[i].leaf <= most[0] ? r[words[i].reg] : 0;
    }
}

long sysctl_cpu_featureset(struct xen_sysctl *op, bool *copyback)
{
    static const uint32_t policy[] = {
        [XEN_SYSCTL_cpu_featureset_raw] = XEN_SYSCTL_cpu_policy_raw,
        [XEN_SYSCTL_cpu_featureset_host] = XEN_SYSCTL_cpu_policy_host,
        [XEN_SYSCTL_cpu_featureset_pv] = XEN_SYSCTL_cpu_policy_pv_default,
        [XEN_SYSCTL_cpu_featureset_hvm] = XEN_SYSCTL_cpu_policy_hvm_default,
        [XEN_SYSCTL_cpu_featureset_pv_max] = XEN_SYSCTL_cpu_policy_pv_max,
        [XEN_SYSCTL_cpu_featureset_hvm_max] = XEN_SYSCTL_cpu_policy_hvm_max,
    };
    struct xen_sysctl_cpu_featureset *f = &op->u.cpu_featureset;
    uint32_t set[ARRAY_SIZE(words)], room = f->nr_features;
    struct cpuid_policy *p;
    int rc;

    if (f->index >= ARRAY_SIZE(policy))
        return -EINVAL;
    p = hv_new(struct cpuid_policy);
    if (!p)
        return -ENOMEM;
    rc = policy_of_index(policy[array_index_nospec(f->index, ARRAY_SIZE(policy))], p);
    if (f->index == XEN_SYSCTL_cpu_featureset_raw || f->index == XEN_SYSCTL_cpu_featureset_host)
        features_of_machine(set);
    else if (!rc)
        features_of(p, set);
    hv_free(p);
    if (rc)
        return rc;
    f->nr_features = ARRAY_SIZE(words);
    *copyback = true;
    if (!f->features.p)
        return 0;
    f->nr_features = MIN(room, (uint32_t)ARRAY_SIZE(words));
    if (guest_copy_to(f->features.p, set, f->nr_features * sizeof(set[0])))
        return -EFAULT;
    return room < ARRAY_SIZE(words) ? -ENOBUFS : 0;
}

/* CPUID is neither masked nor made to fault: user mode sees the processor's. */
long sysctl_levelling_caps(struct xen_sysctl *op, bool *copyback)
{
    op->u.cpu_levelling_caps.caps = 0;
    *copyback = true;
    return 0;
}

long domctl_get_cpu_policy(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_cpu_policy *c = &op->u.cpu_policy;
    int rc = tell_leaves(domain_cpuid_policy(d), c->leaves.p, &c->nr_leaves);

    if (!rc)
        rc = tell_msrs(c->msrs.p, &c->nr_msrs);
    *copyback = !rc;
    return rc;
}

/* ---- setting ---- */

static void cut_features(xen_cpuid_leaf_t *l, const xen_cpuid_leaf_t *asked, const xen_cpuid_leaf_t *max)
{
    xen_cpuid_leaf_t a = *asked, m = *max;

    for (unsigned int i = 0; i < ARRAY_SIZE(words); i++)
        if (is_leaf(l, words[i].leaf, words[i].sub))
            *word_of(l, words[i].reg) = *word_of(&a, words[i].reg) & *word_of(&m, words[i].reg);
}

/* Takes over what a domain may choose of a leaf. -EINVAL: more basic leaves than there are. */
static int set_leaf(xen_cpuid_leaf_t *l, const xen_cpuid_leaf_t *asked, const xen_cpuid_leaf_t *max)
{
    switch (l->leaf) {
    case 0:
        if (asked->a > max->a)
            return -EINVAL;
        *l = *asked;
        break;
    case 0x80000000: /* what is beyond ours only describes: other hypervisors show it */
        *l = *asked;
        l->a = MIN(asked->a, max->a);
        break;
    case 1:
        l->a = asked->a;
        break;
    case 2:
    case 4:
    case 0x80000002 ... 0x80000006:
        *l = *asked;
        break;
    }
    cut_features(l, asked, max);
    return 0;
}

static int set_leaves(struct cpuid_policy *p, const struct cpuid_policy *limit, struct xen_domctl_cpu_policy *c)
{
    for (uint32_t i = 0; i < c->nr_leaves; i++) {
        xen_cpuid_leaf_t asked;

        if (guest_copy_from(&asked, c->leaves.p + i, sizeof(asked)))
            return -EFAULT;
        for (unsigned int j = 0; j < p->count; j++) {
            const xen_cpuid_leaf_t max = most_of(limit, j);

            if (max.leaf != asked.leaf || max.subleaf != asked.subleaf)
                continue;
            if (set_leaf(&p->leaf[j], &asked, &max)) {
                c->err_leaf = asked.leaf;
                c->err_subleaf = asked.subleaf;
                return -EINVAL;
            }
            break; /* each leaf is there once */
        }
    }
    return 0;
}

static int check_msrs(struct xen_domctl_cpu_policy *c)
{
    for (uint32_t i = 0; i < c->nr_msrs; i++) {
        xen_msr_entry_t e;

        if (guest_copy_from(&e, c->msrs.p + i, sizeof(e)))
            return -EFAULT;
        c->err_msr = e.idx;
        if (e.flags || (e.idx != MSR_PLATFORM_INFO && e.idx != MSR_ARCH_CAPABILITIES))
            return -EINVAL;
        if (e.idx == MSR_PLATFORM_INFO && (e.val & ~PLATFORM_CPUID_FAULTING))
            return -EINVAL;
    }
    c->err_msr = ~0u;
    return 0;
}

/* Under the domctl lock, and while no vCPU can run: nobody reads the policy meanwhile. */
long domctl_set_cpu_policy(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_cpu_policy *c = &op->u.cpu_policy;
    struct cpuid_policy *p;
    struct vcpu *v;
    int rc;

    if (d == current->domain)
        return -EINVAL;
    for_each_vcpu (d, v)
        if (v->is_initialised)
            return -EEXIST;
    if (c->nr_leaves > MAX_LEAVES || c->nr_msrs > ARRAY_SIZE(msrs))
        return -E2BIG;
    p = hv_new(struct cpuid_policy);
    if (!p)
        return -ENOMEM;
    *p = *domain_cpuid_policy(d);
    c->err_leaf = c->err_subleaf = c->err_msr = ~0u;
    rc = set_leaves(p, default_cpuid_policy(d), c);
    if (!rc)
        rc = check_msrs(c);
    *copyback = true;
    if (rc) {
        hv_free(p);
        return rc;
    }
    hv_free(d->pv.cpuid);
    d->pv.cpuid = p;
    return 0;
}
