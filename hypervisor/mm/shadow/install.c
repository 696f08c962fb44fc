// SPDX-License-Identifier: BSD-2-Clause
/*
 * The only place where a shadow entry is stored: the entry, the list that it belongs to, and what TLBs may now wrongly
 * allow change together. In a reverse map writable leaves stand before all others, so that to protect a frame only
 * those are looked at.
 */
#include <hv/sched.h>
#include "internal.h"

#define RELEASED 4u /* leaves of a frame, at most: the guest's own mapping of its memory, and an alias */

static enum ring ring_of(unsigned int level, spte_t e)
{
    if (!spte_is_leaf(e, level))
        return RING_PARENTS;
    return e.n & SPTE_BORROWED ? RING_BORROWED : level == 1 ? RING_4K : RING_2M;
}

static entry_ref *head_of(struct shadow *s, enum ring ring, spte_t e)
{
    mfn_t m = spte_mfn(e);

    switch (ring) {
    case RING_PARENTS:
        return &page_of_frame(s, m)->parents;
    case RING_4K:
        return &mfn_to_page(m)->shadow.rmap;
    case RING_2M:
        return &mfn_to_page(m)->shadow.rmap_2m;
    default:
        return &s->borrowed;
    }
}

static void unlink_entry(struct shadow *s, struct shadow_page *sp, unsigned int index)
{
    spte_t e = sp->entry[index];
    enum ring ring = ring_of(sp->role.level, e);
    entry_ref *head = head_of(s, ring, e);
    struct shadow_page *child;

    links_del(s, head, ref_of(sp, index));
    sp->used--;
    s->count.entries[ring]--;
    s->count.rings[ring] -= !*head;
    if (ring != RING_PARENTS)
        return;
    child = page_of_frame(s, spte_mfn(e));
    if (child->role.direct && !child->parents) { /* nobody finds it again: it is the first to be reused */
        list_del(&child->lru);
        list_add_tail(&child->lru, &s->lru);
    }
}

static void link_entry(struct shadow *s, struct shadow_page *sp, unsigned int index, spte_t e)
{
    enum ring ring = ring_of(sp->role.level, e);
    entry_ref *head = head_of(s, ring, e);
    bool first = ring != RING_PARENTS && (e.n & PTE_RW);

    s->count.entries[ring]++;
    s->count.rings[ring] += !*head;
    (first ? links_add_first : links_add_last)(s, head, ref_of(sp, index));
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
    if (spte_present(old))
        unlink_entry(s, sp, index);
    if (spte_present(new))
        link_entry(s, sp, index, new);
    if (s->d->logdirty.harvest) /* hardware may be setting D */
        spte_fold(s, _spte(__atomic_exchange_n(&sp->entry[index].n, new.n, __ATOMIC_SEQ_CST)), new);
    else
        WRITE_ONCE(sp->entry[index].n, new.n);
    if (spte_present(old) && !only_grows(old, new))
        has_lost(s);
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

        spte_set(s, sp, index, _spte(sp->entry[index].n ^ (PTE_RW | SPTE_HELD)));
    }
    stretch_work(n);
    return !first_is_writable(s, *head);
}

void sptes_release(struct shadow *s, entry_ref *head)
{
    entry_ref r = *head, next;

    for (unsigned int n = 0; r && n < RELEASED && room(); n++, r = next) {
        struct shadow_page *sp = ref_page(s, r);
        spte_t e = sp->entry[r % PT_ENTRIES];

        next = sp->link[r % PT_ENTRIES].next;
        if (e.n & SPTE_HELD)
            spte_set(s, sp, r % PT_ENTRIES, _spte(e.n ^ (PTE_RW | SPTE_HELD)));
        stretch_work(1);
    }
}
