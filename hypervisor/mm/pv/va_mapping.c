// SPDX-License-Identifier: BSD-2-Clause
/*
 * update_va_mapping: one store to the L1 entry that maps a linear address of the caller, and a flush in the same call.
 * The flush is done as asked even when the store is refused.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include "pt.h"

static int update_entry(unsigned long linear, uint64_t value, struct domain *pg_owner)
{
    struct domain *d = current->domain;
    struct page_info *table;
    int rc = -EINVAL;

    spin_lock(&d->pv.pt_lock);
    table = pt_walk(current, linear);
    if (table)
        rc = pt_update(&(struct pt_request){
            .pt_owner = d,
            .pg_owner = pg_owner,
            .table = table,
            .index = pt_index(linear, 1),
            .entry = _pte(value),
        });
    spin_unlock(&d->pv.pt_lock);
    return rc;
}

/* The upper bits of flags: nothing for this CPU, UVMF_ALL, or a pointer to a bitmap of vCPUs. */
static int flush_mask(unsigned long flags, cpumask_t *mask)
{
    unsigned long whom = flags & ~UVMF_FLUSHTYPE_MASK;

    if (whom == UVMF_LOCAL)
        *mask = cpumask_of(smp_processor_id());
    else if (whom == UVMF_ALL)
        mask->bits = READ_ONCE(current->domain->dirty_cpus.bits);
    else
        return pv_vcpumask(guest_ptr(const void, whom), mask);
    return 0;
}

static int flush_as_asked(unsigned long linear, unsigned long flags)
{
    unsigned long kind = flags & UVMF_FLUSHTYPE_MASK;
    cpumask_t mask;
    int rc;

    if (kind != UVMF_TLB_FLUSH && kind != UVMF_INVLPG)
        return kind == UVMF_NONE ? 0 : -EINVAL;
    rc = flush_mask(flags, &mask);
    if (!rc && (kind == UVMF_TLB_FLUSH || guest_range_ok(linear, 1)))
        pv_flush(mask, kind == UVMF_INVLPG, linear);
    return rc;
}

static long update_and_flush(const struct hcall *hc, struct domain *pg_owner)
{
    int rc = update_entry(hc->arg[0], hc->arg[1], pg_owner);
    int flushed = flush_as_asked(hc->arg[0], hc->arg[2]);

    return rc ? rc : flushed;
}

long do_update_va_mapping(struct hcall *hc)
{
    return update_and_flush(hc, current->domain);
}

long do_update_va_mapping_otherdomain(struct hcall *hc)
{
    struct domain *pg_owner;
    long rc = pv_named_domain((domid_t)hc->arg[3], &pg_owner);

    if (rc)
        return rc;
    rc = update_and_flush(hc, pg_owner);
    domain_put(pg_owner);
    return rc;
}
