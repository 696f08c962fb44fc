/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waking, sleeping, accounting and the schedule softirq. One lock, sched_lock, guards all queues: held for a few list
 * operations only, never across a switch.
 */
#include "queue.h"
#include <hv/heap.h>

#include <hv/console.h>
#include <hv/event.h>
#include <hv/stretch.h>
#include <hv/x86.h>

#define TIME_SLICE   MILLISECS(10)
#define PREEMPT_LEAD MILLISECS(1)

static spinlock_t sched_lock = SPINLOCK_INIT(RANK_SCHED);

static void set_runstate(struct vcpu *v, int state, s_time_t now)
{
    s_time_t delta = now - (s_time_t)v->runstate.state_entry_time;

    if (v->runstate.state == state)
        return;
    if (delta > 0)
        v->runstate.time[v->runstate.state] += (uint64_t)delta;
    v->runstate.state_entry_time = (uint64_t)now;
    v->runstate.state = state;
}

static int stopped_state(const struct vcpu *v)
{
    return READ_ONCE(v->pause_flags) & (1ul << VPF_blocked | 1ul << VPF_poll) ? RUNSTATE_blocked : RUNSTATE_offline;
}

/* sched_lock held: charges the running vCPU up to now. */
static void account(struct vcpu *v, s_time_t now)
{
    s_time_t ran = now - v->sched->started;

    if (is_idle_vcpu(v) || ran <= 0)
        return;
    v->sched->started = now;
    v->sched->cpu_time += (uint64_t)ran;
    queue_charge(v, (uint64_t)ran);
}

/* sched_lock held: makes a CPU look at its queue if v should run before what runs there. */
static void tickle(unsigned int cpu, const struct vcpu *v)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);
    unsigned int other;

    if (is_idle_vcpu(q->running) || v->sched->vruntime + PREEMPT_LEAD < q->running->sched->vruntime) {
        cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
        return;
    }
    if (list_empty(&q->slice.link))
        timer_set(&q->slice, system_time() + TIME_SLICE);
    for_each_cpu (other, cpumask_and(v->hard_affinity, cpu_online_map))
        if (!v->is_running && cpu_is_idle(other)) {
            cpu_raise_softirq(other, SOFTIRQ_SCHEDULE);
            return;
        }
}

/*
 * sched_lock held: queues v. What runs there is charged first: alone on its CPU it may not have been for long, and v
 * would join far behind it and keep it waiting as long.
 */
static void enqueue(struct vcpu *v, unsigned int cpu, s_time_t now)
{
    account(per_cpu(run_queue, cpu).running, now);
    queue_insert(v, cpu);
}

void vcpu_wake(struct vcpu *v)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    s_time_t now = system_time();

    if (!vcpu_runnable(v)) {
        set_runstate(v, stopped_state(v), now);
    } else if (v->is_running && per_cpu(run_queue, v->processor).running == v) {
        /* It runs, or is about to be scheduled away: the softirq finds it runnable again. */
    } else if (!queue_has(v)) {
        set_runstate(v, RUNSTATE_runnable, now);
        enqueue(v, queue_place(v), now);
        tickle(v->processor, v);
    }
    spin_unlock_irqrestore(&sched_lock, flags);
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);

    if (!vcpu_runnable(v)) {
        if (per_cpu(run_queue, v->processor).running == v)
            cpu_raise_softirq(v->processor, SOFTIRQ_SCHEDULE);
        else {
            queue_remove(v);
            set_runstate(v, stopped_state(v), system_time());
        }
    }
    spin_unlock_irqrestore(&sched_lock, flags);
}

void vcpu_sleep_sync(struct vcpu *v)
{
    vcpu_sleep_nosync(v);
    while (READ_ONCE(v->is_running) && !vcpu_runnable(v))
        cpu_relax();
    smp_mb();
}

void vcpu_unblock(struct vcpu *v)
{
    bool was = test_and_clear_bit(VPF_blocked, &v->pause_flags);

    /* A poller also wakes for any event it has not masked: it would be interrupted if it ran. */
    if (v->poll_evtchn == 0 || vcpu_event_pending(v) || evtchn_port_pending(v, v->poll_evtchn))
        was |= test_and_clear_bit(VPF_poll, &v->pause_flags);
    if (was)
        vcpu_wake(v);
}

void vcpu_yield(void)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);

    account(current, system_time());
    current->sched->vruntime += MILLISECS(1);
    spin_unlock_irqrestore(&sched_lock, flags);
    raise_softirq(SOFTIRQ_SCHEDULE);
}

/* sched_lock held. */
static struct vcpu *choose(unsigned int cpu, struct vcpu *prev, s_time_t now)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);
    struct vcpu *next;

    if (!is_idle_vcpu(prev)) {
        account(prev, now);
        if (vcpu_runnable(prev)) {
            set_runstate(prev, RUNSTATE_runnable, now);
            enqueue(prev, cpumask_test(&prev->hard_affinity, cpu) ? cpu : queue_place(prev), now);
        } else
            set_runstate(prev, stopped_state(prev), now);
    }
    next = queue_pick(cpu);
    if (!next)
        next = idle_vcpu[cpu];
    if (is_idle_vcpu(prev) && !is_idle_vcpu(next))
        q->idle_time += now - q->idle_since;
    if (!is_idle_vcpu(prev) && is_idle_vcpu(next))
        q->idle_since = now;
    q->running = next;
    next->is_running = true;
    next->sched->started = now;
    set_runstate(next, RUNSTATE_running, now);
    return next;
}

