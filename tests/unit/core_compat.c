// SPDX-License-Identifier: BSD-2-Clause
/*
 * The edges of the ABI: calls of older interfaces, calls that are out of scope and are refused as Xen refuses them,
 * suspension as the tools see it.
 */
#include "fake/core.h"

#include <xen/arch-x86/xen-mca.h>
#include <xen/event_channel.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/xenoprof.h>

static struct xen_domctl *op;

static long domctl(unsigned int cmd, domid_t id)
{
    core_as(control_domain->vcpu[0]);
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    return CALL(domctl, op, 0, 0);
}

static void test_event_channel_op_compat(void **state)
{
    struct domain *d = core_guest(1, 0);
    struct evtchn_op *e = guest_new(struct evtchn_op);
    struct evtchn_status *s = guest_new(struct evtchn_status);

    core_as(d->vcpu[0]);
    e->cmd = EVTCHNOP_bind_ipi;
    assert_int_equal(CALL(event_channel_op_compat, e, 0, 0), 0);
    *s = (struct evtchn_status){.dom = DOMID_SELF, .port = e->u.bind_ipi.port};
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_status, s, 0), 0);
    assert_int_equal(s->status, EVTCHNSTAT_ipi);
    e->cmd = EVTCHNOP_close;
    e->u.close.port = s->port;
    assert_int_equal(CALL(event_channel_op_compat, e, 0, 0), 0);
    assert_int_equal(CALL(event_channel_op_compat, e, 0, 0), -EINVAL); /* as the newer call says */
    e->cmd = EVTCHNOP_reset;                                           /* came later than this form */
    assert_int_equal(CALL(event_channel_op_compat, e, 0, 0), -ENOSYS);
    e->cmd = ~0u;
    assert_int_equal(CALL(event_channel_op_compat, e, 0, 0), -ENOSYS);
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(CALL(event_channel_op_compat, core_bad_pointer(kind, sizeof(e->cmd)), 0, 0), -EFAULT);
}

static void test_sched_op_compat(void **state)
{
    struct domain *d = core_guest(1, 0);

    core_as(d->vcpu[0]);
    assert_int_equal(CALL(sched_op_compat, SCHEDOP_yield, 0, 0), 0);
    assert_int_equal(CALL(sched_op_compat, SCHEDOP_poll, 0, 0), -ENOSYS);
    assert_int_equal(CALL(sched_op_compat, 99, 0, 0), -ENOSYS);
    assert_int_equal(CALL(sched_op_compat, SCHEDOP_block, 0, 0), 0);
    assert_true(test_bit(VPF_blocked, &d->vcpu[0]->pause_flags));
    core_settle();
    assert_false(d->vcpu[0]->is_running);
    clear_bit(VPF_blocked, &d->vcpu[0]->pause_flags);
    vcpu_wake(d->vcpu[0]);
    core_settle();
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(sched_op_compat, SCHEDOP_shutdown, SHUTDOWN_reboot, 0), 0);
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot); /* the reason itself, not its address */
}

static void test_physdev_op_compat(void **state)
{
    struct domain *d = core_guest(1, 0);
    struct physdev_op *p = guest_new(struct physdev_op);
    static const uint32_t others[] = {0, PHYSDEVOP_IRQ_UNMASK_NOTIFY, PHYSDEVOP_map_pirq, 99, ~0u};

    core_as(d->vcpu[0]);
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        p->cmd = others[i];
        assert_int_equal(CALL(physdev_op_compat, p, 0, 0), -ENOSYS);
    }
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(CALL(physdev_op_compat, core_bad_pointer(kind, sizeof(p->cmd)), 0, 0), -EFAULT);
    p->cmd = PHYSDEVOP_set_iopl; /* reaches the newer call, which is not part of this program */
    p->u.set_iopl.iopl = 1;
    assert_int_equal(CALL(physdev_op_compat, p, 0, 0), -EOPNOTSUPP);
    assert_int_equal(core.physdev_cmd, PHYSDEVOP_set_iopl);
    assert_ptr_equal(core.physdev_arg, &p->u);
}

