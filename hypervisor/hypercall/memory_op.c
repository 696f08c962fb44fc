/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_op: the dispatcher and the sub-calls that only inform. The command word carries, above its low six bits, the
 * extent at which a preempted call goes on (<xen/memory.h>).
 */
#include "memory_op.h"

#include <hv/boot.h>
#include <hv/grant.h>
#include <hv/guest_copy.h>
#include <hv/layout.h>
#include <hv/p2m.h>
#include <hv/sched.h>

#define CMD_BITS 6

static long machphys_mapping(unsigned long guest)
{
    struct xen_machphys_mapping m = {
        .v_start = RO_M2P_VIRT_START,
        .v_end = RO_M2P_VIRT_END,
        .max_mfn = max_page - 1,
    };

    return guest_copy_to((void *)guest, &m, sizeof(m));
}

/* One frame number per 2 MiB of the table: the part that covers RAM. */
static long machphys_list(unsigned long guest)
{
    struct xen_machphys_mfn_list l;
    unsigned int n = 0;

    if (guest_copy_from(&l, (void *)guest, sizeof(l)))
        return -EFAULT;
    for (unsigned long v = RW_M2P_VIRT_START; n < l.max_extents && v < RW_M2P_VIRT_START + max_page * 8;
         v += 2ul << 20, n++) {
        xen_pfn_t mfn = m2p_frame(v).n;

        if (guest_copy_to(l.extent_start.p + n, &mfn, sizeof(mfn)))
            return -EFAULT;
    }
    l.nr_extents = n;
    return guest_copy_to((void *)guest, &l, sizeof(l));
}

static long domain_info(unsigned int cmd, unsigned long guest)
{
    struct domain *d;
    domid_t id;
    long rc = 0;

    if (guest_copy_from(&id, (void *)guest, sizeof(id)))
        return -EFAULT;
    d = get_target_domain(id);
    if (!d)
        return -ESRCH;
    if (cmd == XENMEM_current_reservation)
        rc = (long)d->tot_pages;
    else if (cmd == XENMEM_maximum_reservation)
        rc = (long)MIN(d->max_pages, (uint64_t)INT64_MAX);
    else if (paging_mode_translate(d))
        rc = (long)p2m_max_gfn(d);
    else { /* the guest's own word, 0 until it gives it */
        unsigned long pfns = READ_ONCE(d->shared_info->arch.max_pfn);

        rc = pfns ? (long)(pfns - 1) : 0;
    }
    domain_put(d);
    return rc;
}

static bool is_status(const struct xen_mem_acquire_resource *r)
{
    return r->id == XENMEM_resource_grant_table_id_status;
}

/* Writes the list of frames from number *start on; *start follows. */
static long list_resource(struct domain *d, const struct xen_mem_acquire_resource *r, unsigned int *start)
{
    for (; *start < r->nr_frames; ++*start) {
        unsigned long idx = r->frame + *start;
        mfn_t m = INVALID_MFN;
        long rc = is_status(r) ? grant_get_status_frame(d, idx, &m) : grant_get_frame(d, idx, &m);

        if (!rc)
            rc = guest_copy_to(r->frame_list.p + *start, &m.n, sizeof(m.n));
        if (rc)
            return rc;
        if (*start + 1 < r->nr_frames && preempt_needed()) {
            ++*start;
            return -ERESTART;
        }
    }
    return 0;
}

