/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The P2M of translated domains (PVH, HVM): what machine frame, of what type, a guest frame number stands for. A radix
 * table in the format that AMD64 nested paging walks; shadow paging reads it by the look-ups below. PV domains have
 * none, their guest frame numbers are machine frame numbers; while they run on shadows, a look-up says just that.
 *
 * References. An entry of the domain's own memory (ram_rw, ram_ro, logdirty) holds none: the frame is there because it
 * is allocated to the domain, and its allocation ends in one step with its entry, under the P2M's lock. It has one
 * entry, and the M2P says which. Replacing or removing such an entry gives the frame up, but for frames that the
 * hypervisor shares with the domain (PGC_hv_page). An entry of another domain's memory holds a general reference and,
 * unless it is read-only, one of type WRITABLE: the caller's, when the entry is set. Device memory has none.
 *
 * A change is complete when the function returns: no CPU reaches a frame by what the table said before, and that is so
 * before a reference is dropped.
 *
 * Sizes: entries of 4 KiB, 2 MiB and 1 GiB. Tables come from the domain's paging pool; with that empty, calls that need
 * a table say -ENOMEM and have changed nothing but what they report as done.
 */
#ifndef HV_P2M_H
#define HV_P2M_H

#include <hv/domain.h>

#define P2M_GFN_BITS  36 /* four levels */
#define P2M_GFNS      (1ul << P2M_GFN_BITS)
#define P2M_ORDER_2M  9u
#define P2M_ORDER_1G  18u
#define P2M_MAX_ORDER P2M_ORDER_1G

enum p2m_type {
    P2M_MMIO_DM, /* nothing is there; accesses are for a device model */
    P2M_RAM_RW,
    P2M_RAM_RO,
    P2M_LOGDIRTY, /* memory that is read-only until a write has been noted */
    P2M_MMIO_DIRECT,
    P2M_GRANT_RW,
    P2M_GRANT_RO,
    P2M_FOREIGN, /* another domain's memory, by right of control */
    P2M_TYPES
};

/* Memory that is the domain's own. */
static inline bool p2m_is_ram(enum p2m_type t)
{
    return t == P2M_RAM_RW || t == P2M_RAM_RO || t == P2M_LOGDIRTY;
}

/* Entries that hold a reference on a frame. */
static inline bool p2m_is_borrowed(enum p2m_type t)
{
    return t == P2M_GRANT_RW || t == P2M_GRANT_RO || t == P2M_FOREIGN;
}

/* Hardware never does such an access, whatever the guest's own tables say. */
static inline bool p2m_refuses(enum p2m_type t, bool store, bool fetch)
{
    return t == P2M_MMIO_DM || (store && (t == P2M_RAM_RO || t == P2M_GRANT_RO)) ||
           (fetch && (p2m_is_borrowed(t) || t == P2M_MMIO_DIRECT));
}

/* The lock of the P2M and of all that is made from it (RANK_P2M). When it is given back, TLBs are flushed as is due. */
void paging_lock(struct domain *d);
void paging_unlock(struct domain *d);
/* Has somebody got it? May be out of date at once. */
bool paging_is_locked(const struct domain *d);

/* ---- look-ups ---- */

struct p2m_entry {
    mfn_t mfn; /* of the very gfn asked for; INVALID_MFN with P2M_MMIO_DM */
    enum p2m_type type;
    unsigned int order; /* of the entry, or of the hole, that the gfn lies in */
};
/* By value: may be out of date at once. Any gfn may be asked for. */
struct p2m_entry p2m_lookup(struct domain *d, gfn_t gfn);
/* The same for who holds the paging lock: true until that is given back. */
struct p2m_entry p2m_lookup_locked(struct domain *d, gfn_t gfn);
/* The frame with a general reference for the caller, taken while the entry stands; NULL: no memory is there. */
struct page_info *p2m_get_page(struct domain *d, gfn_t gfn, enum p2m_type *type);
/* The same of any domain: what a PV domain calls a guest frame is a machine frame of its own. */
struct page_info *get_page_from_gfn(struct domain *d, gfn_t gfn, enum p2m_type *type);
/* Memory of d's own that the hypervisor may write to, with a reference also of type WRITABLE; NULL: it is none. */
struct page_info *get_writable_page(struct domain *d, gfn_t gfn);
/* The highest gfn that ever had an entry; 0: none had. */
uint64_t p2m_max_gfn(const struct domain *d);
/* The top table, for nested paging. */
mfn_t p2m_root(const struct domain *d);

