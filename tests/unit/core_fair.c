// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fairness, by simulation: the real scheduler and its timers on a clock that jumps from event to event. A task is a
 * vCPU with a habit: it runs for ever, or sleeps, or yields, after so much CPU time. Shares are those of the CPU-time
 * counters. At every event: no CPU idles that could take a queued vCPU; nothing waits longer than its share explains;
 * no window of time sees more of a capped guest than its budget.
 */
#include <stdlib.h>
#include <hv/timer.h>
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

static struct sim {
    unsigned int tasks, domains;
    struct task task[MAX_TASKS];
    struct domain *d[MAX_SIM];
    s_time_t start, longest_wait;
    s_time_t mark_time; /* a window for the caps begins here */
    uint64_t mark_used[MAX_SIM];
} sim;

static void pause_guests(void)
{
    for (unsigned int i = 0; i < sim.domains; i++)
        domain_pause_nosync(sim.d[i]);
    core_settle();
}

static int sim_end(void **state)
{
    pause_guests(); /* so that there is a CPU to kill them from */
    cpu_online_map.bits = (1u << FAKE_CPUS) - 1;
    return core_end(state);
}
#define FAIR_TEST(f) cmocka_unit_test_setup_teardown(f, core_begin, sim_end)

/* A machine with that many CPUs whose control domain sleeps. */
static void sim_begin(unsigned int cpus)
{
    struct vcpu *v = control_domain->vcpu[0];

    memset(&sim, 0, sizeof(sim));
    set_bit(VPF_blocked, &v->pause_flags);
    vcpu_sleep_nosync(v);
    core_settle();
    cpu_online_map.bits = (1u << cpus) - 1;
    core_on(0);
}

static void sim_end_guests(void)
{
    pause_guests();
    for (unsigned int i = 0; i < sim.domains; i++)
        core_kill(sim.d[i]);
    sim.domains = 0;
    cpu_online_map.bits = (1u << FAKE_CPUS) - 1;
}

static void adjust(struct domain *d, uint16_t weight, uint16_t cap)
{
    struct xen_domctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_DOMCTL_SCHEDOP_putinfo};

    op.u.credit2.weight = weight;
    op.u.credit2.cap = cap;
    assert_int_equal(sched_adjust(d, &op), 0);
    core_settle();
}

/* A guest of hogs; its tasks are the last ones. */
static struct domain *guest(unsigned int vcpus, uint16_t weight, uint16_t cap)
{
    struct domain *d = core_guest(vcpus, 0);

    assert_true(sim.domains < MAX_SIM && sim.tasks + vcpus <= MAX_TASKS);
    adjust(d, weight, cap);
    sim.d[sim.domains++] = d;
    for (unsigned int i = 0; i < vcpus; i++)
        sim.task[sim.tasks++] = (struct task){.v = d->vcpu[i]};
    core_settle();
    return d;
}

static void habit(struct vcpu *v, enum habit habit, s_time_t burst, s_time_t rest)
{
    for (unsigned int i = 0; i < sim.tasks; i++)
        if (sim.task[i].v == v)
            sim.task[i] = (struct task){
                .v = v, .habit = habit, .burst = burst, .rest = rest, .until = vcpu_cpu_time(v) + (uint64_t)burst};
}

static void pin(const struct domain *d, uint64_t cpus)
{
    struct vcpu *v;

    for_each_vcpu (d, v)
        assert_int_equal(vcpu_set_affinity(v, (cpumask_t){cpus}), 0);
    core_settle();
}

static bool on_cpu(const struct vcpu *v)
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
        else if (t->habit != HOG && on_cpu(t->v))
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
        } else if (!t->wake_at && t->habit != HOG && on_cpu(t->v) && vcpu_runnable(t->v) &&
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
    bool waits = vcpu_runnable(t->v) && !on_cpu(t->v);

    assert_int_equal(waits, queue_has(t->v));
    assert_true(!waits || t->v->runstate.state == RUNSTATE_runnable);
    if (t->waiting_from)
        sim.longest_wait = MAX(sim.longest_wait, core.now - t->waiting_from);
    t->waiting_from = !waits ? 0 : t->waiting_from ? t->waiting_from : core.now;
}

static uint64_t used(const struct domain *d)
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
        uint64_t ns = used(sim.d[i]) - sim.mark_used[i];

        if (sim.d[i]->sched.cap)
            assert_true(ns <= (uint64_t)((whole + 2) * PERIOD * sim.d[i]->sched.cap / 100));
    }
    if (fake_chance(2)) {
        sim.mark_time = core.now;
        for (unsigned int i = 0; i < sim.domains; i++)
            sim.mark_used[i] = used(sim.d[i]);
    }
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

