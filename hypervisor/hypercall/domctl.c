/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * domctl: the control domain's calls about domains. One at a time (RANK_DOMCTL): a second caller restarts until the
 * first is through, so that it stays preemptible. The structure is copied once, checked for its version, handed to the
 * sub-operation of the table below, and copied back if that has changed it: with results, or with what is left to do
 * when the call restarts.
 */
#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/stretch.h>

struct entry {
    domctl_fn *fn;
    bool needs_domain;
};

static const struct entry table[] = {
    [XEN_DOMCTL_createdomain] = {domctl_create, false},
    [XEN_DOMCTL_destroydomain] = {domctl_destroy, true},
    [XEN_DOMCTL_pausedomain] = {domctl_pause, true},
    [XEN_DOMCTL_unpausedomain] = {domctl_unpause, true},
    [XEN_DOMCTL_resumedomain] = {domctl_resume, true},
    [XEN_DOMCTL_getdomaininfo] = {domctl_getinfo, false},
    [XEN_DOMCTL_getpageframeinfo3] = {domctl_pageframeinfo, true},
    [XEN_DOMCTL_setvcpuaffinity] = {domctl_setaffinity, true},
    [XEN_DOMCTL_getvcpuaffinity] = {domctl_getaffinity, true},
    [XEN_DOMCTL_max_mem] = {domctl_max_mem, true},
    [XEN_DOMCTL_max_vcpus] = {domctl_max_vcpus, true},
    [XEN_DOMCTL_setvcpucontext] = {domctl_setcontext, true},
    [XEN_DOMCTL_getvcpucontext] = {domctl_getcontext, true},
    [XEN_DOMCTL_set_ext_vcpucontext] = {domctl_setextcontext, true},
    [XEN_DOMCTL_get_ext_vcpucontext] = {domctl_getextcontext, true},
    [XEN_DOMCTL_setvcpuextstate] = {domctl_setvcpuextstate, true},
    [XEN_DOMCTL_getvcpuextstate] = {domctl_getvcpuextstate, true},
    [XEN_DOMCTL_get_vcpu_msrs] = {domctl_getvcpumsrs, true},
    [XEN_DOMCTL_set_vcpu_msrs] = {domctl_setvcpumsrs, true},
    [XEN_DOMCTL_sethvmcontext] = {domctl_sethvmcontext, true},
    [XEN_DOMCTL_gethvmcontext] = {domctl_gethvmcontext, true},
    [XEN_DOMCTL_gethvmcontext_partial] = {domctl_gethvmcontext_partial, true},
    [XEN_DOMCTL_getvcpuinfo] = {domctl_getvcpuinfo, true},
    [XEN_DOMCTL_shadow_op] = {domctl_shadow_op, true},
    [XEN_DOMCTL_scheduler_op] = {domctl_scheduler, true},
    [XEN_DOMCTL_setdomainhandle] = {domctl_sethandle, true},
    [XEN_DOMCTL_settimeoffset] = {domctl_settimeoffset, true},
    [XEN_DOMCTL_hypercall_init] = {domctl_hypercall_init, true},
    [XEN_DOMCTL_iomem_permission] = {domctl_iomem, true},
    [XEN_DOMCTL_ioport_permission] = {domctl_ioport, true},
    [XEN_DOMCTL_irq_permission] = {domctl_irq, true},
    [XEN_DOMCTL_set_address_size] = {domctl_address_size, true},
    [XEN_DOMCTL_get_address_size] = {domctl_address_size, true},
    [XEN_DOMCTL_sendtrigger] = {domctl_sendtrigger, true},
    [XEN_DOMCTL_settscinfo] = {domctl_settscinfo, true},
    [XEN_DOMCTL_gettscinfo] = {domctl_gettscinfo, true},
    [XEN_DOMCTL_set_virq_handler] = {domctl_set_virq_handler, true},
    [XEN_DOMCTL_subscribe] = {domctl_subscribe, true},
    [XEN_DOMCTL_setnodeaffinity] = {domctl_setnodeaffinity, true},
    [XEN_DOMCTL_getnodeaffinity] = {domctl_getnodeaffinity, true},
    [XEN_DOMCTL_get_cpu_policy] = {domctl_get_cpu_policy, true},
    [XEN_DOMCTL_set_cpu_policy] = {domctl_set_cpu_policy, true},
    [XEN_DOMCTL_get_paging_mempool_size] = {domctl_get_mempool, true},
    [XEN_DOMCTL_set_paging_mempool_size] = {domctl_set_mempool, true},
};

