// SPDX-License-Identifier: BSD-2-Clause
/*
 * The scheduler on four CPUs whose switches are only noted: placing, order, weights, stealing, affinity, waking and
 * sleeping at bad moments. Invariants after any random step: what may run runs or is queued, never both or twice; no
 * CPU idles while it could take something; nothing runs outside its affinity.
 */
#include <stdlib.h>
#include <hv/timer.h>
#include "../../hypervisor/sched/queue.h"
#include "fake/core.h"

static struct vcpu *on_cpu(unsigned int cpu)
{
    return per_cpu(run_queue, cpu).running;
}

static bool queued_on(unsigned int cpu, const struct vcpu *v)
{
    return queue_has(v) && v->processor == cpu;
}

static void check_vcpu(struct vcpu *v)
{
    unsigned int running = 0, queued = 0;

    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++) {
        running += on_cpu(cpu) == v;
        queued += queued_on(cpu, v);
        assert_true(!queued_on(cpu, v) || v->processor == cpu);
        assert_true(on_cpu(cpu) != v || (v->processor == cpu && cpumask_test(&v->hard_affinity, cpu)));
    }
    assert_int_equal(running + queued, vcpu_runnable(v));
    assert_int_equal(v->is_running, running);
    assert_int_equal(v->runstate.state == RUNSTATE_running, running);
    assert_int_equal(v->runstate.state == RUNSTATE_runnable, queued);
}

static void check_queue(unsigned int cpu)
{
    const struct run_queue *q = &per_cpu(run_queue, cpu);
    unsigned int here = 0;
    struct queue_entry *e;

    list_for_each (e, &q->entries, link) {
        assert_false(e->domain->sched.parked);
        here += e->here;
    }
    assert_int_equal(q->count, here);
}

/* v is on the lists of its domain for a CPU, and on which, if it may run there. */
static void check_entry(const struct queue_entry *e, unsigned int cpu, const struct vcpu *v)
{
    cpumask_t liked = liked_cpus(v);
    enum costs cost = (v->processor != cpu ? MOVES : FREE) + (cpumask_test(&liked, cpu) ? FREE : UNLIKED);
    unsigned int found = 0;
    struct sched_vcpu *s;

    list_for_each (s, &e->waiting[cost], link[cpu])
        found += s->vcpu == v;
    assert_int_equal(found, queue_has(v) && cpumask_test(&v->hard_affinity, cpu));
}

/* What is queued of d, and nothing else, is on its lists for each CPU by age, and these are seen unless it is parked.
 */
static void check_entries(const struct domain *d, unsigned int cpu)
{
    const struct queue_entry *e = &d->sched.entry[cpu];
    unsigned int count = 0, here = 0, may = 0;
    struct sched_vcpu *s;
    struct vcpu *v;

    for (unsigned int cost = 0; cost < COSTS; cost++) {
        s_time_t last = 0;

        list_for_each (s, &e->waiting[cost], link[cpu]) {
            assert_true(s->vcpu->domain == d && s->queued_at >= last);
            last = s->queued_at;
            count++;
        }
    }
    for_each_vcpu (d, v) {
        check_entry(e, cpu, v);
        may += queue_has(v) && cpumask_test(&v->hard_affinity, cpu);
        here += queued_on(cpu, v);
    }
    assert_int_equal(count, may);
    assert_int_equal(e->count, may);
    assert_int_equal(e->here, here);
    assert_int_equal(!list_empty(&e->link), may && !d->sched.parked);
}

static bool cpu_could_take(unsigned int cpu)
{
    struct domain *d;
    bool found = false;

    for (domid_t id = 0; (d = domain_get_next(id)) != NULL; id = (domid_t)(d->id + 1)) {
        struct vcpu *v;

        for_each_vcpu (d, v)
            found |= queue_has(v) && !d->sched.parked && !v->is_running && cpumask_test(&v->hard_affinity, cpu);
        domain_put(d);
    }
    return found;
}

