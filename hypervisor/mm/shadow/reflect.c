// SPDX-License-Identifier: BSD-2-Clause
/*
 * A fault of the guest's own goes back to it, and takes the translation of its address out of the TLB (AMD64 manual
 * volume 2, section 5.5.2). Shadows have none that differs from the guest's entry, unless that stands in a table out of
 * sync: then it is brought up to date.
 *
 * Whether that is so is seen without the lock. It is enough that the entry was up to date at some moment since the
 * fault. A table that no record names, or no more, was in sync when its record was made or given away; a record's copy
 * that has the guest's entry is what shadows are made from, unless somebody with the lock is about to make them (part).
 */
#include <hv/boot.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

bool opt_shadow_lockless = true;
CMDLINE_RUNTIME("shadow_lockless", PARAM_BOOL, opt_shadow_lockless);

static bool copy_agrees(const struct unsynced *u, mfn_t table, unsigned int n)
{
    const uint64_t *seen = READ_ONCE(u->seen);
    bool same = seen && READ_ONCE(seen[n]) == READ_ONCE(((const uint64_t *)mfn_to_virt(table))[n]);

    smp_rmb();
    return same && !READ_ONCE(u->part);
}

/* Was there a moment since the fault when the shadows of the entry were what the guest's table says? */
static bool was_in_sync(const struct shadow *s, mfn_t table, unsigned int n)
{
    for (unsigned int i = 0; i < MAX_UNSYNCED && READ_ONCE(s->nr_unsynced); i++)
        if (READ_ONCE(s->unsynced[i].table.n) == table.n)
            return copy_agrees(&s->unsynced[i], table, n) && READ_ONCE(s->unsynced[i].table.n) == table.n;
    return true;
}

static bool needs_lock(struct shadow *s, gpa_t slot, unsigned int level)
{
    enum p2m_type type;
    struct page_info *pg = p2m_get_page(s->d, _gfn(slot.n >> PAGE_SHIFT), &type);
    unsigned int n = (unsigned int)(slot.n & (PAGE_SIZE - 1)) / sizeof(*s->unsynced[0].seen);
    bool needed = false;

    if (!pg)
        return false;
    if (p2m_is_ram(type))
        needed =
            !opt_shadow_lockless || !was_in_sync(s, page_to_mfn(pg), n) || expects_stores(s, page_to_mfn(pg), level);
    put_page(pg);
    return needed;
}

/* Its answer will be a store to the entry that it was about. */
void shadow_reflect(struct shadow_vcpu *v, const struct guest_walk *w)
{
    gpa_t slot = w->slot[w->level];
    struct shadow *s = v->s;
    struct p2m_entry e;

    v->reflected = slot.n & ~7ul;
    if (has_tlb(v))
        vtlb_fault(v, w->linear);
    if (!v->paging.fmt->level[w->level].accessed || !needs_lock(s, slot, w->level))
        return;
    vcpu_lock(v, SHADOW_LOCK_REFLECT);
    e = p2m_lookup_locked(s->d, _gfn(slot.n >> PAGE_SHIFT));
    if (p2m_is_ram(e.type) && is_table(e.mfn) && /* first of all in this stretch: there is room */
        table_sync_entry(s, e.mfn, (unsigned int)slot.n & (PAGE_SIZE - 1)) && expects_stores(s, e.mfn, w->level))
        (void)table_unsync(s, e.mfn);
    shadow_unlock(s);
}
