// SPDX-License-Identifier: BSD-2-Clause
/*
 * domctl: the small sub-calls, each with its success and each of its errors. What makes, changes and ends domains is in
 * core_control.c; what a weight does to scheduling is in core_sched.c.
 */
#include <hv/timer.h>
#include <xen/domctl.h>
#include "fake/core.h"

static struct xen_domctl *op;
static struct domain *d;

static long domctl_of(domid_t id, unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    return CALL(domctl, op, 0, 0);
}

static long domctl(unsigned int cmd)
{
    return domctl_of(d->id, cmd);
}

static void guest(unsigned int vcpus, unsigned int pages)
{
    op = guest_new(struct xen_domctl);
    d = core_guest(vcpus, pages);
    core_as(control_domain->vcpu[0]);
}

static xen_pfn_t first_frame(void)
{
    return page_to_mfn(list_first(&d->page_list, struct page_info, list)).n;
}

/* ---- frame types ---- */
static long frame_types(xen_pfn_t *frames, uint64_t n)
{
    op->u.getpageframeinfo3.num = n;
    op->u.getpageframeinfo3.array.p = frames;
    return domctl(XEN_DOMCTL_getpageframeinfo3);
}

/* By a multicall: the fourth argument says whose frames. */
static void mmuext(unsigned int cmd, xen_pfn_t mfn)
{
    struct mmuext_op *m = guest_new(struct mmuext_op);
    multicall_entry_t *e = guest_new(multicall_entry_t);

    m->cmd = cmd;
    m->arg1.mfn = mfn;
    *e = (multicall_entry_t){.op = __HYPERVISOR_mmuext_op, .args = {(unsigned long)m, 1, 0, DOMID_SELF}};
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(multicall, e, 1, 0), 0);
    assert_int_equal(e->result, 0);
    core_as(control_domain->vcpu[0]);
}

/* The most that may be asked for at once, preempted at every chance: each is answered, and once. */
static void test_many_frame_types(void **state)
{
    xen_pfn_t *frames = guest_alloc(1025 * sizeof(*frames));

    guest(1, 1);
    for (unsigned int i = 0; i < 1025; i++)
        frames[i] = i % 2 ? first_frame() : RAM_HOLE;
    core.preempt = 1;
    assert_int_equal(frame_types(frames, 1024), 0);
    assert_int_equal(core.restarts, 1024 / 64 - 1);
    for (unsigned int i = 0; i < 1024; i++)
        assert_int_equal(frames[i], i % 2 ? XEN_DOMCTL_PFINFO_NOTAB : XEN_DOMCTL_PFINFO_XTAB);
    assert_int_equal(frames[1024], RAM_HOLE);
    assert_int_equal(frame_types(frames, 1025), -E2BIG);
}

static void test_frame_types(void **state)
{
    xen_pfn_t *frames = guest_alloc(6 * sizeof(*frames)), table;
    struct page_info *pg;

    guest(1, 2);
    table = first_frame();
    pg = mfn_to_page(_mfn(table));
    mmuext(MMUEXT_PIN_L1_TABLE, table);
    frames[0] = table;
    frames[1] = page_to_mfn(list_entry(pg->list.next, struct page_info, list)).n;
    frames[2] = page_to_mfn(list_first(&control_domain->page_list, struct page_info, list)).n;
    frames[3] = RAM_HOLE;
    frames[4] = RAM_END;
    frames[5] = ~0ul;
    assert_int_equal(frame_types(frames, 6), 0);
    assert_int_equal(frames[0], XEN_DOMCTL_PFINFO_L1TAB | XEN_DOMCTL_PFINFO_LPINTAB);
    assert_int_equal(frames[1], XEN_DOMCTL_PFINFO_NOTAB);
    for (unsigned int i = 2; i < 6; i++)
        assert_int_equal(frames[i], XEN_DOMCTL_PFINFO_XTAB);
    mmuext(MMUEXT_UNPIN_TABLE, table);
    frames[0] = table;
    assert_int_equal(frame_types(frames, 1), 0);
    assert_int_equal(frames[0], XEN_DOMCTL_PFINFO_L1TAB); /* valid as a table until it is used as something else */
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    put_page_and_type(pg);
    frames[0] = table;
    assert_int_equal(frame_types(frames, 1), 0);
    assert_int_equal(frames[0], XEN_DOMCTL_PFINFO_NOTAB);
}

