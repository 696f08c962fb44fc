/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The FIFO ABI of event channels: a model of the guest's side, as its kernel does it; order, masks, priorities, moves,
 * a hostile guest, and that a guest which keeps the rules loses nothing.
 */
#include "event_guests.h"

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

/* A whole page of them: the call that brings the array restarts. */
static void fifo_many_early_events(void **state)
{
    mfn_t control = guest_frame(ctl), array = guest_frame(ctl);
    struct fifo_guest g = {.d = ctl, .control = {mfn_to_virt(control)}, .word = mfn_to_virt(array)};
    unsigned int seen = 0;

    for (long i = 1; i < 1100; i++) {
        assert_int_equal(bind_ipi(ctl, 0), i);
        send_port(ctl, (evtchn_port_t)i);
    }
    assert_int_equal(close_port(ctl, 1000), 0); /* its event goes with it */
    assert_int_equal(init_control(ctl, control.n, 0, 0), 0);
    assert_true(evtchn_port_pending(ctl->vcpu[0], 1023));
    assert_int_equal(frame_refs(array), 1);
    assert_int_equal(expand(ctl, array.n), 0);
    assert_int_equal(machine.restarts, 1);
    assert_int_equal(frame_refs(array), 2);
    while (fifo_next(&g, 0))
        seen++;
    assert_int_equal(seen, 1022);
    assert_true(evtchn_port_pending(ctl->vcpu[0], 1050)); /* waits for the next page */
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, event_setup, event_teardown)
    const struct CMUnitTest tests[] = {
        T(fifo_errors),
        T(fifo_order),
        T(fifo_masks),
        T(fifo_keeps_early_events),
        T(fifo_many_early_events),
        T(fifo_more_ports),
        T(fifo_hostile),
        T(fifo_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
