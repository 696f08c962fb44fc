// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables out of sync. A table of the last level that the guest stores to again and again, without a fault of its own in
 * between, is not protected any more: its stores cost no exit. Its shadows stay what they were made from, of which a
 * copy is kept (seen); they are compared with the table, and follow it, when a vCPU flushes its TLB, as a TLB would
 * forget. So for shadows the copy stands for the table: nothing is made from an entry that is not the copy's.
 *
 *   - A fault brings the copy's entry up to date before it uses it (table_sync_entry), and so does INVLPG (invlpg.c).
 *   - A flush looks at all tables out of sync that it can reach (reach.c). Which it has seen to is known by a clock
 *     that each flush advances: one comparison serves all flushes that began before it, and one cut short goes on where
 *     it was.
 *   - A table that has not changed for a while, or whose place another one needs, is protected, compared for the last
 *     time, and in sync again (closing). One that nothing leads to is no table any more.
 *
 * Tables of upper levels are always in sync, and so is a frame that is a table of both kinds.
 */
#include <hv/boot.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

#define LINE      64u /* bytes that are compared in one step */
#define PART      8u  /* that follow together: an entry, or two of 4 bytes */
#define PART_WORK (PART / 4)
#define QUIET     3u /* comparisons without a change: it is protected again */

bool opt_shadow_oos = true;
CMDLINE_RUNTIME("shadow_oos", PARAM_BOOL, opt_shadow_oos);

static struct unsynced *record_of(struct shadow *s, mfn_t table)
{
    unsigned int n = page_of_frame(s, table)->unsynced;

    return n ? &s->unsynced[n - 1] : NULL;
}

static void mark(struct shadow *s, mfn_t table, uint8_t n)
{
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        page_by_id(s, id)->unsynced = n;
}

/* In sync, or gone. */
static void forget(struct shadow *s, struct unsynced *u)
{
    paging_pool_free(s->d, PAGING_SHADOW, virt_to_page(u->seen));
    mark(s, u->table, 0);
    *u = (struct unsynced){.table = INVALID_MFN};
    WRITE_ONCE(s->nr_unsynced, s->nr_unsynced - 1);
}

void table_gone(struct shadow *s, struct shadow_page *sp)
{
    if (sp->unsynced)
        forget(s, &s->unsynced[sp->unsynced - 1]);
}

/* ---- comparing ---- */

/* 8 bytes of the table: one entry or two. */
static void sync_part(struct shadow *s, struct unsynced *u, unsigned int n)
{
    uint64_t now = READ_ONCE(((const uint64_t *)mfn_to_virt(u->table))[n]);

    if (u->seen[n] == now)
        return;
    WRITE_ONCE(u->part, true);
    smp_wmb();
    u->seen[n] = now;
    u->changed = true;
    s->count.synced++;
    table_follow(s, u->table, n * PART, PART);
    smp_wmb();
    WRITE_ONCE(u->part, false);
}

bool table_sync_entry(struct shadow *s, mfn_t table, unsigned int offset)
{
    struct unsynced *u = record_of(s, table);

    if (u && room() < PART_WORK * MAX_SHADOWS)
        return false;
    if (u)
        sync_part(s, u, offset / PART);
    return true;
}

void table_stored(struct shadow *s, mfn_t table)
{
    struct unsynced *u = record_of(s, table);

    if (u && u->closing)
        u->next = 0; /* that part may have been compared for the last time */
}

/* Units of work for a line, at most. */
static unsigned int line_work(const struct shadow *s, mfn_t table)
{
    unsigned int n = 0;

    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        n++;
    return 1 + n * PART_WORK * (LINE / PART);
}

/* From where it stopped; false: there is no more room in this stretch. */
static bool compare(struct shadow *s, struct unsynced *u)
{
    const uint8_t *now = mfn_to_virt(u->table);
    unsigned int most = line_work(s, u->table);

    for (; u->next < PAGE_SIZE; u->next += LINE) {
        if (room() < most)
            return false;
        stretch_work(1);
        if (!memcmp((const uint8_t *)u->seen + u->next, now + u->next, LINE))
            continue;
        for (unsigned int n = u->next / PART; n < (u->next + LINE) / PART; n++)
            sync_part(s, u, n);
    }
    u->next = 0;
    return true;
}

static bool has_parents(const struct shadow *s, mfn_t table)
{
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        if (page_by_id(s, id)->parents)
            return true;
    return false;
}