static void restart_window(void)
{
    sim.mark_time = core.now;
    for (unsigned int i = 0; i < sim.domains; i++)
        sim.mark_used[i] = used(sim.d[i]);
}

static void simulate(s_time_t ns)
{
    s_time_t end = core.now + ns;

    sim.start = core.now;
    sim.longest_wait = 0;
    restart_window();
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

/* Share of one CPU since the simulation's start, in parts of 10000. */
static unsigned int share(const struct domain *d)
{
    uint64_t ns = 0;

    for (unsigned int i = 0; i < sim.tasks; i++)
        if (sim.task[i].v->domain == d)
            ns += vcpu_cpu_time(sim.task[i].v) - sim.task[i].at_start;
    return (unsigned int)(ns * 10000 / (uint64_t)(core.now - sim.start));
}

static void assert_share(const struct domain *d, unsigned int want, unsigned int percent)
{
    unsigned int got = share(d), off = got > want ? got - want : want - got;

    if (off * 100 <= want * percent)
        return;
    for (unsigned int i = 0; i < sim.domains; i++)
        print_error("d%u: %u vCPUs, weight %u, cap %u: %u\n", sim.d[i]->id, sim.d[i]->max_vcpus, sim.d[i]->sched.weight,
                    sim.d[i]->sched.cap, share(sim.d[i]));
    fail_msg("d%u on %u CPUs should have %u", d->id, cpumask_weight(cpu_online_map), want);
}

/* ---- one CPU ---- */

static void test_weights_on_one_cpu(void **state)
{
    static const uint16_t weights[] = {256, 256, 512, 1024, 64};

    sim_begin(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(weights); i++)
        guest(1, weights[i], 0);
    simulate(SECONDS(30));
    for (unsigned int i = 0; i < ARRAY_SIZE(weights); i++)
        assert_share(sim.d[i], 10000u * weights[i] / 2112, 2);
}

static void test_extreme_weights(void **state)
{
    struct domain *light, *heavy;

    sim_begin(1);
    light = guest(1, 1, 0);
    heavy = guest(1, 65535, 0);
    guest(1, 65535, 0);
    simulate(SECONDS(300));
    assert_share(heavy, 5000, 2);
    assert_true(share(light) <= 2);
    adjust(light, 65535, 0); /* at once: what it waited for is not forgotten, what it could not have had is */
    simulate(SECONDS(30));
    assert_share(heavy, 3333, 5);
    assert_share(light, 3333, 5);
}

static void test_vcpu_numbers_do_not_count(void **state)
{
    for (unsigned int cpus = 1; cpus <= 2; cpus++) {
        sim_begin(cpus);
        guest(1, 256, 0);
        guest(4, 256, 0);
        simulate(SECONDS(20));
        assert_share(sim.d[0], cpus * 5000, 2);
        assert_share(sim.d[1], cpus * 5000, 2);
        sim_end_guests();
    }
}

/* However many of its own a vCPU waits for: it is their guest that is behind the other or ahead. */
static void test_a_crowd_is_one_guest(void **state)
{
    for (unsigned int cpus = 1; cpus <= 2; cpus++) {
        sim_begin(cpus);
        guest(1, 256, 0);
        guest(MAX_CROWD, 256, 0);
        simulate(SECONDS(20));
        assert_share(sim.d[0], cpus * 5000, 2);
        assert_share(sim.d[1], cpus * 5000, 2);
        sim_end_guests();
    }
}

/* What rests just before the tick, rests rarely, or yields, has no more than its share; what runs on loses nothing. */
static void test_resting_earns_nothing(void **state)
{
    static const struct {
        enum habit habit;
        s_time_t burst, rest;
        unsigned int vcpus;
    } tricks[] = {
        {SLEEPER, MICROSECS(9900), MICROSECS(100), 1},
        {SLEEPER, MICROSECS(500), MICROSECS(10), 1},
        {SLEEPER, MILLISECS(50), MILLISECS(5), 1},
        {SLEEPER, MILLISECS(4), MICROSECS(6001), 3},
        {SLEEPER, MICROSECS(9900), MICROSECS(100), 4},
        {YIELDER, MICROSECS(100), 0, 1},
        {YIELDER, MICROSECS(9900), 0, 3},
        {SLEEPER, MICROSECS(900), MICROSECS(1), 2},
    };

    for (unsigned int cpus = 1; cpus <= 2; cpus++)
        for (unsigned int i = 0; i < ARRAY_SIZE(tricks); i++) {
            struct domain *honest, *tricky;
            struct vcpu *v;

            sim_begin(cpus);
            honest = guest(cpus, 256, 0);
            tricky = guest(tricks[i].vcpus, 256, 0);
            for_each_vcpu (tricky, v)
                habit(v, tricks[i].habit, tricks[i].burst, tricks[i].rest);
            simulate(SECONDS(20));
            if (share(honest) < cpus * 5000 * 97 / 100)
                fail_msg("trick %u on %u CPUs leaves %u of 10000", i, cpus, share(honest));
            sim_end_guests();
        }
}

/* ---- several CPUs ---- */

static void test_three_hogs_on_two_cpus(void **state)
{
    sim_begin(2);
    for (unsigned int i = 0; i < 3; i++)
        guest(1, 256, 0);
    simulate(SECONDS(20));
    for (unsigned int i = 0; i < 3; i++)
        assert_share(sim.d[i], 6667, 2);
    assert_true(sim.longest_wait <= 2 * TIME_SLICE);
}

/* More weight than one CPU serves: it has one CPU; when that ends it does not live on what it could not have. */
static void test_more_weight_than_a_cpu(void **state)
{
    sim_begin(2);
    for (unsigned int i = 0; i < 3; i++)
        guest(1, i ? 256 : 4096, 0);
    simulate(SECONDS(60));
    assert_share(sim.d[0], 10000, 1);
    assert_share(sim.d[1], 5000, 2);
    adjust(sim.d[0], 256, 0);
    simulate(SECONDS(5));
    for (unsigned int i = 0; i < 3; i++)
        assert_share(sim.d[i], 6667, 5);
}

/* Pinned guests share their CPU by weight, whatever the others do; what history they have apart does not last. */
static void test_pinned(void **state)
{
    struct domain *a, *b, *c;

    sim_begin(2);
    a = guest(1, 512, 0);
    b = guest(1, 256, 0);
    pin(a, 1);
    pin(b, 1);
    c = guest(1, 256, 0);
    simulate(SECONDS(60));
    assert_share(a, 6667, 2);
    assert_share(b, 3333, 2);
    assert_share(c, 10000, 1);
    pin(a, 3); /* now all three compete: one CPU for 512, half of one for each 256 */
    pin(b, 3);
    simulate(SECONDS(10));
    assert_share(a, 10000, 5);
    assert_share(b, 5000, 5);
    assert_share(c, 5000, 5);
}

static void test_newcomer_after_drift(void **state)
{
    struct domain *late;

    sim_begin(2);
    pin(guest(1, 256, 0), 1);
    pin(guest(1, 256, 0), 1);
    pin(guest(1, 256, 0), 2);
    simulate(SECONDS(100)); /* the clock of CPU 1 is 50 s ahead */
    late = guest(1, 256, 0);
    simulate(SECONDS(10));
    assert_true(sim.longest_wait <= 6 * TIME_SLICE);
    assert_share(late, 5000, 5);
    assert_share(sim.d[2], 5000, 5);
}

static void test_soft_affinity(void **state)
{
    struct domain *a, *b;

    sim_begin(2);
    a = guest(1, 256, 0);
    b = guest(1, 256, 0);
    assert_int_equal(vcpu_set_soft_affinity(a->vcpu[0], cpumask_of(1)), 0);
    core_settle();
    habit(b->vcpu[0], SLEEPER, MILLISECS(3), MILLISECS(3));
    simulate(SECONDS(1));
    assert_int_equal(a->vcpu[0]->processor, 1);
    assert_int_equal(vcpu_set_soft_affinity(a->vcpu[0], cpumask_of(0)), 0);
    simulate(SECONDS(1));
    assert_int_equal(a->vcpu[0]->processor, 0); /* it moved when that CPU had nothing to do */
    assert_share(a, 10000, 2);
    assert_int_equal(vcpu_set_soft_affinity(b->vcpu[0], cpumask_of(0)), 0); /* a wish, not a right: no CPU idles */
    habit(b->vcpu[0], HOG, 0, 0);
    simulate(SECONDS(1));
    assert_share(a, 10000, 2);
    assert_share(b, 10000, 2);
    assert_int_equal(vcpu_set_soft_affinity(b->vcpu[0], CPUMASK_NONE), 0); /* no wish */
    simulate(SECONDS(1));
    assert_share(b, 10000, 2);
}

/* ---- caps ---- */

static void test_caps(void **state)
{
    static const struct {
        unsigned int cpus, vcpus;
        uint16_t cap;
    } cases[] = {{1, 1, 50}, {1, 1, 1}, {2, 2, 50}, {2, 4, 130}, {4, 4, 25}, {4, 3, 299}, {1, 4, 99}};

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        struct domain *d;

        sim_begin(cases[i].cpus);
        d = guest(cases[i].vcpus, 256, cases[i].cap);
        simulate(SECONDS(5));
        assert_true(share(d) <= cases[i].cap * 100u);
        assert_share(d, cases[i].cap * 100u, 3);
        assert_true(sim.longest_wait <= 2 * PERIOD + MICROSECS(1));
        sim_end_guests();
    }
}

