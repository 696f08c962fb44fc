/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * domctl: the size of a domain's paging pool, by its old name (in MiB) and its new one (in bytes), and the log of
 * stores to its memory. A PV domain has a pool for the log only, and by the old name only. A call that is preempted
 * needs no progress of its own: the pool knows how large it is, the log how far it has come. A reading of the log
 * carries its token in mb, for which it has no other use.
 */
#include "domctl.h"

#include <hv/paging_pool.h>
#include <hv/shadow.h>

#define MIB_SHIFT (20 - PAGE_SHIFT)

static long read_log(struct domain *d, struct xen_domctl_shadow_op *s, bool *copyback)
{
    struct logdirty_read r = {
        .clean = s->op == XEN_DOMCTL_SHADOW_OP_CLEAN, .bitmap = s->dirty_bitmap.p, .pages = s->pages, .token = s->mb};
    int rc;

    if (s->mode & ~XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) /* what others may store to is always in it */
        return -EINVAL;
    rc = logdirty_read(d, &r);
    *copyback = !rc || rc == -ERESTART;
    s->mb = rc == -ERESTART ? r.token : 0;
    if (!rc) {
        s->pages = r.pages;
        s->stats = (struct xen_domctl_shadow_op_stats){r.fault_count, r.dirty_count};
    }
    return rc;
}

static long log_op(struct domain *d, struct xen_domctl_shadow_op *s, bool *copyback)
{
    if (d == current->domain)
        return -EINVAL;
    switch (s->op) {
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
        return s->mode & XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY ? logdirty_enable(d) : -EINVAL;
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        return logdirty_enable(d);
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return logdirty_disable(d);
    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
        return read_log(d, s, copyback);
    default:
        return -EINVAL;
    }
}

/* PV has no pool before somebody wants one; while there are shadows it is not made too small for them. */
static long set_allocation(struct domain *d, unsigned long frames)
{
    int rc;

    if (paging_mode_translate(d))
        return paging_pool_resize(d, frames);
    if (d->shadow && frames < shadow_pv_least(d))
        return -EBUSY;
    rc = d->dying ? -EINVAL : logdirty_pv_init(d);
    if (!rc)
        rc = paging_pool_resize(d, frames);
    if (!rc) /* one that it did not get is not what anybody chose */
        d->pv.pool_chosen = frames != 0;
    return rc;
}

static unsigned long allocation(const struct domain *d)
{
    return d->paging_pool ? d->paging_pool->size : 0;
}

long domctl_shadow_op(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_shadow_op *s = &op->u.shadow_op;

    if (d->is_control)
        return -EINVAL;
    switch (s->op) {
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        s->mb = (uint32_t)(ROUND_UP(allocation(d), 1ul << MIB_SHIFT) >> MIB_SHIFT);
        *copyback = true;
        return 0;
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        return set_allocation(d, (unsigned long)s->mb << MIB_SHIFT);
    default:
        return log_op(d, s, copyback);
    }
}

long domctl_get_mempool(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    if (!paging_mode_translate(d))
        return -EOPNOTSUPP;
    op->u.paging_mempool.size = d->paging_pool->size << PAGE_SHIFT;
    *copyback = true;
    return 0;
}

long domctl_set_mempool(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint64_t size = op->u.paging_mempool.size;

    if (!paging_mode_translate(d))
        return -EOPNOTSUPP;
    return size % PAGE_SIZE ? -EINVAL : paging_pool_resize(d, size >> PAGE_SHIFT);
}
