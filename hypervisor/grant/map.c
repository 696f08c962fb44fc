/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GNTTABOP_map_grant_ref and the unmap operations. Mapping: handle, pin, page references, page-table entry, and only
 * then the handle becomes valid; a failure undoes the steps before it. Unmapping: the entries of a batch go first, then
 * one TLB flush, and only after it the references, the pins (which tell the granter that it may reuse the frame) and
 * the handles.
 *
 * A host mapping's references belong to the page-table entry while it is in place, see <hv/grant.h>. A translated
 * domain has it in its P2M: host_addr is a guest physical address there, what stood at its frame goes, and taking it
 * out again flushes and drops the references at once. What must be done in a new stretch has changed nothing yet.
 */
#include <hv/frame.h>
#include <hv/p2m.h>
#include <hv/x86.h>
#include "internal.h"

#define MAP_PARTS (GNTMAP_host_map | GNTMAP_device_map)

static_assert(DIRECTMAP_SIZE >> PAGE_SHIFT <= 1ull << 32, "numbers of RAM frames have 32 bits");

unsigned int grant_kinds(unsigned int flags, unsigned int parts)
{
    unsigned int kinds = 0;

    if (parts & GNTMAP_host_map)
        kinds |= flags & GNTMAP_readonly ? PIN_HOST_READ : PIN_HOST_WRITE;
    if (parts & GNTMAP_device_map)
        kinds |= flags & GNTMAP_readonly ? PIN_DEV_READ : PIN_DEV_WRITE;
    return kinds;
}

int16_t grant_take_page(struct domain *granter, uint64_t frame, bool writable)
{
    struct page_info *pg = get_page_from_mfn(_mfn(frame), granter);

    if (!pg)
        return GNTST_bad_page;
    if (writable && get_page_type(pg, PT_WRITABLE)) {
        put_page(pg);
        return GNTST_general_error;
    }
    return GNTST_okay;
}

void grant_drop_page(uint64_t frame, bool writable)
{
    struct page_info *pg = mfn_to_page(_mfn(frame));

    if (writable)
        put_page_and_type(pg);
    else
        put_page(pg);
}

/*
 * The references of a host mapping. A PV domain's entry for a frame that it granted to itself is counted as its other
 * entries are, because whatever overwrites it drops it like one.
 */
static bool own_entry(const struct domain *granter, bool writable)
{
    return writable && granter == current->domain && !paging_mode_translate(granter);
}

static int16_t take_host_page(struct domain *granter, uint64_t frame, bool writable)
{
    bool own = own_entry(granter, writable);
    int16_t status = grant_take_page(granter, frame, writable && !own);

    if (status == GNTST_okay && own && get_own_writable(mfn_to_page(_mfn(frame)))) {
        grant_drop_page(frame, false);
        return GNTST_general_error;
    }
    return status;
}

static void drop_host_page(const struct domain *granter, uint64_t frame, bool writable)
{
    bool own = own_entry(granter, writable);

    if (own)
        put_own_writable(mfn_to_page(_mfn(frame)));
    grant_drop_page(frame, writable && !own);
}

/* The L1 entry for a host mapping. PV kernels run in ring 3: every entry is a user entry. */
static pte_t host_entry(uint64_t frame, unsigned int flags)
{
    uint64_t avail = ((uint64_t)(flags >> _GNTMAP_guest_avail0) << 9) & PTE_AVAIL;

    return pte_make(_mfn(frame), PTE_P | PTE_US | PTE_A | PTE_D | avail | (flags & GNTMAP_readonly ? 0 : PTE_RW));
}

static gfn_t host_gfn(uint64_t host_addr)
{
    return _gfn(host_addr >> PAGE_SHIFT);
}

static int16_t map_gfn(uint64_t frame, const struct gnttab_map_grant_ref *op)
{
    struct p2m_range r = {
        .gfn = host_gfn(op->host_addr),
        .mfn = _mfn(frame),
        .type = op->flags & GNTMAP_readonly ? P2M_GRANT_RO : P2M_GRANT_RW,
    };
    int rc = p2m_set(current->domain, &r);

    return rc == -ERESTART ? GRANT_RESTART : rc ? GNTST_general_error : GNTST_okay;
}

static int16_t map_host(uint64_t frame, const struct gnttab_map_grant_ref *op)
{
    if (paging_mode_translate(current->domain))
        return map_gfn(frame, op);
    return pv_grant_map_pte(current->domain, op->host_addr, op->flags & GNTMAP_contains_pte,
                            host_entry(frame, op->flags))
               ? GNTST_general_error
               : GNTST_okay;
}

/* References and entries for a pinned frame. */
static int16_t map_parts(struct domain *granter, uint64_t frame, const struct gnttab_map_grant_ref *op)
{
    bool writable = !(op->flags & GNTMAP_readonly);
    int16_t status;

    if (op->flags & GNTMAP_device_map) {
        status = grant_take_page(granter, frame, writable);
        if (status != GNTST_okay)
            return status;
    }
    if (!(op->flags & GNTMAP_host_map))
        return GNTST_okay;
    status = take_host_page(granter, frame, writable);
    if (status == GNTST_okay) {
        status = map_host(frame, op);
        if (status != GNTST_okay)
            drop_host_page(granter, frame, writable);
    }
    if (status != GNTST_okay && (op->flags & GNTMAP_device_map))
        grant_drop_page(frame, writable);
    return status;
}