static void test_frame_type_lists(void **state)
{
    xen_pfn_t *frames = guest_alloc(1025 * sizeof(*frames));

    guest(1, 1);
    for (unsigned int i = 0; i < 1025; i++)
        frames[i] = first_frame();
    assert_int_equal(frame_types(frames, 1025), -E2BIG);
    assert_int_equal(frame_types(frames, ~0ull), -E2BIG);
    assert_int_equal(frames[0], first_frame());
    assert_int_equal(frame_types(frames, 1024), 0);
    for (unsigned int i = 0; i < 1024; i++)
        assert_int_equal(frames[i], XEN_DOMCTL_PFINFO_NOTAB);
    assert_int_equal(frames[1024], first_frame());
    assert_int_equal(frame_types(FAULT, 0), 0);
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(frame_types(core_bad_pointer(kind, sizeof(*frames)), 1), -EFAULT);
    for (unsigned int n = 2; n <= 5; n++) { /* behind the call's own: in, out, in, out */
        core.fail_copy = n;
        assert_int_equal(frame_types(frames, 65), -EFAULT);
    }
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_getpageframeinfo3), -ESRCH);
}

/* ---- affinity ---- */
static uint64_t *hard, *soft;

static void affinity_of(unsigned int vcpu, unsigned int flags, unsigned int bits)
{
    op->u.vcpuaffinity = (struct xen_domctl_vcpuaffinity){.vcpu = vcpu, .flags = flags};
    op->u.vcpuaffinity.cpumap_hard.bitmap.p = (uint8_t *)hard;
    op->u.vcpuaffinity.cpumap_soft.bitmap.p = (uint8_t *)soft;
    op->u.vcpuaffinity.cpumap_hard.nr_bits = op->u.vcpuaffinity.cpumap_soft.nr_bits = bits;
}

static void guest_with_maps(void)
{
    guest(2, 0);
    hard = guest_alloc(16);
    soft = guest_alloc(16);
}

static void test_hard_affinity(void **state)
{
    guest_with_maps();
    affinity_of(1, XEN_VCPUAFFINITY_HARD, 64);
    *hard = 1ull << 40 | 1ull << 3;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), 0);
    assert_int_equal(*hard, 1u << 3); /* the part that there is */
    assert_int_equal(d->vcpu[1]->hard_affinity.bits, 1ull << 40 | 1ull << 3);
    core_settle();
    assert_int_equal(d->vcpu[1]->processor, 3);
    assert_true(d->vcpu[1]->is_running);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity), 0);
    assert_int_equal(*hard, 1ull << 3); /* of the CPUs that there are */
    *hard = ~0ull;
    affinity_of(1, XEN_VCPUAFFINITY_HARD, 12); /* bytes that the map has, bits beyond it clear */
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity), 0);
    assert_int_equal(*hard, 0xffffffffffff0008);
    *hard = 0xf000 | 2;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), 0);
    assert_int_equal(d->vcpu[1]->hard_affinity.bits, 2); /* nor are they taken */
    *hard = 4;
    hard[1] = ~0ull;
    affinity_of(1, XEN_VCPUAFFINITY_HARD, 120);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), 0);
    assert_int_equal(d->vcpu[1]->hard_affinity.bits, 4);
    assert_int_equal(hard[0], 4);
    assert_int_equal(hard[1], 0xffull << 56); /* cleared as far as the map goes */
    assert_int_equal(d->vcpu[0]->hard_affinity.bits, ~0ull);
}

static void test_soft_affinity(void **state)
{
    guest_with_maps();
    affinity_of(0, XEN_VCPUAFFINITY_SOFT, 64);
    *hard = *soft = 1ull << 40 | 2;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), 0);
    assert_int_equal(d->vcpu[0]->hard_affinity.bits, ~0ull);
    assert_int_equal(*soft, 2);
    assert_int_equal(*hard, 1ull << 40 | 2);
    affinity_of(0, XEN_VCPUAFFINITY_SOFT | XEN_VCPUAFFINITY_HARD, 64);
    *hard = 1ull << 40 | 6;
    *soft = 1ull << 41 | 12;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), 0);
    assert_int_equal(*hard, 6); /* what takes effect: of the CPUs that there are, and of the hard affinity */
    assert_int_equal(*soft, 4);
    *hard = *soft = 0;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity), 0);
    assert_int_equal(*hard, 6); /* what was set, of the CPUs that there are */
    assert_int_equal(*soft, 12);
    *hard = 0; /* refused, and the soft one stays too */
    *soft = 1;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), -EINVAL);
    assert_int_equal(d->vcpu[0]->hard_affinity.bits, 1ull << 40 | 6);
    assert_int_equal(d->vcpu[0]->soft_affinity.bits, 1ull << 41 | 12);
    *hard = 6; /* a soft affinity that leaves nothing is none */
    *soft = 1;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), 0);
    assert_int_equal(*soft, 0);
}

