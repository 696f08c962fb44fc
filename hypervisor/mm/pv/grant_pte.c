// SPDX-License-Identifier: BSD-2-Clause
/*
 * Grant mappings: L1 entries of the current domain that name frames of another. The references belong to the entry
 * while it stands (grant.h has the contract); this file moves them between the entry and the grant code. An entry is
 * only given back when it still is what the grant code put there, so references and entries never disagree.
 */
#include <hv/grant.h>
#include "pt.h"

struct grant_slot {
    struct page_info *table; /* with a reference if by_address */
    pte_t *pte;
    bool by_address;
};

/* pt_lock held. */
static int find_slot(struct domain *d, uint64_t addr, bool contains_pte, struct grant_slot *s)
{
    *s = (struct grant_slot){.by_address = contains_pte};
    if (!contains_pte) {
        s->table = pt_walk(current, addr);
        if (s->table)
            s->pte = pt_slot(s->table, pt_index(addr, 1));
        return s->table ? 0 : -EINVAL;
    }
    s->table = (addr & 7) ? NULL : get_page_from_mfn(maddr_to_mfn(_maddr(addr)), d);
    if (!s->table)
        return -EINVAL;
    if (!pt_is_live(s->table, 1)) {
        put_page(s->table);
        return -EINVAL;
    }
    s->pte = pt_slot(s->table, (addr & ~PAGE_MASK) / sizeof(pte_t));
    return 0;
}

static void put_slot(const struct grant_slot *s)
{
    if (s->by_address)
        put_page(s->table);
}

static bool maps(pte_t e, mfn_t frame, bool readonly)
{
    return (e.n & PTE_P) && mfn_eq(pte_mfn(e), frame) && !(e.n & PTE_RW) == readonly;
}

/* Another domain's frame that becomes writable here may be in any TLB when it changes its type. */
static void mark_foreign(const struct domain *d, pte_t e)
{
    struct page_info *pg;

    if (!(e.n & PTE_RW) || !mfn_valid(pte_mfn(e)))
        return;
    pg = mfn_to_page(pte_mfn(e));
    if (pg->owner != d)
        __atomic_fetch_or(&pg->type_info, PGT_foreign, __ATOMIC_SEQ_CST);
}

int pv_grant_map_pte(struct domain *d, uint64_t addr, bool contains_pte, pte_t entry)
{
    struct grant_slot s;
    int rc;

    spin_lock(&d->pv.pt_lock);
    rc = find_slot(d, addr, contains_pte, &s);
    if (!rc) {
        mark_foreign(d, entry);
        pt_release(d, 1, pt_commit(s.pte, _pte((entry.n | PTE_US) & ~PTE_G), 0));
        put_slot(&s);
    }
    spin_unlock(&d->pv.pt_lock);
    return rc;
}

/* Puts new in the place of an entry that maps frame; hardware may set A or D meanwhile, nobody else can change it. */
static int exchange(const struct grant_slot *s, mfn_t frame, bool readonly, pte_t new)
{
    if (!maps(pt_read(s->pte), frame, readonly))
        return -EINVAL;
    pt_commit(s->pte, new, 0);
    return 0;
}

int pv_grant_unmap_pte(struct domain *d, uint64_t addr, bool contains_pte, mfn_t frame, bool readonly,
                       pte_t replacement)
{
    struct grant_slot s;
    int rc;

    if (replacement.n & PTE_P)
        return -EINVAL;
    spin_lock(&d->pv.pt_lock);
    rc = find_slot(d, addr, contains_pte, &s);
    if (!rc) {
        rc = exchange(&s, frame, readonly, replacement);
        put_slot(&s);
    }
    spin_unlock(&d->pv.pt_lock);
    return rc;
}

int pv_grant_replace_pte(struct domain *d, uint64_t addr, mfn_t frame, bool readonly, uint64_t new_addr)
{
    struct grant_slot to, from;
    int rc;

    spin_lock(&d->pv.pt_lock);
    rc = find_slot(d, addr, false, &to);
    if (!rc)
        rc = find_slot(d, new_addr, false, &from);
    if (!rc && (to.pte == from.pte || !maps(pt_read(to.pte), frame, readonly)))
        rc = -EINVAL;
    /* The references of the entry at new_addr move along with it. */
    if (!rc)
        pt_commit(to.pte, pt_commit(from.pte, _pte(0), 0), 0);
    spin_unlock(&d->pv.pt_lock);
    return rc;
}
