/* SPDX-License-Identifier: BSD-2-Clause */
/* sysctl: the control domain's calls about the machine: log, keys, lists of domains. Source: <xen/sysctl.h>. */
#include "sysctl.h"

#include "domctl.h"

#include <hv/console.h>
#include <hv/guest_copy.h>
#include <hv/sched.h>
#include <hv/stretch.h>

#define CHUNK 256

/* Copies in chunks; the ring's end stops it, and so does the caller's buffer. */
static long readconsole(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_readconsole *r = &op->u.readconsole;
    uint32_t index = r->incremental ? r->index : 0, done = 0;
    char buf[CHUNK];

    while (done < r->count) {
        size_t n = console_ring_read(buf, MIN(r->count - done, (uint32_t)CHUNK), &index);

        if (!n)
            break;
        if (guest_copy_to(r->buffer.p + done, buf, n))
            return -EFAULT;
        done += (uint32_t)n;
    }
    if (r->clear)
        console_ring_clear(index); /* what was not read stays */
    r->count = done;
    r->index = index;
    *copyback = true;
    return 0;
}

static long debug_keys(struct xen_sysctl *op, bool *copyback)
{
    const struct xen_sysctl_debug_keys *k = &op->u.debug_keys;

    for (uint32_t i = 0; i < MIN(k->nr_keys, 64u); i++) {
        char key;

        if (guest_copy_from(&key, k->keys.p + i, 1))
            return -EFAULT;
        handle_debug_key(key);
    }
    return 0;
}

static long sched_id(struct xen_sysctl *op, bool *copyback)
{
    op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2;
    *copyback = true;
    return 0;
}

/* At most a slice of the list per call is guaranteed to be one moment's; tools ask again from the last id. */
static long getdomaininfolist(struct xen_sysctl *op, bool *copyback)
{
    struct xen_sysctl_getdomaininfolist *l = &op->u.getdomaininfolist;
    struct xen_domctl_getdomaininfo info;
    domid_t id = l->first_domain;
    uint32_t n = 0;

    while (n < l->max_domains) {
        struct domain *d = domain_get_next(id);

        if (!d)
            break;
        get_domain_info(d, &info);
        id = (domid_t)(d->id + 1);
        domain_put(d);
        if (guest_copy_to(l->buffer.p + n, &info, sizeof(info)))
            return -EFAULT;
        n++;
    }
    l->num_domains = n;
    *copyback = true;
    return 0;
}

static sysctl_fn *const table[] = {
    [XEN_SYSCTL_readconsole] = readconsole,
    [XEN_SYSCTL_physinfo] = sysctl_physinfo,
    [XEN_SYSCTL_sched_id] = sched_id,
    [XEN_SYSCTL_getdomaininfolist] = getdomaininfolist,
    [XEN_SYSCTL_debug_keys] = debug_keys,
    [XEN_SYSCTL_getcpuinfo] = sysctl_getcpuinfo,
    [XEN_SYSCTL_availheap] = sysctl_availheap,
    [XEN_SYSCTL_cputopoinfo] = sysctl_cputopo,
    [XEN_SYSCTL_numainfo] = sysctl_numa,
    [XEN_SYSCTL_cpupool_op] = sysctl_cpupool,
    [XEN_SYSCTL_scheduler_op] = sysctl_scheduler,
    [XEN_SYSCTL_get_cpu_levelling_caps] = sysctl_levelling_caps,
    [XEN_SYSCTL_get_cpu_featureset] = sysctl_cpu_featureset,
    [XEN_SYSCTL_get_cpu_policy] = sysctl_cpu_policy,
};

/* Commands without a function here: how Xen 4.17 refuses them on a machine without what they are about. */
static const int refused[] = {
    [XEN_SYSCTL_get_pmstat] = -ENODEV,      [XEN_SYSCTL_pm_op] = -EINVAL,      [XEN_SYSCTL_coverage_op] = -EOPNOTSUPP,
    [XEN_SYSCTL_cpu_hotplug] = -EOPNOTSUPP, [XEN_SYSCTL_psr_cmt_op] = -ENODEV, [XEN_SYSCTL_psr_alloc] = -ENODEV,
};

static long refuse(uint32_t cmd)
{
    int error = cmd < ARRAY_SIZE(refused) ? refused[array_index_nospec(cmd, ARRAY_SIZE(refused))] : 0;

    return error ? error : -ENOSYS;
}

long do_sysctl(struct hcall *hc)
{
    struct xen_sysctl *g = guest_ptr(struct xen_sysctl, hc->arg[0]);
    struct xen_sysctl op;
    bool copyback = false;
    sysctl_fn *fn;
    long rc;

    if (copy_from_guest(&op, g, 1))
        return -EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -EACCES;
    if (!current->domain->is_control)
        return -EPERM;
    if (op.cmd >= ARRAY_SIZE(table))
        return refuse(op.cmd);
    fn = table[array_index_nospec(op.cmd, ARRAY_SIZE(table))];
    if (!fn)
        return refuse(op.cmd);
    stretch_name(__HYPERVISOR_sysctl, op.cmd);
    rc = fn(&op, &copyback);
    if (rc == -ERESTART)
        return hypercall_restart(hc);
    if (copyback && copy_to_guest(g, &op, 1) && !rc)
        rc = -EFAULT;
    return rc;
}
