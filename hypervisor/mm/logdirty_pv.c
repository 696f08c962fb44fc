// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log of stores of PV domains, as far as it differs (<hv/logdirty.h>): where its memory comes from, how the
 * domain's frames are gone through without a P2M, and the M2P, by which their bits are found.
 *
 * The M2P says what the guest has said. It may name any number for any frame: its own copy is wrong then, and more than
 * a few numbers far apart need more memory than the pool has, so that the log is not turned on, or counts everything as
 * dirty.
 */
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <hv/shadow.h>
#include <hv/stretch.h>
#include "pv/pt.h"

#define PER_SHADOWS \
    64u /* frames of memory for each of the pool: a table of the last level and its links take two of 512 */

/* What memory for bits has cost since the pool had given `before` frames for it; the paging lock is held. */
static unsigned int cover_work(const struct domain *d, unsigned long before)
{
    return (unsigned int)(d->paging_pool->used[PAGING_LOGDIRTY] - before) * STRETCH_FRAME;
}

/* ---- the M2P ---- */

void logdirty_set_gpfn(struct domain *d, mfn_t m, unsigned long gfn)
{
    unsigned long before;

    set_gpfn_from_mfn(m, gfn);
    if (READ_ONCE(d->logdirty.state) == LOGDIRTY_OFF || gfn >= P2M_GFNS)
        return;
    paging_lock(d);
    if (d->logdirty.state != LOGDIRTY_OFF) { /* else the pool may have gone */
        before = d->paging_pool->used[PAGING_LOGDIRTY];
        logdirty_changed(d, _gfn(gfn), 0);
        stretch_work(1 + cover_work(d, before));
    }
    paging_unlock(d);
}

/* ---- the pool ---- */

int logdirty_pv_init(struct domain *d)
{
    int rc = 0;

    d->identity = true; /* before there is a pool: it is not to be taken for a translated domain's */
    smp_wmb();
    if (!d->paging_pool)
        rc = paging_pool_init(d);
    if (!rc && !d->p2m)
        rc = p2m_init_identity(d);
    return rc;
}

int logdirty_pv_pool(struct domain *d)
{
    unsigned long least = shadow_pv_least(d), want = least + READ_ONCE(d->tot_pages) / PER_SHADOWS;
    int rc = logdirty_pv_init(d);

    if (rc)
        return rc;
    if (d->pv.pool_chosen)
        want = d->paging_pool->size;
    if (want < least)
        return -ENOMEM;
    return d->paging_pool->size < want ? paging_pool_resize(d, want) : 0;
}

/* ---- all frames ---- */

static int each_frame(struct domain *d, uint64_t *left, int (*look)(struct domain *d, const struct page_info *pg))
{
    int rc = 0;

    if (!*left)
        *left = READ_ONCE(d->tot_pages) + 1;
    while (!rc && *left > 1) {
        struct page_info *pg;

        if (stretch_room() <= LOGDIRTY_COVER_WORK)
            return -ERESTART;
        pg = pv_next_frame(d);
        stretch_work(1);
        if (pg) {
            rc = look(d, pg);
            put_page(pg);
        }
        --*left;
    }
    *left = 0;
    return rc;
}

static int cover(struct domain *d, const struct page_info *pg)
{
    gfn_t gfn = _gfn(get_gpfn_from_mfn(page_to_mfn(pg)));
    unsigned long before = d->paging_pool->used[PAGING_LOGDIRTY];
    int rc = gfn.n < P2M_GFNS ? logdirty_cover(d, gfn) : 0;

    stretch_work(cover_work(d, before));
    return rc;
}

int logdirty_pv_cover(struct domain *d, uint64_t *left)
{
    return each_frame(d, left, cover);
}

static int mark_if_held(struct domain *d, const struct page_info *pg)
{
    if (frame_is_held_outside(pg))
        logdirty_mark_frame(d, page_to_mfn(pg));
    return 0;
}

int logdirty_pv_held(struct domain *d, uint64_t *left)
{
    return each_frame(d, left, mark_if_held);
}
