/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run queues. The weight is a domain's, and so is virtual time: what all its vCPUs ran, by weight. A CPU runs a vCPU of
 * the domain that is furthest behind; of one domain, the vCPU that waits longest goes first. A vCPU is queued for every
 * CPU that it may run on, so there is one order for all CPUs; v->processor says where it ran last. A choice looks at
 * the oldest vCPUs of each domain only, and a domain without budget leaves the queues with all its vCPUs at once:
 * neither takes longer with more vCPUs.
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
    return !cpumask_empty(v->sched->queued_for);
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

/* ---- queues ---- */

/* Two slices for each of its domain that v, about to be queued, has before it explain its waiting, and some more. */
static uint64_t latest(const struct vcpu *v)
{
    const struct domain *d = v->domain;
    uint64_t ahead = span(d, (uint64_t)SLICE_MS * d->sched.entry[v->processor].count);

    return per_cpu(run_queue, v->processor).clock + 2 * MAX(ahead, slices(d)) + span(d, MAX_LEAD);
}

void queue_put_back(struct vcpu *v, s_time_t now)
{
    struct run_queue *q = &per_cpu(run_queue, v->processor);
    struct sched_domain *d = &v->domain->sched;
    cpumask_t liked = liked_cpus(v);
    unsigned int cpu;

    v->sched->latest = latest(v);
    v->sched->queued_at = now;
    v->sched->queued_for = cpumask_and(v->hard_affinity, (cpumask_t){~0ull >> (NR_CPUS - nr_cpus)});
    for_each_cpu (cpu, v->sched->queued_for) {
        struct queue_entry *e = &d->entry[cpu];

        list_add_tail(&v->sched->link[cpu],
                      &e->waiting[(cpu != v->processor ? MOVES : FREE) + (cpumask_test(&liked, cpu) ? FREE : UNLIKED)]);
        if (e->count++ == 0 && !d->parked)
            list_add_tail(&e->link, &per_cpu(run_queue, cpu).entries);
    }
    d->entry[v->processor].here++;
    q->count += !d->parked;
    d->queued++;
}

/* What d was behind elsewhere than on this CPU, or while it did not compete, counts for so much. */
static void meet(struct domain *d, unsigned int cpu, unsigned int bonus)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);

    if (cpu_is_idle(cpu))
        q->clock = d->sched.vruntime;
    else
        not_before(&d->sched.vruntime, q->clock - span(d, bonus));
}

void queue_join(struct vcpu *v, unsigned int cpu, s_time_t now)
{
    v->processor = cpu;
    meet(v->domain, cpu, WAKE_BONUS);
    queue_put_back(v, now);
}

void queue_remove(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;
    unsigned int cpu;

    if (!queue_has(v))
        return;
    for_each_cpu (cpu, v->sched->queued_for) {
        list_del(&v->sched->link[cpu]);
        if (--d->entry[cpu].count == 0)
            list_del(&d->entry[cpu].link);
    }
    v->sched->queued_for = CPUMASK_NONE;
    d->entry[v->processor].here--;
    per_cpu(run_queue, v->processor).count -= !d->parked;
    d->queued--;
}

void queue_park(struct domain *d)
{
    for (unsigned int cpu = 0; cpu < nr_cpus && !d->sched.parked; cpu++) {
        list_del(&d->sched.entry[cpu].link);
        per_cpu(run_queue, cpu).count -= d->sched.entry[cpu].here;
    }
    d->sched.parked = true;
    stretch_work(nr_cpus);
}

void queue_unpark(struct domain *d)
{
    for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
        struct run_queue *q = &per_cpu(run_queue, cpu);
        struct queue_entry *e = &d->sched.entry[cpu];

        if (e->here)
            meet(d, cpu, PARK_BONUS);
        if (e->count)
            list_add_tail(&e->link, &q->entries);
        q->count += e->here;
    }
    d->sched.parked = false;
    stretch_work(nr_cpus);
}

/* ---- choosing ---- */

/* In milliseconds of the domain's own run time. */
static const uint8_t cost_ms[COSTS] = {
    [MOVES] = MOVE_COST, [UNLIKED] = SOFT_COST, [MOVES_UNLIKED] = MOVE_COST + SOFT_COST};

