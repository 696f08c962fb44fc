// SPDX-License-Identifier: BSD-2-Clause
/* What is asked of the machine, by sysctl and platform_op: each sub-call's success, each of its errors. */
#include <hv/boot.h>
#include <hv/timer.h>
#include <hv/x86.h>
#include <umbra/umbra_op.h>
#include <xen/platform.h>
#include <xen/sysctl.h>
#include "fake/core.h"

/* ---- sysctl ---- */
static struct xen_sysctl *s;

static long sysctl(unsigned int cmd)
{
    s->cmd = cmd;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return CALL(sysctl, s, 0, 0);
}

static void test_physinfo(void **state)
{
    struct xen_sysctl_physinfo *p;

    s = guest_new(struct xen_sysctl);
    p = &s->u.physinfo;
    memset(p, 0xff, sizeof(*p));
    assert_int_equal(sysctl(XEN_SYSCTL_physinfo), 0);
    assert_int_equal(p->nr_cpus, FAKE_CPUS);
    assert_int_equal(p->max_cpu_id, FAKE_CPUS - 1);
    assert_int_equal(p->nr_nodes, 1);
    assert_int_equal(p->max_node_id, 0);
    assert_int_equal(p->cpu_khz, tsc_khz);
    assert_int_equal(p->capabilities,
                     XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1 | XEN_SYSCTL_PHYSCAP_gnttab_v2);
    assert_int_equal(p->total_pages, RAM_FRAMES);
    assert_int_equal(p->free_pages, heap_free_pages());
    assert_int_equal(p->max_mfn, RAM_END - 1);
    core.fail_copy = 2;
    assert_int_equal(sysctl(XEN_SYSCTL_physinfo), -EFAULT);
}

static void test_getcpuinfo(void **state)
{
    xen_sysctl_cpuinfo_t *info = guest_alloc(64 * sizeof(*info));
    unsigned int busy = control_domain->vcpu[0]->processor, idle = (busy + 1) % FAKE_CPUS;
    uint64_t before;

    s = guest_new(struct xen_sysctl);
    info[FAKE_CPUS].idletime = info[1].idletime = 77;
    s->u.getcpuinfo.max_cpus = 1;
    s->u.getcpuinfo.info.p = info;
    assert_int_equal(sysctl(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(s->u.getcpuinfo.nr_cpus, 1);
    assert_int_equal(info[1].idletime, 77);
    s->u.getcpuinfo.max_cpus = 64;
    assert_int_equal(sysctl(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(s->u.getcpuinfo.nr_cpus, FAKE_CPUS);
    assert_int_equal(info[FAKE_CPUS].idletime, 77);
    before = info[idle].idletime;
    info[FAKE_CPUS].idletime = info[busy].idletime;
    core.now += 500;
    assert_int_equal(sysctl(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(info[idle].idletime, before + 500);
    assert_int_equal(info[busy].idletime, info[FAKE_CPUS].idletime);
    s->u.getcpuinfo.info.p = FAULT;
    assert_int_equal(sysctl(XEN_SYSCTL_getcpuinfo), -EFAULT);
    s->u.getcpuinfo.max_cpus = 0;
    assert_int_equal(sysctl(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(s->u.getcpuinfo.nr_cpus, 0);
}

static void test_availheap(void **state)
{
    s = guest_new(struct xen_sysctl);
    for (int node = -1; node <= 0; node++) {
        s->u.availheap.node = node;
        s->u.availheap.avail_bytes = 0;
        assert_int_equal(sysctl(XEN_SYSCTL_availheap), 0);
        assert_int_equal(s->u.availheap.avail_bytes, heap_free_pages() << PAGE_SHIFT);
    }
    s->u.availheap.node = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_availheap), -EINVAL);
    s->u.availheap.node = -1;
    s->u.availheap.min_bitwidth = 32;
    assert_int_equal(sysctl(XEN_SYSCTL_availheap), -EOPNOTSUPP);
    s->u.availheap.min_bitwidth = 0;
    s->u.availheap.max_bitwidth = 32;
    assert_int_equal(sysctl(XEN_SYSCTL_availheap), -EOPNOTSUPP);
}

static void test_topology(void **state)
{
    xen_sysctl_cputopo_t *topo = guest_alloc(8 * sizeof(*topo));

    s = guest_new(struct xen_sysctl);
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), 0); /* no buffer: how many there are */
    assert_int_equal(s->u.cputopoinfo.num_cpus, FAKE_CPUS);
    s->u.cputopoinfo.cputopo.p = topo;
    s->u.cputopoinfo.num_cpus = 2;
    topo[2].core = topo[FAKE_CPUS].core = 99;
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(s->u.cputopoinfo.num_cpus, 2);
    assert_int_equal(topo[1].core, 1);
    assert_int_equal(topo[2].core, 99);
    s->u.cputopoinfo.num_cpus = ~0u;
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(s->u.cputopoinfo.num_cpus, FAKE_CPUS);
    assert_int_equal(topo[2].core, 2);
    assert_int_equal(topo[2].socket, 0);
    assert_int_equal(topo[FAKE_CPUS].core, 99);
    s->u.cputopoinfo.cputopo.p = FAULT;
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), -EFAULT);
}

static void test_numainfo(void **state)
{
    struct xen_sysctl_numainfo *n;
    xen_sysctl_meminfo_t *mem = guest_alloc(2 * sizeof(*mem));
    uint32_t *distance = guest_alloc(16);

    s = guest_new(struct xen_sysctl);
    n = &s->u.numainfo;
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(n->num_nodes, 1);
    n->num_nodes = 0; /* room for none */
    n->meminfo.p = mem;
    n->distance.p = distance;
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(mem->memsize, 0);
    n->num_nodes = ~0u;
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(n->num_nodes, 1);
    assert_int_equal(mem->memsize, RAM_FRAMES << PAGE_SHIFT);
    assert_int_equal(mem->memfree, heap_free_pages() << PAGE_SHIFT);
    assert_int_equal(mem[1].memsize, 0);
    assert_int_equal(distance[0], 10);
    assert_int_equal(distance[1], 0);
    n->distance.p = FAULT;
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), -EFAULT);
    n->distance.p = NULL;
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    n->meminfo.p = FAULT;
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), -EFAULT);
}

