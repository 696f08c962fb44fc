// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much work lies between two preemption points: the worst page tables that this machine has frames for, come into
 * use and go again by every call that can make them, preempted always, never and at random. Each time no stretch may
 * have more units of work than the bound, and the work that was counted is at least what there was to do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include "fake/fake.h"

#define FEW 8u

static struct domain *control, *d;
static struct page_info *table[FAKE_FRAMES];
static unsigned int tables;
static uint64_t total; /* units of work of one call and its restarts */

static int begin(void **state)
{
    (void)state;
    fake_memory_init();
    stretch_init();
    fake_preempt_percent = 0;
    control = fake_domain(0, true, 1, 1);
    d = fake_domain(1, false, 1, 0);
    pv_pt_domain_init(control);
    pv_pt_domain_init(d);
    fake_run_on(0, d->vcpu[0]);
    tables = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_run_on(0, NULL);
    fake_preempt_percent = 0;
    assert_int_equal(fake_locks_held, 0);
    assert_int_equal(d->tot_pages, 0);
    fake_domain_free(d);
    fake_domain_free(control);
    return 0;
}

/* The most units in any stretch since the last time. */
static unsigned int longest(void)
{
    unsigned int next = 0, most = 0;
    struct stretch s;

    while (stretch_read(&next, true, &s))
        most = MAX(most, s.work);
    return most;
}

static long call_as(unsigned int op, hypercall_fn *fn, struct hcall hc)
{
    long rc = 0;

    total = 0;
    do {
        unsigned int most;

        hc.restart = false;
        stretch_begin(op, 0);
        rc = fn(&hc);
        stretch_end();
        most = longest();
        assert_in_range(most, 0, STRETCH_BOUND);
        total += most;
    } while (hc.restart);
    return rc;
}

static long ext(unsigned int cmd, const struct page_info *pg)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = page_to_mfn(pg).n};

    return call_as(__HYPERVISOR_mmuext_op, do_mmuext_op, (struct hcall){.arg = {(unsigned long)&op, 1, 0, DOMID_SELF}});
}

static long update(const struct page_info *pg, unsigned int index, pte_t e)
{
    struct mmu_update u = {mfn_to_maddr(page_to_mfn(pg)).n + index * sizeof(pte_t), e.n};

    return call_as(__HYPERVISOR_mmu_update, do_mmu_update,
                   (struct hcall){.arg = {(unsigned long)&u, 1, 0, DOMID_SELF}});
}

static pte_t *entry(const struct page_info *pg, unsigned int i)
{
    return (pte_t *)page_to_virt(pg) + i;
}

static struct page_info *new_table(void)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    if (pg)
        table[tables++] = pg;
    return pg;
}

/* All slots of an L1 in use: nothing of it is cheap. */
static void fill_l1(struct page_info *l1)
{
    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        *entry(l1, i) = pte_make(page_to_mfn(table[0]), PTE_P | PTE_US);
}

/* A slot of the guest's range that is free; places at the ends are the worst: nothing but empty slots around them. */
static unsigned int free_slot(const struct page_info *pg, unsigned int level, unsigned int n)
{
    unsigned int last = level == 4 ? HYPERVISOR_L4_FIRST - 1 : PT_ENTRIES - 1;
    unsigned int i = n == 0 ? last : n == 1 ? 0 : fake_below(last + 1);

    while (entry(pg, i)->n & PTE_P)
        i = (i + 1) % (last + 1);
    return i;
}

/* A tree of all frames that there are; width children for each table above the lowest. */
static struct page_info *grow(unsigned int level, unsigned int width)
{
    struct page_info *pg = new_table();

    if (!pg)
        return NULL;
    if (level == 1) {
        fill_l1(pg);
        return pg;
    }
    for (unsigned int n = 0; n < width; n++) {
        struct page_info *child = grow(level - 1, width);

        if (!child)
            break;
        *entry(pg, free_slot(pg, level, n)) = pte_make(page_to_mfn(child), PTE_P | PTE_RW | PTE_US);
    }
    return pg;
}

static void give_all_back(void)
{
    for (unsigned int i = 0; i < tables; i++) {
        table[i]->count_info &= ~PGC_allocated;
        put_page(table[i]);
    }
    tables = 0;
}

static void test_pin_and_unpin_of_the_largest_l4(void **state)
{
    static const unsigned int percents[] = {100, 0, 30};

    (void)state;
    fake_seed("test_pin_and_unpin_of_the_largest_l4");
    for (unsigned int width = 1; width <= FEW; width++) {
        struct page_info *l4 = grow(4, width);

        for (unsigned int i = 0; i < ARRAY_SIZE(percents); i++) {
            fake_preempt_percent = percents[i];
            assert_int_equal(ext(MMUEXT_PIN_L4_TABLE, l4), 0);
            if (percents[i] == 100)
                assert_in_range(total, tables * 500ul, tables * 512ul);
            assert_int_equal(ext(MMUEXT_UNPIN_TABLE, l4), 0);
            if (percents[i] == 100)
                assert_in_range(total, tables * 500ul, tables * 512ul);
        }
        fake_preempt_percent = 0;
        give_all_back();
    }
}