/* sched_lock held: what stays queued behind the one that was chosen goes to a CPU that idles, if one may take it. */
static void offer_queued(const struct run_queue *q)
{
    cpumask_t idle = CPUMASK_NONE;
    struct sched_vcpu *s;
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        if (cpu_is_idle(cpu))
            idle = cpumask_or(idle, cpumask_of(cpu));
    if (cpumask_empty(idle))
        return;
    list_for_each (s, &q->list, link) {
        cpumask_t takers = cpumask_and(idle, s->vcpu->hard_affinity);

        if (!s->vcpu->is_running && !cpumask_empty(takers)) {
            cpu_raise_softirq(cpumask_first(takers), SOFTIRQ_SCHEDULE);
            return;
        }
    }
}

static void schedule(void)
{
    unsigned int cpu = smp_processor_id();
    struct run_queue *q = &this_cpu(run_queue);
    struct vcpu *prev = current, *next;
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    s_time_t now = system_time();

    next = choose(cpu, prev, now);
    if (q->count) {
        timer_set(&q->slice, now + TIME_SLICE);
        offer_queued(q);
    } else
        timer_stop(&q->slice);
    if (next != prev) {
        spin_unlock(&sched_lock);
        context_switch(prev, next);
    }
    spin_unlock_irqrestore(&sched_lock, flags);
}

/* The state of v is saved: others may run it. */
void sched_context_saved(struct vcpu *v)
{
    spin_lock(&sched_lock);
    WRITE_ONCE(v->is_running, false);
    if (!is_idle_vcpu(v) && queue_has(v)) {
        if (!cpumask_test(&v->hard_affinity, v->processor)) {
            unsigned int old = v->processor;

            queue_remove(v);
            enqueue(v, queue_place(v), system_time());
            cpu_raise_softirq(old, SOFTIRQ_SCHEDULE); /* it looked busy to others as long as v was queued there */
        }
        tickle(v->processor, v);
    }
    spin_unlock(&sched_lock);
}

static void slice_over(void *unused)
{
    raise_softirq(SOFTIRQ_SCHEDULE);
}

void sched_init(void)
{
    open_softirq(SOFTIRQ_SCHEDULE, schedule);
    sched_register_keys();
}

void sched_init_cpu(unsigned int cpu)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);

    timer_init_cpu(cpu);
    list_init(&q->list);
    timer_init(&q->slice, slice_over, NULL, cpu);
    if (vcpu_create(dom_idle, cpu))
        panic("no memory for the idle vCPU of CPU %u", cpu);
    idle_vcpu[cpu] = dom_idle->vcpu[cpu];
    idle_vcpu[cpu]->processor = cpu;
    idle_vcpu[cpu]->is_running = true;
    idle_vcpu[cpu]->pause_flags = 0;
    q->running = idle_vcpu[cpu];
    q->idle_since = system_time();
    get_cpu_info()->cur_vcpu = idle_vcpu[cpu];
}

int sched_vcpu_init(struct vcpu *v)
{
    v->sched = hv_new(struct sched_vcpu);
    if (!v->sched)
        return -ENOMEM;
    v->sched->vcpu = v;
    list_init(&v->sched->link);
    v->hard_affinity = CPUMASK_ALL;
    v->runstate.state = RUNSTATE_offline;
    v->runstate.state_entry_time = (uint64_t)system_time();
    v->processor = is_idle_vcpu(v) ? v->vcpu_id : cpumask_first(cpu_online_map);
    return 0;
}

void sched_vcpu_free(struct vcpu *v)
{
    hv_free(v->sched);
    v->sched = NULL;
}

int vcpu_set_affinity(struct vcpu *v, cpumask_t hard)
{
    unsigned long flags;

    if (cpumask_empty(cpumask_and(hard, cpu_online_map)))
        return -EINVAL;
    flags = spin_lock_irqsave(&sched_lock);
    v->hard_affinity = hard;
    if (queue_has(v)) {
        if (!cpumask_test(&hard, v->processor) && !v->is_running) {
            queue_remove(v);
            enqueue(v, queue_place(v), system_time());
        }
        tickle(v->processor, v); /* a CPU that may take it now may be idle */
    } else if (v->is_running && !cpumask_test(&hard, v->processor))
        cpu_raise_softirq(v->processor, SOFTIRQ_SCHEDULE);
    spin_unlock_irqrestore(&sched_lock, flags);
    return 0;
}

uint64_t vcpu_cpu_time(struct vcpu *v)
{
    struct vcpu_runstate_info r;

    vcpu_get_runstate(v, &r);
    return r.time[RUNSTATE_running];
}

void vcpu_get_runstate(struct vcpu *v, struct vcpu_runstate_info *out)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    s_time_t delta = system_time() - (s_time_t)v->runstate.state_entry_time;

    *out = v->runstate;
    spin_unlock_irqrestore(&sched_lock, flags);
    if (delta > 0)
        out->time[out->state] += (uint64_t)delta;
}

uint64_t cpu_idle_time(unsigned int cpu)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    const struct run_queue *q = &per_cpu(run_queue, cpu);
    s_time_t t = q->idle_time;

    if (is_idle_vcpu(q->running))
        t += system_time() - q->idle_since;
    spin_unlock_irqrestore(&sched_lock, flags);
    return (uint64_t)t;
}

int sched_adjust(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    if (op->sched_id != XEN_SCHEDULER_CREDIT2)
        return -EINVAL;
    switch (op->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        op->u.credit2.weight = d->weight;
        op->u.credit2.cap = 0;
        return 0;
    case XEN_DOMCTL_SCHEDOP_putinfo:
        if (op->u.credit2.cap)
            return -EOPNOTSUPP;
        if (op->u.credit2.weight)
            d->weight = op->u.credit2.weight;
        return 0;
    default:
        return -EINVAL;
    }
}

bool preempt_needed(void)
{
    stretch_point();
    return this_cpu(softirq_pending) || (!is_idle_vcpu(current) && vcpu_event_pending(current));
}
