// SPDX-License-Identifier: BSD-2-Clause
/*
 * The P2M on the real heap and frame table, against a plain array of what each guest frame stands for: random changes,
 * hostile arguments, preemption at every point, the pool and the heap running out. CPUs walk the tables as nested
 * paging does, keep what they find as long as nobody flushes them, and walk again whenever they are flushed; no frame
 * is released, and no table freed, that a CPU still knows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>
#include "fake/fake.h"
#include "fake/ram.h"
#include "p2m_model.h"
#include "../../hypervisor/mm/p2m/internal.h"

static void test_empty(void **state)
{
    enum p2m_type type;

    for (unsigned int i = 0; i < MODEL_GFNS; i += 111)
        assert_int_equal(p2m_lookup(d, model_gfn(i)).type, P2M_MMIO_DM);
    assert_int_equal(p2m_lookup(d, _gfn(P2M_GFNS)).type, P2M_MMIO_DM);
    assert_int_equal(p2m_lookup(d, _gfn(~0ul)).type, P2M_MMIO_DM);
    assert_null(p2m_get_page(d, _gfn(5), &type));
    assert_null(p2m_get_page(d, _gfn(~0ul), &type));
    assert_int_equal(type, P2M_MMIO_DM);
    assert_int_equal(p2m_max_gfn(d), 0);
    assert_int_equal(p2m_lookup(d, _gfn(5)).order, 27);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 1);
    model_audit();
}

/* An aligned block becomes one entry, a part of it taken away leaves the rest, and the tables go with the last entry.
 */
static void test_large_entries(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0);

    assert_int_equal(p2m_place(d, _gfn(512), pg, 9), 0);
    assert_int_equal(p2m_lookup(d, _gfn(700)).order, 9);
    assert_int_equal(p2m_lookup(d, _gfn(700)).mfn.n, page_to_mfn(pg).n + 188);
    assert_int_equal(p2m_max_gfn(d), 1023);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 3);
    assert_int_equal(get_gpfn_from_mfn(mfn_add(page_to_mfn(pg), 188)), 700);
    assert_int_equal(model_clear(_gfn(700), 0), 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 4);
    assert_int_equal(d->tot_pages, 511);
    assert_int_equal(p2m_lookup(d, _gfn(700)).type, P2M_MMIO_DM);
    assert_int_equal(p2m_lookup(d, _gfn(701)).mfn.n, page_to_mfn(pg).n + 189);
    model_audit();
    assert_int_equal(model_clear(_gfn(512), 9), 0);
    assert_int_equal(d->tot_pages, 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 1);
    assert_int_equal(p2m_max_gfn(d), 1023);
    model_audit();
}

static int set_mmio(unsigned long gfn, unsigned long mfn, unsigned int order)
{
    struct p2m_range r = {.gfn = _gfn(gfn), .mfn = _mfn(mfn), .order = order, .type = P2M_MMIO_DIRECT};
    int rc;

    while ((rc = p2m_set(d, &r)) == -ERESTART)
        stretch_point();
    return rc;
}

static void test_1g(void **state)
{
    fake_preempt_percent = 100;
    cpu_features.page1gb = true;
    assert_int_equal(set_mmio(1ul << 18, 1ul << 20, 18), 0);
    assert_int_equal(p2m_lookup(d, _gfn((1ul << 18) + 12345)).order, 18);
    assert_int_equal(p2m_lookup(d, _gfn((1ul << 18) + 12345)).mfn.n, (1ul << 20) + 12345);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 2);
    model_audit();
    /* One page of it goes: two tables more. */
    assert_int_equal(model_clear(_gfn((1ul << 18) + 12345), 0), 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 4);
    assert_int_equal(p2m_lookup(d, _gfn((1ul << 18) + 12344)).order, 0);
    assert_int_equal(p2m_lookup(d, _gfn(1ul << 18)).order, 9);
    assert_int_equal(p2m_lookup(d, _gfn((1ul << 19) - 1)).mfn.n, (1ul << 20) + (1ul << 18) - 1);
    model_audit();
    /* Not aligned in the machine: no large entries; the pool runs out, and what is done can be undone. */
    assert_int_equal(set_mmio(1ul << 18, (1ul << 20) + 1, 18), -ENOMEM);
    model_audit();
    assert_int_equal(model_clear(_gfn(1ul << 18), 18), 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 1);
    cpu_features.page1gb = false;
    assert_int_equal(set_mmio(1ul << 18, 1ul << 20, 18), 0);
    assert_int_equal(p2m_lookup(d, _gfn(1ul << 18)).order, 9);
    model_audit();
    cpu_features.page1gb = true;
    assert_int_equal(set_mmio(1ul << 18, 1ul << 20, 18), 0);
    assert_int_equal(p2m_lookup(d, _gfn(1ul << 18)).order, 18);
    /* Teardown takes it out in parts. */
}

