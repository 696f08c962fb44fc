// SPDX-License-Identifier: BSD-2-Clause
/*
 * What interrupts a guest, before each entry: NMI first, then the domain's callback vector, which waits for as long as
 * events are pending and asks no APIC, then the local APIC's. What cannot be delivered yet asks the back end for an
 * exit as soon as it can.
 */
#include <hv/event.h>
#include <hv/hvm.h>
#include "lapic.h"

/* The domain's vector tells of events that are pending; a vCPU with a vector of its own gets that by its APIC. */
static int callback(const struct vcpu *v)
{
    const shared_vcpu_info_t *info = READ_ONCE(v->vcpu_info);
    uint8_t vector = READ_ONCE(v->domain->hvm.callback_vector);

    return vector && !READ_ONCE(v->hvm->upcall_vector) && info && READ_ONCE(info->evtchn_upcall_pending) ? vector : -1;
}

bool hvm_interrupt_pending(const struct vcpu *v)
{
    return (READ_ONCE(v->nmi_pending) && !hvm_ops->in_nmi(v)) || callback(v) >= 0 || lapic_pending(v) >= 0 ||
           lapic_timer_due(v);
}

void hvm_upcall(struct vcpu *v)
{
    uint8_t vector = READ_ONCE(v->hvm->upcall_vector);

    if (vector)
        lapic_hold_irq(v, vector);
}

void hvm_nmi(struct vcpu *v)
{
    WRITE_ONCE(v->nmi_pending, true);
    vcpu_kick(v);
}

static bool deliver_nmi(struct vcpu *v)
{
    if (!READ_ONCE(v->nmi_pending) || hvm_ops->in_nmi(v))
        return false;
    if (!hvm_ops->can_inject(v, HVM_EVENT_NMI))
        return true;
    WRITE_ONCE(v->nmi_pending, false);
    hvm_ops->inject(v, HVM_EVENT_NMI, 2);
    return false;
}

/* True: one is waiting. What an APIC holds back behind its own is looked at again when that ends: by an exit. */
static bool deliver_interrupt(struct vcpu *v)
{
    int vector = callback(v), from_apic = vector < 0 ? lapic_pending(v) : -1;

    if (vector < 0 && from_apic < 0)
        return false;
    if (!hvm_ops->can_inject(v, HVM_EVENT_INTERRUPT))
        return true;
    if (from_apic >= 0)
        lapic_ack(v, (unsigned int)from_apic);
    hvm_ops->inject(v, HVM_EVENT_INTERRUPT, (uint8_t)(vector < 0 ? from_apic : vector));
    return vector >= 0 && lapic_pending(v) >= 0;
}

void hvm_deliver(struct vcpu *v)
{
    bool nmi, interrupt;

    lapic_update(v);
    nmi = deliver_nmi(v);
    interrupt = deliver_interrupt(v);
    hvm_ops->window(v, nmi || interrupt);
}
