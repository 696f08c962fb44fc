/* SPDX-License-Identifier: BSD-2-Clause */
/* domctl: a domain's life and limits. Source: <xen/domctl.h>. */
#include "domctl.h"

#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/sched.h>

static bool id_taken(domid_t id)
{
    struct domain *d = domain_get(id);

    if (d)
        domain_put(d);
    return d != NULL;
}

/* Ids are handed out round robin, so that one that just died is not at once somebody else's. */
static domid_t next_free_id(void)
{
    static domid_t last;
    domid_t id = domain_unused_id(last);

    if (id != DOMID_INVALID)
        last = id;
    return id;
}

static int check_config(const struct xen_domctl_createdomain *c)
{
    uint32_t hvm = !hvm_ops ? 0 : XEN_DOMCTL_CDF_hvm | (hvm_nested ? XEN_DOMCTL_CDF_hap : 0);
    uint32_t devices = c->flags & XEN_DOMCTL_CDF_hvm ? XEN_X86_EMU_LAPIC : 0; /* all that there is, and it must be */

    if (c->flags & ~(uint32_t)(hvm | XEN_DOMCTL_CDF_xs_domain | XEN_DOMCTL_CDF_s3_integrity | XEN_DOMCTL_CDF_oos_off))
        return c->flags & (XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap) ? -EOPNOTSUPP : -EINVAL;
    if ((c->flags & (XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap)) == XEN_DOMCTL_CDF_hap)
        return -EINVAL;
    if (c->iommu_opts || c->vmtrace_size || c->arch.emulation_flags != devices || c->cpupool_id)
        return -EINVAL;
    if (c->max_vcpus == 0 || c->max_vcpus > MAX_VIRT_CPUS)
        return c->max_vcpus ? -ERANGE : -EINVAL;
    return 0;
}

long domctl_create(struct domain *unused, struct xen_domctl *op, bool *copyback)
{
    domid_t id = op->domain;
    struct domain *d;
    int rc;

    if (id > 0 && id < DOMID_FIRST_RESERVED && id_taken(id))
        return -EEXIST;
    rc = check_config(&op->u.createdomain);
    if (rc)
        return rc;
    if (id == 0 || id >= DOMID_FIRST_RESERVED)
        id = next_free_id();
    if (id == DOMID_INVALID)
        return -ENOMEM;
    rc = domain_create(id, &op->u.createdomain, false, &d);
    if (rc)
        return rc;
    op->domain = id;
    *copyback = true;
    return 0;
}

long domctl_destroy(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    if (d == current->domain || d->is_control)
        return -EINVAL;
    return domain_kill(d);
}

static bool is_self(const struct domain *d)
{
    return d == current->domain;
}

long domctl_pause(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    if (is_self(d))
        return -EINVAL;
    if (d->controller_pause_count >= 255)
        return -EOVERFLOW;
    d->controller_pause_count++;
    domain_pause(d);
    return 0;
}

long domctl_unpause(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    if (is_self(d) || d->controller_pause_count == 0 || d->dying)
        return -EINVAL;
    d->controller_pause_count--;
    domain_unpause(d);
    return 0;
}

long domctl_resume(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    if (is_self(d))
        return -EINVAL;
    domain_resume(d);
    return 0;
}

static uint32_t vcpu_flags(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    uint32_t flags = XEN_DOMINF_blocked;
    struct vcpu *v;

    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    for_each_vcpu (d, v) {
        info->cpu_time += vcpu_cpu_time(v);
        info->max_vcpu_id = v->vcpu_id;
        if (test_bit(VPF_down, &v->pause_flags))
            continue;
        info->nr_online_vcpus++;
        if (!(READ_ONCE(v->pause_flags) & (1ul << VPF_blocked)))
            flags &= ~(uint32_t)XEN_DOMINF_blocked;
        if (v->is_running)
            flags |= XEN_DOMINF_running;
    }
    return info->nr_online_vcpus ? flags : 0;
}

