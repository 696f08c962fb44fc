// SPDX-License-Identifier: BSD-2-Clause
/*
 * Changing the type of memory, ram_rw to logdirty and back above all. Entries are changed where they stand; a large one
 * is split only when a part of it is wanted, and a table whose 512 entries have become alike is joined again on the
 * way, because they are looked at anyway. Nothing is released: the frames stay.
 */
#include <hv/sched.h>
#include "internal.h"

static void retype(struct p2m *p, gfn_t gfn, npte_t *slot, enum p2m_type to, unsigned int level)
{
    npte_t old = *slot, new = npte_leaf(npte_mfn(old), to, level);

    p2m_store(slot, new);
    p2m_changed(p, gfn, old, new, level_order(level));
}

/* The first guest frame of what an entry of a level stands for. */
static gfn_t first_of(gfn_t gfn, unsigned int level)
{
    return _gfn(gfn.n & ~((1ul << level_order(level)) - 1));
}

void p2m_stop_stores(struct domain *d, gfn_t gfn)
{
    unsigned int level;

    npte_t e = p2m_find(d->p2m, gfn, &level);

    if (npte_type(e) == P2M_RAM_RW && !(e.n & NPTE_WATCHED))
        retype(d->p2m, first_of(gfn, level), p2m_make_slot(d->p2m, gfn, level), P2M_LOGDIRTY, level);
}

/* The first store to an entry: it, or all of its table, is writable from now on. */
static void let_store(struct domain *d, gfn_t gfn, unsigned int level)
{
    struct p2m *p = d->p2m;

    if (level == 1 && d->logdirty.harvest) {
        p2m_watch(p, gfn);
        return;
    }
    logdirty_fault(d, gfn, level_order(level));
    retype(p, first_of(gfn, level), p2m_make_slot(p, gfn, level), P2M_RAM_RW, level);
}

/* A large entry is split for it; without memory for that all of it counts as stored to. */
void p2m_stored(struct domain *d, gfn_t gfn)
{
    struct p2m *p = d->p2m;
    unsigned int level;

    p2m_lock(p);
    if (npte_type(p2m_find(p, gfn, &level)) == P2M_LOGDIRTY) {
        if (level > 1 && d->logdirty.state >= LOGDIRTY_STARTING) {
            (void)p2m_make_slot(p, gfn, 1);
            (void)p2m_find(p, gfn, &level);
        }
        let_store(d, gfn, level);
    }
    p2m_unlock(p);
}

/* Is an entry of level 1 one that is to be changed? Those that are watched are what hardware has made of logdirty. */
static bool is_from(const struct p2m_retype *r, npte_t e)
{
    return npte_type(e) == r->from || (r->from == P2M_LOGDIRTY && (e.n & NPTE_WATCHED));
}

/* Entries first to first + n of a table of level 1 that starts at gfn; joined when all of them are alike now. */
static void retype_run(struct p2m *p, gfn_t gfn, unsigned int first, unsigned int n, const struct p2m_retype *r)
{
    npte_t *e = p2m_make_slot(p, gfn, 1);
    bool alike = n == PT_ENTRIES && !(npte_mfn(e[0]).n & (PT_ENTRIES - 1));

    for (unsigned int i = first; i < first + n; i++) {
        if (is_from(r, e[i]))
            retype(p, _gfn(gfn.n + i), &e[i], r->to, 1);
        alike = alike && e[i].n == e[0].n + ((uint64_t)i << PAGE_SHIFT) && !(e[i].n & NPTE_WATCHED);
    }
    if (alike && p2m_is_ram(npte_type(e[0])))
        p2m_join(p, p2m_make_slot(p, gfn, 2), 2);
}

/* From gfn on in a table of level 1: n entries at most. Returns the units of work, or -ERESTART. */
static int step_run(struct p2m *p, gfn_t gfn, uint64_t n, struct p2m_retype *r)
{
    unsigned int off = gfn.n & (PT_ENTRIES - 1);
    int rc;

    n = MIN(n, PT_ENTRIES - off);
    rc = p2m_forget(p, gfn, n);
    if (rc)
        return rc;
    retype_run(p, _gfn(gfn.n - off), off, (unsigned int)n, r);
    r->done += n;
    return (int)n;
}

/* Advances r->done; returns the units of work, -ENOMEM or -ERESTART. */
static int step(struct p2m *p, struct p2m_retype *r)
{
    gfn_t gfn = _gfn(r->gfn.n + r->done);
    unsigned int level;
    npte_t e = p2m_find(p, gfn, &level);
    uint64_t span = 1ul << level_order(level), n = MIN(span - (gfn.n & (span - 1)), r->n - r->done);
    int rc;

    if (level == 1)
        return step_run(p, gfn, r->n - r->done, r);
    if (npte_type(e) == r->from) {
        if (n < span || (p->d->shadow && !p->d->hap && level > 2)) /* the next step is about its part */
            return p2m_make_slot(p, gfn, level - 1) ? (int)STRETCH_FRAME : -ENOMEM;
        rc = p2m_forget(p, gfn, n);
        if (rc)
            return rc;
        retype(p, gfn, p2m_make_slot(p, gfn, level), r->to, level);
    }
    r->done += n;
    return 1;
}

int p2m_change_type(struct domain *d, struct p2m_retype *r)
{
    if (r->gfn.n >= P2M_GFNS || r->n > P2M_GFNS - r->gfn.n || r->from == r->to)
        return -EINVAL;
    if (!p2m_is_ram(r->from) || !p2m_is_ram(r->to))
        return -EINVAL;
    while (r->done < r->n) {
        int rc;

        if (preempt_before_work(PT_ENTRIES))
            return -ERESTART;
        p2m_lock(d->p2m);
        rc = d->dying ? -EINVAL : step(d->p2m, r);
        p2m_unlock(d->p2m);
        if (rc < 0)
            return rc;
        stretch_work((unsigned int)rc);
    }
    return 0;
}
