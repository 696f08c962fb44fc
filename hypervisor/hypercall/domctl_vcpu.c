/* SPDX-License-Identifier: BSD-2-Clause */
/* domctl: vCPU contexts, information, affinity, scheduling, triggers. */
#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/event.h>
#include <hv/hvm.h>
#include <hv/sched.h>

/* The domain is paused meanwhile. A restart finds validation's progress in the pages. */
static long set_context(struct domain *d, struct vcpu *v, struct xen_domctl *op)
{
    struct vcpu_guest_context *ctx = hv_new(struct vcpu_guest_context);
    long rc;

    if (!ctx)
        return -ENOMEM;
    if (guest_copy_from(ctx, op->u.vcpucontext.ctxt.p, sizeof(*ctx))) {
        hv_free(ctx);
        return -EFAULT;
    }
    domain_pause(d);
    rc = pv_set_context(v, ctx);
    if (!rc && (ctx->flags & VGCF_online))
        clear_bit(VPF_down, &v->pause_flags);
    else if (!rc)
        set_bit(VPF_down, &v->pause_flags);
    domain_unpause(d);
    hv_free(ctx);
    return rc;
}

/* As if it had just been made. A restart finds what is left to do in its tables. */
static long reset_vcpu(struct domain *d, struct vcpu *v)
{
    long rc;

    domain_pause(d);
    set_bit(VPF_down, &v->pause_flags);
    clear_bit(VPF_blocked, &v->pause_flags);
    clear_bit(VPF_poll, &v->pause_flags);
    v->poll_evtchn = 0;
    v->runstate_guest = v->time_area_guest = 0;
    v->periodic_period = 0;
    v->pv.tsc_aux = 0;
    timer_stop(&v->poll_timer);
    timer_stop(&v->singleshot_timer);
    timer_stop(&v->periodic_timer);
    v->is_initialised = v->nmi_pending = false;
    v->pv.nmi_masked = false;
    pv_drop_descriptors(v);
    rc = pv_drop_base(v);
    domain_unpause(d);
    return rc;
}

long domctl_setcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct vcpu *v = domain_vcpu(d, op->u.vcpucontext.vcpu);

    if (d == current->domain || !v)
        return -EINVAL;
    if (paging_mode_translate(d)) /* sethvmcontext is theirs */
        return -EOPNOTSUPP;
    return op->u.vcpucontext.ctxt.p ? set_context(d, v, op) : reset_vcpu(d, v);
}

long domctl_getcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct vcpu *v = domain_vcpu(d, op->u.vcpucontext.vcpu);
    struct vcpu_guest_context *ctx;
    long rc = 0;

    if (d == current->domain || !v)
        return d == current->domain ? -EINVAL : -ESRCH;
    if (!v->is_initialised)
        return -ENODATA;
    ctx = hv_new(struct vcpu_guest_context);
    if (!ctx)
        return -ENOMEM;
    vcpu_pause(v);
    if (paging_mode_translate(d))
        hvm_get_context(v, ctx);
    else
        pv_get_context(v, ctx);
    vcpu_unpause(v);
    if (guest_copy_to(op->u.vcpucontext.ctxt.p, ctx, sizeof(*ctx)))
        rc = -EFAULT;
    hv_free(ctx);
    return rc;
}

long domctl_getvcpuinfo(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_getvcpuinfo *i = &op->u.getvcpuinfo;
    struct vcpu *v = domain_vcpu(d, i->vcpu);
    struct vcpu_runstate_info r;

    if (i->vcpu >= d->max_vcpus)
        return -EINVAL;
    if (!v)
        return -ESRCH;
    vcpu_get_runstate(v, &r);
    i->online = !test_bit(VPF_down, &v->pause_flags);
    i->blocked = test_bit(VPF_blocked, &v->pause_flags);
    i->running = v->is_running;
    i->cpu_time = r.time[RUNSTATE_running];
    i->cpu = v->processor;
    *copyback = true;
    return 0;
}

