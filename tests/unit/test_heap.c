// SPDX-License-Identifier: BSD-2-Clause
/*
 * The heap and small objects on a few thousand frames with a hole: random allocation against a model of who has which
 * frame, limits of addresses and domains, what must be flushed before a frame is used again, exchange of frames.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/boot.h>
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

static cpumask_t flushed;
static unsigned int flushes;
void __real_tlb_flush_mask(cpumask_t mask);
void __wrap_tlb_flush_mask(cpumask_t mask);
void __wrap_tlb_flush_mask(cpumask_t mask)
{
    flushed = cpumask_or(flushed, mask);
    flushes++;
    __real_tlb_flush_mask(mask);
}

static struct domain *d;

static int begin(void **state)
{
    ram_init();
    fake_tlb_reset();
    d = fake_domain(1, false, 1, 0);
    fake_run_on(0, d->vcpu[0]);
    return heap_free_pages() == RAM_FRAMES ? 0 : -1;
}

static int end(void **state)
{
    bool clean = heap_free_pages() == RAM_FRAMES && fake_locks_held == 0 && d->tot_pages == 0 && d->refcount == 1;

    fake_domain_free(d);
    return clean ? 0 : -1;
}

/* ---- random allocation ---- */
#define MAX_BLOCKS 200

static struct block {
    struct page_info *pg;
    unsigned int order;
    uint64_t tag;
} blocks[MAX_BLOCKS];
static bool taken[RAM_END];

static void fill(const struct block *b)
{
    for (uint64_t i = 0; i < 1ul << b->order; i++) {
        uint64_t *p = mfn_to_virt(mfn_add(page_to_mfn(b->pg), i));

        p[0] = b->tag;
        p[PAGE_SIZE / 8 - 1] = b->tag;
    }
}

static void take_block(struct block *b, uint64_t tag)
{
    unsigned int order = fake_chance(80) ? fake_below(4) : fake_below(9),
                 bits = fake_chance(30) ? 12 + fake_below(16) : 0;
    unsigned int memf = MEMF_BITS(bits) | (fake_chance(50) ? MEMF_ZERO : 0);
    uint64_t before = heap_free_pages();
    struct page_info *pg = alloc_hv_pages(order, memf);
    uint64_t m;

    if (!pg) {
        assert_int_equal(heap_free_pages(), before);
        return;
    }
    m = page_to_mfn(pg).n;
    assert_int_equal(m & ((1ul << order) - 1), 0);
    assert_int_equal(heap_free_pages(), before - (1ul << order));
    if (bits)
        assert_true((m + (1ul << order)) << PAGE_SHIFT <= 1ul << bits);
    for (uint64_t i = 0; i < 1ul << order; i++) {
        const uint64_t *p = mfn_to_virt(_mfn(m + i));

        assert_true(mfn_is_ram(_mfn(m + i)) && !taken[m + i]);
        assert_null(pg[i].owner);
        assert_int_equal(pg[i].count_info | pg[i].type_info, 0);
        taken[m + i] = true;
        if (memf & MEMF_ZERO)
            assert_true(p[0] == 0 && p[PAGE_SIZE / 8 - 1] == 0);
    }
    *b = (struct block){pg, order, tag};
    fill(b);
}

static void give_block(struct block *b)
{
    uint64_t m = page_to_mfn(b->pg).n;

    for (uint64_t i = 0; i < 1ul << b->order; i++) {
        const uint64_t *p = mfn_to_virt(_mfn(m + i));

        assert_true(p[0] == b->tag && p[PAGE_SIZE / 8 - 1] == b->tag);
        taken[m + i] = false;
    }
    free_hv_pages(b->pg, b->order);
    b->pg = NULL;
}

static void check_where(void)
{
    uint64_t m = RAM_START + fake_below(RAM_END - RAM_START);

    assert_int_equal(heap_has(mfn_to_page(_mfn(m))), mfn_is_ram(_mfn(m)) && !taken[m]);
}

