// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a domain's processors can do: the hypervisor's lists, to and from memory that is not locked.
 *
 * Place: under the question whether another host would take a guest. The lists are passed on as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

#define MAX_LEAVES 512
#define MAX_MSRS   64

static int fail(struct ctl *ctl, uint32_t domid, struct ctl_error *err, int code, const char *what)
{
    return ctl_fail_domain(ctl, err, code, CTL_AT("handle the CPU policy", domid), "%s", what);
}

/* Locked copies of both lists; those that are missing hold zeroes. */
static int lock_lists(struct ctl *ctl, struct xen_domctl *op, const struct ctl_policy *policy)
{
    void *leaves = ctl_buffer_get(ctl, MAX_LEAVES * sizeof(xen_cpuid_leaf_t));
    void *msrs = ctl_buffer_get(ctl, MAX_MSRS * sizeof(xen_msr_entry_t));

    if (leaves && policy) {
        memcpy(leaves, policy->leaves, policy->leaves_size);
    }
    if (msrs && policy) {
        memcpy(msrs, policy->msrs, policy->msrs_size);
    }
    set_xen_guest_handle(op->u.cpu_policy.leaves, (xen_cpuid_leaf_t *)leaves);
    set_xen_guest_handle(op->u.cpu_policy.msrs, (xen_msr_entry_t *)msrs);
    return leaves && msrs ? 0 : -ENOMEM;
}

static void unlock_lists(struct ctl *ctl, const struct xen_domctl *op)
{
    ctl_buffer_put(ctl, op->u.cpu_policy.leaves.p);
    ctl_buffer_put(ctl, op->u.cpu_policy.msrs.p);
}

static void *copy(const void *from, size_t size)
{
    void *to = malloc(size + 1);

    return to ? memcpy(to, from, size) : NULL;
}

int ctl_policy_get(struct ctl *ctl, uint32_t domid, struct ctl_policy *policy, struct ctl_error *err)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_get_cpu_policy,
                            .domain = (domid_t)domid,
                            .u.cpu_policy = {.nr_leaves = MAX_LEAVES, .nr_msrs = MAX_MSRS}};
    int rc = lock_lists(ctl, &op, NULL);

    *policy = (struct ctl_policy){0};
    if (rc == 0) {
        rc = ctl_call_domctl(ctl, &op);
    }
    if (rc >= 0) {
        policy->leaves_size = op.u.cpu_policy.nr_leaves * sizeof(xen_cpuid_leaf_t);
        policy->msrs_size = op.u.cpu_policy.nr_msrs * sizeof(xen_msr_entry_t);
        policy->leaves = copy(op.u.cpu_policy.leaves.p, policy->leaves_size);
        policy->msrs = copy(op.u.cpu_policy.msrs.p, policy->msrs_size);
        rc = policy->leaves && policy->msrs ? 0 : -ENOMEM;
    }
    unlock_lists(ctl, &op);
    return rc < 0 ? fail(ctl, domid, err, rc, "it could not be read") : 0;
}

void ctl_policy_free(struct ctl_policy *policy)
{
    free(policy->leaves);
    free(policy->msrs);
    *policy = (struct ctl_policy){0};
}

int ctl_policy_set(struct ctl *ctl, uint32_t domid, const struct ctl_policy *policy, struct ctl_error *err)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_set_cpu_policy, .domain = (domid_t)domid};
    size_t leaves = policy->leaves_size / sizeof(xen_cpuid_leaf_t), msrs = policy->msrs_size / sizeof(xen_msr_entry_t);
    int rc;

    if (leaves > MAX_LEAVES || msrs > MAX_MSRS || policy->leaves_size % sizeof(xen_cpuid_leaf_t) ||
        policy->msrs_size % sizeof(xen_msr_entry_t)) {
        return fail(ctl, domid, err, -EINVAL, "this is no list of leaves and MSRs");
    }
    rc = ctl_features_check(ctl, domid, policy->leaves, leaves, err);
    if (rc < 0) {
        return rc;
    }
    rc = lock_lists(ctl, &op, policy);
    if (rc == 0) {
        op.u.cpu_policy.nr_leaves = (uint32_t)leaves;
        op.u.cpu_policy.nr_msrs = (uint32_t)msrs;
        rc = ctl_call_domctl(ctl, &op);
    }
    unlock_lists(ctl, &op);
    return rc < 0 ? fail(ctl, domid, err, rc, "the hypervisor does not offer such processors") : 0;
}
