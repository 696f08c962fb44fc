/* SPDX-License-Identifier: BSD-2-Clause */
/* domctl: permissions for machine resources, frame types, time-stamp counter mode. A domain is never given more than
 * the caller has. */
#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/p2m.h>
#include <hv/sched.h>
#include <hv/timer.h>

#define TSC_MODE_NEVER_EMULATE 2 /* tsc_mode; 0 is the default, 1 always */

#define BATCH 64

static int change(struct rangeset *r, uint64_t start, uint64_t end, bool allow)
{
    return allow ? rangeset_add(r, start, end) : rangeset_remove(r, start, end);
}

long domctl_ioport(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint32_t first = op->u.ioport_permission.first_port, n = op->u.ioport_permission.nr_ports;

    if (n == 0 || first >= 65536 || n > 65536 - first)
        return -EINVAL;
    if (!ioport_permitted(current->domain, first, n))
        return -EPERM;
    return change(d->ioport_caps, first, first + n - 1, op->u.ioport_permission.allow_access);
}

long domctl_iomem(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint64_t first = op->u.iomem_permission.first_mfn, n = op->u.iomem_permission.nr_mfns;

    if (n == 0 || first + n - 1 < first || (first + n - 1) >> 40)
        return -EINVAL;
    if (!rangeset_contains(current->domain->iomem_caps, first, first + n - 1))
        return -EPERM;
    return change(d->iomem_caps, first, first + n - 1, op->u.iomem_permission.allow_access);
}

long domctl_irq(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    unsigned int pirq = op->u.irq_permission.pirq;

    if (!irq_permitted(current->domain, pirq))
        return -EPERM;
    return change(d->irq_caps, pirq, pirq, op->u.irq_permission.allow_access);
}

/*
 * What a saver needs to know of a frame. What is not the domain's own memory - frames that the hypervisor shares with
 * it, others' frames - does not go along: where it arrives it has others. Source: XEN_DOMCTL_PFINFO_* of
 * <xen/domctl.h>.
 */
static xen_pfn_t frame_info(struct domain *d, gfn_t gfn)
{
    enum p2m_type type;
    struct page_info *pg = get_page_from_gfn(d, gfn, &type);
    xen_pfn_t info = XEN_DOMCTL_PFINFO_NOTAB;

    if (!pg)
        return XEN_DOMCTL_PFINFO_XTAB;
    if (!p2m_is_ram(type) || (READ_ONCE(pg->count_info) & PGC_hv_page))
        info = XEN_DOMCTL_PFINFO_XTAB;
    else if (page_type(pg) >= PT_L1 && page_type(pg) <= PT_L4)
        info = (xen_pfn_t)page_type(pg) << XEN_DOMCTL_PFINFO_LTAB_SHIFT;
    if (READ_ONCE(pg->type_info) & PGT_pinned)
        info |= XEN_DOMCTL_PFINFO_LPINTAB;
    put_page(pg);
    return info;
}

/* The answers stand where the questions were: a restart goes on with the rest of the array, as the structure then says.
 */
long domctl_pageframeinfo(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_getpageframeinfo3 *p = &op->u.getpageframeinfo3;
    xen_pfn_t buf[BATCH];

    if (p->num > 1024)
        return -E2BIG;
    while (p->num) {
        unsigned int count = (unsigned int)MIN(p->num, (uint64_t)BATCH);

        if (copy_from_guest(buf, p->array.p, count))
            return -EFAULT;
        for (unsigned int i = 0; i < count; i++)
            buf[i] = frame_info(d, _gfn(buf[i]));
        if (copy_to_guest(p->array.p, buf, count))
            return -EFAULT;
        p->num -= count;
        p->array.p += count;
        stretch_work(count);
        if (p->num && preempt_needed()) {
            *copyback = true;
            return -ERESTART;
        }
    }
    return 0;
}

/* The counter is native in every mode. What a tool has set is kept for whoever saves the domain. */
long domctl_settscinfo(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    const struct xen_domctl_tsc_info *t = &op->u.tsc_info;

    if (d == current->domain || t->tsc_mode > TSC_MODE_NEVER_EMULATE)
        return -EINVAL;
    d->tsc = (struct domain_tsc){
        .mode = t->tsc_mode,
        .incarnation = t->incarnation + 1,
        .start = (s_time_t)((uint64_t)system_time() - t->elapsed_nsec),
    };
    return 0;
}

long domctl_gettscinfo(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_tsc_info *t = &op->u.tsc_info;
    int64_t elapsed = (int64_t)((uint64_t)system_time() - (uint64_t)d->tsc.start);

    if (d == current->domain)
        return -EINVAL;
    t->tsc_mode = d->tsc.mode;
    t->gtsc_khz = (uint32_t)tsc_khz;
    t->incarnation = d->tsc.incarnation;
    t->elapsed_nsec = d->tsc.mode == TSC_MODE_NEVER_EMULATE || elapsed < 0 ? 0 : (uint64_t)elapsed;
    *copyback = true;
    return 0;
}
