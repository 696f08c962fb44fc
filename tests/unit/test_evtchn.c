/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels through their hypercall, as two guests and a control domain use them: every operation and error, the
 * states of a channel between two domains, the 2-level ABI, limits, teardown, and random operations against a model.
 */
#include "event_guests.h"

/* ---- single operations ---- */

static void bad_calls(void **state)
{
    for (unsigned int cmd = 0; cmd <= EVTCHNOP_set_priority; cmd++)
        assert_int_equal(op(cmd, FAULT), -EFAULT);
    assert_int_equal(op(14, FAULT), -ENOSYS);
    assert_int_equal(op(~0u, FAULT), -ENOSYS);
}

static void test_alloc_unbound(void **state)
{
    struct evtchn_status s;

    assert_int_equal(alloc_unbound(a, DOMID_SELF, 2), 1);
    assert_int_equal(alloc_unbound(a, 1, DOMID_SELF), 2);
    assert_int_equal(alloc_unbound(a, 2, 1), -EPERM);
    assert_int_equal(alloc_unbound(a, 9, 1), -ESRCH);
    assert_int_equal(alloc_unbound(ctl, 9, 1), -ESRCH);
    assert_int_equal(alloc_unbound(ctl, 2, 0), 1); /* the toolstack for a guest */
    s = status(a, 1);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 2);
    assert_int_equal(status(a, 2).u.unbound.dom, 1);
    assert_int_equal(status(a, 3).status, EVTCHNSTAT_closed);
    assert_int_equal(status(a, 0).status, EVTCHNSTAT_closed);
    b->dying = DOM_DYING;
    assert_int_equal(alloc_unbound(ctl, 2, 0), -EINVAL);
    b->dying = DOM_ALIVE;
}

static void status_errors(void **state)
{
    struct evtchn_status s = {.dom = 2, .port = 1};

    assert_int_equal(op(EVTCHNOP_status, &s), -EPERM);
    s.dom = 9;
    assert_int_equal(op(EVTCHNOP_status, &s), -ESRCH);
    s = (struct evtchn_status){.dom = DOMID_SELF, .port = 64};
    assert_int_equal(op(EVTCHNOP_status, &s), -EINVAL);
    s = (struct evtchn_status){.dom = 2, .port = 5};
    assert_int_equal(op_as(ctl, EVTCHNOP_status, &s), 0);
}

static void interdomain_states(void **state)
{
    long pa, pb;

    assert_int_equal(bind_interdomain(a, 9, 1), -ESRCH);
    assert_int_equal(bind_interdomain(a, 2, 1), -EINVAL);
    assert_int_equal(bind_interdomain(a, 2, 70000), -EINVAL);
    pb = alloc_unbound(b, DOMID_SELF, 0);
    assert_int_equal(bind_interdomain(a, 2, (evtchn_port_t)pb), -EINVAL); /* it waits for another */
    assert_int_equal(close_port(b, (evtchn_port_t)pb), 0);
    assert_int_equal(close_port(b, (evtchn_port_t)pb), -EINVAL);

    pb = alloc_unbound(b, DOMID_SELF, 1);
    assert_int_equal(send_port(b, (evtchn_port_t)pb), 0); /* lost */
    pa = bind_interdomain(a, 2, (evtchn_port_t)pb);
    assert_true(pa > 0);
    assert_true(pending(a, (unsigned int)pa)); /* the binder is to look */
    assert_false(pending(b, (unsigned int)pb));
    assert_int_equal(bind_interdomain(a, 2, (evtchn_port_t)pb), -EINVAL); /* taken */
    assert_int_equal(status(a, (evtchn_port_t)pa).u.interdomain.dom, 2);
    assert_int_equal(status(b, (evtchn_port_t)pb).u.interdomain.port, pa);
    consume(a, (unsigned int)pa);
    assert_int_equal(send_port(b, (evtchn_port_t)pb), 0);
    consume(a, (unsigned int)pa);
    assert_int_equal(send_port(a, (evtchn_port_t)pa), 0);
    consume(b, (unsigned int)pb);

    assert_int_equal(close_port(a, (evtchn_port_t)pa), 0);
    assert_int_equal(status(a, (evtchn_port_t)pa).status, EVTCHNSTAT_closed);
    assert_int_equal(status(b, (evtchn_port_t)pb).status, EVTCHNSTAT_unbound);
    assert_int_equal(status(b, (evtchn_port_t)pb).u.unbound.dom, 1);
    assert_int_equal(send_port(b, (evtchn_port_t)pb), 0);
    assert_int_equal(bind_interdomain(a, 2, (evtchn_port_t)pb), pa); /* again */
    assert_int_equal(send_port(a, 0), -EINVAL);
    assert_int_equal(send_port(a, 63), -EINVAL);
    assert_int_equal(send_port(a, 64), -EINVAL);
    assert_int_equal(close_port(a, 0), -EINVAL);
    assert_int_equal(close_port(a, 64), -EINVAL);
}