/* How many blocks of an order there are when nothing else is taken. */
static unsigned int count_blocks(unsigned int order)
{
    struct page_info *all[64];
    unsigned int n = 0;

    while (n < ARRAY_SIZE(all) && (all[n] = alloc_hv_pages(order, 0)) != NULL)
        n++;
    for (unsigned int i = 0; i < n; i++)
        free_hv_pages(all[i], order);
    return n;
}

static void test_random_blocks(void **state)
{
    unsigned int large[3];

    for (unsigned int i = 0; i < 3; i++)
        large[i] = count_blocks(8 + i);
    assert_int_equal(large[2], 4); /* 0x400, 0xc00, 0x1000, 0x1400 */
    for (unsigned long op = 0; op < fake_ops(20000); op++) {
        struct block *b = &blocks[fake_below(MAX_BLOCKS)];

        if (b->pg)
            give_block(b);
        else
            take_block(b, op + 1);
        check_where();
    }
    for (unsigned int i = 0; i < MAX_BLOCKS; i++)
        if (blocks[i].pg)
            give_block(&blocks[i]);
    assert_int_equal(heap_free_pages(), RAM_FRAMES);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(count_blocks(8 + i), large[i]);
}

static void test_exhaustion(void **state)
{
    struct list_head all = LIST_HEAD_INIT(all);
    struct page_info *pg;
    uint64_t n = 0;

    assert_null(alloc_hv_pages(MAX_ORDER + 1, 0));
    assert_null(alloc_hv_pages(MAX_ORDER, 0));
    assert_null(alloc_hv_pages(0, MEMF_BITS(12)));
    assert_null(alloc_hv_pages(0, MEMF_BITS(1)));
    assert_null(alloc_hv_pages(0, MEMF_BITS(20))); /* RAM starts at 1 MiB */
    while ((pg = alloc_hv_pages(0, 0)) != NULL) {
        list_add(&pg->list, &all);
        n++;
    }
    assert_int_equal(n, RAM_FRAMES);
    assert_int_equal(heap_free_pages(), 0);
    assert_null(alloc_hv_mem(0));
    assert_null(hv_alloc(32));
    assert_null(hv_alloc(5000));
    assert_null(alloc_domain_pages(d, 0, 0));
    assert_int_equal(d->refcount, 1);
    while (!list_empty(&all)) {
        pg = list_first(&all, struct page_info, list);
        list_del(&pg->list);
        free_hv_pages(pg, 0);
    }
    free_hv_pages(NULL, 0);
    free_hv_mem(NULL, 0);
}

/* ---- small objects ---- */
#define NR_OBJECTS 400
static struct {
    uint8_t *p;
    size_t size;
    uint8_t tag;
} objects[NR_OBJECTS];

static size_t random_size(void)
{
    if (fake_chance(5))
        return fake_below(5) * PAGE_SIZE + fake_below(3) - 1 + PAGE_SIZE;
    return fake_chance(50) ? fake_below(100) : fake_below(2200);
}

static bool filled_with(const uint8_t *p, size_t n, uint8_t c)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != c)
            return false;
    return true;
}

static void test_objects(void **state)
{
    for (unsigned long op = 0; op < fake_ops(30000); op++) {
        unsigned int i = fake_below(NR_OBJECTS);

        if (objects[i].p) {
            assert_true(filled_with(objects[i].p, objects[i].size, objects[i].tag));
            hv_free(objects[i].p);
            objects[i].p = NULL;
            continue;
        }
        objects[i].size = random_size();
        objects[i].tag = (uint8_t)(1 + fake_below(255));
        objects[i].p = hv_alloc(objects[i].size);
        assert_non_null(objects[i].p);
        assert_int_equal((uintptr_t)objects[i].p & 15, 0);
        assert_true(filled_with(objects[i].p, objects[i].size, 0));
        memset(objects[i].p, objects[i].tag, objects[i].size);
    }
    for (unsigned int i = 0; i < NR_OBJECTS; i++) {
        if (objects[i].p)
            assert_true(filled_with(objects[i].p, objects[i].size, objects[i].tag));
        hv_free(objects[i].p);
    }
    assert_null(hv_alloc(SIZE_MAX));
    assert_null(hv_alloc((PAGE_SIZE << MAX_ORDER) + 1));
    assert_null(hv_alloc_array(16, SIZE_MAX / 16 + 1));
}

