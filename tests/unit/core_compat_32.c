// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls from 32-bit code of a translated domain: structures of i386, spelt out here, and what the same call from 64-bit
 * code makes of them. tests/guests/hvm/pointers.c and grants.c have those of a compiler for i386.
 */
#include "fake/core.h"

#include <hv/grant.h>
#include <hv/guest_window.h>
#include <hv/hvm.h>
#include <hv/p2m.h>
#include <hv/x86.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

typedef uint64_t __attribute__((aligned(4))) u64_32;

struct extents {
    uint32_t extent_start, nr_extents, extent_order, mem_flags;
    uint16_t domid;
};
struct copy_side {
    uint32_t frame;
    uint16_t domid, offset;
};

/* A page within reach of 32-bit pointers. */
static struct low {
    uint32_t guard;
    union {
        struct {
            uint16_t domid, size;
            uint32_t space, idx, gpfn;
        } add;
        struct {
            uint16_t domid;
            uint32_t gpfn;
        } remove;
        struct {
            uint32_t nr, buffer;
        } map;
        struct {
            uint32_t ports, nr;
            u64_32 timeout;
        } poll;
        struct {
            u64_32 timeout;
            uint32_t flags;
        } timer;
        struct {
            int32_t state;
            u64_32 entered, time[4];
        } runstate;
        struct {
            struct copy_side source, dest;
            uint16_t len, flags;
            int16_t status;
        } copy[3];
        struct {
            uint32_t mfn;
            uint16_t domid;
            uint32_t ref;
            int16_t status;
        } transfer[2];
        struct {
            uint32_t nr;
            uint16_t domid;
            int16_t status;
            uint32_t list;
        } status_frames;
        struct extents extents;
        struct {
            uint16_t domid, space, size, extra;
            uint32_t idxs, gpfns, errs;
        } batch;
        struct {
            uint16_t dom;
            uint32_t nr;
            int16_t status;
            uint32_t list;
        } setup;
        struct {
            struct extents in, out;
            uint32_t done;
        } exchange;
        struct {
            uint32_t op, result, args[6];
        } calls[4];
        uint32_t words[64];
    };
    uint32_t end;
    uint32_t list[64];
    uint8_t area[128];
} * low;
static_assert(sizeof(low->runstate) == 44 && sizeof(low->copy[0]) == 24 && sizeof(low->calls[0]) == 32, "i386");
static_assert(sizeof(low->batch) == 20 && sizeof(low->setup) == 16 && sizeof(low->exchange) == 44, "i386");

static struct domain *d;

static int begin(unsigned int pages)
{
    struct xen_memory_reservation *r = guest_new(struct xen_memory_reservation);
    xen_pfn_t *list = guest_alloc(8 * sizeof(*list));

    d = core_translated(3, 2, 100);
    core_as(d->vcpu[0]);
    for (unsigned int i = 0; i < pages; i++)
        list[i] = 0x10 + i;
    *r = (struct xen_memory_reservation){.extent_start.p = list, .nr_extents = pages, .domid = DOMID_SELF};
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, r, 0), pages);
    low = guest_low();
    low->guard = low->end = 0x5a5a5a5a;
    return 0;
}

static unsigned int made_again;

/* EAX; what was left in the upper halves does not matter. */
static int call_32(unsigned int op, uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t rest = 0xdeadull << 32;
    struct cpu_user_regs regs = {.rax = rest | op, .rbx = rest | a, .rcx = rest | b, .rdx = rest | c, .rip = 0x1000};

    for (made_again = 0; made_again < 100; made_again++) {
        hvm_hypercall_32(&regs);
        assert_int_equal(fake_locks_held, 0);
        if (regs.rip != 0x1000)
            break;
        assert_int_equal((uint32_t)regs.rax, op);
    }
    assert_int_equal(regs.rip, 0x1003);
    assert_int_equal(regs.rax >> 32, 0);
    assert_int_equal(low->guard | low->end, 0x5a5a5a5a);
    return (int)regs.rax;
}

static uint32_t at(const void *p)
{
    assert_true((uintptr_t)p < 1ull << 32);
    return (uint32_t)(uintptr_t)p;
}

#define CALL_32(op, cmd, p) call_32(__HYPERVISOR_##op, cmd, at(p), 0)

