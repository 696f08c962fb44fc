/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time and timers. system_time() is nanoseconds since boot from the TSC. A timer runs its function once, on its CPU,
 * from the timer softirq (interrupts on, no locks held), at or soon after its deadline.
 */
#ifndef HV_TIMER_H
#define HV_TIMER_H

#include <hv/list.h>

struct vcpu;
struct domain;

struct timer {
    struct list_head link; /* queue of its CPU, ordered by deadline (RANK_TIMER); empty: not armed */
    s_time_t expires;
    void (*fn)(void *data);
    void *data;
    unsigned int cpu;
    bool killed;
};

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned int cpu);
void timer_set(struct timer *t, s_time_t expires); /* re-arms an armed timer */
void timer_stop(struct timer *t);
void timer_kill(struct timer *t); /* stops it, waits for a running handler elsewhere; cannot be armed again */
void timer_migrate(struct timer *t, unsigned int cpu);
void timer_init_cpu(unsigned int cpu); /* its queue; from sched_init_cpu */
void timer_dump_cpu(unsigned int cpu);
void timer_boot_init(void); /* softirq handler; per-CPU queues need none */

/* x86/time.c */
s_time_t system_time(void);
void time_init(void); /* calibrates the TSC on HPET or PM timer; panics without either */
void time_init_ap(void);
extern uint64_t tsc_khz;
/* Publishes v's vcpu_time_info (its running CPU); and the wallclock record of d. */
void time_update_vcpu(struct vcpu *v);
void time_update_wallclock(struct domain *d);
/* Control domain sets the wallclock: seconds, ns at the given system time (XENPF_settime64). Informs all domains. */
void time_set_wallclock(uint64_t secs, uint32_t nsecs, s_time_t system_time_base);
uint64_t wallclock_seconds(uint32_t *nsecs);
/* Local APIC one-shot or TSC deadline; false when the deadline has passed already. STIME_MAX disarms. */
bool apic_program_timer(s_time_t deadline);

#endif
