/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug keys of the scheduler: 'r' run queues, 'a' timers. What a queue has is copied with the lock held, and printed
 * without it: a line takes the time of many changes.
 */
#include "queue.h"

#include <hv/console.h>

#define ROWS 32u /* of a queue that are shown */

struct row {
    uint64_t vruntime;
    unsigned int vcpu, processor;
    domid_t domain;
};

struct picture {
    struct row running, waits[ROWS];
    unsigned int rows, count;
    uint64_t clock;
};

static struct row row_of(const struct vcpu *v)
{
    return (struct row){v->domain->sched.vruntime, v->vcpu_id, v->processor, v->domain->id};
}

/* sched_lock held. */
static void take_picture(unsigned int cpu, struct picture *p)
{
    const struct run_queue *q = &per_cpu(run_queue, cpu);
    struct queue_entry *e;
    struct sched_vcpu *s;

    p->running = row_of(q->running);
    p->count = q->count;
    p->clock = q->clock;
    p->rows = 0;
    list_for_each (e, &q->entries, link)
        for (unsigned int cost = 0; cost < COSTS; cost++)
            list_for_each (s, &e->waiting[cost], link[cpu]) {
                if (p->rows == ROWS)
                    return;
                p->waits[p->rows++] = row_of(s->vcpu);
            }
}

static void dump_queue(unsigned int cpu)
{
    struct picture p;
    unsigned long flags = spin_lock_irqsave(&sched_lock);

    take_picture(cpu, &p);
    spin_unlock_irqrestore(&sched_lock, flags);
    printk("CPU%u: runs d%uv%u, %u queued, clock %lu, softirqs %#lx\n", cpu, p.running.domain, p.running.vcpu, p.count,
           p.clock, per_cpu(softirq_pending, cpu));
    for (unsigned int i = 0; i < p.rows; i++)
        printk("    d%uv%u vruntime %lu, ran on CPU%u\n", p.waits[i].domain, p.waits[i].vcpu, p.waits[i].vruntime,
               p.waits[i].processor);
    if (p.count > p.rows)
        printk("    and %u more\n", p.count - p.rows);
}

static void dump_queues(void)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        dump_queue(cpu);
}

static void dump_timers(void)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        timer_dump_cpu(cpu);
}

void sched_register_keys(void)
{
    register_debug_key('r', "dump run queues", dump_queues);
    register_debug_key('a', "dump timer queues", dump_timers);
}
