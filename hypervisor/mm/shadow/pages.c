// SPDX-License-Identifier: BSD-2-Clause
/*
 * Shadow pages: made from the pool's frames, found by the frame of the guest's table and a role, used least lately they
 * go when the pool is empty. Descriptors stand in frames of the pool too, so all that shadows take comes from it.
 *
 * A page goes in bounded parts: first the entries that name it, then its own. Until its frames are back in the pool it
 * is an ordinary page that happens to be empty.
 */
#include <hv/sched.h>
#include "internal.h"

static void *pool_frame(struct shadow *s, bool below_4g)
{
    struct page_info *pg = paging_pool_alloc(s->d, PAGING_SHADOW, below_4g);

    if (!pg)
        return NULL;
    pg->shadow.rmap = pg->shadow.rmap_2m = pg->shadow.tables = 0;
    stretch_work(STRETCH_FRAME);
    return page_to_virt(pg);
}

static void pool_return(struct shadow *s, void *frame)
{
    paging_pool_free(s->d, PAGING_SHADOW, virt_to_page(frame));
}

/* ---- descriptors ---- */

static bool more_descriptors(struct shadow *s)
{
    uint32_t first = s->nr_ids;
    struct shadow_page *block;

    if (first == MAX_PAGES)
        return false;
    block = pool_frame(s, false);
    if (!block)
        return false;
    s->block[first / PAGES_PER_BLOCK] = block;
    s->nr_ids += PAGES_PER_BLOCK;
    for (uint32_t i = first ? 0 : 1; i < PAGES_PER_BLOCK; i++) {
        block[i].id = first + i;
        list_add_tail(&block[i].lru, &s->unused);
    }
    return true;
}

static struct shadow_page *take_descriptor(struct shadow *s)
{
    if (list_empty(&s->unused) && !more_descriptors(s))
        return NULL;
    return list_first(&s->unused, struct shadow_page, lru);
}

/* ---- life ---- */

static void count_table(struct shadow *s, union shadow_role role, int n)
{
    s->count.tables[role.levels][role.level] += (unsigned int)n;
    s->count.direct += role.direct ? (unsigned int)n : 0;
}

/* It is not found by its table any more; if it was the last shadow, the frame is no table any more. */
void page_forget(struct shadow *s, struct shadow_page *sp)
{
    struct page_info *pg = mfn_to_page(sp->table);
    uint32_t *at = &pg->shadow.tables;
    uint16_t *count;

    while (*at != sp->id)
        at = &page_by_id(s, *at)->next_of_table;
    *at = sp->next_of_table;
    sp->next_of_table = 0;
    count = region_tables(s, _gfn(get_gpfn_from_mfn(sp->table)));
    if (!pg->shadow.tables && count)
        --*count;
    if (!pg->shadow.tables && sp->unsynced)
        table_gone(s, sp);
    if (!pg->shadow.tables && s->d->logdirty.state == LOGDIRTY_OFF) /* else the log may wait for a store */
        sptes_release(s, &pg->shadow.rmap);
    sp->unsynced = 0;
    sp->table = INVALID_MFN;
}

#define SCAN_COST (PT_ENTRIES / 8) /* of passing over a table's empty entries, a cache line each */

bool page_clear(struct shadow *s, struct shadow_page *sp)
{
    unsigned int n = 0, most = room();

    if (!sp->used)
        return true;
    if (most <= SCAN_COST)
        return false;
    for (unsigned int i = 0; sp->used && n < most - SCAN_COST; i++)
        if (spte_present(sp->entry[i])) {
            spte_set(s, sp, i, _spte(0));
            n++;
        }
    stretch_work(n + SCAN_COST);
    return !sp->used;
}

bool page_detach(struct shadow *s, struct shadow_page *sp)
{
    if (!sptes_drop(s, &sp->parents) || !page_clear(s, sp))
        return false;
    if (has_table(sp))
        page_forget(s, sp);
    return true;
}

static bool retire(struct shadow *s, struct shadow_page *sp)
{
    if (!room() || !sp->orphan || sp->parents || sp->busy || !has_table(sp))
        return false;
    stretch_work(1);
    if (!page_clear(s, sp))
        return false;
    page_forget(s, sp);
    s->count.unshadowed++;
    count_table(s, sp->role, -1);
    sp->role.n = 0;
    count_table(s, sp->role, 1);
    return true;
}

void page_orphan(struct shadow *s, struct shadow_page *sp)
{
    sp->orphan = true;
    list_del(&sp->lru);
    list_add_tail(&sp->lru, &s->lru);
}

void pages_retire(struct shadow *s)
{
    struct list_head *at = s->lru.prev, *before;

    for (; at != &s->lru; at = before) {
        before = at->prev;
        if (!retire(s, list_entry(at, struct shadow_page, lru)))
            return;
    }
}