/* In sync again, or no table at all. False: not done yet. */
static bool close(struct shadow *s, struct unsynced *u)
{
    if (!has_parents(s, u->table))
        return table_unshadow(s, u->table);
    if (!u->closing)
        table_open(s, u->table, true);
    u->closing = true;
    if (!table_protect(s, u->table) || !compare(s, u))
        return false;
    forget(s, u);
    return true;
}

/* It has been compared from its start at a time not before the flush. */
static bool sync_since(struct shadow *s, struct unsynced *u, uint64_t flush)
{
    while (u->synced < flush) {
        if (!u->next)
            u->began = s->clock;
        if (!compare(s, u))
            return false;
        u->synced = u->began;
        u->quiet = u->changed ? 0 : u->quiet + 1;
        u->changed = false;
    }
    return true;
}

static bool flush_table(struct shadow_vcpu *v, struct unsynced *u)
{
    struct shadow *s = v->s;

    if (u->closing || u->quiet >= QUIET || !opt_shadow_oos || !has_parents(s, u->table))
        return close(s, u);
    if (table_in_reach(v, u->table))
        return sync_since(s, u, v->flush);
    s->partial = MAX(s->partial, v->flush);
    return true;
}

int unsync_flush(struct shadow_vcpu *v)
{
    struct shadow *s = v->s;

    if (!v->flush)
        v->flush = ++s->clock;
    for (unsigned int i = 0; i < MAX_UNSYNCED && s->nr_unsynced; i++) {
        struct unsynced *u = &s->unsynced[i];

        if (mfn_eq(u->table, INVALID_MFN))
            continue;
        if (!flush_table(v, u))
            return -ERESTART;
    }
    return 0;
}

bool unsync_compare(struct shadow *s, unsigned int n)
{
    return sync_since(s, &s->unsynced[n], ++s->clock);
}

bool unsync_caught_up(struct shadow *s)
{
    for (unsigned int i = 0; i < MAX_UNSYNCED && s->nr_unsynced; i++)
        if (!mfn_eq(s->unsynced[i].table, INVALID_MFN) && !sync_since(s, &s->unsynced[i], s->partial))
            return false;
    return true;
}

bool shadow_needs_flushes(const struct shadow_vcpu *v)
{
    return has_tlb(v) || READ_ONCE(v->s->nr_unsynced);
}

bool table_close(struct shadow *s, mfn_t table)
{
    struct unsynced *u = record_of(s, table);

    return !u || close(s, u);
}

/* ---- going out of sync ---- */

/* All its shadows are of the last level. */
static bool last_level(const struct shadow *s, mfn_t table)
{
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        if (page_by_id(s, id)->role.level != 1)
            return false;
    return true;
}

/* A place without a table; the oldest one's, if it can be closed at once. NULL: not now. */
static struct unsynced *place(struct shadow *s)
{
    struct unsynced *u;

    for (u = s->unsynced; s->nr_unsynced < MAX_UNSYNCED; u++)
        if (mfn_eq(u->table, INVALID_MFN))
            return u;
    u = &s->unsynced[s->next_unsynced % MAX_UNSYNCED];
    if (!close(s, u))
        return NULL;
    s->next_unsynced++;
    return u;
}

static bool begin(struct shadow *s, struct unsynced *u, mfn_t table)
{
    struct page_info *pg = paging_pool_alloc(s->d, PAGING_SHADOW, false);

    if (!pg)
        return false;
    pg->shadow.rmap = pg->shadow.rmap_2m = pg->shadow.tables = 0;
    *u = (struct unsynced){.table = table, .seen = page_to_virt(pg)};
    memcpy(u->seen, mfn_to_virt(table), PAGE_SIZE); /* nobody can store to it yet */
    stretch_work(2 * STRETCH_FRAME);
    mark(s, table, (uint8_t)(u - s->unsynced + 1));
    WRITE_ONCE(s->nr_unsynced, s->nr_unsynced + 1);
    s->count.unsynced++;
    if (s->nr_unsynced == 1 && s->d->max_vcpus > 1) {
        s->stale = true; /* other vCPUs leave the guest, and enter it with their flushes watched */
        shadow_flush(s);
    }
    return true;
}

bool table_unsync(struct shadow *s, mfn_t table)
{
    struct unsynced *u = record_of(s, table);

    if (!opt_shadow_oos)
        return false;
    if (u) { /* it was to be closed */
        u->closing = false;
        u->quiet = 0;
        return true;
    }
    if (!last_level(s, table))
        return false;
    if (!has_parents(s, table))
        return table_unshadow(s, table);
    u = place(s);
    return u && room() >= 3 * STRETCH_FRAME && begin(s, u, table);
}
