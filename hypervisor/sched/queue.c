/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run queues ordered by weighted run time: the vCPU that had the least for its weight runs first. When a vCPU moves to
 * another queue its vruntime keeps its distance to the queue's minimum, so that neither sleeping nor moving earns more
 * than one time slice.
 */
#include "queue.h"

#define WAKE_BONUS MILLISECS(5)

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

void queue_charge(struct vcpu *v, uint64_t ns)
{
    struct run_queue *q = &per_cpu(run_queue, v->processor);
    uint64_t floor;

    v->sched->vruntime += ns * SCHED_WEIGHT_DEFAULT / v->domain->weight;
    floor = v->sched->vruntime;
    if (!list_empty(&q->list))
        floor = MIN(floor, list_first(&q->list, struct sched_vcpu, link)->vruntime);
    q->min_vruntime = MAX(q->min_vruntime, floor);
}

/* The lag of v behind its old queue's minimum is kept, up to a bonus for having slept. */
static void rebase(struct vcpu *v, const struct run_queue *from, const struct run_queue *to)
{
    int64_t lag = (int64_t)(v->sched->vruntime - from->min_vruntime);

    if (lag < -WAKE_BONUS)
        lag = -WAKE_BONUS;
    v->sched->vruntime = to->min_vruntime + (uint64_t)lag;
    if ((int64_t)v->sched->vruntime < 0)
        v->sched->vruntime = 0;
}

void queue_insert(struct vcpu *v, unsigned int cpu)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);
    struct sched_vcpu *pos;

    rebase(v, &per_cpu(run_queue, v->processor), q);
    v->processor = cpu;
    list_for_each (pos, &q->list, link)
        if (pos->vruntime > v->sched->vruntime)
            break;
    list_add_tail(&v->sched->link, &pos->link);
    q->count++;
}

void queue_remove(struct vcpu *v)
{
    if (!queue_has(v))
        return;
    list_del(&v->sched->link);
    per_cpu(run_queue, v->processor).count--;
}

static struct vcpu *steal_from(unsigned int victim, unsigned int cpu)
{
    struct sched_vcpu *s;

    list_for_each (s, &per_cpu(run_queue, victim).list, link)
        if (!s->vcpu->is_running && cpumask_test(&s->vcpu->hard_affinity, cpu))
            return s->vcpu;
    return NULL;
}

static struct vcpu *steal(unsigned int cpu)
{
    struct vcpu *best = NULL;
    unsigned int other, most = 0;

    for_each_cpu (other, cpu_online_map) {
        struct vcpu *v;

        if (other == cpu || per_cpu(run_queue, other).count <= most)
            continue;
        v = steal_from(other, cpu);
        if (v) {
            best = v;
            most = per_cpu(run_queue, other).count;
        }
    }
    return best;
}

static struct vcpu *first_allowed(const struct run_queue *q, unsigned int cpu)
{
    struct sched_vcpu *s;

    list_for_each (s, &q->list, link)
        if (cpumask_test(&s->vcpu->hard_affinity, cpu))
            return s->vcpu;
    return NULL;
}

struct vcpu *queue_pick(unsigned int cpu)
{
    struct run_queue *q = &per_cpu(run_queue, cpu);
    struct vcpu *v;

    v = first_allowed(q, cpu);
    if (v) {
        queue_remove(v);
        return v;
    }
    v = steal(cpu);
    if (v) {
        queue_remove(v);
        rebase(v, &per_cpu(run_queue, v->processor), q);
        v->processor = cpu;
    }
    return v;
}

unsigned int queue_place(const struct vcpu *v)
{
    cpumask_t allowed = cpumask_and(v->hard_affinity, cpu_online_map);
    unsigned int cpu, best = v->processor, least = ~0u;

    if (v->is_running || cpumask_empty(allowed))
        return v->processor;
    if (cpumask_test(&allowed, best) && cpu_is_idle(best))
        return best;
    for_each_cpu (cpu, allowed) {
        const struct run_queue *q = &per_cpu(run_queue, cpu);
        unsigned int load = 2 * (q->count + !is_idle_vcpu(q->running)) + (cpu != v->processor);

        if (load < least) {
            least = load;
            best = cpu;
        }
    }
    return best;
}
