// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a domain asks about itself: vcpu_op and set_timer_op, and what memory_op and sched_op only note or answer. How
 * vCPUs come up is in core_control.c.
 */
#include <hv/layout.h>
#include <hv/timer.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include "fake/core.h"

/* ---- vcpu_op, set_timer_op ---- */
static void test_runstate(void **state)
{
    struct vcpu_runstate_info *r = guest_new(struct vcpu_runstate_info);
    struct vcpu *v = core_guest(2, 0)->vcpu[0];

    core_as(v);
    assert_int_equal(CALL(vcpu_op, VCPUOP_get_runstate_info, 0, r), 0);
    assert_int_equal(r->state, RUNSTATE_running);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 1, 0), 0);
    core_settle();
    core_as(v);
    assert_int_equal(CALL(vcpu_op, VCPUOP_get_runstate_info, 1, r), 0);
    assert_int_equal(r->state, RUNSTATE_offline);
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(CALL(vcpu_op, VCPUOP_get_runstate_info, 0, core_bad_pointer(kind, sizeof(*r))), -EFAULT);
}

static void test_time_area(void **state)
{
    struct vcpu_register_time_memory_area *area = guest_new(struct vcpu_register_time_memory_area);
    struct vcpu_time_info *t = guest_new(struct vcpu_time_info);
    struct vcpu *v = core_guest(2, 0)->vcpu[0];

    core_as(v);
    area->addr.h.p = t;
    for (unsigned int i = 0; i < 2; i++) {
        assert_int_equal(CALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, i, area), 0);
        assert_ptr_equal(v->domain->vcpu[i]->time_area_guest, t);
    }
    area->addr.h.p = (struct vcpu_time_info *)HYPERVISOR_BASE;
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, area), -EFAULT);
    area->addr.h.p = (struct vcpu_time_info *)(HYPERVISOR_BASE - 8);
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, area), -EFAULT);
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, FAULT), -EFAULT);
    assert_ptr_equal(v->time_area_guest, t);
}

static long register_info(unsigned int vcpu, uint64_t frame, uint32_t offset)
{
    struct vcpu_register_vcpu_info *i = guest_new(struct vcpu_register_vcpu_info);

    *i = (struct vcpu_register_vcpu_info){.mfn = frame, .offset = offset};
    return CALL(vcpu_op, VCPUOP_register_vcpu_info, vcpu, i);
}

/* Once, in a frame of its own that may be written to, and whole in it; of another vCPU while that one is down. */
static void test_register_info(void **state)
{
    struct domain *other = core_guest(1, 1), *d = core_guest(2, 2);
    struct page_info *pg = list_first(&d->page_list, struct page_info, list);
    uint64_t mine = page_to_mfn(pg).n,
             bad[] = {page_to_mfn(list_first(&other->page_list, struct page_info, list)).n, RAM_HOLE, ~0ull};

    core_as(d->vcpu[0]);
    assert_int_equal(register_info(0, mine, PAGE_SIZE - sizeof(vcpu_info_t) + 8), -EINVAL);
    assert_int_equal(register_info(0, mine, ~0u), -EINVAL);
    assert_int_equal(register_info(0, mine, 4), -EINVAL);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(register_info(0, bad[i], 0), -EINVAL);
    pg->type_info = (uint64_t)PT_SEGDESC << PGT_type_shift | PGT_validated | 1;
    assert_int_equal(register_info(0, mine, 0), -EINVAL);
    pg->type_info = 0;
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_vcpu_info, 0, FAULT), -EFAULT);
    assert_int_equal(register_info(1, mine, 0), -EINVAL);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 1, 0), 0);
    assert_int_equal(register_info(1, mine, PAGE_SIZE - sizeof(vcpu_info_t)), 0);
    assert_int_equal(register_info(0, mine, 64), 0);
    assert_ptr_equal(d->vcpu[0]->vcpu_info, (char *)page_to_virt(pg) + 64);
    assert_int_equal(register_info(0, mine, 128), -EINVAL);
    assert_int_equal(register_info(2, mine, 0), -ENOENT);
}