static void test_cpupool(void **state)
{
    static const uint32_t others[] = {XEN_SYSCTL_CPUPOOL_OP_CREATE, XEN_SYSCTL_CPUPOOL_OP_DESTROY,
                                      XEN_SYSCTL_CPUPOOL_OP_ADDCPU, XEN_SYSCTL_CPUPOOL_OP_RMCPU,
                                      XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN};
    struct xen_sysctl_cpupool_op *p;
    uint64_t *map = guest_alloc(16);

    s = guest_new(struct xen_sysctl);
    p = &s->u.cpupool_op;
    p->op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    p->cpumap.bitmap.p = (uint8_t *)map;
    p->cpumap.nr_bits = 64;
    core_guest(1, 0);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(p->sched_id, XEN_SCHEDULER_CREDIT2);
    assert_int_equal(p->n_dom, 2);
    assert_int_equal(*map, (1u << FAKE_CPUS) - 1);
    p->cpupool_id = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -ENOENT);
    p->op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(*map, 0);
    p->cpumap.bitmap.p = FAULT;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -EFAULT);
    p->op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    p->cpupool_id = 0;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -EFAULT);
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        p->op = others[i];
        assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -EOPNOTSUPP);
    }
}

static void test_scheduler_parameters(void **state)
{
    static const struct {
        uint32_t us;
        long result;
        uint32_t after;
    } limits[] = {{0, 0, 0},           {99, -EINVAL, 0},          {100, 0, 100},
                  {500000, 0, 500000}, {500001, -EINVAL, 500000}, {~0u, -EINVAL, 500000},
                  {1000, 0, 1000}};
    struct xen_sysctl_scheduler_op *o;

    s = guest_new(struct xen_sysctl);
    assert_int_equal(sysctl(XEN_SYSCTL_sched_id), 0);
    assert_int_equal(s->u.sched_id.sched_id, XEN_SCHEDULER_CREDIT2);
    o = &s->u.scheduler_op;
    memset(o, 0, sizeof(*o));
    o->sched_id = XEN_SCHEDULER_CREDIT2;
    o->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
    assert_int_equal(o->u.sched_credit2.ratelimit_us, 1000);
    for (unsigned int i = 0; i < ARRAY_SIZE(limits); i++) {
        o->cmd = XEN_SYSCTL_SCHEDOP_putinfo;
        o->u.sched_credit2.ratelimit_us = limits[i].us;
        assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), limits[i].result);
        o->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
        assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
        assert_int_equal(o->u.sched_credit2.ratelimit_us, limits[i].after);
    }
    o->cmd = 2;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -EINVAL);
    o->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    o->sched_id = XEN_SCHEDULER_CREDIT;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -EINVAL);
    o->cpupool_id = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -ESRCH);
}

