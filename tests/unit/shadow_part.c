// SPDX-License-Identifier: BSD-2-Clause
/*
 * Flushes of a part of what is out of sync: INVLPG brings one entry up to date, a load of CR3 the tables of its address
 * space; what they leave for later is not found by a new way. Frame 200 is such a table, for the second 2 MiB, which
 * the guest stores to through entry 6 of frame 1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define OTHER   (&vcpu[1])
#define TABLE   200ul
#define REGION  (1ul << 21)
#define THROUGH (6 * PAGE_SIZE) /* linear address of TABLE */

/* A store of the guest's that nobody is told of. */
static void store(unsigned int index, uint64_t gfn)
{
    uint64_t at = TABLE * PAGE_SIZE + index * 8, value = gfn << PAGE_SHIFT | ALL;

    model_will_store(at, 8);
    ((uint64_t *)mfn_to_virt(model_frame(TABLE)))[index] = value;
    model_wrote(at, 8, value);
}

static void expect(struct test_vcpu *t, uint64_t linear, uint64_t gfn)
{
    assert_int_equal(go_on(t, linear, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(gfn).n);
}

/* Its first two entries are in use, for frames 100 and 101. */
static int begin(void **state)
{
    struct access a;

    shadow_begin_4(state);
    OTHER->guest = CPU->guest;
    model_load(OTHER);
    map(6, TABLE, ALL);
    model_store(2 * PAGE_SIZE + 8, 8, TABLE << PAGE_SHIFT | ALL);
    model_store(TABLE * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    model_store(TABLE * PAGE_SIZE + 8, 8, 101ul << PAGE_SHIFT | ALL);
    expect(CPU, REGION, 100);
    for (unsigned int i = 0; i < 2; i++) {
        a = go(THROUGH + 16, ORACLE_WRITE, false);
        if (a.result == SHADOW_EMULATE)
            model_store(a.at, 8, 0);
    }
    assert_true(is_unsynced(d->shadow, model_frame(TABLE)));
    expect(CPU, REGION + PAGE_SIZE, 101);
    return 0;
}
#define PART_TEST(f) cmocka_unit_test_setup_teardown(f, begin, shadow_end)

/* No fault follows, and other entries stay. */
static void test_one_address(void **state)
{
    store(0, 102);
    store(1, 103);
    model_invlpg(CPU, REGION + 0x123);
    assert_int_equal(go(REGION, ORACLE_WRITE, false).tries, 0);
    expect(CPU, REGION, 102);
    expect(CPU, REGION + PAGE_SIZE, 101);
    model_invlpg(CPU, REGION + PAGE_SIZE);
    expect(CPU, REGION + PAGE_SIZE, 103);
    assert_int_equal(model_audit(), 0);
}

/* A table of 2 levels has two shadows: the entry is one of its second half. */
static void test_second_half(void **state)
{
    const unsigned int index = PT_ENTRIES + 88, at = index * 4;
    uint32_t *table = mfn_to_virt(model_frame(220));
    mfn_t m = model_frame(220);

    model_store(10 * PAGE_SIZE, 4, 220ul << PAGE_SHIFT | ALL);
    model_store(220 * PAGE_SIZE + at, 4, 100ul << PAGE_SHIFT | ALL);
    CPU->guest.cr4 = CPU->guest.efer = 0;
    CPU->guest.cr3 = 10 * PAGE_SIZE;
    model_load(CPU);
    expect(CPU, index * PAGE_SIZE, 100);
    paging_lock(d);
    assert_true(table_unsync(d->shadow, m));
    paging_unlock(d);
    model_will_store(220 * PAGE_SIZE + at, 4);
    table[index] = 102ul << PAGE_SHIFT | ALL;
    model_wrote(220 * PAGE_SIZE + at, 4, table[index]);
    model_invlpg(CPU, index * PAGE_SIZE);
    assert_int_equal(go(index * PAGE_SIZE, ORACLE_READ, false).tries, 0);
    expect(CPU, index * PAGE_SIZE, 102);
}

/* Nothing is there, or nothing leads there; tables that are in sync. */
static void test_nothing(void **state)
{
    model_invlpg(CPU, 0);
    model_invlpg(CPU, REGION + 5 * PAGE_SIZE);
    model_invlpg(CPU, 1ul << 39);
    model_invlpg(CPU, ~0ul);
    expect(CPU, REGION, 100);
}

/* The table stands in a second place, where nobody has used it yet. */
static void test_linked_later(void **state)
{
    model_store(2 * PAGE_SIZE + 16, 8, TABLE << PAGE_SHIFT | ALL);
    store(0, 102);
    model_invlpg(CPU, 2 * REGION);
    expect(CPU, 2 * REGION + PAGE_SIZE, 101);
    expect(CPU, 2 * REGION, 102);
}

/* The tree as a whole: the vCPU's root has gone, and another vCPU has made one since. */
static void test_root_of_another(void **state)
{
    model_replace(4);
    model_load(OTHER);
    expect(OTHER, REGION, 100);
    store(0, 102);
    model_invlpg(CPU, REGION);
    expect(CPU, REGION + PAGE_SIZE, 101);
    expect(CPU, REGION, 102);
}

/* Or none has, and the new one leads to what there is. */
static void test_new_root(void **state)
{
    model_replace(4);
    store(0, 102);
    model_invlpg(CPU, REGION);
    expect(CPU, REGION + PAGE_SIZE, 101);
    expect(CPU, REGION, 102);
}

static void load(uint64_t top)
{
    CPU->guest.cr3 = top * PAGE_SIZE;
    model_load(CPU);
}

/* An address space of its own, without tables. */
static void test_out_of_reach(void **state)
{
    uint64_t synced = d->shadow->count.synced;

    store(0, 102);
    load(5);
    assert_int_equal(d->shadow->count.synced, synced);
    store(1, 103);
    load(4);
    assert_int_equal(d->shadow->count.synced, synced + 2);
    assert_int_equal(go(REGION, ORACLE_READ, false).tries, 0);
    expect(CPU, REGION, 102);
    expect(CPU, REGION + PAGE_SIZE, 103);
}

/* It gets tables that others have used. */
static void test_comes_into_reach(void **state)
{
    load(5);
    store(0, 102);
    load(5);
    model_store(5 * PAGE_SIZE, 8, 3ul << PAGE_SHIFT | ALL);
    expect(CPU, REGION + PAGE_SIZE, 101);
    expect(CPU, REGION, 102);
    assert_int_equal(model_audit(), 0);
}

/* What several lead to is in everybody's reach. */
static void test_in_reach_of_all(void **state)
{
    model_store(5 * PAGE_SIZE, 8, 3ul << PAGE_SHIFT | ALL);
    load(5);
    expect(CPU, REGION, 100);
    store(0, 102);
    load(5);
    expect(CPU, REGION, 102);
    store(0, 104);
    model_load(OTHER);
    expect(OTHER, REGION, 104);
}

/* A vCPU that has a TLB of its own flushes all of it. */
static void test_apart(void **state)
{
    const struct cpu_user_regs here = {.rip = 1};

    for (unsigned int i = 0; i < 2; i++)
        model_give_up(CPU, &here, 300 * PAGE_SIZE);
    assert_true(CPU->v.apart);
    assert_false(shadow_invlpg(&CPU->v, REGION));
}

int shadow_part_tests(void)
{
    const struct CMUnitTest tests[] = {
        PART_TEST(test_one_address),  PART_TEST(test_second_half),      PART_TEST(test_nothing),
        PART_TEST(test_linked_later), PART_TEST(test_root_of_another),  PART_TEST(test_new_root),
        PART_TEST(test_out_of_reach), PART_TEST(test_comes_into_reach), PART_TEST(test_in_reach_of_all),
        PART_TEST(test_apart),
    };

    return cmocka_run_group_tests_name("flushes of a part", tests, NULL, NULL);
}