/* v, which is queued, is on a CPU that it likes and that has nothing else to do: it starts there. */
static bool is_at_home(const struct vcpu *v)
{
    return likes(v, v->processor) && is_idle_vcpu(per_cpu(run_queue, v->processor).running);
}

/* v may not be started on cpu yet: elsewhere only when its registers are saved. No CPU has more than one such. */
static bool is_leaving(const struct vcpu *v, unsigned int cpu)
{
    return v->is_running && (v->processor != cpu || queue_wants_away(v));
}

/* The first that may start on cpu. What is at home keeps those behind it waiting: when its CPU has taken it, that
 * offers the others to all. */
static struct vcpu *first_of(struct queue_entry *e, enum costs cost, unsigned int cpu, const struct vcpu *last)
{
    struct sched_vcpu *s;

    list_for_each (s, &e->waiting[cost], link[cpu]) {
        stretch_work(1);
        if (s->vcpu != last && !is_leaving(s->vcpu, cpu))
            return cost == MOVES_UNLIKED && is_at_home(s->vcpu) ? NULL : s->vcpu;
    }
    return NULL;
}

/* The one that waits longest, and what it costs to run one of the domain here. */
static struct vcpu *oldest(struct queue_entry *e, unsigned int cpu, const struct vcpu *last, uint64_t *ms)
{
    struct vcpu *best = NULL;
    s_time_t since = 0;

    for (enum costs cost = FREE; cost < COSTS; cost++) {
        struct vcpu *v = first_of(e, cost, cpu, last);

        if (v && !best)
            *ms = cost_ms[cost];
        if (v && (!best || v->sched->queued_at + MILLISECS(cost_ms[cost]) < since)) {
            best = v;
            since = v->sched->queued_at + MILLISECS(cost_ms[cost]);
        }
    }
    return best;
}

struct vcpu *queue_oldest(struct domain *d, unsigned int cpu)
{
    uint64_t ms;

    return oldest(&d->sched.entry[cpu], cpu, NULL, &ms);
}

bool queue_waits_for(unsigned int cpu)
{
    struct queue_entry *e;

    list_for_each (e, &per_cpu(run_queue, cpu).entries, link)
        if (queue_oldest(e->domain, cpu))
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
};

static void consider(struct choice *c, struct queue_entry *e, unsigned int cpu, const struct vcpu *last)
{
    uint64_t ms, time;
    struct vcpu *v = oldest(e, cpu, last, &ms);

    if (!v)
        return;
    time = time_of(v) + span(v->domain, ms);
    if (!c->v || before(time, c->time) || (time == c->time && v->sched->queued_at < c->v->sched->queued_at))
        *c = (struct choice){v, c->v, time, c->time};
    else if (!c->other || before(time, c->other_time)) {
        c->other = v;
        c->other_time = time;
    }
}

/* What d is behind the second choice of a CPU, more than waiting accounts for. */
static void forget_lag(struct domain *d, const struct choice *c)
{
    uint64_t overshoot = slices(c->other->domain);

    not_before(&d->sched.vruntime, c->other_time - overshoot - MIN(span(d, MAX_LAG), overshoot));
}

/*
 * The choice takes its turn: what it is behind, more than waiting accounts for, is forgotten. So it is of those that
 * run meanwhile and may run here: they stay comparable with each other.
 */
static void settle_clock(struct run_queue *q, unsigned int cpu, const struct choice *c)
{
    struct domain *d = c->v->domain;
    uint64_t lag = span(d, MAX_LAG), *time = &d->sched.vruntime;
    unsigned int other;

    if (c->other) {
        forget_lag(d, c);
        for_each_cpu (other, cpu_online_map) {
            const struct vcpu *v = per_cpu(run_queue, other).running;

            if (other != cpu && !is_idle_vcpu(v) && cpumask_test(&v->hard_affinity, cpu))
                forget_lag(v->domain, c);
        }
        stretch_work(nr_cpus);
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
    struct queue_entry *e;

    list_for_each (e, &q->entries, link)
        consider(&c, e, cpu, last);
    if (!c.v && last && queue_has(last) && !last->domain->sched.parked && cpumask_test(&last->hard_affinity, cpu) &&
        !is_leaving(last, cpu))
        c.v = last;
    if (!c.v)
        return NULL;
    settle_clock(q, cpu, &c);
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
