// SPDX-License-Identifier: BSD-2-Clause
/*
 * A P2M from its creation to its end. Teardown walks the guest frames in order, past what is not there, and needs no
 * memory: a large entry is taken out in parts without being split.
 */
#include <hv/heap.h>
#include <hv/sched.h>
#include "internal.h"

static struct p2m *new_p2m(struct domain *d)
{
    struct p2m *p = hv_new(struct p2m);

    if (!p)
        return NULL;
    spin_lock_init(&p->lock, RANK_P2M);
    list_init(&p->dead);
    p->d = d;
    return p;
}

int p2m_init(struct domain *d)
{
    struct p2m *p = new_p2m(d);

    if (!p)
        return -ENOMEM;
    p->root = p2m_new_table(p);
    if (!p->root) {
        hv_free(p);
        return -ENOMEM;
    }
    d->p2m = p;
    return 0;
}

int p2m_init_identity(struct domain *d)
{
    d->p2m = new_p2m(d);
    return d->p2m ? 0 : -ENOMEM;
}

void p2m_destroy(struct domain *d)
{
    hv_free(d->p2m);
    d->p2m = NULL;
}

/* 512 frames of an entry of 1 GiB; with the last of them the entry goes. */
static void clear_part(struct p2m *p, npte_t *slot)
{
    npte_t e = *slot;
    uint64_t part = p->torn & ((1ul << P2M_ORDER_1G) - 1);

    if (!part) {
        WRITE_ONCE(slot->n, e.n & ~PTE_P);
        p2m_changed(p, _gfn(p->torn), e, _npte(0), P2M_ORDER_1G);
        p2m_flush(p);
    }
    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        p2m_release(p, mfn_add(npte_mfn(e), part + i), npte_type(e));
    if (part + PT_ENTRIES < 1ul << P2M_ORDER_1G)
        return;
    p2m_store(slot, _npte(0));
    p2m_prune(p, _gfn(p->torn));
}

/* What begins at p->torn, up to 2 MiB of it; returns the units of work. */
static unsigned int clear_next(struct p2m *p)
{
    gfn_t gfn = _gfn(p->torn);
    unsigned int level;
    npte_t e = p2m_find(p, gfn, &level);

    if (!e.n && level > 1) {
        p->torn = (p->torn | ((1ul << level_order(level)) - 1)) + 1;
        return 1;
    }
    if (level == 3)
        clear_part(p, p2m_make_slot(p, gfn, 3));
    else
        p2m_clear(p, gfn, p2m_make_slot(p, gfn, 2), 2);
    p->torn += 1ul << P2M_ORDER_2M;
    return PT_ENTRIES;
}

int p2m_relinquish(struct domain *d)
{
    struct p2m *p = d->p2m;

    if (!p || d->identity)
        return 0;
    while (p->torn < P2M_GFNS) {
        unsigned int units;

        if (preempt_before_work(PT_ENTRIES))
            return -ERESTART;
        p2m_lock(p);
        units = clear_next(p);
        p2m_unlock(p);
        stretch_work(units);
    }
    p2m_lock(p);
    if (p->root) {
        ASSERT(!p->root->nr_validated);
        p2m_bury(p, p->root);
    }
    p->root = NULL;
    p2m_unlock(p);
    return 0;
}
