// SPDX-License-Identifier: BSD-2-Clause
/*
 * A domain's share of CPU time, and events sent into a domain from outside. Typed forms of the domctl calls.
 */
#include "libctl/internal.h"

static int sched_call(struct ctl *ctl, uint32_t cmd, uint32_t domid, struct ctl_sched *sched)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_scheduler_op, .domain = domid};
    struct xen_domctl_scheduler_op *op = &domctl.u.scheduler_op;
    int rc;

    op->sched_id = XEN_SCHEDULER_CREDIT2;
    op->cmd = cmd;
    op->u.credit2.weight = sched->weight;
    op->u.credit2.cap = sched->cap;
    rc = domid > CTL_DOMID_MAX ? -ESRCH : ctl_call_domctl(ctl, &domctl);
    sched->weight = op->u.credit2.weight;
    sched->cap = op->u.credit2.cap;
    return rc;
}

int ctl_sched_get(struct ctl *ctl, uint32_t domid, struct ctl_sched *sched, struct ctl_error *err)
{
    int rc;

    *sched = (struct ctl_sched){0};
    rc = sched_call(ctl, XEN_DOMCTL_SCHEDOP_getinfo, domid, sched);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("read the share of CPU time", domid), "the hypervisor refused");
    }
    return 0;
}

int ctl_sched_set(struct ctl *ctl, uint32_t domid, const struct ctl_sched *sched, struct ctl_error *err)
{
    struct ctl_sched copy = *sched;
    int rc = sched_call(ctl, XEN_DOMCTL_SCHEDOP_putinfo, domid, &copy);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("set the share of CPU time", domid),
                               "the hypervisor refused weight %u and cap %u", sched->weight, sched->cap);
    }
    return 0;
}

int ctl_domain_nmi(struct ctl *ctl, uint32_t domid, uint32_t vcpu, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_sendtrigger, .domain = domid};
    int rc;

    domctl.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_NMI;
    domctl.u.sendtrigger.vcpu = vcpu;
    rc = domid > CTL_DOMID_MAX ? -ESRCH : ctl_call_domctl(ctl, &domctl);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("send an NMI", domid),
                               rc == -ESRCH ? "vCPU %u does not exist" : "vCPU %u does not take it", vcpu);
    }
    return 0;
}
