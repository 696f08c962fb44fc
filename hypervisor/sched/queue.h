/* SPDX-License-Identifier: BSD-2-Clause */
/* Run queues; private to sched/. All functions want sched_lock held. */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include <hv/sched.h>

struct run_queue {
    struct list_head list; /* queued vCPUs by vruntime */
    unsigned int count;
    uint64_t min_vruntime; /* never falls; a vCPU that joins starts near it */
    struct vcpu *running;
    struct timer slice;
    s_time_t idle_since, idle_time;
};
DECLARE_PER_CPU(struct run_queue, run_queue);

/* Puts v on the queue of CPU cpu (v->processor becomes cpu). */
void queue_insert(struct vcpu *v, unsigned int cpu);
void queue_remove(struct vcpu *v);
bool queue_has(const struct vcpu *v);
/* First vCPU of the queue, or one of a longer queue that may run here and is not being switched out; NULL. Removed from
 * its queue. */
struct vcpu *queue_pick(unsigned int cpu);
/* Where v should be queued on waking: an idle CPU of its affinity, else the shortest queue. */
unsigned int queue_place(const struct vcpu *v);
bool cpu_is_idle(unsigned int cpu);
/* Adds ns of running to v's vruntime by its domain's weight. */
void queue_charge(struct vcpu *v, uint64_t ns);

void sched_register_keys(void); /* dump.c */

#endif
