// SPDX-License-Identifier: BSD-2-Clause
/*
 * What another processor finds at the moment when a store to a table becomes visible: it flushes its own TLB and
 * translates anew, without a word to the hypervisor. The page is write-protected on the host, and looked at from the
 * fault.
 */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define LINEAR   (5 * PAGE_SIZE)
#define ALIASES  100u
#define ONE_PAGE 90u /* units of work, in which one shadow goes */

static struct {
    uint8_t *page;
    uint64_t linear;
    unsigned int seen;     /* stores */
    uint64_t leaf;         /* that translates then */
    bool behind;           /* no vCPU may enter the guest then */
    unsigned long flushes; /* until then */
    uint64_t *entry, set;  /* in which a walk sets these bits just then */
} watch;
static struct sigaction before;

static void on_store(int sig, siginfo_t *info, void *context)
{
    unsigned int level;

    if ((uintptr_t)info->si_addr - (uintptr_t)watch.page >= PAGE_SIZE) {
        sigaction(SIGSEGV, &before, NULL); /* it comes again, and is somebody else's */
        return;
    }
    watch.seen++;
    watch.leaf = leaf(watch.linear, &level);
    watch.behind = shadow_behind(&CPU->v);
    watch.flushes = tlb_flushes;
    mprotect(watch.page, PAGE_SIZE, PROT_READ | PROT_WRITE);
    if (watch.entry)
        *watch.entry |= watch.set;
}

static void watch_table(uint64_t gfn, uint64_t linear)
{
    struct sigaction a = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO};

    memset(&watch, 0, sizeof(watch));
    watch.page = mfn_to_virt(model_frame(gfn));
    watch.linear = linear;
    assert_int_equal(sigaction(SIGSEGV, &a, &before), 0);
    assert_int_equal(mprotect(watch.page, PAGE_SIZE, PROT_READ), 0);
}

static void watch_bit(uint64_t bit)
{
    watch.entry = (uint64_t *)watch.page + 5;
    watch.set = bit;
}

static void watched_times(unsigned int times)
{
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(mprotect(watch.page, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(watch.seen, times);
}

static void watched(void)
{
    watched_times(1);
}

/* The page has a table that is protected, and a translation. */
static int begin(void **state)
{
    shadow_begin_4(state);
    map(5, 100, ALL);
    assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_FIXED);
    return 0;
}

static void assert_leads_to(uint64_t gfn)
{
    assert_int_equal(watch.leaf & (PTE_ADDR | PTE_P), model_frame(gfn).n << PAGE_SHIFT | PTE_P);
}

static void test_store(void **state)
{
    watch_table(1, LINEAR);
    map(5, 101, ALL);
    watched();
    assert_leads_to(101);
    watch_table(1, LINEAR);
    model_store(PAGE_SIZE + 5 * 8, 4, 102u << PAGE_SHIFT | ALL); /* half of it */
    watched();
    assert_leads_to(102);
    watch_table(1, LINEAR);
    model_store(PAGE_SIZE + 5 * 8, 1, 0); /* not present */
    watched();
    assert_int_equal(watch.leaf, 0);
}

/* An entry that leads to a table. */
static void test_upper_store(void **state)
{
    watch_table(2, LINEAR);
    model_store(2 * PAGE_SIZE, 8, 7ul << PAGE_SHIFT | ALL);
    watched();
    assert_int_equal(watch.leaf, 0);
}

static void test_cleared(void **state)
{
    watch_table(1, LINEAR);
    model_will_store(PAGE_SIZE + 5 * 8, 8);
    assert_int_equal(shadow_write(d, _gpa(PAGE_SIZE + 5 * 8), 8, NULL), 0);
    model_wrote(PAGE_SIZE + 5 * 8, 8, 0);
    watched();
    assert_int_equal(watch.leaf, 0);
}

static void test_swap(void **state)
{
    uint64_t old = 100ul << PAGE_SHIFT | ALL, new = 101ul << PAGE_SHIFT | ALL;

    watch_table(1, LINEAR);
    model_will_store(PAGE_SIZE + 5 * 8, 8);
    assert_int_equal(shadow_swap(d, _gpa(PAGE_SIZE + 5 * 8), 8, &old, new), 0);
    model_wrote(PAGE_SIZE + 5 * 8, 8, new);
    watched();
    assert_leads_to(101);
    assert_int_equal(old, 100ul << PAGE_SHIFT | ALL);
}

/*
 * A walk sets A in between: nothing was stored, and no TLB keeps what would have been. Of whatever size it is: the
 * kernel of Linux takes RW away with an AND of one byte.
 */
static void swap_fails(unsigned int bytes)
{
    uint64_t was = 100ul << PAGE_SHIFT | (ALL & ~PTE_A), mask = ~0ull >> (64 - 8 * bytes), old = was & mask;
    unsigned int level;

    map(5, 100, ALL & ~PTE_A);
    watch_table(1, LINEAR);
    watch_bit(PTE_A);
    assert_int_equal(shadow_swap(d, _gpa(PAGE_SIZE + 5 * 8), bytes, &old, 101ul << PAGE_SHIFT | ALL), 0);
    watched();
    if (bytes >= 4)
        assert_leads_to(101);
    assert_int_equal(old, (was | PTE_A) & mask);
    assert_int_equal(*watch.entry, was | PTE_A);
    model_wrote(PAGE_SIZE + 5 * 8, 8, was | PTE_A);
    if (bytes != 2) /* else it is no table any more */
        assert_int_equal(leaf(LINEAR, &level) & PTE_ADDR, model_frame(100).n << PAGE_SHIFT);
    assert_true(tlb_flushes > watch.flushes);
}

static void test_swap_fails(void **state)
{
    for (unsigned int bytes = 8; bytes; bytes /= 2) {
        swap_fails(bytes);
        map(5, 100, ALL);
        assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_FIXED);
    }
}

