/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waking, sleeping, accounting and the schedule softirq. One lock, sched_lock, guards all queues: held for a few list
 * operations only, never across a switch.
 *
 * A vCPU that may run runs or is queued. A domain that has used up its cap is parked: no CPU sees what is queued of it
 * until the refill timer.
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

/* The domain of v, which runs, is further ahead than that of other; if neither is, v has run for longer. */
static bool is_ahead(const struct vcpu *v, const struct vcpu *other)
{
    uint64_t time = v->domain->sched.vruntime, others = other->domain->sched.vruntime;

    return before(others, time) || (others == time && v->runstate.state_entry_time < other->runstate.state_entry_time);
}

/* sched_lock held: the CPU whose domain is furthest ahead; all get an end of their time slice. False: none runs one. */
static bool furthest_ahead(cpumask_t cpus, s_time_t now, unsigned int *best)
{
    const struct vcpu *ahead = NULL;
    unsigned int cpu;

    for_each_cpu (cpu, cpus) {
        struct run_queue *q = &per_cpu(run_queue, cpu);

        if (is_idle_vcpu(q->running))
            continue;
        if (list_empty(&q->slice.link))
            timer_set(&q->slice, now + TIME_SLICE);
        if (!ahead || is_ahead(q->running, ahead)) {
            ahead = q->running;
            *best = cpu;
        }
    }
    return ahead;
}

void sched_tickle(const struct vcpu *v, s_time_t now)
{
    cpumask_t cpus = v->is_running ? cpumask_of(v->processor) : allowed_cpus(v);
    unsigned int cpu = v->processor;

    if (v->domain->sched.parked)
        return;
    if ((cpumask_test(&cpus, cpu) && is_idle_vcpu(per_cpu(run_queue, cpu).running)) ||
        idle_cpu_of(cpumask_and(cpus, liked_cpus(v)), cpu, &cpu) || idle_cpu_of(cpus, cpu, &cpu) ||
        (furthest_ahead(cpus, now, &cpu) && queue_preempts(v, cpu)))
        cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
}

/* sched_lock held: if vCPUs of d wait for its budget, they do so until the next period. */
static void await_refill(struct domain *d)
{
    struct timer *t = &d->sched.refill;

    if (!d->sched.parked || !d->sched.queued || !list_empty(&t->link))
        return;
    timer_migrate(t, smp_processor_id());
    timer_set(t, d->sched.period_end);
}

static bool idles(unsigned int cpu)
{
    return is_idle_vcpu(per_cpu(run_queue, cpu).running);
}

/* sched_lock held: for what ran last on a busy CPU, the CPU furthest ahead is preempted, or that one if it must be. */
static void preempt_for(struct domain *d, cpumask_t cpus, unsigned int furthest)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpus) {
        const struct vcpu *v = d->sched.entry[cpu].here && !idles(cpu) ? queue_oldest(d, cpu) : NULL;
        unsigned int at = v && cpumask_test(&v->hard_affinity, furthest) ? furthest : cpu;

        if (v && queue_preempts(v, at))
            cpu_raise_softirq(at, SOFTIRQ_SCHEDULE);
    }
}

/* sched_lock held: CPUs look at what waits of d: those that idle where it ran last, another for each of the others. */
static void tickle_for(struct domain *d, s_time_t now)
{
    unsigned int left = d->sched.queued, cpu, furthest;
    cpumask_t cpus = CPUMASK_NONE;

    for_each_cpu (cpu, cpu_online_map)
        if (d->sched.entry[cpu].count)
            cpus = cpumask_or(cpus, cpumask_of(cpu));
    for (unsigned int elsewhere = 0; elsewhere < 2; elsewhere++)
        for_each_cpu (cpu, cpus) {
            unsigned int here = d->sched.entry[cpu].here;

            if (left && (here == 0) == elsewhere && idles(cpu)) {
                cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
                left -= MIN(left, MAX(here, 1u));
            }
        }
    if (furthest_ahead(cpus, now, &furthest) && left)
        preempt_for(d, cpus, furthest);
}

void sched_unpark(struct domain *d, s_time_t now)
{
    if (!d->sched.parked || !budget_left(&d->sched, now))
        return;
    sched_account(now);
    queue_unpark(d);
    tickle_for(d, now);
}

