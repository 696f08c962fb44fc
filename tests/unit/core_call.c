// SPDX-License-Identifier: BSD-2-Clause
/* The way of a hypercall: the table, who may call, restarts, multicalls; xen_version, console_io, sched_op, vcpu_op. */
#include <stdlib.h>
#include <hv/event.h>
#include <hv/timer.h>
#include <xen/sched.h>
#include <xen/version.h>
#include "fake/core.h"

static void test_dispatch(void **state)
{
    static const bool known[64] = {
#define HYPERCALL(nr, name, nargs, who) [nr] = true,
#include "../../hypervisor/hypercall/table.def"
#undef HYPERCALL
    };
    static const unsigned int control_only[] = {__HYPERVISOR_platform_op, __HYPERVISOR_sysctl, __HYPERVISOR_domctl};

    for (unsigned int nr = 0; nr < 64; nr++)
        if (!known[nr])
            assert_int_equal(core_call(nr, 0, 0, 0), -ENOSYS);
    assert_int_equal(core_call(64, 0, 0, 0), -ENOSYS);
    assert_int_equal(core_call(~0u, 0, 0, 0), -ENOSYS);
    for (unsigned int i = 0; i < ARRAY_SIZE(control_only); i++)
        assert_int_equal(core_call(control_only[i], 0, 0, 0), -EFAULT);
    core_as(core_guest(1, 0)->vcpu[0]);
    assert_int_equal(CALL(kexec_op, 0, FAULT, 0), -EPERM);
    assert_int_equal(CALL(arch_7, FAULT, 0, 0), -EPERM);
}

static long count_down(struct hcall *hc)
{
    if (hc->arg[0]-- == 0)
        return (long)hc->arg[1];
    hc->arg[1] += 10;
    return hypercall_restart(hc);
}

static void test_restart_keeps_progress(void **state)
{
    core.stack_switch = count_down;
    assert_int_equal(CALL(stack_switch, 5, 7, 0), 57);
    assert_int_equal(core.restarts, 5);
}

static void entry(multicall_entry_t *e, unsigned long op, unsigned long a0, unsigned long a1)
{
    *e = (multicall_entry_t){.op = op, .result = 0xdead, .args = {a0, a1}};
}

static void test_multicall(void **state)
{
    multicall_entry_t *e = guest_alloc(6 * sizeof(*e));

    core.stack_switch = count_down;
    entry(&e[0], __HYPERVISOR_xen_version, XENVER_version, 0);
    entry(&e[1], __HYPERVISOR_multicall, (unsigned long)e, 1);
    entry(&e[2], __HYPERVISOR_iret, 0, 0);
    entry(&e[3], __HYPERVISOR_stack_switch, 3, 1);
    entry(&e[4], 63, 0, 0);
    entry(&e[5], (1ul << 32) | __HYPERVISOR_iret, 0, 0); /* more bits than a number has */
    assert_int_equal(CALL(multicall, e, 5, 0), 0);
    assert_int_equal(core.restarts, 3);
    assert_int_equal((long)e[0].result, 4 << 16 | 17);
    assert_int_equal((long)e[1].result, -EINVAL);
    assert_int_equal((long)e[2].result, -EINVAL);
    assert_int_equal((long)e[3].result, 31);
    assert_int_equal((long)e[4].result, -ENOSYS);
    entry(&e[3], __HYPERVISOR_stack_switch, 2, 1);
    core.preempt = 1;
    assert_int_equal(CALL(multicall, e, 5, 0), 0);
    assert_int_equal(core.restarts, 2 + 4);
    assert_int_equal((long)e[3].result, 21);
}

static void test_multicall_entry_with_high_bits(void **state)
{
    multicall_entry_t *e = guest_new(multicall_entry_t);
    static const unsigned int refused[] = {__HYPERVISOR_iret, __HYPERVISOR_multicall};

    for (unsigned int i = 0; i < 2; i++) {
        entry(e, (1ul << 32) | refused[i], (unsigned long)e, 1);
        assert_int_equal(CALL(multicall, e, 1, 0), 0);
        assert_true((long)e->result == -EINVAL || (long)e->result == -ENOSYS);
    }
}