/* One store that takes a full table away and puts another in its place. */
static void test_store_that_replaces_a_full_table(void **state)
{
    struct page_info *l2 = new_table(), *a = new_table(), *b = new_table();

    (void)state;
    fill_l1(a);
    fill_l1(b);
    *entry(l2, 511) = pte_make(page_to_mfn(a), PTE_P | PTE_RW | PTE_US);
    assert_int_equal(ext(MMUEXT_PIN_L2_TABLE, l2), 0);
    for (unsigned int percent = 0; percent <= 100; percent += 50) {
        fake_preempt_percent = percent;
        assert_int_equal(update(l2, 511, pte_make(page_to_mfn(b), PTE_P | PTE_RW | PTE_US)), 0);
        assert_int_equal(update(l2, 511, pte_make(page_to_mfn(a), PTE_P | PTE_RW | PTE_US)), 0);
    }
    assert_int_equal(ext(MMUEXT_UNPIN_TABLE, l2), 0);
    give_all_back();
}

/* A new base in the place of an old one: both trees in one call. */
static void test_change_of_base(void **state)
{
    struct page_info *first = grow(4, 2), *second = grow(4, 3);

    (void)state;
    fake_preempt_percent = 100;
    assert_int_equal(ext(MMUEXT_NEW_BASEPTR, first), 0);
    assert_int_equal(ext(MMUEXT_NEW_BASEPTR, second), 0);
    assert_int_equal(ext(MMUEXT_NEW_BASEPTR, first), 0);
    while (pv_drop_base(d->vcpu[0]) == -ERESTART)
        ;
    give_all_back();
}

static long relinquish(struct hcall *hc)
{
    long rc = pv_relinquish_tables(d);

    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}

/* The end of a guest whose frames are all page tables, pinned one by one, and validations that nobody took up again. */
static void test_destroy_with_all_frames_tables(void **state)
{
    struct page_info *l4 = grow(4, 5);

    (void)state;
    assert_int_equal(ext(MMUEXT_PIN_L4_TABLE, l4), 0);
    for (unsigned int i = 0; i < tables; i++)
        ext(MMUEXT_PIN_L1_TABLE + page_type(table[i]) - PT_L1, table[i]);
    fake_preempt_percent = 100;
    d->dying = DOM_DYING;
    assert_int_equal(call_as(STRETCH_TEARDOWN, relinquish, (struct hcall){0}), 0);
    assert_true(total >= tables * 500ul);
    for (unsigned int i = 0; i < tables; i++)
        assert_int_equal(table[i]->type_info & (PGT_count_mask | PGT_pinned | PGT_partial), 0);
    give_all_back();
}

/* Largest stretch of a batch that nothing wants to preempt. */
static unsigned int batch(unsigned int op, hypercall_fn *fn, const void *requests, unsigned int n)
{
    assert_int_equal(call_as(op, fn, (struct hcall){.arg = {(unsigned long)requests, n, 0, DOMID_SELF}}), 0);
    return (unsigned int)total;
}

/* A request that does no other work is a unit; a frame that is cleared or copied is what a frame is. */
static void test_batches(void **state)
{
    static struct mmu_update u[1000];
    static struct mmuext_op e[1000];
    struct page_info *pg = new_table();

    (void)state;
    for (unsigned int i = 0; i < ARRAY_SIZE(u); i++) {
        u[i] = (struct mmu_update){mfn_to_maddr(page_to_mfn(pg)).n + i % PT_ENTRIES * sizeof(pte_t), 0};
        e[i] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_LOCAL};
    }
    assert_int_equal(batch(__HYPERVISOR_mmu_update, do_mmu_update, u, ARRAY_SIZE(u)), 1);
    assert_int_equal(batch(__HYPERVISOR_mmuext_op, do_mmuext_op, e, ARRAY_SIZE(e)), 1);
    for (unsigned int i = 0; i < ARRAY_SIZE(e); i++)
        e[i] = (struct mmuext_op){.cmd = i % 2 ? MMUEXT_CLEAR_PAGE : MMUEXT_COPY_PAGE,
                                  .arg1.mfn = page_to_mfn(pg).n,
                                  .arg2.src_mfn = page_to_mfn(pg).n};
    assert_int_equal(batch(__HYPERVISOR_mmuext_op, do_mmuext_op, e, ARRAY_SIZE(e)), STRETCH_FRAME);
    give_all_back();
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_pin_and_unpin_of_the_largest_l4),
        TEST(test_store_that_replaces_a_full_table),
        TEST(test_change_of_base),
        TEST(test_destroy_with_all_frames_tables),
        TEST(test_batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
