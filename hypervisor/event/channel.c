/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Storage of channels: a two-level array of buckets indexed by port, allocation of the lowest free port, and the locks.
 * Everything else in event/ finds its channels here.
 *
 * A bucket's free mask and the group's summary change under e->lock only. A port whose event word is still queued in
 * the guest (FIFO) is not handed out again; the search gives up after a bounded number of such ports, which only a
 * guest that scribbles over its words can produce.
 */
#include <hv/heap.h>
#include <hv/sched.h>
#include "internal.h"

#define MAX_BUSY_PORTS 512u

struct channel *channel_lookup(const struct domain *d, unsigned int port)
{
    const struct evtchn_domain *e = d->evtchn;
    unsigned int nr = READ_ONCE(e->nr_ports);
    const struct group *g;

    if (port >= nr)
        return NULL;
    smp_rmb();
    port = (unsigned int)array_index_nospec(port, nr);
    g = e->group[port / CHANNELS_PER_GROUP];
    return &g->bucket[port / CHANNELS_PER_BUCKET % BUCKETS_PER_GROUP]->channel[port % CHANNELS_PER_BUCKET];
}

bool evtchn_port_valid(const struct domain *d, unsigned int port)
{
    return d->evtchn && channel_lookup(d, port) != NULL;
}

static struct bucket *bucket_of(const struct evtchn_domain *e, unsigned int port)
{
    return e->group[port / CHANNELS_PER_GROUP]->bucket[port / CHANNELS_PER_BUCKET % BUCKETS_PER_GROUP];
}

/* Adds the bucket for ports nr_ports... and publishes it. */
static int add_bucket(struct evtchn_domain *e)
{
    unsigned int first = e->nr_ports, slot = first / CHANNELS_PER_BUCKET % BUCKETS_PER_GROUP;
    struct group **g = &e->group[first / CHANNELS_PER_GROUP];
    struct bucket *b;

    if (!*g)
        *g = hv_new(struct group);
    b = *g ? hv_new(struct bucket) : NULL;
    if (!b)
        return -ENOMEM; /* an empty group stays for the next attempt */
    for (unsigned int i = 0; i < CHANNELS_PER_BUCKET; i++) {
        b->channel[i].port = first + i;
        b->channel[i].priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
        spin_lock_init(&b->channel[i].lock, RANK_EVENT_PORT);
        if (first + i <= e->max_port)
            b->free |= 1ull << i;
    }
    (*g)->bucket[slot] = b;
    if (b->free)
        (*g)->has_free |= 1ull << slot;
    smp_wmb();
    WRITE_ONCE(e->nr_ports, first + CHANNELS_PER_BUCKET);
    return 0;
}

/* Lowest free port at or above start in the buckets that exist; nr_ports: none. */
static unsigned int next_free(const struct evtchn_domain *e, unsigned int start)
{
    while (start < e->nr_ports) {
        const struct group *g = e->group[start / CHANNELS_PER_GROUP];
        unsigned int slot = start / CHANNELS_PER_BUCKET % BUCKETS_PER_GROUP;
        uint64_t buckets = g->has_free & (~0ull << slot), free;

        if (!buckets) {
            start = ROUND_DOWN(start, CHANNELS_PER_GROUP) + CHANNELS_PER_GROUP;
            continue;
        }
        if (ffs_u64(buckets) != slot)
            start = ROUND_DOWN(start, CHANNELS_PER_GROUP) + ffs_u64(buckets) * CHANNELS_PER_BUCKET;
        free = bucket_of(e, start)->free & (~0ull << start % CHANNELS_PER_BUCKET);
        if (free)
            return ROUND_DOWN(start, CHANNELS_PER_BUCKET) + ffs_u64(free);
        start = ROUND_DOWN(start, CHANNELS_PER_BUCKET) + CHANNELS_PER_BUCKET;
    }
    return e->nr_ports;
}

int channel_find_free(struct domain *d, struct channel **out)
{
    struct evtchn_domain *e = d->evtchn;
    unsigned int limit = MIN(e->max_port, e->ops->max_ports(d) - 1), port = 0, busy = 0;

    if (e->closed || READ_ONCE(d->dying) != DOM_ALIVE)
        return -EINVAL;
    for (;;) {
        port = next_free(e, port);
        if (port > limit)
            return -ENOSPC;
        if (port >= e->nr_ports) {
            int rc = add_bucket(e);

            if (rc)
                return rc;
            continue;
        }
        *out = channel_lookup(d, port);
        if (!e->ops->is_busy(d, *out))
            return 0;
        if (++busy == MAX_BUSY_PORTS)
            return -EBUSY;
        port++;
    }
}

