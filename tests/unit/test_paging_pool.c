// SPDX-License-Identifier: BSD-2-Clause
/*
 * The pool of a translated domain on the real heap: its size in slices, its limits, what it holds back for the P2M,
 * low frames, the heap running out; and random operations, after each of which every frame is accounted for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>
#include "fake/fake.h"
#include "fake/ram.h"

/* What frame.c wants of mm/pv: no test here makes tables. */
int pv_get_table_type(struct page_info *pg, enum page_type type)
{
    return -EINVAL;
}

void pv_put_table_type(struct page_info *pg)
{
}

static struct domain *d;
static struct paging_pool *pool;

static int begin(void **state)
{
    ram_init();
    fake_tlb_reset();
    fake_preempt_percent = 0;
    d = fake_domain(1, false, 1, 0);
    d->max_pages = 0;
    fake_run_on(0, d->vcpu[0]);
    if (heap_free_pages() != RAM_FRAMES || paging_pool_init(d))
        return -1;
    pool = d->paging_pool;
    return 0;
}

static int end(void **state)
{
    while (paging_pool_relinquish(d) == -ERESTART)
        ;
    paging_pool_destroy(d);
    fake_domain_free(d);
    return heap_free_pages() == RAM_FRAMES && fake_locks_held == 0 ? 0 : -1;
}

static unsigned long length(const struct list_head *list, bool low)
{
    const struct page_info *pg;
    unsigned long n = 0;

    list_for_each (pg, list, list) {
        assert_int_equal(page_to_mfn(pg).n < 1ul << 20, low);
        assert_null(pg->owner);
        n++;
    }
    return n;
}

static unsigned long used_frames(void)
{
    return pool->used[PAGING_P2M] + pool->used[PAGING_SHADOW] + pool->used[PAGING_LOGDIRTY];
}

static void audit(void)
{
    assert_int_equal(length(&pool->low, true) + length(&pool->high, false), pool->free);
    assert_int_equal(pool->free + used_frames(), pool->size);
    assert_int_equal(heap_free_pages() + d->tot_pages + pool->size, RAM_FRAMES - 1); /* the object page of the pool */
    assert_int_equal(fake_locks_held, 0);
}

/* Until it is done; how often it was preempted. */
static int resize(unsigned long frames, unsigned int *restarts)
{
    int rc;

    for (*restarts = 0; (rc = paging_pool_resize(d, frames)) == -ERESTART; ++*restarts) {
        assert_true(*restarts < 1000);
        stretch_point();
        audit();
    }
    return rc;
}

static void test_resize(void **state)
{
    unsigned int restarts;

    assert_int_equal(pool->size, PAGING_POOL_INITIAL);
    fake_preempt_percent = 100;
    assert_int_equal(resize(1000, &restarts), 0);
    assert_in_range(restarts, (1000 - PAGING_POOL_INITIAL) / 64, 1000 / 64 + 1);
    audit();
    assert_int_equal(pool->free, 1000);
    assert_int_equal(resize(1000, &restarts), 0);
    assert_int_equal(restarts, 0);
    assert_int_equal(resize(1, &restarts), 0);
    assert_in_range(restarts, 999 / 64 - 1, 999 / 64 + 1);
    audit();
    assert_int_equal(resize(0, &restarts), 0);
    assert_null(paging_pool_alloc(d, PAGING_P2M, false));
    audit();
}

static void test_resize_refused(void **state)
{
    unsigned int restarts;
    struct page_info *pg[40];

    for (unsigned int i = 0; i < 40; i++)
        assert_non_null(pg[i] = paging_pool_alloc(d, PAGING_P2M, false));
    assert_int_equal(resize(39, &restarts), -EBUSY);
    assert_int_equal(resize(0, &restarts), -EBUSY);
    assert_int_equal(pool->size, PAGING_POOL_INITIAL);
    assert_int_equal(resize(40, &restarts), 0);
    assert_int_equal(pool->free, 0);
    assert_int_equal(resize(RAM_FRAMES, &restarts), -ENOMEM);
    assert_int_equal(resize(~0ul, &restarts), -ENOMEM);
    assert_int_equal(pool->size, 40);
    d->dying = DOM_DYING;
    assert_int_equal(resize(50, &restarts), -EINVAL);
    d->dying = DOM_ALIVE;
    audit();
    for (unsigned int i = 0; i < 40; i++)
        paging_pool_free(d, PAGING_P2M, pg[i]);
}

static void test_heap_runs_out(void **state)
{
    unsigned int restarts;

    /* What another domain has claimed is not for the pool. */
    d->max_pages = RAM_FRAMES;
    assert_int_equal(domain_claim_pages(d, RAM_FRAMES - 200), 0);
    assert_int_equal(resize(300, &restarts), -ENOMEM);
    assert_int_equal(pool->size, PAGING_POOL_INITIAL);
    assert_int_equal(resize(100, &restarts), 0);
    domain_unclaim_pages(d);
    audit();
}

static void test_init_without_memory(void **state)
{
    struct domain *poor = fake_domain(2, false, 1, 1);
    uint64_t free = heap_free_pages();

    d->max_pages = RAM_FRAMES;
    for (unsigned long left = 0; left <= PAGING_POOL_INITIAL; left++) {
        assert_int_equal(domain_claim_pages(d, free - left), 0);
        assert_int_equal(paging_pool_init(poor), left == PAGING_POOL_INITIAL ? 0 : -ENOMEM);
        domain_unclaim_pages(d);
        if (!poor->paging_pool)
            assert_int_equal(heap_free_pages(), free);
    }
    assert_int_equal(paging_pool_relinquish(poor), 0);
    paging_pool_destroy(poor);
    assert_int_equal(paging_pool_relinquish(poor), 0); /* PV domains have none */
    fake_domain_free(poor);
}

