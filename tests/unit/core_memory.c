// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory_op: each sub-call's success, each error, hostile arguments. Whatever is asked, the domain's account matches
 * its list and nothing is lost (core_end).
 */
#include <hv/boot.h>
#include <xen/memory.h>
#include <xen/sysctl.h>
#include "fake/core.h"

static struct domain *d;
static xen_pfn_t *list;
static struct xen_memory_reservation *res;

static void guest_with_list(unsigned int pages, unsigned int max)
{
    d = core_guest(1, pages);
    d->max_pages = max;
    list = guest_alloc(1024 * sizeof(*list));
    res = guest_new(struct xen_memory_reservation);
    *res = (struct xen_memory_reservation){.extent_start.p = list, .domid = DOMID_SELF};
    core_as(d->vcpu[0]);
}

static void test_populate_and_decrease(void **state)
{
    guest_with_list(2, 100);
    res->nr_extents = 6;
    res->extent_order = 2;
    for (unsigned int i = 0; i < 6; i++)
        list[i] = 1000 + 4 * i;
    core.preempt = 1;
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, res, 0), 6);
    assert_int_equal(core.restarts, 5);
    assert_int_equal(d->tot_pages, 26);
    for (unsigned int i = 0; i < 6; i++)
        for (unsigned int j = 0; j < 4; j++) {
            assert_int_equal(get_gpfn_from_mfn(_mfn(list[i] + j)), 1000 + 4 * i + j);
            assert_ptr_equal(mfn_to_page(_mfn(list[i] + j))->owner, d);
        }
    assert_int_equal(CALL(memory_op, XENMEM_decrease_reservation, res, 0), 6);
    assert_int_equal(d->tot_pages, 2);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[0])), INVALID_M2P_ENTRY);
    assert_int_equal(CALL(memory_op, XENMEM_decrease_reservation, res, 0), 0); /* not its frames any more */
}

static void test_increase(void **state)
{
    guest_with_list(0, 5);
    res->nr_extents = 10;
    assert_int_equal(CALL(memory_op, XENMEM_increase_reservation, res, 0), 5); /* as far as the limit goes */
    assert_int_equal(d->tot_pages, 5);
    d->max_pages = 7;
    res->extent_start.p = NULL; /* the numbers are not wanted */
    res->nr_extents = 2;
    assert_int_equal(CALL(memory_op, XENMEM_increase_reservation, res, 0), 2);
    d->max_pages = 8;
    res->nr_extents = 1;
    res->mem_flags = XENMEMF_address_bits(20);
    assert_int_equal(CALL(memory_op, XENMEM_increase_reservation, res, 0), 0);
    res->mem_flags = XENMEMF_address_bits(12);
    assert_int_equal(CALL(memory_op, XENMEM_increase_reservation, res, 0), 0);
    res->mem_flags = XENMEMF_address_bits(22);
    res->extent_start.p = list;
    assert_int_equal(CALL(memory_op, XENMEM_increase_reservation, res, 0), 1);
    assert_true(list[0] < 0x400);
}

