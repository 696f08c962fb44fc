/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run queues. The weight is a domain's, and so is virtual time: what all its vCPUs ran, by weight. A CPU runs a vCPU of
 * the domain that is furthest behind, of its own queue or of any other from which it may take; so there is one order
 * for all CPUs, and the queues only say where a vCPU ran last. Of one domain, the vCPU that waits longest goes first.
 *
 * Virtual times are comparable where CPUs compete for vCPUs. Where they do not (pinned vCPUs, more weight than CPUs
 * that a domain can use), they drift apart, and what that amounts to is forgotten when they meet again. Each CPU's
 * clock, the time of what it chose last, is the measure: a domain is never further behind it than MAX_LAG, nor does one
 * of its vCPUs wait for longer than MAX_LEAD by that clock.
 */
#include "queue.h"
#include <hv/time_scale.h>

/* In milliseconds of the domain's own run time. */
#define SLICE_MS     (TIME_SLICE / MILLISECS(1))
#define WAKE_BONUS   5              /* what sleeping earns at most */
#define PARK_BONUS   10             /* what waiting for the budget earns at most: a period of caps */
#define MAX_LAG      (2 * SLICE_MS) /* what waiting elsewhere earns at most */
#define MAX_LEAD     (4 * SLICE_MS) /* beside two slices of each vCPU */
#define MOVE_COST    1              /* running on another CPU than before: as if so much ahead */
#define SOFT_COST    SLICE_MS       /* running outside the soft affinity */
#define PREEMPT_LEAD 1

DEFINE_PER_CPU(struct run_queue, run_queue);

bool cpu_is_idle(unsigned int cpu)
{
    const struct run_queue *q = &per_cpu(run_queue, cpu);

    return q->running && is_idle_vcpu(q->running) && q->count == 0;
}

bool queue_has(const struct vcpu *v)
{
    return !list_empty(&v->sched->link);
}

cpumask_t allowed_cpus(const struct vcpu *v)
{
    return cpumask_and(v->hard_affinity, cpu_online_map);
}

cpumask_t liked_cpus(const struct vcpu *v)
{
    cpumask_t allowed = allowed_cpus(v), liked = cpumask_and(allowed, v->soft_affinity);

    return cpumask_empty(liked) ? allowed : liked;
}

static bool likes(const struct vcpu *v, unsigned int cpu)
{
    cpumask_t liked = liked_cpus(v);

    return cpumask_test(&liked, cpu);
}

bool idle_cpu_of(cpumask_t mask, unsigned int first, unsigned int *found)
{
    unsigned int cpu;

    if (cpumask_test(&mask, first) && cpu_is_idle(first)) {
        *found = first;
        return true;
    }
    for_each_cpu (cpu, mask)
        if (cpu_is_idle(cpu)) {
            *found = cpu;
            return true;
        }
    return false;
}

bool queue_wants_away(const struct vcpu *v)
{
    unsigned int cpu;

    return !likes(v, v->processor) && idle_cpu_of(liked_cpus(v), v->processor, &cpu);
}

/* ---- virtual time ---- */

static uint64_t span(const struct domain *d, uint64_t ms)
{
    return ms * d->sched.per_ms;
}

/* By how much all vCPUs of d together may overshoot before somebody looks. */
static uint64_t slices(const struct domain *d)
{
    return span(d, SLICE_MS * MIN(d->max_vcpus, nr_cpus));
}

static void not_before(uint64_t *time, uint64_t least)
{
    if (before(*time, least))
        *time = least;
}

/* A vCPU that is alone on its CPU is not chosen again and again: the clock follows it. */
void queue_charge(struct vcpu *v, uint64_t ns)
{
    struct sched_domain *d = &v->domain->sched;

    d->vruntime += mul_div(ns, SCHED_WEIGHT_DEFAULT, d->weight);
    not_before(&per_cpu(run_queue, v->processor).clock, d->vruntime - slices(v->domain));
}

/* What the domain is ahead or behind is the same run time as before. */
void queue_set_weight(struct domain *d, uint16_t weight)
{
    struct sched_domain *s = &d->sched;
    const struct vcpu *v = d->vcpu && d->max_vcpus ? d->vcpu[0] : NULL;
    uint64_t clock = v ? per_cpu(run_queue, v->processor).clock : 0, lead = s->vruntime - clock;

    if (s->weight)
        s->vruntime = clock + (before(s->vruntime, clock) ? -mul_div(-lead, s->weight, weight)
                                                          : mul_div(lead, s->weight, weight));
    s->weight = weight;
    s->per_ms = (uint64_t)MILLISECS(1) * SCHED_WEIGHT_DEFAULT / weight;
}

void queue_forgo(struct domain *d, const struct domain *next)
{
    if (d != next)
        not_before(&d->sched.vruntime, next->sched.vruntime - slices(next));
}

/* ---- lists ---- */

static void insert(struct vcpu *v, struct run_queue *q, s_time_t now)
{
    v->sched->latest = q->clock + 2 * slices(v->domain) + span(v->domain, MAX_LEAD);
    v->sched->queued_at = now;
    list_add_tail(&v->sched->link, &q->list);
    q->count++;
}

void queue_put_back(struct vcpu *v, s_time_t now)
{
    insert(v, &per_cpu(run_queue, v->processor), now);
}