static void test_debug_keys(void **state)
{
    char *keys = guest_alloc(100);

    s = guest_new(struct xen_sysctl);
    memset(keys, 'q', 100);
    s->u.debug_keys.keys.p = keys;
    s->u.debug_keys.nr_keys = ~0u;
    assert_int_equal(sysctl(XEN_SYSCTL_debug_keys), 0);
    assert_int_equal(core.console_len, 64); /* more are not looked at */
    s->u.debug_keys.keys.p = (char *)guest_memory + GUEST_SIZE - 3;
    assert_int_equal(sysctl(XEN_SYSCTL_debug_keys), -EFAULT);
    assert_int_equal(core.console_len, 67);
    s->u.debug_keys.nr_keys = 0;
    assert_int_equal(sysctl(XEN_SYSCTL_debug_keys), 0);
}

static void test_readconsole(void **state)
{
    struct xen_sysctl_readconsole *r;
    char *buf = guest_alloc(512);

    s = guest_new(struct xen_sysctl);
    r = &s->u.readconsole;
    memcpy(core.console, "abcdef", 6);
    core.console_len = 6;
    *r = (struct xen_sysctl_readconsole){.count = 4, .index = 3, .buffer.p = buf};
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0); /* the index counts only if incremental */
    assert_int_equal(r->count, 4);
    assert_int_equal(r->index, 4);
    assert_string_equal(buf, "abcd");
    r->incremental = 1;
    r->count = 512;
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 2);
    assert_string_equal(buf, "efcd");
    r->count = 512;
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 0);
    *r = (struct xen_sysctl_readconsole){.count = ~0u, .clear = 1, .buffer.p = FAULT};
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), -EFAULT);
    assert_int_equal(core.console_len, 6); /* what was not read stays */
    *r = (struct xen_sysctl_readconsole){.count = 2, .clear = 1, .buffer.p = buf};
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(core.console_len, 4);
    r->count = ~0u;
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 4);
    assert_string_equal(buf, "cdef");
    assert_int_equal(core.console_len, 0);
}

/* ---- platform_op ---- */
static struct xen_platform_op *p;

static long platform_op(unsigned int cmd)
{
    p->cmd = cmd;
    p->interface_version = XENPF_INTERFACE_VERSION;
    return CALL(platform_op, p, 0, 0);
}

static void test_settime(void **state)
{
    p = guest_new(struct xen_platform_op);
    p->u.settime32.secs = 1234;
    assert_int_equal(platform_op(XENPF_settime32), 0);
    assert_int_equal(core.wallclock, 1234);
    p->u.settime64 = (struct xenpf_settime64){.secs = 1ull << 33, .mbz = 1};
    assert_int_equal(platform_op(XENPF_settime64), -EINVAL);
    assert_int_equal(core.wallclock, 1234);
    p->u.settime64.mbz = 0;
    assert_int_equal(platform_op(XENPF_settime64), 0);
    assert_int_equal(core.wallclock, 1ull << 33);
}

