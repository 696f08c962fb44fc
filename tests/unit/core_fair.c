// SPDX-License-Identifier: BSD-2-Clause
/* Fairness: shares by weight, caps, waiting, in the simulation of core_sim.h. */
#include <stdlib.h>
#include "core_sim.h"

/* ---- one CPU ---- */

static void test_weights_on_one_cpu(void **state)
{
    static const uint16_t weights[] = {256, 256, 512, 1024, 64};

    sim_begin(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(weights); i++)
        sim_guest(1, weights[i], 0);
    sim_run(SECONDS(30));
    for (unsigned int i = 0; i < ARRAY_SIZE(weights); i++)
        assert_share(sim.d[i], 10000u * weights[i] / 2112, 2);
}

static void test_extreme_weights(void **state)
{
    struct domain *light, *heavy;

    sim_begin(1);
    light = sim_guest(1, 1, 0);
    heavy = sim_guest(1, 65535, 0);
    sim_guest(1, 65535, 0);
    sim_run(SECONDS(300));
    assert_share(heavy, 5000, 2);
    assert_true(sim_share(light) <= 2);
    sim_adjust(light, 65535, 0); /* at once: what it waited for is not forgotten, what it could not have had is */
    sim_run(SECONDS(30));
    assert_share(heavy, 3333, 5);
    assert_share(light, 3333, 5);
}

static void test_vcpu_numbers_do_not_count(void **state)
{
    for (unsigned int cpus = 1; cpus <= 2; cpus++) {
        sim_begin(cpus);
        sim_guest(1, 256, 0);
        sim_guest(4, 256, 0);
        sim_run(SECONDS(20));
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
        sim_guest(1, 256, 0);
        sim_guest(MAX_CROWD, 256, 0);
        sim_run(SECONDS(20));
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
            honest = sim_guest(cpus, 256, 0);
            tricky = sim_guest(tricks[i].vcpus, 256, 0);
            for_each_vcpu (tricky, v)
                sim_habit(v, tricks[i].habit, tricks[i].burst, tricks[i].rest);
            sim_run(SECONDS(20));
            if (sim_share(honest) < cpus * 5000 * 97 / 100)
                fail_msg("trick %u on %u CPUs leaves %u of 10000", i, cpus, sim_share(honest));
            sim_end_guests();
        }
}

/* ---- several CPUs ---- */

static void test_three_hogs_on_two_cpus(void **state)
{
    sim_begin(2);
    for (unsigned int i = 0; i < 3; i++)
        sim_guest(1, 256, 0);
    sim_run(SECONDS(20));
    for (unsigned int i = 0; i < 3; i++)
        assert_share(sim.d[i], 6667, 2);
    assert_true(sim.longest_wait <= 2 * TIME_SLICE);
}

/* More weight than one CPU serves: it has one CPU; when that ends it does not live on what it could not have. */
static void test_more_weight_than_a_cpu(void **state)
{
    sim_begin(2);
    for (unsigned int i = 0; i < 3; i++)
        sim_guest(1, i ? 256 : 4096, 0);
    sim_run(SECONDS(60));
    assert_share(sim.d[0], 10000, 1);
    assert_share(sim.d[1], 5000, 2);
    sim_adjust(sim.d[0], 256, 0);
    sim_run(SECONDS(5));
    for (unsigned int i = 0; i < 3; i++)
        assert_share(sim.d[i], 6667, 5);
}

/* Pinned guests share their CPU by weight, whatever the others do; what history they have apart does not last. */
static void test_pinned(void **state)
{
    struct domain *a, *b, *c;

    sim_begin(2);
    a = sim_guest(1, 512, 0);
    b = sim_guest(1, 256, 0);
    sim_pin(a, 1);
    sim_pin(b, 1);
    c = sim_guest(1, 256, 0);
    sim_run(SECONDS(60));
    assert_share(a, 6667, 2);
    assert_share(b, 3333, 2);
    assert_share(c, 10000, 1);
    sim_pin(a, 3); /* now all three compete: one CPU for 512, half of one for each 256 */
    sim_pin(b, 3);
    sim_run(SECONDS(10));
    assert_share(a, 10000, 5);
    assert_share(b, 5000, 5);
    assert_share(c, 5000, 5);
}