static void loopback(void **state)
{
    long p = alloc_unbound(a, DOMID_SELF, DOMID_SELF), q = bind_interdomain(a, DOMID_SELF, (evtchn_port_t)p);

    assert_true(q > 0 && q != p);
    consume(a, (unsigned int)q);
    assert_int_equal(send_port(a, (evtchn_port_t)q), 0);
    consume(a, (unsigned int)p);
    assert_int_equal(close_port(a, (evtchn_port_t)q), 0);
    assert_int_equal(status(a, (evtchn_port_t)p).status, EVTCHNSTAT_unbound);
}

static void ends_vanish(void **state)
{
    long pa, pb;

    connect_guests(a, b, &pa, &pb);
    finish_domain(b);
    assert_int_equal(status(a, (evtchn_port_t)pa).status, EVTCHNSTAT_unbound);
    assert_int_equal(send_port(a, (evtchn_port_t)pa), 0);
    pb = alloc_unbound(a, DOMID_SELF, 2);
    assert_int_equal(bind_interdomain(b, 1, (evtchn_port_t)pb), -EINVAL);
    assert_int_equal(b->refcount, 1);
}

static void virqs(void **state)
{
    long t0 = bind_virq(a, VIRQ_TIMER, 0), t1 = bind_virq(a, VIRQ_TIMER, 1), c;

    assert_true(t0 > 0 && t1 > 0);
    assert_int_equal(bind_virq(a, VIRQ_TIMER, 1), -EEXIST);
    assert_int_equal(bind_virq(a, VIRQ_TIMER, 2), -ENOENT);
    assert_int_equal(bind_virq(a, NR_VIRQS, 0), -EINVAL);
    assert_int_equal(bind_virq(a, VIRQ_DOM_EXC, 1), -EINVAL);
    send_vcpu_virq(a->vcpu[1], VIRQ_TIMER);
    assert_false(pending(a, (unsigned int)t0));
    consume(a, (unsigned int)t1);
    assert_int_equal(bind_vcpu(a, (evtchn_port_t)t1, 0), -EINVAL);
    assert_int_equal(status(a, (evtchn_port_t)t1).u.virq, VIRQ_TIMER);
    assert_int_equal(status(a, (evtchn_port_t)t1).vcpu, 1);
    assert_int_equal(close_port(a, (evtchn_port_t)t1), 0);
    send_vcpu_virq(a->vcpu[1], VIRQ_TIMER); /* nobody */
    assert_int_equal(bind_virq(a, VIRQ_TIMER, 1), t1);

    send_global_virq(VIRQ_CONSOLE); /* not bound yet */
    c = bind_virq(ctl, VIRQ_CONSOLE, 0);
    assert_int_equal(bind_vcpu(ctl, (evtchn_port_t)c, 1), 0);
    send_global_virq(VIRQ_CONSOLE);
    assert_true(ctl->vcpu[1]->vcpu_info->evtchn_upcall_pending);
    assert_false(ctl->vcpu[0]->vcpu_info->evtchn_upcall_pending);
    consume(ctl, (unsigned int)c);
}