static void test_hostile_reservations(void **state)
{
    static const unsigned int cmds[] = {XENMEM_increase_reservation, XENMEM_decrease_reservation,
                                        XENMEM_populate_physmap};

    guest_with_list(1, 50);
    for (unsigned int i = 0; i < 3; i++) {
        unsigned int cmd = cmds[i];

        *res = (struct xen_memory_reservation){.extent_start.p = list, .nr_extents = 1, .domid = DOMID_SELF};
        res->extent_order = 10;
        assert_int_equal(CALL(memory_op, cmd, res, 0), 0);
        res->extent_order = ~0u;
        assert_int_equal(CALL(memory_op, cmd, res, 0), 0);
        res->extent_order = 0;
        res->nr_extents = ~0ul;
        assert_int_equal(CALL(memory_op, cmd, res, 0), 0);
        res->nr_extents = 1;
        res->domid = 0; /* not the caller's to change */
        assert_int_equal(CALL(memory_op, cmd, res, 0), 0);
        res->domid = 1234;
        assert_int_equal(CALL(memory_op, cmd, res, 0), 0);
        res->domid = DOMID_SELF;
        assert_int_equal(CALL(memory_op, cmd | 5 << 6, res, 0), 5); /* starts behind the end */
        assert_int_equal(CALL(memory_op, cmd | 1 << 6, res, 0), 1);
        for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++) {
            assert_int_equal(CALL(memory_op, cmd, core_bad_pointer(kind, sizeof(*res)), 0), 0);
            res->extent_start.p = core_bad_pointer(kind, 8);
            res->nr_extents = 3;
            if (cmd != XENMEM_increase_reservation)
                assert_int_equal(CALL(memory_op, cmd, res, 0), 0);
            else
                assert_true(CALL(memory_op, cmd, res, 0) <= 3);
        }
    }
    list[0] = ~0ul;
    list[1] = RAM_HOLE;
    *res = (struct xen_memory_reservation){
        .extent_start.p = list, .nr_extents = 2, .extent_order = 9, .domid = DOMID_SELF};
    assert_int_equal(CALL(memory_op, XENMEM_decrease_reservation, res, 0), 0);
    assert_true(d->tot_pages <= 50);
}

static struct xen_memory_exchange *exchange(unsigned int in, unsigned int in_order, unsigned int out_order)
{
    struct xen_memory_exchange *x = guest_new(struct xen_memory_exchange);
    struct page_info *pg;
    unsigned int n = 0;

    *x = (struct xen_memory_exchange){
        .in = {.nr_extents = in >> in_order, .extent_order = in_order, .domid = DOMID_SELF},
        .out = {.nr_extents = in >> out_order, .extent_order = out_order, .domid = DOMID_SELF}};
    x->in.extent_start.p = list;
    x->out.extent_start.p = list + 512;
    list_for_each (pg, &d->page_list, list)
        list[n++] = page_to_mfn(pg).n;
    for (unsigned int i = 0; i < 512; i++)
        list[512 + i] = 100 + i;
    return x;
}

static void test_exchange(void **state)
{
    struct xen_memory_exchange *x;

    guest_with_list(16, 16);
    x = exchange(16, 0, 2);
    x->out.mem_flags = XENMEMF_address_bits(22);
    core.preempt = 1;
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), 0);
    assert_int_equal(core.restarts, 3);
    assert_int_equal(x->nr_exchanged, 16);
    assert_int_equal(d->tot_pages, 16);
    for (unsigned int i = 0; i < 4; i++) {
        assert_true(list[512 + i] < 0x400 && list[512 + i] % 4 == 0);
        assert_int_equal(get_gpfn_from_mfn(_mfn(list[512 + i] + 3)), 100 + i + 3);
    }
    x = exchange(16, 0, 0);
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), 0);
    assert_int_equal(d->tot_pages, 16);
}

static void unchanged(struct xen_memory_exchange *x, long error)
{
    struct page_info *pg;
    unsigned int n = 0;
    uint64_t free = heap_free_pages();

    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), error);
    assert_int_equal(heap_free_pages(), free);
    list_for_each (pg, &d->page_list, list) {
        assert_int_equal(pg->count_info & ~PGC_count_mask, PGC_allocated);
        n++;
    }
    assert_int_equal(n, d->tot_pages);
}

