// SPDX-License-Identifier: BSD-2-Clause
/*
 * Has this machine's processor the instructions that a guest from elsewhere was told of? A program has chosen by that
 * when it began, and does not ask again: what is missing would end it in the middle. The hypervisor would only stop
 * showing it.
 *
 * Place: before a guest's policy is set, and under the question whether a host would take it.
 * Source: <xen/sysctl.h> (get_cpu_featureset), <xen/arch-x86/cpufeatureset.h>.
 */
#include "libctl/internal.h"

#define MAX_WORDS 64

/* Words of a feature set that tell of instructions; of them, bits that hypervisors show and hide as they like. */
static const struct {
    unsigned word;
    uint32_t leaf, sub, own;
    char reg;
} words[] = {
    {0, 1, 0, 1u << 9 | 1u << 28, 'd'},             /* APIC, HTT */
    {1, 1, 0, 1u << 21 | 1u << 27 | 1u << 31, 'c'}, /* X2APIC, OSXSAVE, HYPERVISOR */
    {2, 0x80000001, 0, 1u << 9, 'd'},               /* APIC */
    {3, 0x80000001, 0, 1u << 1, 'c'},               /* CMP_LEGACY */
    {4, 0xd, 1, 0, 'a'},
    {5, 7, 0, 1u << 6 | 1u << 12 | 1u << 13 | 1u << 15, 'b'}, /* what an FPU lost, how caches are shared */
    {6, 7, 0, 1u << 4, 'c'},                                  /* OSPKE */
    {10, 7, 1, 0, 'a'},
};

static uint32_t value_of(const xen_cpuid_leaf_t *l, char reg)
{
    return reg == 'a' ? l->a : reg == 'b' ? l->b : reg == 'c' ? l->c : l->d;
}

static int machine_features(struct ctl *ctl, uint32_t set[MAX_WORDS])
{
    struct xen_sysctl op = {
        .cmd = XEN_SYSCTL_get_cpu_featureset,
        .u.cpu_featureset = {.index = XEN_SYSCTL_cpu_featureset_raw, .nr_features = MAX_WORDS},
    };
    uint32_t *words_had = ctl_buffer_get(ctl, MAX_WORDS * sizeof(*set));
    int rc = -ENOMEM;

    if (words_had) {
        set_xen_guest_handle(op.u.cpu_featureset.features, words_had);
        rc = ctl_call_sysctl(ctl, &op);
    }
    for (unsigned i = 0; rc >= 0 && i < MAX_WORDS; i++) {
        set[i] = i < op.u.cpu_featureset.nr_features ? words_had[i] : 0;
    }
    ctl_buffer_put(ctl, words_had);
    return rc < 0 ? rc : 0;
}

static int check_leaf(struct ctl *ctl, uint32_t domid, const xen_cpuid_leaf_t *l, const uint32_t *set,
                      struct ctl_error *err)
{
    for (unsigned i = 0; i < CTL_ARRAY(words); i++) {
        uint32_t missing = value_of(l, words[i].reg) & ~set[words[i].word] & ~words[i].own;
        bool same = l->leaf == words[i].leaf && (l->subleaf == words[i].sub || l->subleaf == XEN_CPUID_NO_SUBLEAF);

        if (same && missing) {
            return ctl_fail_domain(ctl, err, -EOPNOTSUPP, CTL_AT("set the CPU policy", domid),
                                   "the guest was told of features that this machine's processor does not have: CPUID "
                                   "leaf %#x.%u, e%cx, bits %#x",
                                   l->leaf, words[i].sub, words[i].reg, missing);
        }
    }
    return 0;
}

int ctl_features_check(struct ctl *ctl, uint32_t domid, const xen_cpuid_leaf_t *leaves, size_t n, struct ctl_error *err)
{
    uint32_t set[MAX_WORDS];
    int rc = machine_features(ctl, set);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("set the CPU policy", domid),
                               "what the machine's processor has could not be read");
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = check_leaf(ctl, domid, &leaves[i], set, err);
    }
    return rc;
}