static mfn_t mfn_at(unsigned long gfn)
{
    return p2m_lookup(d, _gfn(gfn)).mfn;
}

/* What is there, by a pointer to nothing. */
static void test_calls_of_32_bit_code(void **state)
{
    static const struct {
        uint16_t op, cmd;
        int rc;
    } rows[] = {
        {__HYPERVISOR_xen_version, XENVER_version, 4 << 16 | 17},
        {__HYPERVISOR_xen_version, XENVER_get_features, -EFAULT},
        {__HYPERVISOR_xen_version, XENVER_platform_parameters, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_current_reservation, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_add_to_physmap, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_add_to_physmap | 1 << 6, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_memory_map, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_populate_physmap, 0},
        {__HYPERVISOR_memory_op, XENMEM_decrease_reservation | 7 << 6, 7},
        {__HYPERVISOR_memory_op, XENMEM_exchange, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_claim_pages, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_set_memory_map, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_reserved_device_memory_map, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_machphys_mapping, -ENOSYS},
        {__HYPERVISOR_memory_op, XENMEM_machphys_mfn_list, -ENOSYS},
        {__HYPERVISOR_memory_op, XENMEM_machphys_compat_mfn_list, -EOPNOTSUPP},
        {__HYPERVISOR_memory_op, XENMEM_machine_memory_map, -ENOSYS},
        {__HYPERVISOR_memory_op, XENMEM_acquire_resource, -EPERM},
        {__HYPERVISOR_memory_op, XENMEM_get_pod_target, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_set_pod_target, -EFAULT},
        {__HYPERVISOR_memory_op, XENMEM_get_sharing_freed_pages, 0},
        {__HYPERVISOR_memory_op, XENMEM_get_vnumainfo, -EFAULT},
        {__HYPERVISOR_memory_op, 63, -ENOSYS},
        {__HYPERVISOR_sched_op, SCHEDOP_yield, 0},
        {__HYPERVISOR_sched_op, SCHEDOP_poll, -EFAULT},
        {__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, -EFAULT},
        {__HYPERVISOR_event_channel_op, 77, -ENOSYS},
        {__HYPERVISOR_hvm_op, HVMOP_get_param, -EFAULT},
        {__HYPERVISOR_grant_table_op, GNTTABOP_copy, -EFAULT},
        {__HYPERVISOR_grant_table_op, GNTTABOP_transfer, -EFAULT},
        {__HYPERVISOR_grant_table_op, GNTTABOP_get_status_frames, -EFAULT},
        {__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, -EFAULT},
        {__HYPERVISOR_grant_table_op, 63, -ENOSYS},
        {__HYPERVISOR_vcpu_op, VCPUOP_is_up, 1},
        {__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, -EFAULT},
        {__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, -EFAULT},
        {__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_time_memory_area, -EFAULT},
        {__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, -EFAULT},
        {__HYPERVISOR_vcpu_op, VCPUOP_get_physid, -EINVAL},
        {__HYPERVISOR_multicall, 0, 0},
        {__HYPERVISOR_physdev_op, 0, -ENOSYS},
        {__HYPERVISOR_domctl, 0, -ENOSYS},
        {__HYPERVISOR_dm_op, 999, -ESRCH},
        {__HYPERVISOR_dm_op, 3, -EPERM},
        {63, 0, -ENOSYS},
        {64, 0, -ENOSYS},
        {0xffff, 0, -ENOSYS},
    };

    begin(0);
    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(call_32(rows[i].op, rows[i].cmd, 0, rows[i].op == __HYPERVISOR_vcpu_op ? 16 : 1), rows[i].rc);
    assert_int_equal(call_32(__HYPERVISOR_set_timer_op, 5, 7, 0), 0);
    assert_int_equal(d->vcpu[0]->singleshot_timer.expires, 7ll << 32 | 5);
}