static void check_all(void)
{
    domid_t id = 0;
    struct domain *d;

    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++) {
        check_queue(cpu);
        assert_false(is_idle_vcpu(on_cpu(cpu)) && cpu_could_take(cpu));
    }
    while ((d = domain_get_next(id)) != NULL) {
        struct vcpu *v;

        for_each_vcpu (d, v)
            check_vcpu(v);
        for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++)
            check_entries(d, cpu);
        id = (domid_t)(d->id + 1);
        domain_put(d);
    }
}

static void test_idle_cpus_are_used(void **state)
{
    uint64_t used = 1ull << control_domain->vcpu[0]->processor;

    for (unsigned int i = 0; i < 3; i++) {
        struct vcpu *v = core_guest(1, 0)->vcpu[0];

        assert_true(v->is_running);
        assert_false(used & (1ull << v->processor));
        used |= 1ull << v->processor;
        check_all();
    }
    assert_false(core_guest(1, 0)->vcpu[0]->is_running);
    check_all();
}

static void weigh(struct domain *d, uint16_t weight)
{
    struct xen_domctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_DOMCTL_SCHEDOP_putinfo};

    op.u.credit2.weight = weight;
    assert_int_equal(sched_adjust(d, &op), 0);
}

static void test_weights(void **state)
{
    static const uint16_t weights[] = {256, 512, 1024, 256};
    struct vcpu *v[4];
    uint64_t all = 0;

    for (unsigned int i = 0; i < 4; i++) {
        v[i] = core_guest(1, 0)->vcpu[0];
        weigh(v[i]->domain, weights[i]);
        assert_int_equal(vcpu_set_affinity(v[i], cpumask_of(1)), 0);
        core_settle();
    }
    assert_int_equal(vcpu_set_affinity(control_domain->vcpu[0], cpumask_of(0)), 0);
    core_settle();
    check_all();
    for (unsigned int i = 0; i < 4; i++)
        all -= vcpu_cpu_time(v[i]);
    core_pass(SECONDS(20));
    for (unsigned int i = 0; i < 4; i++)
        all += vcpu_cpu_time(v[i]);
    assert_int_equal(all, SECONDS(20)); /* no time is lost, none counted twice */
    for (unsigned int i = 0; i < 4; i++)
        assert_true(labs((long)vcpu_cpu_time(v[i]) - SECONDS(20) * weights[i] / 2048) < SECONDS(1));
    check_all();
}

/* One that slept long must not keep the CPU for as long. */
static void test_sleeper_earns_little(void **state)
{
    struct vcpu *a = core_guest(1, 0)->vcpu[0], *b = core_guest(1, 0)->vcpu[0];
    uint64_t before;

    vcpu_set_affinity(a, cpumask_of(1));
    vcpu_set_affinity(b, cpumask_of(1));
    core_settle();
    vcpu_pause_nosync(b);
    core_settle();
    core_pass(SECONDS(5));
    vcpu_unpause(b);
    core_settle();
    assert_true(b->is_running); /* it had nothing for long: at once */
    before = vcpu_cpu_time(a);
    core_pass(MILLISECS(100));
    assert_true(vcpu_cpu_time(a) - before >= (uint64_t)MILLISECS(30));
}

static void test_affinity(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];

    assert_int_equal(vcpu_set_affinity(v, CPUMASK_NONE), -EINVAL);
    assert_int_equal(vcpu_set_affinity(v, (cpumask_t){1ull << 40}), -EINVAL);
    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++) {
        assert_int_equal(vcpu_set_affinity(v, cpumask_of(cpu)), 0);
        core_settle();
        assert_int_equal(v->processor, cpu);
        check_vcpu(v);
    }
    vcpu_pause_nosync(v); /* and of one that sleeps */
    core_settle();
    assert_int_equal(vcpu_set_affinity(v, cpumask_of(0)), 0);
    vcpu_unpause(v);
    core_settle();
    assert_int_equal(v->processor, 0);
    check_all();
}

