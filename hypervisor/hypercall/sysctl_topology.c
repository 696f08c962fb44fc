/* SPDX-License-Identifier: BSD-2-Clause */
/* sysctl: processors, memory, NUMA (one node), CPU pools (one pool), scheduler parameters. */
#include "sysctl.h"

#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/timer.h>
#include <hv/x86.h>

long sysctl_physinfo(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_physinfo *p = &op->u.physinfo;
    uint32_t r[4];

    memset(p, 0, sizeof(*p));
    p->threads_per_core = 1;
    p->cores_per_socket = nr_cpus;
    p->nr_cpus = cpumask_weight(cpu_online_map);
    p->max_cpu_id = nr_cpus - 1;
    p->nr_nodes = 1;
    p->cpu_khz = (uint32_t)tsc_khz;
    p->capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1 | XEN_SYSCTL_PHYSCAP_gnttab_v2;
    p->capabilities |= hvm_ops ? XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_shadow : 0;
    p->capabilities |= hvm_ops && hvm_nested ? XEN_SYSCTL_PHYSCAP_hap : 0;
    p->total_pages = total_pages;
    p->free_pages = heap_free_pages();
    p->outstanding_pages = heap_claimed_pages();
    p->max_mfn = max_page - 1;
    cpuid(1, 0, r);
    p->hw_cap[0] = r[3];
    p->hw_cap[1] = r[2];
    cpuid(0x80000001, 0, r);
    p->hw_cap[2] = r[3];
    p->hw_cap[3] = r[2];
    cpuid(7, 0, r);
    p->hw_cap[5] = r[1];
    p->hw_cap[6] = r[2];
    *copyback = true;
    return 0;
}

long sysctl_cputopo(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_cputopoinfo *t = &op->u.cputopoinfo;
    uint32_t n = t->cputopo.p ? MIN(t->num_cpus, nr_cpus) : 0;

    for (uint32_t i = 0; i < n; i++) {
        xen_sysctl_cputopo_t c = {.core = i, .socket = 0, .node = 0};

        if (guest_copy_to(t->cputopo.p + i, &c, sizeof(c)))
            return -EFAULT;
    }
    t->num_cpus = t->cputopo.p ? n : nr_cpus;
    *copyback = true;
    return 0;
}

long sysctl_numa(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_numainfo *n = &op->u.numainfo;
    xen_sysctl_meminfo_t m = {.memsize = total_pages << PAGE_SHIFT, .memfree = heap_free_pages() << PAGE_SHIFT};
    uint32_t distance = 10;

    if (n->num_nodes && n->meminfo.p && guest_copy_to(n->meminfo.p, &m, sizeof(m)))
        return -EFAULT;
    if (n->num_nodes && n->distance.p && guest_copy_to(n->distance.p, &distance, sizeof(distance)))
        return -EFAULT;
    n->num_nodes = 1;
    *copyback = true;
    return 0;
}

static uint32_t count_domains(void)
{
    struct domain *d;
    uint32_t n = 0;
    domid_t id = 0;

    while ((d = domain_get_next(id)) != NULL) {
        id = (domid_t)(d->id + 1);
        domain_put(d);
        n++;
    }
    return n;
}

/* There is exactly pool 0 with every CPU. */
long sysctl_cpupool(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_cpupool_op *p = &op->u.cpupool_op;

    switch (p->op) {
    case XEN_SYSCTL_CPUPOOL_OP_INFO:
        if (p->cpupool_id != 0)
            return -ENOENT;
        p->sched_id = XEN_SCHEDULER_CREDIT2;
        p->n_dom = count_domains();
        *copyback = true;
        return mask_to_guest(&p->cpumap, cpu_online_map);
    case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
        *copyback = true;
        return mask_to_guest(&p->cpumap, CPUMASK_NONE);
    case XEN_SYSCTL_CPUPOOL_OP_CREATE:
    case XEN_SYSCTL_CPUPOOL_OP_DESTROY:
    case XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
    case XEN_SYSCTL_CPUPOOL_OP_RMCPU:
    case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}

long sysctl_getcpuinfo(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_getcpuinfo *i = &op->u.getcpuinfo;
    uint32_t n = MIN(i->max_cpus, nr_cpus);

    for (uint32_t cpu = 0; cpu < n; cpu++) {
        xen_sysctl_cpuinfo_t info = {.idletime = cpu_idle_time(cpu)};

        if (guest_copy_to(i->info.p + cpu, &info, sizeof(info)))
            return -EFAULT;
    }
    i->nr_cpus = n;
    *copyback = true;
    return 0;
}

long sysctl_availheap(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_availheap *a = &op->u.availheap;

    if (a->min_bitwidth || a->max_bitwidth)
        return -EOPNOTSUPP;
    if (a->node > 0)
        return -EINVAL;
    a->avail_bytes = heap_free_pages() << PAGE_SHIFT;
    *copyback = true;
    return 0;
}

long sysctl_scheduler(struct xen_sysctl *op, bool *copyback)
{
    *copyback = true;
    return sched_adjust_global(&op->u.scheduler_op);
}