/* Nobody reaches the window: neither a call from 64-bit code, nor a pointer and an index of 32 bits. */
static void test_window(void **state)
{
    uint64_t value = 7;

    begin(1);
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, GUEST_WINDOW, 0), -EFAULT);
    assert_int_equal(guest_window_read(&value, (void *)GUEST_WINDOW, 8), -EFAULT);
    assert_int_equal(guest_window_write((void *)GUEST_WINDOW, &value, 8), -EFAULT);
    assert_non_null(guest_window_open(GUEST_WINDOW_SIZE));
    assert_int_equal(guest_window_write((void *)(GUEST_WINDOW + GUEST_WINDOW_SIZE - 8), &value, 8), 0);
    assert_int_equal(guest_window_read(&value, (void *)(GUEST_WINDOW + GUEST_WINDOW_SIZE - 7), 8), -EFAULT);
    assert_int_equal(guest_window_read(&value, (void *)(GUEST_WINDOW + 1), ~0ul), -EFAULT);
    assert_int_equal(guest_window_read(&value, (void *)(GUEST_WINDOW - 8), 8), -EFAULT);
    assert_int_equal(*(uint8_t *)guest_window_open(GUEST_WINDOW_SIZE), 0); /* of the one before nothing is left */
    assert_int_equal(guest_window_read(&value, (void *)(GUEST_WINDOW + GUEST_WINDOW_SIZE - 8), 8), 0);
    assert_int_equal(value, 0);
    assert_non_null(guest_window_open(12));
    assert_int_equal(guest_window_read(&value, (void *)(GUEST_WINDOW + 4), 8), 0);
    assert_int_equal(guest_window_read(&value, (void *)(GUEST_WINDOW + 5), 8), -EFAULT);
    assert_int_equal(guest_window_write((void *)(GUEST_WINDOW + 12), &value, 1), -EFAULT);
    guest_window_close();
    assert_int_equal(guest_window_read(&value, (void *)GUEST_WINDOW, 8), -EFAULT);
}

static void test_physmap(void **state)
{
    mfn_t m, info;

    begin(2);
    m = mfn_at(0x11);
    info = virt_to_mfn(d->shared_info);
    low->add.domid = DOMID_SELF;
    low->add.gpfn = 0x40;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), 0); /* shared_info */
    assert_int_equal(mfn_at(0x40).n, info.n);
    low->add.space = XENMAPSPACE_gmfn_range;
    low->add.size = 2;
    low->add.idx = 0x10;
    low->add.gpfn = 0xfff00; /* two frames from there on move, one call each */
    core.preempt = 1;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), 0);
    core.preempt = 0;
    assert_int_equal(made_again, 1);
    assert_int_equal(mfn_at(0xfff01).n, m.n);
    assert_int_equal(mfn_at(0x11).n, INVALID_MFN.n);
    low->add.gpfn = 0xffffffff;
    low->add.idx = 0xfff00;
    low->add.size = 1;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), 0);
    assert_int_equal(p2m_max_gfn(d), 0xffffffff); /* zero-extended */
    low->add.space = 77;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), -EINVAL);
    low->add.domid = 0;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), -ESRCH);
    low->remove.domid = DOMID_SELF;
    low->remove.gpfn = 0xfff01;
    assert_int_equal(CALL_32(memory_op, XENMEM_remove_from_physmap, &low->remove), 0);
    assert_int_equal(mfn_at(0xfff01).n, INVALID_MFN.n);
}

/* Elements from first on to guest frames 0x50 + first and so on; low->list: indices, frames from 16 on, errors from 32.
 */
static int add_batch(unsigned int space, uint16_t n, unsigned int first)
{
    low->batch.domid = DOMID_SELF;
    low->batch.space = (uint16_t)space;
    low->batch.size = n;
    low->batch.idxs = at(low->list);
    low->batch.gpfns = at(low->list + 16);
    low->batch.errs = at(low->list + 32);
    for (uint32_t i = 0; i < 16; i++) {
        low->list[i] = 0x10 + first + i;
        low->list[16 + i] = 0x50 + first + i;
        low->list[32 + i] = 99;
    }
    return CALL_32(memory_op, XENMEM_add_to_physmap_batch, &low->batch);
}

