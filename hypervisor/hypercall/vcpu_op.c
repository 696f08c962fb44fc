/* SPDX-License-Identifier: BSD-2-Clause */
/* vcpu_op and set_timer_op: bringing vCPUs up and down, their timers and shared areas. Source: <xen/vcpu.h>. */
#include <hv/boot.h>
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include <xen/hvm/hvm_vcpu.h>

/*
 * One that was told to stop may still run: it is not waited for, since it may be waiting likewise for the caller.
 */
static long initialise_hvm(struct vcpu *v, unsigned long guest, struct hcall *hc)
{
    struct vcpu_hvm_context ctx;
    long rc = -EEXIST;

    if (guest_copy_from(&ctx, (void *)guest, sizeof(ctx)))
        return -EFAULT;
    vcpu_pause_nosync(v);
    spin_lock(&v->domain->life_lock);
    if (!v->is_initialised)
        rc = READ_ONCE(v->is_running) ? -ERESTART : hvm_set_start(v, &ctx);
    spin_unlock(&v->domain->life_lock);
    vcpu_unpause(v);
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}

/*
 * The context may name page tables whose validation is preempted: the call restarts, progress is in the pages. Under
 * the lock: of several callers one sets the context, and the vCPU cannot be brought up before it is complete.
 */
static long initialise(struct vcpu *v, unsigned long guest, struct hcall *hc)
{
    struct vcpu_guest_context *ctx;
    long rc;

    if (is_hvm_vcpu(v))
        return initialise_hvm(v, guest, hc);
    ctx = hv_new(struct vcpu_guest_context);
    if (!ctx)
        return -ENOMEM;
    if (guest_copy_from(ctx, (void *)guest, sizeof(*ctx))) {
        hv_free(ctx);
        return -EFAULT;
    }
    spin_lock(&v->domain->life_lock);
    rc = v->is_initialised ? -EEXIST : pv_set_context(v, ctx);
    spin_unlock(&v->domain->life_lock);
    hv_free(ctx);
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}

static long bring_up(struct vcpu *v)
{
    long rc = 0;

    spin_lock(&v->domain->life_lock);
    if (!v->is_initialised)
        rc = -EINVAL;
    else if (test_and_clear_bit(VPF_down, &v->pause_flags))
        vcpu_wake(v);
    spin_unlock(&v->domain->life_lock);
    return rc;
}

/* The last one that is up stays so, and the domain is powered off: nobody could bring it up again. */
static long bring_down(struct vcpu *v)
{
    bool last;

    spin_lock(&v->domain->life_lock);
    last = !other_vcpu_up(v);
    if (!last && !test_and_set_bit(VPF_down, &v->pause_flags))
        vcpu_sleep_nosync(v);
    spin_unlock(&v->domain->life_lock);
    if (last)
        domain_shutdown(v->domain, SHUTDOWN_poweroff);
    return 0;
}

/* The hypervisor is in the address spaces of PV guests only. */
static bool area_ok(const struct vcpu *v, unsigned long at, size_t size)
{
    return is_hvm_vcpu(v) || guest_range_ok(at, size);
}

static long runstate_area(struct vcpu *v, unsigned long guest)
{
    struct vcpu_register_runstate_memory_area area;
    struct vcpu_runstate_info r;

    if (guest_copy_from(&area, (void *)guest, sizeof(area)))
        return -EFAULT;
    if (!area_ok(v, (unsigned long)area.addr.h.p, sizeof(r)))
        return -EFAULT;
    v->runstate_guest = (unsigned long)area.addr.h.p;
    vcpu_get_runstate(v, &r);
    vcpu_write_runstate_area(v, &r);
    return 0;
}

static long time_area(struct vcpu *v, unsigned long guest)
{
    struct vcpu_register_time_memory_area area;

    if (guest_copy_from(&area, (void *)guest, sizeof(area)))
        return -EFAULT;
    if (!area_ok(v, (unsigned long)area.addr.h.p, sizeof(struct vcpu_time_info)))
        return -EFAULT;
    v->time_area_guest = (unsigned long)area.addr.h.p;
    if (v == current)
        time_update_vcpu(v);
    return 0;
}

static long get_runstate(struct vcpu *v, unsigned long guest)
{
    struct vcpu_runstate_info r;

    vcpu_get_runstate(v, &r);
    return guest_copy_to((void *)guest, &r, sizeof(r));
}

