// SPDX-License-Identifier: BSD-2-Clause
/*
 * The only place where a shadow entry is stored: the entry, the list that it belongs to, and what TLBs may now wrongly
 * allow change together. In a reverse map writable leaves stand before all others, so that to protect a frame only
 * those are looked at.
 */
#include <hv/sched.h>
#include "internal.h"

static entry_ref *head_of(struct shadow *s, unsigned int level, spte_t e)
{
    mfn_t m = spte_mfn(e);

    if (!spte_is_leaf(e, level))
        return &page_of_frame(s, m)->parents;
    if (e.n & SPTE_BORROWED)
        return &s->borrowed;
    return level == 1 ? &mfn_to_page(m)->shadow.rmap : &mfn_to_page(m)->shadow.rmap_2m;
}

static void unlink_entry(struct shadow *s, struct shadow_page *sp, unsigned int index)
{
    spte_t e = sp->entry[index];
    struct shadow_page *child;

    links_del(s, head_of(s, sp->role.level, e), ref_of(sp, index));
    sp->used--;
    if (spte_is_leaf(e, sp->role.level))
        return;
    child = page_of_frame(s, spte_mfn(e));
    if (child->role.direct && !child->parents) { /* nobody finds it again: it is the first to be reused */
        list_del(&child->lru);
        list_add_tail(&child->lru, &s->lru);
    }
}

static void link_entry(struct shadow *s, struct shadow_page *sp, unsigned int index, spte_t e)
{
    bool first = spte_is_leaf(e, sp->role.level) && (e.n & PTE_RW);

    (first ? links_add_first : links_add_last)(s, head_of(s, sp->role.level, e), ref_of(sp, index));
    sp->used++;
}

/* Does new allow all that old did, and lead to the same place? */
static bool only_grows(spte_t old, spte_t new)
{
    return ((old.n ^ new.n) & (PTE_ADDR | PTE_PSE)) == 0 && !(old.n & ~new.n &(PTE_P | PTE_RW | PTE_US)) &&
           !(new.n & ~old.n &PTE_NX);
}

void spte_set(struct shadow *s, struct shadow_page *sp, unsigned int index, spte_t new)
{
    spte_t old = sp->entry[index];

    if (old.n == new.n)
        return;
    if (spte_present(old)) {
        unlink_entry(s, sp, index);
        s->stale |= !only_grows(old, new);
    }
    if (spte_present(new))
        link_entry(s, sp, index, new);
    WRITE_ONCE(sp->entry[index].n, new.n);
}

bool sptes_drop(struct shadow *s, entry_ref *head)
{
    unsigned int n = 0, most = room();

    for (; *head && n < most; n++)
        spte_set(s, ref_page(s, *head), *head % PT_ENTRIES, _spte(0));
    stretch_work(n);
    return !*head;
}

static bool first_is_writable(const struct shadow *s, entry_ref head)
{
    return head && (ref_page(s, head)->entry[head % PT_ENTRIES].n & PTE_RW);
}

bool sptes_protect(struct shadow *s, entry_ref *head)
{
    unsigned int n = 0, most = room();

    for (; first_is_writable(s, *head) && n < most; n++) {
        struct shadow_page *sp = ref_page(s, *head);
        unsigned int index = *head % PT_ENTRIES;

        spte_set(s, sp, index, _spte(sp->entry[index].n & ~PTE_RW));
    }
    stretch_work(n);
    return !first_is_writable(s, *head);
}
