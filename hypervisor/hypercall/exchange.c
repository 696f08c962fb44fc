/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XENMEM_exchange: the control domain's drivers trade scattered frames for a contiguous block below an address, and
 * back. A chunk is the larger of both extents (at most 512 frames): new frames are allocated, its own claimed (nobody
 * else may hold a reference), then both sides committed. A chunk that fails changes nothing; nr_exchanged tells the
 * caller how many went through.
 */
#include "memory_op.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/sched.h>

#define MAX_CHUNK_ORDER 9

struct exchange {
    struct domain *d;
    struct xen_memory_exchange x;
    unsigned int chunk_order;
    struct page_info *in[1u << MAX_CHUNK_ORDER];
    struct page_info *out[1u << MAX_CHUNK_ORDER];
    xen_pfn_t pfn[1u << MAX_CHUNK_ORDER]; /* of each block in out */
    unsigned int in_count, out_count;
};

/* The owner gives the frame up: only its own reference (and ours) may exist, and no type. */
static bool claim_frame(struct page_info *pg)
{
    uint64_t expect = PGC_allocated | 2;

    if (READ_ONCE(pg->type_info) & PGT_count_mask)
        return false;
    return __atomic_compare_exchange_n(&pg->count_info, &expect, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/*
 * Our reference becomes the owner's again. The count stays as it is: others may have looked at the frame meanwhile
 * (get_page_owned). A domain whose frames teardown has begun to release does not get it back.
 */
static void unclaim_frame(struct domain *d, struct page_info *pg)
{
    bool dying;

    spin_lock(&d->page_alloc_lock);
    dying = d->dying;
    if (!dying)
        __atomic_fetch_or(&pg->count_info, PGC_allocated, __ATOMIC_SEQ_CST);
    spin_unlock(&d->page_alloc_lock);
    if (dying)
        put_page(pg);
}

static void unclaim_all(struct exchange *ex)
{
    while (ex->in_count)
        unclaim_frame(ex->d, ex->in[--ex->in_count]);
}

static int claim_extent(struct exchange *ex, xen_pfn_t mfn)
{
    for (unsigned long j = 0; j < 1ul << ex->x.in.extent_order; j++) {
        struct page_info *pg = get_page_from_mfn(_mfn(mfn + j), ex->d);

        if (!pg)
            return -EINVAL;
        if (!claim_frame(pg)) {
            put_page(pg);
            return -EBUSY;
        }
        ex->in[ex->in_count++] = pg;
        stretch_work(1);
    }
    return 0;
}

static int claim_chunk(struct exchange *ex, unsigned long chunk)
{
    unsigned long per = 1ul << (ex->chunk_order - ex->x.in.extent_order);

    for (unsigned long i = 0; i < per; i++) {
        xen_pfn_t mfn;
        int rc;

        if (guest_copy_from(&mfn, ex->x.in.extent_start.p + chunk * per + i, sizeof(mfn)))
            return -EFAULT;
        rc = claim_extent(ex, mfn);
        if (rc)
            return rc;
    }
    return 0;
}

/* One block of the chunk's size also where parts of it are wanted: only a block is zeroed in slices. */
static int allocate_chunk(struct exchange *ex)
{
    unsigned int bits = XENMEMF_get_address_bits(ex->x.out.mem_flags), order = ex->x.out.extent_order;
    struct page_info *block;
    int rc = alloc_fresh_pages(ex->d, ex->chunk_order, bits && bits < 52 ? MEMF_BITS(bits) : 0, &block);

    for (unsigned long i = 0; !rc && i < 1ul << ex->chunk_order; i += 1ul << order)
        ex->out[ex->out_count++] = block + i;
    return rc;
}

static void free_chunk(struct exchange *ex)
{
    while (ex->out_count)
        free_hv_pages(ex->out[--ex->out_count], ex->x.out.extent_order);
}

/* Learns the new blocks' places and tells the caller their numbers: all that can fault, before frames change hands. */
static int announce_chunk(struct exchange *ex, unsigned long chunk)
{
    for (unsigned long i = 0; i < ex->out_count; i++) {
        xen_pfn_t *g = ex->x.out.extent_start.p + chunk * ex->out_count + i, mfn = page_to_mfn(ex->out[i]).n;

        if (guest_copy_from(&ex->pfn[i], g, sizeof(*g)))
            return -EFAULT;
        if (guest_copy_to(g, &mfn, sizeof(mfn)))
            return -EFAULT;
    }
    return 0;
}

static int commit_chunk(struct exchange *ex)
{
    int rc = exchange_pages(ex->d, ex->in, ex->in_count, ex->out, ex->out_count, ex->x.out.extent_order);

    if (rc)
        return rc;
    for (unsigned long i = 0; i < ex->out_count; i++)
        set_owned_gpfns(ex->d, page_to_mfn(ex->out[i]), ex->pfn[i], 1ul << ex->x.out.extent_order);
    ex->in_count = ex->out_count = 0;
    return 0;
}

static int exchange_chunk(struct exchange *ex, unsigned long chunk)
{
    int rc;

    ex->in_count = ex->out_count = 0;
    rc = allocate_chunk(ex); /* first: it may be preempted, and then nothing is claimed for nothing */
    if (!rc)
        rc = claim_chunk(ex, chunk);
    if (!rc)
        rc = announce_chunk(ex, chunk);
    if (!rc)
        rc = commit_chunk(ex);
    if (rc) {
        unclaim_all(ex);
        free_chunk(ex);
    }
    return rc;
}

static int check(struct exchange *ex)
{
    const struct xen_memory_exchange *x = &ex->x;

    if (x->in.extent_order > MAX_CHUNK_ORDER || x->out.extent_order > MAX_CHUNK_ORDER)
        return -EPERM;
    if (x->in.nr_extents > (~0ul >> (x->in.extent_order + 4)) ||
        x->out.nr_extents > (~0ul >> (x->out.extent_order + 4)))
        return -EINVAL;
    if (x->in.nr_extents << x->in.extent_order != x->out.nr_extents << x->out.extent_order)
        return -EINVAL;
    if (x->in.domid != x->out.domid || x->nr_exchanged > x->in.nr_extents)
        return -EINVAL;
    ex->chunk_order = MAX(x->in.extent_order, x->out.extent_order);
    if ((x->in.nr_extents << x->in.extent_order) & ((1ul << ex->chunk_order) - 1))
        return -EINVAL;
    ex->d = get_target_domain(x->in.domid);
    if (!ex->d)
        return -ESRCH;
    if (!paging_mode_translate(ex->d))
        return 0;
    domain_put(ex->d); /* its frames are no business of its own */
    return -EOPNOTSUPP;
}

static long run_chunks(struct hcall *hc, struct exchange *ex, struct xen_memory_exchange *g)
{
    unsigned int shift = ex->chunk_order - ex->x.in.extent_order;
    unsigned long chunks = ex->x.in.nr_extents >> shift, chunk = ex->x.nr_exchanged >> shift;
    long rc = 0;

    while (chunk < chunks && !rc) {
        rc = exchange_chunk(ex, chunk);
        if (rc == -ERESTART)
            rc = hypercall_restart(hc);
        if (rc)
            break;
        ex->x.nr_exchanged = ++chunk << shift;
        if (chunk < chunks && preempt_needed())
            rc = hypercall_restart(hc);
    }
    if (copy_field_to_guest(g, &ex->x, nr_exchanged) && !rc)
        rc = -EFAULT;
    return rc;
}

long memory_exchange(struct hcall *hc, unsigned long guest)
{
    struct exchange *ex = hv_new(struct exchange);
    long rc;

    if (!ex)
        return -ENOMEM;
    if (guest_copy_from(&ex->x, (void *)guest, sizeof(ex->x)))
        rc = -EFAULT;
    else
        rc = check(ex);
    if (!rc) {
        rc = run_chunks(hc, ex, guest_ptr(struct xen_memory_exchange, guest));
        domain_put(ex->d);
    }
    hv_free(ex);
    return rc;
}
