/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growing and shrinking a domain: increase_reservation, populate_physmap, decrease_reservation, claim_pages. Extents
 * are handled one at a time with a preemption check after each; an extent has at most 512 frames.
 */
#include "memory_op.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/sched.h>

#define MAX_EXTENT_ORDER 9

struct reservation {
    struct domain *d;
    unsigned int cmd;
    struct xen_memory_reservation r;
};

static unsigned int memf_of(const struct reservation *res)
{
    unsigned int bits = XENMEMF_get_address_bits(res->r.mem_flags);

    return bits && bits < 52 ? MEMF_BITS(bits) : 0;
}

/* 0, -ERESTART, or another error: no memory, or the caller's list cannot be accessed. */
static int populate_extent(const struct reservation *res, unsigned long i)
{
    xen_pfn_t pfn = 0, mfn;
    struct page_info *pg;
    int rc;

    if (res->cmd == XENMEM_populate_physmap && guest_copy_from(&pfn, res->r.extent_start.p + i, sizeof(pfn)))
        return -EFAULT;
    if (paging_mode_translate(res->d))
        return physmap_populate(res->d, pfn, res->r.extent_order, memf_of(res));
    rc = populate_domain_pages(res->d, res->r.extent_order, memf_of(res), &pg);
    if (rc)
        return rc;
    mfn = page_to_mfn(pg).n;
    if (res->cmd == XENMEM_populate_physmap)
        set_owned_gpfns(res->d, _mfn(mfn), pfn, 1ul << res->r.extent_order);
    return res->r.extent_start.p ? guest_copy_to(res->r.extent_start.p + i, &mfn, sizeof(mfn)) : 0;
}

bool release_own_frame(struct domain *d, mfn_t m)
{
    struct page_info *pg = get_page_from_mfn(m, d);

    if (!pg)
        return false;
    pv_changed(d);
    if (__atomic_fetch_and(&pg->count_info, ~PGC_allocated, __ATOMIC_SEQ_CST) & PGC_allocated)
        put_page(pg);
    put_page(pg);
    return true;
}

static int decrease_extent(const struct reservation *res, unsigned long i)
{
    xen_pfn_t mfn;

    if (guest_copy_from(&mfn, res->r.extent_start.p + i, sizeof(mfn)))
        return -EFAULT;
    if (paging_mode_translate(res->d))
        return physmap_release(res->d, mfn, res->r.extent_order);
    for (unsigned long j = 0; j < 1ul << res->r.extent_order; j++) {
        if (!release_own_frame(res->d, _mfn(mfn + j)))
            return -EINVAL;
        stretch_work(1);
    }
    return 0;
}

static long run_extents(struct hcall *hc, const struct reservation *res, unsigned long start, unsigned int cmd_bits)
{
    for (unsigned long i = start; i < res->r.nr_extents; i++) {
        int rc = res->cmd == XENMEM_decrease_reservation ? decrease_extent(res, i) : populate_extent(res, i);
        bool again = rc == -ERESTART;

        if (rc && !again)
            return (long)i;
        if (again || (i + 1 < res->r.nr_extents && preempt_needed())) {
            hc->arg[0] = res->cmd | ((again ? i : i + 1) << cmd_bits);
            return hypercall_restart(hc);
        }
    }
    return (long)res->r.nr_extents;
}

long memory_reservation(struct hcall *hc, unsigned int cmd, unsigned int start, unsigned int cmd_bits)
{
    struct reservation res = {.cmd = cmd};
    long rc;

    if (guest_copy_from(&res.r, (void *)hc->arg[1], sizeof(res.r)))
        return start;
    if (res.r.nr_extents > (~0u >> cmd_bits) || start > res.r.nr_extents)
        return start;
    if (res.r.extent_order > MAX_EXTENT_ORDER)
        return start;
    if (!res.r.extent_start.p && cmd != XENMEM_increase_reservation)
        return start;
    res.d = get_target_domain(res.r.domid);
    if (!res.d)
        return start;
    if (cmd == XENMEM_increase_reservation && paging_mode_translate(res.d))
        rc = start; /* memory has to be somewhere */
    else
        rc = run_extents(hc, &res, start, cmd_bits);
    domain_put(res.d);
    return rc;
}

/* A claim is a number of frames; 0 gives it up. */
long memory_claim(unsigned long guest)
{
    struct xen_memory_reservation r;
    struct domain *d;
    long rc = 0;

    if (guest_copy_from(&r, (void *)guest, sizeof(r)))
        return -EFAULT;
    if (r.extent_start.p || r.extent_order || r.mem_flags)
        return -EINVAL;
    d = domain_get(r.domid);
    if (!d)
        return -EINVAL;
    if (!current->domain->is_control)
        rc = -EPERM;
    else if (r.nr_extents)
        rc = domain_claim_pages(d, r.nr_extents);
    else
        domain_unclaim_pages(d);
    domain_put(d);
    return rc;
}