/* What was to be joined is gone when that is due: no table is made for it. */
static void test_1g_gone(void **state)
{
    struct p2m_range r = {.gfn = _gfn(1ul << 18), .mfn = _mfn(1ul << 20), .order = 18, .type = P2M_MMIO_DIRECT};

    fake_preempt_percent = 100;
    cpu_features.page1gb = true;
    while (!r.joining) {
        assert_int_equal(p2m_set(d, &r), -ERESTART);
        stretch_point();
    }
    assert_int_equal(model_clear(r.gfn, r.order), 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 1);
    while (r.joining) {
        (void)p2m_set(d, &r);
        stretch_point();
    }
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 1);
    model_audit();
}

static void test_refused(void **state)
{
    struct page_info *own = alloc_domain_pages(d, 3, 0), *foreign = alloc_domain_pages(other, 0, 0);
    struct page_info *gone = alloc_domain_pages(d, 0, 0), *hv = alloc_hv_pages(0, 0);
    mfn_t m = page_to_mfn(own);
    static const struct p2m_range good = {.order = 3, .type = P2M_RAM_RW};

    assert_true(get_page(gone, d));
    gone->count_info &= ~PGC_allocated; /* given up, and held by somebody */
    put_page(gone);
#define REFUSED(error, ...)                      \
    do {                                         \
        struct p2m_range r = good;               \
        r.mfn = m;                               \
        __VA_ARGS__;                             \
        assert_int_equal(p2m_set(d, &r), error); \
        assert_int_equal(r.done, 0);             \
        assert_int_equal(model_audit(), 0);      \
    } while (0)
    REFUSED(-EINVAL, r.gfn = _gfn(4));
    REFUSED(-EINVAL, r.gfn = _gfn(P2M_GFNS));
    REFUSED(-EINVAL, r.gfn = _gfn(~7ul));
    REFUSED(-EINVAL, r.order = 19);
    REFUSED(-EINVAL, r.order = ~0u);
    REFUSED(-EINVAL, r.type = P2M_TYPES);
    REFUSED(-EINVAL, r.type = (enum p2m_type) - 1);
    REFUSED(-EINVAL, r.mfn = _mfn(~0ul));
    REFUSED(-EINVAL, r.mfn = _mfn(1ul << 40));
    REFUSED(-EINVAL, r.mfn = _mfn((1ul << 40) - 8));
    REFUSED(-EINVAL, r.mfn = _mfn(0));
    REFUSED(-EINVAL, r.mfn = _mfn(RAM_HOLE));
    REFUSED(-EINVAL, r.mfn = _mfn(RAM_END));
    REFUSED(-EINVAL, r.mfn = mfn_add(m, 8)); /* not the domain's, at least not all of it */
    REFUSED(-EINVAL, (r.order = 0, r.mfn = page_to_mfn(foreign)));
    REFUSED(-EINVAL, (r.order = 0, r.mfn = page_to_mfn(gone)));
    REFUSED(-EINVAL, (r.order = 0, r.mfn = page_to_mfn(hv)));
    REFUSED(-EINVAL, r.type = P2M_MMIO_DIRECT); /* RAM is no device */
    REFUSED(-EINVAL, (r.type = P2M_FOREIGN, r.mfn = page_to_mfn(foreign)));
    REFUSED(-EINVAL, (r.type = P2M_FOREIGN, r.order = 0)); /* it is its own */
    REFUSED(-EINVAL, (r.type = P2M_GRANT_RO, r.order = 0, r.mfn = page_to_mfn(hv)));
    REFUSED(-EINVAL, (r.type = P2M_GRANT_RW, r.order = 0, r.mfn = _mfn(RAM_END)));
    REFUSED(-EINVAL, (r.type = P2M_MMIO_DM, r.only_ram = true));
    REFUSED(-EINVAL, (r.type = P2M_MMIO_DM, r.only_ram = true, r.order = 10));
    assert_int_equal(p2m_place(d, _gfn(8), own, 3), 0);
    REFUSED(-EBUSY, r.gfn = _gfn(16));
    REFUSED(-EBUSY, (r.gfn = _gfn(9), r.order = 0));
    assert_int_equal(p2m_place(d, _gfn(8), own, 10), -EINVAL);
    assert_int_equal(p2m_move(d, foreign, _gfn(1)), -EINVAL);
    assert_int_equal(p2m_move(d, gone, _gfn(1)), -EINVAL);
    assert_int_equal(p2m_move(d, own, _gfn(P2M_GFNS)), -EINVAL);
    d->dying = DOM_DYING;
    assert_int_equal(p2m_place(d, _gfn(8), own, 3), -EINVAL);
    assert_int_equal(model_clear(_gfn(8), 3), -EINVAL);
    assert_int_equal(p2m_move(d, own, _gfn(1)), -EINVAL);
    assert_int_equal(p2m_change_type(d, &(struct p2m_retype){{8}, 8, P2M_RAM_RW, P2M_RAM_RO, 0}), -EINVAL);
    d->dying = DOM_ALIVE;
    model_forget(foreign);
    free_hv_pages(hv, 0);
}