static void test_exchange_errors(void **state)
{
    struct xen_memory_exchange *x;
    struct page_info *pg;

    guest_with_list(16, 16);
    pg = list_first(&d->page_list, struct page_info, list);
#define REFUSED(error, change)  \
    do {                        \
        x = exchange(16, 0, 2); \
        change;                 \
        unchanged(x, error);    \
    } while (0)
    REFUSED(-EPERM, x->in.extent_order = 10);
    REFUSED(-EPERM, x->out.extent_order = ~0u);
    REFUSED(-EINVAL, x->in.nr_extents = ~0ul);
    REFUSED(-EINVAL, x->in.nr_extents = 1ul << 62);
    REFUSED(-EINVAL, x->out.nr_extents = 3);
    REFUSED(-EINVAL, (x->in.nr_extents = 6, x->out.nr_extents = 1));
    REFUSED(-EINVAL, x->nr_exchanged = 17);
    REFUSED(-EINVAL, x->out.domid = 0);
    REFUSED(-ESRCH, x->in.domid = x->out.domid = 0);
    REFUSED(-EINVAL, list[2] = RAM_HOLE);
    REFUSED(-EINVAL, list[3] = list[2]);
    REFUSED(-EFAULT, x->in.extent_start.p = FAULT);
    REFUSED(-EFAULT, x->out.extent_start.p = FAULT);
    REFUSED(-ENOMEM, x->out.mem_flags = XENMEMF_address_bits(20));
    for (unsigned int n = 1; n <= 2; n++)
        REFUSED(-ENOMEM, core.fail_alloc = n);
    for (unsigned int n = 2; n <= 8; n++) /* the argument, four frames, a place and a number */
        REFUSED(-EFAULT, core.fail_copy = n - 1);
    assert_int_equal(get_page_and_type(pg, d, PT_WRITABLE), 0);
    REFUSED(-EBUSY, (void)x);
    put_page_and_type(pg);
#undef REFUSED
    assert_int_equal(CALL(memory_op, XENMEM_exchange, FAULT, 0), -EFAULT);
}

/* ---- the machine-to-phys table ---- */
static long machphys(uint64_t mfn, uint64_t pfn)
{
    struct mmu_update *u = guest_new(struct mmu_update);

    *u = (struct mmu_update){.ptr = mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, .val = pfn};
    return core_call4(__HYPERVISOR_mmu_update, (unsigned long)u, 1, 0, DOMID_SELF);
}

/* What a guest writes there about its own frames is its business; about others' it writes nothing. */
static void test_m2p(void **state)
{
    unsigned long foreign;

    guest_with_list(0, 8);
    res->nr_extents = 2;
    res->extent_order = 1;
    list[0] = ~0ul;
    list[1] = INVALID_M2P_ENTRY - 1;
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, res, 0), 2);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[0])), ~0ul);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[0] + 1)), 0);
    assert_int_equal(machphys(list[0], 1ul << 63), 0);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[0])), 1ul << 63);

    foreign = virt_to_mfn(control_domain->shared_info).n;
    assert_int_equal(get_gpfn_from_mfn(_mfn(foreign)), INVALID_M2P_ENTRY);
    assert_int_equal(machphys(foreign, 5), -EINVAL);
    assert_int_equal(get_gpfn_from_mfn(_mfn(foreign)), INVALID_M2P_ENTRY);
    assert_int_equal(get_gpfn_from_mfn(virt_to_mfn(d->shared_info)), INVALID_M2P_ENTRY);
    assert_int_equal(machphys(RAM_HOLE, 5), -EINVAL);
    assert_int_equal(machphys(RAM_END, 5), -EINVAL);
    assert_int_equal(machphys((1ul << 52) - 1, 5), -EINVAL);

    res->nr_extents = 1;
    assert_int_equal(CALL(memory_op, XENMEM_decrease_reservation, res, 0), 1);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[0])), INVALID_M2P_ENTRY);
    assert_int_equal(machphys(list[0], 5), -EINVAL); /* it was his */
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[0])), INVALID_M2P_ENTRY);
    core_as(control_domain->vcpu[0]);
    core_kill(d);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[1])), INVALID_M2P_ENTRY);
    assert_int_equal(get_gpfn_from_mfn(_mfn(list[1] + 1)), INVALID_M2P_ENTRY);
}

/* ---- claims ---- */
static uint64_t claimed(void)
{
    struct xen_sysctl *s = guest_new(struct xen_sysctl);
    uint64_t sum;

    core_as(control_domain->vcpu[0]);
    s->cmd = XEN_SYSCTL_physinfo;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    assert_int_equal(CALL(sysctl, s, 0, 0), 0);
    sum = s->u.physinfo.outstanding_pages;
    assert_int_equal(sum, heap_claimed_pages());
    return sum;
}

static long claim(domid_t id, unsigned long pages)
{
    core_as(control_domain->vcpu[0]);
    *res = (struct xen_memory_reservation){.nr_extents = pages, .domid = id};
    return CALL(memory_op, XENMEM_claim_pages, res, 0);
}

