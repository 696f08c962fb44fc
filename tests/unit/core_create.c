// SPDX-License-Identifier: BSD-2-Clause
/*
 * A domain is made by the calls that the tools make for one, in their order (tools/libctl/build.c), and every
 * allocation of every one of them fails once: that call says so, and nothing is left when the domain is destroyed.
 */
#include <hv/boot.h>
#include <xen/hvm/save.h>
#include "fake/core.h"

#define ID     6
#define VCPUS  3u
#define FRAMES 20u
#define PORTS  70u /* the first ones come with the domain */

static struct xen_domctl *op;
static struct {
    bool translated;
    struct xen_foreign_memory_map *map;
    struct evtchn_alloc_unbound *port;
    struct xen_memory_reservation *frames;
    struct xen_mem_acquire_resource *grants;
    struct vcpu_guest_context *pv;
    struct hvm_save_descriptor *hvm;
    xen_pfn_t *list;
} arg;

static long domctl(unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = ID;
    return CALL(domctl, op, 0, 0);
}

/* Guest memory is taken once: there is not enough of it for each round. */
static void take_arguments(bool translated)
{
    op = guest_new(struct xen_domctl);
    arg.translated = translated;
    arg.map = guest_new(struct xen_foreign_memory_map);
    arg.port = guest_new(struct evtchn_alloc_unbound);
    arg.frames = guest_new(struct xen_memory_reservation);
    arg.grants = guest_new(struct xen_mem_acquire_resource);
    arg.pv = guest_new(struct vcpu_guest_context);
    arg.hvm = guest_new(struct hvm_save_descriptor);
    arg.list = guest_alloc(FRAMES * sizeof(*arg.list));
}

/* There is no hardware virtualisation here: a translated one is not made by a call. */
static long make(void)
{
    struct xen_domctl_createdomain config = core_config(VCPUS);
    struct domain *d;

    op->u.createdomain = config;
    if (!arg.translated)
        return domctl(XEN_DOMCTL_createdomain);
    config.flags = XEN_DOMCTL_CDF_hvm;
    return domain_create(ID, &config, false, &d);
}

static long add_vcpus(void)
{
    op->u.max_vcpus.max = VCPUS;
    return domctl(XEN_DOMCTL_max_vcpus);
}

static long limit_memory(void)
{
    op->u.max_mem.max_memkb = 4 * FRAMES;
    return domctl(XEN_DOMCTL_max_mem);
}

static long set_memory_map(void)
{
    *arg.map = (struct xen_foreign_memory_map){.domid = ID, .map.nr_entries = 1};
    arg.map->map.buffer.p = arg.list; /* whatever is there */
    return CALL(memory_op, XENMEM_set_memory_map, arg.map, 0);
}

static long make_ports(void)
{
    long rc = 0;

    for (unsigned int i = 0; !rc && i < PORTS; i++) {
        *arg.port = (struct evtchn_alloc_unbound){.dom = ID, .remote_dom = 0};
        rc = CALL(event_channel_op, EVTCHNOP_alloc_unbound, arg.port, 0);
    }
    return rc;
}

static long fill_pool(void)
{
    op->u.paging_mempool.size = 300 * PAGE_SIZE;
    return arg.translated ? domctl(XEN_DOMCTL_set_paging_mempool_size) : 0;
}

/* It does as much as it can, and says how much that was. */
static long populate(void)
{
    for (unsigned int i = 0; i < FRAMES; i++)
        arg.list[i] = 0x100 + i;
    *arg.frames = (struct xen_memory_reservation){.nr_extents = FRAMES, .domid = ID};
    arg.frames->extent_start.p = arg.list;
    return CALL(memory_op, XENMEM_populate_physmap, arg.frames, 0) == FRAMES ? 0 : -ENOMEM;
}

static long map_grants(void)
{
    *arg.grants = (struct xen_mem_acquire_resource){.domid = ID, .type = XENMEM_resource_grant_table, .nr_frames = 2};
    arg.grants->frame_list.p = arg.list;
    return CALL(memory_op, XENMEM_acquire_resource, arg.grants, 0);
}

static long set_context(void)
{
    if (!arg.translated) {
        op->u.vcpucontext.vcpu = 0;
        op->u.vcpucontext.ctxt.p = arg.pv;
        return domctl(XEN_DOMCTL_setvcpucontext);
    }
    *arg.hvm = (struct hvm_save_descriptor){.typecode = HVM_SAVE_CODE(HEADER)};
    op->u.hvmcontext.size = sizeof(*arg.hvm);
    op->u.hvmcontext.buffer.p = (uint8_t *)arg.hvm;
    return domctl(XEN_DOMCTL_sethvmcontext);
}

static long (*const steps[])(void) = {make,      add_vcpus, limit_memory, set_memory_map, make_ports,
                                      fill_pool, populate,  map_grants,   set_context};

/* The n-th allocation fails: in which step that was; their number: in none. */
static unsigned int fails_in(unsigned int n)
{
    unsigned int step = 0;
    long rc = 0;

    core.fail_alloc = n;
    while (step < ARRAY_SIZE(steps) && (rc = steps[step]()) == 0)
        step++;
    assert_int_equal(rc, step < ARRAY_SIZE(steps) ? -ENOMEM : 0);
    assert_int_equal(core.fail_alloc == 0, rc != 0);
    core.fail_alloc = 0;
    rc = domctl(XEN_DOMCTL_destroydomain);
    assert_true(rc == 0 || (step == 0 && rc == -ESRCH));
    core_settle();
    core_pass(MILLISECS(10));
    assert_null(domain_get(ID));
    return step;
}

/* Each step that allocates has failed; which do not is known. */
static void each_fails(bool translated, unsigned int without)
{
    uint64_t before = heap_free_pages();
    unsigned int step, seen = 0, n = 1;

    take_arguments(translated);
    do {
        step = fails_in(n++);
        seen |= 1u << step;
        assert_int_equal(heap_free_pages(), before);
    } while (step < ARRAY_SIZE(steps));
    assert_int_equal(seen, ((2u << ARRAY_SIZE(steps)) - 1) & ~without);
    print_message("           %u allocations\n", n - 2);
}

/* The limit of memory is a number; a PV guest has no pool. */
#define LIMIT (1u << 2)
#define POOL  (1u << 5)

static void test_allocations_of_pv(void **state)
{
    each_fails(false, LIMIT | POOL);
}

static void test_allocations_of_translated(void **state)
{
    each_fails(true, LIMIT);
}

int core_create_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_allocations_of_pv),
        CORE_TEST(test_allocations_of_translated),
    };

    return cmocka_run_group_tests_name("creation", tests, NULL, NULL);
}
