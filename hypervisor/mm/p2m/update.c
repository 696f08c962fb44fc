// SPDX-License-Identifier: BSD-2-Clause
/*
 * Changes, in chunks of up to 512 guest frames, and the four tables that these need at most: CHECK that the frames may
 * have the type, ACQUIRE the tables, COMMIT. A chunk is a run of entries in one table of level 1, or one entry of level
 * 2 with all that is below it.
 *
 * COMMIT first hides the old entries from the hardware and tells p2m_changed, then flushes, then ends what the old
 * entries held, and stores the new ones. All of it is under the lock, so only the hardware sees the moment between: a
 * CPU that faults there waits for the lock and finds the new entry.
 */
#include <hv/sched.h>
#include <hv/shadow.h>
#include <hv/x86.h>
#include "internal.h"

struct chunk {
    struct p2m *p;
    gfn_t gfn;
    mfn_t mfn;
    unsigned int order;
    enum p2m_type type;
};

/* The run of entries that a chunk replaces. */
struct run {
    npte_t *e;
    unsigned int n, level;
};

void p2m_changed(struct p2m *p, gfn_t gfn, npte_t old, npte_t new, unsigned int order)
{
    uint64_t differs = (old.n ^ new.n) & ~(NPTE_TYPE | NPTE_WATCHED | PTE_RW | PTE_D), lost = old.n & ~new.n;

    /* More rights alone need no flush: hardware looks again before it faults. */
    if (old.n && (differs || (lost & PTE_RW)))
        p->flush_due = true;
    p->changes++;
    if (differs || (old.n & NPTE_WATCHED)) /* its D may be lost */
        logdirty_changed(p->d, gfn, order);
}

/* ---- CHECK ---- */

/* Has a frame of the domain's own an entry, and where? */
static bool has_entry(const struct p2m *p, mfn_t m, gfn_t *gfn, enum p2m_type *type)
{
    unsigned int level;
    npte_t e;

    *gfn = _gfn(get_gpfn_from_mfn(m));
    if (gfn->n >= P2M_GFNS)
        return false;
    e = p2m_find(p, *gfn, &level);
    *type = npte_type(e);
    return p2m_is_ram(*type) && npte_mfn(e).n + (gfn->n & ((1ul << level_order(level)) - 1)) == m.n;
}

static bool is_own(const struct p2m *p, mfn_t m)
{
    const struct page_info *pg;

    if (!mfn_valid(m))
        return false;
    pg = mfn_to_page(_mfn(array_index_nospec(m.n, max_page)));
    return READ_ONCE(pg->owner) == p->d && (READ_ONCE(pg->count_info) & PGC_allocated);
}

static int check_frame(const struct chunk *c, unsigned long i)
{
    mfn_t m = mfn_add(c->mfn, i);
    enum p2m_type type;
    gfn_t at;

    if (c->type == P2M_MMIO_DIRECT)
        return mfn_valid(m) ? -EINVAL : 0;
    if (p2m_is_borrowed(c->type)) {
        if (c->order || !mfn_valid(m) || !READ_ONCE(mfn_to_page(m)->owner))
            return -EINVAL;
        return c->type == P2M_FOREIGN && mfn_to_page(m)->owner == c->p->d ? -EINVAL : 0;
    }
    if (!is_own(c->p, m))
        return -EINVAL;
    return has_entry(c->p, m, &at, &type) && at.n != c->gfn.n + i ? -EBUSY : 0;
}

static int check(const struct chunk *c)
{
    int rc = c->p->d->dying ? -EINVAL : 0;

    for (unsigned long i = 0; !rc && c->type != P2M_MMIO_DM && i < 1ul << c->order; i++)
        rc = check_frame(c, i);
    return rc;
}

static bool all_ram(const struct chunk *c)
{
    unsigned int level;

    for (unsigned long i = 0; i < 1ul << c->order; i += 1ul << level_order(level))
        if (!p2m_is_ram(npte_type(p2m_find(c->p, _gfn(c->gfn.n + i), &level))))
            return false;
    return true;
}

