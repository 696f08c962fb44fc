/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 2-level ABI: pending and mask bits in the domain's shared_info, a selector word per vCPU. The guest writes to all
 * of them at any time; every access here is one atomic operation on a word inside the shared page, so a guest can
 * only confuse itself.
 *
 * Words are as long as the kernel's long. With 32 bits there are 1024 ports instead of 4096, their masks begin where
 * the pending bits of more would be, and the selector stands, and is aligned, elsewhere.
 *
 * A channel with a port beyond the ABI's range can exist after a return from the FIFO ABI, or when a kernel of 32 bits
 * takes over, but never in use.
 */
#include "internal.h"

#include <xen/foreign/x86_32.h>

#define PORTS_32 (32u * 32u)

unsigned int two_level_ports(const struct domain *d)
{
    return has_32bit_shinfo(d) ? PORTS_32 : EVTCHN_2L_NR_CHANNELS;
}

static bool is_port(const struct domain *d, const struct channel *ch)
{
    return ch->port < two_level_ports(d);
}

static void *masks(const struct domain *d)
{
    struct shared_info *s = d->shared_info;

    return has_32bit_shinfo(d) ? (void *)((struct shared_info_x86_32 *)s)->evtchn_mask : s->evtchn_mask;
}

/* The selector in one of the two layouts: as many 32 bits as it has. */
static uint32_t *selector(shared_vcpu_info_t *info, bool narrow)
{
    return narrow ? &((struct vcpu_info_x86_32 *)info)->evtchn_pending_sel : (uint32_t *)&info->evtchn_pending_sel;
}

static void select_port(struct vcpu *v, shared_vcpu_info_t *info, bool narrow, unsigned int port)
{
    unsigned int bit = port / (narrow ? 32 : 64);
    uint32_t mask = 1u << bit % 32;

    if (!(__atomic_fetch_or(selector(info, narrow) + bit / 32, mask, __ATOMIC_SEQ_CST) & mask))
        vcpu_mark_events_pending(v);
}

static void tell_vcpu(struct vcpu *v, unsigned int port)
{
    shared_vcpu_info_t *info = READ_ONCE(v->vcpu_info);
    bool narrow = has_32bit_shinfo(v->domain);

    if (!info)
        return;
    select_port(v, info, narrow, port);
    if (has_32bit_shinfo(v->domain) != narrow) /* who changed it may have looked at the selector before */
        select_port(v, info, !narrow, port);
}

void two_level_select_all(struct vcpu *v)
{
    bool narrow = has_32bit_shinfo(v->domain);
    uint32_t *sel = selector(v->vcpu_info, narrow);

    for (unsigned int i = 0; i < (narrow ? 1 : 2); i++)
        __atomic_store_n(sel + i, ~0u, __ATOMIC_SEQ_CST);
}

void evtchn_width_changed(struct vcpu *v)
{
    bool narrow = has_32bit_shinfo(v->domain);
    uint32_t *sel = selector(v->vcpu_info, !narrow), left = 0;

    for (unsigned int i = 0; i < (narrow ? 2 : 1); i++)
        left |= __atomic_exchange_n(sel + i, 0, __ATOMIC_SEQ_CST);
    if (left)
        evtchn_vcpu_info_moved(v);
}

static void two_level_raise(struct vcpu *v, struct channel *ch)
{
    struct domain *d = v->domain;

    if (!is_port(d, ch) || test_and_set_bit(ch->port, d->shared_info->evtchn_pending))
        return;
    if (!test_bit(ch->port, masks(d)))
        tell_vcpu(v, ch->port);
    wake_pollers(d, ch->port);
}

static void two_level_clear(struct domain *d, struct channel *ch)
{
    if (is_port(d, ch))
        clear_bit(ch->port, d->shared_info->evtchn_pending);
}

static void two_level_unmask(struct domain *d, struct channel *ch)
{
    struct vcpu *v = domain_vcpu(d, ch->notify_vcpu);

    if (!is_port(d, ch) || !test_and_clear_bit(ch->port, masks(d)))
        return;
    if (v && test_bit(ch->port, d->shared_info->evtchn_pending))
        tell_vcpu(v, ch->port);
}

static bool two_level_is_pending(struct domain *d, const struct channel *ch)
{
    return is_port(d, ch) && test_bit(ch->port, d->shared_info->evtchn_pending);
}

static bool two_level_is_masked(struct domain *d, const struct channel *ch)
{
    return !is_port(d, ch) || test_bit(ch->port, masks(d));
}

static bool two_level_is_busy(struct domain *d, const struct channel *ch)
{
    return false;
}

const struct event_ops two_level_ops = {
    .max_ports = two_level_ports,
    .raise = two_level_raise,
    .clear = two_level_clear,
    .unmask = two_level_unmask,
    .is_pending = two_level_is_pending,
    .is_masked = two_level_is_masked,
    .is_busy = two_level_is_busy,
};
