/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control domain sets: weights, caps, affinity, the rate limit. All of it takes effect at once: run time so
 * far is charged by the old values, and the CPUs concerned look at their queues.
 */
#include "queue.h"

static s_time_t ratelimit = MICROSECS(1000);

s_time_t sched_ratelimit(void)
{
    return ratelimit;
}

/* ---- affinity ---- */

/* sched_lock held; v->hard_affinity or v->soft_affinity has changed. */
static void affinity_changed(struct vcpu *v)
{
    uint64_t latest = v->sched->latest;
    s_time_t now = system_time();

    if (queue_has(v)) {
        queue_remove(v);
        if (cpumask_test(&v->hard_affinity, v->processor) || v->is_running) {
            queue_put_back(v, now);
            v->sched->latest = latest; /* it goes on waiting */
            sched_tickle(v, now);
        } else
            sched_enqueue(v, now);
    } else if (v->is_running && (!cpumask_test(&v->hard_affinity, v->processor) || queue_wants_away(v)))
        cpu_raise_softirq(v->processor, SOFTIRQ_SCHEDULE);
}

int vcpu_set_affinity(struct vcpu *v, cpumask_t hard)
{
    unsigned long flags;
    int rc = 0;

    if (cpumask_empty(cpumask_and(hard, cpu_online_map)))
        return -EINVAL;
    flags = spin_lock_irqsave(&sched_lock);
    if (v->sched->overridden)
        rc = -EBUSY;
    else {
        v->hard_affinity = hard;
        affinity_changed(v);
    }
    spin_unlock_irqrestore(&sched_lock, flags);
    return rc;
}

int vcpu_set_soft_affinity(struct vcpu *v, cpumask_t soft)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    int rc = 0;

    if (v->sched->overridden)
        rc = -EBUSY;
    else {
        v->soft_affinity = soft;
        affinity_changed(v);
    }
    spin_unlock_irqrestore(&sched_lock, flags);
    return rc;
}

/* sched_lock held. */
static int override(struct vcpu *v, int cpu)
{
    if (cpu < 0 && !v->sched->overridden)
        return -EINVAL;
    if (cpu >= 0 && v->sched->overridden)
        return -EBUSY;
    if (cpu >= NR_CPUS || (cpu >= 0 && !cpumask_test(&cpu_online_map, array_index_nospec((unsigned int)cpu, NR_CPUS))))
        return -EINVAL;
    if (cpu >= 0)
        v->sched->saved_affinity = v->hard_affinity;
    v->sched->overridden = cpu >= 0;
    v->hard_affinity = cpu >= 0 ? cpumask_of((unsigned int)cpu) : v->sched->saved_affinity;
    affinity_changed(v);
    return 0;
}

int vcpu_override_affinity(struct vcpu *v, int cpu)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    int rc = override(v, cpu);

    spin_unlock_irqrestore(&sched_lock, flags);
    return rc;
}

/* ---- weight and cap ---- */

/* sched_lock held: the grants of what runs were part of the old cap's budget. */
static void set_cap(struct domain *d, uint16_t cap, s_time_t now)
{
    unsigned int cpu;

    budget_set_cap(&d->sched, cap, now);
    for_each_cpu (cpu, cpu_online_map) {
        struct vcpu *v = per_cpu(run_queue, cpu).running;

        if (v->domain == d) {
            v->sched->grant = 0;
            cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
        }
    }
    sched_unpark(d, now);
}

/* A weight of 0 leaves the weight as it is; a cap of 0 is no cap. */
static int put_info(struct domain *d, const struct xen_domctl_sched_credit2 *info)
{
    unsigned long flags;
    s_time_t now;

    if (info->cap > 100 * d->max_vcpus)
        return -EINVAL;
    flags = spin_lock_irqsave(&sched_lock);
    now = system_time();
    sched_account(now);
    if (info->weight)
        queue_set_weight(d, info->weight);
    if (info->cap != d->sched.cap)
        set_cap(d, info->cap, now);
    spin_unlock_irqrestore(&sched_lock, flags);
    return 0;
}

int sched_adjust(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    if (op->sched_id != XEN_SCHEDULER_CREDIT2)
        return -EINVAL;
    switch (op->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        op->u.credit2.weight = d->sched.weight;
        op->u.credit2.cap = d->sched.cap;
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        return put_info(d, &op->u.credit2);
    default:
        return -EINVAL;
    }
}

int sched_adjust_global(struct xen_sysctl_scheduler_op *op)
{
    uint32_t us = op->u.sched_credit2.ratelimit_us;

    if (op->cmd != XEN_SYSCTL_SCHEDOP_putinfo && op->cmd != XEN_SYSCTL_SCHEDOP_getinfo)
        return -EINVAL;
    if (op->cpupool_id != 0)
        return -ESRCH;
    if (op->sched_id != XEN_SCHEDULER_CREDIT2)
        return -EINVAL;
    if (op->cmd == XEN_SYSCTL_SCHEDOP_putinfo) {
        if (us && (us < XEN_SYSCTL_SCHED_RATELIMIT_MIN || us > XEN_SYSCTL_SCHED_RATELIMIT_MAX))
            return -EINVAL;
        WRITE_ONCE(ratelimit, MICROSECS(us));
    }
    op->u.sched_credit2.ratelimit_us = (uint32_t)(ratelimit / 1000);
    return 0;
}