void channel_take(struct domain *d, struct channel *ch, enum channel_state state, unsigned int notify_vcpu)
{
    struct evtchn_domain *e = d->evtchn;
    struct bucket *b = bucket_of(e, ch->port);

    b->free &= ~(1ull << ch->port % CHANNELS_PER_BUCKET);
    if (!b->free)
        e->group[ch->port / CHANNELS_PER_GROUP]->has_free &=
            ~(1ull << ch->port / CHANNELS_PER_BUCKET % BUCKETS_PER_GROUP);
    if (state != CHANNEL_RESERVED)
        e->nr_active++;
    ch->notify_vcpu = (uint16_t)notify_vcpu;
    ch->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    WRITE_ONCE(ch->state, (uint8_t)state);
}

void channel_release(struct domain *d, struct channel *ch)
{
    struct evtchn_domain *e = d->evtchn;

    WRITE_ONCE(ch->state, CHANNEL_FREE);
    ch->remote = NULL;
    ch->remote_id = DOMID_INVALID;
    ch->number = 0;
    ch->notify_vcpu = 0;
    /* The next user of the port must not find an old event. */
    e->ops->clear(d, ch);
    bucket_of(e, ch->port)->free |= 1ull << ch->port % CHANNELS_PER_BUCKET;
    e->group[ch->port / CHANNELS_PER_GROUP]->has_free |= 1ull << ch->port / CHANNELS_PER_BUCKET % BUCKETS_PER_GROUP;
    e->nr_active--;
}

void event_lock_pair(struct domain *a, struct domain *b)
{
    spinlock_t *first = &a->evtchn->lock, *second = &b->evtchn->lock;

    if (first > second) {
        first = &b->evtchn->lock;
        second = &a->evtchn->lock;
    }
    spin_lock(first);
    if (second != first)
        spin_lock_nested(second);
}

void event_unlock_pair(struct domain *a, struct domain *b)
{
    spin_unlock(&a->evtchn->lock);
    if (a != b)
        spin_unlock(&b->evtchn->lock);
}

unsigned long channel_lock_pair(struct channel *a, struct channel *b)
{
    spinlock_t *first = &MIN(a, b)->lock, *second = &MAX(a, b)->lock;
    unsigned long flags = spin_lock_irqsave(first);

    spin_lock_nested(second);
    return flags;
}

void channel_unlock_pair(struct channel *a, struct channel *b, unsigned long flags)
{
    spin_unlock(&MAX(a, b)->lock);
    spin_unlock_irqrestore(&MIN(a, b)->lock, flags);
}

int evtchn_domain_init(struct domain *d, unsigned int max_port)
{
    struct evtchn_domain *e = hv_new(struct evtchn_domain);

    if (!e)
        return -ENOMEM;
    spin_lock_init(&e->lock, RANK_EVENT);
    spin_lock_init(&e->queue_lock, RANK_EVENT_QUEUE);
    e->max_port = MIN(max_port, EVTCHN_FIFO_NR_CHANNELS - 1u);
    e->ops = &two_level_ops;
    d->evtchn = e;
    if (add_bucket(e)) {
        (void)evtchn_domain_free(d); /* no bucket: nothing that takes long */
        return -ENOMEM;
    }
    channel_take(d, channel_lookup(d, 0), CHANNEL_RESERVED, 0);
    return 0;
}

int evtchn_domain_free(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;

    if (!e)
        return 0;
    for (; e->nr_ports; stretch_work(1)) {
        if (preempt_before_work(1))
            return -ERESTART;
        e->nr_ports -= CHANNELS_PER_BUCKET;
        hv_free(bucket_of(e, e->nr_ports));
    }
    for (unsigned int g = 0; g < NR_GROUPS; g++)
        hv_free(e->group[g]);
    hv_free(e->pirq_port);
    hv_free(e->fifo);
    hv_free(e->old_fifo);
    hv_free(e);
    d->evtchn = NULL;
    return 0;
}

int evtchn_vcpu_init(struct vcpu *v)
{
    v->evtchn = hv_new(struct evtchn_vcpu);
    return v->evtchn ? 0 : -ENOMEM;
}

void evtchn_vcpu_free(struct vcpu *v)
{
    hv_free(v->evtchn);
    v->evtchn = NULL;
}
