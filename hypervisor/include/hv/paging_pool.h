/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory from which a translated domain's P2M and shadows are made: a number of frames that its control tools set,
 * taken from the heap when they do and at no other time. So what a guest does with its page tables can use up its own
 * pool and nothing else.
 *
 * Some of the frames are held back for the P2M, without which the domain cannot be given memory: shadows can be thrown
 * away and made again, P2M tables cannot.
 */
#ifndef HV_PAGING_POOL_H
#define HV_PAGING_POOL_H

#include <hv/frame.h>
#include <hv/spinlock.h>

enum paging_use { PAGING_P2M, PAGING_SHADOW, PAGING_LOGDIRTY, NR_PAGING_USES };

struct paging_pool {
    spinlock_t lock;            /* RANK_PAGING_POOL; guards all of it */
    struct list_head low, high; /* free frames below 4 GiB, and above */
    unsigned long size, free;   /* size is free and all that is used */
    unsigned long used[NR_PAGING_USES];
};

#define PAGING_POOL_INITIAL 64u /* frames: enough for the P2M of an empty domain */

/* Makes d's pool with its initial frames. 0 or -ENOMEM; nothing is left then. */
int paging_pool_init(struct domain *d);
/*
 * Makes the pool so many frames large, in slices of 64: 0, -ERESTART (call again), -ENOMEM (it keeps what it got so
 * far), -EBUSY (more than that are in use; nothing changed), -EINVAL (the domain is dying). Caller holds the domctl
 * lock, or is the only one to know d.
 */
int paging_pool_resize(struct domain *d, unsigned long frames);
/* A zeroed frame, below 4 GiB if so wanted (PAE roots); NULL: the pool has none left for that use. The
 * work of clearing it is for the caller to count. */
struct page_info *paging_pool_alloc(struct domain *d, enum paging_use use, bool below_4g);
/* Takes it back. No CPU may know it any more, neither as a table nor in a TLB. */
void paging_pool_free(struct domain *d, enum paging_use use, struct page_info *pg);
/* Teardown, when nothing is in use: -ERESTART or 0. */
int paging_pool_relinquish(struct domain *d);
/* The structure itself; its frames are back in the heap. */
void paging_pool_destroy(struct domain *d);

#endif