/* It differs from what is expected, and a walk that sets D would make it the same just then: nothing is stored, since
 * what was made of it was not looked at. */
static void test_swap_differs(void **state)
{
    const uint64_t was = 100ul << PAGE_SHIFT | (ALL & ~PTE_D);

    map(5, 100, ALL & ~PTE_D);
    assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_FIXED);
    for (unsigned int bytes = 8; bytes; bytes /= 2) {
        uint64_t mask = ~0ull >> (64 - 8 * bytes), old = (was | PTE_D) & mask;

        watch_table(1, LINEAR);
        watch_bit(PTE_D);
        assert_int_equal(shadow_swap(d, _gpa(PAGE_SIZE + 5 * 8), bytes, &old, 101ul << PAGE_SHIFT | ALL), 0);
        assert_int_equal(model_audit(), 0);
        watched_times(0);
        assert_int_equal(old, was & mask);
    }
}

/* More than an entry, by a hypercall: everybody has left the guest by then, and does not enter it before it is done. */
static void test_overwritten(void **state)
{
    uint8_t entries[32] = {0};
    unsigned long flushes = tlb_flushes;

    watch_table(1, LINEAR);
    model_overwrite(PAGE_SIZE + 4 * 8, sizeof(entries), entries);
    watched();
    assert_true(watch.behind);
    assert_true(watch.flushes > flushes);
    assert_false(shadow_behind(&CPU->v));
    assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_REFLECT);
}

