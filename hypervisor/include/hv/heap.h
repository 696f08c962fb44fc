/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buddy heap: all free RAM. Blocks of 2^order frames, order 0..MAX_ORDER. A frame freed by a guest may still be in
 * some TLB: it carries a stamp, and allocation flushes the CPUs that have not flushed since.
 */
#ifndef HV_HEAP_H
#define HV_HEAP_H

#include <hv/frame.h>

#define MAX_ORDER 20

#define MEMF_ZERO        (1u << 0)            /* clear the frames */
#define MEMF_BITS(n)     ((unsigned)(n) << 8) /* machine address below 2^n; 0: anywhere */
#define MEMF_GET_BITS(f) (((f) >> 8) & 63u)

/* Frames with no owner, for the hypervisor itself. NULL when there are none. */
struct page_info *alloc_hv_pages(unsigned int order, unsigned int memf);
void free_hv_pages(struct page_info *pg, unsigned int order);
/* The same by address in the direct map. */
void *alloc_hv_mem(unsigned int order);
void free_hv_mem(void *p, unsigned int order);

/* Small objects: zeroed, 16-byte aligned, any size up to MAX_ORDER pages. NULL when there is no memory; hv_free(NULL)
 * is fine. */
void *hv_alloc(size_t size);
void hv_free(void *p);
static inline void *hv_alloc_array(size_t size, size_t n)
{
    return n > SIZE_MAX / size ? NULL : hv_alloc(size * n);
}
#define hv_new(type)          ((type *)hv_alloc(sizeof(type)))
#define hv_new_array(type, n) ((type *)hv_alloc_array(sizeof(type), (n)))

/*
 * Frames for domain d: owner set, PGC_allocated with one reference each, counted against d->max_pages, zeroed (no data
 * of earlier owners leaks). NULL: over the limit, dying, or no memory.
 */
struct page_info *alloc_domain_pages(struct domain *d, unsigned int order, unsigned int memf);
/*
 * The same in slices of 64 frames: 0 with *pg set, -ENOMEM (as NULL above), -EINVAL the domain is dying, or -ERESTART:
 * the caller is to be preempted and to come again with the same arguments. The second one leaves the block without an
 * owner. The third gives up what waits for a caller to come again.
 */
int populate_domain_pages(struct domain *d, unsigned int order, unsigned int memf, struct page_info **pg);
int alloc_fresh_pages(struct domain *d, unsigned int order, unsigned int memf, struct page_info **pg);
void drop_fresh_pages(struct domain *d);
/* Accounts frames that already lie in the heap's hands to d (control-domain build, exchange). 0 or -errno. */
int assign_pages(struct domain *d, struct page_info *pg, unsigned int order);
/*
 * Trades frames: out blocks (from alloc_hv_pages) become d's, the in frames, each with one reference that is the
 * caller's and without PGC_allocated, go back to the heap. The total stays within d's limit. 0, or -EINVAL when d is
 * dying: nothing changed.
 */
int exchange_pages(struct domain *d, struct page_info **in, unsigned int in_count, struct page_info **out,
                   unsigned int out_count, unsigned int out_order);
/*
 * Claims: sets free frames aside so that d can grow to total frames, 0 or -EINVAL (it has a claim, is as large already,
 * may not be as large, is dying) or -ENOMEM; gives a claim up. What d allocates is taken off its claim, a frame that it
 * gives back while it has one is added to it.
 */
int domain_claim_pages(struct domain *d, uint64_t total);
void domain_unclaim_pages(struct domain *d);
uint64_t heap_claimed_pages(void);
struct heap_claims {
    uint64_t claimed, free; /* frames, at one moment */
    uint64_t changes;       /* a number that grows with every change of a claim */
};
void heap_read_claims(struct heap_claims *c);
/* For audits: is the frame in a free block? Takes the heap's lock. */
bool heap_has(const struct page_info *pg);
/* Frames without an owner, not zeroed, from d's claim as far as it goes; that part of it when they are not used. */
struct page_info *alloc_claimed_pages(struct domain *d, unsigned int order, unsigned int memf, uint64_t *from_claim);
void unused_claim(struct domain *d, uint64_t from_claim);
/* put_page's last step: gives an owned frame back. */
void free_domain_page(struct page_info *pg);

/* alloc_fault.c: the n-th allocation from now on by a hypercall other than umbra_op fails (0: none does); returns what
 * was left of the number armed before. Is the one that is being made to fail? */
unsigned int alloc_fault_arm(unsigned int n);
bool alloc_fault_due(void);

/* Boot: adds [start, end) to the heap. */
void heap_add(mfn_t start, mfn_t end);
uint64_t heap_free_pages(void);

#endif
