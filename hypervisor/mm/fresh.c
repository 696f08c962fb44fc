/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zeroed blocks for a domain, made in slices. Zeroing a block of 512 frames in one go would be the longest stretch of a
 * populate call; here it is preempted every 64 frames. What is done so far waits in d->fresh for the call to come
 * again: one block per domain, owned by nobody else, given back when a call of another size comes or the domain dies.
 *
 * The holder of the block takes it out of d->fresh first (page_alloc_lock), so two vCPUs never zero one block.
 */
#include <hv/domain.h>
#include <hv/heap.h>
#include <hv/sched.h>

#define SLICE 64ul

static struct fresh_block take(struct domain *d)
{
    struct fresh_block f;

    spin_lock(&d->page_alloc_lock);
    f = d->fresh;
    d->fresh.pg = NULL;
    spin_unlock(&d->page_alloc_lock);
    return f;
}

static void drop(struct domain *d, struct fresh_block *f)
{
    if (!f->pg)
        return;
    unused_claim(d, f->from_claim); /* first: in the heap the frames are anybody's */
    free_hv_pages(f->pg, f->order);
    stretch_work(1u << f->order);
    f->pg = NULL;
}

/* Until the call comes again; if another one has left a block there, or nobody will come again, it is let go. */
static void leave(struct domain *d, struct fresh_block *f)
{
    bool left;

    spin_lock(&d->page_alloc_lock);
    left = !d->dying && !d->fresh.pg;
    if (left)
        d->fresh = *f;
    spin_unlock(&d->page_alloc_lock);
    if (!left)
        drop(d, f);
}

/* False: to be preempted. */
static bool zero(struct fresh_block *f)
{
    while (f->zeroed < 1ul << f->order) {
        unsigned long n = MIN(SLICE, (1ul << f->order) - f->zeroed);

        if (preempt_before_work((unsigned int)n * STRETCH_FRAME))
            return false;
        memset(page_to_virt(f->pg + f->zeroed), 0, n << PAGE_SHIFT);
        f->zeroed += n;
        stretch_work((unsigned int)n * STRETCH_FRAME);
    }
    /* Who gets it accounts for each frame. */
    return !preempt_before_work(1u << f->order);
}

/* 0, -ENOMEM, -ERESTART. */
static int make(struct domain *d, unsigned int order, unsigned int memf, struct fresh_block *f)
{
    if (READ_ONCE(d->dying))
        return -EINVAL;
    *f = take(d);
    if (f->pg && (f->order != order || f->memf != memf)) {
        drop(d, f);
        if (preempt_before_work(1u << order))
            return -ERESTART;
    }
    if (!f->pg) {
        *f = (struct fresh_block){.order = order, .memf = memf};
        f->pg = alloc_claimed_pages(d, order, memf, &f->from_claim);
        if (!f->pg)
            return -ENOMEM;
        stretch_work(1u << order); /* its frame-table entries */
    }
    if (zero(f))
        return 0;
    leave(d, f);
    return -ERESTART;
}

int populate_domain_pages(struct domain *d, unsigned int order, unsigned int memf, struct page_info **pg)
{
    struct fresh_block f;
    int rc;

    if (1ul << order < SLICE) {
        if (READ_ONCE(d->fresh.pg))
            drop_fresh_pages(d);
        if (preempt_before_work((1u << order) * STRETCH_FRAME))
            return -ERESTART;
        stretch_work((1u << order) * STRETCH_FRAME);
        *pg = alloc_domain_pages(d, order, memf);
        return *pg ? 0 : -ENOMEM;
    }
    if (READ_ONCE(d->tot_pages) + (1ul << order) > d->max_pages)
        return -ENOMEM;
    rc = make(d, order, memf, &f);
    if (rc)
        return rc;
    stretch_work(1u << order);
    rc = assign_pages(d, f.pg, order);
    if (rc)
        drop(d, &f);
    *pg = f.pg;
    return rc;
}

int alloc_fresh_pages(struct domain *d, unsigned int order, unsigned int memf, struct page_info **pg)
{
    struct fresh_block f;
    int rc = make(d, order, memf, &f);

    if (!rc) {
        unused_claim(d, f.from_claim);
        *pg = f.pg;
    }
    return rc;
}

void drop_fresh_pages(struct domain *d)
{
    struct fresh_block f = take(d);

    drop(d, &f);
}
