// SPDX-License-Identifier: BSD-2-Clause
/*
 * How an address space ends: tables through which nothing goes any more are none, and can be stored to. A second branch
 * of tables stands in entry 1 of the top table: 212, 211, and for two regions 210 and 213. Entries 20 and 21 of frame 1
 * are for stores to the last two.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define BASE   (1ul << 39)
#define REGION (1ul << 21)
#define UPPER  212ul
#define MIDDLE 211ul
#define FIRST  210ul
#define SECOND 213ul

static void entry(uint64_t table, unsigned int index, uint64_t value)
{
    model_store(table * PAGE_SIZE + index * 8, 8, value ? value << PAGE_SHIFT | ALL : 0);
}

static void clear(uint64_t table, unsigned int index)
{
    entry(table, index, 0);
}

static bool table(uint64_t gfn)
{
    return is_table(model_frame(gfn));
}

/* Without a word to anybody. */
static void clear_unseen(uint64_t table_gfn, unsigned int index)
{
    model_will_store(table_gfn * PAGE_SIZE + index * 8, 8);
    ((uint64_t *)mfn_to_virt(model_frame(table_gfn)))[index] = 0;
    model_wrote(table_gfn * PAGE_SIZE + index * 8, 8, 0);
}

static int begin(void **state)
{
    shadow_begin_4(state);
    entry(4, 1, UPPER);
    entry(UPPER, 0, MIDDLE);
    entry(MIDDLE, 0, FIRST);
    entry(MIDDLE, 1, SECOND);
    entry(FIRST, 0, 100);
    entry(SECOND, 0, 101);
    map(20, FIRST, ALL);
    map(21, SECOND, ALL);
    assert_int_equal(go(BASE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(go(BASE + REGION, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_true(table(UPPER) && table(MIDDLE) && table(FIRST) && table(SECOND));
    return 0;
}
#define SHRINK_TEST(f) cmocka_unit_test_setup_teardown(f, begin, shadow_end)

/* Stores through entry 20 or 21 until the table is out of sync. */
static void leave(unsigned int index, uint64_t gfn)
{
    for (unsigned int i = 0; i < 2; i++) {
        struct access a = go(index * PAGE_SIZE + 64, ORACLE_WRITE, false);

        if (a.result == SHADOW_EMULATE)
            model_store(a.at, 8, 0);
    }
    assert_true(is_unsynced(d->shadow, model_frame(gfn)));
}

/* The last entry takes all tables above it along, up to the root; they come back when they are used. */
static void test_last_entry(void **state)
{
    clear(MIDDLE, 0);
    assert_true(!table(FIRST) && table(MIDDLE) && table(SECOND));
    clear(MIDDLE, 1);
    assert_true(!table(SECOND) && !table(MIDDLE) && !table(UPPER) && table(4));
    assert_int_equal(go(BASE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(model_audit(), 0);
    entry(MIDDLE, 1, SECOND);
    assert_int_equal(go(BASE + REGION, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(101).n);
    assert_true(table(MIDDLE) && table(UPPER));
    assert_int_equal(model_audit(), 0);
}

/* Tables beside the one that goes, which the guest has emptied without an exit. */
static void test_beside(void **state)
{
    leave(20, FIRST);
    leave(21, SECOND);
    clear_unseen(FIRST, 0);
    clear_unseen(SECOND, 0);
    clear(MIDDLE, 0);
    assert_true(!table(FIRST) && !table(SECOND) && !table(MIDDLE) && !table(UPPER));
    assert_int_equal(d->shadow->nr_unsynced, 0);
    assert_int_equal(go(BASE + REGION, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(model_audit(), 0);
}

/* One that is not empty stays, out of sync; one that nothing was taken from is not looked at. */
static void test_not_empty(void **state)
{
    leave(20, FIRST);
    leave(21, SECOND);
    clear_unseen(SECOND, 0);
    entry(UPPER, 1, 0);
    assert_true(is_unsynced(d->shadow, model_frame(SECOND)));
    clear(MIDDLE, 1);
    assert_true(is_unsynced(d->shadow, model_frame(FIRST)) && table(MIDDLE) && !table(SECOND));
    assert_int_equal(go(BASE, ORACLE_READ, false).tries, 0);
    assert_int_equal(model_audit(), 0);
}

/* It stands in another place as well. */
static void test_two_places(void **state)
{
    entry(UPPER, 1, MIDDLE);
    assert_int_equal(go(BASE + (1ul << 30), ORACLE_READ, false).result, SHADOW_FIXED);
    clear(MIDDLE, 0);
    clear(MIDDLE, 1);
    assert_true(table(MIDDLE) && table(UPPER));
    assert_int_equal(model_audit(), 0);
}

int shadow_shrink_tests(void)
{
    const struct CMUnitTest tests[] = {
        SHRINK_TEST(test_last_entry),
        SHRINK_TEST(test_beside),
        SHRINK_TEST(test_not_empty),
        SHRINK_TEST(test_two_places),
    };

    return cmocka_run_group_tests_name("the end of an address space", tests, NULL, NULL);
}