/* The last that is up stays so, and the domain is over. */
static void test_down(void **state)
{
    struct domain *d = core_guest(2, 0);

    core_as(d->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 1, 0), 0); /* again: nothing new */
    assert_false(d->is_shutting_down);
    assert_int_equal(CALL(vcpu_op, VCPUOP_up, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 0, 0), 0);
    assert_false(d->is_shutting_down);
    core_settle();
    core_as(d->vcpu[1]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 1, 0), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_is_up, 1, 0), 1);
    assert_true(d->is_shut_down);
    assert_int_equal(d->shutdown_code, SHUTDOWN_poweroff);
    d = core_guest(1, 0);
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_down, 0, 0), 0);
    assert_true(d->is_shut_down);
    assert_int_equal(d->shutdown_code, SHUTDOWN_poweroff);
}

static void test_send_nmi(void **state)
{
    struct domain *d = core_guest(2, 0);

    core_as(d->vcpu[1]);
    assert_int_equal(CALL(sched_op, SCHEDOP_block, 0, 0), 0);
    core_settle();
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_send_nmi, 1, 0), -EINVAL);
    assert_false(d->vcpu[1]->nmi_pending);
    d->vcpu[1]->pv.trap[2].address = 0x1000;
    assert_int_equal(CALL(vcpu_op, VCPUOP_send_nmi, 1, 0), 0);
    assert_true(d->vcpu[1]->nmi_pending);
    core_settle();
    assert_true(d->vcpu[1]->is_running);
}

static void test_physid(void **state)
{
    struct vcpu_get_physid *id = guest_new(struct vcpu_get_physid);

    per_cpu(apicid, 0) = 0x42;
    per_cpu(acpi_id, 0) = 7;
    assert_int_equal(CALL(vcpu_op, VCPUOP_get_physid, 0, id), 0);
    assert_int_equal(xen_vcpu_physid_to_x86_apicid(id->phys_id), 0x42);
    assert_int_equal(xen_vcpu_physid_to_x86_acpiid(id->phys_id), 7);
    per_cpu(apicid, 0) = per_cpu(acpi_id, 0) = 0;
    assert_int_equal(CALL(vcpu_op, VCPUOP_get_physid, 0, FAULT), -EFAULT);
    core_as(core_guest(1, 0)->vcpu[0]);
    assert_int_equal(CALL(vcpu_op, VCPUOP_get_physid, 0, id), -EINVAL);
}

static bool armed(const struct timer *t)
{
    return !list_empty(&t->link);
}

static void test_timers(void **state)
{
    struct vcpu_set_periodic_timer *t = guest_new(struct vcpu_set_periodic_timer);
    struct vcpu_set_singleshot_timer *one = guest_new(struct vcpu_set_singleshot_timer);
    struct vcpu *v = core_guest(2, 0)->vcpu[0];
    static const struct {
        uint64_t period;
        long result;
    } periods[] = {{0, -EINVAL},           {999999, -EINVAL},         {1000000, 0},
                   {86400000000000ull, 0}, {86400000000001, -EINVAL}, {~0ull, -EINVAL}};

    core_as(v);
    for (unsigned int i = 0; i < ARRAY_SIZE(periods); i++) {
        t->period_ns = periods[i].period;
        assert_int_equal(CALL(vcpu_op, VCPUOP_set_periodic_timer, 1, t), periods[i].result);
        assert_int_equal(armed(&v->domain->vcpu[1]->periodic_timer), periods[i].result == 0);
        assert_int_equal(CALL(vcpu_op, VCPUOP_stop_periodic_timer, 1, 0), 0);
        assert_false(armed(&v->domain->vcpu[1]->periodic_timer));
    }
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_periodic_timer, 0, FAULT), -EFAULT);
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, FAULT), -EFAULT);
    one->timeout_abs_ns = (uint64_t)core.now + 1000;
    one->flags = VCPU_SSHOTTMR_future;
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, one), 0);
    assert_true(armed(&v->singleshot_timer));
    assert_int_equal(CALL(vcpu_op, VCPUOP_stop_singleshot_timer, 1, 0), -EINVAL);
    assert_true(armed(&v->singleshot_timer));
    assert_int_equal(CALL(vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0), 0);
    assert_false(armed(&v->singleshot_timer));
    one->timeout_abs_ns = (uint64_t)core.now - 1;
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, one), -ETIME);
    one->timeout_abs_ns = ~0ull; /* later than ever, which is not the past */
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, one), 0);
    assert_false(armed(&v->singleshot_timer));
}