static void test_newcomer_after_drift(void **state)
{
    struct domain *late;

    sim_begin(2);
    sim_pin(sim_guest(1, 256, 0), 1);
    sim_pin(sim_guest(1, 256, 0), 1);
    sim_pin(sim_guest(1, 256, 0), 2);
    sim_run(SECONDS(100)); /* the clock of CPU 1 is 50 s ahead */
    late = sim_guest(1, 256, 0);
    sim_run(SECONDS(10));
    assert_true(sim.longest_wait <= 6 * TIME_SLICE);
    assert_share(late, 5000, 5);
    assert_share(sim.d[2], 5000, 5);
}

static void test_soft_affinity(void **state)
{
    struct domain *a, *b;

    sim_begin(2);
    a = sim_guest(1, 256, 0);
    b = sim_guest(1, 256, 0);
    assert_int_equal(vcpu_set_soft_affinity(a->vcpu[0], cpumask_of(1)), 0);
    core_settle();
    sim_habit(b->vcpu[0], SLEEPER, MILLISECS(3), MILLISECS(3));
    sim_run(SECONDS(1));
    assert_int_equal(a->vcpu[0]->processor, 1);
    assert_int_equal(vcpu_set_soft_affinity(a->vcpu[0], cpumask_of(0)), 0);
    sim_run(SECONDS(1));
    assert_int_equal(a->vcpu[0]->processor, 0); /* it moved when that CPU had nothing to do */
    assert_share(a, 10000, 2);
    assert_int_equal(vcpu_set_soft_affinity(b->vcpu[0], cpumask_of(0)), 0); /* a wish, not a right: no CPU idles */
    sim_habit(b->vcpu[0], HOG, 0, 0);
    sim_run(SECONDS(1));
    assert_share(a, 10000, 2);
    assert_share(b, 10000, 2);
    assert_int_equal(vcpu_set_soft_affinity(b->vcpu[0], CPUMASK_NONE), 0); /* no wish */
    sim_run(SECONDS(1));
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
        d = sim_guest(cases[i].vcpus, 256, cases[i].cap);
        sim_run(SECONDS(5));
        assert_true(sim_share(d) <= cases[i].cap * 100u);
        assert_share(d, cases[i].cap * 100u, 3);
        assert_true(sim.longest_wait <= 2 * PERIOD + MICROSECS(1));
        sim_end_guests();
    }
}

static void test_cap_changes(void **state)
{
    struct domain *d;

    sim_begin(1);
    d = sim_guest(1, 256, 20);
    sim_run(SECONDS(2) + MILLISECS(5));
    assert_share(d, 2000, 2);
    assert_true(queue_has(d->vcpu[0]) && d->sched.parked);
    assert_int_equal(d->vcpu[0]->runstate.state, RUNSTATE_runnable);
    sim_adjust(d, 0, 0);
    core_settle();
    assert_true(sim_runs(d->vcpu[0])); /* at once */
    sim_run(SECONDS(1));
    assert_share(d, 10000, 1);
    assert_int_equal(core.deadline[0], STIME_MAX); /* nothing ticks */
    sim_adjust(d, 0, 70);
    sim_run(SECONDS(1));
    assert_share(d, 7000, 2);
    sim_adjust(d, 0, 10);
    sim_run(SECONDS(1));
    assert_share(d, 1000, 2);
}

/* The others have what a capped guest may not use; one that sleeps while parked is not forgotten. */
static void test_cap_among_others(void **state)
{
    struct domain *capped, *free, *sleeper;

    sim_begin(1);
    capped = sim_guest(2, 1024, 25);
    free = sim_guest(1, 256, 0);
    sleeper = sim_guest(1, 256, 30);
    sim_habit(sleeper->vcpu[0], SLEEPER, MILLISECS(1), MILLISECS(1));
    sim_run(SECONDS(10));
    assert_share(capped, 2500, 3);
    assert_true(sim_share(sleeper) <= 3000);
    assert_true(sim_share(free) >= 4500);
    vcpu_pause_nosync(capped->vcpu[0]);
    vcpu_pause_nosync(capped->vcpu[1]);
    core_settle();
    assert_int_equal(capped->sched.queued, 0);
    vcpu_unpause(capped->vcpu[1]);
    sim_run(SECONDS(5));
    assert_share(capped, 2500, 3);
}

/* A late timer lets a guest use more than its budget; it pays that back. */
static void test_overrun_is_paid_back(void **state)
{
    struct domain *d;

    sim_begin(1);
    d = sim_guest(1, 256, 10);
    sim_run(SECONDS(1));
    while (!sim_runs(d->vcpu[0]))
        core_pass(MILLISECS(1));
    core.now += MILLISECS(50);
    core_pass(0);
    assert_true(queue_has(d->vcpu[0]) && d->sched.parked);
    core_pass(MILLISECS(400));
    assert_true(queue_has(d->vcpu[0]) && d->sched.parked);
    core_pass(MILLISECS(120));
    assert_true(sim_used(d) * 10 <= (uint64_t)(core.now - sim.start) + 2 * MILLISECS(10));
    sim_run(SECONDS(1));
    assert_share(d, 1000, 2);
}

