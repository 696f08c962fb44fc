/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event channels through their hypercall, as two guests and a control domain use them: every operation and error, the
 * states of a channel between two domains, both ABIs with a model of the guest's side, limits, teardown, and random
 * operations against a model.
 */
#include "fake/machine.h"

static struct domain *ctl, *a, *b;

static struct domain *new_domain(domid_t id, unsigned int vcpus, bool control, unsigned int max_port)
{
    struct domain *d = machine_domain(id, vcpus, control);

    assert_int_equal(evtchn_domain_init(d, max_port), 0);
    return d;
}

static void finish_domain(struct domain *d)
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

static int setup(void **state)
{
    machine_reset();
    ctl = new_domain(0, 2, true, ~0u);
    a = new_domain(1, 2, false, 1023);
    b = new_domain(2, 1, false, 1023);
    run_on(a->vcpu[0]);
    return 0;
}

static int teardown(void **state)
{
    struct domain *d[] = {ctl, a, b};

    for (unsigned int i = 0; i < 3; i++)
        finish_domain(d[i]);
    for (unsigned int i = 0; i < 3; i++)
        machine_destroy(d[i]);
    machine_reset();
    return 0;
}

static long op(unsigned int cmd, const void *arg)
{
    return hypercall(do_event_channel_op, cmd, arg, 0);
}

static long op_as(struct domain *d, unsigned int cmd, const void *arg)
{
    struct vcpu *was = current;
    long rc;

    run_on(d->vcpu[0]);
    rc = op(cmd, arg);
    run_on(was);
    return rc;
}

static long alloc_unbound(struct domain *caller, domid_t dom, domid_t remote)
{
    struct evtchn_alloc_unbound x = {.dom = dom, .remote_dom = remote};
    long rc = op_as(caller, EVTCHNOP_alloc_unbound, &x);

    return rc ? rc : (long)x.port;
}

static long bind_interdomain(struct domain *caller, domid_t remote, evtchn_port_t port)
{
    struct evtchn_bind_interdomain x = {.remote_dom = remote, .remote_port = port};
    long rc = op_as(caller, EVTCHNOP_bind_interdomain, &x);

    return rc ? rc : (long)x.local_port;
}

static long bind_virq(struct domain *caller, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq x = {.virq = virq, .vcpu = vcpu};
    long rc = op_as(caller, EVTCHNOP_bind_virq, &x);

    return rc ? rc : (long)x.port;
}

static long bind_ipi(struct domain *caller, uint32_t vcpu)
{
    struct evtchn_bind_ipi x = {.vcpu = vcpu};
    long rc = op_as(caller, EVTCHNOP_bind_ipi, &x);

    return rc ? rc : (long)x.port;
}

static long bind_pirq(struct domain *caller, uint32_t pirq, uint32_t flags)
{
    struct evtchn_bind_pirq x = {.pirq = pirq, .flags = flags};
    long rc = op_as(caller, EVTCHNOP_bind_pirq, &x);

    return rc ? rc : (long)x.port;
}

static long close_port(struct domain *caller, evtchn_port_t port)
{
    struct evtchn_close x = {port};

    return op_as(caller, EVTCHNOP_close, &x);
}

static long send_port(struct domain *caller, evtchn_port_t port)
{
    struct evtchn_send x = {port};

    return op_as(caller, EVTCHNOP_send, &x);
}

static long unmask(struct domain *caller, evtchn_port_t port)
{
    struct evtchn_unmask x = {port};

    return op_as(caller, EVTCHNOP_unmask, &x);
}

static long bind_vcpu(struct domain *caller, evtchn_port_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu x = {.port = port, .vcpu = vcpu};

    return op_as(caller, EVTCHNOP_bind_vcpu, &x);
}

static long reset(struct domain *caller, domid_t dom)
{
    struct evtchn_reset x = {.dom = dom};

    return op_as(caller, EVTCHNOP_reset, &x);
}

static struct evtchn_status status(struct domain *d, evtchn_port_t port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    assert_int_equal(op_as(d, EVTCHNOP_status, &s), 0);
    return s;
}

static bool pending(struct domain *d, unsigned int port)
{
    return test_bit(port, d->shared_info->evtchn_pending);
}