static void test_batch(void **state)
{
    mfn_t m;

    begin(4);
    m = mfn_at(0x12);
    core.preempt = 1;
    assert_int_equal(add_batch(XENMAPSPACE_gmfn, 5, 0), 0);
    core.preempt = 0;
    assert_int_equal(made_again, 4);
    assert_int_equal(mfn_at(0x52).n, m.n);
    for (unsigned int i = 0; i < 6; i++)
        assert_int_equal((int)low->list[32 + i], i < 4 ? 0 : i == 4 ? -EINVAL : 99);
    assert_int_equal(add_batch(XENMAPSPACE_gmfn, 0, 0), 0);
    assert_int_equal(low->list[32], 99);
    assert_int_equal(add_batch(XENMAPSPACE_gmfn_range, 1, 0), -EOPNOTSUPP);
    assert_int_equal(add_batch(XENMAPSPACE_gmfn_range, 0, 0), -EOPNOTSUPP); /* looked at without elements, too */
    assert_int_equal(add_batch(XENMAPSPACE_gmfn_foreign, 1, 0), 0);
    assert_int_equal((int)low->list[32], -EPERM);
    low->batch.extra = 1;
    assert_int_equal(add_batch(XENMAPSPACE_gmfn, 1, 0), -EINVAL);
    low->batch.extra = 0;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap_batch | 2 << 6, &low->batch), -EILSEQ);
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap_batch | 1 << 6, &low->batch), 0); /* nothing is left */
    low->batch.domid = 0;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap_batch, &low->batch), -ESRCH);
    /* A frame beyond 32 bits cannot be named; shared_info among them latches the layout. */
    core.code_32 = true;
    low->batch.domid = DOMID_SELF;
    low->batch.space = XENMAPSPACE_shared_info;
    low->list[0] = 0;
    low->list[16] = ~0u;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap_batch, &low->batch), 0);
    assert_int_equal(low->list[32], 0);
    assert_int_equal(mfn_at(~0u).n, virt_to_mfn(d->shared_info).n);
    assert_true(has_32bit_shinfo(d));
}

static void test_batch_faults(void **state)
{
    begin(4);
    for (unsigned int which = 0; which < 3; which++) {
        assert_int_equal(add_batch(XENMAPSPACE_gmfn, 0, which), 0);
        low->batch.size = 2;
        *(which == 0 ? &low->batch.idxs : which == 1 ? &low->batch.gpfns : &low->batch.errs) = at(low) + GUEST_LOW - 4;
        *(uint32_t *)((char *)low + GUEST_LOW - 4) = which ? 0x70 : 0x10;
        assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap_batch, &low->batch), -EFAULT);
        if (which < 2)
            assert_int_equal(low->list[32], 0); /* of the second one, after the first was done */
    }
    low->batch.idxs = at(low->list);
    low->batch.gpfns = 0xfffffffc;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap_batch, &low->batch), -EFAULT);
}

/* Refused after a look at what they say, as calls from 64-bit code are. */
static void test_refused_memory_ops(void **state)
{
    begin(1);
    low->exchange.in = low->exchange.out = (struct extents){at(low->list), 1, 0, 0, DOMID_SELF};
    assert_int_equal(CALL_32(memory_op, XENMEM_exchange, &low->exchange), -EOPNOTSUPP);
    low->exchange.done = 2;
    assert_int_equal(CALL_32(memory_op, XENMEM_exchange, &low->exchange), -EINVAL);
    low->exchange.done = 0;
    low->exchange.out.nr_extents = 2;
    assert_int_equal(CALL_32(memory_op, XENMEM_exchange, &low->exchange), -EINVAL);
    low->exchange.out.extent_order = 10;
    assert_int_equal(CALL_32(memory_op, XENMEM_exchange, &low->exchange), -EPERM);
    low->exchange.in.domid = low->exchange.out.domid = 0;
    low->exchange.out.extent_order = 0;
    low->exchange.out.nr_extents = 1;
    assert_int_equal(CALL_32(memory_op, XENMEM_exchange, &low->exchange), -ESRCH);
    low->extents = (struct extents){0, 5, 0, 0, DOMID_SELF};
    assert_int_equal(CALL_32(memory_op, XENMEM_claim_pages, &low->extents), -EPERM);
    low->extents.extent_order = 1;
    assert_int_equal(CALL_32(memory_op, XENMEM_claim_pages, &low->extents), -EINVAL);
    memset(low->words, 0, sizeof(low->words));
    low->words[0] = DOMID_SELF;
    low->words[1] = 1;
    assert_int_equal(CALL_32(memory_op, XENMEM_set_memory_map, low->words), -EPERM);
    low->words[1] = 1025;
    assert_int_equal(CALL_32(memory_op, XENMEM_set_memory_map, low->words), -EINVAL);
    assert_int_equal(CALL_32(memory_op, XENMEM_get_vnumainfo, low->words), -EOPNOTSUPP);
    low->words[0] = 0; /* flags */
    assert_int_equal(CALL_32(memory_op, XENMEM_reserved_device_memory_map, low->words), 0);
    assert_int_equal(low->words[1], 0); /* there are none */
    low->words[0] = ~0u;
    assert_int_equal(CALL_32(memory_op, XENMEM_reserved_device_memory_map, low->words), -EINVAL);
}

