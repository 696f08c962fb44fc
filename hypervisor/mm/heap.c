/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buddy heap. Free blocks are kept per zone and order; the zone of a block is the highest set bit of its frame
 * number, so that "below 2^n" is a choice of zones. A block and its buddy merge when both are free and of one order;
 * they always lie in one zone.
 *
 * A frame that a guest could reach may still be in a TLB: freeing stamps it, allocation flushes the CPUs that have not
 * flushed since. Domain frames are zeroed when given out, so that nothing leaks between domains.
 *
 * Claims. A domain may have free frames set aside for it, as a number only: nobody else's allocation, the
 * hypervisor's own included, leaves fewer free frames than are claimed. d->claimed_pages and the sum of them change
 * under heap_lock. Invariant: the sum is at most the number of free frames, but for the moment between a frame's return
 * to its claimant's account and to the heap.
 *
 * Deliberately simple: one lock, no NUMA, no deferred scrubbing.
 */
#include <hv/domain.h>
#include <hv/heap.h>
#include <hv/x86.h>

#define NR_ZONES 40

#define PGH_free      (1u << 0) /* first frame of a free block */
#define PGH_tlb_stale (1u << 1) /* tlb_stamp is to be honoured before reuse */

static spinlock_t heap_lock = SPINLOCK_INIT(RANK_HEAP);
static struct list_head free_list[NR_ZONES][MAX_ORDER + 1];
static uint64_t free_pages, claimed_pages, claim_changes;
static bool heap_ready;

static unsigned int zone_of(mfn_t m)
{
    return m.n ? fls_u64(m.n) : 0;
}

static void heap_init(void)
{
    for (unsigned int z = 0; z < NR_ZONES; z++)
        for (unsigned int o = 0; o <= MAX_ORDER; o++)
            list_init(&free_list[z][o]);
    heap_ready = true;
}

static void link_free(struct page_info *pg, unsigned int order)
{
    pg->order = (uint8_t)order;
    pg->heap_flags |= PGH_free;
    list_add(&pg->list, &free_list[zone_of(page_to_mfn(pg))][order]);
}

static void unlink_free(struct page_info *pg)
{
    pg->heap_flags &= (uint8_t)~PGH_free;
    list_del(&pg->list);
}

static struct page_info *free_buddy(struct page_info *pg, unsigned int order)
{
    mfn_t m = page_to_mfn(pg), b = _mfn(m.n ^ (1ul << order));
    struct page_info *buddy;

    if (order == MAX_ORDER || !mfn_valid(b) || zone_of(b) != zone_of(m))
        return NULL;
    buddy = mfn_to_page(b);
    return (buddy->heap_flags & PGH_free) && buddy->order == order ? buddy : NULL;
}

/* heap_lock held. */
static void free_block(struct page_info *pg, unsigned int order)
{
    struct page_info *buddy;

    free_pages += 1ul << order;
    while ((buddy = free_buddy(pg, order)) != NULL) {
        unlink_free(buddy);
        if (buddy < pg)
            pg = buddy;
        order++;
    }
    link_free(pg, order);
}

void heap_add(mfn_t start, mfn_t end)
{
    if (!heap_ready)
        heap_init();
    while (start.n < end.n) {
        unsigned int order = start.n ? MIN(ffs_u64(start.n), MAX_ORDER) : 0;
        unsigned long flags;

        while (start.n + (1ul << order) > end.n)
            order--;
        flags = spin_lock_irqsave(&heap_lock);
        free_block(mfn_to_page(start), order);
        spin_unlock_irqrestore(&heap_lock, flags);
        start.n += 1ul << order;
    }
}

/* Takes a block out of zone z; splits a larger one if need be. heap_lock held. */
static struct page_info *take_from_zone(unsigned int z, unsigned int order)
{
    for (unsigned int o = order; o <= MAX_ORDER; o++) {
        struct page_info *pg;

        if (list_empty(&free_list[z][o]))
            continue;
        pg = list_first(&free_list[z][o], struct page_info, list);
        unlink_free(pg);
        while (o > order) {
            o--;
            link_free(pg + (1ul << o), o);
        }
        free_pages -= 1ul << order;
        return pg;
    }
    return NULL;
}

/* Takes n frames off d's claim, or gives them back. heap_lock held. */
static void change_claim(struct domain *d, int64_t n)
{
    d->claimed_pages += (uint64_t)n;
    claimed_pages += (uint64_t)n;
    claim_changes += n != 0;
}

/* What of n frames that d is given comes off its claim. heap_lock held. */
static uint64_t use_claim(struct domain *d, uint64_t n)
{
    uint64_t from_claim = MIN(d->claimed_pages, n);

    change_claim(d, -(int64_t)from_claim);
    return from_claim;
}

/* d: whose claim may be used, or NULL. heap_lock held. */
static bool enough_unclaimed(const struct domain *d, uint64_t n)
{
    return free_pages >= claimed_pages - (d ? d->claimed_pages : 0) + n;
}

