// SPDX-License-Identifier: BSD-2-Clause
/*
 * The radix table itself: finding an entry, making the tables that lead to it, splitting and joining large entries,
 * taking out tables that have become empty. What entries mean is of no interest here.
 *
 * A table's frame counts its entries in use (nr_validated); a table without any is taken out, so the tables that a
 * domain needs are bounded by what it maps. Hardware caches pointers to tables: one that was taken out is freed only
 * after a flush.
 */
#include <hv/x86.h>
#include "internal.h"

static const uint64_t type_flags[P2M_TYPES] = {
    [P2M_RAM_RW] = PTE_RW,
    [P2M_RAM_RO] = 0,
    [P2M_LOGDIRTY] = 0,
    [P2M_MMIO_DIRECT] = PTE_RW | PTE_PCD | PTE_NX, /* uncached, unless the guest's PAT makes it write-combining */
    [P2M_GRANT_RW] = PTE_RW | PTE_NX,
    [P2M_GRANT_RO] = PTE_NX,
    [P2M_FOREIGN] = PTE_RW | PTE_NX,
};

uint64_t npte_flags(enum p2m_type type, unsigned int level)
{
    return PTE_P | PTE_US | PTE_A | PTE_D | type_flags[type] | (level > 1 ? PTE_PSE : 0) |
           ((uint64_t)type << NPTE_TYPE_SHIFT);
}

npte_t npte_leaf(mfn_t m, enum p2m_type type, unsigned int level)
{
    return type == P2M_MMIO_DM ? _npte(0) : _npte((m.n << PAGE_SHIFT) | npte_flags(type, level));
}

void p2m_lock(struct p2m *p)
{
    spin_lock(&p->lock);
}

/* What runs the domain now is flushed; a CPU that leaves the domain, or enters it, flushes then. */
void p2m_flush(struct p2m *p)
{
    smp_mb(); /* the entries are stored before it is seen who may have read them */
    if (p->flush_due)
        tlb_flush_mask((cpumask_t){READ_ONCE(p->d->dirty_cpus.bits)});
    p->flush_due = false;
}

void p2m_unlock(struct p2m *p)
{
    p2m_flush(p);
    if (!list_empty(&p->dead)) {
        WRITE_ONCE(p->freed, p->freed + 1);
        smp_mb(); /* it is seen before a table's frame has other content */
    }
    while (!list_empty(&p->dead)) {
        struct page_info *table = list_first(&p->dead, struct page_info, list);

        list_del(&table->list);
        paging_pool_free(p->d, PAGING_P2M, table);
    }
    spin_unlock(&p->lock);
}

struct page_info *p2m_new_table(struct p2m *p)
{
    struct page_info *table = paging_pool_alloc(p->d, PAGING_P2M, false);

    if (table)
        table->nr_validated = 0;
    return table;
}

void p2m_bury(struct p2m *p, struct page_info *table)
{
    list_add(&table->list, &p->dead);
    p->flush_due = true;
}

static struct page_info *table_of(npte_t e)
{
    return mfn_to_page(npte_mfn(e));
}

npte_t p2m_find(const struct p2m *p, gfn_t gfn, unsigned int *level)
{
    const struct page_info *table = READ_ONCE(p->root);
    npte_t e = _npte(0);

    *level = P2M_LEVELS;
    if (!table)
        return e;
    for (;; --*level) {
        e = _npte(READ_ONCE(p2m_slot(table, gfn, *level)->n));
        if (*level == 1 || !npte_is_table(e))
            return e;
        if (!mfn_valid(npte_mfn(e))) /* without the lock it may be no table by now */
            return _npte(0);
        table = mfn_to_page(_mfn(array_index_nospec(npte_mfn(e).n, max_page)));
    }
}

void p2m_store(npte_t *slot, npte_t e)
{
    struct page_info *table = virt_to_page(slot);

    table->nr_validated = (uint16_t)(table->nr_validated + !!e.n - !!slot->n);
    smp_wmb(); /* hardware finds a table filled */
    WRITE_ONCE(slot->n, e.n);
}

/* A table under an entry that is a leaf or empty; what its gfns stand for stays. */
static bool split(struct p2m *p, npte_t *slot, unsigned int level)
{
    struct page_info *table = p2m_new_table(p);
    npte_t old = *slot;

    if (!table)
        return false;
    for (unsigned int i = 0; old.n && i < PT_ENTRIES; i++)
        p2m_table(table)[i] =
            npte_leaf(mfn_add(npte_mfn(old), (uint64_t)i << level_order(level - 1)), npte_type(old), level - 1);
    table->nr_validated = old.n ? PT_ENTRIES : 0;
    p2m_store(slot, _npte((page_to_mfn(table).n << PAGE_SHIFT) | NPTE_TABLE));
    return true;
}

npte_t *p2m_make_slot(struct p2m *p, gfn_t gfn, unsigned int level)
{
    struct page_info *table = p->root;

    for (unsigned int l = P2M_LEVELS; l > level; l--) {
        npte_t *slot = p2m_slot(table, gfn, l);

        if (!npte_is_table(*slot) && !split(p, slot, l)) {
            p2m_prune(p, gfn);
            return NULL;
        }
        table = table_of(*slot);
    }
    return p2m_slot(table, gfn, level);
}

void p2m_prune(struct p2m *p, gfn_t gfn)
{
    npte_t *slot[P2M_LEVELS + 1];
    const struct page_info *table = p->root;
    unsigned int l = P2M_LEVELS;

    for (;; l--) {
        slot[l] = p2m_slot(table, gfn, l);
        if (!npte_is_table(*slot[l]))
            break;
        table = table_of(*slot[l]);
    }
    while (++l <= P2M_LEVELS) {
        struct page_info *below = table_of(*slot[l]);

        if (below->nr_validated)
            break;
        p2m_store(slot[l], _npte(0));
        p2m_bury(p, below);
    }
}

void p2m_join(struct p2m *p, npte_t *slot, unsigned int level)
{
    struct page_info *table = table_of(*slot);
    npte_t first = *p2m_table(table);

    p2m_store(slot, npte_leaf(npte_mfn(first), npte_type(first), level));
    p2m_bury(p, table);
}