static void test_cap_changes(void **state)
{
    struct domain *d;

    sim_begin(1);
    d = guest(1, 256, 20);
    simulate(SECONDS(2) + MILLISECS(5));
    assert_share(d, 2000, 2);
    assert_true(queue_has(d->vcpu[0]) && d->sched.parked);
    assert_int_equal(d->vcpu[0]->runstate.state, RUNSTATE_runnable);
    adjust(d, 0, 0);
    core_settle();
    assert_true(on_cpu(d->vcpu[0])); /* at once */
    simulate(SECONDS(1));
    assert_share(d, 10000, 1);
    assert_int_equal(core.deadline[0], STIME_MAX); /* nothing ticks */
    adjust(d, 0, 70);
    simulate(SECONDS(1));
    assert_share(d, 7000, 2);
    adjust(d, 0, 10);
    simulate(SECONDS(1));
    assert_share(d, 1000, 2);
}

/* The others have what a capped guest may not use; one that sleeps while parked is not forgotten. */
static void test_cap_among_others(void **state)
{
    struct domain *capped, *free, *sleeper;

    sim_begin(1);
    capped = guest(2, 1024, 25);
    free = guest(1, 256, 0);
    sleeper = guest(1, 256, 30);
    habit(sleeper->vcpu[0], SLEEPER, MILLISECS(1), MILLISECS(1));
    simulate(SECONDS(10));
    assert_share(capped, 2500, 3);
    assert_true(share(sleeper) <= 3000);
    assert_true(share(free) >= 4500);
    vcpu_pause_nosync(capped->vcpu[0]);
    vcpu_pause_nosync(capped->vcpu[1]);
    core_settle();
    assert_int_equal(capped->sched.queued, 0);
    vcpu_unpause(capped->vcpu[1]);
    simulate(SECONDS(5));
    assert_share(capped, 2500, 3);
}

