/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waking, sleeping, accounting and the schedule softirq. One lock, sched_lock, guards all queues: held for a few list
 * operations only, never across a switch.
 *
 * A vCPU that may run runs, is queued, or is parked: its domain has used up its cap, and it is runnable to all eyes but
 * on no queue until the refill timer.
 */
#include "queue.h"
#include <hv/heap.h>

#include <hv/console.h>
#include <hv/event.h>
#include <hv/stretch.h>
#include <hv/x86.h>

spinlock_t sched_lock = SPINLOCK_INIT(RANK_SCHED);

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
    queue_charge(v, (uint64_t)ran);
    if (v->domain->sched.cap)
        v->sched->grant -= ran;
}

void sched_account(s_time_t now)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        account(per_cpu(run_queue, cpu).running, now);
}

/* ---- waking ---- */

/* sched_lock held: the CPU whose domain is furthest ahead; all get an end of their time slice. False: none runs one. */
static bool furthest_ahead(cpumask_t cpus, s_time_t now, unsigned int *best)
{
    const struct domain *ahead = NULL;
    unsigned int cpu;

    for_each_cpu (cpu, cpus) {
        struct run_queue *q = &per_cpu(run_queue, cpu);

        if (is_idle_vcpu(q->running))
            continue;
        if (list_empty(&q->slice.link))
            timer_set(&q->slice, now + TIME_SLICE);
        if (!ahead || before(ahead->sched.vruntime, q->running->domain->sched.vruntime)) {
            ahead = q->running->domain;
            *best = cpu;
        }
    }
    return ahead;
}

void sched_tickle(const struct vcpu *v, s_time_t now)
{
    cpumask_t cpus = v->is_running ? cpumask_of(v->processor) : allowed_cpus(v);
    unsigned int cpu = v->processor;

    if ((cpumask_test(&cpus, cpu) && is_idle_vcpu(per_cpu(run_queue, cpu).running)) ||
        idle_cpu_of(cpumask_and(cpus, liked_cpus(v)), cpu, &cpu) || idle_cpu_of(cpus, cpu, &cpu) ||
        (furthest_ahead(cpus, now, &cpu) && queue_preempts(v, cpu)))
        cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
}

/*
 * What runs is charged first: alone on its CPU it may not have been for long, and v would join far behind it and keep
 * it waiting as long.
 */
void sched_enqueue(struct vcpu *v, enum joins why, s_time_t now)
{
    sched_account(now);
    queue_join(v, queue_place(v), why, now);
    sched_tickle(v, now);
}

/* sched_lock held: v waits for its domain's budget. */
static void park(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;

    v->sched->parked = true;
    if (d->parked++ == 0) {
        timer_migrate(&d->refill, smp_processor_id());
        timer_set(&d->refill, d->period_end);
    }
}

static void unpark(struct vcpu *v)
{
    v->sched->parked = false;
    v->domain->sched.parked--;
}

/* sched_lock held: v, which may run, joins a queue or those that wait for the budget. */
static void make_ready(struct vcpu *v, enum joins why, s_time_t now)
{
    if (!budget_left(&v->domain->sched, now)) {
        park(v);
        return;
    }
    sched_enqueue(v, why, now);
}

void sched_unpark(struct domain *d, s_time_t now)
{
    struct vcpu *v;

    if (!d->sched.parked || !budget_left(&d->sched, now))
        return;
    for_each_vcpu (d, v)
        if (v->sched->parked) {
            unpark(v);
            make_ready(v, UNPARKED, now);
        }
}

static void refill(void *data)
{
    struct domain *d = data;
    unsigned long flags = spin_lock_irqsave(&sched_lock);

    sched_unpark(d, system_time());
    if (d->sched.parked)
        timer_set(&d->sched.refill, d->sched.period_end);
    spin_unlock_irqrestore(&sched_lock, flags);
}

void vcpu_wake(struct vcpu *v)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);
    s_time_t now = system_time();

    if (per_cpu(run_queue, v->processor).running == v) {
        /* It runs, and may be about to be scheduled away: the softirq looks at it again, and says what state it is in.
         */
    } else if (!vcpu_runnable(v)) {
        set_runstate(v, stopped_state(v), now);
    } else if (!queue_has(v) && !v->sched->parked) {
        set_runstate(v, RUNSTATE_runnable, now);
        make_ready(v, WOKEN, now);
    }
    spin_unlock_irqrestore(&sched_lock, flags);
}

/* sched_lock held: v, which does not run, is not runnable any more. */
static void take_off(struct vcpu *v, s_time_t now)
{
    queue_remove(v);
    if (v->sched->parked)
        unpark(v);
    set_runstate(v, stopped_state(v), now);
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    unsigned long flags = spin_lock_irqsave(&sched_lock);

    if (!vcpu_runnable(v)) {
        if (per_cpu(run_queue, v->processor).running == v)
            cpu_raise_softirq(v->processor, SOFTIRQ_SCHEDULE);
        else
            take_off(v, system_time());
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
    current->sched->yielded = true;
    raise_softirq(SOFTIRQ_SCHEDULE);
}

/* ---- choosing ---- */

/* sched_lock held: prev has not had its CPU for as long as the rate limit grants it. */
static bool stays(const struct vcpu *prev, unsigned int cpu, s_time_t now)
{
    return now - (s_time_t)prev->runstate.state_entry_time < sched_ratelimit() && vcpu_runnable(prev) &&
           cpumask_test(&prev->hard_affinity, cpu) && !queue_wants_away(prev) && !prev->sched->yielded &&
           budget_deadline(prev, now) > now;
}

/* sched_lock held: prev, which ran, is queued again, parked or stopped. What it leaves of the budget is for the others.
 */
static void put_back(struct vcpu *prev, s_time_t now)
{
    budget_give_back(prev);
    if (vcpu_runnable(prev) && budget_left(&prev->domain->sched, now)) {
        queue_put_back(prev, now);
        return;
    }
    if (vcpu_runnable(prev))
        park(prev);
    sched_unpark(prev->domain, now);
}

/* sched_lock held: all that is queued of a domain without budget, at once: each by itself would cost a choice. */
static void park_queued(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v)
        if (queue_has(v)) {
            queue_remove(v);
            park(v);
        }
}