int p2m_forget(struct p2m *p, gfn_t gfn, unsigned long n)
{
    uint32_t begun = this_cpu(stretch_now).work;

    if (!p->d->shadow || p->d->hap)
        return 0;
    for (unsigned long i = 0; i < n; i++) {
        struct p2m_entry e = p2m_lookup_locked(p->d, _gfn(gfn.n + i));

        if (e.type != P2M_MMIO_DM && !shadow_forget(p->d, e))
            return -ERESTART;
    }
    shadow_forgotten(p->d);
    return this_cpu(stretch_now).work != begun && stretch_room() < n ? -ERESTART : 0;
}

/* ---- COMMIT ---- */

void p2m_release(struct p2m *p, mfn_t m, enum p2m_type type)
{
    struct page_info *pg = mfn_to_page(m);

    if (type == P2M_MMIO_DIRECT)
        return;
    if (type == P2M_GRANT_RO)
        put_page(pg);
    else if (p2m_is_borrowed(type))
        put_page_and_type(pg);
    else {
        set_gpfn_from_mfn(m, INVALID_M2P_ENTRY);
        if (pg->count_info & PGC_hv_page)
            return;
        if (__atomic_fetch_and(&pg->count_info, ~PGC_allocated, __ATOMIC_SEQ_CST) & PGC_allocated)
            put_page(pg);
    }
}

/* What the i-th guest frame of a chunk will stand for, as an entry of that level would say it. */
static npte_t new_entry(const struct chunk *c, unsigned long i, unsigned int level)
{
    return npte_leaf(mfn_add(c->mfn, i), c->type, level);
}

static struct run old_entries(const struct chunk *c, npte_t *slot, unsigned int level)
{
    if (npte_is_table(*slot))
        return (struct run){p2m_table(mfn_to_page(npte_mfn(*slot))), PT_ENTRIES, level - 1};
    return (struct run){slot, 1u << (c->order - level_order(level)), level};
}

static void hide(const struct chunk *c, npte_t *slot, const struct run *r)
{
    if (npte_is_table(*slot)) {
        WRITE_ONCE(slot->n, slot->n & ~PTE_P);
        c->p->flush_due = true;
    }
    for (unsigned int i = 0; i < r->n; i++) {
        unsigned long frame = (unsigned long)i << level_order(r->level);
        npte_t old = r->e[i], new = new_entry(c, frame, r->level);

        if (old.n == new.n)
            continue;
        p2m_changed(c->p, _gfn(c->gfn.n + frame), old, new, level_order(r->level));
        WRITE_ONCE(r->e[i].n, old.n & ~PTE_P);
    }
}

/* A frame that stays where it is, perhaps with another type, is not given up. */
static void release_old(const struct chunk *c, npte_t old, unsigned long first, unsigned int level)
{
    for (unsigned long i = 0; old.n && i < 1ul << level_order(level); i++) {
        mfn_t m = mfn_add(npte_mfn(old), i);

        if (p2m_is_ram(c->type) && p2m_is_ram(npte_type(old)) && c->mfn.n + first + i == m.n)
            continue;
        p2m_release(c->p, m, npte_type(old));
    }
}

static void commit(const struct chunk *c, npte_t *slot, unsigned int level)
{
    struct run r = old_entries(c, slot, level);
    struct page_info *table = npte_is_table(*slot) ? mfn_to_page(npte_mfn(*slot)) : NULL;

    hide(c, slot, &r);
    p2m_flush(c->p);
    for (unsigned int i = 0; i < r.n; i++) {
        unsigned long frame = (unsigned long)i << level_order(r.level);

        release_old(c, r.e[i], frame, r.level);
        p2m_store(&r.e[i], table ? _npte(0) : new_entry(c, frame, r.level));
    }
    if (table) {
        p2m_store(slot, new_entry(c, 0, level));
        list_add(&table->list, &c->p->dead); /* flushed already */
    }
    for (unsigned long i = 0; p2m_is_ram(c->type) && i < 1ul << c->order; i++)
        set_gpfn_from_mfn(mfn_add(c->mfn, i), c->gfn.n + i);
    if (c->type == P2M_MMIO_DM)
        p2m_prune(c->p, c->gfn);
    else
        c->p->limit = MAX(c->p->limit, c->gfn.n + (1ul << c->order));
}