/*
 * What runs is charged first: alone on its CPU it may not have been for long, and v would join far behind it and keep
 * it waiting as long.
 */
void sched_enqueue(struct vcpu *v, s_time_t now)
{
    sched_unpark(v->domain, now);
    if (v->domain->sched.parked) {
        v->processor = queue_place(v);
        queue_put_back(v, now);
        await_refill(v->domain);
        return;
    }
    sched_account(now);
    queue_join(v, queue_place(v), now);
    sched_tickle(v, now);
}

static void refill(void *data)
{
    struct domain *d = data;
    unsigned long flags = spin_lock_irqsave(&sched_lock);

    sched_unpark(d, system_time());
    await_refill(d);
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
    } else if (!queue_has(v)) {
        set_runstate(v, RUNSTATE_runnable, now);
        sched_enqueue(v, now);
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

/* sched_lock held: prev, which ran, is queued again or stopped. True: it leaves some of the budget to those that waited
 * for it. */
static bool put_back(struct vcpu *prev, s_time_t now)
{
    struct domain *d = prev->domain;
    bool was_parked = d->sched.parked;

    budget_give_back(prev);
    if (!budget_left(&d->sched, now))
        queue_park(d);
    else if (was_parked)
        queue_unpark(d);
    if (vcpu_runnable(prev))
        queue_put_back(prev, now);
    await_refill(d);
    return was_parked && !d->sched.parked;
}

/* sched_lock held. A domain is on the queues as long as it has budget. */
static struct vcpu *pick(unsigned int cpu, struct vcpu *last, s_time_t now)
{
    struct vcpu *v = queue_pick(cpu, last);

    if (!v)
        return idle_vcpu[cpu];
    budget_take(v, now);
    if (!budget_left(&v->domain->sched, now)) {
        queue_park(v->domain);
        await_refill(v->domain);
    }
    return v;
}

/* sched_lock held: states and times of the two. */
static void hand_over(struct run_queue *q, struct vcpu *prev, struct vcpu *next, s_time_t now)
{
    if (!is_idle_vcpu(prev))
        set_runstate(prev, queue_has(prev) ? RUNSTATE_runnable : stopped_state(prev), now);
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
    bool yielded = prev->sched->yielded, shared = false;
    struct vcpu *next;

    sched_account(now);
    if (!is_idle_vcpu(prev)) {
        if (stays(prev, cpu, now))
            return prev;
        shared = put_back(prev, now);
    }
    prev->sched->yielded = false;
    next = pick(cpu, yielded ? prev : NULL, now);
    if (yielded && !is_idle_vcpu(next))
        queue_forgo(prev->domain, next->domain);
    if (next != prev)
        hand_over(&per_cpu(run_queue, cpu), prev, next, now);
    if (shared && !prev->domain->sched.parked)
        tickle_for(prev->domain, now); /* not before: prev, chosen again, may have taken it all */
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

/* sched_lock held: what stays queued behind the one that was chosen is for the CPUs that idle. */
static void offer_queued(void)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        if (idles(cpu) && !list_empty(&per_cpu(run_queue, cpu).entries))
            cpu_raise_softirq(cpu, SOFTIRQ_SCHEDULE);
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
        offer_queued();
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
            sched_enqueue(v, now);
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
    list_init(&q->entries);
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

int sched_domain_init(struct domain *d)
{
    queue_set_weight(d, SCHED_WEIGHT_DEFAULT);
    timer_init(&d->sched.refill, refill, d, 0);
    d->sched.entry = hv_new_array(struct queue_entry, nr_cpus);
    if (!d->sched.entry)
        return -ENOMEM;
    for (struct queue_entry *e = d->sched.entry; e < d->sched.entry + nr_cpus; e++) {
        e->domain = d;
        list_init(&e->link);
        for (unsigned int cost = 0; cost < COSTS; cost++)
            list_init(&e->waiting[cost]);
    }
    return 0;
}

void sched_domain_free(struct domain *d)
{
    hv_free(d->sched.entry);
}

int sched_vcpu_init(struct vcpu *v)
{
    v->sched = hv_alloc(sizeof(struct sched_vcpu) + nr_cpus * sizeof(struct list_head));
    if (!v->sched)
        return -ENOMEM;
    v->sched->vcpu = v;
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