/* sched_lock held. A vCPU whose domain has no budget left is found out here. */
static struct vcpu *pick(unsigned int cpu, struct vcpu *last, s_time_t now)
{
    struct vcpu *v;

    while ((v = queue_pick(cpu, last)) != NULL && !budget_take(v, now)) {
        park(v);
        park_queued(v->domain);
    }
    return v ? v : idle_vcpu[cpu];
}

/* sched_lock held: states and times of the two. */
static void hand_over(struct run_queue *q, struct vcpu *prev, struct vcpu *next, s_time_t now)
{
    bool waits = queue_has(prev) || prev->sched->parked;

    if (!is_idle_vcpu(prev))
        set_runstate(prev, waits ? RUNSTATE_runnable : stopped_state(prev), now);
    if (is_idle_vcpu(prev))
        q->idle_time += now - q->idle_since;
    if (is_idle_vcpu(next))
        q->idle_since = now;
    q->running = next;
    next->is_running = true;
    next->sched->started = now;
    set_runstate(next, RUNSTATE_running, now);
}

/* sched_lock held. */
static struct vcpu *choose(unsigned int cpu, struct vcpu *prev, s_time_t now)
{
    bool yielded = prev->sched->yielded;
    struct vcpu *next;

    sched_account(now);
    if (!is_idle_vcpu(prev)) {
        if (stays(prev, cpu, now))
            return prev;
        put_back(prev, now);
    }
    prev->sched->yielded = false;
    next = pick(cpu, yielded ? prev : NULL, now);
    if (yielded && !is_idle_vcpu(next))
        queue_forgo(prev->domain, next->domain);
    if (next != prev)
        hand_over(&per_cpu(run_queue, cpu), prev, next, now);
    return next;
}

/* sched_lock held: when this CPU has to choose again. */
static void set_slice(struct run_queue *q, unsigned int cpu, const struct vcpu *next, s_time_t now)
{
    s_time_t end = is_idle_vcpu(next) ? STIME_MAX : budget_deadline(next, now);
    s_time_t limit = (s_time_t)next->runstate.state_entry_time + sched_ratelimit();

    if (!is_idle_vcpu(next) && queue_waits_for(cpu))
        end = MIN(end, next == current && stays(next, cpu, now) ? limit : now + MAX(TIME_SLICE, sched_ratelimit()));
    timer_set(&q->slice, end);
}

/* sched_lock held: a vCPU that runs where it does not like to, and likes this CPU, which idles, is made to move. */
static void invite(unsigned int idle)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map) {
        const struct vcpu *v = per_cpu(run_queue, cpu).running;
        cpumask_t liked = liked_cpus(v);

        if (!is_idle_vcpu(v) && cpumask_test(&liked, idle) && !cpumask_test(&liked, cpu)) {
            cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
            return;
        }
    }
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
    set_slice(q, cpu, next, now);
    if (is_idle_vcpu(next))
        invite(cpu);
    else
        offer_queued(q);
    if (next != prev) {
        spin_unlock(&sched_lock);
        context_switch(prev, next);
    }
    spin_unlock_irqrestore(&sched_lock, flags);
}

/* The state of v is saved: others may run it. */
void sched_context_saved(struct vcpu *v)
{
    s_time_t now = system_time();

    spin_lock(&sched_lock);
    WRITE_ONCE(v->is_running, false);
    if (!is_idle_vcpu(v) && queue_has(v)) {
        if (!cpumask_test(&v->hard_affinity, v->processor) || queue_wants_away(v)) {
            unsigned int old = v->processor;

            queue_remove(v);
            sched_enqueue(v, WOKEN, now);
            cpu_raise_softirq(old, SOFTIRQ_SCHEDULE); /* it looked busy to others as long as v was queued there */
        } else
            sched_tickle(v, now);
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

void sched_domain_init(struct domain *d)
{
    queue_set_weight(d, SCHED_WEIGHT_DEFAULT);
    timer_init(&d->sched.refill, refill, d, 0);
}

int sched_vcpu_init(struct vcpu *v)
{
    v->sched = hv_new(struct sched_vcpu);
    if (!v->sched)
        return -ENOMEM;
    v->sched->vcpu = v;
    list_init(&v->sched->link);
    v->hard_affinity = v->soft_affinity = CPUMASK_ALL;
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

bool preempt_needed(void)
{
    stretch_point();
    return this_cpu(softirq_pending) || (!is_idle_vcpu(current) && vcpu_event_pending(current));
}