static void test_cpu_version(void **state)
{
    p = guest_new(struct xen_platform_op);
    p->u.pcpu_version.xen_cpuid = FAKE_CPUS - 1;
    memset(p->u.pcpu_version.vendor_id, 'x', sizeof(p->u.pcpu_version.vendor_id));
    assert_int_equal(platform_op(XENPF_get_cpu_version), 0);
    assert_int_equal(p->u.pcpu_version.max_present, FAKE_CPUS - 1);
    assert_memory_equal(p->u.pcpu_version.vendor_id, cpu_features.vendor, sizeof(p->u.pcpu_version.vendor_id));
    assert_int_equal(p->u.pcpu_version.family, cpu_features.family);
    p->u.pcpu_version.xen_cpuid = FAKE_CPUS;
    assert_int_equal(platform_op(XENPF_get_cpu_version), -ENODEV);
    p->u.pcpu_version.xen_cpuid = ~0u;
    assert_int_equal(platform_op(XENPF_get_cpu_version), -ENODEV);
    per_cpu(acpi_id, 0) = 7;
    p->u.pcpu_info = (struct xenpf_pcpuinfo){.xen_cpuid = 0};
    assert_int_equal(platform_op(XENPF_get_cpuinfo), 0);
    assert_int_equal(p->u.pcpu_info.flags, XEN_PCPU_FLAGS_ONLINE);
    assert_int_equal(p->u.pcpu_info.acpi_id, 7);
    per_cpu(acpi_id, 0) = 0;
    p->u.pcpu_info.xen_cpuid = FAKE_CPUS;
    assert_int_equal(platform_op(XENPF_get_cpuinfo), 0);
    assert_int_equal(p->u.pcpu_info.flags, XEN_PCPU_FLAGS_INVALID);
}

static void test_firmware_info(void **state)
{
    static const uint32_t nothing[] = {XEN_FW_DISK_INFO, XEN_FW_DISK_MBR_SIGNATURE, XEN_FW_VBEDDC_INFO};

    p = guest_new(struct xen_platform_op);
    for (unsigned int i = 0; i < ARRAY_SIZE(nothing); i++) {
        p->u.firmware_info.type = nothing[i];
        assert_int_equal(platform_op(XENPF_firmware_info), -ESRCH);
    }
    p->u.firmware_info.type = XEN_FW_EFI_INFO;
    assert_int_equal(platform_op(XENPF_firmware_info), -ENOSYS);
    p->u.firmware_info.type = XEN_FW_KBD_SHIFT_FLAGS;
    p->u.firmware_info.u.kbd_shift_flags = 0xff;
    assert_int_equal(platform_op(XENPF_firmware_info), 0);
    assert_int_equal(p->u.firmware_info.u.kbd_shift_flags, 0);
}

static void test_acpi_sleep(void **state)
{
    static const struct {
        unsigned int state, flags;
        long result;
    } refused[] = {{0, 0, -EINVAL}, {6, 0, -EINVAL}, {3, 0, -EOPNOTSUPP}, {5, XENPF_ACPI_SLEEP_EXTENDED, -EOPNOTSUPP}};

    p = guest_new(struct xen_platform_op);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
        p->u.enter_acpi_sleep = (struct xenpf_enter_acpi_sleep){.sleep_state = (uint8_t)refused[i].state,
                                                                .flags = (uint8_t)refused[i].flags};
        assert_int_equal(platform_op(XENPF_enter_acpi_sleep), refused[i].result);
    }
}