void p2m_clear(struct p2m *p, gfn_t gfn, npte_t *slot, unsigned int level)
{
    struct chunk c = {.p = p, .gfn = gfn, .order = level_order(level), .type = P2M_MMIO_DM};

    commit(&c, slot, level);
}

/* ---- the calls ---- */

static bool gfns_ok(gfn_t gfn, unsigned int order)
{
    return order <= P2M_MAX_ORDER && gfn.n < P2M_GFNS && !(gfn.n & ((1ul << order) - 1));
}

static bool mfns_ok(mfn_t m, unsigned int order)
{
    return m.n + (1ul << order) > m.n && m.n + (1ul << order) <= (PTE_ADDR >> PAGE_SHIFT) + 1;
}

/* Is the whole chunk one entry of level 2? */
static unsigned int chunk_level(const struct chunk *c)
{
    bool fits = c->type == P2M_MMIO_DM || !(c->mfn.n & ((1ul << P2M_ORDER_2M) - 1));

    return c->order == P2M_ORDER_2M && fits ? 2 : 1;
}

static bool is_hole_already(const struct chunk *c)
{
    unsigned int level;

    return c->type == P2M_MMIO_DM && !p2m_find(c->p, c->gfn, &level).n && level_order(level) >= c->order;
}

/* Order up to 9. */
static int set_chunk(const struct chunk *c, bool only_ram)
{
    unsigned int level = chunk_level(c);
    npte_t *slot;
    int rc;

    p2m_lock(c->p);
    rc = check(c);
    if (!rc && only_ram && !all_ram(c))
        rc = -EINVAL;
    if (!rc)
        rc = p2m_forget(c->p, c->gfn, 1ul << c->order);
    if (!rc && !is_hole_already(c)) {
        slot = p2m_make_slot(c->p, c->gfn, level);
        if (slot)
            commit(c, slot, level);
        else
            rc = -ENOMEM;
    }
    p2m_unlock(c->p);
    return rc;
}

/* Every entry of the table continues the one before. */
static bool is_uniform(const struct page_info *table, unsigned int level)
{
    npte_t first = *p2m_table(table);

    if (!first.n || npte_is_table(first) || (npte_mfn(first).n & ((1ul << level_order(level + 1)) - 1)))
        return false;
    for (unsigned int i = 1; i < PT_ENTRIES; i++)
        if (p2m_table(table)[i].n != first.n + ((uint64_t)i << (level_order(level) + PAGE_SHIFT)))
            return false;
    return true;
}

/* 512 entries of 2 MiB become one, where the processor knows such, unless they, or all tables, have gone meanwhile. */
static void join_1g(struct p2m *p, gfn_t gfn)
{
    unsigned int level;
    npte_t *slot;

    p2m_lock(p);
    (void)p2m_find(p, gfn, &level);
    slot = level < 3 ? p2m_make_slot(p, gfn, 3) : NULL;
    if (slot && cpu_features.page1gb && is_uniform(mfn_to_page(npte_mfn(*slot)), 2))
        p2m_join(p, slot, 3);
    p2m_unlock(p);
}

static int set_step(struct p2m *p, struct p2m_range *r)
{
    struct chunk c = {.p = p,
                      .gfn = _gfn(r->gfn.n + r->done),
                      .mfn = mfn_add(r->mfn, r->done),
                      .order = MIN(r->order, P2M_ORDER_2M),
                      .type = r->type};
    int rc;

    rc = set_chunk(&c, r->only_ram);
    if (rc)
        return rc;
    stretch_work(1u << c.order);
    r->done += 1ul << c.order;
    r->joining = r->done == 1ul << P2M_ORDER_1G && r->type != P2M_MMIO_DM;
    return 0;
}