static void global_virq_handler(void **state)
{
    long p = bind_virq(b, VIRQ_DOM_EXC, 0), c = bind_virq(ctl, VIRQ_DOM_EXC, 0);

    assert_int_equal(set_global_virq_handler(b, VIRQ_TIMER), -EINVAL);
    assert_int_equal(set_global_virq_handler(b, NR_VIRQS), -EINVAL);
    assert_int_equal(set_global_virq_handler(b, VIRQ_DOM_EXC), 0);
    send_global_virq(VIRQ_DOM_EXC);
    consume(b, (unsigned int)p);
    assert_false(pending(ctl, (unsigned int)c));
    finish_domain(b); /* and the control domain gets it back */
    assert_int_equal(set_global_virq_handler(b, VIRQ_DOM_EXC), -EINVAL);
    send_global_virq(VIRQ_DOM_EXC);
    consume(ctl, (unsigned int)c);
}

/* Sixteen in a row are there at once, the next waits. */
static void send_itself_many(evtchn_port_t p)
{
    machine.still = true;
    machine.now = MILLISECS(1000);
    for (unsigned int i = 0; i < 16; i++) {
        assert_int_equal(send_port(a, p), 0);
        consume(a, p);
    }
    assert_int_equal(send_port(a, p), 0);
    assert_false(pending(a, p));
}

/* IPIs of a vCPU to itself: many in a row wait, and come once. Others, and those of others, are there at once.
 */
static void ipis_to_itself(void **state)
{
    struct vcpu *v = a->vcpu[0];
    evtchn_port_t p = (evtchn_port_t)bind_ipi(a, 0), q = (evtchn_port_t)bind_ipi(a, 0);
    struct evtchn_send x = {p};

    send_itself_many(p);
    assert_int_equal(send_port(a, p), 0);
    assert_false(pending(a, p));
    assert_int_equal(v->self_timer.expires, machine.now + MICROSECS(200));
    assert_int_equal(send_port(a, q), 0);
    consume(a, q);
    evtchn_self_expired(v);
    consume(a, p);
    evtchn_self_expired(v);
    assert_false(pending(a, p));

    run_on(a->vcpu[1]);
    assert_int_equal(op(EVTCHNOP_send, &x), 0);
    run_on(v);
    consume(a, p);
    machine.now += MILLISECS(10);
    assert_int_equal(send_port(a, p), 0);
    consume(a, p);
}

static void ipi_waits_for_nobody(void **state)
{
    evtchn_port_t p = (evtchn_port_t)bind_ipi(a, 0);

    send_itself_many(p);
    assert_int_equal(close_port(a, p), 0);
    assert_int_equal(bind_ipi(a, 0), p);
    evtchn_self_expired(a->vcpu[0]);
    assert_false(pending(a, p));
    assert_int_equal(send_port(a, p), 0);
    evtchn_self_expired(a->vcpu[0]);
    consume(a, p);
}

static void ipis(void **state)
{
    long p = bind_ipi(a, 1);

    assert_int_equal(bind_ipi(a, 2), -ENOENT);
    a->vcpu[1]->is_running = true;
    assert_int_equal(send_port(a, (evtchn_port_t)p), 0);
    assert_true(a->vcpu[1]->vcpu_info->evtchn_upcall_pending);
    assert_int_equal(machine.ipis, 1);
    assert_int_equal(send_port(a, (evtchn_port_t)p), 0); /* pending already: no second kick */
    assert_int_equal(machine.ipis, 1);
    assert_int_equal(bind_vcpu(a, (evtchn_port_t)p, 0), -EINVAL);
    assert_int_equal(bind_vcpu(a, (evtchn_port_t)p, 7), -ENOENT);
    assert_int_equal(bind_vcpu(a, 64, 0), -EINVAL);
    assert_int_equal(status(a, (evtchn_port_t)p).status, EVTCHNSTAT_ipi);
}

