// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log of stores (<hv/logdirty.h>) of a guest on nested paging without a fault of each page: the first store to any
 * of the 512 pages of a table makes all of them watched, that is writable, and without D, which hardware sets with the
 * first store to each. Before the bits of the log are read all watched entries are looked through: those with D lose
 * it, and the frame's bit is set. Only D of a watched entry is ever changed by hardware. One that is replaced counts as
 * stored to (p2m_changed). TLBs know of D as well; the flush that the lock's end brings makes hardware set it again.
 */
#include <hv/logdirty.h>
#include <hv/sched.h>
#include "internal.h"

#define LINE    8u         /* entries that are looked at for one unit of work */
#define MOST    (1 + LINE) /* units of such a step */
#define PRESSED (PTE_P | PTE_RW | PTE_D | NPTE_WATCHED)

void p2m_watch(struct p2m *p, gfn_t gfn)
{
    npte_t *e = p2m_make_slot(p, _gfn(gfn.n & ~(uint64_t)(PT_ENTRIES - 1)), 1);

    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        if (npte_type(e[i]) == P2M_LOGDIRTY)
            p2m_store(&e[i], _npte((npte_leaf(npte_mfn(e[i]), P2M_RAM_RW, 1).n & ~PTE_D) | NPTE_WATCHED));
    p->changes++;
    stretch_work(PT_ENTRIES);
}

static void take_d(struct domain *d, gfn_t gfn, npte_t *slot)
{
    if ((READ_ONCE(slot->n) & PRESSED) != PRESSED)
        return;
    __atomic_fetch_and(&slot->n, ~PTE_D, __ATOMIC_SEQ_CST);
    logdirty_mark(d, gfn, 0);
    d->p2m->flush_due = true;
    stretch_work(1);
}

bool p2m_harvest(struct domain *d, uint64_t *next)
{
    while (*next < d->p2m->limit) {
        unsigned int level;
        npte_t *slot;

        if (stretch_room() < MOST)
            return false;
        stretch_work(1);
        (void)p2m_find(d->p2m, _gfn(*next), &level);
        if (level > 1) {
            *next = (*next | ((1ul << level_order(level)) - 1)) + 1;
            continue;
        }
        slot = p2m_make_slot(d->p2m, _gfn(*next), 1);
        for (unsigned int i = 0; i < LINE; i++)
            take_d(d, _gfn(*next + i), slot + i);
        *next += LINE;
    }
    return true;
}