static void test_getidletime(void **state)
{
    struct xenpf_getidletime *t;
    uint64_t *map = guest_alloc(16), *idle = guest_alloc(64 * 8);

    p = guest_new(struct xen_platform_op);
    t = &p->u.getidletime;
    *map = ~2ull;
    idle[1] = idle[FAKE_CPUS] = 99;
    for (unsigned int i = 0; i < 2; i++) {
        t->cpumap_bitmap.p = (uint8_t *)map;
        t->idletime.p = idle;
        t->cpumap_nr_cpus = i ? ~0u : 64; /* any number of bits that are not looked at */
        idle[0] = idle[3] = 98;
        assert_int_equal(platform_op(XENPF_getidletime), 0);
        assert_int_equal(t->now, core.now);
        assert_int_equal(idle[1], 99); /* not asked for */
        assert_int_equal(idle[FAKE_CPUS], 99);
        for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu += 3)
            assert_int_equal(idle[cpu], cpu_idle_time(cpu));
    }
    t->idletime.p = FAULT;
    assert_int_equal(platform_op(XENPF_getidletime), -EFAULT);
    *map = 8;
    t->idletime.p = (void *)~0ul; /* an array that ends beyond all addresses */
    assert_int_equal(platform_op(XENPF_getidletime), -EFAULT);
    t->cpumap_bitmap.p = FAULT;
    assert_int_equal(platform_op(XENPF_getidletime), -EFAULT);
    t->cpumap_nr_cpus = 0;
    assert_int_equal(platform_op(XENPF_getidletime), 0);
}

/* ---- umbra_op ---- */

static long umbra_op(struct umbra_op *u, unsigned int cmd)
{
    u->cmd = cmd;
    u->interface_version = UMBRA_OP_INTERFACE_VERSION;
    return CALL(umbra_op, u, 0, 0);
}

static void test_build_info(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);

    core_as(control_domain->vcpu[0]);
    assert_int_equal(umbra_op(u, UMBRA_OP_build_info), 0);
    assert_int_equal(u->u.build_info.flags, UMBRA_BUILD_debug);
}

/* How many were counted, of a call like this one; the longest is among them. */
static uint64_t check_stretch(const struct umbra_op_stretch *found)
{
    uint64_t sum = 0;

    assert_in_range(found->work, 0, STRETCH_BOUND);
    assert_true(found->ticks > 0);
    assert_true(found->times[stretch_size(found->work)] > 0);
    for (unsigned int size = 0; size < STRETCH_SIZES; size++) {
        assert_true(size <= stretch_size(found->work) || found->times[size] == 0);
        sum += found->times[size];
    }
    return found->family == __HYPERVISOR_umbra_op ? sum : 0;
}

/* What a call did is there to be read, and is forgotten with a reset. */
static void test_read_stretches(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);
    struct domain *d = core_guest(1, 0);
    unsigned int seen = 0, rounds = 0;

    core_kill(d);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(umbra_op(u, UMBRA_OP_build_info), 0);
    u->u.stretch = (struct umbra_op_stretch){.flags = UMBRA_STRETCH_reset};
    do {
        assert_int_equal(umbra_op(u, UMBRA_OP_stretch), 0);
        if (u->u.stretch.found)
            seen += check_stretch(&u->u.stretch);
        assert_true(rounds++ < 1000);
    } while (u->u.stretch.found);
    assert_true(seen >= 3);
    u->u.stretch = (struct umbra_op_stretch){.first = ~0u};
    assert_int_equal(umbra_op(u, UMBRA_OP_stretch), 0);
    assert_int_equal(u->u.stretch.found, 0);
    u->u.stretch = (struct umbra_op_stretch){.flags = 2};
    assert_int_equal(umbra_op(u, UMBRA_OP_stretch), -EINVAL);
}