static long populate(domid_t id, unsigned long extents, unsigned int order)
{
    *res = (struct xen_memory_reservation){
        .extent_start.p = list, .nr_extents = extents, .extent_order = order, .domid = id};
    return CALL(memory_op, XENMEM_increase_reservation, res, 0);
}

/* A claim is for a total; it shrinks as the domain grows, grows as it shrinks, and is over when it is used up. */
static void test_claim(void **state)
{
    uint64_t free;

    guest_with_list(3, 100);
    free = heap_free_pages();
    assert_int_equal(claim(d->id, 20), 0);
    assert_int_equal(claimed(), 17);
    assert_int_equal(heap_free_pages(), free);
    assert_int_equal(claim(d->id, 30), -EINVAL); /* one at a time */
    assert_int_equal(populate(d->id, 10, 0), 10);
    assert_int_equal(claimed(), 7);
    *res = (struct xen_memory_reservation){.extent_start.p = list, .nr_extents = 2, .domid = d->id};
    assert_int_equal(CALL(memory_op, XENMEM_decrease_reservation, res, 0), 2);
    assert_int_equal(claimed(), 9);
    assert_int_equal(populate(d->id, 2, 3), 2); /* beyond the claim, which is over */
    assert_int_equal(d->tot_pages, 27);
    assert_int_equal(claimed(), 0);
    assert_int_equal(populate(d->id, 1, 0), 1);
    assert_int_equal(claim(d->id, 50), 0);
    assert_int_equal(claim(d->id, 0), 0);
    assert_int_equal(claimed(), 0);
    assert_int_equal(claim(d->id, 50), 0);
    core_kill(d);
    assert_int_equal(claimed(), 0);
}

/* What is claimed is neither another domain's nor the hypervisor's to take. */
static void test_claimed_memory_is_kept(void **state)
{
    struct domain *other;
    struct page_info *pg;
    uint64_t free;

    guest_with_list(0, RAM_FRAMES);
    other = core_guest(1, 0);
    other->max_pages = RAM_FRAMES;
    free = heap_free_pages();
    assert_int_equal(claim(d->id, free), 0);
    assert_int_equal(claimed(), free);
    assert_int_equal(populate(other->id, 1, 0), 0);
    assert_int_equal(claim(other->id, 1), -ENOMEM);
    assert_null(alloc_hv_pages(0, 0));
    assert_int_equal(populate(d->id, 5, 0), 5);
    assert_int_equal(populate(other->id, 1, 0), 0);
    assert_int_equal(claim(d->id, 0), 0);
    assert_int_equal(claim(d->id, free - 3), 0); /* all but three */
    assert_int_equal(populate(other->id, 5, 0), 3);
    pg = alloc_hv_pages(0, 0);
    assert_null(pg);
    assert_int_equal(claimed(), heap_free_pages());
    d->max_pages = d->tot_pages + 1;
    assert_int_equal(populate(d->id, 2, 0), 1); /* a refused frame leaves the claim as it was */
    assert_int_equal(claimed(), heap_free_pages());
}

static long claim_as_control(unsigned long frames)
{
    core_as(control_domain->vcpu[0]);
    return claim(d->id, frames);
}

static void test_claim_and_exchange(void **state)
{
    struct xen_memory_exchange *x;

    guest_with_list(16, 64);
    assert_int_equal(claim(d->id, 48), 0);
    core_as(d->vcpu[0]);
    x = exchange(16, 0, 2);
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), 0);
    assert_int_equal(d->tot_pages, 16);
    assert_int_equal(claimed(), 32);
    /* One smaller than what is exchanged at a time. */
    assert_int_equal(claim_as_control(0), 0);
    assert_int_equal(claim_as_control(18), 0);
    core_as(d->vcpu[0]);
    x = exchange(16, 0, 2);
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), 0);
    assert_int_equal(d->tot_pages, 16);
    assert_int_equal(claimed(), 2);
}