void page_return(struct shadow *s, struct shadow_page *sp)
{
    pool_return(s, sp->entry);
    pool_return(s, sp->link);
    sp->entry = NULL;
    list_del(&sp->lru);
    list_add(&sp->lru, &s->unused);
    s->pages--;
    s->count.freed++;
    count_table(s, sp->role, -1);
}

bool page_free(struct shadow *s, struct shadow_page *sp)
{
    if (!page_detach(s, sp))
        return false;
    shadow_flush(s); /* a CPU may still walk through it */
    page_return(s, sp);
    return true;
}

/* Some way towards free frames: -ERESTART, or -ENOMEM when every page is a root or in use by this fault. */
static int reclaim(struct shadow *s)
{
    struct shadow_page *sp;
    unsigned int looked = 0;

    for (sp = list_entry(s->lru.prev, struct shadow_page, lru); &sp->lru != &s->lru && looked < PT_ENTRIES;
         sp = list_entry(sp->lru.prev, struct shadow_page, lru), looked++)
        if (!sp->roots && !sp->busy) {
            uint32_t begun = work_begun();

            s->count.reclaimed += page_free(s, sp);
            work_done(s, WORK_RECLAIM, begun);
            return -ERESTART;
        }
    return -ENOMEM;
}

/* The one at the end of the list, if it has no use: its frames are empty, and can be another's. */
static struct shadow_page *idle_page(const struct shadow *s)
{
    struct shadow_page *sp = list_entry(s->lru.prev, struct shadow_page, lru);

    return list_empty(&s->lru) || sp->role.n || sp->used || sp->parents ? NULL : sp;
}

/* Frames out of the pool for a page without any. False: there are none. */
static bool take_frames(struct shadow *s, struct shadow_page *sp, bool below_4g)
{
    void *entry = pool_frame(s, below_4g), *link = entry ? pool_frame(s, false) : NULL;

    if (!link) {
        if (entry)
            pool_return(s, entry);
        return false;
    }
    sp->entry = entry;
    sp->link = link;
    virt_to_page(entry)->shadow.tables = sp->id;
    s->pages++;
    return true;
}

int page_make(struct shadow *s, union shadow_role role, struct shadow_page **out)
{
    bool pae_root = role.level == 3 && role.levels != 4;
    struct shadow_page *sp = pae_root ? NULL : idle_page(s);

    if (room() < 4 * STRETCH_FRAME)
        return -ERESTART;
    if (sp) {
        shadow_flush(s); /* a CPU may still walk through what it was */
        count_table(s, sp->role, -1);
        s->count.freed++;
    } else {
        sp = take_descriptor(s);
        if (!sp || !take_frames(s, sp, pae_root))
            return reclaim(s);
    }
    list_del(&sp->lru);
    *sp = (struct shadow_page){.entry = sp->entry, .link = sp->link, .table = INVALID_MFN, .role = role, .id = sp->id};
    list_add(&sp->lru, &s->lru);
    s->count.made++;
    count_table(s, role, 1);
    *out = sp;
    return 0;
}

/* Counters for the 2 MiB around gfn, if they are not there yet. */
static bool count_region(struct shadow *s, gfn_t gfn)
{
    uint64_t page = gfn.n / REGION_FRAMES / REGIONS_PER_PAGE;

    if (page >= REGION_PAGES)
        return true;
    page = array_index_nospec(page, REGION_PAGES);
    if (!s->region[page])
        s->region[page] = pool_frame(s, false);
    return s->region[page];
}

int page_make_for(struct shadow *s, union shadow_role role, mfn_t table, struct shadow_page **out)
{
    struct page_info *pg = mfn_to_page(table);
    gfn_t gfn = _gfn(get_gpfn_from_mfn(table));
    uint16_t *count;
    int rc;

    if (!count_region(s, gfn))
        return reclaim(s);
    if (role.level > 1 && is_unsynced(s, table) && !table_close(s, table))
        return -ERESTART;
    rc = page_make(s, role, out);
    if (rc)
        return rc;
    count = region_tables(s, gfn);
    if (!pg->shadow.tables && count)
        ++*count;
    (*out)->open = !is_table(table) || page_of_frame(s, table)->open;
    (*out)->table = table;
    (*out)->next_of_table = pg->shadow.tables;
    (*out)->unsynced = is_table(table) ? page_of_frame(s, table)->unsynced : 0;
    pg->shadow.tables = (*out)->id;
    return 0;
}

struct shadow_page *page_find(const struct shadow *s, mfn_t table, union shadow_role role)
{
    uint32_t id = mfn_to_page(table)->shadow.tables;

    while (id && page_by_id(s, id)->role.n != role.n)
        id = page_by_id(s, id)->next_of_table;
    return id ? page_by_id(s, id) : NULL;
}
