/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_op for translated domains: the hypervisor keeps what their guest frames stand for (mm/p2m), so giving and
 * taking memory is changing that. PV domains keep their own map and come here only to be refused.
 *
 * Memory that is given up, and memory that something else takes the place of, leaves the domain. Extents are aligned to
 * their size, and happen as a whole or not at all.
 */
#include "memory_op.h"

#include <hv/grant.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/sched.h>

int physmap_populate(struct domain *d, xen_pfn_t gfn, unsigned int order, unsigned int memf)
{
    struct page_info *pg;
    int rc = order <= P2M_ORDER_2M ? p2m_vacate(d, _gfn(gfn), order) : 0;

    if (!rc)
        rc = populate_domain_pages(d, order, memf, &pg);
    if (rc)
        return rc;
    rc = p2m_place(d, _gfn(gfn), pg, order);
    for (unsigned long i = 0; rc && i < 1ul << order; i++)
        release_own_frame(d, mfn_add(page_to_mfn(pg), i));
    return rc;
}

int physmap_release(struct domain *d, xen_pfn_t gfn, unsigned int order)
{
    struct p2m_range r = {.gfn = _gfn(gfn), .order = order, .type = P2M_MMIO_DM, .only_ram = true};

    return p2m_set(d, &r);
}

/* ---- add_to_physmap: something that exists gets a guest frame ---- */

struct addition {
    struct domain *d;
    unsigned int space;
    domid_t foreign;
    unsigned long idx;
    gfn_t gfn;
};

static int add_grant_frame(const struct addition *a)
{
    unsigned long idx = a->idx & ~(unsigned long)XENMAPIDX_grant_table_status;
    mfn_t m = INVALID_MFN;
    int rc = idx != a->idx ? grant_get_status_frame(a->d, idx, &m) : grant_get_frame(a->d, idx, &m);

    return rc ? rc : p2m_move(a->d, mfn_to_page(m), a->gfn);
}

/* Memory that the domain has elsewhere moves here. */
static int add_own_frame(const struct addition *a)
{
    enum p2m_type type;
    struct page_info *pg = p2m_get_page(a->d, _gfn(a->idx), &type);
    int rc = -EINVAL;

    if (!pg)
        return -EINVAL;
    if (p2m_is_ram(type))
        rc = p2m_move(a->d, pg, a->gfn);
    put_page(pg);
    return rc;
}

static int map_foreign(const struct addition *a, struct domain *owner)
{
    struct p2m_range r = {.gfn = a->gfn, .type = P2M_FOREIGN};
    struct page_info *pg = get_writable_page(owner, _gfn(a->idx));
    int rc;

    if (!pg)
        return -EINVAL;
    r.mfn = page_to_mfn(pg);
    rc = p2m_set(a->d, &r);
    if (rc)
        put_page_and_type(pg);
    return rc;
}

static int add_foreign_frame(const struct addition *a)
{
    struct domain *owner;
    int rc;

    if (!current->domain->is_control)
        return -EPERM;
    owner = domain_get(a->foreign);
    if (!owner)
        return -ESRCH;
    rc = map_foreign(a, owner);
    domain_put(owner);
    return rc;
}

static int add_shared_info(const struct addition *a)
{
    int rc = p2m_move(a->d, virt_to_page(a->d->shared_info), a->gfn);

    if (!rc && a->d == current->domain)
        hvm_latch_width(a->d);
    return rc;
}

static int add_one(const struct addition *a)
{
    switch (a->space) {
    case XENMAPSPACE_shared_info:
        return a->idx ? -EINVAL : add_shared_info(a);
    case XENMAPSPACE_grant_table:
        return add_grant_frame(a);
    case XENMAPSPACE_gmfn:
    case XENMAPSPACE_gmfn_range:
        return add_own_frame(a);
    case XENMAPSPACE_gmfn_foreign:
        return add_foreign_frame(a);
    default:
        return -EINVAL;
    }
}

/* The domain of a call that is for translated ones, with a reference. */
static int get_translated(domid_t id, struct domain **d)
{
    *d = get_target_domain(id);
    if (!*d)
        return -ESRCH;
    if (paging_mode_translate(*d))
        return 0;
    domain_put(*d);
    return -EACCES;
}

