/* SPDX-License-Identifier: BSD-2-Clause */
/* Run queues, budgets and what the files of sched/ share. All functions want sched_lock held. */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include <hv/sched.h>

#define TIME_SLICE MILLISECS(10)

extern spinlock_t sched_lock; /* RANK_SCHED */

/* What waits of a domain for a CPU: vCPUs by age, apart by what it costs to run them there. */
enum costs { FREE, MOVES, UNLIKED, MOVES_UNLIKED, COSTS };
struct queue_entry {
    struct list_head link; /* on the CPU's queue unless it has no vCPU, or the domain is parked */
    struct domain *domain;
    struct list_head waiting[COSTS];
    unsigned int count;
    unsigned int here; /* queued vCPUs of the domain whose v->processor this CPU is */
};

struct run_queue {
    struct list_head entries; /* of domains that have something to run here */
    unsigned int count;       /* vCPUs of domains with budget that are queued with this CPU as v->processor */
    uint64_t clock;           /* virtual time here: of what was chosen last */
    struct vcpu *running;
    struct timer slice;
    s_time_t idle_since, idle_time;
};
DECLARE_PER_CPU(struct run_queue, run_queue);

/* queue.c */

/* Queues v, which slept or is moved, for all CPUs it may run on, as one that ran on cpu last (v->processor). */
void queue_join(struct vcpu *v, unsigned int cpu, s_time_t now);
/* Queues v, which ran on v->processor. */
void queue_put_back(struct vcpu *v, s_time_t now);
void queue_remove(struct vcpu *v);
bool queue_has(const struct vcpu *v);
/* Takes all that is queued of d, and will be, out of the CPUs' sight; shows it again. */
void queue_park(struct domain *d);
void queue_unpark(struct domain *d);
/* The vCPU that should run on cpu, taken off the queues; NULL: none may. last is chosen only if there is no other. */
struct vcpu *queue_pick(unsigned int cpu, struct vcpu *last);
/* The vCPU of d that cpu should run first; NULL: none that waits may run there now. */
struct vcpu *queue_oldest(struct domain *d, unsigned int cpu);
/* Does a queued vCPU wait that may run on cpu? */
bool queue_waits_for(unsigned int cpu);
/* Where v should be queued on waking: an idle CPU that it likes, an idle CPU, else the shortest queue. */
unsigned int queue_place(const struct vcpu *v);
bool cpu_is_idle(unsigned int cpu);
/* An idle CPU of the mask, first if it is one; false: none, *found is left alone. */
bool idle_cpu_of(cpumask_t mask, unsigned int first, unsigned int *found);
/* CPUs that v may run on; of these, those that it would rather run on (all, if it does not care). */
cpumask_t allowed_cpus(const struct vcpu *v);
cpumask_t liked_cpus(const struct vcpu *v);
/* v is on a CPU that it does not like while one that it likes is idle. */
bool queue_wants_away(const struct vcpu *v);
void queue_set_weight(struct domain *d, uint16_t weight);
/* Adds ns of running to the virtual time of v's domain. */
void queue_charge(struct vcpu *v, uint64_t ns);
/* v, which is queued, comes before what runs on cpu by enough to take its place. */
bool queue_preempts(const struct vcpu *v, unsigned int cpu);
/* By yielding, d forgoes what it is behind next by more than a time slice of that. */
void queue_forgo(struct domain *d, const struct domain *next);
/* a comes before b in virtual time. */
static inline bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

/* budget.c */

/* A part of the domain's budget for v, which is about to run. */
void budget_take(struct vcpu *v, s_time_t now);
void budget_give_back(struct vcpu *v);
/* Can a vCPU of d run on in this period? Begins a new one when it is time. */
bool budget_left(struct sched_domain *d, s_time_t now);
void budget_set_cap(struct sched_domain *d, uint16_t cap, s_time_t now);
/* When v, which runs, has to be looked at because of its domain's cap; STIME_MAX without one. */
s_time_t budget_deadline(const struct vcpu *v, s_time_t now);

/* sched.c */

/* Charges what runs on all CPUs up to now: before virtual times are compared or weights change. */
void sched_account(s_time_t now);
/* Queues v, which may run, where it is best placed, and makes a CPU look at it once its domain has budget. */
void sched_enqueue(struct vcpu *v, s_time_t now);
/* Makes a CPU look at v, which is queued: an idle one, or the one whose domain is furthest ahead of it. */
void sched_tickle(const struct vcpu *v, s_time_t now);
/* Lets the CPUs see what waits of d again, if there is budget. */
void sched_unpark(struct domain *d, s_time_t now);
s_time_t sched_ratelimit(void); /* adjust.c: how long a vCPU runs at least before another preempts it */

void sched_register_keys(void); /* dump.c */

#endif