/* ---- changes ---- */

/* 2^order guest frames, aligned to their number, get machine frames from mfn on; with P2M_MMIO_DM they get none. */
struct p2m_range {
    gfn_t gfn;
    mfn_t mfn;
    unsigned int order;
    enum p2m_type type;
    bool only_ram;      /* -EINVAL unless all that stood there was the domain's own memory; order up to 9 */
    unsigned long done; /* frames; 0 to begin with */
    bool joining;       /* likewise false: all is set, the entries are to become one */
};
/*
 * Restartable, in slices of 512 frames: 0; -ERESTART: call again with the same range; -EINVAL: no such gfn, or frames
 * that cannot have that type (RAM: the domain's own only, without an entry elsewhere; device memory: nothing that is
 * RAM; borrowed frames: order 0, references held), or the domain is dying; -EBUSY: a frame has an entry elsewhere;
 * -ENOMEM: no frame for a table. What was done before an error stays.
 */
int p2m_set(struct domain *d, struct p2m_range *r);
/*
 * The same at once, of memory just allocated to d, order up to 9. Whoever allocated it has counted the work, and has
 * asked p2m_vacate before; else -ERESTART is possible where a shadowed domain had something.
 */
int p2m_place(struct domain *d, gfn_t gfn, const struct page_info *pg, unsigned int order);
/* Shadows forget what 2^order guest frames stand for, order up to 9: 0, -ERESTART (in a new stretch), -EINVAL. */
int p2m_vacate(struct domain *d, gfn_t gfn, unsigned int order);
/* A frame of d's own, or one shared with it, goes to gfn, wherever it was; its type stays. Errors as above. */
int p2m_move(struct domain *d, const struct page_info *pg, gfn_t gfn);

/* A granted frame's entry goes, and gives up what it held: 0; -EINVAL: it does not stand there so; -ERESTART, likewise.
 */
int p2m_remove_grant(struct domain *d, gfn_t gfn, mfn_t mfn, bool readonly);

/* All entries of type from among n guest frames become type to; both are memory of the domain's own. */
struct p2m_retype {
    gfn_t gfn;
    uint64_t n;
    enum p2m_type from, to;
    uint64_t done; /* frames; 0 to begin with */
};
/* Restartable likewise: 0, -ERESTART, -EINVAL, -ENOMEM (a large entry could not be split). */
int p2m_change_type(struct domain *d, struct p2m_retype *r);

/*
 * For the log of stores (<hv/logdirty.h>), lock held: the entry of type ram_rw that gfn lies in becomes logdirty,
 * unless hardware says itself what it stores to.
 */
void p2m_stop_stores(struct domain *d, gfn_t gfn);
/*
 * Nested paging: the guest stores to a frame that is of type logdirty, and ram_rw from now on; while the log is
 * harvested so are the frames beside it, and nothing is noted yet. In a stretch of its own.
 */
void p2m_stored(struct domain *d, gfn_t gfn);
/*
 * Nested paging, the log is harvested, lock held: frames from *next on that hardware has stored to since the last time
 * get their bits. False: *next is where to go on, in a new stretch.
 */
bool p2m_harvest(struct domain *d, uint64_t *next);

/* ---- life ---- */

/* After paging_pool_init: 0 or -ENOMEM. */
int p2m_init(struct domain *d);
/* Of a PV domain: no tables, each guest frame is the machine frame of that number. 0 or -ENOMEM. */
int p2m_init_identity(struct domain *d);
/* Teardown, when no vCPU of d runs any more: all entries and tables go. -ERESTART or 0. */
int p2m_relinquish(struct domain *d);
void p2m_destroy(struct domain *d);

/* ---- audit ---- */

/* What an audit finds broken: the first ones in words, by the numbers of docs/invariants.md; the console has all. */
struct audit_log {
    unsigned int count, nr; /* nr of them stand here */
    struct audit_found {
        const char *rule, *what;
        uint64_t gfn, entry;
        unsigned int index;
    } found[8];
};
void audit_note(struct audit_log *log, const struct domain *d, const struct audit_found *f);

struct p2m_audit {
    uint64_t next; /* gfn; 0 to begin with */
    uint64_t changes;
    unsigned int seen[5]; /* entries of the table under way, by level */
    uint64_t tables;
    struct audit_log broken; /* result */
};
/* A slice of a recount of d's P2M: -ERESTART (call again), 0, -EAGAIN (changed meanwhile) or -EINVAL (dying). */
int p2m_audit(struct domain *d, struct p2m_audit *a);

#endif
