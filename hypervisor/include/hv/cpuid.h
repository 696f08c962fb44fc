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

/* What this machine offers to PV guests, and to others: the same leaves. Valid once a domain exists. */
extern struct cpuid_policy pv_cpuid_policy, hvm_cpuid_policy;
/* Which of them d has unless something else was set, and what it has. */
const struct cpuid_policy *default_cpuid_policy(const struct domain *d);
const struct cpuid_policy *domain_cpuid_policy(const struct domain *d);
const xen_cpuid_leaf_t *cpuid_find(const struct cpuid_policy *p, uint32_t leaf, uint32_t sub);

/* What the instruction gives v, which is the current vCPU, by its policy; but for what depends on control registers and
 * the like. */
void cpuid_of_policy(const struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4]);
/* Leaves from 0x40000000 on, as PV guests see them; r is 0 before. */
void cpuid_hypervisor_leaf(uint32_t leaf, uint32_t sub, uint32_t r[4]);
/* Makes the second policy from the first. */
void hvm_cpuid_init(void);

#endif
