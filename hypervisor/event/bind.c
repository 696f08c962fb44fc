/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Creating channels: every way to bind a port, and moving a port to another vCPU. Called by event_channel_op.c with
 * arguments that were copied but not checked. Each function finds a free port and checks everything under e->lock, then
 * commits under the channel's lock, so that a sender never sees half a binding.
 */
#include <hv/heap.h>
#include <hv/irq.h>
#include "internal.h"

int evtchn_alloc_unbound(struct domain *d, domid_t remote_id, evtchn_port_t *port)
{
    struct evtchn_domain *e = d->evtchn;
    struct channel *ch;
    int rc;

    spin_lock(&e->lock);
    rc = channel_find_free(d, &ch);
    if (!rc) {
        unsigned long flags = spin_lock_irqsave(&ch->lock);

        ch->remote_id = remote_id;
        channel_take(d, ch, CHANNEL_UNBOUND, 0);
        spin_unlock_irqrestore(&ch->lock, flags);
        *port = ch->port;
    }
    spin_unlock(&e->lock);
    return rc;
}

/* Both e->locks held: makes local and remote the two ends of one channel. */
static void connect(struct domain *d, struct channel *local, struct domain *remote, struct channel *peer)
{
    unsigned long flags = channel_lock_pair(local, peer);

    local->remote = remote;
    local->number = peer->port;
    channel_take(d, local, CHANNEL_INTERDOMAIN, 0);
    peer->remote = d;
    peer->number = local->port;
    WRITE_ONCE(peer->state, CHANNEL_INTERDOMAIN);
    /* What the peer sent while it was unbound is lost: let the binder look. */
    channel_raise(d, local);
    channel_unlock_pair(local, peer, flags);
}

int evtchn_bind_interdomain(struct domain *d, struct domain *remote, evtchn_port_t remote_port, evtchn_port_t *port)
{
    struct channel *local, *peer;
    int rc;

    event_lock_pair(d, remote);
    rc = channel_find_free(d, &local);
    if (!rc) {
        peer = channel_lookup(remote, remote_port);
        if (remote->evtchn->closed || !peer || peer->state != CHANNEL_UNBOUND || peer->remote_id != d->id)
            rc = -EINVAL;
    }
    if (!rc) {
        connect(d, local, remote, peer);
        *port = local->port;
    }
    event_unlock_pair(d, remote);
    return rc;
}

/* VIRQs and IPIs: e->lock held, arguments checked. */
static int bind_local(struct domain *d, enum channel_state state, unsigned int number, struct vcpu *v,
                      evtchn_port_t *port)
{
    struct channel *ch;
    unsigned long flags;
    int rc = channel_find_free(d, &ch);

    if (rc)
        return rc;
    flags = spin_lock_irqsave(&ch->lock);
    ch->number = number;
    channel_take(d, ch, state, v->vcpu_id);
    spin_unlock_irqrestore(&ch->lock, flags);
    *port = ch->port;
    return 0;
}

int evtchn_bind_virq(struct domain *d, unsigned int virq, unsigned int vcpu, evtchn_port_t *port)
{
    struct evtchn_domain *e = d->evtchn;
    struct vcpu *v;
    int rc;

    if (virq >= NR_VIRQS || (virq_is_global(virq) && vcpu != 0))
        return -EINVAL;
    virq = (unsigned int)array_index_nospec(virq, NR_VIRQS);
    v = domain_vcpu(d, vcpu);
    if (!v)
        return -ENOENT;
    spin_lock(&e->lock);
    rc = v->evtchn->virq_port[virq] ? -EEXIST : bind_local(d, CHANNEL_VIRQ, virq, v, port);
    if (!rc)
        WRITE_ONCE(v->evtchn->virq_port[virq], *port);
    spin_unlock(&e->lock);
    return rc;
}

int evtchn_bind_ipi(struct domain *d, unsigned int vcpu, evtchn_port_t *port)
{
    struct vcpu *v = domain_vcpu(d, vcpu);
    int rc;

    if (!v)
        return -ENOENT;
    spin_lock(&d->evtchn->lock);
    rc = bind_local(d, CHANNEL_IPI, 0, v, port);
    spin_unlock(&d->evtchn->lock);
    return rc;
}

/* e->lock held. The port is in place before the interrupt can come; all is undone when the interrupt is refused. */
static int bind_pirq_locked(struct domain *d, struct vcpu *v, unsigned int pirq, bool share, evtchn_port_t *port)
{
    struct evtchn_domain *e = d->evtchn;
    struct channel *ch;
    unsigned long flags;
    int rc;

    if (!e->pirq_port) {
        uint32_t *table = hv_new_array(uint32_t, EVTCHN_NR_PIRQS);

        if (!table)
            return -ENOMEM;
        WRITE_ONCE(e->pirq_port, table);
    }
    if (e->pirq_port[pirq])
        return -EEXIST;
    rc = bind_local(d, CHANNEL_PIRQ, pirq, v, port);
    if (rc)
        return rc;
    WRITE_ONCE(e->pirq_port[pirq], *port);
    rc = pirq_guest_bind(v, pirq, share);
    if (rc) {
        WRITE_ONCE(e->pirq_port[pirq], 0);
        ch = channel_lookup(d, *port);
        flags = spin_lock_irqsave(&ch->lock);
        channel_release(d, ch);
        spin_unlock_irqrestore(&ch->lock, flags);
    }
    return rc;
}

int evtchn_bind_pirq(struct domain *d, unsigned int pirq, unsigned int flags, evtchn_port_t *port)
{
    struct vcpu *v = domain_vcpu(d, 0);
    int rc;

    if ((flags & ~(unsigned int)BIND_PIRQ__WILL_SHARE) || pirq >= EVTCHN_NR_PIRQS)
        return -EINVAL;
    if (!irq_permitted(d, pirq))
        return -EPERM;
    if (!v)
        return -ENOENT;
    pirq = (unsigned int)array_index_nospec(pirq, EVTCHN_NR_PIRQS);
    spin_lock(&d->evtchn->lock);
    rc = bind_pirq_locked(d, v, pirq, flags & BIND_PIRQ__WILL_SHARE, port);
    spin_unlock(&d->evtchn->lock);
    return rc;
}

static bool may_move(const struct channel *ch)
{
    switch (ch->state) {
    case CHANNEL_VIRQ:
        return virq_is_global(ch->number);
    case CHANNEL_UNBOUND:
    case CHANNEL_INTERDOMAIN:
    case CHANNEL_PIRQ:
        return true;
    default:
        return false;
    }
}

int evtchn_bind_vcpu(struct domain *d, evtchn_port_t port, unsigned int vcpu)
{
    struct vcpu *v = domain_vcpu(d, vcpu);
    struct channel *ch;
    int rc = -EINVAL;

    if (!v)
        return -ENOENT;
    spin_lock(&d->evtchn->lock);
    ch = channel_lookup(d, port);
    if (ch && may_move(ch)) {
        bool moved = ch->notify_vcpu != v->vcpu_id;

        WRITE_ONCE(ch->notify_vcpu, (uint16_t)v->vcpu_id);
        if (ch->state == CHANNEL_PIRQ && moved)
            pirq_set_affinity(d, ch->number, v);
        rc = 0;
    }
    spin_unlock(&d->evtchn->lock);
    return rc;
}
