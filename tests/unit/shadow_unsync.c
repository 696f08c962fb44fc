// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables out of sync: when a table becomes one, what its shadows know until a flush and after it, and what ends it.
 * Frame 200 is a table of the guest's for the second 2 MiB, which it stores to through entry 6 of frame 1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define TABLE     200ul
#define REGION    (1ul << 21)
#define THROUGH   (6 * PAGE_SIZE) /* linear address of TABLE */
#define NR_TABLES (MAX_UNSYNCED + 8)

/* A store of the guest's that nobody is told of. */
static void store(uint64_t at, uint64_t value)
{
    uint64_t *p = (uint64_t *)((uint8_t *)mfn_to_virt(model_frame(at >> PAGE_SHIFT)) + at % PAGE_SIZE);

    model_will_store(at, 8);
    *p = value;
    model_wrote(at, 8, value);
}

static bool unsynced(uint64_t gfn)
{
    return is_unsynced(d->shadow, model_frame(gfn));
}

/* The table at gfn for the region, and the second store to it. */
static void leave(uint64_t gfn, uint64_t region, unsigned int entry)
{
    struct access a;

    map(entry, gfn, ALL);
    model_store(2 * PAGE_SIZE + region * 8, 8, gfn << PAGE_SHIFT | ALL);
    model_store(gfn * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(region * REGION, ORACLE_READ, false).result, SHADOW_FIXED);
    a = go(entry * PAGE_SIZE + 8, ORACLE_WRITE, false);
    assert_int_equal(a.result, SHADOW_EMULATE);
    model_store(a.at, 8, 0);
    assert_int_equal(go(entry * PAGE_SIZE + 8, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_true(unsynced(gfn));
}

static int begin(void **state)
{
    shadow_begin_4(state);
    leave(TABLE, 1, 6);
    return 0;
}
#define UNSYNC_TEST(f) cmocka_unit_test_setup_teardown(f, begin, shadow_end)

/* Stores cost nothing; a translation is the old one until a flush, the new one after it without a fault. */
static void test_until_a_flush(void **state)
{
    struct access a;

    store(TABLE * PAGE_SIZE, 101ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(REGION, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(100).n);
    assert_int_equal(model_audit(), 0);
    model_load(CPU);
    a = go(REGION, ORACLE_WRITE, false);
    assert_int_equal(a.at >> PAGE_SHIFT, model_frame(101).n);
    assert_int_equal(a.tries, 0);
    assert_true(unsynced(TABLE));
}

/* An entry that was not there is used as it is now. */
static void test_a_fault_sees_now(void **state)
{
    store(TABLE * PAGE_SIZE + 8, 101ul << PAGE_SHIFT | PTE_P | PTE_RW);
    assert_int_equal(go(REGION + PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(101).n);
    store(TABLE * PAGE_SIZE + 8, 102ul << PAGE_SHIFT | ALL);
    store(TABLE * PAGE_SIZE + 8, 101ul << PAGE_SHIFT | ALL); /* as it was: what the copy has counts */
    model_load(CPU);
    assert_int_equal(go(REGION + PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(101).n);
}

/* A fault of the guest's own takes along what was there for the address, as it does in hardware's TLB. */
static void test_fault_takes_the_entry(void **state)
{
    store(TABLE * PAGE_SIZE, 100ul << PAGE_SHIFT | (ALL & ~PTE_RW));
    model_load(CPU);
    store(TABLE * PAGE_SIZE, 0);
    assert_int_equal(go(REGION, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(go(REGION, ORACLE_WRITE, false).result, SHADOW_REFLECT);
    assert_int_equal(go(REGION, ORACLE_READ, false).result, SHADOW_REFLECT);
}

/* It is a sign of stores that are to come: the table goes out of sync with it, but for one of an upper level. */
static void test_expected(void **state)
{
    uint64_t table = TABLE + 1;

    map(7, table, ALL);
    model_store(2 * PAGE_SIZE + 16, 8, table << PAGE_SHIFT | ALL);
    model_store(table * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(2 * REGION, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(go(3 * REGION, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_true(is_protected(d->shadow, model_frame(2)) && is_protected(d->shadow, model_frame(table)));
    assert_int_equal(go(2 * REGION + PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_true(unsynced(table));
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    store(table * PAGE_SIZE + 8, 101ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(2 * REGION + PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(101).n);
    assert_int_equal(model_audit(), 0);
}

/* One that changes nothing is seen to without the lock; by whoever is at work on the table's shadows, with it. */
static void test_own_fault(void **state)
{
    unsigned long locks = model_locks;

    assert_int_equal(go(REGION + 9 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(go(9ul << 30, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(model_locks, locks);
    d->shadow->unsynced[0].part = true;
    assert_int_equal(go(REGION + 9 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(model_locks, locks + 1);
    d->shadow->unsynced[0].part = false;
    store(TABLE * PAGE_SIZE + 9 * 8, 101ul << PAGE_SHIFT | PTE_A);
    assert_int_equal(go(REGION + 9 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(model_locks, locks + 2);
}

static void flush_until_in_sync(uint64_t gfn)
{
    for (unsigned int i = 0; unsynced(gfn) && i < 10; i++)
        model_load(CPU);
    assert_false(unsynced(gfn));
}

/*
 * When it is protected again no TLB can store to it, also one that knows an entry which the guest has taken away
 * meanwhile. What it stored last of all is in the shadows.
 */
static void test_closed(void **state)
{
    struct test_vcpu *other = &vcpu[1];
    struct access w = {.linear = THROUGH, .kind = ORACLE_WRITE};

    other->guest = CPU->guest;
    model_load(other);
    model_run(other, &w);
    assert_int_equal(w.result, SHADOW_FIXED);
    tlb_remember(other, &w);
    map(6, 0, 0); /* in a table that is in sync */
    store(TABLE * PAGE_SIZE, 101ul << PAGE_SHIFT | ALL);
    flush_until_in_sync(TABLE);
    assert_true(is_protected(d->shadow, model_frame(TABLE)));
    tlb_check();
    assert_int_equal(go(REGION, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(101).n);
}

/* With so many units of work. */
static bool caught_up(unsigned int units)
{
    bool done;

    stretch_begin(STRETCH_TRAP, 0);
    stretch_work(STRETCH_BOUND - units);
    paging_lock(d);
    done = unsync_caught_up(d->shadow);
    paging_unlock(d);
    stretch_end();
    return done;
}

static bool close_with(unsigned int units)
{
    mfn_t m = model_frame(TABLE);
    bool done;

    stretch_begin(STRETCH_TRAP, 0);
    stretch_work(STRETCH_BOUND - units);
    paging_lock(d);
    done = table_close(d->shadow, m);
    paging_unlock(d);
    stretch_end();
    return done;
}

/* One alias of TABLE is protected, and the guest still has another; then a part is compared, which no flush asked for,
 * and that part is stored to. */
static void compared_before_protection(void)
{
    unsigned int level;

    map(7, TABLE, ALL);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    store(TABLE * PAGE_SIZE, 101ul << PAGE_SHIFT | ALL);
    model_load(CPU);
    model_invlpg(CPU, 0);
    assert_false(close_with(1));
    assert_false(caught_up(20));
    assert_true(d->shadow->unsynced[0].next);
    assert_true((leaf(THROUGH, &level) | leaf(7 * PAGE_SIZE, &level)) & PTE_RW);
    store(TABLE * PAGE_SIZE, 102ul << PAGE_SHIFT | ALL);
}

static void assert_closed(void)
{
    assert_true(close_with(STRETCH_BOUND));
    assert_false(unsynced(TABLE));
    assert_int_equal(model_audit(), 0);
    assert_int_equal(go(REGION, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(102).n);
}

/* Only what is compared when nobody can store to it any more counts as the last time. */
static void test_compared_too_soon(void **state)
{
    compared_before_protection();
    assert_closed();
}

/* A fault ends the protection that was begun. */
static void test_protected_by_a_fault(void **state)
{
    compared_before_protection();
    assert_int_equal(go(REGION + PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    store(TABLE * PAGE_SIZE + 8, 103ul << PAGE_SHIFT | PTE_P | PTE_RW);
    assert_int_equal(go(REGION + PAGE_SIZE, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(103).n);
    assert_false(page_of_frame(d->shadow, model_frame(TABLE))->open);
    assert_closed();
}

/* The frame is a table of an upper level as well: that one is in sync, so all are. */
static void test_of_both_levels(void **state)
{
    model_store(100 * PAGE_SIZE, 8, 101ul << PAGE_SHIFT | ALL);
    model_store(3 * PAGE_SIZE + 8, 8, TABLE << PAGE_SHIFT | ALL);
    assert_int_equal(go(1ul << 30, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(101).n);
    assert_true(is_table(model_frame(TABLE)));
    assert_false(unsynced(TABLE));
    assert_int_equal(go(THROUGH, ORACLE_WRITE, false).result, SHADOW_EMULATE);
}

/* Nothing leads to it any more: it is no table from the next flush on. */
static void test_dead(void **state)
{
    model_store(2 * PAGE_SIZE + 8, 8, 0);
    model_load(CPU);
    assert_false(is_table(model_frame(TABLE)));
}

/* One more than there are places: the oldest is closed. */
static void test_places(void **state)
{
    for (unsigned int i = 1; i < NR_TABLES; i++) {
        leave(TABLE + i, 1 + i, 6 + i);
        assert_true(d->shadow->nr_unsynced <= MAX_UNSYNCED);
    }
    assert_false(unsynced(TABLE));
    assert_true(unsynced(TABLE + NR_TABLES - 1));
    assert_int_equal(model_audit(), 0);
}

/* It moves to another machine frame, and is given away. */
static void test_p2m(void **state)
{
    store(TABLE * PAGE_SIZE, 101ul << PAGE_SHIFT | ALL);
    model_replace(TABLE);
    assert_int_equal(d->shadow->nr_unsynced, 0);
    assert_int_equal(go(REGION, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(101).n);
}

int shadow_unsync_tests(void)
{
    const struct CMUnitTest tests[] = {
        UNSYNC_TEST(test_until_a_flush),
        UNSYNC_TEST(test_a_fault_sees_now),
        UNSYNC_TEST(test_fault_takes_the_entry),
        UNSYNC_TEST(test_expected),
        UNSYNC_TEST(test_own_fault),
        UNSYNC_TEST(test_closed),
        UNSYNC_TEST(test_compared_too_soon),
        UNSYNC_TEST(test_protected_by_a_fault),
        UNSYNC_TEST(test_of_both_levels),
        UNSYNC_TEST(test_dead),
        UNSYNC_TEST(test_places),
        UNSYNC_TEST(test_p2m),
    };

    return cmocka_run_group_tests_name("tables out of sync", tests, NULL, NULL);
}
