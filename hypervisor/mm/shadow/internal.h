/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to mm/shadow. Everything here is guarded by the domain's paging lock.
 *
 * A shadow page is two frames of the pool: the table of entries, and a table of links, one for each entry. A present
 * entry is a member of one circular list: a leaf of the entries that map its frame (the reverse map, headed in the
 * frame's page_info), any other of those that name its child (headed there). So every entry that maps a frame, or
 * leads to a table, is found without a search, and leaves its list without one; nothing is allocated for that.
 *
 * An entry is named by its page's number and its index (entry_ref), so that lists fit into 32 bits a link.
 */
#ifndef MM_SHADOW_INTERNAL_H
#define MM_SHADOW_INTERNAL_H

#include <hv/frame.h>
#include <hv/paging_pool.h>
#include <hv/shadow.h>
#include <hv/stretch.h>
#include "spte.h"

/* Words of the command line (docs/boot-options.md), each defined where the mechanism is. All switch mechanisms that
 * could be left out: what a guest finds is the same. */
extern bool opt_shadow_ahead, opt_shadow_ahead_grows, opt_shadow_expect, opt_shadow_invlpg, opt_shadow_lockless,
    opt_shadow_oos, opt_shadow_reach, opt_shadow_shrink;

/* Page number << 9 | index; 0: none. */
typedef uint32_t entry_ref;

struct entry_link {
    entry_ref next, prev;
};

struct shadow_page {
    struct list_head lru; /* s->lru, most lately used first; or s->unused */
    spte_t *entry;        /* [PT_ENTRIES] */
    struct entry_link *link;
    union {
        mfn_t table; /* the guest's table; INVALID_MFN: a root of a vCPU's own */
        gfn_t base;  /* direct: what its first entry maps; of a TLB: all ones */
    };
    union shadow_role role;
    uint32_t id;
    entry_ref parents;      /* entries that name it */
    uint32_t next_of_table; /* another shadow of the same guest table; 0: none */
    uint16_t roots;         /* vCPUs that have it for a root */
    uint16_t used;          /* entries that are present */
    uint16_t stores;        /* to its table since a fault last went through it */
    bool busy;              /* on the way of the fault under way */
    bool fresh;             /* a root whose entries have not been looked at: tables_ahead */
    bool orphan;            /* the guest has taken away the last entry that named its table */
    uint8_t faults;         /* leaves that were faulted in, no more than ahead.c wants to know */
    bool open;              /* a TLB may still store to its table, whatever the entries say: table_protect */
    uint8_t unsynced;       /* its table's place in s->unsynced, plus one; 0: in sync */
};

#define PAGES_PER_BLOCK (PAGE_SIZE / sizeof(struct shadow_page))
#define SHADOW_BLOCKS   512u
#define MAX_PAGES       (SHADOW_BLOCKS * PAGES_PER_BLOCK)
static_assert(MAX_PAGES < 1u << 23, "a page's number and an index fit into entry_ref");

#define REGION_FRAMES    512u /* 2 MiB */
#define REGIONS_PER_PAGE (PAGE_SIZE / sizeof(uint16_t))
#define REGION_PAGES     256u /* 1 TiB; beyond it there are no leaves of 2 MiB */

/* Lists of entries: those that name a table, the reverse maps of 4 KiB and 2 MiB leaves, borrowed memory. */
enum ring { RING_PARENTS, RING_4K, RING_2M, RING_BORROWED, RINGS };

/* Operations whose work is counted, and how much it was. */
enum work_of { WORK_FAULT, WORK_STORE, WORK_UNSHADOW, WORK_BLOW, WORK_RECLAIM, WORK_P2M, WORK_DESTROY, WORKS };
struct work_count {
    uint64_t n[WORKS][STRETCH_SIZES];
};

/* What control tools are told; all of it changes where the lock is held anyway. */
struct shadow_count {
    uint32_t tables[GUEST_LEVELS + 1][GUEST_LEVELS + 1]; /* there are: by levels of the guest's format, and their own */
    uint32_t direct;                                     /* of these: parts of large pages or of unpaged memory */
    uint32_t longest;                                    /* most units of work with the lock held */
    uint64_t entries[RINGS], rings[RINGS];               /* there are */
    uint64_t made, freed, reclaimed, unshadowed, stores, flushes, blows;
    uint64_t unsynced, synced; /* tables that went out of sync; their entries that were found changed */
    struct work_count work;
    uint64_t apart; /* vCPUs that began to do without protection */
};

/* A guest table out of sync: unsync.c. */
struct unsynced {
    mfn_t table;            /* INVALID_MFN: none */
    uint64_t *seen;         /* what its shadows are made from: a frame of the pool */
    uint64_t synced, began; /* s->clock when the last comparison began, and the one under way */
    uint16_t next;          /* where that goes on; 0: none is under way */
    uint8_t quiet;          /* comparisons without a change */
    bool changed;           /* there was one since the last comparison began */
    bool closing;           /* it is protected already */
    bool part;              /* shadows do not have yet what seen has (others may read) */
};
#define MAX_UNSYNCED 32u

/* A store to a table that shadows follow before it is done: memory.c. */
struct coming {
    mfn_t table;
    const uint8_t *value;
    unsigned int offset, bytes; /* 0: none */
};

struct shadow {
    struct domain *d;
    struct shadow_count count;
    struct guest_cpu cpu;
    struct shadow_page *block[SHADOW_BLOCKS]; /* descriptors, in frames of the pool */
    uint16_t *region[REGION_PAGES];           /* for each 2 MiB of guest frames, how many are shadowed; likewise */
    uint32_t nr_ids;                          /* made so far; number 0 is nobody's */
    struct list_head unused;                  /* descriptors without frames */
    struct list_head lru;
    unsigned int pages;                     /* on it */
    uint32_t blow;                          /* shadow_blow: pages below this number are still to go; 0: not begun */
    bool behind;                            /* a table was stored to, and all shadows are to go for that */
    entry_ref borrowed;                     /* leaves of frames without a reverse map of their own */
    bool stale;                             /* a TLB may allow more than the entries do */
    uint64_t losses;                        /* how often that has become so (others may read) */
    bool vtlb;                              /* shadows are vCPUs' TLBs, see vtlb.c */
    struct unsynced unsynced[MAX_UNSYNCED]; /* unsync.c */
    unsigned int nr_unsynced;               /* others may read */
    unsigned int next_unsynced;             /* whose place is given away when all are taken */
    uint64_t clock;                         /* flushes of vCPUs so far */
    uint64_t partial;                       /* when the last one was that left tables out of sync as they were */
    struct coming coming;
    bool shrunk; /* a table of an upper level has lost an entry by a store: shrink.c */
};

#define MAX_SHADOWS 16u /* of one guest table */
#define STORE_BYTES 8u  /* that shadows follow at once */
#define STORE_EACH  6u  /* of that work for each of them: three entries of 4 bytes, two for each */
#define STORE_WORK  (STORE_EACH * MAX_SHADOWS)

/*
 * Units of work that this stretch has left. Whoever needs more stops, and the operation is tried again from its start,
 * in a new stretch.
 */
static inline unsigned int room(void)
{
    return stretch_room();
}

/* ---- stats.c: work of an operation, which is one stretch's at most, from a moment on ---- */

static inline uint32_t work_begun(void)
{
    return this_cpu(stretch_now).work;
}
void work_done(struct shadow *s, enum work_of what, uint32_t begun);
/* The paging lock, for a vCPU, and counted. */
void vcpu_lock(struct shadow_vcpu *v, enum shadow_lock what);

static inline struct shadow_page *page_by_id(const struct shadow *s, uint32_t id)
{
    return &s->block[id / PAGES_PER_BLOCK][id % PAGES_PER_BLOCK];
}

static inline struct shadow_page *ref_page(const struct shadow *s, entry_ref r)
{
    return page_by_id(s, r / PT_ENTRIES);
}

static inline entry_ref ref_of(const struct shadow_page *sp, unsigned int index)
{
    return sp->id * PT_ENTRIES + index;
}

static inline mfn_t page_mfn(const struct shadow_page *sp)
{
    return virt_to_mfn(sp->entry);
}

/* Is it made from a table of the guest's? */
static inline bool has_table(const struct shadow_page *sp)
{
    return !sp->role.direct && !mfn_eq(sp->table, INVALID_MFN);
}

/* For a control tool: the lock, with pt_lock of a PV domain, and 0; else it is not held: -EOPNOTSUPP, there are no
 * shadows; -EBUSY, d is dying. */
int shadow_lock(struct domain *d);
/* The lock is given back; the work that was done with it is noted. */
void shadow_unlock(struct shadow *s);

/* Are the vCPU's shadows a TLB of its own, which no table is protected for (vtlb.c)? Is a page a part of one? */
static inline bool has_tlb(const struct shadow_vcpu *v)
{
    return v->s->vtlb || v->apart;
}

static inline bool is_tlb(const struct shadow_page *sp)
{
    return sp->role.direct && sp->base.n == ~0ull;
}

/* ---- links.c: circular lists of entries ---- */
void links_add_first(const struct shadow *s, entry_ref *head, entry_ref r);
void links_add_last(const struct shadow *s, entry_ref *head, entry_ref r);
void links_del(const struct shadow *s, entry_ref *head, entry_ref r);

/* ---- pages.c ---- */

/* The shadow of a guest table in a role; NULL: there is none. */
struct shadow_page *page_find(const struct shadow *s, mfn_t table, union shadow_role role);
/*
 * A new one without entries: 0; -ERESTART: the pool is empty and something is on its way back to it; -ENOMEM: nothing
 * in it can be spared. With a table it is found from now on, and the frame is a table: see table_protect.
 */
int page_make(struct shadow *s, union shadow_role role, struct shadow_page **out);
int page_make_for(struct shadow *s, union shadow_role role, mfn_t table, struct shadow_page **out);
/* A bounded part of taking it away; true: it is gone. Not for a root. */
bool page_free(struct shadow *s, struct shadow_page *sp);
/* The two halves, for many pages with one flush in between: nothing leads to it any more; its frames go to the pool. */
bool page_detach(struct shadow *s, struct shadow_page *sp);
void page_return(struct shadow *s, struct shadow_page *sp);
/* Entries go, as many as there is room for in this stretch; true: all have gone. */
bool page_clear(struct shadow *s, struct shadow_page *sp);
/*
 * Nothing names its table any more, by a store of the guest's: it stands at the end of the list. pages_retire, in the
 * same stretch as far as there is room, makes such pages idle: their frames are no tables, and serve the next that is
 * made.
 */
void page_orphan(struct shadow *s, struct shadow_page *sp);
void pages_retire(struct shadow *s);
static inline struct shadow_page *page_of_frame(const struct shadow *s, mfn_t m)
{
    return page_by_id(s, mfn_to_page(m)->shadow.tables);
}

/* It is no shadow of its table any more. */
void page_forget(struct shadow *s, struct shadow_page *sp);

/* Entries, as they have been stored, allow less than a TLB may have of them. */
static inline void has_lost(struct shadow *s)
{
    s->stale = true;
    WRITE_ONCE(s->losses, s->losses + 1); /* after the store: who reads this count finds the entry as it is now */
}

/* ---- install.c: the only writer of entries ---- */

void spte_set(struct shadow *s, struct shadow_page *sp, unsigned int index, spte_t new);
/* Entries of the list go, as many as there is room for; true: it is empty. */
bool sptes_drop(struct shadow *s, entry_ref *head);
/* Writable leaves of the list become read-only, likewise; true: none is left. */
bool sptes_protect(struct shadow *s, entry_ref *head);
/* The frame is no table any more: of its first leaves those that only this made read-only are writable again. */
void sptes_release(struct shadow *s, entry_ref *head);

/* ---- harvest.c ---- */

/* An entry has become another one: if it alone said that its frame was stored to, the log says so now. */
void spte_fold(struct shadow *s, spte_t was, spte_t is);

/* ---- protect.c ---- */

/* Does the frame hold a guest table that is shadowed? */
static inline bool is_table(mfn_t m)
{
    return mfn_valid(m) && mfn_to_page(m)->shadow.tables;
}
/* One that is out of sync? */
static inline bool is_unsynced(const struct shadow *s, mfn_t m)
{
    return is_table(m) && page_of_frame(s, m)->unsynced;
}
/* One that nobody may store to? */
static inline bool is_protected(const struct shadow *s, mfn_t m)
{
    unsigned int n = is_table(m) ? page_of_frame(s, m)->unsynced : 0;

    return is_table(m) && (!n || s->unsynced[n - 1].closing);
}
/* Must stores to RAM be noticed? */
static inline bool is_watched(const struct shadow *s, gfn_t gfn, const struct p2m_entry *e)
{
    return p2m_is_ram(e->type) && (is_protected(s, e->mfn) || logdirty_is_clean(s->d, gfn));
}
/* The number of shadowed tables in the 2 MiB of guest frames around gfn; NULL: not counted there. */
uint16_t *region_tables(const struct shadow *s, gfn_t gfn);
/* Sees to it that nobody can store to a frame that is a table. False: not done yet, try again. */
bool table_protect(struct shadow *s, mfn_t table);
/* From now on, or until now, a TLB may store to it. */
void table_open(struct shadow *s, mfn_t table, bool open);
/* Its shadows go, but for roots, which lose their entries. False: not done yet, try again. */
bool table_unshadow(struct shadow *s, mfn_t table);
/* It is no table any more; roots are empty, and their vCPUs take others. False: not done yet, try again. */
bool table_end(struct shadow *s, mfn_t table);

/* ---- root.c ---- */

/* A slice of throwing all shadows away: 0, -ERESTART. */
int shadows_blow(struct shadow *s);
/* Makes the root unless there is one that holds. 0, -ERESTART, -ENOMEM. */
int shadow_take_root(struct shadow_vcpu *v);

/* ---- pv.c ---- */

/* The vCPUs of a PV domain, none of which runs on them any more, have no roots. */
void pv_drop_roots(struct shadow *s);

/* ---- update.c ---- */

/* The settings under which tables of a role were made. */
void role_paging(const struct shadow *s, union shadow_role role, struct guest_paging *g);
/* The guest's entry at an offset of a shadow's table, as its shadows are to have it. */
gpte_t table_entry(const struct shadow *s, const struct shadow_page *sp, unsigned int offset);
/* May hardware go by the guest's entry: is it present and accessed, without a reserved bit? page: it maps one. */
bool entry_usable(const struct guest_paging *g, unsigned int level, gpte_t e, bool page);
/* An entry is made anew from the guest's: a leaf; what names a table stays if it still names the same. */
void entry_update(struct shadow *s, struct shadow_page *sp, const struct guest_paging *g, unsigned int index, gpte_t e);
/* Shadows of the entries in these bytes are made anew. */
void table_follow(struct shadow *s, mfn_t table, unsigned int offset, unsigned int bytes);
/* The guest table in a frame is about to be stored to: more than STORE_BYTES; at most so many, which s->coming says, or
 * have been already. */
void table_overwritten(struct shadow *s, mfn_t table);
void table_written(struct shadow *s, mfn_t table, unsigned int offset, unsigned int bytes);

/* ---- ahead.c ---- */

/* A leaf of a guest's entry was made: so are its neighbours that the guest has accessed, which cost it no fault then.
 */
void table_ahead(struct shadow *s, struct shadow_page *sp, unsigned int index);
/* A top table of 4 levels has a new shadow, and is protected: entries lead to what shadows there are. An address space
 * that is new has its kernel in common with others, which costs no faults then. As much as there is room for. */
void tables_ahead(struct shadow *s, struct shadow_page *top);

/* ---- reflect.c ---- */

/* A walk has ended with a fault of the guest's own. */
void shadow_reflect(struct shadow_vcpu *v, const struct guest_walk *w);

/* ---- expect.c ---- */

/* Is a table to go out of sync, because of a fault that was about an entry of such a level? Without the lock it may be
 * wrong. */
bool expects_stores(const struct shadow *s, mfn_t table, unsigned int level);

/* ---- shrink.c ---- */

/* A table was stored to: what leads nowhere any more is no table. As much as there is room for. */
void table_shrunk(struct shadow *s, mfn_t table);

/* ---- reach.c ---- */

/* One entry names it, no more. */
bool page_has_one_parent(const struct shadow *s, const struct shadow_page *sp);
/* Is a table out of sync one that the vCPU may translate by? */
bool table_in_reach(const struct shadow_vcpu *v, mfn_t table);

/* ---- vtlb.c ---- */

/* The guest has a fault of its own at an address. */
void vtlb_fault(struct shadow_vcpu *v, uint64_t linear);
/* ---- unsync.c ---- */

/* The guest may store to the table from now on. False: not this one, or not now. */
bool table_unsync(struct shadow *s, mfn_t table);
/* It is in sync, or no table any more. False: not done yet, try again. */
bool table_close(struct shadow *s, mfn_t table);
/* It was stored to, by emulation; or may have been by the guest until it was protected. */
void table_stored(struct shadow *s, mfn_t table);
/* The entry at an offset is up to date. False: there is no room for that in this stretch. */
bool table_sync_entry(struct shadow *s, mfn_t table, unsigned int offset);
/* The vCPU has flushed its TLB: so are all, and v->flush is what the caller sets to 0 then. -ERESTART: not yet. */
int unsync_flush(struct shadow_vcpu *v);
/* The table of that number is compared now, as for a flush. False: not to its end. */
bool unsync_compare(struct shadow *s, unsigned int n);
/* All tables have been compared since the last flush that left some as they were. False: not yet, try again. */
bool unsync_caught_up(struct shadow *s);
/* The last shadow of a table has gone. */
void table_gone(struct shadow *s, struct shadow_page *sp);

/* ---- memory.c ---- */

/* Guest tables as the walk needs them, without the lock: only in memory of the domain's own. */
struct guest_mem shadow_mem(struct domain *d);

#endif
