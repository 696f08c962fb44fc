/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercall event_channel_op: copies the argument in, resolves and checks the domain it names, calls the operation and
 * copies the result back. A result that cannot be delivered to the guest is undone where that is possible, so that no
 * port is lost. See docs/abi.md for the errors.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include "internal.h"

/*
 * The domain a guest names, with a reference: itself, or, for the control domain, any. 0, -ESRCH or -EPERM.
 */
static int named_domain(domid_t id, struct domain **out)
{
    struct domain *d = domain_get(id);

    if (!d)
        return -ESRCH;
    if (!d->evtchn || (d != current->domain && !current->domain->is_control)) {
        int rc = d->evtchn ? -EPERM : -ESRCH;

        domain_put(d);
        return rc;
    }
    *out = d;
    return 0;
}

/* Ends an operation that made a port: delivers the argument with the port in it, or takes the port back. */
#define deliver_port(d, gptr, local, field) \
    (copy_field_to_guest(gptr, local, field) ? (evtchn_close(d, (local)->field), -EFAULT) : 0)

static long op_alloc_unbound(unsigned long arg)
{
    struct evtchn_alloc_unbound *g = guest_ptr(struct evtchn_alloc_unbound, arg), a;
    struct domain *d;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    rc = named_domain(a.dom, &d);
    if (rc)
        return rc;
    rc = evtchn_alloc_unbound(d, a.remote_dom == DOMID_SELF ? current->domain->id : a.remote_dom, &a.port);
    if (!rc)
        rc = deliver_port(d, g, &a, port);
    domain_put(d);
    return rc;
}

static long op_bind_interdomain(unsigned long arg)
{
    struct evtchn_bind_interdomain *g = guest_ptr(struct evtchn_bind_interdomain, arg), a;
    struct domain *d = current->domain, *remote;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    remote = domain_get(a.remote_dom);
    if (!remote)
        return -ESRCH;
    rc = remote->evtchn ? evtchn_bind_interdomain(d, remote, a.remote_port, &a.local_port) : -ESRCH;
    if (!rc)
        rc = deliver_port(d, g, &a, local_port);
    domain_put(remote);
    return rc;
}

static long op_bind_virq(unsigned long arg)
{
    struct evtchn_bind_virq *g = guest_ptr(struct evtchn_bind_virq, arg), a;
    struct domain *d = current->domain;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    rc = evtchn_bind_virq(d, a.virq, a.vcpu, &a.port);
    return rc ? rc : deliver_port(d, g, &a, port);
}

static long op_bind_ipi(unsigned long arg)
{
    struct evtchn_bind_ipi *g = guest_ptr(struct evtchn_bind_ipi, arg), a;
    struct domain *d = current->domain;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    rc = evtchn_bind_ipi(d, a.vcpu, &a.port);
    return rc ? rc : deliver_port(d, g, &a, port);
}

static long op_bind_pirq(unsigned long arg)
{
    struct evtchn_bind_pirq *g = guest_ptr(struct evtchn_bind_pirq, arg), a;
    struct domain *d = current->domain;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    rc = evtchn_bind_pirq(d, a.pirq, a.flags, &a.port);
    return rc ? rc : deliver_port(d, g, &a, port);
}

static long op_close(unsigned long arg)
{
    struct evtchn_close a;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_close, arg), 1))
        return -EFAULT;
    return evtchn_close(current->domain, a.port);
}

static long op_send(unsigned long arg)
{
    struct evtchn_send a;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_send, arg), 1))
        return -EFAULT;
    return evtchn_send(current->domain, a.port);
}

static long op_unmask(unsigned long arg)
{
    struct evtchn_unmask a;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_unmask, arg), 1))
        return -EFAULT;
    return evtchn_unmask(current->domain, a.port);
}

static long op_bind_vcpu(unsigned long arg)
{
    struct evtchn_bind_vcpu a;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_bind_vcpu, arg), 1))
        return -EFAULT;
    return evtchn_bind_vcpu(current->domain, a.port, a.vcpu);
}