/* With a reference on granter, which goes to the mapping on success. */
static int16_t map_from(struct domain *granter, struct gnttab_map_grant_ref *op)
{
    struct grant_table *t = current->domain->grant;
    unsigned int kinds = grant_kinds(op->flags, op->flags), handle = maptrack_alloc(t);
    struct mapping m = {.granter = granter, .ref = op->ref};
    struct granted what;
    int16_t status;

    if (handle == NO_HANDLE)
        return GNTST_no_space;
    status = grant_pin(granter, op->ref, current->domain->id, kinds, USE_MAP, &what);
    if (status == GNTST_okay) {
        status = map_parts(granter, what.frame, op);
        if (status != GNTST_okay)
            grant_unpin(granter, op->ref, kinds);
    }
    if (status != GNTST_okay) {
        maptrack_free(t, handle);
        return status;
    }
    m.frame = (uint32_t)what.frame; /* a frame of RAM: see the assertion on DIRECTMAP_SIZE */
    m.flags = op->flags & (MAP_PARTS | GNTMAP_readonly | GNTMAP_contains_pte);
    maptrack_commit(t, handle, &m);
    op->handle = handle;
    /* Translated domains are not told machine addresses. */
    op->dev_bus_addr = paging_mode_translate(current->domain) ? 0 : maddr_x(mfn_to_maddr(_mfn(m.frame)));
    return GNTST_okay;
}

/* Translated domains have neither devices nor page-table entries of their own to put a grant into. */
static int16_t check_flags(unsigned int flags)
{
    if (!(flags & MAP_PARTS))
        return GNTST_bad_gntref;
    return paging_mode_translate(current->domain) && (flags & (GNTMAP_device_map | GNTMAP_contains_pte))
               ? GNTST_general_error
               : GNTST_okay;
}

int grant_map_one(struct gnttab_map_grant_ref *op)
{
    struct domain *granter;

    op->status = check_flags(op->flags);
    if (op->status != GNTST_okay)
        return 0;
    granter = op->dom == DOMID_SELF ? NULL : domain_get(op->dom);
    op->status = GNTST_bad_domain;
    if (granter && granter->grant) {
        grant_begin(granter);
        grant_begin(current->domain);
        op->status = map_from(granter, op);
        grant_end(current->domain);
        grant_end(granter); /* which has its reference: another CPU may have unmapped it already */
    }
    if (granter && op->status != GNTST_okay)
        domain_put(granter);
    return op->status == GRANT_RESTART ? -ERESTART : 0;
}

/* -EINVAL also for what a P2M has no place for: an address of another entry, flags in one. */
static int remove_gfn(const struct unmap *u, bool contains_pte, bool readonly)
{
    if (contains_pte || u->new_addr)
        return -EINVAL;
    return p2m_remove_grant(current->domain, host_gfn(u->host_addr), _mfn(u->m.frame), readonly);
}

static int16_t remove_host_entry(const struct unmap *u)
{
    struct domain *d = current->domain;
    bool readonly = u->m.flags & GNTMAP_readonly, contains_pte = u->m.flags & GNTMAP_contains_pte;
    int rc;

    if (paging_mode_translate(d))
        rc = remove_gfn(u, contains_pte, readonly);
    else if (!u->replace || !u->new_addr)
        rc = pv_grant_unmap_pte(d, u->host_addr, contains_pte, _mfn(u->m.frame), readonly, _pte(0));
    else
        rc = contains_pte ? -EINVAL : pv_grant_replace_pte(d, u->host_addr, _mfn(u->m.frame), readonly, u->new_addr);
    return rc == -ERESTART ? GRANT_RESTART : rc ? GNTST_general_error : GNTST_okay;
}

/* First half: reserves the handle and removes the host entry. */
static void unmap_begin(struct unmap *u)
{
    u->gone = 0;
    grant_begin(current->domain);
    if (!maptrack_reserve(current->domain->grant, u->handle, &u->m)) {
        grant_end(current->domain);
        u->status = GNTST_bad_handle;
        return;
    }
    grant_begin(u->m.granter);
    u->status = GNTST_okay;
    if (u->dev_bus_addr && u->dev_bus_addr != maddr_x(mfn_to_maddr(_mfn(u->m.frame))))
        u->status = GNTST_general_error;
    else if (u->host_addr && (u->m.flags & GNTMAP_host_map)) {
        u->status = remove_host_entry(u);
        if (u->status == GNTST_okay)
            u->gone |= GNTMAP_host_map;
    }
    if (u->status == GNTST_okay && u->dev_bus_addr)
        u->gone |= u->m.flags & GNTMAP_device_map;
}

/* Second half, after the flush. */
static void unmap_finish(struct unmap *u)
{
    bool writable = !(u->m.flags & GNTMAP_readonly);

    if (u->status == GNTST_bad_handle)
        return;
    if ((u->gone & GNTMAP_host_map) && !paging_mode_translate(current->domain))
        drop_host_page(u->m.granter, u->m.frame, writable);
    if (u->gone & GNTMAP_device_map)
        grant_drop_page(u->m.frame, writable);
    if (u->gone)
        grant_unpin(u->m.granter, u->m.ref, grant_kinds(u->m.flags, u->gone));
    if (maptrack_unreserve(current->domain->grant, u->handle, u->gone))
        domain_put(u->m.granter);
    grant_end(current->domain);
    grant_end(u->m.granter);
}

unsigned int grant_unmap_batch(struct unmap *u, unsigned int n)
{
    unsigned int begun = 0, restart = 0;
    bool flush = false;

    while (begun < n && !restart) {
        unmap_begin(&u[begun]);
        flush |= u[begun].gone & GNTMAP_host_map;
        restart = u[begun++].status == GRANT_RESTART;
    }
    if (flush && !paging_mode_translate(current->domain))
        tlb_flush_mask((cpumask_t){READ_ONCE(current->domain->dirty_cpus.bits)});
    for (unsigned int i = 0; i < begun; i++)
        unmap_finish(&u[i]);
    return begun - restart;
}
