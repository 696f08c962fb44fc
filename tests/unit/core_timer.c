// SPDX-License-Identifier: BSD-2-Clause
/* Timers: every one fires once, in order, at its time, on its CPU; stopping, killing, moving and arming them anew. */
#include <hv/timer.h>
#include "fake/core.h"

#define NR_TIMERS 60

static struct probe {
    struct timer t;
    bool armed;
    s_time_t due, since; /* since: when it was armed or moved */
    unsigned int cpu, fired;
    s_time_t rearm; /* the handler arms the timer again after this */
} probes[NR_TIMERS];
static unsigned int total_fired;

static void fired(void *data)
{
    struct probe *p = data;

    assert_true(p->armed);
    assert_int_equal(smp_processor_id(), p->cpu);
    assert_int_equal(core.now, MAX(p->due, p->since));
    assert_int_equal(fake_locks_held, 0);
    p->armed = false;
    p->fired++;
    total_fired++;
    if (p->rearm) {
        p->armed = true;
        p->since = core.now;
        p->due = core.now + p->rearm;
        timer_set(&p->t, p->due);
    }
}

static void init_probes(void)
{
    memset(probes, 0, sizeof(probes));
    total_fired = 0;
    for (unsigned int i = 0; i < NR_TIMERS; i++) {
        probes[i].cpu = i % FAKE_CPUS;
        timer_init(&probes[i].t, fired, &probes[i], probes[i].cpu);
    }
}

static void arm(struct probe *p, s_time_t due)
{
    p->armed = due != STIME_MAX;
    p->due = due;
    p->since = core.now;
    timer_set(&p->t, due);
}

static void stop_all(void)
{
    for (unsigned int i = 0; i < NR_TIMERS; i++)
        timer_kill(&probes[i].t);
}

static void random_step(struct probe *p)
{
    switch (fake_below(6)) {
    case 0:
    case 1:
        arm(p, core.now + 1 + fake_below(1000) * 10);
        break;
    case 2:
        arm(p, fake_chance(50) ? STIME_MAX : core.now - fake_below(1000)); /* never, or late already */
        break;
    case 3:
        timer_stop(&p->t);
        p->armed = false;
        break;
    case 4:
        p->cpu = fake_below(FAKE_CPUS);
        timer_migrate(&p->t, p->cpu);
        break;
    default:
        p->rearm = fake_chance(20) ? 1 + fake_below(500) : 0;
    }
}

static void test_random(void **state)
{
    init_probes();
    for (unsigned long op = 0; op < fake_ops(4000); op++) {
        core_on(fake_below(FAKE_CPUS));
        random_step(&probes[fake_below(NR_TIMERS)]);
        core_settle();
        if (fake_chance(30))
            core_pass(fake_below(4000));
        for (unsigned int i = 0; i < NR_TIMERS; i++) {
            assert_int_equal(probes[i].armed, !list_empty(&probes[i].t.link));
            assert_true(!probes[i].armed || probes[i].due > core.now);
        }
    }
    assert_true(total_fired > 0);
    for (unsigned int i = 0; i < NR_TIMERS; i++)
        probes[i].rearm = 0;
    core_pass(SECONDS(1));
    for (unsigned int i = 0; i < NR_TIMERS; i++)
        assert_false(probes[i].armed);
    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++)
        assert_int_equal(core.deadline[cpu], STIME_MAX);
    stop_all();
}

static char order[8];

static void note(void *data)
{
    strncat(order, data, 1);
}

static void test_equal_deadlines(void **state)
{
    struct timer t[4];
    s_time_t due = core.now + 100;

    order[0] = '\0';
    for (unsigned int i = 0; i < 4; i++)
        timer_init(&t[i], note, (void *)(uintptr_t) & "abcd"[i], 2);
    for (unsigned int i = 0; i < 4; i++)
        timer_set(&t[i], due);
    timer_set(&t[1], due); /* to the end */
    core_settle();
    core_pass(99);
    assert_string_equal(order, "");
    core_pass(1);
    assert_string_equal(order, "acdb");
}

static void test_other_cpu_is_told(void **state)
{
    struct timer t[2];

    for (unsigned int i = 0; i < 2; i++)
        timer_init(&t[i], note, (void *)(uintptr_t) "x", 3);
    core_on(0);
    timer_set(&t[0], core.now + 100);
    assert_int_equal(core.ipis[3], 1);
    core_settle();
    assert_int_equal(core.deadline[3], core.now + 100);
    timer_set(&t[1], core.now + 200); /* not the first: that CPU need not know */
    assert_int_equal(core.ipis[3], 1);
    timer_set(&t[1], core.now + 50);
    assert_int_equal(core.ipis[3], 2);
    timer_stop(&t[0]);
    timer_stop(&t[1]);
    core_settle();
}

static void test_killed(void **state)
{
    struct timer t, never = {.fn = NULL};

    order[0] = '\0';
    timer_init(&t, note, (void *)(uintptr_t) "k", 1);
    timer_set(&t, core.now + 10);
    timer_kill(&t);
    timer_set(&t, core.now + 10);
    timer_migrate(&t, 2);
    timer_set(&t, core.now + 10);
    core_settle();
    core_pass(100);
    assert_string_equal(order, "");
    timer_kill(&never);
    timer_stop(&never);
}

int core_timer_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_random),
        CORE_TEST(test_equal_deadlines),
        CORE_TEST(test_other_cpu_is_told),
        CORE_TEST(test_killed),
    };

    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