static int setup_table(uint32_t nr, uint32_t list)
{
    low->setup.dom = DOMID_SELF;
    low->setup.nr = nr;
    low->setup.status = 99;
    low->setup.list = list;
    return call_32(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, at(&low->setup), 1);
}

static void test_setup_table(void **state)
{
    begin(1);
    memset(low->list, 0xee, sizeof(low->list));
    low->add.domid = DOMID_SELF;
    low->add.space = XENMAPSPACE_grant_table;
    low->add.idx = 1;
    low->add.gpfn = 0xabcde;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), 0);
    assert_int_equal(setup_table(3, at(low->list)), 0);
    assert_int_equal(low->setup.status, GNTST_okay);
    assert_int_equal(low->list[0], ~0u); /* it has no guest frame */
    assert_int_equal(low->list[1], 0xabcde);
    assert_int_equal(low->list[2], ~0u);
    assert_int_equal(low->list[3], 0xeeeeeeee);
    assert_int_equal(low->setup.list, at(low->list));
    assert_int_equal(setup_table(grant_max_frames(d) + 1, at(low->list)), 0);
    assert_int_equal(low->setup.status, GNTST_general_error);
    assert_int_equal(setup_table(~0u, at(low->list)), 0);
    assert_int_equal(low->setup.status, GNTST_general_error);
    assert_int_equal(setup_table(2, at(low) + GUEST_LOW - 4), 0); /* there is room for one */
    assert_int_equal(low->setup.status, GNTST_bad_virt_addr);
    assert_int_equal(setup_table(0, 0), 0);
    assert_int_equal(low->setup.status, GNTST_okay);
    core.preempt = 1;
    assert_int_equal(setup_table(grant_max_frames(d), at(low->list)), 0);
    core.preempt = 0;
    assert_int_equal(low->setup.status, GNTST_okay);
    low->setup.dom = 0;
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, at(&low->setup), 1), 0);
    assert_int_equal(low->setup.status, GNTST_permission_denied);
    low->setup.dom = 999;
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, at(&low->setup), 1), 0);
    assert_int_equal(low->setup.status, GNTST_bad_domain);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, at(&low->setup), 2), -EINVAL);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, at(&low->setup), ~0u), -EINVAL);
}

static void test_memory_map(void **state)
{
    struct xen_foreign_memory_map *f = guest_new(struct xen_foreign_memory_map);
    uint32_t entries[10] = {0, 0, 0x1000, 0, 1, 0x1000, 0, 0x2000, 0, 2}; /* address, size, type */

    begin(0);
    core_as(control_domain->vcpu[0]);
    f->domid = d->id;
    f->map.nr_entries = 2;
    f->map.buffer.p = guest_alloc(sizeof(entries));
    memcpy(f->map.buffer.p, entries, sizeof(entries));
    assert_int_equal(CALL(memory_op, XENMEM_set_memory_map, f, 0), 0);
    core_as(d->vcpu[0]);
    low->map.nr = 7;
    low->map.buffer = at(low->list);
    assert_int_equal(CALL_32(memory_op, XENMEM_memory_map, &low->map), 0);
    assert_int_equal(low->map.nr, 2);
    assert_int_equal(low->map.buffer, at(low->list));
    assert_memory_equal(low->list, entries, sizeof(entries));
    low->map.buffer = 8;
    assert_int_equal(CALL_32(memory_op, XENMEM_memory_map, &low->map), -EFAULT);
    low->words[0] = 77;
    assert_int_equal(CALL_32(xen_version, XENVER_platform_parameters, low->words), 0);
    assert_int_not_equal(low->words[0], 77);
    assert_int_equal(low->words[1], 8);
}