static void test_affinity_errors(void **state)
{
    static const unsigned int cmds[] = {XEN_DOMCTL_setvcpuaffinity, XEN_DOMCTL_getvcpuaffinity};
    domid_t unmade;

    guest_with_maps();
    op->u.createdomain = core_config(1);
    assert_int_equal(domctl_of(0, XEN_DOMCTL_createdomain), 0);
    unmade = op->domain;
    *hard = 1;
    for (unsigned int i = 0; i < 2; i++) {
        affinity_of(0, 0, 64);
        assert_int_equal(domctl(cmds[i]), -EINVAL);
        affinity_of(0, XEN_VCPUAFFINITY_FORCE << 1, 64);
        assert_int_equal(domctl(cmds[i]), -EINVAL);
        affinity_of(0, XEN_VCPUAFFINITY_FORCE, 64); /* nothing to end, nothing to say */
        assert_int_equal(domctl(cmds[i]), 0);
        affinity_of(2, XEN_VCPUAFFINITY_HARD, 64);
        assert_int_equal(domctl(cmds[i]), -EINVAL);
        affinity_of(~0u, XEN_VCPUAFFINITY_HARD, 64);
        assert_int_equal(domctl(cmds[i]), -EINVAL);
        affinity_of(0, XEN_VCPUAFFINITY_HARD, 64);
        assert_int_equal(domctl_of(unmade, cmds[i]), -ESRCH);
        assert_int_equal(domctl_of(unmade + 1, cmds[i]), -ESRCH);
        op->u.vcpuaffinity.cpumap_hard.bitmap.p = FAULT;
        assert_int_equal(domctl(cmds[i]), -EFAULT);
    }
    affinity_of(0, XEN_VCPUAFFINITY_SOFT, 64);
    op->u.vcpuaffinity.cpumap_soft.bitmap.p = FAULT;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity), -EFAULT);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), -EFAULT);
    op->u.vcpuaffinity.cpumap_soft.bitmap.p = NULL;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), -EINVAL);
    affinity_of(0, XEN_VCPUAFFINITY_HARD, 64);
    *hard = 0;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), -EINVAL);
    *hard = 1ull << FAKE_CPUS; /* no such CPU */
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), -EINVAL);
    affinity_of(0, XEN_VCPUAFFINITY_HARD, 0);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity), -EINVAL);
    assert_int_equal(d->vcpu[0]->hard_affinity.bits, ~0ull);
}

/* ---- scheduling parameters ---- */
static void test_scheduler(void **state)
{
    struct xen_domctl_scheduler_op *s;

    guest(1, 0);
    s = &op->u.scheduler_op;
    s->sched_id = XEN_SCHEDULER_CREDIT2;
    s->cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    s->u.credit2.weight = 512;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op), 0);
    s->u.credit2.weight = 1;
    s->u.credit2.cap = 150;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op), -EINVAL);
    s->u.credit2.weight = 0;
    s->u.credit2.cap = 50;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op), 0);
    s->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op), 0);
    assert_int_equal(s->u.credit2.weight, 512);
    assert_int_equal(s->u.credit2.cap, 50);
    s->cmd = XEN_DOMCTL_SCHEDOP_getvcpuinfo;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op), -EINVAL);
    s->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    s->sched_id = XEN_SCHEDULER_CREDIT;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op), -EINVAL);
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_scheduler_op), -ESRCH);
}