static void test_refused_calls(void **state)
{
    struct domain *d = core_guest(1, 0);
    void *zeros = guest_alloc(256);

    core_as(d->vcpu[0]);
    assert_int_equal(CALL(xenoprof_op, XENOPROF_init, zeros, 0), -ENODEV);
    assert_int_equal(CALL(xenoprof_op, XENOPROF_init, FAULT, 0), -EFAULT);
    for (int cmd = XENOPROF_reset_active_list; cmd <= XENOPROF_last_op; cmd++)
        assert_int_equal(CALL(xenoprof_op, cmd, 0, 0), cmd == XENOPROF_get_buffer ? -EFAULT : -EPERM);
    assert_int_equal(CALL(xenoprof_op, XENOPROF_get_buffer, zeros, 0), -ENODEV);
    assert_int_equal(CALL(xenoprof_op, XENOPROF_last_op + 1, 0, 0), -EINVAL);
    assert_int_equal(CALL(xenoprof_op, -1, 0, 0), -EINVAL);
    assert_int_equal(CALL(hvm_op, HVMOP_get_param, zeros, 0), -EINVAL);
    assert_int_equal(CALL(hvm_op, HVMOP_altp2m, zeros, 0), -EOPNOTSUPP);
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, zeros, 0), -EINVAL);
    assert_int_equal(CALL(hvm_op, HVMOP_set_evtchn_upcall_vector, FAULT, 0), -EINVAL);
    assert_int_equal(CALL(hvm_op, HVMOP_guest_request_vm_event, 0, 0), 0);
    assert_int_equal(CALL(hvm_op, HVMOP_guest_request_vm_event, zeros, 0), -EINVAL);
    assert_int_equal(CALL(hvm_op, 99, zeros, 0), -ENOSYS);
    assert_int_equal(CALL(xenpmu_op, 0, 0, 0), -EOPNOTSUPP);
    assert_int_equal(CALL(dm_op, DOMID_SELF, 1, zeros), -EPERM);
    assert_int_equal(CALL(dm_op, 0, 1, zeros), -EINVAL);
    assert_int_equal(CALL(dm_op, 999, 1, zeros), -ESRCH);
    assert_int_equal(CALL(dm_op, 999, 0, FAULT), -ESRCH);
    assert_int_equal(CALL(dm_op, 999, 3, zeros), -E2BIG);
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(CALL(dm_op, 999, 1, core_bad_pointer(kind, 8)), -EFAULT);
    assert_int_equal(CALL(kexec_op, 0, zeros, 0), -EPERM);
    assert_int_equal(CALL(mca, zeros, 0, 0), -EPERM);
    assert_int_equal(CALL(tmem_op, 0, zeros, 0), -ENOSYS);
    assert_int_equal(CALL(argo_op, 1, zeros, 0), -ENOSYS);
    assert_int_equal(CALL(xsm_op, zeros, 0, 0), -ENOSYS);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(CALL(kexec_op, 0, zeros, 0), -ENOSYS);
    assert_int_equal(CALL(mca, zeros, 0, 0), -ENOSYS);
    assert_int_equal(CALL(dm_op, d->id, 1, zeros), -EINVAL);
}

static void test_refused_control(void **state)
{
    struct domain *d = core_guest(1, 0);
    static const struct {
        unsigned int cmd;
        long error;
    } refused[] = {
        {XEN_DOMCTL_gethvmcontext, -EINVAL}, {XEN_DOMCTL_monitor_op, -EOPNOTSUPP},
        {XEN_DOMCTL_psr_alloc, -ENODEV},     {XEN_DOMCTL_assign_device, -EOPNOTSUPP},
        {XEN_DOMCTL_setdebugging, -ENOSYS},  {XEN_DOMCTL_vm_event_op, -ENOSYS},
    };

    op = guest_new(struct xen_domctl);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
        assert_int_equal(domctl(refused[i].cmd, d->id), refused[i].error);
    assert_int_equal(domctl(XEN_DOMCTL_shadow_op, 999), -ESRCH);
}

