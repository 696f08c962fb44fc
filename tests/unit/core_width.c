// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a translated domain shares with the hypervisor when its kernel is of 32 bits: the places are spelt out here, as
 * a compiler for i386 lays out <xen/xen.h>.
 */
#include "fake/core.h"
#include "../../hypervisor/event/internal.h"

#include <hv/hvm.h>
#include <hv/p2m.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/vcpu.h>

enum { PENDING = 2048, MASK = 2176, VERSION = 2304, SECONDS_LOW = 2308, NANOSECONDS = 2312, SECONDS_HIGH = 2340 };
enum { SELECTOR = 4, WIDE_SELECTOR = 8 }; /* of a vCPU's record */
#define PORTS 1024u

static struct domain *d;

static void begin(unsigned int vcpus)
{
    xen_pfn_t *list = guest_alloc(4 * sizeof(*list));
    struct xen_memory_reservation *r = guest_new(struct xen_memory_reservation);

    d = core_translated(3, vcpus, 100);
    core_as(d->vcpu[0]);
    for (unsigned int i = 0; i < 4; i++)
        list[i] = 0x10 + i;
    *r = (struct xen_memory_reservation){.extent_start.p = list, .nr_extents = 4, .domid = DOMID_SELF};
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, r, 0), 4);
}

static uint32_t shared(unsigned int at)
{
    return *(uint32_t *)((char *)d->shared_info + at);
}

static uint32_t record(unsigned int vcpu, unsigned int at)
{
    return *(uint32_t *)((char *)d->vcpu[vcpu]->vcpu_info + at);
}

static bool bit(unsigned int base, unsigned int n)
{
    return shared(base + n / 32 * 4) >> n % 32 & 1;
}

static void mask_all(bool masked)
{
    memset((char *)d->shared_info + MASK, masked ? 0xff : 0, PORTS / 8);
}

/* The guest has seen what was announced. */
static void seen(unsigned int vcpu)
{
    memset((char *)d->vcpu[vcpu]->vcpu_info + SELECTOR, 0, 12);
    d->vcpu[vcpu]->vcpu_info->evtchn_upcall_pending = 0;
}

static void set_callback(bool code_32)
{
    struct xen_hvm_param *p = guest_new(struct xen_hvm_param);

    core.code_32 = code_32;
    *p = (struct xen_hvm_param){.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ};
    assert_int_equal(CALL(hvm_op, HVMOP_set_param, p, 0), 0);
    assert_int_equal(fake_locks_held, 0);
}

static long give_frame(domid_t to, unsigned int space)
{
    struct xen_add_to_physmap *a = guest_new(struct xen_add_to_physmap);

    *a = (struct xen_add_to_physmap){.domid = to, .space = space, .gpfn = 0x40};
    return CALL(memory_op, XENMEM_add_to_physmap, a, 0);
}

/* By what a kernel does first, in the mode that it does it in, and by nobody else. */
static void test_latched(void **state)
{
    begin(1);
    assert_false(has_32bit_shinfo(d));
    core.code_32 = true;
    assert_int_equal(give_frame(DOMID_SELF, XENMAPSPACE_grant_table), 0);
    assert_false(has_32bit_shinfo(d));
    core_as(control_domain->vcpu[0]);
    assert_int_equal(give_frame(d->id, XENMAPSPACE_shared_info), 0);
    assert_false(has_32bit_shinfo(d));
    core_as(d->vcpu[0]);
    assert_int_equal(give_frame(DOMID_SELF, XENMAPSPACE_shared_info), 0);
    assert_true(has_32bit_shinfo(d));
    core.code_32 = false;
    assert_int_equal(give_frame(DOMID_SELF, XENMAPSPACE_shared_info), 0);
    assert_false(has_32bit_shinfo(d));
    set_callback(true);
    assert_true(has_32bit_shinfo(d));
    core.code_32 = false;
    assert_int_equal(give_frame(0, XENMAPSPACE_shared_info), -ESRCH);
    assert_true(has_32bit_shinfo(d));
    set_callback(false);
    assert_false(has_32bit_shinfo(d));
}