/* ---- what happens to a domain ---- */
static void test_sendtrigger(void **state)
{
    static const unsigned int others[] = {XEN_DOMCTL_SENDTRIGGER_RESET, XEN_DOMCTL_SENDTRIGGER_INIT, ~0u};
    static const unsigned int buttons[] = {XEN_DOMCTL_SENDTRIGGER_POWER, XEN_DOMCTL_SENDTRIGGER_SLEEP};
    struct vcpu *v;

    guest(1, 0);
    v = d->vcpu[0];
    core_as(v);
    assert_int_equal(CALL(sched_op, SCHEDOP_block, 0, 0), 0);
    core_settle();
    assert_false(v->is_running);
    core_as(control_domain->vcpu[0]);
    op->u.sendtrigger.vcpu = 0;
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        op->u.sendtrigger.trigger = others[i];
        assert_int_equal(domctl(XEN_DOMCTL_sendtrigger), -ENOSYS);
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(buttons); i++) {
        op->u.sendtrigger.trigger = buttons[i];
        assert_int_equal(domctl(XEN_DOMCTL_sendtrigger), -EINVAL);
    }
    assert_false(v->nmi_pending);
    op->u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_NMI;
    assert_int_equal(domctl(XEN_DOMCTL_sendtrigger), 0);
    assert_true(v->nmi_pending);
    core_settle();
    assert_true(v->is_running);
    core_as(control_domain->vcpu[0]);
    op->u.sendtrigger.vcpu = 1;
    assert_int_equal(domctl(XEN_DOMCTL_sendtrigger), -ESRCH);
    op->u.sendtrigger.vcpu = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_sendtrigger), -ESRCH);
}

static void test_resume(void **state)
{
    guest(2, 0);
    assert_int_equal(domctl(XEN_DOMCTL_resumedomain), 0); /* it runs: nothing to do */
    domain_shutdown(d, 2);
    core_settle();
    assert_true(d->is_shut_down && !d->vcpu[0]->is_running);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(domctl(XEN_DOMCTL_resumedomain), 0);
    core_settle();
    assert_false(d->is_shut_down || d->is_shutting_down);
    assert_true(d->vcpu[0]->is_running && d->vcpu[1]->is_running);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(domctl_of(0, XEN_DOMCTL_resumedomain), -EINVAL);
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_resumedomain), -ESRCH);
}

/* The page of stubs goes to a frame of the domain's own that may be written to. */
static void test_hypercall_page(void **state)
{
    xen_pfn_t frame;

    guest(1, 1);
    frame = first_frame();
    op->u.hypercall_init.gmfn = frame;
    assert_int_equal(domctl(XEN_DOMCTL_hypercall_init), 0);
    mfn_to_page(_mfn(frame))->type_info = (uint64_t)PT_SEGDESC << PGT_type_shift | PGT_validated | 1;
    assert_int_equal(domctl(XEN_DOMCTL_hypercall_init), -EINVAL);
    mfn_to_page(_mfn(frame))->type_info = 0;
    op->u.hypercall_init.gmfn = virt_to_mfn(control_domain->shared_info).n;
    assert_int_equal(domctl(XEN_DOMCTL_hypercall_init), -EINVAL);
    op->u.hypercall_init.gmfn = ~0ull;
    assert_int_equal(domctl(XEN_DOMCTL_hypercall_init), -EINVAL);
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_hypercall_init), -ESRCH);
}

static void test_context_refusals(void **state)
{
    guest(1, 0);
    op->u.vcpucontext.ctxt.p = guest_new(struct vcpu_guest_context);
    op->u.vcpucontext.vcpu = 0;
    assert_int_equal(domctl_of(0, XEN_DOMCTL_getvcpucontext), -EINVAL);
    assert_int_equal(domctl_of(0, XEN_DOMCTL_setvcpucontext), -EINVAL);
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_getvcpucontext), -ESRCH);
    op->u.vcpucontext.vcpu = 1;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext), -ESRCH);
    op->u.vcpucontext.vcpu = 0;
    op->u.vcpucontext.ctxt.p = NULL;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext), -EFAULT);
    assert_int_equal(d->pause_count, 0);
}

