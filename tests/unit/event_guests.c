/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two guests and a control domain that use event channels: made and taken down for each test, and their calls.
 */
#include "event_guests.h"

struct domain *ctl, *a, *b;

struct domain *new_domain(domid_t id, unsigned int vcpus, bool control, unsigned int max_port)
{
    struct domain *d = machine_domain(id, vcpus, control);

    assert_int_equal(evtchn_domain_init(d, max_port), 0);
    return d;
}

void finish_domain(struct domain *d)
{
    int rc;

    machine.preempt_every = 1;
    do {
        rc = evtchn_relinquish(d);
    } while (rc == -ERESTART);
    assert_int_equal(rc, 0);
    machine.preempt_every = 0;
    d->dying = DOM_DYING;
}

int event_setup(void **state)
{
    machine_reset();
    ctl = new_domain(0, 2, true, ~0u);
    a = new_domain(1, 2, false, 1023);
    b = new_domain(2, 1, false, 1023);
    run_on(a->vcpu[0]);
    return 0;
}

int event_teardown(void **state)
{
    struct domain *d[] = {ctl, a, b};

    for (unsigned int i = 0; i < 3; i++)
        finish_domain(d[i]);
    for (unsigned int i = 0; i < 3; i++)
        machine_destroy(d[i]);
    machine_reset();
    return 0;
}

long op(unsigned int cmd, const void *arg)
{
    return hypercall(do_event_channel_op, cmd, arg, 0);
}

long op_as(struct domain *d, unsigned int cmd, const void *arg)
{
    struct vcpu *was = current;
    long rc;

    run_on(d->vcpu[0]);
    rc = op(cmd, arg);
    run_on(was);
    return rc;
}

long alloc_unbound(struct domain *caller, domid_t dom, domid_t remote)
{
    struct evtchn_alloc_unbound x = {.dom = dom, .remote_dom = remote};
    long rc = op_as(caller, EVTCHNOP_alloc_unbound, &x);

    return rc ? rc : (long)x.port;
}

long bind_interdomain(struct domain *caller, domid_t remote, evtchn_port_t port)
{
    struct evtchn_bind_interdomain x = {.remote_dom = remote, .remote_port = port};
    long rc = op_as(caller, EVTCHNOP_bind_interdomain, &x);

    return rc ? rc : (long)x.local_port;
}

long bind_virq(struct domain *caller, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq x = {.virq = virq, .vcpu = vcpu};
    long rc = op_as(caller, EVTCHNOP_bind_virq, &x);

    return rc ? rc : (long)x.port;
}

long bind_ipi(struct domain *caller, uint32_t vcpu)
{
    struct evtchn_bind_ipi x = {.vcpu = vcpu};
    long rc = op_as(caller, EVTCHNOP_bind_ipi, &x);

    return rc ? rc : (long)x.port;
}

long bind_pirq(struct domain *caller, uint32_t pirq, uint32_t flags)
{
    struct evtchn_bind_pirq x = {.pirq = pirq, .flags = flags};
    long rc = op_as(caller, EVTCHNOP_bind_pirq, &x);

    return rc ? rc : (long)x.port;
}

long close_port(struct domain *caller, evtchn_port_t port)
{
    struct evtchn_close x = {port};

    return op_as(caller, EVTCHNOP_close, &x);
}

long send_port(struct domain *caller, evtchn_port_t port)
{
    struct evtchn_send x = {port};

    return op_as(caller, EVTCHNOP_send, &x);
}

long unmask(struct domain *caller, evtchn_port_t port)
{
    struct evtchn_unmask x = {port};

    return op_as(caller, EVTCHNOP_unmask, &x);
}

long bind_vcpu(struct domain *caller, evtchn_port_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu x = {.port = port, .vcpu = vcpu};

    return op_as(caller, EVTCHNOP_bind_vcpu, &x);
}

long reset(struct domain *caller, domid_t dom)
{
    struct evtchn_reset x = {.dom = dom};

    return op_as(caller, EVTCHNOP_reset, &x);
}

struct evtchn_status status(struct domain *d, evtchn_port_t port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    assert_int_equal(op_as(d, EVTCHNOP_status, &s), 0);
    return s;
}

bool pending(struct domain *d, unsigned int port)
{
    return test_bit(port, d->shared_info->evtchn_pending);
}

void consume(struct domain *d, unsigned int port)
{
    assert_true(pending(d, port));
    clear_bit(port, d->shared_info->evtchn_pending);
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        d->vcpu[i]->vcpu_info->evtchn_upcall_pending = 0;
        d->vcpu[i]->vcpu_info->evtchn_pending_sel = 0;
    }
}

void connect_guests(struct domain *x, struct domain *y, long *px, long *py)
{
    *py = alloc_unbound(y, DOMID_SELF, x->id);
    assert_true(*py > 0);
    *px = bind_interdomain(x, y->id, (evtchn_port_t)*py);
    assert_true(*px > 0);
    consume(x, (unsigned int)*px);
}