/* The rhythm survives lateness; a guest that does not run has one tick pending and costs no timers. */
static void test_periodic(void **state)
{
    struct vcpu_set_periodic_timer *t = guest_new(struct vcpu_set_periodic_timer);
    struct evtchn_bind_virq *bind = guest_new(struct evtchn_bind_virq);
    struct vcpu *v = core_guest(1, 0)->vcpu[0];
    s_time_t start;

    core_as(v);
    bind->virq = VIRQ_TIMER;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_virq, bind, 0), 0);
    t->period_ns = (uint64_t)MILLISECS(2);
    assert_int_equal(CALL(vcpu_op, VCPUOP_set_periodic_timer, 0, t), 0);
    start = core.now;
    core_settle();
    core_pass(MILLISECS(2));
    assert_true(evtchn_port_pending(v, bind->port));
    assert_int_equal(v->periodic_timer.expires, start + MILLISECS(4));
    core.now += MILLISECS(7); /* three ticks late */
    core_pass(0);
    assert_int_equal(v->periodic_timer.expires, start + MILLISECS(10));
    vcpu_pause_nosync(v);
    core_settle();
    core_pass(MILLISECS(50));
    assert_false(armed(&v->periodic_timer));
    assert_true(evtchn_port_pending(v, bind->port));
    core_pass(MICROSECS(300));
    vcpu_unpause(v);
    core_settle();
    assert_true(armed(&v->periodic_timer));
    assert_int_equal((v->periodic_timer.expires - start) % MILLISECS(2), 0);
    assert_in_range(v->periodic_timer.expires, core.now + 1, core.now + MILLISECS(2));
    core_as(v);
    assert_int_equal(CALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
    vcpu_pause_nosync(v);
    core_settle();
    vcpu_unpause(v);
    core_settle();
    assert_false(armed(&v->periodic_timer));
}

/* Areas: anywhere in guest memory and across pages, replaced, taken back; an address gone bad later is the guest's
 * loss. */
static void test_areas(void **state)
{
    struct vcpu_register_runstate_memory_area *area = guest_new(struct vcpu_register_runstate_memory_area);
    struct domain *d = core_guest(2, 0);
    char *across = (char *)ROUND_UP((unsigned long)guest_memory + 1, PAGE_SIZE) + PAGE_SIZE - 13;
    struct vcpu_runstate_info r;

    assert_true(across > (char *)(area + 1));
    core_as(d->vcpu[0]);
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++) {
        area->addr.h.p = core_bad_pointer(kind, sizeof(r));
        if (!guest_range_ok((unsigned long)area->addr.h.p, sizeof(r)))
            assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, area), -EFAULT);
        else
            assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, area), 0); /* mapped later, maybe */
    }
    area->addr.h.p = (void *)across;
    for (unsigned int i = 0; i < 2; i++) {
        memset(across, 0xff, sizeof(r));
        assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, i, area), 0);
        memcpy(&r, across, sizeof(r));
        assert_int_equal(r.state, RUNSTATE_running);
        assert_int_equal(r.state_entry_time, d->vcpu[i]->runstate.state_entry_time);
    }
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, 2, area), -ENOENT);
    area->addr.h.p = NULL;
    assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, area), 0);
    memset(across, 0xff, sizeof(r));
    core_pass(MILLISECS(1));
    vcpu_update_runstate_area(d->vcpu[0]);
    assert_int_equal((uint8_t)across[0], 0xff);
}