int p2m_set(struct domain *d, struct p2m_range *r)
{
    int rc = 0;

    if (!gfns_ok(r->gfn, r->order) || (unsigned int)r->type >= P2M_TYPES)
        return -EINVAL;
    if ((r->type != P2M_MMIO_DM && !mfns_ok(r->mfn, r->order)) || (r->only_ram && r->order > P2M_ORDER_2M))
        return -EINVAL;
    while (!rc && (r->done < 1ul << r->order || r->joining)) {
        if (preempt_before_work(1u << MIN(r->order, P2M_ORDER_2M)))
            return -ERESTART;
        if (r->joining) {
            join_1g(d->p2m, r->gfn);
            stretch_work(PT_ENTRIES);
            r->joining = false;
        } else
            rc = set_step(d->p2m, r);
    }
    return rc;
}

int p2m_vacate(struct domain *d, gfn_t gfn, unsigned int order)
{
    int rc = -EINVAL;

    p2m_lock(d->p2m);
    if (order <= P2M_ORDER_2M && gfns_ok(gfn, order))
        rc = p2m_forget(d->p2m, gfn, 1ul << order);
    p2m_unlock(d->p2m);
    return rc;
}

int p2m_place(struct domain *d, gfn_t gfn, const struct page_info *pg, unsigned int order)
{
    struct chunk c = {.p = d->p2m, .gfn = gfn, .mfn = page_to_mfn(pg), .order = order, .type = P2M_RAM_RW};

    return order <= P2M_ORDER_2M && gfns_ok(gfn, order) ? set_chunk(&c, false) : -EINVAL;
}

int p2m_remove_grant(struct domain *d, gfn_t gfn, mfn_t mfn, bool readonly)
{
    struct chunk c = {.p = d->p2m, .gfn = gfn, .type = P2M_MMIO_DM};
    enum p2m_type type = readonly ? P2M_GRANT_RO : P2M_GRANT_RW;
    int rc = -EINVAL;
    unsigned int level;
    npte_t e;

    if (!gfns_ok(gfn, 0))
        return -EINVAL;
    p2m_lock(c.p);
    e = p2m_find(c.p, gfn, &level);
    if (level == 1 && npte_type(e) == type && mfn_eq(npte_mfn(e), mfn))
        rc = p2m_forget(c.p, gfn, 1);
    if (!rc)
        commit(&c, p2m_make_slot(c.p, gfn, 1), 1);
    p2m_unlock(c.p);
    return rc;
}

/* Its entry goes, the frame stays the domain's. */
static void take_away(struct p2m *p, gfn_t gfn, npte_t *slot)
{
    npte_t old = *slot;

    p2m_store(slot, _npte(0));
    p2m_changed(p, gfn, old, _npte(0), 0);
}

static int move(struct chunk *c)
{
    npte_t *from = NULL, *to;
    gfn_t at;
    bool placed;

    if (c->p->d->dying || !is_own(c->p, c->mfn))
        return -EINVAL;
    placed = has_entry(c->p, c->mfn, &at, &c->type);
    if (!placed)
        c->type = P2M_RAM_RW;
    else if (at.n == c->gfn.n)
        return 0;
    /* Before a table is made, which would be left empty. */
    if ((placed && p2m_forget(c->p, at, 1)) || p2m_forget(c->p, c->gfn, 1))
        return -ERESTART;
    if (placed && (from = p2m_make_slot(c->p, at, 1)) == NULL)
        return -ENOMEM;
    to = p2m_make_slot(c->p, c->gfn, 1);
    if (!to)
        return -ENOMEM;
    if (from)
        take_away(c->p, at, from);
    commit(c, to, 1);
    if (from)
        p2m_prune(c->p, at);
    return 0;
}

int p2m_move(struct domain *d, const struct page_info *pg, gfn_t gfn)
{
    struct chunk c = {.p = d->p2m, .gfn = gfn, .mfn = page_to_mfn(pg)};
    int rc;

    if (!gfns_ok(gfn, 0))
        return -EINVAL;
    p2m_lock(c.p);
    rc = move(&c);
    p2m_unlock(c.p);
    return rc;
}