static void test_poll(void **state)
{
    struct evtchn_bind_ipi *b = guest_new(struct evtchn_bind_ipi);

    begin(0);
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_bind_ipi, b, 0), 0);
    low->list[0] = 9999;
    low->poll.ports = at(low->list);
    low->poll.nr = 1;
    low->poll.timeout = 7ull << 40;
    assert_int_equal(CALL_32(sched_op, SCHEDOP_poll, &low->poll), -EINVAL); /* no such port */
    low->poll.nr = 129;
    assert_int_equal(CALL_32(sched_op, SCHEDOP_poll, &low->poll), -EINVAL);
    low->poll.nr = 1;
    low->poll.ports = 0xfffffffc;
    assert_int_equal(CALL_32(sched_op, SCHEDOP_poll, &low->poll), -EFAULT);
    low->poll.ports = at(low->list);
    low->list[0] = b->port;
    assert_int_equal(CALL_32(sched_op, SCHEDOP_poll, &low->poll), 0);
    assert_int_equal(d->vcpu[0]->poll_timer.expires, 7ll << 40);
    assert_int_equal(d->vcpu[0]->poll_evtchn, b->port);
    clear_bit(VPF_poll, &d->vcpu[0]->pause_flags);
}

static void test_vcpu(void **state)
{
    struct vcpu_runstate_info *native = guest_new(struct vcpu_runstate_info);

    begin(0);
    low->timer.timeout = 3ull << 40;
    assert_int_equal(call_32(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, at(&low->timer)), 0);
    assert_int_equal(d->vcpu[0]->singleshot_timer.expires, 3ll << 40);
    low->timer.timeout = 0;
    low->timer.flags = VCPU_SSHOTTMR_future;
    core_pass(MILLISECS(5));
    assert_int_equal(call_32(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, at(&low->timer)), -ETIME);
    memset(low->words, 0xff, sizeof(low->words));
    assert_int_equal(call_32(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, at(&low->runstate)), 0);
    assert_int_equal(CALL(vcpu_op, VCPUOP_get_runstate_info, 0, native), 0);
    assert_int_equal(low->runstate.state, native->state);
    assert_true(low->runstate.entered == native->state_entry_time);
    assert_memory_equal(low->runstate.time, native->time, sizeof(native->time));
    assert_int_equal(low->words[11], ~0u);
    low->words[0] = at(low->area);
    low->words[1] = ~0u; /* the pointer has 32 bits, whatever stands behind it */
    assert_int_equal(call_32(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, at(low->words)), 0);
    assert_int_equal(d->vcpu[0]->time_area_guest, at(low->area));
    d->vcpu[0]->time_area_guest = 0;
    core.code_32 = true;
    low->add.domid = DOMID_SELF;
    low->add.space = XENMAPSPACE_shared_info;
    low->add.idx = 0;
    low->add.gpfn = 0x40;
    assert_int_equal(CALL_32(memory_op, XENMEM_add_to_physmap, &low->add), 0);
    low->words[0] = at(low->area);
    memset(low->area, 0xff, sizeof(low->area));
    assert_int_equal(call_32(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0, at(low->words)), 0);
    assert_int_equal(d->vcpu[0]->runstate_guest, at(low->area));
    assert_memory_equal(low->area + 12, native->time, sizeof(native->time));
    assert_int_equal(*(uint32_t *)(low->area + 44), ~0u);
    assert_int_equal(call_32(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 9, at(&low->runstate)), -ENOENT);
}

static void set_copy(unsigned int i, uint32_t from, uint32_t to)
{
    low->copy[i].source = (struct copy_side){from, DOMID_SELF, 16};
    low->copy[i].dest = (struct copy_side){to, DOMID_SELF, 32};
    low->copy[i].len = 8;
    low->copy[i].flags = 0;
    low->copy[i].status = 99;
}