/* ---- frames of domains ---- */
static void give_up(struct page_info *pg)
{
    assert_true(pg->count_info & PGC_allocated);
    pg->count_info &= ~PGC_allocated;
    put_page(pg);
}

static void test_domain_limits(void **state)
{
    struct page_info *pg, *big;

    d->max_pages = 9;
    pg = alloc_domain_pages(d, 0, 0);
    assert_ptr_equal(pg->owner, d);
    assert_int_equal(pg->count_info, PGC_allocated | 1);
    assert_int_equal(d->refcount, 2); /* one reference for all frames */
    assert_null(alloc_domain_pages(d, 4, 0));
    big = alloc_domain_pages(d, 3, 0);
    assert_int_equal(d->tot_pages, 9);
    assert_int_equal(d->refcount, 2);
    assert_null(alloc_domain_pages(d, 0, 0));
    for (unsigned int i = 0; i < 8; i++) {
        assert_true(filled_with(mfn_to_virt(mfn_add(page_to_mfn(big), i)), PAGE_SIZE, 0));
        set_gpfn_from_mfn(page_to_mfn(big + i), 7);
        give_up(big + i);
        assert_int_equal(get_gpfn_from_mfn(page_to_mfn(big + i)), INVALID_M2P_ENTRY);
    }
    d->dying = DOM_DYING;
    assert_null(alloc_domain_pages(d, 0, 0));
    assert_int_equal(assign_pages(d, pg, 0), -EINVAL);
    assert_int_equal(d->tot_pages, 1);
    give_up(pg);
    assert_int_equal(d->refcount, 1);
    d->dying = DOM_ALIVE;
}

/* The same frame again, whatever else there is: everything else is taken. */
static void take_all_others(struct list_head *all)
{
    struct page_info *pg;

    while ((pg = alloc_hv_pages(0, 0)) != NULL)
        list_add(&pg->list, all);
}

static void free_all(struct list_head *all)
{
    while (!list_empty(all)) {
        struct page_info *pg = list_first(all, struct page_info, list);

        list_del(&pg->list);
        free_hv_pages(pg, 0);
    }
}

static void reset_flushes(void)
{
    flushed = CPUMASK_NONE;
    flushes = 0;
}

static void test_stale_frames_are_flushed(void **state)
{
    struct list_head all = LIST_HEAD_INIT(all);
    struct page_info *pg = alloc_domain_pages(d, 0, 0), *again;

    take_all_others(&all);
    give_up(pg);
    reset_flushes();
    fake_run_on(1, NULL);
    tlb_flush_local(); /* CPU 1 forgets by itself */
    again = alloc_hv_pages(0, 0);
    assert_ptr_equal(again, pg);
    assert_int_equal(flushes, 1);
    assert_int_equal(flushed.bits, 0xf & ~2u);
    free_hv_pages(again, 0);
    reset_flushes();
    again = alloc_hv_pages(0, 0); /* nobody could have learned of it since */
    assert_ptr_equal(again, pg);
    assert_int_equal(flushes, 0);
    free_hv_pages(again, 0);
    fake_run_on(0, d->vcpu[0]);
    free_all(&all);
}