/* The channel's lock is held. */
static void fill_status(const struct channel *ch, struct evtchn_status *s)
{
    static const uint8_t status[] = {
        [CHANNEL_FREE] = EVTCHNSTAT_closed,     [CHANNEL_RESERVED] = EVTCHNSTAT_closed,
        [CHANNEL_UNBOUND] = EVTCHNSTAT_unbound, [CHANNEL_INTERDOMAIN] = EVTCHNSTAT_interdomain,
        [CHANNEL_PIRQ] = EVTCHNSTAT_pirq,       [CHANNEL_VIRQ] = EVTCHNSTAT_virq,
        [CHANNEL_IPI] = EVTCHNSTAT_ipi,
    };

    s->status = status[ch->state];
    s->vcpu = ch->notify_vcpu;
    switch (ch->state) {
    case CHANNEL_UNBOUND:
        s->u.unbound.dom = ch->remote_id;
        break;
    case CHANNEL_INTERDOMAIN:
        s->u.interdomain.dom = ch->remote->id;
        s->u.interdomain.port = ch->number;
        break;
    case CHANNEL_PIRQ:
        s->u.pirq = ch->number;
        break;
    case CHANNEL_VIRQ:
        s->u.virq = ch->number;
        break;
    default:
        break;
    }
}

static long op_status(unsigned long arg)
{
    struct evtchn_status *g = guest_ptr(struct evtchn_status, arg), a;
    struct channel *ch;
    struct domain *d;
    unsigned long flags;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    rc = named_domain(a.dom, &d);
    if (rc)
        return rc;
    ch = channel_lookup(d, a.port);
    if (ch) {
        flags = spin_lock_irqsave(&ch->lock);
        fill_status(ch, &a);
        spin_unlock_irqrestore(&ch->lock, flags);
    }
    domain_put(d);
    if (!ch)
        return -EINVAL;
    return copy_to_guest(g, &a, 1) ? -EFAULT : 0;
}

static long op_reset(unsigned long arg)
{
    struct evtchn_reset a;
    struct domain *d;
    int rc;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_reset, arg), 1))
        return -EFAULT;
    rc = named_domain(a.dom, &d);
    if (rc)
        return rc;
    /* Somebody else's channels are reset only while the domain cannot use them. */
    rc = d == current->domain || READ_ONCE(d->controller_pause_count) ? evtchn_reset(d) : -EINVAL;
    domain_put(d);
    return rc;
}

static long op_init_control(unsigned long arg)
{
    struct evtchn_init_control *g = guest_ptr(struct evtchn_init_control, arg), a;
    int rc;

    if (copy_from_guest(&a, g, 1))
        return -EFAULT;
    rc = fifo_drop_old(current->domain);
    if (!rc)
        rc = fifo_init_control(current->domain, a.vcpu, a.control_gfn, a.offset);
    a.link_bits = EVTCHN_FIFO_LINK_BITS;
    if (!rc && copy_field_to_guest(g, &a, link_bits))
        rc = -EFAULT;
    return rc;
}

static long op_expand_array(unsigned long arg)
{
    struct evtchn_expand_array a;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_expand_array, arg), 1))
        return -EFAULT;
    return fifo_expand_array(current->domain, a.array_gfn);
}

static long op_set_priority(unsigned long arg)
{
    struct domain *d = current->domain;
    const struct event_ops *ops = READ_ONCE(d->evtchn->ops);
    struct evtchn_set_priority a;
    struct channel *ch;

    if (copy_from_guest(&a, guest_ptr(struct evtchn_set_priority, arg), 1))
        return -EFAULT;
    ch = channel_lookup(d, a.port);
    if (!ch)
        return -EINVAL;
    return ops->set_priority ? ops->set_priority(d, ch, a.priority) : -ENOSYS;
}

static long (*const ops_table[])(unsigned long) = {
    [EVTCHNOP_bind_interdomain] = op_bind_interdomain,
    [EVTCHNOP_bind_virq] = op_bind_virq,
    [EVTCHNOP_bind_pirq] = op_bind_pirq,
    [EVTCHNOP_close] = op_close,
    [EVTCHNOP_send] = op_send,
    [EVTCHNOP_status] = op_status,
    [EVTCHNOP_alloc_unbound] = op_alloc_unbound,
    [EVTCHNOP_bind_ipi] = op_bind_ipi,
    [EVTCHNOP_bind_vcpu] = op_bind_vcpu,
    [EVTCHNOP_unmask] = op_unmask,
    [EVTCHNOP_reset] = op_reset,
    [EVTCHNOP_init_control] = op_init_control,
    [EVTCHNOP_expand_array] = op_expand_array,
    [EVTCHNOP_set_priority] = op_set_priority,
};

long do_event_channel_op(struct hcall *hc)
{
    unsigned int cmd = (unsigned int)hc->arg[0];
    long rc;

    if (cmd >= ARRAY_SIZE(ops_table))
        return -ENOSYS;
    rc = ops_table[array_index_nospec(cmd, ARRAY_SIZE(ops_table))](hc->arg[1]);
    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}