int mask_from_guest(cpumask_t *m, const struct xenctl_bitmap *b)
{
    unsigned int bytes = (MIN(b->nr_bits, 64u) + 7) / 8;

    *m = CPUMASK_NONE;
    if (guest_copy_from(m, b->bitmap.p, bytes))
        return -EFAULT;
    if (b->nr_bits < 64)
        m->bits &= (1ull << b->nr_bits) - 1;
    return 0;
}

int mask_to_guest(const struct xenctl_bitmap *b, cpumask_t m)
{
    unsigned int bits = MIN(b->nr_bits, nr_cpus), bytes = (MIN(b->nr_bits, 64u) + 7) / 8;
    size_t rest = (b->nr_bits + 7ull) / 8 - bytes;

    if (bits < 64)
        m.bits &= (1ull << bits) - 1;
    if (guest_copy_to(b->bitmap.p, &m, bytes))
        return -EFAULT;
    return rest ? guest_clear((char *)b->bitmap.p + bytes, MIN(rest, (size_t)PAGE_SIZE)) : 0;
}

#define AFFINITY_FLAGS (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT | XEN_VCPUAFFINITY_FORCE)

static struct vcpu *affinity_vcpu(struct domain *d, const struct xen_domctl_vcpuaffinity *a, long *rc)
{
    struct vcpu *v = domain_vcpu(d, a->vcpu);

    *rc = 0;
    if (a->vcpu >= d->max_vcpus)
        *rc = -EINVAL;
    else if (!v)
        *rc = -ESRCH;
    else if (!(a->flags & AFFINITY_FLAGS) || (a->flags & ~AFFINITY_FLAGS) ||
             ((a->flags & XEN_VCPUAFFINITY_HARD) && !a->cpumap_hard.bitmap.p) ||
             ((a->flags & XEN_VCPUAFFINITY_SOFT) && !a->cpumap_soft.bitmap.p))
        *rc = -EINVAL;
    return v;
}

/* Both masks are read before either is set, and a soft affinity is never refused once the hard one was taken. */
long domctl_setaffinity(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    cpumask_t hard = CPUMASK_NONE, soft = CPUMASK_NONE, effective;
    long rc;
    struct vcpu *v = affinity_vcpu(d, a, &rc);

    if (rc)
        return rc;
    if (((a->flags & XEN_VCPUAFFINITY_HARD) && mask_from_guest(&hard, &a->cpumap_hard)) ||
        ((a->flags & XEN_VCPUAFFINITY_SOFT) && mask_from_guest(&soft, &a->cpumap_soft)))
        return -EFAULT;
    if (a->flags & XEN_VCPUAFFINITY_FORCE)
        (void)vcpu_override_affinity(v, -1);
    if (a->flags & XEN_VCPUAFFINITY_HARD)
        rc = vcpu_set_affinity(v, hard);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = vcpu_set_soft_affinity(v, soft);
    effective = cpumask_and(v->hard_affinity, cpu_online_map);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_HARD))
        rc = mask_to_guest(&a->cpumap_hard, effective);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = mask_to_guest(&a->cpumap_soft, cpumask_and(soft, effective));
    return rc;
}

long domctl_getaffinity(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    long rc;
    struct vcpu *v = affinity_vcpu(d, a, &rc);

    if (!rc && (a->flags & XEN_VCPUAFFINITY_HARD))
        rc = mask_to_guest(&a->cpumap_hard, v->hard_affinity);
    if (!rc && (a->flags & XEN_VCPUAFFINITY_SOFT))
        rc = mask_to_guest(&a->cpumap_soft, v->soft_affinity);
    return rc;
}

long domctl_scheduler(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    *copyback = true;
    return sched_adjust(d, &op->u.scheduler_op);
}

long domctl_sendtrigger(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct vcpu *v = domain_vcpu(d, op->u.sendtrigger.vcpu);

    if (!v)
        return -ESRCH;
    switch (op->u.sendtrigger.trigger) {
    case XEN_DOMCTL_SENDTRIGGER_NMI:
        break;
    case XEN_DOMCTL_SENDTRIGGER_POWER:
    case XEN_DOMCTL_SENDTRIGGER_SLEEP:
        return -EINVAL; /* buttons that PV domains do not have */
    default:
        return -ENOSYS;
    }
    v->nmi_pending = true;
    vcpu_kick(v);
    return 0;
}