static void test_claim_errors(void **state)
{
    guest_with_list(4, 40);
    assert_int_equal(claim(d->id, 4), -EINVAL); /* as large already */
    assert_int_equal(claim(d->id, 41), -EINVAL);
    d->max_pages = ~0ul;
    assert_int_equal(claim(d->id, 1ul << 62), -ENOMEM);
    assert_int_equal(claim(d->id, ~0ul), -ENOMEM);
    assert_int_equal(claim(999, 10), -EINVAL);
    *res = (struct xen_memory_reservation){.nr_extents = 10, .domid = d->id, .extent_order = 1};
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages, res, 0), -EINVAL);
    *res = (struct xen_memory_reservation){.nr_extents = 10, .domid = d->id, .mem_flags = 1};
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages, res, 0), -EINVAL);
    *res = (struct xen_memory_reservation){.nr_extents = 10, .domid = d->id, .extent_start.p = list};
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages, res, 0), -EINVAL);
    *res = (struct xen_memory_reservation){.nr_extents = 10, .domid = d->id};
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages | 1 << 6, res, 0), -EINVAL);
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages, FAULT, 0), -EFAULT);
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages, res, 0), -EPERM);
    res->domid = 0;
    assert_int_equal(CALL(memory_op, XENMEM_claim_pages, res, 0), -EPERM);
    assert_int_equal(claimed(), 0);
}

/* ---- large blocks are zeroed in slices ---- */
static void dirty_heap(void)
{
    struct page_info *pg = alloc_hv_pages(9, 0);

    assert_non_null(pg);
    memset(page_to_virt(pg), 0xee, PAGE_SIZE << 9);
    free_hv_pages(pg, 9);
}

static bool all_zero(xen_pfn_t mfn, unsigned long n)
{
    const uint64_t *p = mfn_to_virt(_mfn(mfn));

    for (unsigned long i = 0; i < n * PAGE_SIZE / sizeof(*p); i++)
        if (p[i])
            return false;
    return true;
}

static void test_large_extents(void **state)
{
    uint64_t free;

    guest_with_list(0, 2048);
    free = heap_free_pages();
    dirty_heap();
    *res = (struct xen_memory_reservation){
        .extent_start.p = list, .nr_extents = 2, .extent_order = 9, .domid = DOMID_SELF};
    core.preempt = 1;
    assert_int_equal(CALL(memory_op, XENMEM_populate_physmap, res, 0), 2);
    assert_int_equal(core.restarts, 2 * 9 + 1); /* before each 64 frames, before they are given, between the two */
    assert_true(all_zero(list[0], 512) && all_zero(list[1], 512));
    assert_int_equal(d->tot_pages, 1024);
    assert_int_equal(heap_free_pages(), free - 1024);
    assert_int_equal(claim(d->id, 1600), 0);
    core_as(d->vcpu[0]);
    d->max_pages = 1535;
    assert_int_equal(populate(DOMID_SELF, 1, 9), 0);
    assert_int_equal(heap_claimed_pages(), 576);
    assert_int_equal(heap_free_pages(), free - 1024);
}

/* A caller that does not come again leaves one block behind: the next one of another size, or the end, lets it go. */
static void test_abandoned_extent(void **state)
{
    struct hcall hc = {.arg = {XENMEM_increase_reservation}};
    uint64_t free;

    guest_with_list(0, 2048);
    free = heap_free_pages();
    *res = (struct xen_memory_reservation){
        .extent_start.p = list, .nr_extents = 1, .extent_order = 9, .domid = DOMID_SELF};
    hc.arg[1] = (unsigned long)res;
    core.preempt = 1;
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(do_memory_op(&hc), -ERESTART);
        assert_int_equal(heap_free_pages(), free - 512);
    }
    core.preempt = 0;
    assert_int_equal(populate(DOMID_SELF, 1, 7), 1);
    assert_int_equal(heap_free_pages(), free - 128);
    assert_int_equal(d->tot_pages, 128);
    core.preempt = 1;
    res->extent_order = 9;
    assert_int_equal(do_memory_op(&hc), -ERESTART);
    core.preempt = 0;
    assert_int_equal(populate(DOMID_SELF, 1, 0), 1); /* a small one does not leave it beyond the domain's limit */
    assert_int_equal(heap_free_pages(), free - 129);
    core.preempt = 1;
    res->extent_order = 9;
    assert_int_equal(do_memory_op(&hc), -ERESTART);
    core.preempt = 0;
    core_as(control_domain->vcpu[0]);
    core_kill(d);
    assert_int_equal(heap_claimed_pages(), 0); /* and core_end looks for the block */
}