/* High zones first: memory that narrow devices can reach is the scarcer. *from_claim: frames that d had claimed. */
static struct page_info *take_block(struct domain *d, unsigned int order, unsigned int bits, uint64_t *from_claim)
{
    unsigned int top = NR_ZONES;
    unsigned long flags = spin_lock_irqsave(&heap_lock);
    struct page_info *pg = NULL;

    if (bits) /* up to PAGE_SHIFT bits: no frame is that low */
        top = bits > PAGE_SHIFT ? MIN(bits - PAGE_SHIFT, NR_ZONES) : 0;
    if (!enough_unclaimed(d, 1ul << order))
        top = 0;
    for (unsigned int z = top; z-- > 0 && !pg;)
        pg = take_from_zone(z, order);
    *from_claim = pg && d ? use_claim(d, 1ul << order) : 0;
    spin_unlock_irqrestore(&heap_lock, flags);
    return pg;
}

/* Flushes what may still map the block, and resets its frame-table entries. */
static void prepare_block(struct page_info *pg, unsigned int order)
{
    cpumask_t mask = CPUMASK_NONE;

    for (uint64_t i = 0; i < 1ul << order; i++) {
        if (pg[i].heap_flags & PGH_tlb_stale)
            mask = cpumask_or(mask, tlb_filter(cpu_online_map, pg[i].tlb_stamp));
        pg[i].heap_flags = 0;
        pg[i].count_info = pg[i].type_info = 0;
        pg[i].owner = NULL;
        pg[i].nr_validated = 0;
        list_init(&pg[i].list);
    }
    if (!cpumask_empty(mask))
        tlb_flush_mask(mask);
}

struct page_info *alloc_claimed_pages(struct domain *d, unsigned int order, unsigned int memf, uint64_t *from_claim)
{
    struct page_info *pg = NULL;

    if (order <= MAX_ORDER && !alloc_fault_due())
        pg = take_block(d, order, MEMF_GET_BITS(memf), from_claim);
    if (!pg)
        return NULL;
    prepare_block(pg, order);
    if (memf & MEMF_ZERO)
        memset(page_to_virt(pg), 0, PAGE_SIZE << order);
    return pg;
}

struct page_info *alloc_hv_pages(unsigned int order, unsigned int memf)
{
    uint64_t from_claim;

    return alloc_claimed_pages(NULL, order, memf, &from_claim);
}

void free_hv_pages(struct page_info *pg, unsigned int order)
{
    unsigned long flags;

    if (!pg)
        return;
    for (uint64_t i = 0; i < 1ul << order; i++) {
        ASSERT(!(pg[i].heap_flags & PGH_free));
        pg[i].owner = NULL;
        pg[i].count_info = pg[i].type_info = 0;
    }
    flags = spin_lock_irqsave(&heap_lock);
    free_block(pg, order);
    spin_unlock_irqrestore(&heap_lock, flags);
}

void *alloc_hv_mem(unsigned int order)
{
    struct page_info *pg = alloc_hv_pages(order, 0);

    return pg ? page_to_virt(pg) : NULL;
}

void free_hv_mem(void *p, unsigned int order)
{
    if (p)
        free_hv_pages(virt_to_page(p), order);
}

/* Frames of a living domain's claim that were not used after all, or that it gave back. page_alloc_lock held. */
static void return_to_claim(struct domain *d, uint64_t n)
{
    unsigned long flags = spin_lock_irqsave(&heap_lock);

    if (!d->dying)
        change_claim(d, (int64_t)n);
    spin_unlock_irqrestore(&heap_lock, flags);
}

/* page_alloc_lock held. */
static void account(struct domain *d, struct page_info *pg, uint64_t n)
{
    if (!d->tot_pages)
        domain_hold(d);
    d->tot_pages += n;
    for (uint64_t i = 0; i < n; i++) {
        pg[i].owner = d;
        pg[i].type_info = 0;
        pg[i].reserved[0] = pg[i].reserved[1] = 0; /* neither queued nor shadowed */
        pg[i].nr_outside = 0;
        list_add_tail(&pg[i].list, &d->page_list);
        __atomic_store_n(&pg[i].count_info, PGC_allocated | 1, __ATOMIC_RELEASE);
    }
}

int assign_pages(struct domain *d, struct page_info *pg, unsigned int order)
{
    uint64_t n = 1ul << order;
    int rc = 0;

    spin_lock(&d->page_alloc_lock);
    if (d->dying)
        rc = -EINVAL;
    else if (d->tot_pages + n > d->max_pages)
        rc = -ENOMEM;
    else
        account(d, pg, n);
    spin_unlock(&d->page_alloc_lock);
    return rc;
}