/* Allocations by no hypercall do not count; of those by one, whichever, the one that is due fails, and no other. */
static void test_armed_failure(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);
    struct xen_domctl *op = guest_new(struct xen_domctl);
    struct evtchn_alloc_unbound *a = guest_new(struct evtchn_alloc_unbound);
    long rc;
    struct xen_domctl create = {.cmd = XEN_DOMCTL_createdomain, .interface_version = XEN_DOMCTL_INTERFACE_VERSION};

    create.u.createdomain = core_config(1);
    for (unsigned int n = 1; n <= 5; n++) {
        u->u.alloc_fault.n = n;
        assert_int_equal(umbra_op(u, UMBRA_OP_alloc_fault), 0);
        hv_free(hv_alloc(64));
        *op = create;
        assert_int_equal(CALL(domctl, op, 0, 0), -ENOMEM);
        core_settle();
        assert_int_equal(umbra_op(u, UMBRA_OP_alloc_fault), 0);
        assert_int_equal(u->u.alloc_fault.n, 0);
    }
    u->u.alloc_fault.n = 1000;
    assert_int_equal(umbra_op(u, UMBRA_OP_alloc_fault), 0);
    *op = create;
    assert_int_equal(CALL(domctl, op, 0, 0), 0);
    u->u.alloc_fault.n = 1;
    assert_int_equal(umbra_op(u, UMBRA_OP_alloc_fault), 0);
    do { /* the first ports come with the domain */
        *a = (struct evtchn_alloc_unbound){.dom = (domid_t)op->domain};
        rc = CALL(event_channel_op, EVTCHNOP_alloc_unbound, a, 0);
    } while (!rc);
    assert_int_equal(rc, -ENOMEM);
    u->u.alloc_fault.n = 1000;
    assert_int_equal(umbra_op(u, UMBRA_OP_alloc_fault), 0);
    assert_int_equal(CALL(event_channel_op, EVTCHNOP_alloc_unbound, a, 0), 0);
    u->u.alloc_fault.n = 0;
    assert_int_equal(umbra_op(u, UMBRA_OP_alloc_fault), 0);
    assert_in_range(u->u.alloc_fault.n, 1, 999);
}

/* The guest runs before and after; who is the control domain, dying or nobody gets an error. */
static void test_audit(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);
    struct domain *d = core_guest(2, 200);

    core_as(control_domain->vcpu[0]);
    for (unsigned int every = 0; every < 2; every++) {
        core.preempt = every;
        memset(u, 0, sizeof(*u));
        u->domain = d->id;
        assert_int_equal(umbra_op(u, UMBRA_OP_audit), 0);
        assert_int_equal(core.restarts > 3, every);
        assert_int_equal(u->u.audit.broken, 0);
        assert_true(u->u.audit.frames >= d->tot_pages);
        assert_int_equal(d->pause_count, 0);
    }
    core.preempt = 0;
    u->domain = control_domain->id;
    assert_int_equal(umbra_op(u, UMBRA_OP_audit), -EOPNOTSUPP);
    u->domain = d->id + 1;
    assert_int_equal(umbra_op(u, UMBRA_OP_audit), -ESRCH);
}

static struct page_info *first_frame(struct domain *d)
{
    return list_first(&d->page_list, struct page_info, list);
}

static void test_audit_findings(void **state)
{
    struct umbra_audit_finding *f = guest_alloc(2 * sizeof(*f));
    struct umbra_op *u = guest_new(struct umbra_op);
    struct domain *d = core_guest(1, 4);
    struct page_info *pg = first_frame(d);

    core_as(control_domain->vcpu[0]);
    pg->type_info |= PGT_pinned;
    u->domain = d->id;
    for (unsigned int room = 0; room < 3; room++) {
        u->u.audit = (struct umbra_op_audit){.room = room, .findings = (unsigned long)f};
        assert_int_equal(umbra_op(u, UMBRA_OP_audit), 0);
        assert_true(u->u.audit.broken > 0);
        assert_int_equal(u->u.audit.nr, MIN(room, u->u.audit.broken));
    }
    assert_string_equal(f->rule, "P7");
    assert_int_equal(f->frame, page_to_mfn(pg).n);
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++) {
        u->u.audit = (struct umbra_op_audit){.room = 1, .findings = (unsigned long)core_bad_pointer(i, sizeof(*f))};
        assert_int_equal(umbra_op(u, UMBRA_OP_audit), -EFAULT);
    }
    assert_int_equal(d->pause_count, 0);
    pg->type_info &= ~PGT_pinned;
}

/* No memory for the counters: the domain runs on, and nothing is kept. */
static void test_audit_without_memory(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);
    struct domain *d = core_guest(1, 4);
    unsigned int n = 0;
    long rc;

    core_as(control_domain->vcpu[0]);
    u->domain = d->id;
    do {
        core.fail_alloc = ++n;
        rc = umbra_op(u, UMBRA_OP_audit);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(d->pause_count, 0);
        assert_null(d->pv.audit);
    } while (rc);
    core.fail_alloc = 0;
    assert_true(n > 2);
}