static void test_refused_memory_ops(void **state)
{
    struct domain *d = core_guest(1, 0);
    domid_t *id = guest_alloc(64);
    struct xen_reserved_device_memory_map *m = guest_new(struct xen_reserved_device_memory_map);
    static const struct {
        unsigned int cmd;
        long error;
    } refused[] = {
        {XENMEM_add_to_physmap, -EACCES},
        {XENMEM_remove_from_physmap, -EACCES},
        {XENMEM_add_to_physmap_batch, -EACCES},
        {XENMEM_get_vnumainfo, -EOPNOTSUPP},
    };

    core_as(d->vcpu[0]);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
        *id = DOMID_SELF;
        assert_int_equal(CALL(memory_op, refused[i].cmd, id, 0), refused[i].error);
        *id = 0;
        assert_int_equal(CALL(memory_op, refused[i].cmd, id, 0), -ESRCH);
        assert_int_equal(CALL(memory_op, refused[i].cmd, FAULT, 0), -EFAULT);
    }
    for (unsigned int cmd = XENMEM_set_pod_target; cmd <= XENMEM_get_pod_target; cmd++) {
        *id = DOMID_SELF;
        assert_int_equal(CALL(memory_op, cmd, id, 0), -EPERM);
        *id = 999;
        assert_int_equal(CALL(memory_op, cmd, id, 0), -ESRCH);
        for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
            assert_int_equal(CALL(memory_op, cmd, core_bad_pointer(kind, sizeof(*id)), 0), -EFAULT);
    }
    assert_int_equal(CALL(memory_op, XENMEM_machphys_compat_mfn_list, id, 0), -EOPNOTSUPP);
    assert_int_equal(CALL(memory_op, XENMEM_get_sharing_shared_pages, 0, 0), 0);
    m->nr_entries = 7;
    assert_int_equal(CALL(memory_op, XENMEM_reserved_device_memory_map, m, 0), 0);
    assert_int_equal(m->nr_entries, 0);
    m->flags = 2;
    assert_int_equal(CALL(memory_op, XENMEM_reserved_device_memory_map, m, 0), -EINVAL);
    assert_int_equal(CALL(memory_op, XENMEM_reserved_device_memory_map, FAULT, 0), -EFAULT);
    core_as(control_domain->vcpu[0]);
    *id = d->id;
    assert_int_equal(CALL(memory_op, XENMEM_get_pod_target, id, 0), -EINVAL);
}

/* Who has subscribed hears of it; the register that names the suspend record is kept. */
static void test_suspend(void **state)
{
    struct domain *d = core_guest(1, 0);
    struct evtchn_alloc_unbound *a = guest_new(struct evtchn_alloc_unbound);
    struct evtchn_bind_interdomain *b = guest_new(struct evtchn_bind_interdomain);
    struct sched_shutdown *s = guest_new(struct sched_shutdown);
    struct evtchn_bind_virq *virq = guest_new(struct evtchn_bind_virq);

    op = guest_new(struct xen_domctl);
    core_as(d->vcpu[0]);
    *a = (struct evtchn_alloc_unbound){.dom = DOMID_SELF, .remote_dom = 0};
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_alloc_unbound, a, 0), 0);
    core_as(control_domain->vcpu[0]);
    *b = (struct evtchn_bind_interdomain){.remote_dom = d->id, .remote_port = a->port};
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_interdomain, b, 0), 0);
    op->u.subscribe.port = a->port;
    assert_int_equal(domctl(XEN_DOMCTL_subscribe, d->id), 0);
    clear_bit(b->local_port, (unsigned long *)control_domain->shared_info->evtchn_pending);

    core_as(d->vcpu[0]);
    s->reason = SHUTDOWN_suspend;
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown, s, 0x1234), 0);
    assert_true(test_bit(b->local_port, (unsigned long *)control_domain->shared_info->evtchn_pending));
    core_settle();
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, d->id), 0);
    assert_true(op->u.getdomaininfo.flags & XEN_DOMINF_shutdown);
    assert_int_equal(op->u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift, SHUTDOWN_suspend);
    assert_int_equal(domctl(XEN_DOMCTL_resumedomain, d->id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, d->id), 0);
    assert_false(op->u.getdomaininfo.flags & XEN_DOMINF_shutdown);
    /* No port of the domain: who waits for the end of domains is told. */
    op->u.subscribe.port = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_subscribe, d->id), 0);
    *virq = (struct evtchn_bind_virq){.virq = VIRQ_DOM_EXC};
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_virq, virq, 0), 0);
    clear_bit(virq->port, (unsigned long *)control_domain->shared_info->evtchn_pending);
    domain_shutdown(d, SHUTDOWN_suspend);
    assert_true(d->is_shut_down);
    assert_true(test_bit(virq->port, (unsigned long *)control_domain->shared_info->evtchn_pending));
}

