/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pausing and shutting down. Pause counts nest; a vCPU runs only while its own count, its domain's count and its pause
 * flags are all clear. A shut-down domain holds one count on each vCPU until it is resumed or destroyed.
 */
#include <hv/domain.h>
#include <hv/event.h>
#include <hv/sched.h>
#include <hv/x86.h>

void vcpu_pause_nosync(struct vcpu *v)
{
    __atomic_fetch_add(&v->pause_count, 1, __ATOMIC_SEQ_CST);
    vcpu_sleep_nosync(v);
}

void vcpu_pause(struct vcpu *v)
{
    ASSERT(v != current);
    __atomic_fetch_add(&v->pause_count, 1, __ATOMIC_SEQ_CST);
    vcpu_sleep_sync(v);
}

void vcpu_unpause(struct vcpu *v)
{
    if (__atomic_sub_fetch(&v->pause_count, 1, __ATOMIC_SEQ_CST) == 0)
        vcpu_wake(v);
}

void domain_pause_nosync(struct domain *d)
{
    struct vcpu *v;

    __atomic_fetch_add(&d->pause_count, 1, __ATOMIC_SEQ_CST);
    for_each_vcpu (d, v)
        vcpu_sleep_nosync(v);
}

void domain_pause(struct domain *d)
{
    struct vcpu *v;

    ASSERT(d != current->domain);
    domain_pause_nosync(d);
    for_each_vcpu (d, v)
        vcpu_sleep_sync(v);
}

void domain_unpause(struct domain *d)
{
    struct vcpu *v;

    if (__atomic_sub_fetch(&d->pause_count, 1, __ATOMIC_SEQ_CST) == 0)
        for_each_vcpu (d, v)
            vcpu_wake(v);
}

static void control_shutdown(unsigned int reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        printk("Control domain powered off: shutting down the machine\n");
        machine_power_off();
    case SHUTDOWN_reboot:
        printk("Control domain rebooted: restarting the machine\n");
        machine_restart();
    case SHUTDOWN_watchdog:
        panic("control domain's watchdog ran out");
    default:
        panic("control domain crashed (reason %u)", reason);
    }
}

void domain_shutdown(struct domain *d, unsigned int reason)
{
    evtchn_port_t port;
    struct vcpu *v;

    spin_lock(&d->life_lock);
    if (d->is_shutting_down) {
        spin_unlock(&d->life_lock);
        return;
    }
    if (d->shutdown_code == SHUTDOWN_CODE_INVALID)
        d->shutdown_code = reason;
    if (d->is_control)
        control_shutdown(d->shutdown_code);
    d->is_shutting_down = true;
    for_each_vcpu (d, v)
        vcpu_pause_nosync(v);
    d->is_shut_down = true;
    reason = d->shutdown_code;
    spin_unlock(&d->life_lock);
    /* The subscriber is told instead of everybody, unless its port is gone. */
    port = READ_ONCE(d->suspend_port);
    if (reason != SHUTDOWN_suspend || !port || evtchn_send(d, port))
        send_global_virq(VIRQ_DOM_EXC);
}

void domain_resume(struct domain *d)
{
    struct vcpu *v;
    bool was;

    spin_lock(&d->life_lock);
    was = d->is_shut_down;
    d->is_shutting_down = d->is_shut_down = false;
    d->shutdown_code = SHUTDOWN_CODE_INVALID;
    spin_unlock(&d->life_lock);
    if (was)
        for_each_vcpu (d, v)
            vcpu_unpause(v);
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    if (d->is_control)
        panic("control domain: %s", why);
    printk(XLOG_ERR "d%u crashed: %s\n", d->id, why);
    domain_shutdown(d, SHUTDOWN_crash);
}