/* Commands without a function: how Xen 4.17 refuses them about a PV domain, or without the hardware for them. */
static const int refused[] = {
    [XEN_DOMCTL_assign_device] = -EOPNOTSUPP,   [XEN_DOMCTL_test_assign_device] = -EOPNOTSUPP,
    [XEN_DOMCTL_deassign_device] = -EOPNOTSUPP, [XEN_DOMCTL_get_device_group] = -EOPNOTSUPP,
    [XEN_DOMCTL_bind_pt_irq] = -EINVAL,         [XEN_DOMCTL_unbind_pt_irq] = -EINVAL,
    [XEN_DOMCTL_memory_mapping] = -EINVAL,      [XEN_DOMCTL_ioport_mapping] = -EOPNOTSUPP,
    [XEN_DOMCTL_set_target] = -EOPNOTSUPP,      [XEN_DOMCTL_debug_op] = -EINVAL,
    [XEN_DOMCTL_set_broken_page_p2m] = -EINVAL, [XEN_DOMCTL_psr_cmt_op] = -ENODEV,
    [XEN_DOMCTL_psr_alloc] = -ENODEV,           [XEN_DOMCTL_monitor_op] = -EOPNOTSUPP,
    [XEN_DOMCTL_soft_reset] = -EINVAL,          [23] = -EINVAL, /* soft_reset_cont: a name for the hypervisor itself */
    [XEN_DOMCTL_vmtrace_op] = -EINVAL,
};

static long refuse(const struct xen_domctl *op)
{
    int error = op->cmd < ARRAY_SIZE(refused) ? refused[array_index_nospec(op->cmd, ARRAY_SIZE(refused))] : 0;
    struct domain *d = error ? domain_get(op->domain) : NULL;

    if (!error)
        return -ENOSYS;
    if (!d)
        return -ESRCH;
    domain_put(d);
    return error;
}

static spinlock_t domctl_lock = SPINLOCK_INIT(RANK_DOMCTL);

/* What the caller cannot be told is given up, or nobody could go on with it. */
static long call(const struct entry *e, struct domain *d, struct xen_domctl *op, struct xen_domctl *g)
{
    bool copyback = false;
    long rc = e->fn(d, op, &copyback);

    if (!copyback || !copy_to_guest(g, op, 1) || (rc && rc != -ERESTART))
        return rc;
    if (d)
        hvm_drop_transfer(d);
    return -EFAULT;
}

static long run(const struct entry *e, struct xen_domctl *op, struct xen_domctl *g)
{
    struct domain *d = NULL;
    long rc;

    if (e->needs_domain) {
        d = domain_get(op->domain);
        if (!d)
            return -ESRCH;
    }
    if (!spin_trylock(&domctl_lock))
        rc = -ERESTART;
    else {
        rc = d && domctl_must_wait(d, op) ? -ERESTART : call(e, d, op, g);
        spin_unlock(&domctl_lock);
    }
    if (d)
        domain_put(d);
    return rc;
}

long do_domctl(struct hcall *hc)
{
    struct xen_domctl *g = guest_ptr(struct xen_domctl, hc->arg[0]);
    struct xen_domctl op;
    const struct entry *e;
    long rc;

    if (copy_from_guest(&op, g, 1))
        return -EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -EACCES;
    if (!current->domain->is_control)
        return -EPERM;
    if (op.cmd >= ARRAY_SIZE(table))
        return refuse(&op);
    e = &table[array_index_nospec(op.cmd, ARRAY_SIZE(table))];
    if (!e->fn)
        return refuse(&op);
    stretch_name(__HYPERVISOR_domctl, op.cmd);
    rc = run(e, &op, g);
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}