void queue_join(struct vcpu *v, unsigned int cpu, enum joins why, s_time_t now)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);

    v->processor = cpu;
    if (cpu_is_idle(cpu))
        q->clock = v->domain->sched.vruntime;
    else
        not_before(&v->domain->sched.vruntime, q->clock - span(v->domain, why == UNPARKED ? PARK_BONUS : WAKE_BONUS));
    insert(v, q, now);
}

void queue_remove(struct vcpu *v)
{
    if (!queue_has(v))
        return;
    list_del(&v->sched->link);
    per_cpu(run_queue, v->processor).count--;
}

/* ---- choosing ---- */

/* v is queued on a CPU that it likes and that has nothing else to do: it starts there. */
static bool is_at_home(const struct vcpu *v)
{
    return likes(v, v->processor) && is_idle_vcpu(per_cpu(run_queue, v->processor).running);
}

/* v, which is queued, can be started on cpu: elsewhere only when its registers are saved. */
static bool can_start(const struct vcpu *v, unsigned int cpu)
{
    if (!cpumask_test(&v->hard_affinity, cpu))
        return false;
    if (v->processor == cpu)
        return !v->is_running || !queue_wants_away(v);
    return !v->is_running && (likes(v, cpu) || !is_at_home(v));
}

static bool waits_on(unsigned int queue, unsigned int cpu)
{
    struct sched_vcpu *s;

    list_for_each (s, &per_cpu(run_queue, queue).list, link)
        if (can_start(s->vcpu, cpu))
            return true;
    return false;
}

bool queue_waits_for(unsigned int cpu)
{
    unsigned int queue;

    for_each_cpu (queue, cpu_online_map)
        if (waits_on(queue, cpu))
            return true;
    return false;
}

/* The virtual time that counts for v, which is queued. */
static uint64_t time_of(const struct vcpu *v)
{
    uint64_t time = v->domain->sched.vruntime;

    return before(v->sched->latest, time) ? v->sched->latest : time;
}

bool queue_preempts(const struct vcpu *v, unsigned int cpu)
{
    const struct domain *d = per_cpu(run_queue, cpu).running->domain;

    return d != v->domain && before(time_of(v) + span(v->domain, PREEMPT_LEAD), d->sched.vruntime);
}

/* The best vCPU so far, and the best of another domain. */
struct choice {
    struct vcpu *v, *other;
    uint64_t time, other_time; /* virtual, with what running it here costs */
    s_time_t since;            /* v waits */
};

static void consider(struct choice *c, struct vcpu *v, unsigned int cpu)
{
    unsigned int cost = (v->processor != cpu ? MOVE_COST : 0) + (likes(v, cpu) ? 0 : SOFT_COST);
    s_time_t since = v->sched->queued_at + MILLISECS(cost);
    uint64_t time = time_of(v) + span(v->domain, cost);
    bool same = c->v && c->v->domain == v->domain;

    if (!c->v || (same ? since < c->since : before(time, c->time))) {
        if (c->v && !same) {
            c->other = c->v;
            c->other_time = c->time;
        }
        c->v = v;
        c->time = time;
        c->since = since;
    } else if (!same && (!c->other || before(time, c->other_time))) {
        c->other = v;
        c->other_time = time;
    }
}

static void consider_queue(struct choice *c, unsigned int queue, unsigned int cpu, const struct vcpu *last)
{
    struct sched_vcpu *s;

    list_for_each (s, &per_cpu(run_queue, queue).list, link)
        if (s->vcpu != last && can_start(s->vcpu, cpu))
            consider(c, s->vcpu, cpu);
}

/* The choice takes its turn: what it is behind, more than waiting accounts for, is forgotten. */
static void settle_clock(struct run_queue *q, const struct choice *c)
{
    struct domain *d = c->v->domain;
    uint64_t lag = span(d, MAX_LAG), *time = &d->sched.vruntime, overshoot;

    if (c->other) {
        overshoot = slices(c->other->domain);
        not_before(time, c->other_time - overshoot - MIN(lag, overshoot));
    }
    if (is_idle_vcpu(q->running))
        q->clock = *time;
    not_before(time, q->clock - lag);
    not_before(&q->clock, *time);
}

struct vcpu *queue_pick(unsigned int cpu, struct vcpu *last)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);
    struct choice c = {.v = NULL};
    unsigned int other;

    consider_queue(&c, cpu, cpu, last);
    for_each_cpu (other, cpu_online_map)
        if (other != cpu)
            consider_queue(&c, other, cpu, last);
    if (!c.v && last && queue_has(last) && can_start(last, cpu))
        c.v = last;
    if (!c.v)
        return NULL;
    settle_clock(q, &c);
    queue_remove(c.v);
    c.v->processor = cpu;
    return c.v;
}

unsigned int queue_place(const struct vcpu *v)
{
    unsigned int cpu, best = v->processor, least = ~0u;

    if (v->is_running || cpumask_empty(allowed_cpus(v)))
        return v->processor;
    if (idle_cpu_of(liked_cpus(v), best, &cpu) || idle_cpu_of(allowed_cpus(v), best, &cpu))
        return cpu;
    for_each_cpu (cpu, liked_cpus(v)) {
        const struct run_queue *q = &per_cpu(run_queue, cpu);
        unsigned int load = 2 * (q->count + !is_idle_vcpu(q->running)) + (cpu != v->processor);

        if (load < least) {
            least = load;
            best = cpu;
        }
    }
    return best;
}