static void test_multicall_faults(void **state)
{
    multicall_entry_t *e = guest_alloc(2 * sizeof(*e));

    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(CALL(multicall, core_bad_pointer(kind, sizeof(*e)), 1, 0), -EFAULT);
    assert_int_equal(CALL(multicall, FAULT, 0, 0), 0);
    assert_int_equal(CALL(multicall, FAULT, 1ul << 32, 0), 0); /* the count has 32 bits */
    for (unsigned int n = 1; n <= 5; n++) {
        core.stack_switch = count_down;
        entry(&e[0], __HYPERVISOR_xen_version, XENVER_version, 0);
        entry(&e[1], __HYPERVISOR_stack_switch, 1, 0);
        core.fail_copy = n; /* entry, result, entry, arguments of the restart, entry again */
        assert_int_equal(CALL(multicall, e, 2, 0), -EFAULT);
    }
    core.fail_copy = 0;
    memcpy(guest_memory + GUEST_SIZE - sizeof(*e), e, sizeof(*e));
    assert_int_equal(CALL(multicall, guest_memory + GUEST_SIZE - sizeof(*e), ~0u, 0), -EFAULT);
}

/* After the entry that shuts the domain down nothing more is done. */
static void test_multicall_stops_at_shutdown(void **state)
{
    multicall_entry_t *e = guest_alloc(2 * sizeof(*e));
    struct sched_shutdown *s = guest_new(struct sched_shutdown);
    struct domain *d = core_guest(1, 0);

    s->reason = SHUTDOWN_poweroff;
    entry(&e[0], __HYPERVISOR_sched_op, SCHEDOP_shutdown, (unsigned long)s);
    entry(&e[1], __HYPERVISOR_xen_version, XENVER_version, 0);
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(multicall, e, 2, 0), 0);
    assert_int_equal(e[1].result, 0xdead);
    assert_int_equal(d->shutdown_code, SHUTDOWN_poweroff);
}

/* ---- xen_version ---- */
static void test_version(void **state)
{
    static const unsigned int writes[] = {XENVER_extraversion, XENVER_compile_info,        XENVER_capabilities,
                                          XENVER_changeset,    XENVER_platform_parameters, XENVER_get_features,
                                          XENVER_guest_handle, XENVER_commandline};
    char *buf = guest_alloc(2048);
    xen_feature_info_t *fi = guest_new(xen_feature_info_t);
    xen_build_id_t *id = guest_alloc(64);

    assert_int_equal(CALL(xen_version, XENVER_version, 0, 0), 4 << 16 | 17);
    assert_int_equal(CALL(xen_version, XENVER_pagesize, 0, 0), 4096);
    assert_int_equal(CALL(xen_version, 99, buf, 0), -ENOSYS);
    assert_int_equal(CALL(xen_version, XENVER_version | 1ul << 32, buf, 0), -ENOSYS);
    for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++) {
        assert_true(CALL(xen_version, writes[i], buf, 0) >= 0);
        for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
            assert_int_equal(CALL(xen_version, writes[i], core_bad_pointer(kind, 4), 0), -EFAULT);
    }
    assert_string_equal(buf, "console=com1");
    CALL(xen_version, XENVER_get_features, fi, 0);
    assert_true(fi->submap & (1u << 11)); /* XENFEAT_dom0 */
    fi->submap_idx = 7;
    CALL(xen_version, XENVER_get_features, fi, 0);
    assert_int_equal(fi->submap, 0);
    assert_int_equal(CALL(xen_version, XENVER_build_id, 0, 0), 20);
    id->len = 19;
    assert_int_equal(CALL(xen_version, XENVER_build_id, id, 0), -ENOBUFS);
    id->len = 20;
    assert_int_equal(CALL(xen_version, XENVER_build_id, id, 0), 20);
    assert_int_equal(id->buf[3], 4);
    core_as(core_guest(1, 0)->vcpu[0]);
    CALL(xen_version, XENVER_commandline, buf, 0);
    assert_string_equal(buf, "<denied>");
    assert_int_equal(CALL(xen_version, XENVER_build_id, 0, 0), -EPERM);
    assert_int_equal(CALL(xen_version, XENVER_build_id, id, 0), -EPERM);
    assert_int_equal(CALL(xen_version, XENVER_build_id, FAULT, 0), -EPERM);
}