/* A vCPU whose registers are still in its old CPU is queued when it wakes, but runs nowhere until they are saved. */
static void test_not_run_before_saved(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0], *other = core_guest(1, 0)->vcpu[0];
    unsigned int cpu = v->processor;

    core.hold = v;
    vcpu_pause_nosync(v);
    core_softirqs(cpu);
    assert_true(v->is_running && on_cpu(cpu) != v);
    vcpu_unpause(v);
    for (unsigned int i = 0; i < FAKE_CPUS; i++) {
        if (i == cpu)
            continue;
        cpu_raise_softirq(i, SOFTIRQ_SCHEDULE); /* it would steal */
        core_softirqs(i);
        assert_ptr_not_equal(on_cpu(i), v);
    }
    core_settle();
    if (on_cpu(cpu) != v) { /* another CPU must not have taken it by stealing */
        core_finish_switch();
        core_settle();
    } else
        core.hold = NULL;
    check_vcpu(v);
    check_vcpu(other);
}

/* Affinity changed while the state is being saved: it is queued where it may run. */
static void test_affinity_while_switching(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];
    unsigned int cpu = v->processor;

    core.hold = v;
    vcpu_set_affinity(v, cpumask_of((cpu + 1) % FAKE_CPUS));
    core_softirqs(cpu);
    assert_true(v->is_running);
    core_finish_switch();
    core_settle();
    assert_true(v->is_running);
    assert_int_equal(v->processor, (cpu + 1) % FAKE_CPUS);
    check_all();
}

/* Paused and unpaused before its CPU looked: it goes on as if nothing had been. */
static void test_pause_that_nobody_noticed(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];

    vcpu_pause_nosync(v);
    vcpu_unpause(v);
    check_vcpu(v);
    core_settle();
    check_all();
    vcpu_pause_nosync(v);
    vcpu_wake(v); /* in between: it still runs, and goes on to */
    vcpu_unpause(v);
    core_settle();
    check_all();
    vcpu_pause_nosync(v);
    vcpu_pause_nosync(v);
    vcpu_unpause(v);
    core_settle();
    assert_false(v->is_running);
    vcpu_wake(v); /* a wake-up does not undo a pause */
    core_settle();
    check_all();
    vcpu_unpause(v);
    core_settle();
    check_all();
}

static void test_yield(void **state)
{
    struct vcpu *a = core_guest(1, 0)->vcpu[0], *b = core_guest(1, 0)->vcpu[0];

    vcpu_set_affinity(a, cpumask_of(1));
    vcpu_set_affinity(b, cpumask_of(1));
    core_settle();
    for (unsigned int i = 0; i < 4; i++) {
        struct vcpu *v = on_cpu(1);
        unsigned int yields = 0;

        for (; on_cpu(1) == v; yields++) { /* each is worth a millisecond */
            core_as(v);
            vcpu_yield();
            core_settle();
        }
        assert_true(yields <= 7);
        check_all();
    }
}

static void test_runstate_adds_up(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];
    s_time_t born = core.now;
    struct vcpu_runstate_info r;

    for (unsigned int i = 0; i < 50; i++) {
        core_pass(fake_below(5000000));
        if (i & 1)
            vcpu_unpause(v);
        else
            vcpu_pause_nosync(v);
        core_settle();
    }
    vcpu_get_runstate(v, &r);
    assert_int_equal(r.time[0] + r.time[1] + r.time[2] + r.time[3], core.now - born);
}

static void test_idle_time(void **state)
{
    unsigned int cpu = (control_domain->vcpu[0]->processor + 1) % FAKE_CPUS;
    uint64_t idle = cpu_idle_time(cpu), busy = cpu_idle_time(control_domain->vcpu[0]->processor);
    struct vcpu *v;

    core_pass(1000);
    assert_int_equal(cpu_idle_time(cpu), idle + 1000);
    v = core_guest(1, 0)->vcpu[0];
    vcpu_set_affinity(v, cpumask_of(cpu));
    core_settle();
    core_pass(1000);
    assert_int_equal(cpu_idle_time(cpu), idle + 1000);
    assert_int_equal(cpu_idle_time(control_domain->vcpu[0]->processor), busy);
}

