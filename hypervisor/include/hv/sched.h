/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduling: run queues, weights and caps (credit2's control ABI), softirqs, the switch of vCPUs, continuations. There
 * is one hypervisor stack per CPU: nothing blocks inside the hypervisor, long work restarts instead.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <hv/domain.h>
#include <hv/stretch.h>
#include <xen/sched.h>
#include <xen/sysctl.h>

enum softirq { SOFTIRQ_TIMER, SOFTIRQ_SCHEDULE, SOFTIRQ_KEYS, NR_SOFTIRQS };

void open_softirq(enum softirq nr, void (*fn)(void));
void raise_softirq(enum softirq nr);                       /* on this CPU */
void cpu_raise_softirq(unsigned int cpu, enum softirq nr); /* elsewhere: with an IPI when it was not pending */
DECLARE_PER_CPU(unsigned long, softirq_pending);
void do_softirq(void); /* runs all pending ones; may switch vCPU and not return */

void sched_init(void);
void sched_init_cpu(unsigned int cpu);
/* Scheduler state of a vCPU (sched_lock). */
#define SCHED_WEIGHT_DEFAULT 256
struct sched_vcpu {
    struct vcpu *vcpu;
    cpumask_t queued_for; /* it is on the queues of these CPUs; none: not queued */
    uint64_t latest;      /* queued: it counts as having this virtual time, should its domain's be later */
    s_time_t queued_at;
    s_time_t started;   /* when it last got a CPU, or when its run time was last accounted */
    s_time_t grant;     /* part of the domain's budget that it may use up; only with a cap */
    s_time_t grant_end; /* of the period that it belongs to */
    bool yielded;       /* lets others go first at the next choice */
    bool overridden;    /* pinned by SCHEDOP_pin_override; saved_affinity is what it had */
    cpumask_t saved_affinity;
    struct list_head link[]; /* [nr_cpus], on its domain's entry of the queue of each CPU of queued_for */
};
int sched_domain_init(struct domain *d);
void sched_domain_free(struct domain *d);
int sched_vcpu_init(struct vcpu *v);
void sched_vcpu_free(struct vcpu *v);
void vcpu_wake(struct vcpu *v);         /* became runnable: queue it */
void vcpu_sleep_nosync(struct vcpu *v); /* became not runnable: reschedule its CPU if it runs */
void vcpu_sleep_sync(struct vcpu *v);   /* and wait until its state is saved */
void vcpu_unblock(struct vcpu *v);      /* an event came: ends block and poll */
void vcpu_yield(void);
/* Where v may run; -EINVAL: on no CPU, -EBUSY: pinned by an override. */
int vcpu_set_affinity(struct vcpu *v, cpumask_t hard);
/* Where v would rather run. A mask that leaves nothing of the hard affinity, or all of it, has no effect. */
int vcpu_set_soft_affinity(struct vcpu *v, cpumask_t soft);
/* SCHEDOP_pin_override: pins v to one CPU for a while, over its hard affinity; cpu < 0 ends that. -EBUSY: it is pinned
 * already; -EINVAL: no such CPU, or nothing to end. */
int vcpu_override_affinity(struct vcpu *v, int cpu);
uint64_t vcpu_cpu_time(struct vcpu *v); /* ns of running */
void vcpu_get_runstate(struct vcpu *v, struct vcpu_runstate_info *out);
int sched_adjust(struct domain *d, struct xen_domctl_scheduler_op *op);
int sched_adjust_global(struct xen_sysctl_scheduler_op *op);
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
