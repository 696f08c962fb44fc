// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random walks through every route that changes page tables, descriptor pages and frame types, against pv_model. Three
 * domains: a guest with two vCPUs, the control domain, a granter. Preempted calls stay in flight while others act
 * (pv_random.h); at the end of an episode the domains die one after another, while the others go on.
 *
 * Real: mm/pv, mm/shadow, mm/logdirty*.c, mm/frame.c, pv/, grant/, hypercall/memory_op.c, reservation.c, exchange.c,
 * domain/teardown.c. Faked: the heap, the processors with their TLBs, guest memory, locks (which check their order). In
 * every other episode the guest runs on shadows and its memory is copied (pv_log.h).
 *
 * Replay with UMBRA_SEED; UMBRA_OPS is the number of operations: calls of guests and emulated faults, a batch is one.
 */
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include "pv_log.h"
#include "../../hypervisor/pv/internal.h"

#define EPISODE    2500
#define GUEST      1
#define PAGE_LIMIT 40
#define ENOUGH     1000000ul /* operations, for every preemptible one to have been preempted */

/* ---- episodes ---- */

static void start_vcpu(struct vcpu *v)
{
    struct domain *d = v->domain;
    struct page_info *t[5];
    pte_t *l1;
    int rc;

    for (unsigned int level = 1; level <= 4; level++)
        t[level] = alloc_domain_pages(d, 0, 0);
    for (unsigned int level = 2; level <= 4; level++)
        *(pte_t *)page_to_virt(t[level]) = pte_make(page_to_mfn(t[level - 1]), PTE_P | PTE_RW);
    l1 = page_to_virt(t[1]);
    for (unsigned int i = 0; i < 3; i++)
        l1[i] = pte_make(page_to_mfn(alloc_domain_pages(d, 0, 0)), PTE_P | PTE_RW);
    l1[3] = pte_make(page_to_mfn(t[1]), PTE_P);
    l1[4] = pte_make(page_to_mfn(t[2]), PTE_P);
    act_as(v);
    while ((rc = pv_set_base(v, page_to_mfn(t[4]), INVALID_MFN)) == -ERESTART)
        tally.restarts++;
    assert_int_equal(rc, 0);
    put_on(v);
}

static struct domain *start_domain(domid_t id, unsigned int vcpus, unsigned int cpu)
{
    struct domain *d = fake_domain(id, id == 0, vcpus, cpu);

    d->max_pages = PAGE_LIMIT;
    d->vm_assist = fake_chance(50) ? 1ul << VMASST_TYPE_m2p_strict : 0;
    spin_lock_init(&d->life_lock, RANK_DOMAIN_LIFE);
    assert_int_equal(pv_domain_init(d), 0);
    assert_int_equal(grant_domain_init(d, 1, 1, XEN_DOMCTL_GRANT_version(2)), 0);
    for (unsigned int i = 0; i < vcpus; i++) {
        assert_int_equal(pv_vcpu_init(d->vcpu[i]), 0);
        start_vcpu(d->vcpu[i]);
    }
    for (unsigned int i = 0; i < 12; i++)
        alloc_domain_pages(d, 0, 0);
    return d;
}

static void begin(void)
{
    fake_memory_init();
    /* The hypervisor's slots hold something that guests may not use. */
    for (unsigned int i = 256; i < 272; i++)
        idle_l4[i] = pte_make(_mfn(FAKE_MMIO_OK + i), PTE_P | PTE_RW);
    model_reset();
    grants_forget();
    dom[0] = start_domain(0, 1, 2);
    dom[1] = start_domain(GUEST, 2, 0);
    dom[2] = start_domain(2, 1, 3);
}

static const struct {
    const struct pv_operation *ops;
    const unsigned int *nr;
} groups[] = {{table_ops, &nr_table_ops}, {desc_ops, &nr_desc_ops}, {memory_ops, &nr_memory_ops}};

static unsigned int all_weights(void)
{
    static unsigned int sum;

    if (!sum)
        for (unsigned int g = 0; g < ARRAY_SIZE(groups); g++)
            for (unsigned int i = 0; i < *groups[g].nr; i++)
                sum += groups[g].ops[i].weight;
    return sum;
}

static void pick_operation(void)
{
    unsigned int r = fake_below(all_weights());

    for (unsigned int g = 0; g < ARRAY_SIZE(groups); g++)
        for (unsigned int i = 0; i < *groups[g].nr; i++) {
            if (r < groups[g].ops[i].weight) {
                groups[g].ops[i].fn();
                return;
            }
            r -= groups[g].ops[i].weight;
        }
}

