// SPDX-License-Identifier: BSD-2-Clause
/*
 * ACQUIRE and COMMIT, and the whole route for one entry.
 *
 * An L1 entry of RAM owns a general reference to its frame, and a WRITABLE one iff it has RW; an entry of an upper
 * level owns a typed reference to the table it names. What to drop follows from the entry alone, whoever put it there:
 * the frame knows its owner. So a mapping made by a grant, or by the toolstack of another domain's frame, is dropped
 * like any other.
 *
 * Flushing. The guest flushes for its own purposes, as on hardware. What the hypervisor needs flushed, it flushes when
 * the released frame is to change its type or owner (frame.c).
 */
#include "pt.h"

int pt_acquire(const struct pt_plan *plan, const struct domain *pt_owner)
{
    struct page_info *pg;
    int rc;

    if (plan->kind != PLAN_FRAME)
        return 0;
    pg = get_page_from_mfn(pte_mfn(plan->entry), plan->owner);
    if (!pg)
        return -EINVAL;
    if (plan->type == PT_NONE)
        return 0;
    rc = get_page_type(pg, plan->type);
    if (rc) {
        put_page(pg);
        return rc;
    }
    if (plan->owner != pt_owner)
        __atomic_fetch_or(&pg->type_info, PGT_foreign, __ATOMIC_SEQ_CST);
    return 0;
}

void pt_release(unsigned int level, pte_t entry)
{
    struct page_info *pg;

    if (!(entry.n & PTE_P) || !mfn_valid(pte_mfn(entry)))
        return;
    pg = mfn_to_page(pte_mfn(entry));
    if (level > 1 || (entry.n & PTE_RW))
        put_page_and_type(pg);
    else
        put_page(pg);
}

pte_t pt_commit(pte_t *slot, pte_t new, uint64_t keep)
{
    uint64_t old = READ_ONCE(slot->n), n;

    do
        n = new.n | (old & keep);
    while (!__atomic_compare_exchange_n(&slot->n, &old, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return _pte(old);
}

bool pt_commit_if(pte_t *slot, pte_t old, pte_t new)
{
    return __atomic_compare_exchange_n(&slot->n, &old.n, new.n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/*
 * Would both entries own the same references to the same frame? Then nothing has to be acquired, and entries whose
 * frame the domain could not map by itself (grants, foreign frames) may still change their other bits.
 */
static bool same_references(unsigned int level, pte_t a, pte_t b)
{
    uint64_t mask = PTE_P | PTE_ADDR | (level == 1 ? PTE_RW : 0);

    return ((a.n ^ b.n) & mask) == 0;
}

int pt_update(const struct pt_request *r)
{
    unsigned int level = page_type(r->table);
    pte_t *slot = pt_slot(r->table, r->index), old = pt_read(slot);
    struct pt_plan plan;
    bool same;
    int rc;

    if (pt_is_hv_slot(level, r->index))
        return -EINVAL;
    if (r->expected && old.n != r->expected->n)
        return -EAGAIN;
    rc = pt_check(r->pt_owner, r->pg_owner, level, r->entry, &plan);
    if (rc)
        return rc;
    same = same_references(level, old, plan.entry);
    if (!same) {
        rc = pt_acquire(&plan, r->pt_owner);
        if (rc)
            return rc;
    }
    pv_changed(r->pt_owner);
    if (!r->expected)
        old = pt_commit(slot, plan.entry, r->keep);
    else if (!pt_commit_if(slot, old, plan.entry)) {
        /* Hardware set A or D meanwhile. */
        if (!same)
            pt_release(level, plan.entry);
        return -EAGAIN;
    }
    if (!same)
        pt_release(level, old);
    return 0;
}