/* From element start on; where it goes on is put into the command's upper bits. */
long physmap_add(struct hcall *hc, unsigned int start, unsigned int cmd_bits)
{
    struct xen_add_to_physmap x;
    unsigned int n, i = start;
    struct domain *d;
    long rc;

    if (copy_from_guest(&x, guest_ptr(struct xen_add_to_physmap, hc->arg[1]), 1))
        return -EFAULT;
    rc = get_translated(x.domid, &d);
    if (rc)
        return rc;
    n = x.space == XENMAPSPACE_gmfn_range ? x.size : 1;
    if (x.space == XENMAPSPACE_gmfn_foreign) /* whose frame it is can only be said in a batch */
        rc = -ENOSYS;
    else if (start > n)
        rc = -EINVAL;
    while (!rc && i < n) {
        rc = add_one(&(struct addition){d, x.space, DOMID_INVALID, x.idx + i, _gfn(x.gpfn + i)});
        if (!rc && ++i < n && preempt_needed())
            rc = -ERESTART;
    }
    domain_put(d);
    if (rc != -ERESTART)
        return rc;
    hc->arg[0] = XENMEM_add_to_physmap | ((unsigned long)i << cmd_bits);
    return hypercall_restart(hc);
}

/* One element: its arguments are copied, done, and answered. */
static int batch_element(struct domain *d, const struct xen_add_to_physmap_batch *b, unsigned int i)
{
    struct addition a = {.d = d, .space = b->space, .foreign = b->u.foreign_domid};
    int rc;

    if (copy_from_guest(&a.idx, b->idxs.p + i, 1) || guest_copy_from(&a.gfn.n, b->gpfns.p + i, sizeof(a.gfn.n)))
        return -EFAULT;
    rc = add_one(&a);
    if (rc == -ERESTART)
        return rc;
    return copy_to_guest(b->errs.p + i, &rc, 1) ? -EFAULT : 0;
}

static int check_batch(const struct xen_add_to_physmap_batch *b, unsigned int start)
{
    if (start > b->size)
        return -EILSEQ;
    if (b->space == XENMAPSPACE_gmfn_range)
        return -EOPNOTSUPP;
    return b->space != XENMAPSPACE_gmfn_foreign && b->u.res0 ? -EINVAL : 0;
}

long physmap_add_batch(struct hcall *hc, unsigned int start, unsigned int cmd_bits)
{
    struct xen_add_to_physmap_batch b;
    unsigned int i = start;
    struct domain *d;
    long rc;

    if (copy_from_guest(&b, guest_ptr(struct xen_add_to_physmap_batch, hc->arg[1]), 1))
        return -EFAULT;
    rc = get_translated(b.domid, &d);
    if (rc)
        return rc;
    rc = check_batch(&b, start);
    while (!rc && i < b.size) {
        rc = batch_element(d, &b, i);
        if (!rc && ++i < b.size && preempt_needed())
            rc = -ERESTART;
    }
    domain_put(d);
    if (rc != -ERESTART)
        return rc;
    hc->arg[0] = XENMEM_add_to_physmap_batch | ((unsigned long)i << cmd_bits);
    return hypercall_restart(hc);
}

long physmap_remove(struct hcall *hc)
{
    struct p2m_range r = {.type = P2M_MMIO_DM};
    struct xen_remove_from_physmap x;
    enum p2m_type type;
    struct domain *d;
    long rc;

    if (copy_from_guest(&x, guest_ptr(struct xen_remove_from_physmap, hc->arg[1]), 1))
        return -EFAULT;
    rc = get_translated(x.domid, &d);
    if (rc)
        return rc;
    r.gfn = _gfn(x.gpfn);
    type = p2m_lookup(d, r.gfn).type;
    if (type == P2M_MMIO_DM)
        rc = -ENOENT;
    else
        rc = type == P2M_MMIO_DIRECT ? -EPERM : p2m_set(d, &r);
    domain_put(d);
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}
