/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to mm/p2m. */
#ifndef MM_P2M_INTERNAL_H
#define MM_P2M_INTERNAL_H

#include <hv/p2m.h>
#include <hv/paging_pool.h>

/*
 * An entry of a table. Zero: nothing there. Type 0 and not zero: a table of the next level, above level 1 only. Else a
 * leaf, whose type says what flags it has. A and D are set from the start, so that hardware never changes an entry, but
 * D of those of level 1 that are watched (harvest.c): ram_rw, and writable.
 */
BOXED(npte_t, _npte, npte_x)

#define NPTE_TYPE_SHIFT 52 /* bits that nested paging leaves to software */
#define NPTE_TYPE       (15ull << NPTE_TYPE_SHIFT)
#define NPTE_WATCHED    (1ull << 56)
#define NPTE_TABLE      (PTE_P | PTE_RW | PTE_US | PTE_A)
#define P2M_LEVELS      4u

struct p2m {
    spinlock_t lock; /* RANK_P2M; guards all of it */
    struct domain *d;
    struct page_info *root; /* NULL: teardown is through */
    struct list_head dead;  /* tables that are out of the tree, to be freed after the next flush */
    bool flush_due;         /* a CPU may know what the tables said before */
    uint64_t limit;         /* one past the highest gfn that ever had an entry */
    uint64_t changes;       /* grows with each */
    uint64_t freed;         /* grows before tables are freed: a look-up without the lock must not have met one */
    uint64_t torn;          /* teardown: gfns below have no entry any more */
};

/* ---- entries ---- */

static inline enum p2m_type npte_type(npte_t e)
{
    return (enum p2m_type)((e.n & NPTE_TYPE) >> NPTE_TYPE_SHIFT);
}

static inline bool npte_is_table(npte_t e)
{
    return e.n && !(e.n & NPTE_TYPE);
}

static inline mfn_t npte_mfn(npte_t e)
{
    return _mfn((e.n & PTE_ADDR) >> PAGE_SHIFT);
}

/* log2 of the frames that an entry of a level stands for. */
static inline unsigned int level_order(unsigned int level)
{
    return 9 * (level - 1);
}

/* The flags, and the entry for a type; P2M_MMIO_DM: the empty one. */
uint64_t npte_flags(enum p2m_type type, unsigned int level);
npte_t npte_leaf(mfn_t m, enum p2m_type type, unsigned int level);

/* ---- tree.c; p2m->lock is held ---- */

/* The number of entries in use stands in the table's frame. */
static inline npte_t *p2m_table(const struct page_info *table)
{
    return page_to_virt(table);
}

static inline npte_t *p2m_slot(const struct page_info *table, gfn_t gfn, unsigned int level)
{
    return p2m_table(table) + ((gfn.n >> level_order(level)) & (PT_ENTRIES - 1));
}

void p2m_lock(struct p2m *p);
/* Flushes if need be, frees dead tables. */
void p2m_unlock(struct p2m *p);
void p2m_flush(struct p2m *p);
/*
 * The leaf or hole that gfn lies in, and its level. gfn below P2M_GFNS. Without the lock it can be anything if p->freed
 * has changed since.
 */
npte_t p2m_find(const struct p2m *p, gfn_t gfn, unsigned int *level);
/* The entry of that level for gfn, with tables made and large entries split on the way. NULL: no memory. */
npte_t *p2m_make_slot(struct p2m *p, gfn_t gfn, unsigned int level);
/* Stores an entry and keeps the number of those in use. */
void p2m_store(npte_t *slot, npte_t e);
/* Tables without entries on the way to gfn go. */
void p2m_prune(struct p2m *p, gfn_t gfn);
/* The table that *slot, of that level, names is replaced by one entry, as its first one says. */
void p2m_join(struct p2m *p, npte_t *slot, unsigned int level);
/* A table out of the tree: freed after a flush. */
void p2m_bury(struct p2m *p, struct page_info *table);
struct page_info *p2m_new_table(struct p2m *p);

/* ---- harvest.c ---- */

/* The table of level 1 that gfn lies in: what is of type logdirty becomes ram_rw, and watched. 512 units of work. */
void p2m_watch(struct p2m *p, gfn_t gfn);

/* ---- update.c ---- */

/*
 * Hears of every change of what a gfn stands for, with the lock held: the old entry is out of reach of new walks, its
 * frame still there, and shadows have forgotten it (p2m_forget). A large entry split without a change is no change.
 */
void p2m_changed(struct p2m *p, gfn_t gfn, npte_t old, npte_t new, unsigned int order);
/* Before n entries change, with the lock held until they do: 0; -ERESTART: nothing may be changed yet, since shadows
 * have not forgotten them, or forgetting has left less than n units of this stretch. */
int p2m_forget(struct p2m *p, gfn_t gfn, unsigned long n);
/* Takes away what 2^order frames from gfn on stand for, in the entry slot of that level. */
void p2m_clear(struct p2m *p, gfn_t gfn, npte_t *slot, unsigned int level);
/* The entry's hold on its frame ends: reference, or allocation and M2P. */
void p2m_release(struct p2m *p, mfn_t m, enum p2m_type type);

#endif
