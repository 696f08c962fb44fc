// SPDX-License-Identifier: BSD-2-Clause
/* References to frames: general ones, WRITABLE and SEGDESC, shared hypervisor pages, flushes at a change of type. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "fake/fake.h"

static struct domain *d, *other;

static int begin(void **state)
{
    (void)state;
    fake_memory_init();
    fake_preempt_percent = 0;
    d = fake_domain(1, false, 1, 0);
    other = fake_domain(2, false, 1, 1);
    pv_pt_domain_init(d);
    pv_pt_domain_init(other);
    fake_run_on(0, d->vcpu[0]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(fake_locks_held, 0);
    fake_domain_free(d);
    fake_domain_free(other);
    return 0;
}

static void release(struct page_info *pg)
{
    pg->count_info &= ~PGC_allocated;
    put_page(pg);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_false(mfn_valid(_mfn(0)));
    assert_false(mfn_valid(_mfn(0xff)));
    assert_true(mfn_valid(_mfn(FAKE_RAM_START)));
    assert_false(mfn_valid(_mfn(FAKE_RAM_START + FAKE_FRAMES)));
    assert_false(mfn_valid(INVALID_MFN));
    assert_null(get_page_from_mfn(INVALID_MFN, d));
    assert_int_equal(get_gpfn_from_mfn(INVALID_MFN), INVALID_M2P_ENTRY);
    set_gpfn_from_mfn(INVALID_MFN, 5);
    set_gpfn_from_mfn(_mfn(FAKE_RAM_START + 3), 77);
    assert_int_equal(get_gpfn_from_mfn(_mfn(FAKE_RAM_START + 3)), 77);
}

static void test_general(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    (void)state;
    assert_false(get_page(pg, other));
    assert_false(get_page(pg, NULL));
    assert_true(get_page(pg, d));
    get_page_again(pg);
    release(pg);
    /* Given up by its owner: no new references, but the old ones keep it. */
    assert_false(get_page(pg, d));
    assert_true(get_page_owned(pg, d));
    put_page(pg);
    put_page(pg);
    assert_int_equal(fake_frames_free(), FAKE_FRAMES - 1);
    put_page(pg);
    assert_int_equal(fake_frames_free(), FAKE_FRAMES);
    assert_false(get_page_owned(pg, d));
}

static void test_types_exclude(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    (void)state;
    assert_int_equal(get_page_and_type(pg, d, PT_NONE), -EINVAL);
    assert_int_equal(get_page_and_type(pg, other, PT_WRITABLE), -EINVAL);
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), -EINVAL);
    put_page_and_type(pg);
    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), -EINVAL);
    put_page_and_type(pg);
    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), 0);
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), -EINVAL);
    put_page_and_type(pg);
    release(pg);
}

static void test_descriptors_are_checked_after_writes(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);
    uint64_t *desc = page_to_virt(pg);

    (void)state;
    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), 0);
    put_page_and_type(pg);
    /* Nobody can write without WRITABLE in between. */
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    desc[511] = 1ull << 63;
    put_page_and_type(pg);
    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), -EINVAL);
    /* The refusal leaves no type behind. */
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    desc[511] = 0;
    put_page_and_type(pg);
    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), 0);
    put_page_and_type(pg);
    release(pg);
}

static void test_counts_do_not_overflow(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    (void)state;
    pg->count_info = PGC_allocated | PGC_count_mask;
    assert_false(get_page(pg, d));
    pg->count_info = PGC_allocated | 1;
    pg->type_info = ((uint64_t)PT_WRITABLE << PGT_type_shift) | PGT_validated | PGT_count_mask;
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), -EINVAL);
    pg->type_info = 0;
    release(pg);
}

/* How many CPUs a change of type flushes: 0 is the owner's, 1 another's. */
static unsigned int flushes_of_retype(struct page_info *pg)
{
    uint32_t before = tlb_now();

    assert_int_equal(get_page_and_type(pg, d, PT_SEGDESC), 0);
    put_page_and_type(pg);
    return tlb_now() - before;
}

static void test_flush_at_change_of_type(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    (void)state;
    /* Never had a type: nothing to flush. */
    assert_int_equal(flushes_of_retype(pg), 0);
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    put_page_and_type(pg);
    assert_int_equal(flushes_of_retype(pg), 1);
    /* A CPU that flushed since the drop is spared. */
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    put_page_and_type(pg);
    tlb_flush_local();
    assert_int_equal(flushes_of_retype(pg), 0);
    /* Another domain wrote to it: every CPU. */
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    pg->type_info |= PGT_foreign;
    put_page_and_type(pg);
    assert_int_equal(flushes_of_retype(pg), FAKE_CPUS);
    assert_false(pg->type_info & PGT_foreign);
    release(pg);
}

static void share(bool writable)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

    pg->shadow.rmap = pg->shadow.tables = 1; /* as it may come from the heap */
    share_hv_page_with_guest(pg, d, writable);
    assert_int_equal(pg->shadow.rmap | pg->shadow.rmap_2m | pg->shadow.tables, 0);
    assert_int_equal(d->refcount, 2);
    assert_true(get_page(pg, d));
    assert_int_equal(get_page_type(pg, PT_SEGDESC), -EINVAL);
    assert_int_equal(get_page_type(pg, PT_WRITABLE), writable ? 0 : -EINVAL);
    spin_lock(&d->pv.pt_lock);
    assert_int_equal(get_page_type(pg, PT_L1), -EINVAL);
    spin_unlock(&d->pv.pt_lock);
    /* Mapped still: the domain stays until the mapping goes. */
    assert_false(unshare_hv_page(pg));
    assert_false(unshare_hv_page(pg));
    assert_int_equal(d->refcount, 2);
    if (writable)
        put_page_type(pg);
    put_page(pg);
    assert_int_equal(d->refcount, 1);
    free_hv_pages(pg, 0);
    assert_int_equal(fake_frames_free(), FAKE_FRAMES);
}

static void test_shared_pages(void **state)
{
    (void)state;
    share(true);
    share(false);
}

/* ---- the log of stores ---- */

static unsigned int bits_set;

/* A reading that sees the bit set, and clears it, flushes only if it was told to before. */
static void note_order(const spinlock_t *l)
{
    if (l != &d->logdirty.lock)
        return;
    bits_set++;
    assert_true(d->logdirty.left_behind);
}

static void test_dropping_is_told_before_the_bit_is_set(void **state)
{
    static const enum page_type types[] = {PT_WRITABLE, PT_SEGDESC};
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    (void)state;
    set_gpfn_from_mfn(page_to_mfn(pg), 5);
    d->logdirty.state = LOGDIRTY_ON;
    for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
        assert_int_equal(get_page_and_type(pg, d, types[i]), 0);
        assert_true(frame_is_held_outside(pg));
        d->logdirty.left_behind = false;
        bits_set = 0;
        fake_lock_hook = note_order;
        put_page_and_type(pg);
        fake_lock_hook = NULL;
        assert_int_equal(bits_set, 1);
        assert_false(frame_is_held_outside(pg));
    }
    d->logdirty.state = LOGDIRTY_OFF;
    release(pg);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_numbers),
        TEST(test_general),
        TEST(test_types_exclude),
        TEST(test_descriptors_are_checked_after_writes),
        TEST(test_counts_do_not_overflow),
        TEST(test_flush_at_change_of_type),
        TEST(test_shared_pages),
        TEST(test_dropping_is_told_before_the_bit_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