static long register_info(struct vcpu *v, unsigned long guest)
{
    struct vcpu_register_vcpu_info info;
    long rc;

    if (guest_copy_from(&info, (void *)guest, sizeof(info)))
        return -EFAULT;
    /* One caller at a time, and the vCPU does not come up in between. */
    spin_lock(&v->domain->life_lock);
    rc = vcpu_register_info(v, _gfn(info.mfn), info.offset);
    if (!rc)
        time_update_vcpu(v);
    spin_unlock(&v->domain->life_lock);
    return rc;
}

static long set_periodic(struct vcpu *v, unsigned long guest)
{
    struct vcpu_set_periodic_timer t;

    if (guest_copy_from(&t, (void *)guest, sizeof(t)))
        return -EFAULT;
    if (t.period_ns < (uint64_t)MILLISECS(1) || t.period_ns > (uint64_t)SECONDS(86400))
        return -EINVAL;
    v->periodic_period = (s_time_t)t.period_ns;
    timer_set(&v->periodic_timer, system_time() + v->periodic_period);
    return 0;
}

static long stop_periodic(struct vcpu *v)
{
    v->periodic_period = 0;
    timer_stop(&v->periodic_timer);
    return 0;
}

static long set_singleshot(struct vcpu *v, unsigned long guest)
{
    struct vcpu_set_singleshot_timer t;

    if (v != current)
        return -EINVAL;
    if (guest_copy_from(&t, (void *)guest, sizeof(t)))
        return -EFAULT;
    if ((t.flags & VCPU_SSHOTTMR_future) && t.timeout_abs_ns < (uint64_t)system_time())
        return -ETIME;
    timer_migrate(&v->singleshot_timer, smp_processor_id());
    timer_set(&v->singleshot_timer, (s_time_t)MIN(t.timeout_abs_ns, (uint64_t)STIME_MAX));
    return 0;
}

static long send_nmi(struct vcpu *v)
{
    if (!is_hvm_vcpu(v) && !v->pv.trap[2].address)
        return -EINVAL;
    v->nmi_pending = true;
    vcpu_kick(v);
    return 0;
}

static long physid(const struct vcpu *v, unsigned long guest)
{
    unsigned int cpu = v->vcpu_id % nr_cpus;
    struct vcpu_get_physid id = {.phys_id = (uint64_t)per_cpu(acpi_id, cpu) << 32 | per_cpu(apicid, cpu)};

    if (!v->domain->is_control)
        return -EINVAL;
    return guest_copy_to((void *)guest, &id, sizeof(id));
}

long do_vcpu_op(struct hcall *hc)
{
    struct vcpu *v = domain_vcpu(current->domain, (unsigned int)hc->arg[1]);
    unsigned long guest = hc->arg[2];

    if (!v)
        return -ENOENT;
    switch ((unsigned int)hc->arg[0]) {
    case VCPUOP_initialise:
        return initialise(v, guest, hc);
    case VCPUOP_up:
        return bring_up(v);
    case VCPUOP_down:
        return bring_down(v);
    case VCPUOP_is_up:
        return !test_bit(VPF_down, &v->pause_flags);
    case VCPUOP_get_runstate_info:
        return get_runstate(v, guest);
    case VCPUOP_register_runstate_memory_area:
        return runstate_area(v, guest);
    case VCPUOP_register_vcpu_time_memory_area:
        return time_area(v, guest);
    case VCPUOP_register_vcpu_info:
        return register_info(v, guest);
    case VCPUOP_set_periodic_timer:
        return set_periodic(v, guest);
    case VCPUOP_stop_periodic_timer:
        return stop_periodic(v);
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(v, guest);
    case VCPUOP_stop_singleshot_timer:
        if (v != current)
            return -EINVAL;
        timer_stop(&v->singleshot_timer);
        return 0;
    case VCPUOP_send_nmi:
        return send_nmi(v);
    case VCPUOP_get_physid:
        return physid(v, guest);
    default:
        return -ENOSYS;
    }
}

/* The older one-shot timer: an absolute time, 0 for none. */
long do_set_timer_op(struct hcall *hc)
{
    struct vcpu *v = current;

    if (hc->arg[0] == 0) {
        timer_stop(&v->singleshot_timer);
        return 0;
    }
    timer_migrate(&v->singleshot_timer, smp_processor_id());
    timer_set(&v->singleshot_timer, (s_time_t)MIN(hc->arg[0], (unsigned long)STIME_MAX));
    return 0;
}
