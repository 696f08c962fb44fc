// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a TLB may keep of a root through a load of CR3, and back: as long as no entry has lost a right (shadow_losses).
 * And what is counted of such loads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include "shadow_guest.h"

#define OTHER  20ul /* another top table, which leads to the same */
#define LINEAR (5 * PAGE_SIZE)

static void load(uint64_t top)
{
    CPU->guest.cr3 = top * PAGE_SIZE;
    model_load(CPU);
}

/* Through both roots, one after the other; the first is loaded again. */
static void use_both(void)
{
    model_store(OTHER * PAGE_SIZE, 8, 3 << PAGE_SHIFT | ALL);
    map(5, 100, ALL);
    for (unsigned int i = 0; i < 2; i++) {
        load(OTHER);
        assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_FIXED);
        load(4);
        assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_FIXED);
    }
    tlb_found = 0;
}

static void test_kept(void **state)
{
    use_both();
    load(OTHER);
    assert_true(tlb_found > 0);
    tlb_found = 0;
    load(4);
    assert_true(tlb_found > 0);
}

/* An entry that is new takes nothing from anybody; one that changes, or goes, does. */
static void test_until_a_loss(void **state)
{
    static const uint64_t to[] = {101 << PAGE_SHIFT | ALL, 101 << PAGE_SHIFT | (ALL & ~PTE_RW), 0};
    uint64_t losses;

    use_both();
    losses = shadow_losses(&CPU->v);
    map(6, 102, ALL);
    assert_int_equal(go(6 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(shadow_losses(&CPU->v), losses);
    for (unsigned int i = 0; i < ARRAY_SIZE(to); i++) {
        map(5, to[i] >> PAGE_SHIFT, to[i] & ~PTE_ADDR);
        load(OTHER);
        assert_true(shadow_losses(&CPU->v) > losses);
        assert_int_equal(tlb_found, 0);
        losses = shadow_losses(&CPU->v);
        (void)go(LINEAR, ORACLE_READ, false);
        load(4);
        (void)go(LINEAR, ORACLE_READ, false);
        tlb_found = 0;
    }
}

/* A table that the guest stores to unseen says so when a root that leads there is loaded. */
static void test_out_of_sync(void **state)
{
    mfn_t table = model_frame(1);
    uint64_t losses;

    use_both();
    paging_lock(d);
    assert_true(table_unsync(d->shadow, table));
    paging_unlock(d);
    losses = shadow_losses(&CPU->v);
    map(5, 101, ALL);
    load(OTHER);
    assert_true(shadow_losses(&CPU->v) > losses);
    assert_int_equal(tlb_found, 0);
}

static spinlock_t *last_lock;

/* Somebody else had it until now. */
static void wait_for(const spinlock_t *l)
{
    last_lock = (spinlock_t *)l;
    last_lock->head = 0;
}

/* A new root, the same again, one that is there; the lock is taken for each, and was another's for the last. */
static void test_counted(void **state)
{
    const struct shadow_vcpu *v = &CPU->v;
    uint64_t locked;

    load(OTHER);
    assert_int_equal(v->loads[SHADOW_LOAD_MADE], 3); /* unpaged, 4 levels, and this one */
    assert_int_equal(v->loads[SHADOW_LOAD_ALL], 3);
    load(OTHER);
    assert_int_equal(v->loads[SHADOW_LOAD_ALL], 4);
    assert_int_equal(v->loads[SHADOW_LOAD_MADE] + v->loads[SHADOW_LOAD_FOUND], 3);
    locked = v->locked[SHADOW_LOCK_LOAD];
    assert_in_range(locked, 4, 8);
    assert_int_equal(v->lock_busy[SHADOW_LOCK_LOAD], 0);
    fake_lock_hook = wait_for;
    CPU->guest.cr3 = 4 * PAGE_SIZE;
    paging_lock(d); /* says which it is */
    paging_unlock(d);
    last_lock->head = 1;
    model_load(CPU);
    fake_lock_hook = NULL;
    assert_int_equal(v->loads[SHADOW_LOAD_ALL], 5);
    assert_int_equal(v->loads[SHADOW_LOAD_FOUND], 1);
    assert_int_equal(v->locked[SHADOW_LOCK_LOAD], locked + 1);
    assert_int_equal(v->lock_busy[SHADOW_LOCK_LOAD], 1);
    map(5, 100, ALL);
    locked = v->locked[SHADOW_LOCK_FAULT];
    assert_int_equal(go(LINEAR, ORACLE_READ, false).tries, 1);
    assert_int_equal(v->locked[SHADOW_LOCK_FAULT], locked + 1);
    assert_int_equal(go(7 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(v->locked[SHADOW_LOCK_FAULT], locked + 1); /* that is the guest's own affair */
    assert_int_equal(v->lock_busy[SHADOW_LOCK_FAULT], 0);
}

int shadow_roots_tests(void)
{
    const struct CMUnitTest tests[] = {SHADOW_TEST(test_kept), SHADOW_TEST(test_until_a_loss),
                                       SHADOW_TEST(test_out_of_sync), SHADOW_TEST(test_counted)};

    return cmocka_run_group_tests_name("roots", tests, NULL, NULL);
}