static void test_large_exchange(void **state)
{
    struct xen_memory_exchange *x;
    xen_pfn_t block;

    guest_with_list(512, 512);
    dirty_heap();
    x = exchange(512, 0, 9);
    core.preempt = 1;
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), 0);
    assert_int_equal(core.restarts, 9);
    assert_true(all_zero(list[512], 512));
    assert_int_equal(d->tot_pages, 512);
    block = list[512];
    dirty_heap();
    x = exchange(512, 9, 0); /* and back */
    list[0] = block;
    core.restarts = 0;
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), 0);
    assert_int_equal(core.restarts, 9);
    for (unsigned int i = 0; i < 512; i++)
        assert_true(all_zero(list[512 + i], 1));
    assert_int_equal(d->tot_pages, 512);
}

/* ---- memory maps ---- */
static long set_map(domid_t id, unsigned int n, void *buffer)
{
    struct xen_foreign_memory_map *f = guest_new(struct xen_foreign_memory_map);

    *f = (struct xen_foreign_memory_map){.domid = id, .map.nr_entries = n};
    f->map.buffer.p = buffer;
    return CALL(memory_op, XENMEM_set_memory_map, f, 0);
}

static void test_memory_map(void **state)
{
    struct xen_memory_map *m = guest_new(struct xen_memory_map);
    uint8_t *map = guest_alloc(1024 * 20), *got = guest_alloc(1024 * 20);

    guest_with_list(1, 1);
    for (unsigned int i = 0; i < 1024 * 20; i++)
        map[i] = (uint8_t)(i % 251);
    m->buffer.p = got;
    m->nr_entries = 8;
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), -ENOSYS);
    assert_int_equal(set_map(d->id, 3, map), -EPERM);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(set_map(d->id, 1025, map), -EINVAL);
    assert_int_equal(set_map(d->id, ~0u, map), -EINVAL);
    assert_int_equal(set_map(999, 1, map), -ESRCH);
    assert_int_equal(set_map(d->id, 1, FAULT), -EFAULT);
    core.fail_alloc = 1;
    assert_int_equal(set_map(d->id, 1, map), -ENOMEM);
    assert_int_equal(CALL(memory_op, XENMEM_set_memory_map, FAULT, 0), -EFAULT);
    assert_int_equal(set_map(d->id, 1024, map), 0);
    assert_int_equal(set_map(d->id, 3, map), 0); /* instead of the other */
    core_as(d->vcpu[0]);
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), 0);
    assert_int_equal(m->nr_entries, 3);
    assert_memory_equal(got, map, 60);
    assert_int_equal(got[60], 0);
    m->nr_entries = 2; /* as many as there is room for */
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), 0);
    assert_int_equal(m->nr_entries, 2);
    m->buffer.p = FAULT;
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), -EFAULT);
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, FAULT, 0), -EFAULT);
    core.fail_alloc = 1;
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), -ENOMEM);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), -ENOSYS); /* it has none of its own */
    assert_int_equal(set_map(d->id, 0, NULL), 0);
    core_as(d->vcpu[0]);
    m->buffer.p = got;
    assert_int_equal(CALL(memory_op, XENMEM_memory_map, m, 0), -ENOSYS);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(set_map(d->id, 5, map), 0); /* goes with the domain */
}