/* The guest takes a 2-level event. */
static void consume(struct domain *d, unsigned int port)
{
    assert_true(pending(d, port));
    clear_bit(port, d->shared_info->evtchn_pending);
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        d->vcpu[i]->vcpu_info->evtchn_upcall_pending = 0;
        d->vcpu[i]->vcpu_info->evtchn_pending_sel = 0;
    }
}

/* A channel between x and y, quiet; *px and *py are its ports. */
static void connect(struct domain *x, struct domain *y, long *px, long *py)
{
    *py = alloc_unbound(y, DOMID_SELF, x->id);
    assert_true(*py > 0);
    *px = bind_interdomain(x, y->id, (evtchn_port_t)*py);
    assert_true(*px > 0);
    consume(x, (unsigned int)*px);
}

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

    connect(a, b, &pa, &pb);
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

/* ---- 2-level ---- */

static void two_level_masks(void **state)
{
    vcpu_info_t *vi = a->vcpu[0]->vcpu_info;
    long pa, pb;

    connect(a, b, &pa, &pb);
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

    connect(a, b, &pa, &pb);
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

/* ---- FIFO: the guest's side, as its kernel does it ---- */

struct fifo_guest {
    struct domain *d;
    struct evtchn_fifo_control_block *control[2];
    event_word_t *word;
    uint32_t head[2][EVTCHN_FIFO_MAX_QUEUES], ready[2];
    mfn_t control_mfn[2], array_mfn;
};

static long init_control(struct domain *d, uint64_t gfn, uint32_t offset, uint32_t vcpu)
{
    struct evtchn_init_control x = {.control_gfn = gfn, .offset = offset, .vcpu = vcpu};
    long rc = op_as(d, EVTCHNOP_init_control, &x);

    if (!rc)
        assert_int_equal(x.link_bits, EVTCHN_FIFO_LINK_BITS);
    return rc;
}

static long expand(struct domain *d, uint64_t gfn)
{
    struct evtchn_expand_array x = {gfn};

    return op_as(d, EVTCHNOP_expand_array, &x);
}

static long set_priority(struct domain *d, evtchn_port_t port, uint32_t priority)
{
    struct evtchn_set_priority x = {port, priority};

    return op_as(d, EVTCHNOP_set_priority, &x);
}

static void fifo_start(struct fifo_guest *g, struct domain *d)
{
    memset(g, 0, sizeof(*g));
    g->d = d;
    for (unsigned int v = 0; v < d->max_vcpus; v++) {
        g->control_mfn[v] = guest_frame(d);
        g->control[v] = (void *)((char *)mfn_to_virt(g->control_mfn[v]) + 64);
        assert_int_equal(init_control(d, g->control_mfn[v].n, 64, v), 0);
    }
    g->array_mfn = guest_frame(d);
    g->word = mfn_to_virt(g->array_mfn);
    assert_int_equal(expand(d, g->array_mfn.n), 0);
}

/* Next event of v by priority, unlinked and no longer pending; 0: none. */
static uint32_t fifo_next(struct fifo_guest *g, unsigned int v)
{
    struct evtchn_fifo_control_block *c = g->control[v];

    g->d->vcpu[v]->vcpu_info->evtchn_upcall_pending = 0;
    for (;;) {
        unsigned int q;
        uint32_t port, w;

        g->ready[v] |= __atomic_exchange_n(&c->ready, 0, __ATOMIC_SEQ_CST);
        if (!g->ready[v])
            return 0;
        q = ffs_u64(g->ready[v]);
        port = g->head[v][q] ? g->head[v][q] : c->head[q];
        w = g->word[port];
        g->word[port] = w & ~((1u << EVTCHN_FIFO_LINKED) | EVTCHN_FIFO_LINK_MASK);
        g->head[v][q] = w & EVTCHN_FIFO_LINK_MASK;
        if (!g->head[v][q])
            g->ready[v] &= ~(1u << q); /* the end of the queue */
        if ((w & (1u << EVTCHN_FIFO_PENDING)) && !(w & (1u << EVTCHN_FIFO_MASKED))) {
            g->word[port] &= ~(1u << EVTCHN_FIFO_PENDING);
            return port;
        }
    }
}

static void fifo_errors(void **state)
{
    mfn_t m = guest_frame(a), other = guest_frame(b);
    long p = bind_ipi(a, 0);

    assert_int_equal(expand(a, m.n), -EOPNOTSUPP);
    assert_int_equal(set_priority(a, (evtchn_port_t)p, 3), -ENOSYS);
    assert_int_equal(set_priority(a, 64, 3), -EINVAL);
    assert_int_equal(init_control(a, m.n, 0, 2), -ENOENT);
    assert_int_equal(init_control(a, m.n, 4, 0), -EINVAL);
    assert_int_equal(init_control(a, m.n, 4096 - 64, 0), -EINVAL);
    assert_int_equal(init_control(a, other.n, 0, 0), -EINVAL);
    assert_int_equal(init_control(a, ~0ull, 0, 0), -EINVAL);
    machine.fail_alloc = 1;
    assert_int_equal(init_control(a, m.n, 0, 0), -ENOMEM);
    assert_int_equal(frame_refs(m), 1);
    assert_int_equal(init_control(a, m.n, 0, 0), 0);
    assert_int_equal(init_control(a, m.n, 0, 0), -EINVAL); /* once per vCPU */
    assert_int_equal(frame_refs(m), 2);
    assert_int_equal(frame_type_refs(m), 1);
    assert_int_equal(expand(a, other.n), -EINVAL);
    assert_int_equal(set_priority(a, (evtchn_port_t)p, 16), -EINVAL);
    assert_int_equal(set_priority(a, (evtchn_port_t)p, 15), 0);
    for (unsigned int i = 0; i < 128; i++)
        assert_int_equal(expand(a, m.n), 0);
    assert_int_equal(expand(a, m.n), -ENOSPC);
    assert_int_equal(frame_refs(m), 130);
    machine.preempt_every = 1;
    assert_int_equal(reset(a, DOMID_SELF), 0);
    assert_true(machine.restarts >= 2);
    assert_int_equal(frame_refs(m), 1);
    assert_int_equal(frame_type_refs(m), 0);
}

static void fifo_order(void **state)
{
    struct fifo_guest g;
    long p[6];

    fifo_start(&g, a);
    for (unsigned int i = 0; i < 6; i++)
        p[i] = bind_ipi(a, 0);
    set_priority(a, (evtchn_port_t)p[4], EVTCHN_FIFO_PRIORITY_MAX);
    for (unsigned int i = 0; i < 6; i++)
        send_port(a, (evtchn_port_t)p[i]);
    assert_true(a->vcpu[0]->vcpu_info->evtchn_upcall_pending);
    assert_int_equal(fifo_next(&g, 0), p[4]);
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(fifo_next(&g, 0), p[i]);
    send_port(a, (evtchn_port_t)p[1]); /* behind the last one, still queued */
    assert_int_equal(fifo_next(&g, 0), p[5]);
    assert_int_equal(fifo_next(&g, 0), p[1]);
    assert_int_equal(fifo_next(&g, 0), 0);
    /* The consumed tail changes its queue; the old queue starts anew. */
    set_priority(a, (evtchn_port_t)p[1], 9);
    send_port(a, (evtchn_port_t)p[1]);
    send_port(a, (evtchn_port_t)p[2]);
    assert_int_equal(fifo_next(&g, 0), p[2]);
    assert_int_equal(fifo_next(&g, 0), p[1]);
    assert_int_equal(fifo_next(&g, 0), 0);
}

static void fifo_masks(void **state)
{
    struct fifo_guest g;
    long pa, pb;

    fifo_start(&g, a);
    pb = alloc_unbound(b, DOMID_SELF, 1);
    pa = bind_interdomain(a, 2, (evtchn_port_t)pb);
    assert_int_equal(fifo_next(&g, 0), pa);
    g.word[pa] |= 1u << EVTCHN_FIFO_MASKED;
    send_port(b, (evtchn_port_t)pb);
    assert_int_equal(fifo_next(&g, 0), 0);
    assert_true(evtchn_port_pending(a->vcpu[0], (unsigned int)pa));
    unmask(a, (evtchn_port_t)pa);
    assert_int_equal(fifo_next(&g, 0), pa);
    assert_int_equal(fifo_next(&g, 0), 0);
    assert_int_equal(bind_vcpu(a, (evtchn_port_t)pa, 1), 0);
    send_port(b, (evtchn_port_t)pb);
    assert_int_equal(fifo_next(&g, 0), 0);
    assert_int_equal(fifo_next(&g, 1), pa);
    /* Polling works when masked, with the queue lock free for the question. */
    g.word[pa] |= 1u << EVTCHN_FIFO_MASKED;
    a->vcpu[1]->poll_evtchn = (unsigned int)pa;
    set_bit(VPF_poll, &a->vcpu[1]->pause_flags);
    send_port(b, (evtchn_port_t)pb);
    assert_int_equal(a->vcpu[1]->pause_flags, 0);
    /* Closed while queued: not handed out before the guest has taken it off. */
    g.word[pa] &= ~(1u << EVTCHN_FIFO_MASKED);
    unmask(a, (evtchn_port_t)pa);
    assert_true(g.word[pa] & (1u << EVTCHN_FIFO_PENDING));
    g.word[pa] &= ~(1u << EVTCHN_FIFO_PENDING);
    send_port(b, (evtchn_port_t)pb);
    assert_true(g.word[pa] & (1u << EVTCHN_FIFO_LINKED));
    close_port(a, (evtchn_port_t)pa);
    assert_false(g.word[pa] & (1u << EVTCHN_FIFO_PENDING));
    assert_true(bind_ipi(a, 0) != pa);
    assert_int_equal(fifo_next(&g, 1), 0);
    assert_int_equal(bind_ipi(a, 0), pa);
}

static void fifo_keeps_early_events(void **state)
{
    mfn_t control = guest_frame(a), array = guest_frame(a);
    struct fifo_guest g = {.d = a, .control = {mfn_to_virt(control)}, .word = mfn_to_virt(array)};
    long p = bind_ipi(a, 0), q = bind_ipi(a, 0), later = bind_ipi(a, 0);

    send_port(a, (evtchn_port_t)p); /* 2-level */
    assert_int_equal(init_control(a, control.n, 0, 0), 0);
    send_port(a, (evtchn_port_t)q); /* no array yet */
    assert_true(evtchn_port_pending(a->vcpu[0], (unsigned int)q));
    assert_int_equal(unmask(a, (evtchn_port_t)q), 0);
    assert_int_equal(expand(a, array.n), 0);
    assert_int_equal(fifo_next(&g, 0), p);
    assert_int_equal(fifo_next(&g, 0), q);
    assert_int_equal(fifo_next(&g, 0), 0);
    send_port(a, (evtchn_port_t)later);
    assert_int_equal(fifo_next(&g, 0), later);
}

static void fifo_more_ports(void **state)
{
    struct fifo_guest g;

    fifo_start(&g, ctl);
    for (long i = 1; i < 6000; i++)
        assert_int_equal(alloc_unbound(ctl, DOMID_SELF, 1), i);
    machine.preempt_every = 1;
    assert_int_equal(reset(ctl, DOMID_SELF), 0);
    assert_true(machine.restarts > 5000 / 64);
    machine.preempt_every = 0;
    /* Back to 2-level: ports beyond its range are known but not used. */
    assert_int_equal(alloc_unbound(ctl, DOMID_SELF, 1), 1);
    assert_int_equal(unmask(ctl, 5000), 0);
    assert_false(evtchn_port_pending(ctl->vcpu[0], 5000));
    assert_true(evtchn_port_valid(ctl, 5000));
}

/* Words and control block full of garbage: only the guest's own memory is wrong afterwards. */
static void fifo_hostile(void **state)
{
    struct fifo_guest g;
    long p[32];

    seed_init("fifo_hostile");
    fifo_start(&g, a);
    for (unsigned int i = 0; i < 32; i++)
        p[i] = bind_ipi(a, i % 2);
    for (unsigned int n = random_ops(200000); n-- > 0;) {
        unsigned int i = random_below(32);

        switch (random_below(8)) {
        case 0:
            g.word[random_below(1024)] = random_below(~0u);
            break;
        case 1:
            g.control[i % 2]->ready = random_below(~0u);
            g.control[i % 2]->head[i % 16] = random_below(~0u);
            break;
        case 2:
            set_priority(a, (evtchn_port_t)p[i], i % 16);
            break;
        case 3:
            unmask(a, (evtchn_port_t)p[i]);
            break;
        case 4:
            close_port(a, (evtchn_port_t)p[i]);
            p[i] = bind_ipi(a, random_below(2));
            if (p[i] < 0)
                p[i] = 1;
            break;
        default:
            send_port(a, (evtchn_port_t)p[i]);
            break;
        }
    }
    /* Everything marked as queued: the search for a free port gives up. */
    memset(g.word, 0xff, PAGE_SIZE);
    assert_int_equal(reset(b, 1), -EPERM);
    assert_int_equal(bind_ipi(a, 0), -EBUSY);
    assert_int_equal(reset(a, DOMID_SELF), 0);
    assert_int_equal(frame_refs(g.array_mfn), 1);
    assert_int_equal(frame_refs(g.control_mfn[1]), 1);
}

/* A guest that keeps the rules gets every event once: whatever is masked, moved or given another priority meanwhile. */
#define FIFO_PORTS 40
static void fifo_drain(struct fifo_guest *g, unsigned int v, bool *expected, unsigned int limit)
{
    uint32_t port;

    while (limit-- > 0 && (port = fifo_next(g, v)) != 0) {
        assert_true(expected[port]);
        expected[port] = false;
    }
}

static void fifo_loses_nothing(void **state)
{
    bool expected[FIFO_PORTS + 1] = {false}, masked[FIFO_PORTS + 1] = {false};
    evtchn_port_t from[FIFO_PORTS + 1];
    struct fifo_guest g;

    seed_init("fifo_loses_nothing");
    fifo_start(&g, a);
    for (unsigned int p = 1; p <= FIFO_PORTS; p++) {
        from[p] = (evtchn_port_t)alloc_unbound(b, DOMID_SELF, 1);
        assert_int_equal(bind_interdomain(a, 2, from[p]), p);
        expected[p] = true;
    }
    for (unsigned int n = random_ops(200000); n-- > 0;) {
        unsigned int p = 1 + random_below(FIFO_PORTS);

        switch (random_below(10)) {
        case 0:
            fifo_drain(&g, random_below(2), expected, random_below(8));
            break;
        case 1:
            bind_vcpu(a, p, random_below(2));
            break;
        case 2:
            set_priority(a, p, random_below(16));
            break;
        case 3:
            g.word[p] |= 1u << EVTCHN_FIFO_MASKED;
            masked[p] = true;
            break;
        case 4:
        case 5:
            unmask(a, p);
            masked[p] = false;
            break;
        default:
            send_port(b, from[p]);
            expected[p] = true;
            break;
        }
        if (n % 256)
            continue;
        for (unsigned int v = 0; v < 2; v++)
            fifo_drain(&g, v, expected, ~0u);
        for (p = 1; p <= FIFO_PORTS; p++)
            assert_true(!expected[p] || masked[p]);
    }
}

static void reset_rights(void **state)
{
    long pa, pb;

    connect(a, b, &pa, &pb);
    assert_int_equal(reset(a, 9), -ESRCH);
    assert_int_equal(reset(a, 2), -EPERM);
    assert_int_equal(reset(ctl, 2), -EINVAL); /* it could be running */
    b->controller_pause_count = 1;
    assert_int_equal(reset(ctl, 2), 0);
    assert_int_equal(status(b, (evtchn_port_t)pb).status, EVTCHNSTAT_closed);
    assert_int_equal(status(a, (evtchn_port_t)pa).status, EVTCHNSTAT_unbound);
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
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
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
        T(pirqs),
        T(result_not_deliverable),
        T(two_level_masks),
        T(poll),
        T(limits),
        T(out_of_memory),
        T(fifo_errors),
        T(fifo_order),
        T(fifo_masks),
        T(fifo_keeps_early_events),
        T(fifo_more_ports),
        T(fifo_hostile),
        T(fifo_loses_nothing),
        T(reset_rights),
        T(random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