static void test_zeroed(void **state)
{
    struct page_info *pg[PAGING_POOL_INITIAL];

    for (unsigned int round = 0; round < 2; round++) {
        for (unsigned int i = 0; i < PAGING_POOL_INITIAL; i++) {
            const uint64_t *p;

            pg[i] = paging_pool_alloc(d, PAGING_P2M, i % 2);
            p = page_to_virt(pg[i]);
            assert_int_equal(p[0] | p[100] | p[511], 0);
            memset(page_to_virt(pg[i]), 0x5a, PAGE_SIZE);
        }
        assert_null(paging_pool_alloc(d, PAGING_P2M, false));
        for (unsigned int i = 0; i < PAGING_POOL_INITIAL; i++)
            paging_pool_free(d, PAGING_P2M, pg[i]);
    }
    audit();
}

static unsigned int take_all(enum paging_use use, struct page_info **pg)
{
    unsigned int n = 0;

    while ((pg[n] = paging_pool_alloc(d, use, false)) != NULL)
        n++;
    return n;
}

static void test_held_back(void **state)
{
    struct page_info *shadow[PAGING_POOL_INITIAL + 1], *p2m[PAGING_POOL_INITIAL + 1];
    unsigned int shadows, tables;

    d->max_pages = 10 * 512; /* ten tables, and four above them; as many above the bits of the log */
    shadows = take_all(PAGING_SHADOW, shadow);
    assert_int_equal(shadows, PAGING_POOL_INITIAL - 18);
    tables = take_all(PAGING_P2M, p2m);
    assert_int_equal(tables, 18);
    /* What the P2M gives back it may want again. */
    paging_pool_free(d, PAGING_P2M, p2m[--tables]);
    assert_null(paging_pool_alloc(d, PAGING_SHADOW, false));
    while (tables)
        paging_pool_free(d, PAGING_P2M, p2m[--tables]);
    while (shadows)
        paging_pool_free(d, PAGING_SHADOW, shadow[--shadows]);
    /* Never more than half, and the P2M may use what shadows may. */
    d->max_pages = ~0ull;
    shadows = take_all(PAGING_SHADOW, shadow);
    assert_int_equal(shadows, PAGING_POOL_INITIAL / 2);
    while (shadows)
        paging_pool_free(d, PAGING_SHADOW, shadow[--shadows]);
    tables = take_all(PAGING_P2M, p2m);
    assert_int_equal(tables, PAGING_POOL_INITIAL);
    while (tables)
        paging_pool_free(d, PAGING_P2M, p2m[--tables]);
    audit();
}

/* All of the test's RAM is low, so frames that pretend to be high are put aside first. */
static void test_low_frame_is_traded(void **state)
{
    struct page_info *pg;
    struct list_head *first;

    while (!list_empty(&pool->low)) {
        first = pool->low.next;
        list_del(first);
        list_add(first, &pool->high);
    }
    pg = paging_pool_alloc(d, PAGING_SHADOW, true);
    assert_non_null(pg);
    assert_int_equal(pool->size, PAGING_POOL_INITIAL);
    assert_int_equal(heap_free_pages() + pool->size, RAM_FRAMES - 1);
    /* With no low frame anywhere there is none. */
    d->max_pages = RAM_FRAMES;
    assert_int_equal(domain_claim_pages(d, heap_free_pages()), 0);
    assert_null(paging_pool_alloc(d, PAGING_SHADOW, true));
    assert_int_equal(pool->free, PAGING_POOL_INITIAL - 1);
    domain_unclaim_pages(d);
    paging_pool_free(d, PAGING_SHADOW, pg);
    while (!list_empty(&pool->high)) {
        first = pool->high.next;
        list_del(first);
        list_add(first, &pool->low);
    }
    audit();
}

#define MAX_TAKEN 400
static struct taken {
    struct page_info *pg;
    enum paging_use use;
} taken[MAX_TAKEN];
static unsigned int nr_taken;

static void random_step(void)
{
    unsigned int n = fake_below(100), restarts;

    if (n < 50 && nr_taken < MAX_TAKEN) {
        struct taken t = {.use = fake_below(NR_PAGING_USES)};

        t.pg = paging_pool_alloc(d, t.use, fake_chance(30));
        if (t.pg)
            taken[nr_taken++] = t;
        else
            assert_true(pool->free <= pool->size / 2);
    } else if (n < 95 && nr_taken) {
        unsigned int i = fake_below(nr_taken);

        paging_pool_free(d, taken[i].use, taken[i].pg);
        taken[i] = taken[--nr_taken];
    } else {
        unsigned long want = fake_below(500);
        int rc = resize(want, &restarts);

        assert_int_equal(rc, want < nr_taken ? -EBUSY : 0);
        assert_true(rc || pool->size == want);
    }
}

static void test_random(void **state)
{
    unsigned long ops = fake_ops(20000);

    d->max_pages = 20000;
    fake_preempt_percent = 50;
    for (unsigned long i = 0; i < ops; i++) {
        random_step();
        stretch_point();
        assert_int_equal(used_frames(), nr_taken);
        if (i % 16 == 0)
            audit();
    }
    while (nr_taken) {
        nr_taken--;
        paging_pool_free(d, taken[nr_taken].use, taken[nr_taken].pg);
    }
    audit();
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_resize), TEST(test_resize_refused), TEST(test_heap_runs_out),       TEST(test_init_without_memory),
        TEST(test_zeroed), TEST(test_held_back),      TEST(test_low_frame_is_traded), TEST(test_random),
    };

    fake_seed("test_paging_pool");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