static void test_grant_copy(void **state)
{
    begin(3);
    ((uint64_t *)mfn_to_virt(mfn_at(0x10)))[2] = 0x1122334455667788;
    set_copy(0, 0x10, 0x11);
    set_copy(1, 0x10, 0x99); /* no memory */
    set_copy(2, 0x11, 0x12);
    low->copy[2].source.offset = 32;
    core.preempt = 1;
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_copy, at(low->copy), 3), 0);
    core.preempt = 0;
    assert_int_equal(made_again, 2);
    assert_int_equal(low->copy[0].status, GNTST_okay);
    assert_true(low->copy[1].status < 0);
    assert_int_equal(low->copy[2].status, GNTST_okay);
    assert_true(((uint64_t *)mfn_to_virt(mfn_at(0x12)))[4] == 0x1122334455667788);
    assert_int_equal(low->copy[0].source.frame, 0x10);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_copy, at(low->copy), 0), 0);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_copy, at(low->copy), ~0u), -EINVAL);
    /* The last element is not all there: those before it are done. */
    low->copy[0].status = 99;
    memmove((char *)low + GUEST_LOW - 36, &low->copy[0], 24);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_copy, at((char *)low + GUEST_LOW - 36), 2), -EFAULT);
    assert_int_equal(*(int16_t *)((char *)low + GUEST_LOW - 36 + 20), GNTST_okay);
}

static void test_other_grant_calls(void **state)
{
    begin(1);
    for (unsigned int i = 0; i < 2; i++) {
        low->transfer[i].mfn = 0x10;
        low->transfer[i].domid = 0;
        low->transfer[i].ref = 8;
        low->transfer[i].status = 99;
    }
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_transfer, at(low->transfer), 2), 0);
    assert_int_equal(low->transfer[0].status, GNTST_bad_page);
    assert_int_equal(low->transfer[1].status, GNTST_bad_page);
    low->status_frames.nr = 1;
    low->status_frames.domid = DOMID_SELF;
    low->status_frames.list = at(low->list);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_get_status_frames, at(&low->status_frames), 1), 0);
    assert_int_equal(low->status_frames.status, GNTST_general_error); /* version 1 has none */
    low->status_frames.nr = 0;
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_get_status_frames, at(&low->status_frames), 1), 0);
    assert_int_equal(low->status_frames.status, GNTST_okay);
    assert_int_equal(call_32(__HYPERVISOR_grant_table_op, GNTTABOP_get_status_frames, at(&low->status_frames), 2),
                     -EINVAL);
}

static int extents(unsigned int cmd, uint32_t n, unsigned int order)
{
    low->extents = (struct extents){at(low->list), n, order, 0, DOMID_SELF};
    return CALL_32(memory_op, cmd, &low->extents);
}

static void test_extents(void **state)
{
    begin(0);
    for (uint32_t i = 0; i < 5; i++)
        low->list[i] = 0x80000 + i;
    low->list[5] = ~0u; /* beyond what the domain may have at the end, and high up */
    core.preempt = 1;
    assert_int_equal(extents(XENMEM_populate_physmap, 5, 0), 5);
    assert_int_equal(made_again, 4);
    assert_int_equal(d->tot_pages, 5);
    assert_int_not_equal(mfn_at(0x80004).n, INVALID_MFN.n);
    assert_int_equal(extents(XENMEM_decrease_reservation, 3, 0), 3);
    core.preempt = 0;
    assert_int_equal(d->tot_pages, 2);
    assert_int_equal(extents(XENMEM_decrease_reservation, 3, 0), 0); /* they have gone */
    assert_int_equal(extents(XENMEM_populate_physmap, 3, 10), 0);
    assert_int_equal(extents(XENMEM_populate_physmap, ~0u, 0), 0);
    assert_int_equal(extents(XENMEM_increase_reservation, 3, 0), 0);
    low->extents = (struct extents){at(low) + GUEST_LOW - 8, 4, 0, 0, DOMID_SELF};
    *(uint32_t *)((char *)low + GUEST_LOW - 8) = 0x90000;
    *(uint32_t *)((char *)low + GUEST_LOW - 4) = 0x90001;
    assert_int_equal(CALL_32(memory_op, XENMEM_populate_physmap, &low->extents), 2); /* then the list is not there */
    assert_int_equal(CALL_32(memory_op, XENMEM_populate_physmap | 9 << 6, &low->extents), 9);
    low->extents.domid = 0;
    assert_int_equal(CALL_32(memory_op, XENMEM_populate_physmap, &low->extents), 0);
}