/* A late timer lets a guest use more than its budget; it pays that back. */
static void test_overrun_is_paid_back(void **state)
{
    struct domain *d;

    sim_begin(1);
    d = guest(1, 256, 10);
    simulate(SECONDS(1));
    while (!on_cpu(d->vcpu[0]))
        core_pass(MILLISECS(1));
    core.now += MILLISECS(50);
    core_pass(0);
    assert_true(queue_has(d->vcpu[0]) && d->sched.parked);
    core_pass(MILLISECS(400));
    assert_true(queue_has(d->vcpu[0]) && d->sched.parked);
    core_pass(MILLISECS(120));
    assert_true(used(d) * 10 <= (uint64_t)(core.now - sim.start) + 2 * MILLISECS(10));
    simulate(SECONDS(1));
    assert_share(d, 1000, 2);
}

/* ---- the rate limit ---- */

static void set_ratelimit(uint32_t us)
{
    struct xen_sysctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_SYSCTL_SCHEDOP_putinfo};

    op.u.sched_credit2.ratelimit_us = us;
    assert_int_equal(sched_adjust_global(&op), 0);
    assert_int_equal(op.u.sched_credit2.ratelimit_us, us);
}

static void test_ratelimit(void **state)
{
    static const uint32_t limits[] = {0, 1000, 5000, 100000};

    for (unsigned int i = 0; i < ARRAY_SIZE(limits); i++) {
        sim_begin(1);
        set_ratelimit(limits[i]);
        guest(1, 256, 0);
        habit(guest(1, 256, 0)->vcpu[0], SLEEPER, MICROSECS(200), MICROSECS(300));
        simulate(SECONDS(1));
        simulate(SECONDS(2)); /* the sleeper is behind, and wakes 300 us after the other got the CPU */
        assert_in_range(sim.longest_wait, limits[i] ? MICROSECS(limits[i] - 300) : 0, MICROSECS(MAX(limits[i], 200u)));
        sim_end_guests();
    }
    set_ratelimit(1000);
}