static void test_change_type_refused(void **state)
{
    static const struct p2m_retype bad[] = {{{P2M_GFNS}, 1, P2M_RAM_RW, P2M_LOGDIRTY, 0},
                                            {{0}, P2M_GFNS + 1, P2M_RAM_RW, P2M_LOGDIRTY, 0},
                                            {{~0ul}, 2, P2M_RAM_RW, P2M_LOGDIRTY, 0},
                                            {{1}, ~0ul, P2M_RAM_RW, P2M_LOGDIRTY, 0},
                                            {{0}, 8, P2M_RAM_RW, P2M_RAM_RW, 0},
                                            {{0}, 8, P2M_MMIO_DM, P2M_RAM_RW, 0},
                                            {{0}, 8, P2M_RAM_RW, P2M_MMIO_DM, 0},
                                            {{0}, 8, P2M_FOREIGN, P2M_RAM_RW, 0},
                                            {{0}, 8, P2M_RAM_RW, P2M_MMIO_DIRECT, 0},
                                            {{0}, 8, P2M_TYPES, P2M_RAM_RW, 0},
                                            {{0}, 8, P2M_RAM_RW, (enum p2m_type)0x7fffffff, 0}};

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        struct p2m_retype r = bad[i];

        assert_int_equal(p2m_change_type(d, &r), -EINVAL);
    }
}

static int retype(unsigned long gfn, uint64_t n, enum p2m_type from, enum p2m_type to)
{
    struct p2m_retype r = {.gfn = _gfn(gfn), .n = n, .from = from, .to = to};
    int rc;

    while ((rc = p2m_change_type(d, &r)) == -ERESTART)
        stretch_point();
    return rc;
}

/* A part of a large entry splits it; the whole back again joins it. */
static void test_change_type(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0);

    fake_preempt_percent = 100;
    assert_int_equal(p2m_place(d, _gfn(1024), pg, 9), 0);
    assert_int_equal(retype(0, P2M_GFNS, P2M_RAM_RW, P2M_LOGDIRTY), 0);
    assert_int_equal(p2m_lookup(d, _gfn(1500)).order, 9);
    assert_int_equal(p2m_lookup(d, _gfn(1500)).type, P2M_LOGDIRTY);
    assert_false(model_can_write(_gfn(1500)));
    assert_int_equal(retype(1500, 1, P2M_LOGDIRTY, P2M_RAM_RW), 0);
    assert_int_equal(p2m_lookup(d, _gfn(1500)).type, P2M_RAM_RW);
    assert_int_equal(p2m_lookup(d, _gfn(1499)).type, P2M_LOGDIRTY);
    assert_int_equal(p2m_lookup(d, _gfn(1501)).order, 0);
    assert_true(model_can_write(_gfn(1500)));
    model_audit();
    assert_int_equal(retype(1000, 1000, P2M_LOGDIRTY, P2M_RAM_RW), 0);
    assert_int_equal(p2m_lookup(d, _gfn(1500)).order, 9);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 3);
    assert_int_equal(d->tot_pages, 512);
    model_audit();
}

