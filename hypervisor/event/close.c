/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ending channels: close, reset and teardown. Closing one end of an interdomain channel leaves the other end unbound,
 * waiting for the same domain. Teardown closes everything, which is what lets the rest of event/ keep plain pointers to
 * the domain at the other end.
 */
#include <hv/heap.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include "internal.h"

#define MAX_CLOSE_TRIES      16u
#define CLOSES_PER_SLICE     64u
#define PORTS_LOOKED_AT_ONCE 448u /* and a slice of fifo_drop_old, 64 frames, after them */

/* e->lock of both ends held. */
static void disconnect(struct domain *d, struct channel *ch)
{
    struct channel *peer = channel_lookup(ch->remote, ch->number);
    unsigned long flags = channel_lock_pair(ch, peer);

    WRITE_ONCE(peer->state, CHANNEL_UNBOUND);
    peer->remote = NULL;
    peer->remote_id = d->id;
    peer->number = 0;
    channel_release(d, ch);
    channel_unlock_pair(ch, peer, flags);
}

/* e->lock held; every state but interdomain. The source of events is cut off first. */
static void close_local(struct domain *d, struct channel *ch)
{
    struct evtchn_domain *e = d->evtchn;
    uint8_t state = ch->state;
    uint32_t number = ch->number;
    unsigned long flags;

    if (state == CHANNEL_VIRQ)
        WRITE_ONCE(d->vcpu[virq_is_global(number) ? 0 : ch->notify_vcpu]->evtchn->virq_port[number], 0);
    else if (state == CHANNEL_PIRQ)
        WRITE_ONCE(e->pirq_port[number], 0);
    flags = spin_lock_irqsave(&ch->lock);
    if (state == CHANNEL_IPI)
        self_event_cancel(d, ch);
    channel_release(d, ch);
    spin_unlock_irqrestore(&ch->lock, flags);
    if (state == CHANNEL_PIRQ)
        pirq_guest_unbind(d, number);
}

/* e->lock of d held. True: closed, *rc says how. False: needs the lock of *peer too, on which a reference is taken. */
static bool close_with_own_lock(struct domain *d, struct channel *ch, int *rc, struct domain **peer)
{
    *rc = 0;
    if (!channel_usable(ch)) {
        *rc = -EINVAL;
    } else if (ch->state != CHANNEL_INTERDOMAIN) {
        close_local(d, ch);
    } else if (ch->remote == d) {
        disconnect(d, ch);
    } else {
        *peer = ch->remote;
        domain_hold(*peer);
        return false;
    }
    return true;
}

int evtchn_close(struct domain *d, evtchn_port_t port)
{
    struct channel *ch = channel_lookup(d, port);
    struct domain *peer = NULL;
    bool done = false;
    int rc;

    if (!ch)
        return -EINVAL;
    for (unsigned int i = 0; i < MAX_CLOSE_TRIES; i++) {
        spin_lock(&d->evtchn->lock);
        done = close_with_own_lock(d, ch, &rc, &peer);
        spin_unlock(&d->evtchn->lock);
        if (done)
            return rc;
        /* Between the locks the binding may change; then the loop looks again. */
        event_lock_pair(d, peer);
        done = ch->state == CHANNEL_INTERDOMAIN && ch->remote == peer;
        if (done)
            disconnect(d, ch);
        event_unlock_pair(d, peer);
        domain_put(peer);
        if (done)
            return 0;
    }
    return -ERESTART;
}

/* Closes what is in use from *next on; restartable through *next. */
static int close_all(struct domain *d, unsigned int *next)
{
    unsigned int closed = 0, looked = 0;

    for (unsigned int port = MAX(READ_ONCE(*next), 1u); port < READ_ONCE(d->evtchn->nr_ports); port++) {
        if (channel_usable(channel_lookup(d, port))) {
            if (evtchn_close(d, port) == -ERESTART)
                return -ERESTART;
            closed++;
        }
        WRITE_ONCE(*next, port + 1);
        stretch_work(1);
        if ((closed == CLOSES_PER_SLICE || ++looked == PORTS_LOOKED_AT_ONCE)) {
            if (preempt_needed())
                return -ERESTART;
            closed = looked = 0;
        }
    }
    return 0;
}

int evtchn_reset(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    int rc = close_all(d, &e->reset_next);

    if (rc)
        return rc;
    spin_lock(&e->lock);
    e->reset_next = 0;
    if (e->nr_active)
        rc = -EAGAIN; /* bound meanwhile by another vCPU */
    else
        fifo_disable(d);
    spin_unlock(&e->lock);
    return rc ? rc : fifo_drop_old(d);
}

int evtchn_relinquish(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    int rc;

    if (!e)
        return 0;
    spin_lock(&e->lock);
    e->closed = true;
    spin_unlock(&e->lock);
    virq_drop_handler(d);
    rc = close_all(d, &e->close_next);
    if (rc)
        return rc;
    spin_lock(&e->lock);
    fifo_disable(d);
    spin_unlock(&e->lock);
    return fifo_drop_old(d);
}