/* A vCPU that was in the middle of a fault then goes on with it, between two slices of what has to go. */
static void test_fault_while_overwritten(void **state)
{
    static const uint8_t entries[16];
    bool ready = false;

    map(6, 101, ALL);
    map(8, 102, ALL);
    assert_int_equal(go(6 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    model_overwrite_begins(PAGE_SIZE + 5 * 8, sizeof(entries), entries);
    fake_preempt_percent = 100;
    for (unsigned int slices = 0; !ready; slices++) {
        struct shadow_fault f = {.linear = 8 * PAGE_SIZE};

        assert_true(slices < 20);
        stretch_begin(STRETCH_TRAP, 31);
        stretch_work(STRETCH_BOUND - ONE_PAGE);
        ready = shadow_ready(&CPU->v);
        stretch_point();
        if (!ready)
            shadow_fault(&CPU->v, &f);
        stretch_end();
    }
    fake_preempt_percent = 0;
    assert_int_equal(model_audit(), 0);
    assert_int_equal(go(6 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);
    assert_int_equal(go(LINEAR, ORACLE_READ, false).result, SHADOW_REFLECT);
}

/* A fault with so many units of work. */
static void fault(uint64_t linear, unsigned int units)
{
    struct shadow_fault f = {.linear = linear};

    stretch_begin(STRETCH_TRAP, 14);
    stretch_work(STRETCH_BOUND - units);
    shadow_fault(&CPU->v, &f);
    stretch_end();
}

/* A table with one entry. */
static void lead_to(unsigned int index, uint64_t gfn)
{
    model_store(gfn << PAGE_SHIFT, 8, 106ul << PAGE_SHIFT | ALL);
    model_store(2 * PAGE_SIZE + index * 8, 8, gfn << PAGE_SHIFT | ALL);
}

/* Frame 103 becomes a table, and its protection, from stores by so many addresses, is interrupted. */
static void protect_in_part(void)
{
    mfn_t first = model_frame(103);

    opt_shadow_oos = opt_shadow_ahead = false;
    lead_to(1, 103);
    for (unsigned int i = 100; i < 100 + ALIASES; i++)
        map(i, 103, ALL);
    for (unsigned int i = 100; i < 100 + ALIASES; i++)
        (void)go(i * PAGE_SIZE, ORACLE_WRITE, false);
    for (unsigned int units = 1; !is_table(first); units++) {
        assert_true(units < STRETCH_BOUND);
        fault(REGION_FRAMES * PAGE_SIZE, units);
    }
    assert_true(page_of_frame(d->shadow, first)->open);
}

/* Another one is protected; the last entries that allowed stores to the first go by the guest's doing, who flushes no
 * TLB. */
static void test_protected_in_two_parts(void **state)
{
    mfn_t first = model_frame(103);
    unsigned long flushes;

    protect_in_part();
    lead_to(2, 104);
    assert_int_equal(go(2 * REGION_FRAMES * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_false(page_of_frame(d->shadow, model_frame(104))->open);
    assert_true(page_of_frame(d->shadow, first)->open);
    for (unsigned int i = 100; i < 100 + ALIASES; i++)
        map(i, 105, ALL);
    d->shadow->stale = true;
    flushes = tlb_flushes;
    assert_int_equal(go(REGION_FRAMES * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_false(page_of_frame(d->shadow, first)->open);
    assert_true(tlb_flushes > flushes);
    opt_shadow_oos = opt_shadow_ahead = true;
}

/* The hypervisor stores to an entry then, and after that the guest, unseen, through what still lets it. */
static void test_stored_before_protection(void **state)
{
    const uint64_t at = 103 * PAGE_SIZE + 8, value = 107ul << PAGE_SHIFT | ALL;
    unsigned int alias = 100, level;

    protect_in_part();
    model_store(at, 8, 105ul << PAGE_SHIFT | ALL);
    while (!(leaf(alias * PAGE_SIZE, &level) & PTE_RW))
        assert_true(++alias < 100 + ALIASES);
    model_will_store(at, 8);
    ((uint64_t *)mfn_to_virt(model_frame(103)))[1] = value;
    model_wrote(at, 8, value);
    assert_int_equal(go(REGION_FRAMES * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_false(page_of_frame(d->shadow, model_frame(103))->open);
    assert_int_equal(model_audit(), 0);
    assert_int_equal(go((REGION_FRAMES + 1) * PAGE_SIZE, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(107).n);
    opt_shadow_oos = opt_shadow_ahead = true;
}

/* However many frames change, they are taken out of TLBs together. */
static void test_one_flush_for_all(void **state)
{
    struct p2m_retype r = {.gfn = _gfn(96), .n = 32, .from = P2M_RAM_RW, .to = P2M_RAM_RO};
    unsigned long flushes;
    int rc;

    for (unsigned int i = 96; i < 128; i++)
        map(i, i, ALL);
    for (unsigned int i = 96; i < 128; i++)
        assert_int_equal(go(i * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    flushes = tlb_flushes;
    do {
        stretch_point();
        rc = p2m_change_type(d, &r);
    } while (model_try_again(rc));
    assert_int_equal(rc, 0);
    assert_in_range(tlb_flushes - flushes, 1, 2);
    assert_int_equal(go(100 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
}

int shadow_order_tests(void)
{
#define ORDER_TEST(f) cmocka_unit_test_setup_teardown(f, begin, shadow_end)
    const struct CMUnitTest tests[] = {
        ORDER_TEST(test_store),
        ORDER_TEST(test_upper_store),
        ORDER_TEST(test_cleared),
        ORDER_TEST(test_swap),
        ORDER_TEST(test_swap_fails),
        ORDER_TEST(test_swap_differs),
        ORDER_TEST(test_overwritten),
        ORDER_TEST(test_fault_while_overwritten),
        ORDER_TEST(test_protected_in_two_parts),
        ORDER_TEST(test_stored_before_protection),
        ORDER_TEST(test_one_flush_for_all),
    };

    return cmocka_run_group_tests_name("shadows before stores", tests, NULL, NULL);
}
