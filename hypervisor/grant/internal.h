/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to grant/. A domain's struct grant_table has two independent halves: what it grants (shared frames and the
 * active entries that count the uses, under t->lock) and what it has mapped from others (the maptrack, under
 * t->map_lock). No operation holds both halves' locks, of whatever domains, at once.
 *
 * A shared frame holds entries of version 1 or of version 2, which are twice as large; those of version 2 have their
 * "in use" bits in status frames. Active entries are the same for both and stay where they are when the version
 * changes.
 */
#ifndef GRANT_INTERNAL_H
#define GRANT_INTERNAL_H

#include <hv/grant.h>

#define V1_PER_FRAME       ((unsigned int)(PAGE_SIZE / sizeof(grant_entry_v1_t)))
#define V2_PER_FRAME       ((unsigned int)(PAGE_SIZE / sizeof(grant_entry_v2_t)))
#define STATUS_PER_FRAME   ((unsigned int)(PAGE_SIZE / sizeof(grant_status_t)))
#define FRAMES_PER_STATUS  (STATUS_PER_FRAME / V2_PER_FRAME) /* shared frames whose entries one status frame serves */
#define DFLT_GRANT_FRAMES  64u                               /* for max_frames ~0 */
#define MAX_TRACK_FRAMES   4096u                             /* likewise, in frames of 256 handles each */
#define DFLT_TRACK_FRAMES  1024u
#define HANDLES_PER_FRAME  256u
#define MAPPINGS_PER_CHUNK ((unsigned int)(PAGE_SIZE / sizeof(struct mapping)))
#define NO_HANDLE          (~0u)

/* Kinds of use of a grant, as bits. */
#define PIN_HOST_READ  1u
#define PIN_HOST_WRITE 2u
#define PIN_DEV_READ   4u
#define PIN_DEV_WRITE  8u
#define PIN_WRITES     (PIN_HOST_WRITE | PIN_DEV_WRITE)
#define NR_PINS        4u

enum grant_kind {
    GRANT_PAGE,
    GRANT_SUB_PAGE,   /* for copies of the bytes [start, start + length) */
    GRANT_TRANSITIVE, /* another grant that the granter may use, for copies */
};

/* What an entry grants, and to whom. */
struct granted {
    union {
        uint64_t frame;
        struct {
            grant_ref_t trans_ref;
            domid_t trans_domid;
        };
    };
    uint16_t start, length;
    domid_t domid;
    uint8_t kind; /* enum grant_kind */
};

struct active {
    struct granted what; /* the entry, as it was at the first use; valid while a count is not 0 */
    uint16_t pin[NR_PINS];
    uint16_t seen[NR_PINS]; /* the audit's recount of pin */
};
static_assert(sizeof(struct active) * V1_PER_FRAME <= 4 * PAGE_SIZE, "four frames of active entries per shared frame");

struct mapping {
    struct domain *granter; /* reference held */
    uint32_t frame;
    uint32_t ref;  /* free: next free handle */
    uint8_t flags; /* GNTMAP_device_map, host_map, readonly, contains_pte; 0: free, or not yet in place */
    bool busy;     /* being unmapped */
};

struct grant_table {
    uint32_t begun, ended; /* operations, see grant_begin; atomic */

    spinlock_t lock;
    bool closed; /* teardown has begun: no more frames */
    uint8_t version, max_version;
    uint8_t next_version;    /* a change of version is under way; 0: none */
    unsigned int next_clear; /* its progress: shared frames [1, next_clear) are empty */
    unsigned int nr_used;    /* entries in use, the reserved ones not counted */
    unsigned int max_frames, nr_frames, nr_status;
    void **shared;           /* [max_frames] */
    grant_status_t **status; /* [max_frames / FRAMES_PER_STATUS, rounded up]; once there, they stay */
    struct active **active;  /* [max_frames][V1_PER_FRAME] */

    spinlock_t map_lock;
    unsigned int max_handles, nr_handles; /* handles [0, nr_handles) have a struct mapping */
    unsigned int free_handle;             /* head of the list of free ones, NO_HANDLE: empty */
    unsigned int in_use;
    unsigned int relinquish_next; /* teardown: where to go on */
    struct mapping **track;       /* [max_handles / MAPPINGS_PER_CHUNK], allocated with the first mapping */
};

/*
 * An operation on d's active entries, or on its handles, from before its first change to after the last one; as many of
 * them as are under way hold d. What d counts can be told from what it has only while there is none: audit.c.
 */
static inline void grant_begin(struct domain *d)
{
    domain_hold(d);
    __atomic_fetch_add(&d->grant->begun, 1, __ATOMIC_SEQ_CST);
}

static inline void grant_end(struct domain *d)
{
    __atomic_fetch_add(&d->grant->ended, 1, __ATOMIC_SEQ_CST);
    domain_put(d);
}

