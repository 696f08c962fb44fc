/* SPDX-License-Identifier: BSD-2-Clause */
/* Debug keys of the scheduler: 'r' run queues, 'a' timers. Read without locks: for a person at the console. */
#include "queue.h"

#include <hv/console.h>

static void dump_queue(unsigned int cpu)
{
    const struct run_queue *q = &per_cpu(run_queue, cpu);
    struct queue_entry *e;
    struct sched_vcpu *s;

    printk("CPU%u: runs d%uv%u, %u queued, clock %lu, softirqs %#lx\n", cpu, q->running->domain->id,
           q->running->vcpu_id, q->count, q->clock, per_cpu(softirq_pending, cpu));
    list_for_each (e, &q->entries, link)
        for (unsigned int cost = 0; cost < COSTS; cost++)
            list_for_each (s, &e->waiting[cost], link[cpu])
                printk("    d%uv%u vruntime %lu, ran on CPU%u\n", e->domain->id, s->vcpu->vcpu_id,
                       e->domain->sched.vruntime, s->vcpu->processor);
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