static void pirqs(void **state)
{
    long p;

    assert_int_equal(bind_pirq(a, 4, 0), -EPERM);
    assert_int_equal(bind_pirq(ctl, 4, 2), -EINVAL);
    assert_int_equal(bind_pirq(ctl, 5000, 0), -EINVAL);
    assert_int_equal(bind_pirq(ctl, 100, 0), -EPERM);
    machine.pirq_error = EBUSY;
    assert_int_equal(bind_pirq(ctl, 4, 0), -EBUSY);
    machine.pirq_error = 0;
    assert_false(send_pirq(ctl, 4));
    p = bind_pirq(ctl, 4, BIND_PIRQ__WILL_SHARE);
    assert_int_equal(p, 1); /* the refused one left no port */
    assert_int_equal(bind_pirq(ctl, 4, 0), -EEXIST);
    assert_true(send_pirq(ctl, 4));
    consume(ctl, 1);
    assert_false(send_pirq(ctl, 5));
    assert_false(send_pirq(ctl, 70000));
    assert_int_equal(bind_vcpu(ctl, 1, 1), 0);
    assert_int_equal(machine.pirq_cpu[4], 1);
    assert_int_equal(status(ctl, 1).u.pirq, 4);
    assert_int_equal(close_port(ctl, 1), 0);
    assert_null(machine.pirq_owner[4]);
    assert_false(send_pirq(ctl, 4));
}

/* A port that the guest is not told of is taken back. */
static void result_not_deliverable(void **state)
{
    long pb = alloc_unbound(b, DOMID_SELF, 1);

    for (unsigned int i = 0; i < 3; i++) {
        machine.fail_copy_to = 1;
        assert_int_equal(alloc_unbound(a, DOMID_SELF, 2), -EFAULT);
        machine.fail_copy_to = 1;
        assert_int_equal(bind_interdomain(a, 2, (evtchn_port_t)pb), -EFAULT);
        machine.fail_copy_to = 1;
        assert_int_equal(bind_virq(a, VIRQ_TIMER, 1), -EFAULT);
        machine.fail_copy_to = 1;
        assert_int_equal(bind_ipi(a, 0), -EFAULT);
        machine.fail_copy_to = 1;
        assert_int_equal(bind_pirq(ctl, 3, 0), -EFAULT);
        assert_int_equal(status(b, (evtchn_port_t)pb).status, EVTCHNSTAT_unbound);
    }
    assert_int_equal(bind_interdomain(a, 2, (evtchn_port_t)pb), 1);
    assert_int_equal(bind_pirq(ctl, 3, 0), 1);
}

static void reset_rights(void **state)
{
    long pa, pb;

    connect_guests(a, b, &pa, &pb);
    assert_int_equal(reset(a, 9), -ESRCH);
    assert_int_equal(reset(a, 2), -EPERM);
    assert_int_equal(reset(ctl, 2), -EINVAL); /* it could be running */
    b->controller_pause_count = 1;
    assert_int_equal(reset(ctl, 2), 0);
    assert_int_equal(status(b, (evtchn_port_t)pb).status, EVTCHNSTAT_closed);
    assert_int_equal(status(a, (evtchn_port_t)pa).status, EVTCHNSTAT_unbound);
}

/* ---- 2-level ---- */

static void two_level_masks(void **state)
{
    vcpu_info_t *vi = a->vcpu[0]->vcpu_info;
    long pa, pb;

    connect_guests(a, b, &pa, &pb);
    set_bit((unsigned int)pa, a->shared_info->evtchn_mask);
    send_port(b, (evtchn_port_t)pb);
    assert_true(pending(a, (unsigned int)pa));
    assert_int_equal(vi->evtchn_pending_sel, 0);
    assert_int_equal(vi->evtchn_upcall_pending, 0);
    assert_int_equal(unmask(a, (evtchn_port_t)pa), 0);
    assert_int_equal(vi->evtchn_pending_sel, 1);
    assert_int_equal(vi->evtchn_upcall_pending, 1);
    assert_true(vcpu_event_pending(a->vcpu[0]));
    vi->evtchn_upcall_mask = 1;
    assert_false(vcpu_event_pending(a->vcpu[0]));
    consume(a, (unsigned int)pa);
    assert_int_equal(unmask(a, (evtchn_port_t)pa), 0); /* not masked: nothing */
    assert_int_equal(vi->evtchn_upcall_pending, 0);
    assert_int_equal(unmask(a, 64), -EINVAL);
    assert_int_equal(unmask(a, 0), 0);
    /* A closed port does not stay pending for its next user. */
    send_port(b, (evtchn_port_t)pb);
    close_port(a, (evtchn_port_t)pa);
    assert_false(pending(a, (unsigned int)pa));
}