static void test_wall_clock(void **state)
{
    core.wallclock = 5ull << 32 | 77;
    begin(1);
    set_callback(true);
    assert_int_equal(shared(SECONDS_LOW), 77);
    assert_int_equal(shared(SECONDS_HIGH), 5);
    assert_int_equal(shared(NANOSECONDS), FAKE_NANOSECONDS);
    assert_int_equal(shared(VERSION), 2);
    core.wallclock++;
    time_update_wallclock(d);
    assert_int_equal(shared(SECONDS_LOW), 78);
    assert_int_equal(shared(VERSION), 4);
    set_callback(false);
    assert_int_equal(d->shared_info->wc_sec, 78);
    assert_int_equal(d->shared_info->wc_sec_hi, 5);
    assert_int_equal(d->shared_info->wc_nsec, FAKE_NANOSECONDS);
    assert_int_equal(shared(SECONDS_LOW), 78); /* of no interest any more */
}

static evtchn_port_t bind(unsigned int vcpu)
{
    struct evtchn_bind_ipi *b = guest_new(struct evtchn_bind_ipi);
    long rc;

    b->vcpu = vcpu;
    rc = CALL(event_channel_op, EVTCHNOP_bind_ipi, b, 0);
    return rc ? (evtchn_port_t)rc : b->port;
}

static void test_events(void **state)
{
    struct evtchn_unmask *u = guest_new(struct evtchn_unmask);
    evtchn_port_t port = 0;

    begin(2);
    set_callback(true);
    while (port < 70)
        port = bind(1);
    seen(1);
    evtchn_send_port(d, port);
    assert_true(bit(PENDING, port));
    assert_int_equal(record(1, SELECTOR), 1u << port / 32);
    assert_int_equal(record(1, WIDE_SELECTOR), 0);
    assert_true(d->vcpu[1]->vcpu_info->evtchn_upcall_pending);
    /* Masked: only when it is unmasked. */
    clear_bit(port, d->shared_info->evtchn_pending);
    mask_all(true);
    seen(1);
    evtchn_send_port(d, port);
    assert_true(bit(PENDING, port) && evtchn_port_pending(d->vcpu[1], port));
    assert_int_equal(record(1, SELECTOR) | d->vcpu[1]->vcpu_info->evtchn_upcall_pending, 0);
    u->port = port;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_unmask, u, 0), 0);
    assert_false(bit(MASK, port));
    assert_true(bit(MASK, port - 1) && bit(MASK, port + 1));
    assert_int_equal(record(1, SELECTOR), 1u << port / 32);
    assert_true(d->vcpu[1]->vcpu_info->evtchn_upcall_pending);
}

/* As many ports as have a bit. Those that a kernel of 64 bits had beyond are nothing to one of 32. */
static void test_ports(void **state)
{
    struct evtchn_close *c = guest_new(struct evtchn_close);

    begin(1);
    d->evtchn->max_port = 4095;
    for (evtchn_port_t port = 1; port <= 1500; port++)
        assert_int_equal(bind(0), port);
    set_callback(true);
    mask_all(true);
    seen(0);
    evtchn_send_port(d, 1500);
    assert_false(evtchn_port_pending(d->vcpu[0], 1500));
    assert_int_equal(record(0, SELECTOR) | d->vcpu[0]->vcpu_info->evtchn_upcall_pending, 0);
    c->port = 1500;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_close, c, 0), 0);
    for (unsigned int port = 0; port < PORTS; port++)
        assert_true(bit(MASK, port));
    assert_int_equal((int)bind(0), -ENOSPC);
    c->port = 7;
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_close, c, 0), 0);
    assert_int_equal(bind(0), 7);
    set_callback(false);
    assert_int_equal(bind(0), 1500);
}

/* What one selector says, the other one says after the change; and what none says, none says. */
static void test_announced_anew(void **state)
{
    evtchn_port_t port;

    begin(2);
    port = bind(1);
    seen(1);
    evtchn_send_port(d, port);
    assert_int_equal(record(1, WIDE_SELECTOR), 1);
    d->vcpu[1]->vcpu_info->evtchn_upcall_pending = 0; /* it was about to look */
    core.upcalls = 0;
    set_callback(true);
    assert_int_equal(record(1, SELECTOR), ~0u);
    assert_int_equal(record(1, WIDE_SELECTOR), 0);
    assert_true(d->vcpu[1]->vcpu_info->evtchn_upcall_pending);
    assert_int_equal(core.upcalls, 1);
    assert_int_equal(record(0, SELECTOR) | d->vcpu[0]->vcpu_info->evtchn_upcall_pending, 0);
    set_callback(true); /* nothing changes */
    assert_int_equal(core.upcalls, 1);
    set_callback(false);
    assert_int_equal(record(1, SELECTOR), 0);
    assert_int_equal(record(1, WIDE_SELECTOR) & record(1, WIDE_SELECTOR + 4), ~0u);
    assert_int_equal(core.upcalls, 2);
}

