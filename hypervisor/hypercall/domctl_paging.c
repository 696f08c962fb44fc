/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * domctl: the size of a translated domain's paging pool, by its old name (in MiB) and its new one (in bytes). A call
 * that is preempted needs no progress of its own: the pool knows how large it is. Of shadow_op's other commands there
 * are none yet, and for PV domains none at all.
 */
#include "domctl.h"

#include <hv/paging_pool.h>

#define MIB_SHIFT (20 - PAGE_SHIFT)

long domctl_shadow_op(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_shadow_op *s = &op->u.shadow_op;

    if (!paging_mode_translate(d))
        return -EINVAL;
    switch (s->op) {
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        s->mb = (uint32_t)(ROUND_UP(d->paging_pool->size, 1ul << MIB_SHIFT) >> MIB_SHIFT);
        *copyback = true;
        return 0;
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        return paging_pool_resize(d, (unsigned long)s->mb << MIB_SHIFT);
    default:
        return -EINVAL;
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
