// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the page-table hypercalls share: naming a domain, the encoding of a batch in progress, flushes on behalf of the
 * guest. A batch is restarted with its first argument advanced, its count reduced and marked; how many requests were
 * done so far is kept in the guest's own success counter, if it gave one.
 */
#include <hv/guest_copy.h>
#include "pt.h"

int pv_named_domain(domid_t id, struct domain **out)
{
    struct domain *self = current->domain, *d;

    if (id == DOMID_SELF)
        d = self;
    else if (id == DOMID_IO)
        d = dom_io;
    else if (!self->is_control)
        return -EPERM;
    else if (id == self->id)
        return -ESRCH;
    else if (id == DOMID_XEN)
        d = dom_xen;
    else {
        *out = domain_get(id);
        return *out ? 0 : -ESRCH;
    }
    domain_hold(d);
    *out = d;
    return 0;
}

int pv_check_table_owner(const struct domain *d)
{
    if (d->is_system)
        return -EPERM;
    return paging_mode_translate(d) ? -EINVAL : 0;
}

int pv_batch_begin(struct pv_batch *b, unsigned long count, unsigned long pdone)
{
    b->count = (unsigned int)count & ~BATCH_RESTARTED;
    b->done = 0;
    b->pdone = guest_ptr(unsigned int, pdone);
    if (((unsigned int)count & BATCH_RESTARTED) && b->pdone)
        return copy_from_guest(&b->done, b->pdone, 1);
    return 0;
}

long pv_batch_end(const struct pv_batch *b, long rc)
{
    if (b->pdone && copy_to_guest(b->pdone, &b->done, 1))
        return -EFAULT;
    return rc;
}

void pv_flush(cpumask_t mask, bool one, unsigned long linear)
{
    if (cpumask_empty(mask))
        return;
    if (one)
        tlb_flush_one_mask(mask, linear);
    else
        tlb_flush_mask(mask);
}

int pv_vcpumask(const void *guest_mask, cpumask_t *mask)
{
    const struct domain *d = current->domain;
    uint64_t bits;

    static_assert(MAX_VIRT_CPUS == 64, "a guest's vCPU bitmap is one word");
    if (guest_copy_from(&bits, guest_mask, sizeof(bits)))
        return -EFAULT;
    *mask = CPUMASK_NONE;
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = d->vcpu[i];

        if (((bits >> i) & 1) && v && READ_ONCE(v->is_running))
            cpumask_set(mask, READ_ONCE(v->processor) % NR_CPUS);
    }
    mask->bits &= READ_ONCE(d->dirty_cpus.bits);
    return 0;
}
