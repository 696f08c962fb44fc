/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 2-level ABI: pending and mask bits in the domain's shared_info, a selector word per vCPU. The guest writes to all
 * of them at any time; every access here is one atomic operation on a word inside the shared page, so a guest can
 * only confuse itself.
 *
 * A channel with a port beyond the ABI's range can exist after a return from the FIFO ABI, but never in use.
 */
#include "internal.h"

static void tell_vcpu(struct vcpu *v, unsigned int port)
{
    vcpu_info_t *info = READ_ONCE(v->vcpu_info);

    if (info && !test_and_set_bit(port / BITS_PER_LONG, &info->evtchn_pending_sel))
        vcpu_mark_events_pending(v);
}

static void two_level_raise(struct vcpu *v, struct channel *ch)
{
    struct domain *d = v->domain;
    struct shared_info *s = d->shared_info;

    if (ch->port >= EVTCHN_2L_NR_CHANNELS || test_and_set_bit(ch->port, s->evtchn_pending))
        return;
    if (!test_bit(ch->port, s->evtchn_mask))
        tell_vcpu(v, ch->port);
    wake_pollers(d, ch->port);
}

static void two_level_clear(struct domain *d, struct channel *ch)
{
    if (ch->port < EVTCHN_2L_NR_CHANNELS)
        clear_bit(ch->port, d->shared_info->evtchn_pending);
}

static void two_level_unmask(struct domain *d, struct channel *ch)
{
    struct vcpu *v = domain_vcpu(d, ch->notify_vcpu);

    if (ch->port >= EVTCHN_2L_NR_CHANNELS || !test_and_clear_bit(ch->port, d->shared_info->evtchn_mask))
        return;
    if (v && test_bit(ch->port, d->shared_info->evtchn_pending))
        tell_vcpu(v, ch->port);
}

static bool two_level_is_pending(struct domain *d, const struct channel *ch)
{
    return ch->port < EVTCHN_2L_NR_CHANNELS && test_bit(ch->port, d->shared_info->evtchn_pending);
}

static bool two_level_is_masked(struct domain *d, const struct channel *ch)
{
    return ch->port >= EVTCHN_2L_NR_CHANNELS || test_bit(ch->port, d->shared_info->evtchn_mask);
}

static bool two_level_is_busy(struct domain *d, const struct channel *ch)
{
    return false;
}

const struct event_ops two_level_ops = {
    .max_ports = EVTCHN_2L_NR_CHANNELS,
    .raise = two_level_raise,
    .clear = two_level_clear,
    .unmask = two_level_unmask,
    .is_pending = two_level_is_pending,
    .is_masked = two_level_is_masked,
    .is_busy = two_level_is_busy,
};