static void test_set_timer_op(void **state)
{
    struct vcpu *v = core_guest(1, 0)->vcpu[0];
    struct evtchn_bind_virq *bind = guest_new(struct evtchn_bind_virq);

    core_as(v);
    bind->virq = VIRQ_TIMER;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_virq, bind, 0), 0);
    assert_int_equal(CALL(set_timer_op, core.now + 1000, 0, 0), 0);
    core_settle();
    core_pass(999);
    assert_false(evtchn_port_pending(v, bind->port));
    core_pass(1);
    assert_true(evtchn_port_pending(v, bind->port));
    core_as(v);
    assert_int_equal(CALL(set_timer_op, core.now + 1000, 0, 0), 0);
    assert_true(armed(&v->singleshot_timer));
    assert_int_equal(CALL(set_timer_op, 0, 0, 0), 0);
    assert_false(armed(&v->singleshot_timer));
    assert_int_equal(CALL(set_timer_op, ~0ul, 0, 0), 0); /* later than ever */
    assert_false(armed(&v->singleshot_timer));
}

/* ---- memory_op, sched_op ---- */
static void test_machphys_list(void **state)
{
    struct xen_machphys_mfn_list *l = guest_new(struct xen_machphys_mfn_list);
    xen_pfn_t *mfns = guest_alloc(4 * sizeof(*mfns));

    l->extent_start.p = mfns;
    assert_int_equal(CALL(memory_op, XENMEM_machphys_mfn_list, l, 0), 0);
    assert_int_equal(l->nr_extents, 0);
    l->max_extents = ~0u;
    assert_int_equal(CALL(memory_op, XENMEM_machphys_mfn_list, l, 0), 0);
    assert_int_equal(l->nr_extents, 1); /* the table of this RAM is smaller than 2 MiB */
    assert_int_equal(mfns[0], m2p_frame(RW_M2P_VIRT_START).n);
    assert_int_equal(mfns[1], 0);
    l->extent_start.p = FAULT;
    assert_int_equal(CALL(memory_op, XENMEM_machphys_mfn_list, l, 0), -EFAULT);
    assert_int_equal(CALL(memory_op, XENMEM_machphys_mfn_list, FAULT, 0), -EFAULT);
}

static void test_physmap_calls(void **state)
{
    static const unsigned int refused[] = {XENMEM_add_to_physmap, XENMEM_add_to_physmap_batch,
                                           XENMEM_remove_from_physmap};
    struct domain *d = core_guest(1, 0);
    domid_t *id = guest_new(domid_t);

    core_as(d->vcpu[0]);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
        assert_int_equal(CALL(memory_op, refused[i], FAULT, 0), -EFAULT);
    *id = DOMID_SELF;
    assert_int_equal(CALL(memory_op, XENMEM_maximum_gpfn, id, 0), 0); /* the guest has not said yet */
    d->shared_info->arch.max_pfn = 0x1000;
    assert_int_equal(CALL(memory_op, XENMEM_maximum_gpfn, id, 0), 0xfff);
    *id = 0;
    assert_int_equal(CALL(memory_op, XENMEM_maximum_gpfn, id, 0), -ESRCH);
    assert_int_equal(CALL(memory_op, XENMEM_maximum_gpfn, FAULT, 0), -EFAULT);
}

static void test_shutdown_code(void **state)
{
    struct sched_shutdown *sd = guest_new(struct sched_shutdown);
    struct domain *d = core_guest(1, 0);

    core_as(d->vcpu[0]);
    sd->reason = SHUTDOWN_crash;
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown_code, sd, 0), 0);
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash);
    assert_false(d->is_shutting_down);
    sd->reason = SHUTDOWN_reboot;
    assert_int_equal(CALL(sched_op, SCHEDOP_shutdown_code, sd, 0), 0);
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot);
    domain_shutdown(d, SHUTDOWN_poweroff); /* what the guest has said before counts */
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot);
    domain_resume(d);
    assert_int_equal(d->shutdown_code, SHUTDOWN_CODE_INVALID);
    assert_int_equal(CALL(sched_op, SCHEDOP_pin_override + 1, sd, 0), -ENOSYS);
}

static long watchdog(uint32_t id, uint32_t timeout)
{
    struct sched_watchdog *w = guest_new(struct sched_watchdog);

    *w = (struct sched_watchdog){id, timeout};
    return CALL(sched_op, SCHEDOP_watchdog, w, 0);
}

