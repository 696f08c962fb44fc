// SPDX-License-Identifier: BSD-2-Clause
/*
 * A frame becomes a guest table, and stops being one. While it is one nobody can store to it: every leaf that maps it
 * is read-only, no leaf of 2 MiB covers it, and no TLB says otherwise. The reverse map says at once whether that is so.
 */
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

void shadow_flush(struct shadow *s)
{
    smp_mb(); /* the entries are stored before it is seen who may have read them */
    s->count.flushes += s->stale;
    if (s->stale)
        tlb_flush_mask((cpumask_t){READ_ONCE(s->d->dirty_cpus.bits)});
    s->stale = false;
}

uint16_t *region_tables(const struct shadow *s, gfn_t gfn)
{
    uint64_t region = gfn.n / REGION_FRAMES, page = region / REGIONS_PER_PAGE;
    uint16_t *counts;

    if (page >= REGION_PAGES)
        return NULL;
    counts = s->region[array_index_nospec(page, REGION_PAGES)];
    return counts ? &counts[region % REGIONS_PER_PAGE] : NULL;
}

/* Leaves of 2 MiB that cover a frame: listed in the first one's. Those are all of one domain's. */
static bool drop_2m(struct shadow *s, mfn_t m)
{
    mfn_t first = _mfn(m.n & ~(uint64_t)(REGION_FRAMES - 1));

    return !mfn_valid(first) || mfn_to_page(first)->owner != s->d || sptes_drop(s, &mfn_to_page(first)->shadow.rmap_2m);
}

/* Those of 2 MiB stay, read-only, until a store needs one of 4 KiB there. */
bool shadow_stop_stores(struct domain *d, mfn_t m)
{
    struct page_info *first = mfn_to_page(_mfn(m.n & ~(uint64_t)(REGION_FRAMES - 1)));

    if (mfn_valid(page_to_mfn(first)) && first->owner == d && !sptes_protect(d->shadow, &first->shadow.rmap_2m))
        return false;
    return sptes_protect(d->shadow, &mfn_to_page(m)->shadow.rmap);
}

void table_open(struct shadow *s, mfn_t table, bool open)
{
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        page_by_id(s, id)->open = open;
}

bool table_protect(struct shadow *s, mfn_t table)
{
    unsigned int before = room();

    if (!drop_2m(s, table) || !sptes_protect(s, &mfn_to_page(table)->shadow.rmap))
        return false;
    if (page_of_frame(s, table)->open || room() != before) { /* a writable entry that went may still be in a TLB */
        shadow_flush(s);
        table_open(s, table, false);
        table_stored(s, table); /* it may have been, until now */
    }
    return true;
}

static bool unshadow(struct shadow *s, mfn_t table)
{
    uint32_t id = mfn_to_page(table)->shadow.tables;

    while (id) {
        struct shadow_page *sp = page_by_id(s, id);

        if (sp->roots) {
            if (!page_clear(s, sp))
                return false;
            id = sp->next_of_table;
        } else {
            if (!page_free(s, sp))
                return false;
            s->count.unshadowed++;
            id = mfn_to_page(table)->shadow.tables;
        }
    }
    return true;
}

bool table_unshadow(struct shadow *s, mfn_t table)
{
    uint32_t begun = work_begun();
    bool done = !is_table(table) || unshadow(s, table);

    if (work_begun() != begun)
        work_done(s, WORK_UNSHADOW, begun);
    return done;
}

/* A root whose table goes stays with its vCPU, empty, until that takes another. */
bool table_end(struct shadow *s, mfn_t table)
{
    struct page_info *pg = mfn_to_page(table);

    if (!table_unshadow(s, table))
        return false;
    while (pg->shadow.tables)
        page_forget(s, page_by_id(s, pg->shadow.tables));
    return true;
}

static bool forget_ram(struct shadow *s, mfn_t m)
{
    return drop_2m(s, m) && sptes_drop(s, &mfn_to_page(m)->shadow.rmap) && table_end(s, m);
}

/* Of borrowed frames there is no reverse map for each: the entries of all go, and come back when they are needed. */
bool shadow_forget(struct domain *d, struct p2m_entry old)
{
    uint32_t begun = work_begun();
    bool done = p2m_is_ram(old.type) ? forget_ram(d->shadow, old.mfn) : sptes_drop(d->shadow, &d->shadow->borrowed);

    work_done(d->shadow, WORK_P2M, begun);
    return done;
}

void shadow_forgotten(struct domain *d)
{
    shadow_flush(d->shadow);
}
