// SPDX-License-Identifier: BSD-2-Clause
/*
 * What costs no fault: a new address space finds the shadows that it shares with others; a frame that is no table any
 * more can be stored to at once; the shadow of a table that the guest has taken away serves the next.
 * Frame 200 is a table for the second 2 MiB, frame 5 another top table.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define TOP     5ul
#define TABLE   200ul
#define REGION  (1ul << 21)
#define THROUGH (6 * PAGE_SIZE) /* linear address of TABLE's frame */

static void load(uint64_t top)
{
    CPU->guest.cr3 = top * PAGE_SIZE;
    model_load(CPU);
}

/* Entry 0 of both top tables names the same table; what is below it has been used. */
static void test_new_space(void **state)
{
    map(7, 100, ALL);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    model_store(TOP * PAGE_SIZE, 8, 3 << PAGE_SHIFT | ALL);
    load(TOP);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_WRITE, false).tries, 0);
    assert_int_equal(CPU->v.root->used, 1);
    assert_int_equal(model_audit(), 0);
}

/* Not what the guest has not used yet: its A is not set; not what allows less. */
static void test_not_for_all(void **state)
{
    map(7, 100, ALL);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    model_store(TOP * PAGE_SIZE, 8, 3 << PAGE_SHIFT | (ALL & ~PTE_A));
    model_store(TOP * PAGE_SIZE + 8, 8, 3 << PAGE_SHIFT | (ALL & ~PTE_RW));
    load(TOP);
    assert_int_equal(CPU->v.root->used, 1);
    assert_int_equal(go((1ul << 39) + 7 * PAGE_SIZE, ORACLE_READ, false).tries, 0);
    assert_int_equal(go((1ul << 39) + 7 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_REFLECT);
    assert_int_equal(model_audit(), 0);
}

/* Without WP a table has a shadow for all rights that lead to it: the one of other rights is not meant. */
static void test_by_rights(void **state)
{
    CPU->guest.cr0 &= ~CR0_WP;
    model_load(CPU);
    map(7, 100, ALL);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_READ, true).result, SHADOW_FIXED);
    model_store(TOP * PAGE_SIZE, 8, 3 << PAGE_SHIFT | (ALL & ~PTE_US));
    load(TOP);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_READ, true).result, SHADOW_REFLECT);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
}

/* TABLE is one, with an entry that has been used; entry 6 of frame 1 maps its frame. */
static void make_table(uint64_t flags)
{
    map(6, TABLE, flags);
    model_store(2 * PAGE_SIZE + 8, 8, TABLE << PAGE_SHIFT | ALL);
    model_store(TABLE * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(REGION, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(go(THROUGH, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_true(is_protected(d->shadow, model_frame(TABLE)));
}

static void take_away(void)
{
    model_store(2 * PAGE_SIZE + 8, 8, 0);
    assert_false(is_table(model_frame(TABLE)));
    assert_int_equal(model_audit(), 0);
}

static void test_released(void **state)
{
    make_table(ALL);
    take_away();
    assert_int_equal(go(THROUGH, ORACLE_WRITE, false).tries, 0);
}

/* It stays read-only to whom it was, and while the guest's D is clear. */
static void test_not_released(void **state)
{
    make_table(ALL & ~PTE_RW);
    take_away();
    assert_int_equal(go(THROUGH, ORACLE_WRITE, false).result, SHADOW_REFLECT);
    make_table(ALL & ~PTE_D);
    take_away();
    assert_int_equal(go(THROUGH, ORACLE_WRITE, false).tries, 1);
}

/* Many mappings: some are writable at once, the others with a fault, and the next table is protected from all. */
static void test_released_in_part(void **state)
{
    unsigned int faults = 0;

    make_table(ALL);
    for (unsigned int i = 8; i < 40; i++) {
        map(i, TABLE, ALL);
        assert_int_equal(go(i * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    }
    take_away();
    for (unsigned int i = 8; i < 40; i++)
        faults += go(i * PAGE_SIZE, ORACLE_WRITE, false).tries;
    assert_true(faults > 0);
    make_table(ALL);
    for (unsigned int i = 8; i < 40; i++)
        assert_int_equal(go(i * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_EMULATE);
}

/* Frames do not go to the pool and come back. */
static void test_used_again(void **state)
{
    unsigned long pool;
    unsigned int pages;

    make_table(ALL);
    pool = d->paging_pool->free;
    pages = d->shadow->pages;
    for (unsigned int i = 0; i < 4; i++) {
        take_away();
        assert_int_equal(d->paging_pool->free, pool);
        make_table(ALL);
        assert_int_equal(d->paging_pool->free, pool);
        assert_int_equal(d->shadow->pages, pages);
    }
}

/* By a page that nothing else flushes for: a part of a large page. A CPU may still walk through what it was. */
static void test_flushed_before(void **state)
{
    uint64_t flushes;
    unsigned int pages;

    model_store(2 * PAGE_SIZE + 24, 8, ALL | PTE_PSE);
    make_table(ALL);
    take_away();
    flushes = d->shadow->count.flushes;
    pages = d->shadow->pages;
    assert_int_equal(go(3 * REGION + 100 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(d->shadow->pages, pages);
    assert_int_equal(d->shadow->count.flushes, flushes + 1);
}

/* It was left for later, and has been named again since. */
static void test_named_again(void **state)
{
    make_table(ALL);
    page_orphan(d->shadow, page_of_frame(d->shadow, model_frame(TABLE)));
    map(9, 101, ALL);
    assert_true(is_table(model_frame(TABLE)));
    assert_int_equal(model_audit(), 0);
    assert_int_equal(go(REGION, ORACLE_READ, false).tries, 0);
}

/* One of several entries that name it is taken away: it stays a table. */
static void test_still_named(void **state)
{
    make_table(ALL);
    model_store(2 * PAGE_SIZE + 16, 8, TABLE << PAGE_SHIFT | ALL);
    assert_int_equal(go(2 * REGION, ORACLE_READ, false).result, SHADOW_FIXED);
    model_store(2 * PAGE_SIZE + 8, 8, 0);
    assert_true(is_table(model_frame(TABLE)));
    assert_int_equal(go(2 * REGION, ORACLE_READ, false).tries, 0);
}

int shadow_ahead_tests(void)
{
    const struct CMUnitTest tests[] = {
        SHADOW_TEST(test_new_space),        SHADOW_TEST(test_not_for_all), SHADOW_TEST(test_released),
        SHADOW_TEST(test_not_released),     SHADOW_TEST(test_used_again),  SHADOW_TEST(test_still_named),
        SHADOW_TEST(test_released_in_part), SHADOW_TEST(test_by_rights),   SHADOW_TEST(test_flushed_before),
        SHADOW_TEST(test_named_again),
    };

    return cmocka_run_group_tests_name("what costs no fault", tests, NULL, NULL);
}