void get_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = d->id;
    info->flags = vcpu_flags(d, info);
    if (d->dying == DOM_DEAD)
        info->flags |= XEN_DOMINF_dying;
    if (d->is_shut_down)
        info->flags |= XEN_DOMINF_shutdown;
    if (d->controller_pause_count)
        info->flags |= XEN_DOMINF_paused;
    if (d->config.flags & XEN_DOMCTL_CDF_hvm)
        info->flags |= XEN_DOMINF_hvm_guest;
    if (d->config.flags & XEN_DOMCTL_CDF_hap)
        info->flags |= XEN_DOMINF_hap;
    if (d->config.flags & XEN_DOMCTL_CDF_xs_domain)
        info->flags |= XEN_DOMINF_xs_domain;
    info->flags |= d->shutdown_code << XEN_DOMINF_shutdownshift;
    info->tot_pages = d->tot_pages;
    info->max_pages = d->max_pages;
    info->outstanding_pages = READ_ONCE(d->claimed_pages);
    info->shared_info_frame = virt_to_mfn(d->shared_info).n;
    memcpy(info->handle, d->handle, sizeof(info->handle));
    info->gpaddr_bits = 52;
    info->arch_config = d->config.arch;
}

long domctl_getinfo(struct domain *unused, struct xen_domctl *op, bool *copyback)
{
    struct domain *d = domain_get_next(op->domain);

    if (!d)
        return -ESRCH;
    get_domain_info(d, &op->u.getdomaininfo);
    op->domain = d->id;
    domain_put(d);
    *copyback = true;
    return 0;
}

long domctl_max_mem(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint64_t pages = op->u.max_mem.max_memkb >> (PAGE_SHIFT - 10);

    spin_lock(&d->page_alloc_lock);
    d->max_pages = pages;
    spin_unlock(&d->page_alloc_lock);
    return 0;
}

/* The number was fixed at creation; this call makes the vCPUs. Calling it again changes nothing. */
long domctl_max_vcpus(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    unsigned int max = op->u.max_vcpus.max;

    if (is_self(d) || max != d->max_vcpus || d->dying)
        return -EINVAL;
    for (unsigned int i = 0; i < max; i++) {
        int rc;

        if (d->vcpu[i])
            continue;
        rc = vcpu_create(d, i);
        if (rc)
            return rc;
        if (i + 1 < max && preempt_needed())
            return -ERESTART;
    }
    return 0;
}

long domctl_sethandle(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
    return 0;
}

long domctl_settimeoffset(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    d->time_offset_s = (uint64_t)op->u.settimeoffset.time_offset_seconds;
    time_update_wallclock(d);
    return 0;
}

/* Writes the hypercall page into a frame of the PV domain that is built; others make theirs by an MSR. */
long domctl_hypercall_init(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct page_info *pg = NULL;

    if (!paging_mode_translate(d))
        pg = get_writable_page(d, _gfn(op->u.hypercall_init.gmfn));
    if (!pg)
        return -EINVAL;
    hypercall_page_init(page_to_virt(pg));
    put_page_and_type(pg);
    return 0;
}

long domctl_set_virq_handler(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    return set_global_virq_handler(d, op->u.set_virq_handler.virq);
}

long domctl_address_size(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    if (op->cmd == XEN_DOMCTL_set_address_size)
        return op->u.address_size.size == 64 ? 0 : -EINVAL;
    op->u.address_size.size = 64;
    *copyback = true;
    return 0;
}

/* The port by which the domain is to say that it is shut down for suspension. */
long domctl_subscribe(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    WRITE_ONCE(d->suspend_port, op->u.subscribe.port);
    return 0;
}

/* There is one node: it can be asked for, and is what everybody has. */
long domctl_setnodeaffinity(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    cpumask_t nodes;

    if (mask_from_guest(&nodes, &op->u.nodeaffinity.nodemap))
        return -EFAULT;
    return nodes.bits & 1 ? 0 : -EINVAL;
}

long domctl_getnodeaffinity(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    return mask_to_guest(&op->u.nodeaffinity.nodemap, cpumask_of(0));
}