static void test_parameters(void **state)
{
    struct xen_domctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_DOMCTL_SCHEDOP_getinfo};

    assert_int_equal(sched_adjust(control_domain, &op), 0);
    assert_int_equal(op.u.credit2.weight, SCHED_WEIGHT_DEFAULT);
    op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    op.u.credit2.weight = 0; /* 0: leave as it is */
    assert_int_equal(sched_adjust(control_domain, &op), 0);
    assert_int_equal(control_domain->sched.weight, SCHED_WEIGHT_DEFAULT);
    op.u.credit2.cap = 101; /* it has one vCPU */
    op.u.credit2.weight = 512;
    assert_int_equal(sched_adjust(control_domain, &op), -EINVAL);
    assert_int_equal(control_domain->sched.weight, SCHED_WEIGHT_DEFAULT);
    op.u.credit2.cap = 100;
    assert_int_equal(sched_adjust(control_domain, &op), 0);
    op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    memset(&op.u, 0, sizeof(op.u));
    assert_int_equal(sched_adjust(control_domain, &op), 0);
    assert_int_equal(op.u.credit2.weight, 512);
    assert_int_equal(op.u.credit2.cap, 100);
    op.cmd = XEN_DOMCTL_SCHEDOP_putvcpuinfo; /* credit2 has no parameters of vCPUs */
    assert_int_equal(sched_adjust(control_domain, &op), -EINVAL);
    op.cmd = XEN_DOMCTL_SCHEDOP_getvcpuinfo;
    assert_int_equal(sched_adjust(control_domain, &op), -EINVAL);
    op.cmd = 99;
    assert_int_equal(sched_adjust(control_domain, &op), -EINVAL);
    op.sched_id = XEN_SCHEDULER_CREDIT;
    assert_int_equal(sched_adjust(control_domain, &op), -EINVAL);
}

/* ---- how much is looked at ---- */

/* The most units of a softirq since the last time. */
static unsigned int longest(enum softirq nr)
{
    unsigned int next = 0, most = 0;
    struct stretch s;

    while (stretch_read(&next, true, &s))
        if (s.family == STRETCH_SOFTIRQ && s.sub == nr)
            most = s.work;
    return most;
}

/* Every choice for a while, and one of each CPU with nothing to be had from what is queued. */
static unsigned int longest_choice(void)
{
    (void)longest(SOFTIRQ_SCHEDULE);
    core_pass(MILLISECS(300));
    return longest(SOFTIRQ_SCHEDULE);
}

#define MANY_DOMAINS 40u
#define MANY_VCPUS   50u

/* A choice looks at the oldest vCPUs of each domain: however many there are, wherever they may run. */
static void test_choice_is_bounded(void **state)
{
    static const uint64_t masks[][2] = {{~0ull, ~0ull}, {1, ~0ull}, {~0ull, 2}, {7, 8}, {12, 4}, {8, 8}};
    struct domain *d[MANY_DOMAINS];
    struct vcpu *v;

    for (unsigned int i = 0; i < MANY_DOMAINS; i++)
        d[i] = core_guest(MANY_VCPUS, 0);
    for (unsigned int i = 0; i <= ARRAY_SIZE(masks); i++) {
        for (unsigned int n = 0; n < MANY_DOMAINS; n++)
            for_each_vcpu (d[n], v) {
                const uint64_t *m = masks[i < ARRAY_SIZE(masks) ? i : fake_below(ARRAY_SIZE(masks))];

                assert_int_equal(vcpu_set_affinity(v, (cpumask_t){m[0]}), 0);
                assert_int_equal(vcpu_set_soft_affinity(v, (cpumask_t){m[1]}), 0);
            }
        core_settle();
        check_all();
        /* Twice: it is asked at once whether another waits. And what leaves a CPU, or yields, is passed over. */
        assert_in_range(longest_choice(), MANY_DOMAINS, (MANY_DOMAINS + FAKE_CPUS) * COSTS + COSTS);
    }
    for (unsigned int i = 0; i < MANY_DOMAINS; i++) /* so that there is a CPU to kill them from */
        domain_pause_nosync(d[i]);
    core_settle();
}