/* The frames of a resource that the caller will map by page-table updates naming the domain. */
static long acquire_resource(struct hcall *hc, unsigned int start)
{
    struct xen_mem_acquire_resource r;
    struct xen_mem_acquire_resource *g = guest_ptr(struct xen_mem_acquire_resource, hc->arg[1]);
    struct domain *d;
    long rc;

    if (copy_from_guest(&r, g, 1))
        return -EFAULT;
    if (r.pad)
        return -EINVAL;
    if (r.type != XENMEM_resource_grant_table || r.id > XENMEM_resource_grant_table_id_status)
        return -EINVAL;
    d = get_target_domain(r.domid);
    if (!d)
        return -ESRCH;
    if (r.frame_list.p) {
        rc = list_resource(d, &r, &start);
    } else if (r.nr_frames || start) { /* with neither it asks how many there are */
        rc = -EINVAL;
    } else {
        r.nr_frames = is_status(&r) ? grant_max_status_frames(d) : grant_max_frames(d);
        rc = r.nr_frames ? copy_field_to_guest(g, &r, nr_frames) : -EINVAL;
    }
    domain_put(d);
    if (rc != -ERESTART)
        return rc;
    hc->arg[0] = XENMEM_acquire_resource | ((unsigned long)start << CMD_BITS);
    return hypercall_restart(hc);
}

/* What Xen says no to when it is about a PV domain, after a look at whom it is about. */
static long refuse_for(unsigned long guest, long error)
{
    struct domain *d;
    domid_t id;

    if (guest_copy_from(&id, (void *)guest, sizeof(id)))
        return -EFAULT;
    d = get_target_domain(id);
    if (!d)
        return -ESRCH;
    domain_put(d);
    return error;
}

void set_owned_gpfns(struct domain *d, mfn_t first, unsigned long pfn, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        mfn_t m = _mfn(first.n + i);
        struct page_info *pg = get_page_from_mfn(m, d);

        if (!pg)
            continue;
        logdirty_set_gpfn(d, m, pfn + i);
        put_page(pg);
    }
}

struct domain *get_target_domain(domid_t id)
{
    struct domain *d = domain_get(id);

    if (d && d != current->domain && !current->domain->is_control) {
        domain_put(d);
        return NULL;
    }
    return d;
}

/* Tells of machine frames, which translated domains have no use for. */
static bool shows_machine(unsigned int cmd)
{
    return cmd == XENMEM_machphys_mapping || cmd == XENMEM_machphys_mfn_list || cmd == XENMEM_machine_memory_map ||
           cmd == XENMEM_acquire_resource;
}

long do_memory_op(struct hcall *hc)
{
    unsigned int cmd = hc->arg[0] & ((1u << CMD_BITS) - 1);
    unsigned int start = (unsigned int)(hc->arg[0] >> CMD_BITS);
    unsigned long guest = hc->arg[1];

    if (paging_mode_translate(current->domain) && shows_machine(cmd))
        return cmd == XENMEM_acquire_resource ? -EPERM : -ENOSYS;
    switch (cmd) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return memory_reservation(hc, cmd, start, CMD_BITS);
    case XENMEM_exchange:
        return memory_exchange(hc, guest);
    case XENMEM_maximum_ram_page:
        return (long)max_page;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return domain_info(cmd, guest);
    case XENMEM_machphys_mapping:
        return machphys_mapping(guest);
    case XENMEM_machphys_mfn_list:
        return machphys_list(guest);
    case XENMEM_machine_memory_map:
        return machine_memory_map(guest);
    case XENMEM_memory_map:
        return memory_map(guest);
    case XENMEM_set_memory_map:
        return set_memory_map(guest);
    case XENMEM_claim_pages:
        return start ? -EINVAL : memory_claim(guest);
    case XENMEM_acquire_resource:
        return acquire_resource(hc, start);
    case XENMEM_reserved_device_memory_map:
        return reserved_device_memory(guest);
    case XENMEM_get_sharing_freed_pages:
    case XENMEM_get_sharing_shared_pages:
        return 0; /* nothing is shared so */
    case XENMEM_add_to_physmap:
        return physmap_add(hc, start, CMD_BITS);
    case XENMEM_add_to_physmap_batch:
        return physmap_add_batch(hc, start, CMD_BITS);
    case XENMEM_remove_from_physmap:
        return physmap_remove(hc);
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
        return refuse_for(guest, current->domain->is_control ? -EINVAL : -EPERM);
    case XENMEM_get_vnumainfo:
        return refuse_for(guest, -EOPNOTSUPP);
    case XENMEM_machphys_compat_mfn_list:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}