/* Each 10 ms one guest takes two CPUs at once, and another drags the clock of the CPU where it waits ahead. */
static void test_equals_beside_capped(void **state)
{
    struct domain *one, *equal;

    sim_begin(3);
    one = sim_guest(1, 512, 0);
    sim_guest(2, 1024, 29);
    equal = sim_guest(1, 512, 0);
    sim_guest(1, 128, 65);
    sim_run(SECONDS(1));
    sim_run(SECONDS(30));
    assert_true(sim_share(one) >= 9300 && sim_share(equal) >= 9300);
    assert_share(one, sim_share(equal), 3);
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
        sim_guest(1, 256, 0);
        sim_habit(sim_guest(1, 256, 0)->vcpu[0], SLEEPER, MICROSECS(200), MICROSECS(300));
        sim_run(SECONDS(1));
        sim_run(SECONDS(2)); /* the sleeper is behind, and wakes 300 us after the other got the CPU */
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
    return (uint64_t)sim_share(a) * b->sched.weight * 100 >= (uint64_t)sim_share(b) * a->sched.weight * (100 - percent);
}

/* Guests with a cap that are behind d come back at once and take all CPUs for so long as they have budget: what d,
 * which has no more vCPUs later, cannot make up for, at most. */
static unsigned int taken_at_once(const struct domain *d, unsigned int cpus)
{
    unsigned int sum = 0;

    for (unsigned int i = 0; i < sim.domains; i++)
        if (sim.d[i]->sched.cap && as_well_off(d, sim.d[i], 5))
            sum += sim_share(sim.d[i]);
    return sum / cpus * MIN(d->max_vcpus, cpus);
}

/*
 * d has no cap. It has its share, or no less for its weight than the other one; what it should have all the time, for
 * all its vCPUs, it may miss while those with a cap come back. An equal without a cap has the same, both ways.
 */
static void check_beside(const struct domain *d, const struct domain *other, unsigned int cpus, unsigned int want)
{
    bool all = want == MIN(d->max_vcpus, cpus) * 10000;

    if (!as_well_off(d, other, 5) && sim_share(d) < want && !(all && sim_share(d) + taken_at_once(d, cpus) >= want))
        assert_share(d, want, promise(d, other));
    if (!other->sched.cap && d->sched.weight == other->sched.weight && d->max_vcpus == other->max_vcpus)
        assert_share(d, sim_share(other), 5);
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
            assert_in_range(sim_share(d), MIN(want[i], d->sched.cap * 100u) / 2, d->sched.cap * 100);
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

            sim_guest(vcpus, (uint16_t)(64u << fake_below(5)), cap ? (uint16_t)(5 + fake_below(95 * vcpus)) : 0);
        }
        sim_run(SECONDS(1)); /* what they had while the others came */
        sim_run(SECONDS(30));
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
        sim_adjust(d, (uint16_t)(128 + fake_below(512)), d->sched.cap);
        break;
    case 1:
        sim_adjust(d, 0, fake_chance(50) ? 0 : (uint16_t)(10 + fake_below(90 * d->max_vcpus)));
        sim_restart_window();
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
        sim_guest(1 + fake_below(4), 256, 0);
    for (unsigned long round = 0; round < fake_ops(1000); round++) {
        sim_run(1 + fake_below(30000000));
        assert_true(sim.longest_wait <= LONGEST_WAIT(4 * 640, 128));
        random_change();
    }
    for (unsigned int i = 0; i < sim.tasks; i++) {
        sim.task[i].habit = HOG;
        assert_int_equal(vcpu_set_affinity(sim.task[i].v, CPUMASK_ALL), 0);
    }
    for (unsigned int i = 0; i < sim.domains; i++)
        sim_adjust(sim.d[i], 256, 0);
    sim_run(SECONDS(10)); /* whoever still slept is awake, and no history lasts */
    sim_run(SECONDS(20));
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
        FAIR_TEST(test_equals_beside_capped),
        FAIR_TEST(test_overrun_is_paid_back),
        FAIR_TEST(test_ratelimit),
        FAIR_TEST(test_random_shares),
        FAIR_TEST(test_random_changes),
    };

    return cmocka_run_group_tests_name("fairness", tests, NULL, NULL);
}