static void test_lists_of_calls(void **state)
{
    begin(0);
    low->calls[0].op = low->calls[3].op = __HYPERVISOR_xen_version;
    low->calls[1].op = __HYPERVISOR_multicall; /* does not nest */
    low->calls[2].op = __HYPERVISOR_iret;
    low->calls[3].args[0] = XENVER_get_features;
    low->calls[3].args[1] = 4;
    core.preempt = 1;
    assert_int_equal(call_32(__HYPERVISOR_multicall, at(low->calls), 4, 0), 0);
    core.preempt = 0;
    assert_int_equal(made_again, 3);
    assert_int_equal(low->calls[0].result, 4 << 16 | 17);
    assert_int_equal((int)low->calls[1].result, -EINVAL);
    assert_int_equal((int)low->calls[2].result, -ENOSYS);
    assert_int_equal((int)low->calls[3].result, -EFAULT);
    assert_int_equal(call_32(__HYPERVISOR_multicall, at(low) + GUEST_LOW - 16, 1, 0), -EFAULT);
    /* One that is made again keeps its progress. */
    for (uint32_t i = 0; i < 3; i++)
        low->list[i] = 0x80000 + i;
    memcpy(low->area, &(struct extents){at(low->list), 3, 0, 0, DOMID_SELF}, sizeof(struct extents));
    low->calls[0].op = __HYPERVISOR_memory_op;
    low->calls[0].args[0] = XENMEM_populate_physmap;
    low->calls[0].args[1] = at(low->area);
    core.preempt = 1;
    assert_int_equal(call_32(__HYPERVISOR_multicall, at(low->calls), 1, 0), 0);
    core.preempt = 0;
    assert_int_equal(made_again, 2);
    assert_int_equal(low->calls[0].result, 3);
    assert_int_equal(d->tot_pages, 3);
}

/* Each copy from and to the guest fails once: a clear error, and nothing is left open. */
static void test_copies_fail(void **state)
{
    static const struct {
        uint16_t op, cmd, arg;
        int refused; /* after the first copy already */
    } rows[] = {
        {__HYPERVISOR_memory_op, XENMEM_memory_map, 1, -ENOSYS},
        {__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, 1, -ESRCH},
        {__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, 1, -EFAULT},
        {__HYPERVISOR_xen_version, XENVER_platform_parameters, 1, -EFAULT},
        {__HYPERVISOR_grant_table_op, GNTTABOP_copy, 1, -EFAULT},
        {__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 2, -EFAULT},
        {__HYPERVISOR_multicall, 0, 0, -EFAULT},
    };

    begin(2);
    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
        for (unsigned int nth = 1; nth < 3; nth++) {
            uint32_t args[3] = {rows[i].cmd, 0, 1};
            uint64_t value;
            int rc;

            memset(low->words, 0, sizeof(low->words));
            args[rows[i].arg] = at(low->words);
            if (rows[i].op == __HYPERVISOR_multicall)
                args[1] = 1;
            core.fail_copy = nth;
            rc = call_32(rows[i].op, args[0], args[1], args[2]);
            assert_true(rc == -EFAULT || (nth == 2 && rc == rows[i].refused));
            core.fail_copy = 0;
            assert_int_equal(guest_window_read(&value, (void *)GUEST_WINDOW, 8), -EFAULT);
        }
}

int core_compat_32_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_calls_of_32_bit_code),
        CORE_TEST(test_window),
        CORE_TEST(test_physmap),
        CORE_TEST(test_batch),
        CORE_TEST(test_batch_faults),
        CORE_TEST(test_refused_memory_ops),
        CORE_TEST(test_setup_table),
        CORE_TEST(test_memory_map),
        CORE_TEST(test_poll),
        CORE_TEST(test_vcpu),
        CORE_TEST(test_grant_copy),
        CORE_TEST(test_other_grant_calls),
        CORE_TEST(test_extents),
        CORE_TEST(test_lists_of_calls),
        CORE_TEST(test_copies_fail),
    };

    return cmocka_run_group_tests_name("core: calls from 32-bit code", tests, NULL, NULL);
}