/* entry.c: one entry, of either version. */
struct entry {
    struct active *active;
    uint32_t *word; /* flags in the low half, domid in the high half */
    uint16_t *use;  /* where GTF_reading and GTF_writing are */
    grant_entry_v1_t *v1;
    grant_entry_v2_t *v2; /* the other one is NULL */
};
/* t->lock held. False: no such reference. */
bool grant_find_entry(const struct grant_table *t, grant_ref_t ref, struct entry *e);
unsigned int grant_pins(const struct active *a, unsigned int kinds); /* number of uses of these kinds */
/* GTF_reading and GTF_writing as the uses want them. */
uint16_t grant_use_bits(const struct active *a);

/* table.c: the granting side. Results are GNTST_*. */
enum grant_use {
    USE_MAP,     /* whole pages only */
    USE_COPY,    /* anything */
    USE_THROUGH, /* the copy came here by a transitive grant: no second one */
};
/*
 * Counts a use of grant ref by domain user and marks it in the shared entry; *what is what it grants, unchecked. kinds:
 * PIN_* bits, all read or all write.
 */
int16_t grant_pin(struct domain *granter, grant_ref_t ref, domid_t user, unsigned int kinds, enum grant_use use,
                  struct granted *what);
/*
 * A frame as a translated domain names it becomes the machine frame that it is now, or a number that no frame has; that
 * it is the domain's own is for grant_take_page to see, as with any number. PV domains name machine frames.
 */
void grant_find_frame(struct domain *d, struct granted *g);
void grant_unpin(struct domain *granter, grant_ref_t ref, unsigned int kinds);
/* Grows the table to nr frames, at most 12 at a time: 0, -EINVAL, -ENOMEM or -ERESTART (some are there already). */
int grant_grow(struct domain *d, unsigned int nr);
/* t->lock held. Status frames for nr shared frames: 0 or -ENOMEM. */
int grant_add_status(struct domain *d, unsigned int nr);
int16_t grant_swap(struct domain *d, grant_ref_t a, grant_ref_t b);

/* Frames of status in force: none in version 1. */
unsigned int grant_nr_status_frames(struct domain *d);

/* version.c */
unsigned int grant_version(struct domain *d);
/*
 * Changes the version of d's table: 0, -EINVAL no such version, -ENOSYS not allowed to d, -EBUSY entries are in use,
 * -ERANGE a reserved entry cannot be said in it, -ENOMEM, -ERESTART. Unless 0 or -ERESTART the version stays.
 */
int grant_set_version(struct domain *d, unsigned int version);

/* dump.c, audit.c */
#define LINES_PER_DOMAIN 64u
void grant_dump_domain(struct domain *d);

/* maptrack.c: the mapping side. */
unsigned int maptrack_alloc(struct grant_table *t); /* NO_HANDLE: none left */
void maptrack_free(struct grant_table *t, unsigned int handle);
/* Makes an allocated handle valid; the mapping takes over the caller's reference on its granter. */
void maptrack_commit(struct grant_table *t, unsigned int handle, const struct mapping *m);
/* Reserves a valid handle for unmapping and copies it: false when there is no such mapping or it is reserved. */
bool maptrack_reserve(struct grant_table *t, unsigned int handle, struct mapping *m);
/* Ends the reservation; the parts in gone (GNTMAP_host_map, device_map) no longer exist. True: nothing is left, the
 * handle is free and the reference on the granter is the caller's. */
bool maptrack_unreserve(struct grant_table *t, unsigned int handle, unsigned int gone);

/* map.c, unmap.c, copy.c: one element; the result is stored in its status. */
/* Map: 0, or -ERESTART: nothing was done, the element is to be begun anew in a new stretch. */
int grant_map_one(struct gnttab_map_grant_ref *op);
void grant_copy_one(struct gnttab_copy *op);

#define UNMAP_BATCH 32u
struct unmap {
    uint64_t host_addr, dev_bus_addr, new_addr;
    unsigned int handle;
    bool replace;
    int16_t status;
    unsigned int gone; /* parts whose page-table entry or device use is gone, to be released after the flush */
    struct mapping m;
};
#define GRANT_RESTART ((int16_t)1) /* no status of the ABI: as -ERESTART */
/* Unmaps n elements, at most UNMAP_BATCH, with one TLB flush. How many are done; the next one needs a new stretch. */
unsigned int grant_unmap_batch(struct unmap *u, unsigned int n);
unsigned int grant_kinds(unsigned int flags, unsigned int parts);
/* References of one use of the frame. take: GNTST_okay, or why not, then nothing is held. */
int16_t grant_take_page(struct domain *granter, uint64_t frame, bool writable);
void grant_drop_page(uint64_t frame, bool writable);

#endif