int exchange_pages(struct domain *d, struct page_info **in, unsigned int in_count, struct page_info **out,
                   unsigned int out_count, unsigned int out_order)
{
    unsigned long flags;
    int rc = 0;

    spin_lock(&d->page_alloc_lock);
    if (d->dying)
        rc = -EINVAL;
    for (unsigned int i = 0; i < out_count && !rc; i++)
        account(d, out[i], 1ul << out_order);
    spin_unlock(&d->page_alloc_lock);
    if (rc)
        return rc;
    for (unsigned int i = 0; i < in_count; i++)
        put_page(in[i]);
    /* What went out was added to a claim that there is; what came in is taken off it, so that it stays as it was. */
    flags = spin_lock_irqsave(&heap_lock);
    (void)use_claim(d, (uint64_t)out_count << out_order);
    spin_unlock_irqrestore(&heap_lock, flags);
    return 0;
}

void unused_claim(struct domain *d, uint64_t from_claim)
{
    spin_lock(&d->page_alloc_lock);
    return_to_claim(d, from_claim);
    spin_unlock(&d->page_alloc_lock);
}

struct page_info *alloc_domain_pages(struct domain *d, unsigned int order, unsigned int memf)
{
    uint64_t from_claim;
    struct page_info *pg;

    if (READ_ONCE(d->tot_pages) + (1ul << order) > d->max_pages)
        return NULL;
    pg = alloc_claimed_pages(d, order, memf | MEMF_ZERO, &from_claim);
    if (pg && assign_pages(d, pg, order)) {
        unused_claim(d, from_claim); /* first: in the heap the frames are anybody's */
        free_hv_pages(pg, order);
        return NULL;
    }
    return pg;
}

static int stake_claim(struct domain *d, uint64_t n)
{
    unsigned long flags = spin_lock_irqsave(&heap_lock);
    int rc = 0;

    if (d->claimed_pages)
        rc = -EINVAL;
    else if (!enough_unclaimed(NULL, n))
        rc = -ENOMEM;
    else
        change_claim(d, (int64_t)n);
    spin_unlock_irqrestore(&heap_lock, flags);
    return rc;
}

int domain_claim_pages(struct domain *d, uint64_t total)
{
    int rc = -EINVAL;

    spin_lock(&d->page_alloc_lock);
    if (!d->dying && total > d->tot_pages && total <= d->max_pages)
        rc = stake_claim(d, total - d->tot_pages);
    spin_unlock(&d->page_alloc_lock);
    return rc;
}

void domain_unclaim_pages(struct domain *d)
{
    unsigned long flags;

    spin_lock(&d->page_alloc_lock);
    d->fresh.from_claim = 0;
    flags = spin_lock_irqsave(&heap_lock);
    change_claim(d, -(int64_t)d->claimed_pages);
    spin_unlock_irqrestore(&heap_lock, flags);
    spin_unlock(&d->page_alloc_lock);
}

uint64_t heap_claimed_pages(void)
{
    return READ_ONCE(claimed_pages);
}

void heap_read_claims(struct heap_claims *c)
{
    unsigned long flags = spin_lock_irqsave(&heap_lock);

    *c = (struct heap_claims){.claimed = claimed_pages, .free = free_pages, .changes = claim_changes};
    spin_unlock_irqrestore(&heap_lock, flags);
}

bool heap_has(const struct page_info *pg)
{
    unsigned long flags = spin_lock_irqsave(&heap_lock);
    bool found = false;

    for (unsigned int order = 0; order <= MAX_ORDER && !found; order++) {
        mfn_t first = _mfn(page_to_mfn(pg).n & ~((1ul << order) - 1));
        const struct page_info *block = mfn_to_page(first);

        found = mfn_valid(first) && (block->heap_flags & PGH_free) && block->order >= order;
    }
    spin_unlock_irqrestore(&heap_lock, flags);
    return found;
}

/* The owner loses the frame; the domain itself may go with its last frame. */
static void unaccount(struct domain *d, struct page_info *pg)
{
    bool last;

    spin_lock(&d->page_alloc_lock);
    list_del(&pg->list);
    if (pg->count_info & PGC_hv_page)
        last = list_empty(&d->hv_page_list);
    else
        last = --d->tot_pages == 0;
    if (!(pg->count_info & PGC_hv_page) && READ_ONCE(d->claimed_pages))
        return_to_claim(d, 1);
    pg->owner = NULL;
    spin_unlock(&d->page_alloc_lock);
    if (last)
        domain_put(d);
}

void free_domain_page(struct page_info *pg)
{
    bool hv_page = pg->count_info & PGC_hv_page;
    unsigned long flags;

    unaccount(pg->owner, pg);
    if (hv_page)
        return;
    set_gpfn_from_mfn(page_to_mfn(pg), INVALID_M2P_ENTRY);
    pg->count_info = pg->type_info = 0;
    pg->tlb_stamp = tlb_now();
    pg->heap_flags = PGH_tlb_stale;
    flags = spin_lock_irqsave(&heap_lock);
    free_block(pg, 0);
    spin_unlock_irqrestore(&heap_lock, flags);
}

uint64_t heap_free_pages(void)
{
    return READ_ONCE(free_pages);
}