/* A stale frame in the middle of a block that others were merged into, and split off again. */
static void test_stale_frames_in_blocks(void **state)
{
    struct list_head all = LIST_HEAD_INIT(all);
    struct page_info *pg = alloc_domain_pages(d, 3, 0), *half, *other;

    take_all_others(&all);
    for (unsigned int i = 0; i < 8; i++)
        give_up(pg + i);
    __real_tlb_flush_mask(cpu_online_map);
    other = alloc_hv_pages(2, 0);
    half = alloc_hv_pages(2, 0);
    assert_true(other && half && other != half);
    free_hv_pages(half, 2);
    reset_flushes();
    free_hv_pages(alloc_hv_pages(2, 0), 2);
    assert_int_equal(flushes, 0);
    assert_int_equal(assign_pages(d, half = alloc_hv_pages(1, 0), 1), 0);
    give_up(half + 1); /* stale */
    give_up(half);
    reset_flushes();
    half = alloc_hv_pages(2, 0); /* the two and two that are not */
    assert_int_equal(flushes, 1);
    assert_int_equal(flushed.bits, 0xf);
    free_hv_pages(half, 2);
    free_hv_pages(other, 2);
    free_all(&all);
}

static void claim(struct page_info *pg)
{
    pg->count_info = 1; /* the caller's reference in place of the owner's */
}

static void test_exchange(void **state)
{
    struct page_info *in[4], *out[2];
    uint64_t before;

    d->max_pages = 4;
    for (unsigned int i = 0; i < 4; i++)
        in[i] = alloc_domain_pages(d, 0, 0);
    for (unsigned int i = 0; i < 2; i++)
        out[i] = alloc_hv_pages(1, MEMF_ZERO);
    before = heap_free_pages();
    d->dying = DOM_DYING;
    for (unsigned int i = 0; i < 4; i++)
        claim(in[i]);
    assert_int_equal(exchange_pages(d, in, 4, out, 2, 1), -EINVAL);
    assert_int_equal(d->tot_pages, 4);
    assert_null(out[0]->owner);
    d->dying = DOM_ALIVE;
    assert_int_equal(exchange_pages(d, in, 4, out, 2, 1), 0);
    assert_int_equal(heap_free_pages(), before + 4);
    assert_int_equal(d->tot_pages, 4);
    assert_int_equal(d->refcount, 2);
    for (unsigned int i = 0; i < 4; i++) {
        assert_ptr_equal(out[i / 2][i % 2].owner, d);
        assert_null(in[i]->owner);
    }
    for (unsigned int i = 0; i < 4; i++)
        give_up(&out[i / 2][i % 2]);
}

/* Whatever it was before: of a page of small objects their size stands where this count does. */
static void test_fresh_frame_is_held_by_nobody(void **state)
{
    struct page_info *pg = alloc_hv_pages(0, 0);

    pg->nr_validated = 7;
    assert_int_equal(assign_pages(d, pg, 0), 0);
    assert_int_equal(pg->nr_outside, 0);
    give_up(pg);
}

/* ---- references as hostile numbers ---- */
static void test_any_frame_number(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0), *own = alloc_hv_pages(0, 0);
    static const uint64_t odd[] = {0, 1, 0xff, RAM_HOLE, RAM_HOLE_END - 1, RAM_END, RAM_END + 1, 1ul << 40, ~0ul};

    for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++) {
        assert_false(mfn_valid(_mfn(odd[i])));
        assert_null(get_page_from_mfn(_mfn(odd[i]), d));
        set_gpfn_from_mfn(_mfn(odd[i]), 1);
        assert_int_equal(get_gpfn_from_mfn(_mfn(odd[i])), INVALID_M2P_ENTRY);
    }
    assert_null(get_page_from_mfn(page_to_mfn(own), d));
    assert_null(get_page_from_mfn(page_to_mfn(own), NULL));
    assert_ptr_equal(get_page_from_mfn(page_to_mfn(pg), d), pg);
    put_page(pg);
    give_up(pg);
    assert_null(get_page_from_mfn(page_to_mfn(pg), d));
    free_hv_pages(own, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    static const struct CMUnitTest tests[] = {
        TEST(test_random_blocks),
        TEST(test_exhaustion),
        TEST(test_objects),
        TEST(test_domain_limits),
        TEST(test_stale_frames_are_flushed),
        TEST(test_stale_frames_in_blocks),
        TEST(test_exchange),
        TEST(test_fresh_frame_is_held_by_nobody),
        TEST(test_any_frame_number),
    };

    fake_seed("test_heap");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
