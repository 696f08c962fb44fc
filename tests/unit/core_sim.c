// SPDX-License-Identifier: BSD-2-Clause
/* The simulation of core_sim.h. */
#include <hv/timer.h>
#include "core_sim.h"

struct sim sim;

static void pause_guests(void)
{
    for (unsigned int i = 0; i < sim.domains; i++)
        domain_pause_nosync(sim.d[i]);
    core_settle();
}

int sim_end(void **state)
{
    pause_guests(); /* so that there is a CPU to kill them from */
    cpu_online_map.bits = (1u << FAKE_CPUS) - 1;
    return core_end(state);
}

void sim_begin(unsigned int cpus)
{
    struct vcpu *v = control_domain->vcpu[0];

    memset(&sim, 0, sizeof(sim));
    set_bit(VPF_blocked, &v->pause_flags);
    vcpu_sleep_nosync(v);
    core_settle();
    cpu_online_map.bits = (1u << cpus) - 1;
    core_on(0);
}

void sim_end_guests(void)
{
    pause_guests();
    for (unsigned int i = 0; i < sim.domains; i++)
        core_kill(sim.d[i]);
    sim.domains = 0;
    cpu_online_map.bits = (1u << FAKE_CPUS) - 1;
}

void sim_adjust(struct domain *d, uint16_t weight, uint16_t cap)
{
    struct xen_domctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_DOMCTL_SCHEDOP_putinfo};

    op.u.credit2.weight = weight;
    op.u.credit2.cap = cap;
    assert_int_equal(sched_adjust(d, &op), 0);
    core_settle();
}

struct domain *sim_guest(unsigned int vcpus, uint16_t weight, uint16_t cap)
{
    struct domain *d = core_guest(vcpus, 0);

    assert_true(sim.domains < MAX_SIM && sim.tasks + vcpus <= MAX_TASKS);
    sim_adjust(d, weight, cap);
    sim.d[sim.domains++] = d;
    for (unsigned int i = 0; i < vcpus; i++)
        sim.task[sim.tasks++] = (struct task){.v = d->vcpu[i]};
    core_settle();
    return d;
}

void sim_habit(struct vcpu *v, enum habit habit, s_time_t burst, s_time_t rest)
{
    for (unsigned int i = 0; i < sim.tasks; i++)
        if (sim.task[i].v == v)
            sim.task[i] = (struct task){
                .v = v, .habit = habit, .burst = burst, .rest = rest, .until = vcpu_cpu_time(v) + (uint64_t)burst};
}

void sim_pin(const struct domain *d, uint64_t cpus)
{
    struct vcpu *v;

    for_each_vcpu (d, v)
        assert_int_equal(vcpu_set_affinity(v, (cpumask_t){cpus}), 0);
    core_settle();
}

bool sim_runs(const struct vcpu *v)
{
    return per_cpu(run_queue, v->processor).running == v;
}

static s_time_t next_event(s_time_t end)
{
    s_time_t next = end;
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        next = MIN(next, core.deadline[cpu]);
    for (unsigned int i = 0; i < sim.tasks; i++) {
        const struct task *t = &sim.task[i];

        if (t->wake_at)
            next = MIN(next, t->wake_at);
        else if (t->habit != HOG && sim_runs(t->v))
            next = MIN(next, core.now + (s_time_t)t->until - (s_time_t)vcpu_cpu_time(t->v));
    }
    return MAX(next, core.now);
}

static void rest(struct task *t)
{
    t->until = vcpu_cpu_time(t->v) + (uint64_t)t->burst;
    core_as(t->v);
    if (t->habit == YIELDER) {
        vcpu_yield();
        return;
    }
    t->wake_at = core.now + t->rest;
    set_bit(VPF_blocked, &t->v->pause_flags);
    raise_softirq(SOFTIRQ_SCHEDULE);
}

static void act(void)
{
    for (unsigned int i = 0; i < sim.tasks; i++) {
        struct task *t = &sim.task[i];

        if (t->wake_at && t->wake_at <= core.now) {
            t->wake_at = 0;
            vcpu_unblock(t->v);
        } else if (!t->wake_at && t->habit != HOG && sim_runs(t->v) && vcpu_runnable(t->v) &&
                   vcpu_cpu_time(t->v) >= t->until)
            rest(t);
        core_settle();
    }
}

