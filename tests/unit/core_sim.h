/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fairness, by simulation: the real scheduler and its timers on a clock that jumps from event to event. A task is a
 * vCPU with a habit: it runs for ever, or sleeps, or yields, after so much CPU time. Shares are those of the CPU-time
 * counters. At every event: no CPU idles that could take a queued vCPU; nothing waits longer than its share explains;
 * no window of time sees more of a capped guest than its budget.
 */
#ifndef CORE_SIM_H
#define CORE_SIM_H

#include "../../hypervisor/sched/queue.h"
#include "fake/core.h"

#define MAX_CROWD 64
#define MAX_TASKS (MAX_CROWD + 1)
#define MAX_SIM   8
#define PERIOD    MILLISECS(10) /* of caps */

enum habit { HOG, SLEEPER, YIELDER };

struct task {
    struct vcpu *v;
    enum habit habit;
    s_time_t burst, rest;  /* CPU time until it rests; for how long a sleeper does */
    uint64_t until;        /* CPU time at which it rests next */
    s_time_t wake_at;      /* while it sleeps; 0: it does not */
    s_time_t waiting_from; /* runnable without a CPU since then; 0: no */
    uint64_t at_start;
};

extern struct sim {
    unsigned int tasks, domains;
    struct task task[MAX_TASKS];
    struct domain *d[MAX_SIM];
    s_time_t start, longest_wait;
    s_time_t mark_time; /* a window for the caps begins here */
    uint64_t mark_used[MAX_SIM];
} sim;

#define FAIR_TEST(f) cmocka_unit_test_setup_teardown(f, core_begin, sim_end)

/* A machine with that many CPUs whose control domain sleeps. */
void sim_begin(unsigned int cpus);
/* The guests are gone; the machine stays. */
void sim_end_guests(void);
int sim_end(void **state);
/* A guest of hogs; its tasks are the last ones. */
struct domain *sim_guest(unsigned int vcpus, uint16_t weight, uint16_t cap);
void sim_adjust(struct domain *d, uint16_t weight, uint16_t cap);
/* What v does from now on, by CPU time from its rest on, and for how long it rests. */
void sim_habit(struct vcpu *v, enum habit habit, s_time_t burst, s_time_t rest);
void sim_pin(const struct domain *d, uint64_t cpus);
bool sim_runs(const struct vcpu *v);
/* CPU time of all vCPUs of d, in ns. */
uint64_t sim_used(const struct domain *d);
/* After a change of caps: windows of time begin now. */
void sim_restart_window(void);
/* Lets ns go by, and looks at each event. */
void sim_run(s_time_t ns);
/* Share of one CPU since the last sim_run began, in parts of 10000. */
unsigned int sim_share(const struct domain *d);
void assert_share(const struct domain *d, unsigned int want, unsigned int percent);

#endif