/* A vCPU that runs; the guest's are the most active. NULL: nobody is left. */
static struct vcpu *random_vcpu(void)
{
    for (unsigned int i = 0; i < 20; i++) {
        struct domain *d = fake_chance(60) ? dom[GUEST] : dom[fake_below(3)];
        struct vcpu *v = d->vcpu[fake_below(d->max_vcpus)];

        if (may_act(v))
            return v;
    }
    return NULL;
}

static bool may_give_up;           /* preempted calls may be left for ever */
static unsigned int go_on_percent; /* how soon they go on; 100: at once, so calls do not overlap */

static void step(void)
{
    unsigned int n;
    struct vcpu *v;

    log_step(); /* which can begin calls */
    n = flights_in_the_air();
    if (n && (n == MAX_FLIGHTS || fake_chance(go_on_percent))) {
        flight_any(may_give_up);
        return;
    }
    v = random_vcpu();
    if (v) {
        act_as(v);
        pick_operation();
    }
}

/* No call overlapped another or was given up: then each took its half-validated tables back itself. */
static void check_orphans(void)
{
    if (go_on_percent < 100 || flights_in_the_air())
        return;
    for (unsigned int k = 0; k < 3; k++)
        if (model_orphans(dom[k]))
            panic("P5: a table of domain %u stays partial after every call is done\n", k);
}

static void meanwhile(void)
{
    intrude(step);
}

static void check(unsigned long steps)
{
    check_orphans();
    if (steps % 8 == 0) {
        check_all();
        log_check();
    }
    if (steps % 1024 == 0)
        for (unsigned int k = 0; k < 3; k++) {
            assert_int_equal(fake_audit(dom[k]), 0);
            assert_int_equal(grant_audit(dom[k]), 0);
        }
}

/* ---- the end: domains die while others act, and every frame comes back ---- */

static void kill(struct domain *d)
{
    if (d->dying)
        return;
    domain_hold(d);
    for (;;) {
        fake_run_on(FAKE_CPUS - 1, NULL);
        stretch_point();
        moment_passes(); /* what was foretold of a living domain is not true of a dying one */
        if (domain_kill(d) != -ERESTART)
            break;
        tally.restarts++;
        if (d->teardown_step >= STEP_AFTER_GRANTS)
            grants_of_dead(d);
        check_all();
        for (unsigned int i = fake_below(12); i > 0; i--)
            step();
    }
    grants_of_dead(d);
    check_all();
}

static void free_all(void)
{
    for (unsigned int i = 0; i < 3; i++) {
        for (unsigned int v = 0; v < dom[i]->max_vcpus; v++)
            pv_vcpu_free(dom[i]->vcpu[v]);
        grant_domain_free(dom[i]);
        pv_domain_free(dom[i]);
        p2m_destroy(dom[i]);
        paging_pool_destroy(dom[i]);
    }
    assert_int_equal(fake_frames_free(), FAKE_FRAMES);
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(dom[i]->refcount, 1);
        fake_domain_free(dom[i]);
    }
}

static void end(void)
{
    log_end();
    kill(dom[fake_chance(50) ? GUEST : 2]);
    kill(dom[GUEST]);
    kill(dom[2]);
    kill(dom[0]);
    flights_give_up();
    free_all();
}

static void episode(unsigned long calls, bool logged)
{
    unsigned long last = tally.calls + calls;

    begin();
    log_begin(logged);
    for (unsigned long i = 0; tally.calls < last; i++) {
        step();
        check(i);
    }
    check_all();
    end();
}

static void test_random(void **state)
{
    unsigned long ops = fake_ops(200000);

    (void)state;
    fake_seed("pv_random");
    for (unsigned long e = 0; tally.calls < ops; e++) {
        fake_preempt_percent = e % 3 == 0 ? 5 : e % 3 == 1 ? 30 : 90;
        go_on_percent = e % 7 == 6 ? 100 : e % 7 > 3 ? 50 : 10;
        may_give_up = e % 4 == 3 && go_on_percent < 100;
        cpu_features.nx = e % 5 != 4;
        fake_copy_hook = e % 3 && go_on_percent < 100 ? meanwhile : NULL;
        episode(MIN(EPISODE, ops - tally.calls), e % 2);
    }
    printf("%lu operations (accepted %lu, refused %lu, foretold %lu, given up %lu), %lu restarts, %lu begun while "
           "others were in flight, %lu intrusions, %lu loads and stores\n",
           tally.calls, tally.accepted, tally.refused, tally.foretold, tally.given_up, tally.restarts, tally.overlapped,
           tally.intrusions, tally.accesses);
    restarts_tell(ops >= ENOUGH);
    log_tell(ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
