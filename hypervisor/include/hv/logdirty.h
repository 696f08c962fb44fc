/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which guest frames of a domain were stored to: a bit for each, which a control tool reads and clears again
 * and again while it copies the domain's memory. What is cleared is read afterwards, so a store before that is in the
 * copy; one after it sets the bit again.
 *
 * The rule (docs/invariants.md, L1): what can store to a frame without coming by here stores to one whose bit is set.
 *
 *   - The guest's own stores: an entry, of a shadow or of the P2M, that lets hardware store to a frame is made when its
 *     bit is set, and taken back when the bit is cleared. Or, on shadows, hardware says in the entry itself that it has
 *     stored, and that is asked for before the bits are read (logdirty=harvest on the command line).
 *   - Whoever else holds the right to store to the frame has a reference of type WRITABLE on it: grants, mappings of
 *     control tools, event queues, vcpu_info. Taking it and dropping it set the bit, and while it is held the bit is
 *     not cleared. A reading ends with a flush of all TLBs if one has been dropped.
 *   - The hypervisor's stores for an instruction or a hypercall set it when they are done.
 *   - So does a change of what the guest frame stands for.
 *
 * A PV domain has no P2M that the hypervisor knows: its bits are found by the M2P, from the frame, and never the other
 * way round. So hardware is always asked what it has stored to, on shadows that are there for that (mm/shadow/pv.c).
 * Its own entries hold references of type WRITABLE too, and say nothing when they take or drop one. Frames count those
 * of others (nr_outside), and the bits of frames that have any are set whenever bits are read.
 */
#ifndef HV_LOGDIRTY_H
#define HV_LOGDIRTY_H

#include <hv/list.h>
#include <hv/page.h>
#include <hv/spinlock.h>
#include <hv/stretch.h>

struct domain;

enum logdirty_state {
    LOGDIRTY_OFF,
    LOGDIRTY_COVERING, /* being turned on: memory is found for the bits */
    LOGDIRTY_ENDING,   /* being turned off */
    LOGDIRTY_STARTING, /* stores set bits; entries from before are taken back */
    LOGDIRTY_ON,
};

#define LOGDIRTY_TOP 8u

/* A reading of the bits that is under way. */
struct logdirty_round {
    uint32_t token; /* names it; 0: there is none */
    bool clean, all;
    bool harvested, reading; /* what hardware knows, and what others do, is in the bits */
    uint64_t next;           /* gfns before it are done; before that, see shadow_harvest */
    uint64_t left;           /* of a PV domain: frames to be looked at for what others may do, plus one; 0: not begun */
    uint32_t fault_count, dirty_count;
};

struct logdirty {
    spinlock_t lock;             /* RANK_LEAF; guards bits, nodes and counts */
    uint8_t state;               /* enum logdirty_state; changes with this lock and the paging lock */
    bool harvest;                /* hardware is asked what it has stored to */
    bool all;                    /* every frame counts as dirty: some bit could not be set */
    uint64_t *top[LOGDIRTY_TOP]; /* a radix tree by gfn: mm/logdirty.c */
    struct list_head frames;     /* that it is made of, from the paging pool */
    uint64_t next;               /* being turned on or off: gfns before it are done; of PV: frames left, plus one */
    uint64_t limit;              /* of PV: one past the highest gfn that there are bits for */
    bool left_behind;            /* others have dropped references since the last flush of all TLBs */
    uint32_t fault_count;        /* faults that set a bit, since the last cleaning */
    uint32_t dirty_count;        /* bits set, likewise */
    struct logdirty_round round; /* paging lock */
};

/* ---- mm/logdirty.c: the bits ---- */

void logdirty_init(struct logdirty *l);
/* 2^order guest frames have been stored to, or may be from now on. For any caller that holds no leaf lock. */
void logdirty_mark(struct domain *d, gfn_t gfn, unsigned int order);
/* The same of a frame of the domain's own, whatever guest frame it is now. */
void logdirty_mark_frame(struct domain *d, mfn_t m);
/* The same because of the guest's store. */
void logdirty_fault(struct domain *d, gfn_t gfn, unsigned int order);
/* Has a store to it to be noticed? */
bool logdirty_is_clean(struct domain *d, gfn_t gfn);
/* Paging lock held. What 2^order guest frames stand for changes. */
void logdirty_changed(struct domain *d, gfn_t gfn, unsigned int order);
/* Paging lock held. Memory for the bits around gfn: 0 or -ENOMEM, of a PV domain also where the stretch has not this
 * much room left. */
#define LOGDIRTY_COVER_WORK (3 * STRETCH_FRAME)
int logdirty_cover(struct domain *d, gfn_t gfn);
/* The 64 bits from gfn on, a multiple of 64; one is cleared. */
uint64_t logdirty_word(struct domain *d, gfn_t gfn);
void logdirty_clear(struct domain *d, gfn_t gfn);
#define LOGDIRTY_PER_NODE (PAGE_SIZE * 8) /* guest frames whose bits stand in one frame */

/* What the command line says; taken when the log of a domain on shadows is turned on. */
extern bool logdirty_harvest;

/* ---- mm/logdirty_op.c: what control tools ask for, one at a time (RANK_DOMCTL) ---- */

/* 0; -ERESTART: call again; -EINVAL: it is on, or the domain is dying; -ENOMEM: the pool is too small, and it is off.
 */
int logdirty_enable(struct domain *d);
/* 0, -ERESTART, -EINVAL (dying). Ends a reading that was given up. */
int logdirty_disable(struct domain *d);

struct logdirty_read {
    bool clean;                        /* bits that were read are cleared */
    uint8_t *bitmap;                   /* guest's; NULL: nobody wants to know */
    uint64_t pages;                    /* from guest frame 0 on; result: those that there were bits for */
    uint32_t token;                    /* names the call when it goes on; 0 to begin with */
    uint32_t fault_count, dirty_count; /* result */
};
/* 0; -ERESTART, with token; -EINVAL: it is off; -EBUSY: another reading is under way; -EFAULT: what was cleared before
 * counts as dirty again, and all else too. */
int logdirty_read(struct domain *d, struct logdirty_read *r);
/* Teardown: -ERESTART or 0. */
int logdirty_relinquish(struct domain *d);

/* ---- mm/logdirty_pv.c: what is different about PV domains ---- */

/* Frame m of d's is its guest frame gfn now: the M2P and, if there is one, the log. */
void logdirty_set_gpfn(struct domain *d, mfn_t m, unsigned long gfn);
/* d's pool has as many frames as the log needs, unless somebody has chosen another number: 0, -ERESTART, -ENOMEM. */
int logdirty_pv_pool(struct domain *d);
/* The pool is there, empty to begin with: 0 or -ENOMEM. */
int logdirty_pv_init(struct domain *d);
/* Paging lock held: slices of a look at each frame, left as in struct logdirty_round: 0; -ERESTART; -ENOMEM. Memory for
 * the bits of all; the bits of those that others may store to. */
int logdirty_pv_cover(struct domain *d, uint64_t *left);
int logdirty_pv_held(struct domain *d, uint64_t *left);

#endif
