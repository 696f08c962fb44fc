/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address space identifiers against a TLB that keeps what was put into it under an identifier until all is flushed. No
 * entry may find what another vCPU or another root put there, nor its own from before it was told to forget, the CPU's
 * last flush, or a move; nor, from a load of a root on, what it had put there before the last loss.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../hypervisor/hvm/svm/asid.c"

#define CPUS   3u
#define VCPUS  5u
#define NUMBER 16u
#define ROOTS  (HVM_TLBS + 2)
#define STEPS  200000u

static __thread struct cpu_info info;
static uint64_t flush_clock = 1, flushed[CPUS];
static struct {
    struct hvm_vcpu h;
    struct vmcb c;
    unsigned int cpu, root;
    uint64_t era[ROOTS];  /* what it knew through a root before may not be used in it */
    uint64_t seen[ROOTS]; /* losses when it began */
} guest[VCPUS];
static uint64_t eras, losses;
static unsigned long found; /* entries that found something */
static struct {
    bool used;
    unsigned int vcpu;
    uint64_t era;
} tlb[CPUS][NUMBER];
static uint64_t seed = 1;

struct cpu_info *get_cpu_info(void)
{
    return &info;
}

uint64_t tlb_flush_time(void)
{
    return flushed[info.cpu];
}

static unsigned int below(unsigned int n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned int)(seed >> 33) % n;
}

static void begin_eras(unsigned int i)
{
    for (unsigned int r = 0; r < ROOTS; r++)
        guest[i].era[r] = ++eras;
}

static void forget(unsigned int i)
{
    hvm_forget_translations(&guest[i].h);
    begin_eras(i);
}

static void load(unsigned int i, unsigned int root)
{
    if (guest[i].seen[root] != losses)
        guest[i].era[root] = ++eras;
    guest[i].seen[root] = losses;
    guest[i].root = root;
    asid_set_root(&guest[i].h, root + 1, losses);
}

/* Whatever runs there, or ran there last, begins anew. */
static void cpu_flushes(unsigned int cpu)
{
    flushed[cpu] = ++flush_clock;
    for (unsigned int i = 0; i < VCPUS; i++)
        if (guest[i].cpu == cpu)
            begin_eras(i);
}

static void enter(unsigned int i)
{
    unsigned int cpu = guest[i].cpu;
    uint32_t asid;

    info.cpu = cpu;
    asid_take(&guest[i].h, &guest[i].c);
    asid = guest[i].c.asid;
    assert_in_range(asid, 1, NUMBER - 1);
    if (guest[i].c.tlb_control == TLB_FLUSH_ALL)
        memset(tlb[cpu], 0, sizeof(tlb[cpu]));
    else
        assert_int_equal(guest[i].c.tlb_control, TLB_KEEP);
    if (tlb[cpu][asid].used) {
        assert_int_equal(tlb[cpu][asid].vcpu, i);
        assert_int_equal(tlb[cpu][asid].era, guest[i].era[guest[i].root]);
        found++;
    }
    tlb[cpu][asid].used = true;
    tlb[cpu][asid].vcpu = i;
    tlb[cpu][asid].era = guest[i].era[guest[i].root];
}

static void begin(bool on)
{
    opt_asid = on;
    memset(guest, 0, sizeof(guest));
    for (unsigned int i = 0; i < CPUS; i++) {
        info.cpu = i;
        cpu_flushes(i);
        asid_init(NUMBER);
        for (unsigned int n = 0; n < NUMBER; n++)
            tlb[i][n] = (typeof(tlb[i][n])){.used = true, .vcpu = VCPUS}; /* what the firmware left */
    }
}

/* To another CPU, or to its own once more: a switch flushes. */
static void move(unsigned int i)
{
    guest[i].cpu = below(CPUS);
    begin_eras(i);
    cpu_flushes(guest[i].cpu);
}

/* A vCPU runs on its CPU alone until another is switched to, which moves it. */
static void one_step(unsigned int *running)
{
    unsigned int i = below(VCPUS);

    if (below(4) == 0) {
        move(i);
        running[guest[i].cpu] = i;
    } else if (below(4) == 0) {
        cpu_flushes(below(CPUS));
    } else if (below(3) == 0) {
        forget(i);
    } else if (below(2) == 0) {
        losses += below(4) == 0;
        load(i, below(ROOTS));
    }
    if (running[guest[i].cpu] == i)
        enter(i);
}