/* Borrowed frames: the entry takes the caller's references over, and drops them when it goes. */
static void test_borrowed(void **state)
{
    struct page_info *pg = alloc_domain_pages(other, 0, 0), *got;
    static const enum p2m_type types[] = {P2M_FOREIGN, P2M_GRANT_RW, P2M_GRANT_RO};
    enum p2m_type type;

    for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
        bool writable = types[i] != P2M_GRANT_RO;
        struct p2m_range r = {.gfn = _gfn(77), .mfn = page_to_mfn(pg), .type = types[i]};

        assert_int_equal(writable ? get_page_and_type(pg, other, PT_WRITABLE) : !get_page(pg, other), 0);
        assert_int_equal(p2m_set(d, &r), 0);
        assert_int_equal(model_can_write(_gfn(77)), writable);
        assert_int_equal(get_gpfn_from_mfn(page_to_mfn(pg)), INVALID_M2P_ENTRY);
        model_audit();
        got = p2m_get_page(d, _gfn(77), &type);
        assert_ptr_equal(got, pg);
        assert_int_equal(type, types[i]);
        assert_int_equal(pg->count_info & PGC_count_mask, 3);
        put_page(got);
        assert_int_equal(pg->type_info & PGT_count_mask, writable);
        assert_int_equal(model_clear(_gfn(77), 0), 0);
        assert_int_equal(pg->count_info & PGC_count_mask, 1);
        assert_int_equal(pg->type_info & PGT_count_mask, 0);
    }
    /* Its owner gives it up: the entry keeps it until it goes. */
    assert_int_equal(get_page_and_type(pg, other, PT_WRITABLE), 0);
    assert_int_equal(p2m_set(d, &(struct p2m_range){.gfn = _gfn(77), .mfn = page_to_mfn(pg), .type = P2M_FOREIGN}), 0);
    model_forget(pg);
    assert_int_equal(other->tot_pages, 1);
    assert_int_equal(model_clear(_gfn(77), 0), 0);
    assert_int_equal(other->tot_pages, 0);
}

/* A reference keeps a frame that is taken away meanwhile; its owner has given it up all the same. */
static void test_get_page_outlives_entry(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0), *got;
    enum p2m_type type;

    assert_int_equal(p2m_place(d, _gfn(3), pg, 0), 0);
    got = p2m_get_page(d, _gfn(3), &type);
    assert_ptr_equal(got, pg);
    assert_int_equal(type, P2M_RAM_RW);
    assert_int_equal(model_clear(_gfn(3), 0), 0);
    assert_int_equal(d->tot_pages, 1);
    assert_int_equal(get_gpfn_from_mfn(page_to_mfn(pg)), INVALID_M2P_ENTRY);
    assert_int_equal(p2m_move(d, pg, _gfn(4)), -EINVAL);
    assert_null(p2m_get_page(d, _gfn(3), &type));
    put_page(got);
    assert_int_equal(d->tot_pages, 0);
}

/* A page shared with the domain moves about, and is not given up. */
static void test_shared_page(void **state)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

    share_hv_page_with_guest(pg, d, true);
    assert_int_equal(p2m_move(d, pg, _gfn(10)), 0);
    assert_int_equal(p2m_lookup(d, _gfn(10)).mfn.n, page_to_mfn(pg).n);
    assert_int_equal(p2m_move(d, pg, _gfn(P2M_GFNS - 1)), 0);
    assert_int_equal(p2m_lookup(d, _gfn(10)).type, P2M_MMIO_DM);
    assert_int_equal(p2m_max_gfn(d), P2M_GFNS - 1);
    model_audit();
    assert_int_equal(model_clear(_gfn(P2M_GFNS - 1), 0), 0);
    assert_int_equal(pg->count_info, PGC_allocated | PGC_hv_page | 1);
    assert_int_equal(p2m_move(d, pg, _gfn(10)), 0);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 4);
    assert_int_equal(model_clear(_gfn(10), 0), 0);
    assert_true(unshare_hv_page(pg));
    free_hv_pages(pg, 0);
}