/* A domain without budget leaves the queues and comes back as one, however many vCPUs it has. */
static void test_largest_domain_parks_at_once(void **state)
{
    struct xen_domctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2, .cmd = XEN_DOMCTL_SCHEDOP_putinfo};
    struct domain *d = core_guest(512, 0);
    unsigned int parked = 0;

    op.u.credit2.cap = 10;
    assert_int_equal(sched_adjust(d, &op), 0);
    core_settle();
    (void)longest(SOFTIRQ_TIMER);
    for (unsigned int i = 0; i < 100; i++) {
        core_pass(MILLISECS(1));
        parked += d->sched.parked;
    }
    assert_true(parked >= 50);
    assert_in_range(longest(SOFTIRQ_TIMER), FAKE_CPUS, FAKE_CPUS * (COSTS + 2));
    assert_in_range(longest_choice(), FAKE_CPUS, FAKE_CPUS * (COSTS + 4));
    check_all();
    domain_pause_nosync(d);
    core_settle();
}

/* ---- random ---- */
#define NR_RANDOM 9
static unsigned int pauses[NR_RANDOM];

static void random_step(struct vcpu *v, unsigned int *paused)
{
    switch (fake_below(8)) {
    case 0:
        vcpu_pause_nosync(v);
        ++*paused;
        break;
    case 1:
        if (*paused) {
            --*paused;
            vcpu_unpause(v);
        }
        break;
    case 2:
        (void)vcpu_set_affinity(v, (cpumask_t){1 + fake_below(15)});
        break;
    case 3: /* as SCHEDOP_block does */
        if (on_cpu(v->processor) == v && vcpu_runnable(v)) {
            core_as(v);
            set_bit(VPF_blocked, &v->pause_flags);
            raise_softirq(SOFTIRQ_SCHEDULE);
        }
        break;
    case 4:
        vcpu_unblock(v);
        break;
    case 5:
        if (on_cpu(v->processor) == v) {
            core_as(v);
            vcpu_yield();
        }
        break;
    case 6:
        vcpu_wake(v);
        break;
    default:
        core_pass(fake_below(20000000));
    }
}

static void test_random(void **state)
{
    struct vcpu *v[NR_RANDOM];

    memset(pauses, 0, sizeof(pauses));
    for (unsigned int i = 0; i < NR_RANDOM; i++)
        v[i] = core_guest(1, 0)->vcpu[0];
    for (unsigned long op = 0; op < fake_ops(6000); op++) {
        unsigned int i = fake_below(NR_RANDOM), cpu = fake_below(FAKE_CPUS);

        core_on(fake_below(FAKE_CPUS));
        if (fake_chance(10) && on_cpu(cpu) == v[i]) { /* a switch that takes its time */
            core.hold = v[i];
            random_step(v[i], &pauses[i]);
            core_softirqs(cpu);
            random_step(v[i], &pauses[i]);
            if (v[i]->is_running && on_cpu(v[i]->processor) != v[i])
                core_finish_switch();
            core.hold = NULL;
        } else
            random_step(v[i], &pauses[i]);
        if (fake_chance(70)) {
            core_settle();
            check_all();
        }
    }
}

int core_sched_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_idle_cpus_are_used),
        CORE_TEST(test_weights),
        CORE_TEST(test_sleeper_earns_little),
        CORE_TEST(test_affinity),
        CORE_TEST(test_not_run_before_saved),
        CORE_TEST(test_affinity_while_switching),
        CORE_TEST(test_pause_that_nobody_noticed),
        CORE_TEST(test_yield),
        CORE_TEST(test_runstate_adds_up),
        CORE_TEST(test_idle_time),
        CORE_TEST(test_parameters),
        CORE_TEST(test_choice_is_bounded),
        CORE_TEST(test_largest_domain_parks_at_once),
        CORE_TEST(test_random),
    };

    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