static void test_watchdog(void **state)
{
    struct domain *d = core_guest(1, 0);

    core_as(d->vcpu[0]);
    assert_int_equal(CALL(sched_op, SCHEDOP_watchdog, FAULT, 0), -EFAULT);
    for (uint32_t id = 1; id < 4; id++)
        assert_int_equal(watchdog(id, 5), -EINVAL); /* none is in use */
    assert_int_equal(watchdog(~0u, 5), -EINVAL);
    assert_int_equal(watchdog(0, ~0u), 1);
    assert_int_equal(watchdog(0, 5), 2);
    assert_int_equal(watchdog(0, 5), -ENOSPC);
    assert_int_equal(watchdog(1, 0), 0);
    assert_int_equal(watchdog(1, 0), -EINVAL);
    assert_int_equal(watchdog(0, 30), 1);
    for (unsigned int i = 0; i < 3; i++) { /* poked in time */
        core_settle();
        core_pass(SECONDS(5) - 1);
        core_as(d->vcpu[0]);
        assert_int_equal(watchdog(2, 5), 0);
    }
    core_settle();
    core_pass(SECONDS(5) - 1);
    assert_false(d->is_shut_down);
    core_pass(1);
    assert_true(d->is_shut_down);
    assert_int_equal(d->shutdown_code, SHUTDOWN_watchdog);
}

/* It does not outlive its domain, nor change the reason of one that has ended. */
static void test_watchdog_of_the_dead(void **state)
{
    struct domain *d = core_guest(1, 0), *ended = core_guest(1, 0);

    core_as(d->vcpu[0]);
    assert_int_equal(watchdog(0, 1), 1);
    core_as(ended->vcpu[0]);
    assert_int_equal(watchdog(0, 1), 1);
    domain_shutdown(ended, SHUTDOWN_poweroff);
    core_settle();
    core_as(control_domain->vcpu[0]);
    core_kill(d);
    core_pass(SECONDS(2));
    assert_int_equal(ended->shutdown_code, SHUTDOWN_poweroff);
}

static long pin_override(int32_t pcpu)
{
    struct sched_pin_override *p = guest_new(struct sched_pin_override);

    p->pcpu = pcpu;
    return CALL(sched_op, SCHEDOP_pin_override, p, 0);
}

static void test_pin_override(void **state)
{
    struct vcpu *v = control_domain->vcpu[0];

    assert_int_equal(CALL(sched_op, SCHEDOP_pin_override, FAULT, 0), -EFAULT);
    assert_int_equal(pin_override(-1), -EINVAL); /* nothing to end */
    assert_int_equal(pin_override(FAKE_CPUS), -EINVAL);
    assert_int_equal(pin_override(INT32_MAX), -EINVAL);
    assert_int_equal(vcpu_set_affinity(v, (cpumask_t){5}), 0);
    assert_int_equal(pin_override(3), 0);
    core_settle();
    assert_int_equal(v->processor, 3);
    core_as(v);
    assert_int_equal(pin_override(1), -EBUSY);
    assert_int_equal(vcpu_set_affinity(v, CPUMASK_ALL), -EBUSY);
    assert_int_equal(vcpu_set_soft_affinity(v, CPUMASK_ALL), -EBUSY);
    assert_int_equal(pin_override(INT32_MIN), 0);
    core_settle();
    assert_int_equal(v->hard_affinity.bits, 5);
    assert_true(v->processor == 0 || v->processor == 2);
    core_as(core_guest(1, 0)->vcpu[0]);
    assert_int_equal(pin_override(0), -EPERM);
}

int core_vcpu_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_runstate),
        CORE_TEST(test_time_area),
        CORE_TEST(test_register_info),
        CORE_TEST(test_down),
        CORE_TEST(test_send_nmi),
        CORE_TEST(test_physid),
        CORE_TEST(test_timers),
        CORE_TEST(test_set_timer_op),
        CORE_TEST(test_machphys_list),
        CORE_TEST(test_physmap_calls),
        CORE_TEST(test_shutdown_code),
        CORE_TEST(test_watchdog),
        CORE_TEST(test_watchdog_of_the_dead),
        CORE_TEST(test_pin_override),
        CORE_TEST(test_periodic),
        CORE_TEST(test_areas),
    };

    return cmocka_run_group_tests_name("vcpu", tests, NULL, NULL);
}