static void test_reset_vcpu(void **state)
{
    struct domain *d = core_guest(2, 0);
    struct vcpu *v = d->vcpu[1];

    op = guest_new(struct xen_domctl);
    op->u.vcpucontext.vcpu = 1;
    v->nmi_pending = true;
    set_bit(VPF_poll, &v->pause_flags);
    v->poll_evtchn = 3;
    v->runstate_guest = v->time_area_guest = (unsigned long)guest_alloc(64);
    v->periodic_period = MILLISECS(10);
    timer_set(&v->periodic_timer, core.now + MILLISECS(10));
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, d->id), 0);
    assert_int_equal(v->pause_flags, 1ul << VPF_down);
    assert_true(!v->runstate_guest && !v->time_area_guest && !v->periodic_period && !v->poll_evtchn);
    assert_true(list_empty(&v->periodic_timer.link));
    assert_false(v->is_initialised || v->nmi_pending || v->is_running);
    assert_true(d->vcpu[0]->is_running || vcpu_runnable(d->vcpu[0]));
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, d->id), -ENODATA);
    op->u.vcpucontext.vcpu = 2;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, d->id), -EINVAL);
}

static void test_node_affinity(void **state)
{
    struct domain *d = core_guest(1, 0);
    uint8_t *map = guest_alloc(8);

    op = guest_new(struct xen_domctl);
    op->u.nodeaffinity.nodemap.bitmap.p = map;
    op->u.nodeaffinity.nodemap.nr_bits = 8;
    map[0] = 0xf0;
    assert_int_equal(domctl(XEN_DOMCTL_getnodeaffinity, d->id), 0);
    assert_int_equal(map[0], 1);
    assert_int_equal(domctl(XEN_DOMCTL_setnodeaffinity, d->id), 0);
    map[0] = 2;
    assert_int_equal(domctl(XEN_DOMCTL_setnodeaffinity, d->id), -EINVAL);
    op->u.nodeaffinity.nodemap.nr_bits = 0;
    assert_int_equal(domctl(XEN_DOMCTL_setnodeaffinity, d->id), -EINVAL);
    op->u.nodeaffinity.nodemap.nr_bits = 8;
    op->u.nodeaffinity.nodemap.bitmap.p = FAULT;
    assert_int_equal(domctl(XEN_DOMCTL_setnodeaffinity, d->id), -EFAULT);
    assert_int_equal(domctl(XEN_DOMCTL_getnodeaffinity, d->id), -EFAULT);
}

int core_compat_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_event_channel_op_compat),
        CORE_TEST(test_sched_op_compat),
        CORE_TEST(test_physdev_op_compat),
        CORE_TEST(test_refused_calls),
        CORE_TEST(test_refused_control),
        CORE_TEST(test_refused_memory_ops),
        CORE_TEST(test_suspend),
        CORE_TEST(test_reset_vcpu),
        CORE_TEST(test_node_affinity),
    };

    return cmocka_run_group_tests_name("compat", tests, NULL, NULL);
}
