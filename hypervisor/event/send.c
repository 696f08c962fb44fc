/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast path: from a port to the vCPU that is told. Reached from guests (EVTCHNOP_send), from VIRQs and from
 * interrupts, so it takes irqsave locks only: the sending channel's, inside it those of the ABI (fifo.c). Nothing is
 * woken while a FIFO lock is held, because waking asks back whether a port is pending.
 */
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

/* The channel's lock, or that of its other end, is held. */
void channel_raise(struct domain *d, struct channel *ch)
{
    struct vcpu *v = domain_vcpu(d, READ_ONCE(ch->notify_vcpu));

    /* A domain may get channels before its first vCPU: there is nobody to tell, the guest looks when it binds. */
    if (v)
        READ_ONCE(d->evtchn->ops)->raise(v, ch);
}

void vcpu_kick(struct vcpu *v)
{
    bool running = READ_ONCE(v->is_running);

    vcpu_unblock(v);
    if (running && v != current)
        apic_send_ipi(READ_ONCE(v->processor), VECTOR_EVENT_CHECK);
}

/* Events are pending for it. */
static void tell(struct vcpu *v)
{
    if (is_hvm_vcpu(v))
        hvm_upcall(v);
    vcpu_kick(v);
}

void vcpu_mark_events_pending(struct vcpu *v)
{
    shared_vcpu_info_t *info = READ_ONCE(v->vcpu_info);

    if (info && !__atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        tell(v);
}

static bool nmi_deliverable(const struct vcpu *v)
{
    return READ_ONCE(v->nmi_pending) && !v->pv.nmi_masked && v->pv.trap[TRAP_NMI].address;
}

bool vcpu_event_pending(const struct vcpu *v)
{
    const shared_vcpu_info_t *info = READ_ONCE(v->vcpu_info);

    if (is_hvm_vcpu(v))
        return hvm_interrupt_pending(v) && ((v == current ? guest_cpu_user_regs() : &v->regs)->rflags & EFLAGS_IF);
    if (nmi_deliverable(v))
        return true;
    return info && READ_ONCE(info->evtchn_upcall_pending) && !READ_ONCE(info->evtchn_upcall_mask);
}

void evtchn_vcpu_info_moved(struct vcpu *v)
{
    /* Events that came during the move may be noted in the old record: let the guest look at everything. */
    two_level_select_all(v);
    __atomic_store_n(&v->vcpu_info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
    tell(v);
}

void wake_pollers(struct domain *d, unsigned int port)
{
    struct vcpu *v;

    /* Orders the pending bit before the look at who polls; the poller does the opposite. */
    smp_mb();
    for_each_vcpu (d, v) {
        unsigned int wanted = READ_ONCE(v->poll_evtchn);

        if (test_bit(VPF_poll, &v->pause_flags) && (wanted == 0 || wanted == port))
            vcpu_unblock(v);
    }
}

int evtchn_send(struct domain *d, evtchn_port_t port)
{
    struct channel *ch = channel_lookup(d, port);
    unsigned long flags;
    int rc = 0;

    if (!ch)
        return -EINVAL;
    flags = spin_lock_irqsave(&ch->lock);
    switch (ch->state) {
    case CHANNEL_INTERDOMAIN:
        channel_raise(ch->remote, channel_lookup(ch->remote, ch->number));
        break;
    case CHANNEL_IPI:
        if (current->domain != d || ch->notify_vcpu != current->vcpu_id || !self_event_waits(current, ch))
            channel_raise(d, ch);
        break;
    case CHANNEL_UNBOUND:
        break; /* nobody there: lost, as the binder is told anyway */
    default:
        rc = -EINVAL;
        break;
    }
    spin_unlock_irqrestore(&ch->lock, flags);
    return rc;
}

int evtchn_unmask(struct domain *d, evtchn_port_t port)
{
    struct channel *ch = channel_lookup(d, port);
    unsigned long flags;

    if (!ch)
        return -EINVAL;
    flags = spin_lock_irqsave(&ch->lock);
    if (channel_usable(ch))
        READ_ONCE(d->evtchn->ops)->unmask(d, ch);
    spin_unlock_irqrestore(&ch->lock, flags);
    return 0;
}

void evtchn_send_port(struct domain *d, unsigned int port)
{
    struct channel *ch = d->evtchn ? channel_lookup(d, port) : NULL;
    unsigned long flags;

    if (!ch)
        return;
    flags = spin_lock_irqsave(&ch->lock);
    if (channel_usable(ch))
        channel_raise(d, ch);
    spin_unlock_irqrestore(&ch->lock, flags);
}

bool evtchn_port_pending(struct vcpu *v, unsigned int port)
{
    struct domain *d = v->domain;
    const struct channel *ch = d->evtchn ? channel_lookup(d, port) : NULL;

    return ch && channel_usable(ch) && READ_ONCE(d->evtchn->ops)->is_pending(d, ch);
}