static void test_previous_log(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);
    char *buf = guest_alloc(2 * UMBRA_PREVIOUS_LOG_slice), log[5000];

    core_as(control_domain->vcpu[0]);
    assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), -ENOENT);
    for (unsigned int i = 0; i < sizeof(log); i++)
        log[i] = (char)(i % 251);
    core.previous = log;
    core.previous_len = sizeof(log);
    u->u.previous_log = (struct umbra_op_previous_log){.count = ~0u, .buffer = (unsigned long)buf};
    assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), 0);
    assert_int_equal(u->u.previous_log.count, UMBRA_PREVIOUS_LOG_slice); /* more is not copied at once */
    assert_memory_equal(buf, log, UMBRA_PREVIOUS_LOG_slice);
    u->u.previous_log.offset = UMBRA_PREVIOUS_LOG_slice;
    u->u.previous_log.count = 2;
    assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), 0);
    assert_int_equal(u->u.previous_log.count, 2);
    assert_memory_equal(buf, log + UMBRA_PREVIOUS_LOG_slice, 2);
    assert_int_equal(buf[2], log[2]);
    for (u->u.previous_log.offset = 4990; u->u.previous_log.offset <= 5000; u->u.previous_log.offset += 10) {
        u->u.previous_log.count = 100;
        assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), 0);
        assert_int_equal(u->u.previous_log.count, 5000 - u->u.previous_log.offset);
    }
}

static void test_previous_log_errors(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);

    core_as(control_domain->vcpu[0]);
    core.previous = "log";
    core.previous_len = 3;
    for (uint32_t offset = 4; offset; offset = offset == 4 ? ~0u : 0) {
        u->u.previous_log = (struct umbra_op_previous_log){.offset = offset, .count = 1};
        assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), -EINVAL);
    }
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++) {
        u->u.previous_log = (struct umbra_op_previous_log){.count = 3, .buffer = (unsigned long)core_bad_pointer(i, 3)};
        assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), -EFAULT);
    }
    core_as(core_guest(1, 0)->vcpu[0]);
    assert_int_equal(umbra_op(u, UMBRA_OP_previous_log), -EPERM);
}

static void test_umbra_op_envelope(void **state)
{
    struct umbra_op *u = guest_new(struct umbra_op);
    struct domain *d = core_guest(1, 0);

    core_as(control_domain->vcpu[0]);
    assert_int_equal(umbra_op(u, 0), -ENOSYS);
    assert_int_equal(umbra_op(u, ~0u), -ENOSYS);
    u->interface_version++;
    assert_int_equal(CALL(umbra_op, u, 0, 0), -EACCES);
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++)
        assert_int_equal(CALL(umbra_op, core_bad_pointer(i, sizeof(*u)), 0, 0), -EFAULT);
    core_as(d->vcpu[0]);
    assert_int_equal(umbra_op(u, UMBRA_OP_build_info), -EPERM);
}

int core_host_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_physinfo),
        CORE_TEST(test_getcpuinfo),
        CORE_TEST(test_availheap),
        CORE_TEST(test_topology),
        CORE_TEST(test_numainfo),
        CORE_TEST(test_cpupool),
        CORE_TEST(test_scheduler_parameters),
        CORE_TEST(test_debug_keys),
        CORE_TEST(test_readconsole),
        CORE_TEST(test_settime),
        CORE_TEST(test_cpu_version),
        CORE_TEST(test_firmware_info),
        CORE_TEST(test_acpi_sleep),
        CORE_TEST(test_getidletime),
        CORE_TEST(test_build_info),
        CORE_TEST(test_read_stretches),
        CORE_TEST(test_armed_failure),
        CORE_TEST(test_audit),
        CORE_TEST(test_audit_findings),
        CORE_TEST(test_audit_without_memory),
        CORE_TEST(test_previous_log),
        CORE_TEST(test_previous_log_errors),
        CORE_TEST(test_umbra_op_envelope),
    };

    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