/* ---- what holds at every event ---- */

static void check_work_conserving(void)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        for (unsigned int i = 0; i < sim.tasks && is_idle_vcpu(per_cpu(run_queue, cpu).running); i++) {
            const struct vcpu *v = sim.task[i].v;

            assert_false(queue_has(v) && !v->domain->sched.parked && cpumask_test(&v->hard_affinity, cpu));
        }
}

static void check_waiting(struct task *t)
{
    bool waits = vcpu_runnable(t->v) && !sim_runs(t->v);

    assert_int_equal(waits, queue_has(t->v));
    assert_true(!waits || t->v->runstate.state == RUNSTATE_runnable);
    if (t->waiting_from)
        sim.longest_wait = MAX(sim.longest_wait, core.now - t->waiting_from);
    t->waiting_from = !waits ? 0 : t->waiting_from ? t->waiting_from : core.now;
}

uint64_t sim_used(const struct domain *d)
{
    uint64_t ns = 0;
    struct vcpu *v;

    for_each_vcpu (d, v)
        ns += vcpu_cpu_time(v);
    return ns;
}

/* A window of any length touches one period more than it has whole ones, at either end. */
static void check_caps(void)
{
    s_time_t whole = (core.now - sim.mark_time) / PERIOD;

    for (unsigned int i = 0; i < sim.domains; i++) {
        uint64_t ns = sim_used(sim.d[i]) - sim.mark_used[i];

        if (sim.d[i]->sched.cap)
            assert_true(ns <= (uint64_t)((whole + 2) * PERIOD * sim.d[i]->sched.cap / 100));
    }
    if (fake_chance(2))
        sim_restart_window();
}

static void check_counts(const struct domain *d)
{
    unsigned int queued = 0;
    struct vcpu *v;

    for_each_vcpu (d, v)
        queued += queue_has(v);
    assert_int_equal(d->sched.queued, queued);
    if (d->sched.parked) {
        assert_true(d->sched.cap && d->sched.budget < MICROSECS(50));
        assert_true(!queued || !list_empty(&d->sched.refill.link));
    }
}

void sim_restart_window(void)
{
    sim.mark_time = core.now;
    for (unsigned int i = 0; i < sim.domains; i++)
        sim.mark_used[i] = sim_used(sim.d[i]);
}

void sim_run(s_time_t ns)
{
    s_time_t end = core.now + ns;

    sim.start = core.now;
    sim.longest_wait = 0;
    sim_restart_window();
    for (unsigned int i = 0; i < sim.tasks; i++)
        sim.task[i].at_start = vcpu_cpu_time(sim.task[i].v);
    for (;;) {
        core_pass(next_event(end) - core.now);
        if (core.now >= end)
            return;
        act();
        check_work_conserving();
        check_caps();
        for (unsigned int i = 0; i < sim.tasks; i++)
            check_waiting(&sim.task[i]);
        for (unsigned int i = 0; i < sim.domains; i++)
            check_counts(sim.d[i]);
    }
}

unsigned int sim_share(const struct domain *d)
{
    uint64_t ns = 0;

    for (unsigned int i = 0; i < sim.tasks; i++)
        if (sim.task[i].v->domain == d)
            ns += vcpu_cpu_time(sim.task[i].v) - sim.task[i].at_start;
    return (unsigned int)(ns * 10000 / (uint64_t)(core.now - sim.start));
}

void assert_share(const struct domain *d, unsigned int want, unsigned int percent)
{
    unsigned int got = sim_share(d), off = got > want ? got - want : want - got;

    if (off * 100 <= want * percent)
        return;
    for (unsigned int i = 0; i < sim.domains; i++)
        print_error("d%u: %u vCPUs, weight %u, cap %u: %u\n", sim.d[i]->id, sim.d[i]->max_vcpus, sim.d[i]->sched.weight,
                    sim.d[i]->sched.cap, sim_share(sim.d[i]));
    fail_msg("d%u on %u CPUs should have %u", d->id, cpumask_weight(cpu_online_map), want);
}
