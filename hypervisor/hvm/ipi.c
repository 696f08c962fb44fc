// SPDX-License-Identifier: BSD-2-Clause
/*
 * Messages between the local APICs of a domain: who is meant, and what arrives there. AMD64 manual volume 2, sections
 * 16.5 and 16.6. Other vCPUs' registers are read as they are at that moment, as they are on a bus.
 */
#include <hv/event.h>
#include <hv/hvm.h>
#include "apic_regs.h"

#define DFR_CLUSTER 0x0fffffffu
#define DEST_ALL    0xffffffffu

enum { FIXED, LOWEST, SMI, REMOTE_READ, NMI, INIT, STARTUP, EXTERNAL };

struct message {
    uint32_t low, dest;
    bool wide; /* the sender is in x2APIC mode */
};

uint32_t lapic_ldr(const struct vcpu *v)
{
    const struct lapic *l = v->hvm->lapic;
    uint32_t id = hvm_apic_id(v);

    return READ_ONCE(l->base) & LAPIC_BASE_EXTD ? id >> 4 << 16 | 1u << (id & 15) : READ_ONCE(l->ldr);
}

static bool logical_match(const struct vcpu *to, uint32_t dest)
{
    const struct lapic *l = to->hvm->lapic;
    uint32_t ldr = lapic_ldr(to);

    if (READ_ONCE(l->base) & LAPIC_BASE_EXTD)
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
    ldr >>= 24;
    if (READ_ONCE(l->dfr) == DFR_CLUSTER)
        return dest >> 4 == ldr >> 4 && (dest & ldr & 15);
    return dest & ldr;
}

static bool is_meant(const struct vcpu *to, const struct vcpu *from, const struct message *m)
{
    switch (m->low >> 18 & 3) {
    case 1:
        return to == from;
    case 2:
        return true;
    case 3:
        return to != from;
    }
    if (m->dest == (m->wide ? DEST_ALL : 0xff))
        return true;
    return m->low & ICR_LOGICAL ? logical_match(to, m->dest) : m->dest == hvm_apic_id(to);
}

static void arrive(struct vcpu *v, const struct message *m)
{
    if (!(READ_ONCE(v->hvm->lapic->base) & LAPIC_BASE_EN))
        return;
    switch (m->low >> 8 & 7) {
    case FIXED:
    case LOWEST:
        if ((uint8_t)m->low < APIC_FIRST_VECTOR)
            lapic_error(v, ESR_RECEIVED_VECTOR);
        else
            lapic_set_irq(v, (uint8_t)m->low);
        break;
    case NMI:
        hvm_nmi(v);
        break;
    case INIT:
        if (!(m->low & ICR_LEVEL) || (m->low & ICR_ASSERT))
            hvm_init_signal(v);
        break;
    case STARTUP:
        hvm_startup_signal(v, (uint8_t)m->low);
        break;
    default:
        break; /* no SMM, no remote read and no external controller is there */
    }
}

/* Of those that are meant, the one that is doing the least important. */
static struct vcpu *least_busy(struct vcpu *from, const struct message *m)
{
    struct vcpu *v, *best = NULL;

    for_each_vcpu (from->domain, v)
        if (is_meant(v, from, m) && lapic_accepts(v->hvm->lapic) &&
            (!best || lapic_ppr(v->hvm->lapic) < lapic_ppr(best->hvm->lapic)))
            best = v;
    return best;
}

void lapic_send(struct vcpu *from, uint32_t low, uint32_t dest)
{
    struct message m = {low, dest, from->hvm->lapic->base & LAPIC_BASE_EXTD};
    unsigned int type = low >> 8 & 7;
    struct vcpu *v;

    if (type <= LOWEST && (uint8_t)low < APIC_FIRST_VECTOR)
        lapic_error(from, ESR_SENT_VECTOR);
    if (type == LOWEST) {
        v = least_busy(from, &m);
        if (v)
            arrive(v, &m);
        return;
    }
    for_each_vcpu (from->domain, v)
        if (is_meant(v, from, &m))
            arrive(v, &m);
}