/* ---- random ---- */

/* What hogs that may run anywhere should have: by weight, but no more than their vCPUs can use. */
static void fair_shares(unsigned int cpus, unsigned int want[MAX_SIM])
{
    bool full[MAX_SIM] = {false};
    bool again;

    do {
        unsigned int left = cpus * 10000, weights = 0;

        again = false;
        for (unsigned int i = 0; i < sim.domains; i++) {
            left -= full[i] ? want[i] : 0;
            weights += full[i] ? 0 : sim.d[i]->sched.weight;
        }
        for (unsigned int i = 0; i < sim.domains; i++) {
            unsigned int limit = MIN(sim.d[i]->max_vcpus, cpus) * 10000;

            if (full[i])
                continue;
            want[i] = MIN(left * sim.d[i]->sched.weight / weights, limit);
            if (want[i] == limit)
                full[i] = again = true;
        }
    } while (again);
}

/* Two-sided, and closer than what is promised of unequal weights. */
static void check_fair_shares(unsigned int cpus)
{
    unsigned int want[MAX_SIM] = {0};

    fair_shares(cpus, want);
    for (unsigned int i = 0; i < sim.domains; i++)
        assert_share(sim.d[i], want[i], 5);
}

/* What is promised: between equals 5 %, otherwise 10 %. */
static unsigned int promise(const struct domain *a, const struct domain *b)
{
    return a->sched.weight == b->sched.weight ? 5 : 10;
}

/* a has no less for its weight than b, less so many per cent. */
static bool as_well_off(const struct domain *a, const struct domain *b, unsigned int percent)
{
    return (uint64_t)share(a) * b->sched.weight * 100 >= (uint64_t)share(b) * a->sched.weight * (100 - percent);
}

/* Guests with a cap that are behind d come back at once and take all CPUs for so long as they have budget: what d,
 * which has no more vCPUs later, cannot make up for, at most. */
static unsigned int taken_at_once(const struct domain *d, unsigned int cpus)
{
    unsigned int sum = 0;

    for (unsigned int i = 0; i < sim.domains; i++)
        if (sim.d[i]->sched.cap && as_well_off(d, sim.d[i], 5))
            sum += share(sim.d[i]);
    return sum / cpus * MIN(d->max_vcpus, cpus);
}

/*
 * d has no cap. It has its share, or no less for its weight than the other one; what it should have all the time, for
 * all its vCPUs, it may miss while those with a cap come back. An equal without a cap has the same, both ways.
 */
static void check_beside(const struct domain *d, const struct domain *other, unsigned int cpus, unsigned int want)
{
    bool all = want == MIN(d->max_vcpus, cpus) * 10000;

    if (!as_well_off(d, other, 5) && share(d) < want && !(all && share(d) + taken_at_once(d, cpus) >= want))
        assert_share(d, want, promise(d, other));
    if (!other->sched.cap && d->sched.weight == other->sched.weight && d->max_vcpus == other->max_vcpus)
        assert_share(d, share(other), 5);
}

/*
 * A guest with a cap never has more than that; it may lose what it could have used while it was parked. That goes to
 * the others, so that those may have more than their share: their promise is held from below.
 */
static void check_capped_shares(unsigned int cpus)
{
    unsigned int want[MAX_SIM] = {0};

    fair_shares(cpus, want);
    for (unsigned int i = 0; i < sim.domains; i++) {
        const struct domain *d = sim.d[i];

        for (unsigned int j = 0; j < sim.domains && !d->sched.cap; j++)
            check_beside(d, sim.d[j], cpus, want[i]);
        if (d->sched.cap)
            assert_in_range(share(d), MIN(want[i], d->sched.cap * 100u) / 2, d->sched.cap * 100);
    }
}