/* ---- console_io ---- */
static void test_console(void **state)
{
    char *text = guest_alloc(512), *at_end = (char *)guest_memory + GUEST_SIZE - 200;

    memset(text, 'x', 250);
    assert_int_equal(CALL(console_io, CONSOLEIO_write, 200, text), 0);
    assert_int_equal(core.console_len, 200);
    core.console_len = 0;
    core.preempt = 1;
    assert_int_equal(CALL(console_io, CONSOLEIO_write, 200, text), 0);
    assert_int_equal(core.restarts, 1);
    assert_int_equal(core.console_len, 200);
    assert_int_equal(CALL(console_io, CONSOLEIO_write, ~0u, at_end), -EFAULT);
    assert_int_equal(CALL(console_io, CONSOLEIO_write, 1, FAULT), -EFAULT);
    assert_int_equal(CALL(console_io, CONSOLEIO_write, 0, FAULT), 0);
    core.typed = "abc";
    assert_int_equal(CALL(console_io, CONSOLEIO_read, ~0u, text), 3);
    assert_memory_equal(text, "abc", 3);
    assert_int_equal(CALL(console_io, CONSOLEIO_read, 10, text), 0);
    core.typed = "a";
    assert_int_equal(CALL(console_io, CONSOLEIO_read, 10, FAULT), -EFAULT);
    assert_int_equal(CALL(console_io, 2, 0, 0), -ENOSYS);
    core_as(core_guest(1, 0)->vcpu[0]);
    core.preempt = 0;
    core.console_len = 0;
    assert_int_equal(CALL(console_io, CONSOLEIO_read, 10, text), -EPERM);
    assert_int_equal(CALL(console_io, 2, 0, 0), -EPERM);
    assert_int_equal(CALL(console_io, CONSOLEIO_write, ~0u, text), 0);
    assert_int_equal(CALL(console_io, CONSOLEIO_write, 5, FAULT), -EFAULT);
    assert_int_equal(core.console_len, 0); /* only by printk, whose rate is limited */
}

/* ---- sched_op ---- */
static evtchn_port_t new_port(void)
{
    struct evtchn_alloc_unbound *a = guest_new(struct evtchn_alloc_unbound);

    a->dom = a->remote_dom = DOMID_SELF;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_alloc_unbound, a, 0), 0);
    return a->port;
}

static void test_block(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];

    core_as(v);
    v->vcpu_info->evtchn_upcall_pending = 1;
    v->vcpu_info->evtchn_upcall_mask = 1;
    assert_int_equal(CALL(sched_op, SCHEDOP_block, 0, 0), 0);
    assert_int_equal(v->vcpu_info->evtchn_upcall_mask, 0);
    core_settle();
    assert_true(v->is_running); /* an event was there */
    v->vcpu_info->evtchn_upcall_pending = 0;
    CALL(sched_op, SCHEDOP_block, 0, 0);
    core_settle();
    assert_false(v->is_running);
    core_as(control_domain->vcpu[0]);
    send_vcpu_virq(v, VIRQ_TIMER); /* not bound: nothing happens */
    core_settle();
    assert_false(v->is_running);
    vcpu_mark_events_pending(v);
    core_settle();
    assert_true(v->is_running);
}

