// SPDX-License-Identifier: BSD-2-Clause
/*
 * Audit of a P2M: visits every entry once, in the order of guest frames, and checks the invariants M3 to M8 of
 * docs/invariants.md. It shares no code with the changes but the meaning of an entry. Between slices the domain may
 * run; when its P2M was changed meanwhile there is no result.
 *
 * The number of entries that a table says it has is compared when the last of its 512 has been visited.
 */
#include <hv/sched.h>
#include "internal.h"

#define SLICE 512u

void audit_note(struct audit_log *log, const struct domain *d, const struct audit_found *f)
{
    printk(XLOG_ERR "audit of d%u: %s: %s: gfn %lx index %u entry %lx\n", d->id, f->rule, f->what, f->gfn, f->index,
           f->entry);
    log->count++;
    if (log->nr < ARRAY_SIZE(log->found))
        log->found[log->nr++] = *f;
}

static void broken(struct p2m_audit *a, const struct p2m *p, const char *rule, const char *what, npte_t e)
{
    audit_note(&a->broken, p->d, &(struct audit_found){.rule = rule, .what = what, .gfn = a->next, .entry = e.n});
}

static void check_own(struct p2m_audit *a, const struct p2m *p, npte_t e, mfn_t m, uint64_t gfn)
{
    const struct page_info *pg = mfn_valid(m) ? mfn_to_page(m) : NULL;

    if (!pg || READ_ONCE(pg->owner) != p->d || !(READ_ONCE(pg->count_info) & PGC_allocated))
        broken(a, p, "M5", "memory that is not the domain's", e);
    else if (get_gpfn_from_mfn(m) != gfn)
        broken(a, p, "M5", "the M2P says otherwise", e);
}

static void check_borrowed(struct p2m_audit *a, const struct p2m *p, npte_t e)
{
    const struct page_info *pg = mfn_valid(npte_mfn(e)) ? mfn_to_page(npte_mfn(e)) : NULL;

    if (!pg || !READ_ONCE(pg->owner) || !(READ_ONCE(pg->count_info) & PGC_count_mask))
        broken(a, p, "M6", "borrowed memory without a reference", e);
    else if (npte_type(e) != P2M_GRANT_RO &&
             (page_type(pg) != PT_WRITABLE || !(READ_ONCE(pg->type_info) & PGT_count_mask)))
        broken(a, p, "M6", "borrowed memory without the type WRITABLE", e);
}

/* What a leaf says of n frames from a->next on. */
static void check_frames(struct p2m_audit *a, const struct p2m *p, npte_t e, unsigned int level, uint64_t n)
{
    uint64_t off = a->next & ((1ul << level_order(level)) - 1);
    mfn_t m = mfn_add(npte_mfn(e), off);

    if (p2m_is_borrowed(npte_type(e)))
        check_borrowed(a, p, e);
    for (uint64_t i = 0; i < n && !p2m_is_borrowed(npte_type(e)); i++)
        if (p2m_is_ram(npte_type(e)))
            check_own(a, p, e, mfn_add(m, i), a->next + i);
        else if (mfn_valid(mfn_add(m, i)))
            broken(a, p, "M7", "RAM as device memory", e);
    if (a->next + n > p->limit)
        broken(a, p, "M8", "beyond the highest gfn", e);
}

static bool leaf_ok(npte_t e, unsigned int level)
{
    if (!npte_type(e) || npte_type(e) >= P2M_TYPES || level > 3 || (level > 1 && p2m_is_borrowed(npte_type(e))))
        return false;
    if (e.n & NPTE_WATCHED)
        return level == 1 && (e.n & ~(PTE_ADDR | PTE_D | NPTE_WATCHED)) == (npte_flags(P2M_RAM_RW, 1) & ~PTE_D);
    return (e.n & ~PTE_ADDR) == npte_flags(npte_type(e), level) && !(npte_mfn(e).n & ((1ul << level_order(level)) - 1));
}

static bool table_ok(npte_t e)
{
    return (e.n & ~PTE_ADDR) == NPTE_TABLE && mfn_valid(npte_mfn(e));
}

/* Tables of which the last entry lies before gfn a->next, from the lowest up. */
static void close_tables(struct p2m_audit *a, const struct p2m *p, const struct page_info **table, unsigned int level)
{
    for (; level <= P2M_LEVELS && !(a->next & ((1ul << level_order(level + 1)) - 1)); level++) {
        if (table[level]->nr_validated != a->seen[level] || (!a->seen[level] && level < P2M_LEVELS))
            broken(a, p, "M4", "a table's number of entries", _npte(a->seen[level]));
        a->seen[level] = 0;
    }
}

/* The entry that a->next lies in, or as many of its frames; returns the units of work. */
static unsigned int visit(struct p2m_audit *a, const struct p2m *p, uint64_t frames)
{
    const struct page_info *table[P2M_LEVELS + 1] = {[P2M_LEVELS] = p->root};
    unsigned int level = P2M_LEVELS;
    uint64_t n;
    npte_t e;

    for (;; level--) {
        bool first = !(a->next & ((1ul << level_order(level)) - 1));

        e = *p2m_slot(table[level], _gfn(a->next), level);
        a->seen[level] += first && e.n;
        if (!npte_is_table(e) || level == 1 || !table_ok(e))
            break;
        a->tables += first;
        table[level - 1] = mfn_to_page(npte_mfn(e));
    }
    n = (1ul << level_order(level)) - (a->next & ((1ul << level_order(level)) - 1));
    if (e.n && !leaf_ok(e, level))
        broken(a, p, "M3", "not an entry", e);
    else if (e.n)
        check_frames(a, p, e, level, n = MIN(n, frames));
    a->next += n;
    close_tables(a, p, table, level);
    return e.n ? (unsigned int)n : 1;
}

static int locked(struct p2m_audit *a, const struct p2m *p)
{
    if (!p->root || p->d->dying)
        return -EINVAL;
    if (!a->next)
        *a = (struct p2m_audit){.changes = p->changes};
    if (a->changes != p->changes)
        return -EAGAIN;
    for (unsigned int units = 0; a->next < P2M_GFNS; units += visit(a, p, SLICE - units))
        if (units >= SLICE)
            return -ERESTART;
    if (a->tables + 1 != p->d->paging_pool->used[PAGING_P2M] || !list_empty(&p->dead) || p->flush_due)
        broken(a, p, "M4", "tables that are not in the tree", _npte(a->tables));
    return 0;
}

int p2m_audit(struct domain *d, struct p2m_audit *a)
{
    int rc;

    do {
        if (preempt_before_work(SLICE))
            return -ERESTART;
        p2m_lock(d->p2m);
        rc = locked(a, d->p2m);
        p2m_unlock(d->p2m);
        stretch_work(SLICE);
    } while (rc == -ERESTART);
    return rc;
}