static void walk(bool switched)
{
    unsigned int running[CPUS] = {VCPUS, VCPUS, VCPUS};

    begin(true);
    for (unsigned int i = 0; i < STEPS; i++) {
        if (switched && below(50) == 0)
            opt_asid = below(2);
        if (switched && below(50) == 0)
            opt_asid_roots = below(2);
        one_step(running);
    }
    opt_asid = opt_asid_roots = true;
}

/* The words may be set at run time. */
static void test_switched(void **state)
{
    walk(true);
}

static void test_random(void **state)
{
    walk(false);
    for (unsigned int i = 0; i < VCPUS; i++)
        assert_true(guest[i].h.tlbs > STEPS / 100);
    assert_true(found > STEPS / 10);
}

static void test_kept(void **state)
{
    uint32_t asid;

    begin(true);
    move(0);
    enter(0);
    asid = guest[0].c.asid;
    for (unsigned int i = 0; i < 100; i++) {
        enter(0);
        assert_int_equal(guest[0].c.asid, asid);
        assert_int_equal(guest[0].c.tlb_control, TLB_KEEP);
    }
    assert_int_equal(guest[0].h.tlbs, 1);
    forget(0);
    enter(0);
    assert_int_not_equal(guest[0].c.asid, asid);
    assert_int_equal(guest[0].h.tlbs, 2);
}

/* Each root's own are there when it comes back, unless an entry of some shadow has lost a right, or too many roots came
 * in between. */
static void test_roots(void **state)
{
    uint32_t asid[HVM_TLBS];

    begin(true);
    move(0);
    for (unsigned int r = 0; r < HVM_TLBS; r++) {
        load(0, r);
        enter(0);
        asid[r] = guest[0].c.asid;
    }
    for (unsigned int r = 0; r < HVM_TLBS; r++) {
        load(0, r);
        enter(0);
        assert_int_equal(guest[0].c.asid, asid[r]);
    }
    assert_int_equal(guest[0].h.tlbs, HVM_TLBS);
    losses++;
    enter(0);
    assert_int_equal(guest[0].h.tlbs, HVM_TLBS); /* the guest has not flushed */
    load(0, 0);
    enter(0);
    assert_int_equal(guest[0].h.tlbs, HVM_TLBS + 1);
    load(0, HVM_TLBS);
    enter(0);
    load(0, 1);
    enter(0);
    assert_int_equal(guest[0].h.tlbs, HVM_TLBS + 3);
}

static void test_roots_switched_off(void **state)
{
    begin(true);
    move(0);
    opt_asid_roots = false;
    for (unsigned int i = 0; i < 10; i++) {
        load(0, i % 2);
        enter(0);
    }
    opt_asid_roots = true;
    assert_int_equal(guest[0].h.tlbs, 10);
}

/* When the identifiers are used up everything is flushed once; a refused entry flushed nothing. */
static void test_used_up(void **state)
{
    unsigned int flushes = 0;

    begin(true);
    move(0);
    for (unsigned int i = 0; i < 10 * (NUMBER - 1); i++) {
        forget(0);
        enter(0);
        flushes += guest[0].c.tlb_control == TLB_FLUSH_ALL;
    }
    assert_int_equal(flushes, 10);
    asid_begin_again();
    hvm_forget_translations(&guest[0].h);
    asid_take(&guest[0].h, &guest[0].c);
    assert_int_equal(guest[0].c.tlb_control, TLB_FLUSH_ALL);
}

static void test_switched_off(void **state)
{
    begin(false);
    move(0);
    for (unsigned int i = 0; i < 10; i++) {
        enter(0);
        assert_int_equal(guest[0].c.asid, 1);
        assert_int_equal(guest[0].c.tlb_control, TLB_FLUSH_ALL);
    }
}

/* A processor that says it has none, or one. */
static void test_too_few(void **state)
{
    begin(true);
    for (unsigned int n = 0; n < 3; n++) {
        info.cpu = 0;
        asid_init(n);
        hvm_forget_translations(&guest[0].h);
        enter(0);
        assert_int_equal(guest[0].c.asid, 1);
        assert_int_equal(guest[0].c.tlb_control, TLB_FLUSH_ALL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_switched),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_roots_switched_off),
        cmocka_unit_test(test_used_up),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_too_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