static void test_poll(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];
    struct sched_poll *p = guest_new(struct sched_poll);
    evtchn_port_t *ports = guest_alloc(sizeof(*ports) * 200);

    core_as(v);
    v->vcpu_info->evtchn_upcall_mask = 1;
    ports[0] = new_port();
    ports[1] = new_port();
    p->ports.p = ports;
    p->nr_ports = 129;
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), -EINVAL);
    p->nr_ports = 3; /* the third is no port of ours */
    ports[2] = 1000000;
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), -EINVAL);
    p->ports.p = FAULT;
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), -EFAULT);
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, FAULT, 0), -EFAULT);
    assert_int_equal(v->pause_flags, 0);
    p->ports.p = ports;
    p->nr_ports = 1;
    p->timeout = (uint64_t)core.now + 1000;
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), 0);
    core_settle();
    assert_false(v->is_running);
    core_pass(999);
    assert_false(v->is_running);
    core_pass(1);
    assert_true(v->is_running);
    core_as(v);
    p->nr_ports = 2;
    p->timeout = ~0ull;
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), 0);
    core_settle();
    assert_false(v->is_running);
    vcpu_unblock(v);
    core_settle();
    assert_true(v->is_running);
}

/* An NMI, which no mask of events holds up, wakes who polls or sleeps, and lets nobody begin. */
static void test_nmi_wakes(void **state)
{
    struct domain *d = core_guest(2, 0);
    struct vcpu *v = d->vcpu[1];
    struct sched_poll *p = guest_new(struct sched_poll);
    evtchn_port_t *port = guest_alloc(sizeof(*port));

    v->pv.trap[TRAP_NMI].address = 0x1000;
    v->vcpu_info->evtchn_upcall_mask = 1;
    core_as(v);
    *port = new_port();
    p->ports.p = port;
    p->nr_ports = 1;
    v->nmi_pending = true;
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), 0);
    core_settle();
    assert_true(v->is_running);
    core_as(v);
    v->pv.nmi_masked = true; /* while it handles one, the next waits */
    assert_int_equal(CALL(sched_op, SCHEDOP_poll, p, 0), 0);
    core_settle();
    assert_false(v->is_running);
    v->nmi_pending = v->pv.nmi_masked = false;
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_send_nmi, 1, 0), 0);
    core_settle();
    assert_true(v->is_running);
}

static void test_shutdown_calls(void **state)
{
    struct domain *d = core_guest(1, 0), *other = core_guest(1, 0);
    struct sched_shutdown *s = guest_new(struct sched_shutdown);
    struct sched_remote_shutdown *r = guest_new(struct sched_remote_shutdown);

    core_as(d->vcpu[0]);
    s->reason = SHUTDOWN_MAX + 1;
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown, s, 0), -EINVAL);
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown_code, s, 0), -EINVAL);
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown, FAULT, 0), -EFAULT);
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown_code, FAULT, 0), -EFAULT);
    r->domain_id = other->id;
    assert_int_equal(CALL(sched_op, SCHEDOP_remote_shutdown, r, 0), -EPERM);
    assert_int_equal(CALL(sched_op, 99, s, 0), -ENOSYS);
    assert_int_equal(CALL(sched_op, SCHEDOP_yield, 0, 0), 0);
    assert_false(d->is_shutting_down);
    core_as(control_domain->vcpu[0]);
    r->reason = SHUTDOWN_suspend;
    assert_int_equal(CALL(sched_op, SCHEDOP_remote_shutdown, r, 0), 0);
    assert_true(other->is_shut_down);
    r->domain_id = 999;
    assert_int_equal(CALL(sched_op, SCHEDOP_remote_shutdown, r, 0), -ESRCH);
    r->reason = 99;
    assert_int_equal(CALL(sched_op, SCHEDOP_remote_shutdown, r, 0), -EINVAL);
    assert_int_equal(CALL(sched_op, SCHEDOP_remote_shutdown, FAULT, 0), -EFAULT);
}

int core_call_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_dispatch),
        CORE_TEST(test_restart_keeps_progress),
        CORE_TEST(test_multicall),
        CORE_TEST(test_multicall_entry_with_high_bits),
        CORE_TEST(test_multicall_faults),
        CORE_TEST(test_multicall_stops_at_shutdown),
        CORE_TEST(test_version),
        CORE_TEST(test_console),
        CORE_TEST(test_block),
        CORE_TEST(test_poll),
        CORE_TEST(test_nmi_wakes),
        CORE_TEST(test_shutdown_calls),
    };

    return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