static void test_move(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0), *single = alloc_domain_pages(d, 0, 0);

    assert_int_equal(p2m_place(d, _gfn(0), pg, 9), 0);
    assert_int_equal(p2m_move(d, single, _gfn(600)), 0);
    assert_int_equal(p2m_move(d, single, _gfn(600)), 0);
    /* Out of a large entry, over a frame that goes. */
    assert_int_equal(p2m_move(d, pg + 5, _gfn(600)), 0);
    assert_int_equal(d->tot_pages, 512);
    assert_int_equal(p2m_lookup(d, _gfn(5)).type, P2M_MMIO_DM);
    assert_int_equal(p2m_lookup(d, _gfn(600)).mfn.n, page_to_mfn(pg).n + 5);
    /* Back, and the type goes with it. */
    assert_int_equal(retype(600, 1, P2M_RAM_RW, P2M_RAM_RO), 0);
    assert_int_equal(p2m_move(d, pg + 5, _gfn(5)), 0);
    assert_int_equal(p2m_lookup(d, _gfn(5)).type, P2M_RAM_RO);
    assert_int_equal(d->paging_pool->used[PAGING_P2M], 4);
    /* The whole block again, which joins it. */
    assert_int_equal(p2m_place(d, _gfn(0), pg, 9), 0);
    assert_int_equal(d->tot_pages, 512);
    assert_int_equal(p2m_lookup(d, _gfn(5)).order, 9);
    assert_int_equal(p2m_lookup(d, _gfn(5)).type, P2M_RAM_RW);
    model_audit();
}

/* Each number of frames that may be left: either all of it happens or nothing. */
static void test_pool_runs_out(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0), *single = alloc_domain_pages(d, 0, 0);
    unsigned long used;
    int rc = -ENOMEM;

    assert_int_equal(p2m_place(d, _gfn(0), pg, 9), 0);
    used = d->paging_pool->used[PAGING_P2M];
    for (unsigned long left = 0; rc; left++) {
        model_pool(left);
        rc = p2m_move(d, single, _gfn((3ul << 27) + 5));
        assert_int_equal(rc, left < 3 ? -ENOMEM : 0);
        assert_int_equal(d->paging_pool->used[PAGING_P2M], used + (rc ? 0 : 3));
        model_audit();
    }
    /* A move out of the large entry: one to split it, three to get there. */
    rc = -ENOMEM;
    for (unsigned long left = 0; rc; left++) {
        model_pool(left);
        rc = p2m_move(d, pg + 1, _gfn((4ul << 27) + 5));
        assert_int_equal(rc, left < 3 + (left == 0) ? -ENOMEM : 0);
        assert_int_equal(p2m_lookup(d, _gfn(1)).type, rc ? P2M_RAM_RW : P2M_MMIO_DM);
        model_audit();
    }
    assert_int_equal(d->tot_pages, 513);
}

static void test_split_without_memory(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0);

    assert_int_equal(p2m_place(d, _gfn(0), pg, 9), 0);
    model_pool(0);
    assert_int_equal(model_clear(_gfn(5), 0), -ENOMEM);
    assert_int_equal(retype(5, 1, P2M_RAM_RW, P2M_LOGDIRTY), -ENOMEM);
    assert_int_equal(p2m_lookup(d, _gfn(5)).order, 9);
    assert_int_equal(d->tot_pages, 512);
    assert_int_equal(retype(0, 512, P2M_RAM_RW, P2M_LOGDIRTY), 0); /* all of it needs no memory */
    model_audit();
    assert_int_equal(model_clear(_gfn(0), 9), 0);
    assert_int_equal(d->tot_pages, 0);
}

static void test_audit_gives_up(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0);
    struct p2m_audit a = {0};

    assert_int_equal(p2m_place(d, _gfn(0), pg, 9), 0);
    assert_int_equal(model_clear(_gfn(5), 0), 0);
    fake_preempt_percent = 100;
    stretch_point();
    assert_int_equal(p2m_audit(d, &a), -ERESTART);
    assert_int_equal(model_clear(_gfn(6), 0), 0);
    stretch_point();
    assert_int_equal(p2m_audit(d, &a), -EAGAIN);
    d->dying = DOM_DYING;
    stretch_point();
    a = (struct p2m_audit){0};
    assert_int_equal(p2m_audit(d, &a), -EINVAL);
    d->dying = DOM_ALIVE;
    model_audit();
}

