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
#include <hv/p2m.h>
#include <hv/shadow.h>
#include "pt.h"

/* The ABI's errors: EBUSY for the frame of an L1 entry, EINVAL for a table. */
int pt_acquire(const struct pt_plan *plan, const struct domain *pt_owner)
{
    bool leaf = plan->type == PT_NONE || plan->type == PT_WRITABLE;
    struct page_info *pg;
    int rc;

    if (plan->kind != PLAN_FRAME)
        return 0;
    pg = get_page_from_mfn(pte_mfn(plan->entry), plan->owner);
    if (!pg)
        return leaf ? -EBUSY : -EINVAL;
    if (plan->type == PT_NONE)
        return 0;
    rc = leaf && plan->owner == pt_owner ? get_own_writable(pg) : get_page_type(pg, plan->type);
    if (rc) {
        put_page(pg);
        return leaf ? -EBUSY : rc;
    }
    if (plan->owner != pt_owner)
        __atomic_fetch_or(&pg->type_info, PGT_foreign, __ATOMIC_SEQ_CST);
    return 0;
}

void pt_release(const struct domain *pt_owner, unsigned int level, pte_t entry)
{
    struct page_info *pg;

    if (!(entry.n & PTE_P) || !mfn_valid(pte_mfn(entry)))
        return;
    pg = mfn_to_page(pte_mfn(entry));
    if (level == 1 && (entry.n & PTE_RW) && pg->owner == pt_owner)
        put_own_writable(pg);
    else if (level > 1 || (entry.n & PTE_RW))
        put_page_type(pg);
    put_page(pg);
}

/* Shadows follow before anything that the old entry held is let go. */
static void stored(pte_t *slot)
{
    struct page_info *table = virt_to_page(slot);

    logdirty_mark_frame(table->owner, page_to_mfn(table));
    if (unlikely(table->owner->shadow))
        shadow_pv_stored(table->owner, slot);
}

pte_t pt_commit(pte_t *slot, pte_t new, uint64_t keep)
{
    uint64_t old = READ_ONCE(slot->n), n;

    do
        n = new.n | (old & keep);
    while (!__atomic_compare_exchange_n(&slot->n, &old, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    stored(slot);
    return _pte(old);
}

bool pt_commit_if(pte_t *slot, pte_t old, pte_t new)
{
    bool done = __atomic_compare_exchange_n(&slot->n, &old.n, new.n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

    if (done)
        stored(slot);
    return done;
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

static int update(const struct pt_request *r)
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
            pt_release(r->pt_owner, level, plan.entry);
        return -EAGAIN;
    }
    if (!same)
        pt_release(r->pt_owner, level, old);
    return 0;
}

/*
 * A translated domain's frames are named as it names them. The one that is meant is held until the entry has its own
 * reference; that it is that domain's own, and not borrowed, is seen to like for any other entry.
 */
int pt_update(const struct pt_request *r)
{
    struct pt_request named = *r;
    enum p2m_type type;
    struct page_info *pg;
    int rc;

    if (!(r->entry.n & PTE_P) || !paging_mode_translate(r->pg_owner) || r->by_mfn || page_type(r->table) != PT_L1)
        return update(r);
    pg = p2m_get_page(r->pg_owner, _gfn(pte_mfn(r->entry).n), &type);
    if (!pg)
        return -EINVAL;
    named.entry = pte_make(page_to_mfn(pg), r->entry.n & ~PTE_ADDR);
    rc = update(&named);
    put_page(pg);
    return rc;
}
