/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources of events inside the hypervisor: virtual interrupts and physical ones, and the debug listing. A source finds
 * the port in a table without a lock and then checks, under the channel's lock, that the channel is still the one: a
 * port that was closed and bound anew meanwhile is left alone.
 *
 * Global VIRQs go to one domain, the control domain unless a tool chose another. The choice holds no reference:
 * teardown takes it back, and sending happens under the same lock.
 */
#include "internal.h"

static spinlock_t handler_lock = SPINLOCK_INIT(RANK_EVENT_VIRQ);
static struct domain *handler[NR_VIRQS]; /* handler_lock; NULL: the control domain */

bool virq_is_global(unsigned int virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    default:
        return true;
    }
}

/* Raises port if it is bound to the source that the caller found it under. Returns whether it was. */
static bool raise_if_bound(struct domain *d, uint32_t port, enum channel_state state, unsigned int number)
{
    struct channel *ch = port ? channel_lookup(d, port) : NULL;
    unsigned long flags;
    bool bound;

    if (!ch)
        return false;
    flags = spin_lock_irqsave(&ch->lock);
    bound = ch->state == state && ch->number == number;
    if (bound)
        channel_raise(d, ch);
    spin_unlock_irqrestore(&ch->lock, flags);
    return bound;
}

void send_vcpu_virq(struct vcpu *v, unsigned int virq)
{
    ASSERT(virq < NR_VIRQS);
    if (v->evtchn)
        raise_if_bound(v->domain, READ_ONCE(v->evtchn->virq_port[virq]), CHANNEL_VIRQ, virq);
}

void send_domain_virq(struct domain *d, unsigned int virq)
{
    struct vcpu *v = domain_vcpu(d, 0);

    /* A global VIRQ is bound on vCPU 0 and notifies the vCPU to which the channel was moved. */
    if (v)
        send_vcpu_virq(v, virq);
}

void send_global_virq(unsigned int virq)
{
    unsigned long flags = spin_lock_irqsave(&handler_lock);
    struct domain *d = handler[virq] ? handler[virq] : control_domain;

    if (d)
        send_domain_virq(d, virq);
    spin_unlock_irqrestore(&handler_lock, flags);
}

int set_global_virq_handler(struct domain *d, unsigned int virq)
{
    unsigned long flags;
    int rc = -EINVAL;

    if (virq >= NR_VIRQS || !virq_is_global(virq) || !d->evtchn)
        return -EINVAL;
    virq = (unsigned int)array_index_nospec(virq, NR_VIRQS);
    spin_lock(&d->evtchn->lock);
    if (!d->evtchn->closed) {
        flags = spin_lock_irqsave(&handler_lock);
        handler[virq] = d == control_domain ? NULL : d;
        spin_unlock_irqrestore(&handler_lock, flags);
        rc = 0;
    }
    spin_unlock(&d->evtchn->lock);
    return rc;
}

void virq_drop_handler(struct domain *d)
{
    unsigned long flags = spin_lock_irqsave(&handler_lock);

    for (unsigned int i = 0; i < NR_VIRQS; i++)
        if (handler[i] == d)
            handler[i] = NULL;
    spin_unlock_irqrestore(&handler_lock, flags);
}

bool send_pirq(struct domain *d, unsigned int pirq)
{
    const uint32_t *table = d->evtchn ? READ_ONCE(d->evtchn->pirq_port) : NULL;

    if (!table || pirq >= EVTCHN_NR_PIRQS)
        return false;
    return raise_if_bound(d, READ_ONCE(table[pirq]), CHANNEL_PIRQ, pirq);
}

static void dump_channel(struct domain *d, const struct channel *ch)
{
    static const char *const names[] = {"free", "reserved", "unbound", "interdomain", "pirq", "virq", "ipi"};
    const struct event_ops *ops = READ_ONCE(d->evtchn->ops);

    printk("  %5u [%c%c] %s vcpu %u number %u remote %u\n", ch->port, ops->is_pending(d, ch) ? 'p' : '-',
           ops->is_masked(d, ch) ? 'm' : '-', names[ch->state], ch->notify_vcpu, ch->number, ch->remote_id);
}

static void dump_domain(struct domain *d)
{
    const struct evtchn_domain *e = d->evtchn;

    printk("Event channels of domain %u: %u in use, %s\n", d->id, e->nr_active, e->fifo ? "FIFO" : "2-level");
    for (unsigned int port = 1; port < READ_ONCE(e->nr_ports); port++) {
        const struct channel *ch = channel_lookup(d, port);

        if (channel_usable(ch))
            dump_channel(d, ch);
    }
}

void evtchn_dump(void)
{
    struct domain *d = domain_get_next(0);

    while (d) {
        domid_t next = (domid_t)(d->id + 1);

        if (d->evtchn)
            dump_domain(d);
        domain_put(d);
        d = domain_get_next(next);
    }
}