static void poll(void **state)
{
    long pa, pb;

    connect_guests(a, b, &pa, &pb);
    set_bit((unsigned int)pa, a->shared_info->evtchn_mask);
    a->vcpu[1]->poll_evtchn = (unsigned int)pa;
    set_bit(VPF_poll, &a->vcpu[1]->pause_flags);
    assert_false(evtchn_port_pending(a->vcpu[1], (unsigned int)pa));
    send_port(b, (evtchn_port_t)pb); /* masked, but polled for */
    assert_int_equal(a->vcpu[1]->pause_flags, 0);
    assert_true(evtchn_port_pending(a->vcpu[1], (unsigned int)pa));
    assert_true(evtchn_port_valid(a, 63));
    assert_false(evtchn_port_valid(a, 64));
    assert_false(evtchn_port_pending(a->vcpu[1], 64));
    evtchn_vcpu_info_moved(a->vcpu[1]);
    assert_int_equal(a->vcpu[1]->vcpu_info->evtchn_pending_sel, ~0ul);
    evtchn_send_port(a, 5000);
    evtchn_dump();
}

static void limits(void **state)
{
    for (long i = 1; i <= 1023; i++)
        assert_int_equal(bind_ipi(a, 0), i);
    assert_int_equal(bind_ipi(a, 0), -ENOSPC);
    assert_int_equal(close_port(a, 77), 0);
    assert_int_equal(bind_ipi(a, 1), 77); /* lowest free */
    for (long i = 1; i < 4096; i++)
        assert_int_equal(alloc_unbound(ctl, DOMID_SELF, 1), i);
    assert_int_equal(alloc_unbound(ctl, DOMID_SELF, 1), -ENOSPC); /* of the 2-level ABI */
}

static void out_of_memory(void **state)
{
    for (long i = 1; i < 64; i++)
        assert_int_equal(bind_ipi(a, 0), i);
    machine.fail_alloc = 1;
    assert_int_equal(bind_ipi(a, 0), -ENOMEM);
    assert_int_equal(bind_ipi(a, 0), 64);
    machine.fail_alloc = 1;
    assert_int_equal(bind_pirq(ctl, 1, 0), -ENOMEM);
}

/* ---- random operations against a model ---- */

#define MODEL_PORTS 64
struct model_port {
    int state; /* EVTCHNSTAT_* */
    domid_t dom;
    unsigned int port, vcpu;
    bool pending;
};
static struct model_port model[3][MODEL_PORTS];

static unsigned int lowest_free(unsigned int d)
{
    unsigned int p = 1;

    while (p < MODEL_PORTS && model[d][p].state != EVTCHNSTAT_closed)
        p++;
    return p;
}

static void random_bind(struct domain *d, struct domain *r, unsigned int port)
{
    unsigned int free = lowest_free(d->id);
    bool ok = free < MODEL_PORTS && model[r->id][port].state == EVTCHNSTAT_unbound && model[r->id][port].dom == d->id;
    long rc = bind_interdomain(d, r->id, port);

    if (free == MODEL_PORTS) {
        assert_int_equal(rc, -ENOSPC);
        return;
    }
    assert_int_equal(rc, ok ? (long)free : -EINVAL);
    if (!ok)
        return;
    model[d->id][free] = (struct model_port){EVTCHNSTAT_interdomain, r->id, port, 0, true};
    model[r->id][port].state = EVTCHNSTAT_interdomain;
    model[r->id][port].dom = d->id;
    model[r->id][port].port = free;
}

static void random_alloc(struct domain *d, struct domain *r)
{
    unsigned int free = lowest_free(d->id);
    long rc = alloc_unbound(d, DOMID_SELF, r->id);

    assert_int_equal(rc, free < MODEL_PORTS ? (long)free : -ENOSPC);
    if (rc > 0)
        model[d->id][free] = (struct model_port){EVTCHNSTAT_unbound, r->id, 0, 0, false};
}

static void random_close(struct domain *d, unsigned int port)
{
    struct model_port *m = &model[d->id][port];

    assert_int_equal(close_port(d, port), m->state == EVTCHNSTAT_closed ? -EINVAL : 0);
    if (m->state == EVTCHNSTAT_interdomain) {
        model[m->dom][m->port].state = EVTCHNSTAT_unbound;
        model[m->dom][m->port].dom = d->id;
    }
    memset(m, 0, sizeof(*m));
}

