/* SPDX-License-Identifier: BSD-2-Clause */
/* sched_op: yield, block, poll, shutdown, watchdogs, a CPU for a while. Source: <xen/sched.h>. */
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>

#define MAX_POLL_PORTS 128

static long block(void)
{
    struct vcpu *v = current;

    v->vcpu_info->evtchn_upcall_mask = 0;
    set_bit(VPF_blocked, &v->pause_flags);
    smp_mb();
    if (vcpu_event_pending(v))
        clear_bit(VPF_blocked, &v->pause_flags);
    else
        raise_softirq(SOFTIRQ_SCHEDULE);
    return 0;
}

/* 1: a port is pending; 0: none; -errno. */
static int any_pending(struct vcpu *v, const struct sched_poll *p)
{
    for (unsigned int i = 0; i < p->nr_ports; i++) {
        evtchn_port_t port;

        if (guest_copy_from(&port, p->ports.p + i, sizeof(port)))
            return -EFAULT;
        if (!evtchn_port_valid(v->domain, port))
            return -EINVAL;
        if (evtchn_port_pending(v, port))
            return 1;
        if (p->nr_ports == 1)
            v->poll_evtchn = port;
    }
    return 0;
}

static long poll(unsigned long guest)
{
    struct vcpu *v = current;
    struct sched_poll p;
    int rc;

    if (guest_copy_from(&p, (void *)guest, sizeof(p)))
        return -EFAULT;
    if (p.nr_ports > MAX_POLL_PORTS)
        return -EINVAL;
    v->poll_evtchn = 0;
    set_bit(VPF_poll, &v->pause_flags);
    smp_mb();
    rc = any_pending(v, &p);
    if (rc || vcpu_event_pending(v)) {
        v->poll_evtchn = 0;
        clear_bit(VPF_poll, &v->pause_flags);
        return rc < 0 ? rc : 0;
    }
    if (p.timeout)
        timer_set(&v->poll_timer, (s_time_t)MIN(p.timeout, (uint64_t)STIME_MAX));
    raise_softirq(SOFTIRQ_SCHEDULE);
    return 0;
}

static long shutdown_self(unsigned long guest)
{
    struct sched_shutdown s;

    if (guest_copy_from(&s, (void *)guest, sizeof(s)))
        return -EFAULT;
    if (s.reason > SHUTDOWN_MAX)
        return -EINVAL;
    printk(XLOG_INFO "d%u shut down with reason %u\n", current->domain->id, s.reason);
    domain_shutdown(current->domain, s.reason);
    return 0;
}

static long shutdown_code(unsigned long guest)
{
    struct sched_shutdown s;

    if (guest_copy_from(&s, (void *)guest, sizeof(s)))
        return -EFAULT;
    if (s.reason > SHUTDOWN_MAX)
        return -EINVAL;
    spin_lock(&current->domain->life_lock);
    if (!current->domain->is_shutting_down)
        current->domain->shutdown_code = s.reason;
    spin_unlock(&current->domain->life_lock);
    return 0;
}

static long remote_shutdown(unsigned long guest)
{
    struct sched_remote_shutdown s;
    struct domain *d;

    if (guest_copy_from(&s, (void *)guest, sizeof(s)))
        return -EFAULT;
    if (!current->domain->is_control)
        return -EPERM;
    if (s.reason > SHUTDOWN_MAX)
        return -EINVAL;
    d = domain_get(s.domain_id);
    if (!d)
        return -ESRCH;
    domain_shutdown(d, s.reason);
    domain_put(d);
    return 0;
}

static long watchdog(unsigned long guest)
{
    struct sched_watchdog w;

    if (guest_copy_from(&w, (void *)guest, sizeof(w)))
        return -EFAULT;
    return domain_watchdog(current->domain, w.id, w.timeout);
}

static long pin_override(unsigned long guest)
{
    struct sched_pin_override p;

    if (!current->domain->is_control)
        return -EPERM;
    if (guest_copy_from(&p, (void *)guest, sizeof(p)))
        return -EFAULT;
    return vcpu_override_affinity(current, p.pcpu);
}

long do_sched_op(struct hcall *hc)
{
    switch ((unsigned int)hc->arg[0]) {
    case SCHEDOP_yield:
        vcpu_yield();
        return 0;
    case SCHEDOP_block:
        return block();
    case SCHEDOP_poll:
        return poll(hc->arg[1]);
    case SCHEDOP_shutdown:
        return shutdown_self(hc->arg[1]);
    case SCHEDOP_shutdown_code:
        return shutdown_code(hc->arg[1]);
    case SCHEDOP_remote_shutdown:
        return remote_shutdown(hc->arg[1]);
    case SCHEDOP_watchdog:
        return watchdog(hc->arg[1]);
    case SCHEDOP_pin_override:
        return pin_override(hc->arg[1]);
    default:
        return -ENOSYS;
    }
}