/* ---- what only informs ---- */
static void test_information(void **state)
{
    domid_t *id = guest_new(domid_t);
    struct xen_machphys_mapping *m = guest_new(struct xen_machphys_mapping);
    struct xen_memory_map *map = guest_new(struct xen_memory_map);

    guest_with_list(3, 9);
    *id = DOMID_SELF;
    assert_int_equal(CALL(memory_op, XENMEM_maximum_ram_page, 0, 0), RAM_END);
    assert_int_equal(CALL(memory_op, XENMEM_current_reservation, id, 0), 3);
    assert_int_equal(CALL(memory_op, XENMEM_maximum_reservation, id, 0), 9);
    assert_int_equal(CALL(memory_op, XENMEM_current_reservation, FAULT, 0), -EFAULT);
    *id = 0;
    assert_int_equal(CALL(memory_op, XENMEM_current_reservation, id, 0), -ESRCH);
    assert_int_equal(CALL(memory_op, XENMEM_maximum_reservation, id, 0), -ESRCH);
    assert_int_equal(CALL(memory_op, XENMEM_machphys_mapping, m, 0), 0);
    assert_int_equal(m->max_mfn, RAM_END - 1);
    assert_int_equal(CALL(memory_op, XENMEM_machphys_mapping, FAULT, 0), -EFAULT);
    map->nr_entries = 128;
    map->buffer.p = guest_alloc(128 * 20);
    assert_int_equal(CALL(memory_op, XENMEM_machine_memory_map, map, 0), -EPERM);
    core_as(control_domain->vcpu[0]);
    *id = d->id;
    assert_int_equal(CALL(memory_op, XENMEM_current_reservation, id, 0), 3);
    assert_int_equal(CALL(memory_op, XENMEM_machine_memory_map, map, 0), 0);
    assert_int_equal(map->nr_entries, boot_info.region_count);
    map->nr_entries = 1;
    assert_int_equal(CALL(memory_op, XENMEM_machine_memory_map, map, 0), -EINVAL);
    map->buffer.p = NULL; /* how many are there? */
    assert_int_equal(CALL(memory_op, XENMEM_machine_memory_map, map, 0), 0);
    assert_int_equal(map->nr_entries, boot_info.region_count);
    map->nr_entries = ~0u;
    map->buffer.p = FAULT;
    assert_int_equal(CALL(memory_op, XENMEM_machine_memory_map, map, 0), -EFAULT);
    assert_int_equal(CALL(memory_op, 63, map, 0), -ENOSYS);
}

static void test_acquire_resource(void **state)
{
    struct xen_mem_acquire_resource *r = guest_new(struct xen_mem_acquire_resource);

    guest_with_list(0, 0);
    *r = (struct xen_mem_acquire_resource){.domid = DOMID_SELF, .type = XENMEM_resource_grant_table};
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, r, 0), 0);
    assert_int_equal(r->nr_frames, 4);
    r->frame_list.p = list;
    core.preempt = 1;
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, r, 0), 0);
    assert_ptr_equal(mfn_to_page(_mfn(list[3]))->owner, d);
    r->nr_frames = ~0u;
    assert_true(CALL(memory_op, XENMEM_acquire_resource, r, 0) < 0);
    r->nr_frames = 2;
    r->frame = ~0ul;
    assert_true(CALL(memory_op, XENMEM_acquire_resource, r, 0) < 0);
    r->frame = 0;
    r->frame_list.p = FAULT;
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, r, 0), -EFAULT);
    r->pad = 1;
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, r, 0), -EINVAL);
    r->pad = 0;
    r->domid = 0;
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, r, 0), -ESRCH);
    r->type = 9;
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, r, 0), -EINVAL);
    assert_int_equal(CALL(memory_op, XENMEM_acquire_resource, FAULT, 0), -EFAULT);
}

int core_memory_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_populate_and_decrease),
        CORE_TEST(test_increase),
        CORE_TEST(test_hostile_reservations),
        CORE_TEST(test_exchange),
        CORE_TEST(test_exchange_errors),
        CORE_TEST(test_information),
        CORE_TEST(test_acquire_resource),
        CORE_TEST(test_large_extents),
        CORE_TEST(test_abandoned_extent),
        CORE_TEST(test_large_exchange),
        CORE_TEST(test_m2p),
        CORE_TEST(test_claim),
        CORE_TEST(test_claimed_memory_is_kept),
        CORE_TEST(test_claim_and_exchange),
        CORE_TEST(test_claim_errors),
        CORE_TEST(test_memory_map),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
