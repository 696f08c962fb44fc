// SPDX-License-Identifier: BSD-2-Clause
/*
 * A domain's pool of single frames for P2M tables, shadows and the log of stores: of a translated one, and of a PV
 * domain whose stores are logged. Frames stay in the pool when they are
 * given back; only paging_pool_resize and teardown move frames between it and the heap.
 *
 * Invariants (docs/invariants.md, M1 and M2): size is the number of free frames and of those in use; frames on the list
 * low lie below 4 GiB, those on the list high do not.
 *
 * Deliberately not here: which shadow has to go when the pool is empty.
 */
#include <hv/domain.h>
#include <hv/heap.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>

#define LOW_BITS   32
#define LOW_FRAMES (1ul << (LOW_BITS - PAGE_SHIFT))

/* pool->lock held, for the small functions that follow. */
static void add_free(struct paging_pool *pool, struct page_info *pg)
{
    list_add(&pg->list, page_to_mfn(pg).n < LOW_FRAMES ? &pool->low : &pool->high);
    pool->free++;
}

static struct page_info *take_from(struct paging_pool *pool, struct list_head *list)
{
    struct page_info *pg;

    if (list_empty(list))
        return NULL;
    pg = list_first(list, struct page_info, list);
    list_del(&pg->list);
    pool->free--;
    return pg;
}

/* Low frames are the scarcer ones: they go last. */
static struct page_info *take_any(struct paging_pool *pool)
{
    struct page_info *pg = take_from(pool, &pool->high);

    return pg ? pg : take_from(pool, &pool->low);
}

/* When all free frames lie high, one is traded with the heap. */
static struct page_info *take_low(struct paging_pool *pool)
{
    struct page_info *pg = take_from(pool, &pool->low), *other;

    if (pg || list_empty(&pool->high))
        return pg;
    pg = alloc_hv_pages(0, MEMF_BITS(LOW_BITS));
    if (!pg)
        return NULL;
    other = take_from(pool, &pool->high);
    free_hv_pages(other, 0);
    return pg;
}

/*
 * How many free frames shadows have to leave: those that a P2M of 4 KiB entries for all of d's memory may still need,
 * and the log of stores to it.
 */
static unsigned long held_back(const struct domain *d, enum paging_use use)
{
    const struct paging_pool *pool = d->paging_pool;
    uint64_t pages = READ_ONCE(d->max_pages), tables = d->identity ? 0 : pages / PT_ENTRIES + 4;
    uint64_t want = tables + pages / LOGDIRTY_PER_NODE + 4;
    unsigned long reserve = MIN(want, pool->size / 2), used = pool->used[PAGING_P2M] + pool->used[PAGING_LOGDIRTY];

    return use != PAGING_SHADOW || reserve <= used ? 0 : reserve - used;
}

struct page_info *paging_pool_alloc(struct domain *d, enum paging_use use, bool below_4g)
{
    struct paging_pool *pool = d->paging_pool;
    struct page_info *pg = NULL;

    spin_lock(&pool->lock);
    if (pool->free > held_back(d, use))
        pg = below_4g ? take_low(pool) : take_any(pool);
    if (pg)
        pool->used[use]++;
    spin_unlock(&pool->lock);
    if (pg)
        memset(page_to_virt(pg), 0, PAGE_SIZE);
    return pg;
}

void paging_pool_free(struct domain *d, enum paging_use use, struct page_info *pg)
{
    struct paging_pool *pool = d->paging_pool;

    spin_lock(&pool->lock);
    ASSERT(pool->used[use]);
    pool->used[use]--;
    add_free(pool, pg);
    spin_unlock(&pool->lock);
}

static int grow(struct paging_pool *pool)
{
    struct page_info *pg = alloc_hv_pages(0, 0);

    if (!pg)
        return -ENOMEM;
    spin_lock(&pool->lock);
    add_free(pool, pg);
    pool->size++;
    spin_unlock(&pool->lock);
    return 0;
}

static int shrink(struct paging_pool *pool)
{
    struct page_info *pg;

    spin_lock(&pool->lock);
    pg = take_any(pool);
    if (pg)
        pool->size--;
    spin_unlock(&pool->lock);
    if (!pg)
        return -EBUSY;
    free_hv_pages(pg, 0);
    return 0;
}

static int step_to(struct paging_pool *pool, unsigned long frames)
{
    int rc;

    if (preempt_before_work(STRETCH_FRAME))
        return -ERESTART;
    rc = pool->size < frames ? grow(pool) : shrink(pool);
    stretch_work(STRETCH_FRAME);
    return rc;
}

static unsigned long in_use(const struct paging_pool *pool)
{
    return pool->size - pool->free;
}

int paging_pool_resize(struct domain *d, unsigned long frames)
{
    struct paging_pool *pool = d->paging_pool;
    int rc = 0;

    if (d->dying)
        return -EINVAL;
    if (frames < in_use(pool))
        return -EBUSY;
    /* Not so much as is left: then all of it would go before that is noticed. */
    if (frames > pool->size && frames - pool->size > heap_free_pages() - heap_claimed_pages())
        return -ENOMEM;
    while (!rc && pool->size != frames)
        rc = step_to(pool, frames);
    return rc;
}

int paging_pool_init(struct domain *d)
{
    struct paging_pool *pool = hv_new(struct paging_pool);
    int rc = 0;

    if (!pool)
        return -ENOMEM;
    spin_lock_init(&pool->lock, RANK_PAGING_POOL);
    list_init(&pool->low);
    list_init(&pool->high);
    d->paging_pool = pool;
    while (!rc && pool->size < PAGING_POOL_INITIAL)
        rc = grow(pool);
    if (!rc)
        return 0;
    while (pool->size)
        shrink(pool);
    paging_pool_destroy(d);
    return rc;
}

int paging_pool_relinquish(struct domain *d)
{
    struct paging_pool *pool = d->paging_pool;
    int rc = 0;

    if (!pool)
        return 0;
    BUG_ON(in_use(pool));
    while (!rc && pool->size)
        rc = step_to(pool, 0);
    return rc;
}

void paging_pool_destroy(struct domain *d)
{
    hv_free(d->paging_pool);
    d->paging_pool = NULL;
}