/* ---- what is kept or only answered ---- */
/* What was set is told; the count of restores goes up, and the domain's time goes on from where it was. */
static void test_tsc_info(void **state)
{
    guest(1, 0);
    core_pass(MILLISECS(3));
    assert_int_equal(domctl(XEN_DOMCTL_gettscinfo), 0);
    assert_int_equal(op->u.tsc_info.tsc_mode, 0);
    assert_int_equal(op->u.tsc_info.gtsc_khz, tsc_khz);
    assert_int_equal(op->u.tsc_info.incarnation, 1);
    assert_in_range(op->u.tsc_info.elapsed_nsec, MILLISECS(3), MILLISECS(4));
    for (uint32_t mode = 0; mode <= 2; mode++) {
        op->u.tsc_info = (struct xen_domctl_tsc_info){.tsc_mode = mode, .incarnation = 7, .elapsed_nsec = 1ull << 40};
        assert_int_equal(domctl(XEN_DOMCTL_settscinfo), 0);
        core_pass(MILLISECS(1));
        assert_int_equal(domctl(XEN_DOMCTL_gettscinfo), 0);
        assert_int_equal(op->u.tsc_info.tsc_mode, mode);
        assert_int_equal(op->u.tsc_info.incarnation, 8);
        if (mode == 2)
            assert_int_equal(op->u.tsc_info.elapsed_nsec, 0);
        else
            assert_in_range(op->u.tsc_info.elapsed_nsec - (1ull << 40), MILLISECS(1), MILLISECS(2));
    }
    op->u.tsc_info = (struct xen_domctl_tsc_info){.elapsed_nsec = 1ull << 63}; /* before its beginning */
    assert_int_equal(domctl(XEN_DOMCTL_settscinfo), 0);
    assert_int_equal(domctl(XEN_DOMCTL_gettscinfo), 0);
    assert_int_equal(op->u.tsc_info.elapsed_nsec, 0);
    op->u.tsc_info.tsc_mode = 3;
    assert_int_equal(domctl(XEN_DOMCTL_settscinfo), -EINVAL);
    core.fail_copy = 2;
    assert_int_equal(domctl(XEN_DOMCTL_gettscinfo), -EFAULT);
    op->domain = 0;
    assert_int_equal(domctl_of(0, XEN_DOMCTL_gettscinfo), -EINVAL); /* itself */
    assert_int_equal(domctl_of(0, XEN_DOMCTL_settscinfo), -EINVAL);
}

static void test_address_size(void **state)
{
    guest(1, 0);
    op->u.address_size.size = 64;
    assert_int_equal(domctl(XEN_DOMCTL_set_address_size), 0);
    op->u.address_size.size = 32;
    assert_int_equal(domctl(XEN_DOMCTL_set_address_size), -EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_get_address_size), 0);
    assert_int_equal(op->u.address_size.size, 64);
}

static void test_handle_and_offset(void **state)
{
    static const xen_domain_handle_t handle = {1, 2, 3, [15] = 0xff};

    guest(1, 0);
    memcpy(op->u.setdomainhandle.handle, handle, sizeof(handle));
    assert_int_equal(domctl(XEN_DOMCTL_setdomainhandle), 0);
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo), 0);
    assert_memory_equal(op->u.getdomaininfo.handle, handle, sizeof(handle));
    op->u.settimeoffset.time_offset_seconds = -3600;
    assert_int_equal(domctl(XEN_DOMCTL_settimeoffset), 0);
    assert_int_equal((int64_t)d->time_offset_s, -3600);
    assert_int_equal(control_domain->time_offset_s, 0);
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_setdomainhandle), -ESRCH);
    assert_int_equal(domctl_of((domid_t)(d->id + 1), XEN_DOMCTL_settimeoffset), -ESRCH);
}

static void test_virq_handler(void **state)
{
    struct evtchn_bind_virq *bind = guest_new(struct evtchn_bind_virq);
    static const unsigned int refused[] = {VIRQ_TIMER, NR_VIRQS, ~0u};

    guest(1, 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
        op->u.set_virq_handler.virq = refused[i];
        assert_int_equal(domctl(XEN_DOMCTL_set_virq_handler), -EINVAL);
    }
    op->u.set_virq_handler.virq = VIRQ_DOM_EXC;
    assert_int_equal(domctl(XEN_DOMCTL_set_virq_handler), 0);
    bind->virq = VIRQ_DOM_EXC;
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_virq, bind, 0), 0);
    send_global_virq(VIRQ_DOM_EXC);
    assert_true(evtchn_port_pending(d->vcpu[0], bind->port));
    core_as(control_domain->vcpu[0]);
    assert_int_equal(domctl_of(0, XEN_DOMCTL_set_virq_handler), 0); /* back */
}

int core_domctl_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_many_frame_types), CORE_TEST(test_frame_types),       CORE_TEST(test_frame_type_lists),
        CORE_TEST(test_hard_affinity),    CORE_TEST(test_soft_affinity),     CORE_TEST(test_affinity_errors),
        CORE_TEST(test_scheduler),        CORE_TEST(test_sendtrigger),       CORE_TEST(test_resume),
        CORE_TEST(test_hypercall_page),   CORE_TEST(test_context_refusals),  CORE_TEST(test_tsc_info),
        CORE_TEST(test_address_size),     CORE_TEST(test_handle_and_offset), CORE_TEST(test_virq_handler),
    };

    return cmocka_run_group_tests_name("domctl", tests, NULL, NULL);
}