/* A fault put into the tables or the frame table is found. */
static unsigned int findings(void)
{
    struct p2m_audit a = {0};
    int rc;

    while ((rc = p2m_audit(d, &a)) == -ERESTART)
        stretch_point();
    assert_int_equal(rc, 0);
    return a.broken.count;
}

#define FAULT(place, value)               \
    do {                                  \
        typeof(place) kept = (place);     \
        (place) = (typeof(place))(value); \
        assert_true(findings() > 0);      \
        (place) = kept;                   \
        assert_int_equal(findings(), 0);  \
    } while (0)

static void test_audit_finds(void **state)
{
    struct page_info *block = alloc_domain_pages(d, 9, 0), *own = alloc_domain_pages(d, 0, 0), *foreign;
    uint64_t *l1, *l2, *l3;

    foreign = alloc_domain_pages(other, 0, 0);
    assert_int_equal(p2m_place(d, _gfn(512), block, 9), 0);
    assert_int_equal(p2m_place(d, _gfn(3), own, 0), 0);
    assert_int_equal(get_page_and_type(foreign, other, PT_WRITABLE), 0);
    assert_int_equal(p2m_set(d, &(struct p2m_range){.gfn = _gfn(4), .mfn = page_to_mfn(foreign), .type = P2M_FOREIGN}),
                     0);
    assert_int_equal(set_mmio(5, RAM_END + 5, 0), 0);
    l3 = model_table(_gfn(0), 3);
    l2 = model_table(_gfn(0), 2);
    l1 = model_table(_gfn(0), 1);
    assert_int_equal(findings(), 0);
    /* M3 */
    FAULT(l1[3], l1[3] | PTE_PWT);
    FAULT(l1[3], l1[3] & ~PTE_P);
    FAULT(l1[3], l1[3] & ~PTE_RW);
    FAULT(l1[3], l1[3] & ~(15ull << 52));
    FAULT(l1[3], l1[3] | 15ull << 52);
    FAULT(l1[7], PTE_P);
    FAULT(l2[1], l2[1] & ~PTE_PSE);
    FAULT(l2[1], l2[1] + PAGE_SIZE);
    FAULT(l2[0], l2[0] & ~PTE_RW);
    FAULT(l3[0], l3[0] | PTE_NX);
    /* M4 */
    FAULT(l1[3], 0);
    FAULT(virt_to_page(l1)->nr_validated, 2);
    FAULT(virt_to_page(l2)->nr_validated, 3);
    FAULT(d->paging_pool->used[PAGING_P2M], 3);
    /* M5 */
    FAULT(own->owner, other);
    FAULT(own->count_info, 1);
    FAULT(block[511].count_info, 1);
    FAULT(m2p_table[page_to_mfn(own).n], 4);
    FAULT(m2p_table[page_to_mfn(block + 511).n], INVALID_M2P_ENTRY);
    FAULT(l1[3], l1[3] + PAGE_SIZE);
    /* M6 */
    FAULT(foreign->count_info, PGC_allocated);
    FAULT(foreign->owner, NULL);
    FAULT(foreign->type_info, 0);
    /* M7 */
    FAULT(l1[5], (l1[5] & ~PTE_ADDR) | page_to_mfn(own).n << PAGE_SHIFT);
    /* M8 */
    FAULT(d->p2m->limit, 1023);
    assert_int_equal(model_clear(_gfn(4), 0), 0);
    model_forget(foreign);
}

static void test_random(void **state)
{
    model_random(fake_ops(30000));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, model_begin, model_end)
    const struct CMUnitTest tests[] = {
        TEST(test_empty),
        TEST(test_large_entries),
        TEST(test_1g),
        TEST(test_1g_gone),
        TEST(test_refused),
        TEST(test_change_type_refused),
        TEST(test_change_type),
        TEST(test_borrowed),
        TEST(test_get_page_outlives_entry),
        TEST(test_shared_page),
        TEST(test_move),
        TEST(test_pool_runs_out),
        TEST(test_split_without_memory),
        TEST(test_audit_gives_up),
        TEST(test_audit_finds),
        TEST(test_random),
    };

    fake_seed("test_p2m");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
