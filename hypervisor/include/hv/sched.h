/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduling: per-CPU run queues, weights and work stealing (credit2's control ABI), softirqs, the switch of vCPUs,
 * continuations. There is one hypervisor stack per CPU: nothing blocks inside the hypervisor, long work restarts
 * instead.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <hv/domain.h>
#include <hv/stretch.h>
#include <xen/sched.h>

enum softirq { SOFTIRQ_TIMER, SOFTIRQ_SCHEDULE, SOFTIRQ_KEYS, NR_SOFTIRQS };

void open_softirq(enum softirq nr, void (*fn)(void));
void raise_softirq(enum softirq nr);                       /* on this CPU */
void cpu_raise_softirq(unsigned int cpu, enum softirq nr); /* elsewhere: with an IPI when it was not pending */
DECLARE_PER_CPU(unsigned long, softirq_pending);
void do_softirq(void); /* runs all pending ones; may switch vCPU and not return */

void sched_init(void);
void sched_init_cpu(unsigned int cpu);
/* Scheduler state of a vCPU (sched_lock). vruntime: ns of running scaled by SCHED_WEIGHT_DEFAULT / weight. */
#define SCHED_WEIGHT_DEFAULT 256
#define SCHED_WEIGHT_MAX     65535
struct sched_vcpu {
    struct vcpu *vcpu;
    struct list_head link; /* on the queue of vcpu->processor; empty: not queued */
    uint64_t vruntime;
    s_time_t started; /* when it last got a CPU, or when its run time was last accounted */
    uint64_t cpu_time;
};
int sched_vcpu_init(struct vcpu *v);
void sched_vcpu_free(struct vcpu *v);
void vcpu_wake(struct vcpu *v);         /* became runnable: queue it */
void vcpu_sleep_nosync(struct vcpu *v); /* became not runnable: reschedule its CPU if it runs */
void vcpu_sleep_sync(struct vcpu *v);   /* and wait until its state is saved */
void vcpu_unblock(struct vcpu *v);      /* an event came: ends block and poll */
void vcpu_yield(void);
int vcpu_set_affinity(struct vcpu *v, cpumask_t hard);
uint64_t vcpu_cpu_time(struct vcpu *v); /* ns of running */
void vcpu_get_runstate(struct vcpu *v, struct vcpu_runstate_info *out);
int sched_adjust(struct domain *d, struct xen_domctl_scheduler_op *op);
uint64_t cpu_idle_time(unsigned int cpu);
void sched_context_saved(struct vcpu *v); /* for switch.c: v may run elsewhere now */
/* Puts next's state on this CPU and goes on in it; never returns. */
void context_switch(struct vcpu *prev, struct vcpu *next) __attribute__((noreturn));
void idle_loop(void) __attribute__((noreturn));

/* True when a long operation should be restarted: a softirq or an event for the current vCPU waits. */
bool preempt_needed(void);
/* The same, asked only if work was counted since the last time, so that a slice which has done nothing yet goes on. */
static inline bool preempt_after_work(void)
{
    return this_cpu(stretch_now).work && preempt_needed();
}
/* Likewise, and only if with so many units more the stretch would be beyond the bound. */
static inline bool preempt_before_work(unsigned int units)
{
    return this_cpu(stretch_now).work + units > STRETCH_BOUND && preempt_after_work();
}

#endif
