/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID policy: what a domain's guests see, as the list of leaves that XEN_DOMCTL_get/set_cpu_policy exchange. */
#ifndef HV_CPUID_H
#define HV_CPUID_H

#include <hv/domain.h>

#define CPUID_POLICY_LEAVES 96

struct cpuid_policy {
    unsigned int count;
    xen_cpuid_leaf_t leaf[CPUID_POLICY_LEAVES]; /* ascending; subleaf XEN_CPUID_NO_SUBLEAF: the leaf has none */
};

/* What this machine offers to PV guests; the default of every domain. Valid once a domain exists. */
extern struct cpuid_policy pv_cpuid_policy;
/* The policy of d. */
const struct cpuid_policy *domain_cpuid_policy(const struct domain *d);
const xen_cpuid_leaf_t *cpuid_find(const struct cpuid_policy *p, uint32_t leaf, uint32_t sub);

#endif
