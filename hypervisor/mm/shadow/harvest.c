// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log of stores (<hv/logdirty.h>) without faults of its own. A leaf that hardware may store through is made without
 * D, which hardware sets with its first store; before the bits are read, all leaves are looked through, and for each
 * that has D it is taken away and the frame's bit is set. A leaf that goes or changes meanwhile does so at once
 * (spte_set). TLBs know of D as well: who takes it away says that they are stale, and the flush at the end of a reading
 * is what makes hardware set it again.
 */
#include <hv/sched.h>
#include "internal.h"

#define LINE    8u         /* entries that are looked at for one unit of work */
#define MOST    (1 + LINE) /* units of such a step */
#define PRESSED (PTE_P | PTE_RW | PTE_D)

void spte_fold(struct shadow *s, spte_t was, spte_t is)
{
    if ((was.n & PRESSED) != PRESSED || (was.n & SPTE_BORROWED))
        return;
    if ((is.n & PRESSED) == PRESSED && mfn_eq(spte_mfn(was), spte_mfn(is)))
        return;                              /* it still says so */
    if (s->d->logdirty.state == LOGDIRTY_ON) /* before that the copy has not begun */
        logdirty_mark_frame(s->d, spte_mfn(was));
    has_lost(s);
}

static void take_d(struct shadow *s, struct shadow_page *sp, unsigned int index)
{
    uint64_t e = READ_ONCE(sp->entry[index].n);

    if ((e & PRESSED) != PRESSED)
        return;
    __atomic_fetch_and(&sp->entry[index].n, ~PTE_D, __ATOMIC_SEQ_CST);
    spte_fold(s, _spte(e), _spte(e & ~PTE_D));
    stretch_work(1);
}

/* Leaves of 2 MiB are read-only while the log is on. */
bool shadow_harvest(struct domain *d, uint64_t *next)
{
    struct shadow *s = d->shadow;

    while (*next / PT_ENTRIES < s->nr_ids) {
        struct shadow_page *sp = page_by_id(s, (uint32_t)(*next / PT_ENTRIES));

        if (room() < MOST)
            return false;
        stretch_work(1);
        if (*next < PT_ENTRIES || !sp->entry || sp->role.level != 1 || !sp->used) {
            *next = (*next / PT_ENTRIES + 1) * PT_ENTRIES;
            continue;
        }
        for (unsigned int i = 0; i < LINE; i++)
            take_d(s, sp, (unsigned int)(*next % PT_ENTRIES) + i);
        *next += LINE;
    }
    return true;
}