static void random_send(struct domain *d, unsigned int port)
{
    struct model_port *m = &model[d->id][port];

    assert_int_equal(send_port(d, port), m->state == EVTCHNSTAT_closed ? -EINVAL : 0);
    if (m->state == EVTCHNSTAT_interdomain)
        model[m->dom][m->port].pending = true;
    if (m->state == EVTCHNSTAT_ipi)
        m->pending = true;
}

static void random_ipi(struct domain *d)
{
    unsigned int free = lowest_free(d->id), vcpu = random_below(3);
    long rc = bind_ipi(d, vcpu);

    if (vcpu >= d->max_vcpus) {
        assert_int_equal(rc, -ENOENT);
        return;
    }
    assert_int_equal(rc, free < MODEL_PORTS ? (long)free : -ENOSPC);
    if (rc > 0)
        model[d->id][free] = (struct model_port){EVTCHNSTAT_ipi, 0, 0, vcpu, false};
}

static void random_move(struct domain *d, unsigned int port)
{
    struct model_port *m = &model[d->id][port];
    unsigned int vcpu = random_below(d->max_vcpus);
    bool ok = m->state == EVTCHNSTAT_unbound || m->state == EVTCHNSTAT_interdomain;

    assert_int_equal(bind_vcpu(d, port, vcpu), ok ? 0 : -EINVAL);
    if (ok)
        m->vcpu = vcpu;
}

static void check_model(struct domain *d)
{
    for (unsigned int p = 1; p < MODEL_PORTS; p++) {
        struct model_port *m = &model[d->id][p];
        struct evtchn_status s = status(d, p);

        assert_int_equal(s.status, m->state);
        assert_int_equal(pending(d, p), m->pending);
        if (m->state != EVTCHNSTAT_closed)
            assert_int_equal(s.vcpu, m->vcpu);
        if (m->state == EVTCHNSTAT_unbound)
            assert_int_equal(s.u.unbound.dom, m->dom);
        if (m->state == EVTCHNSTAT_interdomain)
            assert_true(s.u.interdomain.dom == m->dom && s.u.interdomain.port == m->port);
    }
}

static void random_operations(void **state)
{
    struct domain *doms[3];

    seed_init("random_operations");
    finish_domain(ctl);
    machine_destroy(ctl);
    finish_domain(a);
    machine_destroy(a);
    finish_domain(b);
    machine_destroy(b);
    ctl = doms[0] = new_domain(0, 2, true, MODEL_PORTS - 1);
    a = doms[1] = new_domain(1, 2, false, MODEL_PORTS - 1);
    b = doms[2] = new_domain(2, 1, false, MODEL_PORTS - 1);
    run_on(a->vcpu[0]);
    memset(model, 0, sizeof(model));
    for (unsigned int n = random_ops(60000); n-- > 0;) {
        struct domain *d = doms[random_below(3)], *r = doms[random_below(3)];
        unsigned int port = 1 + random_below(MODEL_PORTS - 1);

        switch (random_below(8)) {
        case 0:
            random_alloc(d, r);
            break;
        case 1:
        case 2:
            random_bind(d, r, port);
            break;
        case 3:
        case 4:
            random_send(d, port);
            break;
        case 5:
            random_close(d, port);
            break;
        case 6:
            if (n % 4 == 0)
                random_ipi(d);
            break;
        default:
            random_move(d, port);
            break;
        }
        if (n % 64 == 0)
            for (unsigned int i = 0; i < 3; i++)
                check_model(doms[i]);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, event_setup, event_teardown)
    const struct CMUnitTest tests[] = {
        T(bad_calls),
        T(test_alloc_unbound),
        T(status_errors),
        T(interdomain_states),
        T(loopback),
        T(ends_vanish),
        T(virqs),
        T(global_virq_handler),
        T(ipis),
        T(ipis_to_itself),
        T(ipi_waits_for_nobody),
        T(pirqs),
        T(result_not_deliverable),
        T(two_level_masks),
        T(poll),
        T(limits),
        T(out_of_memory),
        T(reset_rights),
        T(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