static void latch_meanwhile(struct vcpu *v)
{
    core.upcall_hook = NULL;
    core.code_32 = true;
    WRITE_ONCE(v->domain->hvm.has_32bit_shinfo, true);
}

/* The layout changes between the look at it and the store. */
static void test_change_meets_event(void **state)
{
    evtchn_port_t port;

    begin(1);
    port = bind(0);
    seen(0);
    core.upcall_hook = latch_meanwhile;
    evtchn_send_port(d, port);
    assert_int_equal(record(0, SELECTOR), 1);
    assert_true(d->vcpu[0]->vcpu_info->evtchn_upcall_pending);
}

static long register_info(unsigned int vcpu, uint32_t offset)
{
    struct vcpu_register_vcpu_info *i = guest_new(struct vcpu_register_vcpu_info);

    *i = (struct vcpu_register_vcpu_info){.mfn = 0x10, .offset = offset};
    return CALL(vcpu_op, VCPUOP_register_vcpu_info, vcpu, i);
}

/* Records are aligned as i386 aligns them, and stay where they are when a kernel of 64 bits takes over. */
static void test_record_of_32_bits(void **state)
{
    evtchn_port_t port;

    begin(1);
    assert_int_equal(register_info(0, 68), -EINVAL);
    set_callback(true);
    assert_int_equal(register_info(0, 66), -EINVAL);
    assert_int_equal(register_info(0, PAGE_SIZE - 60), -EINVAL);
    assert_int_equal(register_info(0, 68), 0);
    assert_ptr_equal(d->vcpu[0]->vcpu_info, (char *)mfn_to_virt(p2m_lookup(d, _gfn(0x10)).mfn) + 68);
    assert_int_equal(record(0, SELECTOR), ~0u);
    assert_int_equal(record(0, WIDE_SELECTOR), 0);
    seen(0);
    port = bind(0);
    evtchn_send_port(d, port);
    assert_int_equal(record(0, SELECTOR), 1);
    set_callback(false);
    assert_int_equal(record(0, WIDE_SELECTOR) & record(0, WIDE_SELECTOR + 4), ~0u);
    assert_int_equal(record(0, SELECTOR), 0);
    seen(0);
    clear_bit(port, d->shared_info->evtchn_pending);
    evtchn_send_port(d, port);
    assert_int_equal(record(0, WIDE_SELECTOR), 1);
}

static struct runstate_32 {
    int32_t state;
    uint32_t entered[2], time[4][2];
} * area;

static void check_area(unsigned int vcpu)
{
    struct vcpu_runstate_info r;

    vcpu_get_runstate(d->vcpu[vcpu], &r);
    assert_int_equal(area->state, r.state);
    assert_memory_equal(area->entered, &r.state_entry_time, 8);
    assert_memory_equal(area->time, r.time, 32);
    assert_int_equal((uint32_t)area[1].state, 0xabababab); /* not a byte more */
}

static void test_runstate_area(void **state)
{
    struct vcpu_register_runstate_memory_area *a = guest_new(struct vcpu_register_runstate_memory_area);

    static_assert(sizeof(*area) == 44, "i386");
    begin(2);
    area = guest_alloc(2 * sizeof(*area));
    set_callback(true);
    a->addr.h.p = (struct vcpu_runstate_info *)area;
    for (unsigned int vcpu = 0; vcpu < 2; vcpu++)
        for (unsigned int flag = 0; flag < 2; flag++) {
            d->vm_assist = (unsigned long)flag << VMASST_TYPE_runstate_update_flag;
            core_pass(1000);
            memset(area, 0xab, 2 * sizeof(*area));
            assert_int_equal(CALL(vcpu_op, VCPUOP_register_runstate_memory_area, vcpu, a), 0);
            check_area(vcpu);
        }
    core_pass(1000);
    vcpu_update_runstate_area(d->vcpu[0]);
    check_area(0);
    for (unsigned int nth = 1; nth < 5; nth++) { /* a copy that fails is the guest's loss */
        core.fail_copy = nth;
        vcpu_update_runstate_area(d->vcpu[0]);
    }
    core.fail_copy = 0;
}

int core_width_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_latched),
        CORE_TEST(test_wall_clock),
        CORE_TEST(test_events),
        CORE_TEST(test_ports),
        CORE_TEST(test_announced_anew),
        CORE_TEST(test_change_meets_event),
        CORE_TEST(test_record_of_32_bits),
        CORE_TEST(test_runstate_area),
    };

    return cmocka_run_group_tests_name("core: records of 32-bit kernels", tests, NULL, NULL);
}