static void test_random_shares(void **state)
{
    for (unsigned long round = 0; round < fake_ops(30); round++) {
        unsigned int cpus = 1 + fake_below(FAKE_CPUS), guests = 2 + fake_below(4);
        bool caps = fake_chance(30);

        sim_begin(cpus);
        for (unsigned int i = 0; i < guests; i++) {
            unsigned int vcpus = 1 + fake_below(4);
            bool cap = caps && fake_chance(50);

            guest(vcpus, (uint16_t)(64u << fake_below(5)), cap ? (uint16_t)(5 + fake_below(95 * vcpus)) : 0);
        }
        simulate(SECONDS(1)); /* what they had while the others came */
        simulate(SECONDS(30));
        if (caps)
            check_capped_shares(cpus);
        else
            check_fair_shares(cpus);
        sim_end_guests();
    }
}

static void random_change(void)
{
    struct domain *d = sim.d[fake_below(sim.domains)];
    struct task *t = &sim.task[fake_below(sim.tasks)];

    switch (fake_below(6)) {
    case 0:
        adjust(d, (uint16_t)(128 + fake_below(512)), d->sched.cap);
        break;
    case 1:
        adjust(d, 0, fake_chance(50) ? 0 : (uint16_t)(10 + fake_below(90 * d->max_vcpus)));
        restart_window();
        break;
    case 2:
        (void)vcpu_set_affinity(t->v, (cpumask_t){1 + fake_below(15)});
        break;
    case 3:
        (void)vcpu_set_soft_affinity(t->v, (cpumask_t){fake_below(16)});
        break;
    case 4:
        t->habit = fake_below(3);
        t->burst = MICROSECS(100) + fake_below(15000000);
        t->rest = MICROSECS(10) + fake_below(15000000);
        t->until = vcpu_cpu_time(t->v) + (uint64_t)t->burst;
        break;
    default:
        vcpu_pause_nosync(t->v);
        core_settle();
        vcpu_unpause(t->v);
    }
    core_settle();
}

/*
 * By its CPU's clock a vCPU waits for two slices of each vCPU of its guest and 40 ms (queue.c, latest), 120 ms of its
 * guest's run time with four of them; the clock takes so long, times all weights by its own. By its share alone, when
 * all are pinned to one CPU, one of four with a weight of 128 among 4 * 640 waits for 840 ms: a second would be too
 * little.
 */
#define LONGEST_WAIT(others, own) (MILLISECS(2 * 4 * 10 + 40) * ((others) + (own)) / (own))

/* Everything changes all the time: what holds at every event holds, and nothing starves. */
static void test_random_changes(void **state)
{
    unsigned int cpus = 2 + fake_below(FAKE_CPUS - 1);

    sim_begin(cpus);
    for (unsigned int i = 0; i < 5; i++)
        guest(1 + fake_below(4), 256, 0);
    for (unsigned long round = 0; round < fake_ops(1000); round++) {
        simulate(1 + fake_below(30000000));
        assert_true(sim.longest_wait <= LONGEST_WAIT(4 * 640, 128));
        random_change();
    }
    for (unsigned int i = 0; i < sim.tasks; i++) {
        sim.task[i].habit = HOG;
        assert_int_equal(vcpu_set_affinity(sim.task[i].v, CPUMASK_ALL), 0);
    }
    for (unsigned int i = 0; i < sim.domains; i++)
        adjust(sim.d[i], 256, 0);
    simulate(SECONDS(10)); /* whoever still slept is awake, and no history lasts */
    simulate(SECONDS(20));
    assert_true(sim.longest_wait <= LONGEST_WAIT(4 * 256, 256));
    check_fair_shares(cpus);
}

int core_fair_tests(void)
{
    static const struct CMUnitTest tests[] = {
        FAIR_TEST(test_weights_on_one_cpu),
        FAIR_TEST(test_extreme_weights),
        FAIR_TEST(test_vcpu_numbers_do_not_count),
        FAIR_TEST(test_a_crowd_is_one_guest),
        FAIR_TEST(test_resting_earns_nothing),
        FAIR_TEST(test_three_hogs_on_two_cpus),
        FAIR_TEST(test_more_weight_than_a_cpu),
        FAIR_TEST(test_pinned),
        FAIR_TEST(test_newcomer_after_drift),
        FAIR_TEST(test_soft_affinity),
        FAIR_TEST(test_caps),
        FAIR_TEST(test_cap_changes),
        FAIR_TEST(test_cap_among_others),
        FAIR_TEST(test_overrun_is_paid_back),
        FAIR_TEST(test_ratelimit),
        FAIR_TEST(test_random_shares),
        FAIR_TEST(test_random_changes),
    };

    return cmocka_run_group_tests_name("fairness", tests, NULL, NULL);
}
