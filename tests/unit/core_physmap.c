// SPDX-License-Identifier: BSD-2-Clause
/*
 * memory_op for translated domains, by the domain itself and by the control domain: each call's success, each error,
 * hostile arguments, memory and pool running out. After each test all memory is back (core_end).
 */
#include <hv/grant.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <xen/memory.h>
#include "fake/core.h"

static struct domain *d;
static xen_pfn_t *list;
static struct xen_memory_reservation *res;

/* A translated guest of at most max frames, which is the one that calls. */
static void translated(unsigned long max)
{
    d = core_translated(3, 1, max);
    core_as(d->vcpu[0]);
    list = guest_alloc(1024 * sizeof(*list));
    res = guest_new(struct xen_memory_reservation);
    *res = (struct xen_memory_reservation){.extent_start.p = list, .domid = DOMID_SELF};
}

static void audit(void)
{
    struct p2m_audit a = {0};
    uint64_t own = 0;
    const struct page_info *pg;

    stretch_end();
    while (p2m_audit(d, &a) == -ERESTART)
        stretch_point();
    stretch_end();
    assert_int_equal(a.broken.count, 0);
    list_for_each (pg, &d->page_list, list)
        own += p2m_is_ram(p2m_lookup(d, _gfn(get_gpfn_from_mfn(page_to_mfn(pg)))).type);
    assert_int_equal(own, d->tot_pages); /* all that it has is at a guest frame */
}

static long reserve(unsigned int cmd, unsigned int n, unsigned int order, xen_pfn_t first)
{
    for (unsigned int i = 0; i < n; i++)
        list[i] = first + ((xen_pfn_t)i << order);
    res->nr_extents = n;
    res->extent_order = order;
    return CALL(memory_op, cmd, res, 0);
}

static enum p2m_type type_at(unsigned long gfn)
{
    return p2m_lookup(d, _gfn(gfn)).type;
}

static mfn_t mfn_at(unsigned long gfn)
{
    return p2m_lookup(d, _gfn(gfn)).mfn;
}

static void test_populate_translated(void **state)
{
    translated(600);
    core.preempt = 1;
    assert_int_equal(reserve(XENMEM_increase_reservation, 1, 0, 0), 0);
    assert_int_equal(reserve(XENMEM_populate_physmap, 4, 0, 0x100), 4);
    assert_int_equal(list[0], 0x100); /* machine frames are none of its business */
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 9, 0x200), 1);
    assert_int_equal(p2m_lookup(d, _gfn(0x300)).order, 9);
    assert_int_equal(d->tot_pages, 516);
    assert_int_equal(CALL(memory_op, XENMEM_maximum_gpfn, &res->domid, 0), 0x3ff);
    audit();
    /* Where something is already, the new takes its place. */
    memset(mfn_to_virt(mfn_at(0x101)), 0x77, PAGE_SIZE);
    assert_int_equal(reserve(XENMEM_populate_physmap, 4, 0, 0x100), 4);
    assert_int_equal(*(uint64_t *)mfn_to_virt(mfn_at(0x101)), 0);
    assert_int_equal(d->tot_pages, 516);
    /* As far as the limit goes. */
    assert_int_equal(reserve(XENMEM_populate_physmap, 100, 0, 0x1000), 84);
    assert_int_equal(type_at(0x1000 + 83), P2M_RAM_RW);
    assert_int_equal(type_at(0x1000 + 84), P2M_MMIO_DM);
    audit();
}

static void test_decrease_translated(void **state)
{
    translated(2000);
    core.preempt = 1;
    assert_int_equal(reserve(XENMEM_populate_physmap, 2, 9, 0x200), 2);
    assert_int_equal(reserve(XENMEM_decrease_reservation, 3, 0, 0x210), 3);
    assert_int_equal(d->tot_pages, 1021);
    assert_int_equal(type_at(0x20f), P2M_RAM_RW);
    assert_int_equal(type_at(0x210), P2M_MMIO_DM);
    audit();
    assert_int_equal(reserve(XENMEM_decrease_reservation, 1, 2, 0x210), 0); /* not all of it is there */
    assert_int_equal(d->tot_pages, 1021);
    assert_int_equal(reserve(XENMEM_decrease_reservation, 4, 2, 0x214), 4);
    assert_int_equal(reserve(XENMEM_decrease_reservation, 1, 9, 0x400), 1);
    assert_int_equal(d->tot_pages, 1021 - 16 - 512);
    audit();
}

static void test_hostile_extents(void **state)
{
    static const unsigned int cmds[] = {XENMEM_populate_physmap, XENMEM_decrease_reservation};

    translated(2000);
    assert_int_equal(reserve(XENMEM_populate_physmap, 8, 0, 0x200), 8);
    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        assert_int_equal(reserve(cmds[i], 1, 1, 0x201), 0);
        assert_int_equal(reserve(cmds[i], 1, 9, 0x100), 0);
        assert_int_equal(reserve(cmds[i], 1, 0, P2M_GFNS), 0);
        assert_int_equal(reserve(cmds[i], 1, 0, ~0ul), 0);
        assert_int_equal(reserve(cmds[i], 1, 3, ~7ul), 0);
        assert_int_equal(reserve(cmds[i], 1, 10, 0), 0);
        res->domid = 0;
        assert_int_equal(reserve(cmds[i], 1, 0, 0x300), 0);
        res->domid = DOMID_SELF;
    }
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 0, P2M_GFNS - 1), 1);
    assert_int_equal(d->tot_pages, 9);
    audit();
}

/* Every allocation fails once, and the pool ends at each frame: the count says what was done, and nothing is lost. */
static void test_populate_without_memory(void **state)
{
    struct page_info *shadow[PAGING_POOL_INITIAL];
    unsigned int held = 0;
    long done = 0;

    translated(100);
    for (unsigned int n = 1; done < 6; n++) {
        core.fail_alloc = n;
        done = reserve(XENMEM_populate_physmap, 6, 1, 0x40000 * n);
        core.fail_alloc = 0;
        assert_int_equal(d->tot_pages, 2 * done);
        audit();
        if (done)
            assert_int_equal(reserve(XENMEM_decrease_reservation, (unsigned int)done, 1, 0x40000 * n), done);
    }
    while ((shadow[held] = paging_pool_alloc(d, PAGING_SHADOW, false)) != NULL)
        held++;
    for (done = 1; done == 1;) { /* each in a table of its own, until the pool is used up */
        done = reserve(XENMEM_populate_physmap, 1, 0, d->tot_pages << 27);
        audit();
    }
    assert_int_equal(done, 0);
    assert_int_equal(d->paging_pool->free < 3, true);
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 0, 1), 1); /* where no table is wanted */
    while (held)
        paging_pool_free(d, PAGING_SHADOW, shadow[--held]);
}

/* ---- add_to_physmap ---- */

static long add(unsigned int space, unsigned long idx, unsigned long gfn)
{
    struct xen_add_to_physmap *x = guest_new(struct xen_add_to_physmap);

    *x = (struct xen_add_to_physmap){.domid = DOMID_SELF, .space = space, .idx = idx, .gpfn = gfn};
    return CALL(memory_op, XENMEM_add_to_physmap, x, 0);
}

static void test_add_shared_info(void **state)
{
    translated(100);
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, 0xfe000), 0);
    assert_int_equal(mfn_at(0xfe000).n, virt_to_mfn(d->shared_info).n);
    assert_int_equal(add(XENMAPSPACE_shared_info, 1, 0xfe000), -EINVAL);
    assert_int_equal(reserve(XENMEM_populate_physmap, 2, 0, 0x10), 2);
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, 0x10), 0); /* it moves, and what was there is given up */
    assert_int_equal(type_at(0xfe000), P2M_MMIO_DM);
    assert_int_equal(d->tot_pages, 1);
    assert_int_equal(reserve(XENMEM_decrease_reservation, 2, 0, 0x10), 2); /* it is not the guest's to give up */
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, 0x10), 0);
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, P2M_GFNS), -EINVAL);
    audit();
}

static void test_add_grant_table(void **state)
{
    mfn_t m;

    translated(100);
    assert_int_equal(add(XENMAPSPACE_grant_table, 2, 0x20), 0);
    assert_int_equal(grant_get_frame(d, 2, &m), 0);
    assert_int_equal(mfn_at(0x20).n, m.n);
    assert_int_equal(add(XENMAPSPACE_grant_table, 4, 0x21), -EINVAL);
    assert_int_equal(add(XENMAPSPACE_grant_table, ~0ul, 0x21), -EINVAL);
    assert_int_equal(add(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, 0x21), -EINVAL); /* version 1 */
    assert_int_equal(type_at(0x21), P2M_MMIO_DM);
    audit();
}

static void test_add_own_frame(void **state)
{
    struct xen_add_to_physmap *x = guest_new(struct xen_add_to_physmap);
    mfn_t m;

    translated(2000);
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 9, 0x200), 1);
    m = mfn_at(0x205);
    assert_int_equal(add(XENMAPSPACE_gmfn, 0x205, 0x10), 0);
    assert_int_equal(mfn_at(0x10).n, m.n);
    assert_int_equal(type_at(0x205), P2M_MMIO_DM);
    assert_int_equal(d->tot_pages, 512);
    assert_int_equal(add(XENMAPSPACE_gmfn, 0x205, 0x11), -EINVAL);
    assert_int_equal(add(XENMAPSPACE_gmfn, ~0ul, 0x11), -EINVAL);
    assert_int_equal(add(XENMAPSPACE_gmfn, 0x10, ~0ul), -EINVAL);
    /* What it was granted is not its own to move, not even when it was granted its own. */
    assert_true(get_page(mfn_to_page(m), d));
    assert_int_equal(p2m_set(d, &(struct p2m_range){.gfn = _gfn(0x12), .mfn = m, .type = P2M_GRANT_RO}), 0);
    assert_int_equal(add(XENMAPSPACE_gmfn, 0x12, 0x11), -EINVAL);
    assert_int_equal(mfn_at(0x10).n, m.n);
    audit();
    core.preempt = 1;
    *x = (struct xen_add_to_physmap){
        .domid = DOMID_SELF, .size = 100, .space = XENMAPSPACE_gmfn_range, .idx = 0x300, .gpfn = 0x1000};
    m = mfn_at(0x363);
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap, x, 0), 0);
    assert_int_equal(core.restarts, 99);
    assert_int_equal(mfn_at(0x1063).n, m.n);
    assert_int_equal(d->tot_pages, 512);
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap, x, 0), -EINVAL); /* nothing is left there */
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap | 101 << 6, x, 0), -EINVAL);
    x->space = 77;
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap, x, 0), -EINVAL);
    x->domid = 0;
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap, x, 0), -ESRCH);
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap, FAULT, 0), -EFAULT);
    audit();
}

/* ---- batches and other domains' frames ---- */

static struct xen_add_to_physmap_batch *batch;
static int *errs;

static void new_batch(unsigned int space, domid_t foreign, unsigned int n)
{
    batch = guest_new(struct xen_add_to_physmap_batch);
    errs = guest_alloc(64 * sizeof(*errs));
    *batch = (struct xen_add_to_physmap_batch){.domid = 3, .space = (uint16_t)space, .size = (uint16_t)n};
    batch->u.foreign_domid = foreign;
    batch->idxs.p = guest_alloc(64 * sizeof(*batch->idxs.p));
    batch->gpfns.p = guest_alloc(64 * sizeof(*batch->gpfns.p));
    batch->errs.p = errs;
}

static void element(unsigned int i, unsigned long idx, unsigned long gfn)
{
    batch->idxs.p[i] = idx;
    batch->gpfns.p[i] = gfn;
    errs[i] = 77;
}

static long add_batch(void)
{
    return CALL(memory_op, XENMEM_add_to_physmap_batch, batch, 0);
}

static void test_add_batch(void **state)
{
    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 3, 0, 0x10), 3);
    new_batch(XENMAPSPACE_gmfn, 0, 4);
    element(0, 0x10, 0x50);
    element(1, 0x99, 0x51);
    element(2, 0x12, ~0ul);
    element(3, 0x11, 0x53);
    core.preempt = 1;
    assert_int_equal(add_batch(), 0);
    assert_int_equal(core.restarts, 3);
    assert_int_equal(errs[0] | errs[3], 0);
    assert_int_equal(errs[1], -EINVAL);
    assert_int_equal(errs[2], -EINVAL);
    assert_int_equal(type_at(0x53), P2M_RAM_RW);
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap_batch | 5 << 6, batch, 0), -EILSEQ);
    batch->u.res0 = 1;
    assert_int_equal(add_batch(), -EINVAL);
    batch->u.res0 = 0;
    batch->space = XENMAPSPACE_gmfn_range;
    assert_int_equal(add_batch(), -EOPNOTSUPP);
    batch->space = XENMAPSPACE_gmfn;
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++) {
        batch->idxs.p = core_bad_pointer(kind, 8);
        assert_int_equal(add_batch(), -EFAULT);
    }
    assert_int_equal(CALL(memory_op, XENMEM_add_to_physmap_batch, FAULT, 0), -EFAULT);
    audit();
}

static xen_pfn_t first_frame(struct domain *of)
{
    return page_to_mfn(list_first(&of->page_list, struct page_info, list)).n;
}

static void test_add_foreign(void **state)
{
    struct domain *pv = core_guest(1, 3);
    struct page_info *pg;
    xen_pfn_t frame = first_frame(pv);

    translated(100);
    new_batch(XENMAPSPACE_gmfn_foreign, pv->id, 4);
    element(3, frame, P2M_GFNS);
    element(0, frame, 0x50);
    element(1, ~0ul, 0x51);
    element(2, virt_to_mfn(d->shared_info).n, 0x52);
    assert_int_equal(add_batch(), 0); /* the guest itself may not */
    assert_int_equal(errs[0], -EPERM);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(add_batch(), 0);
    assert_int_equal(errs[0], 0);
    assert_int_equal(errs[1], -EINVAL);
    assert_int_equal(errs[2], -EINVAL); /* not that domain's */
    assert_int_equal(errs[3], -EINVAL);
    assert_int_equal(type_at(0x50), P2M_FOREIGN);
    pg = mfn_to_page(_mfn(frame));
    assert_int_equal(pg->count_info & PGC_count_mask, 2);
    assert_int_equal(pg->type_info & PGT_count_mask, 1);
    audit();
    /* Not while it is a page table of its owner; no domain; itself. */
    spin_lock(&pv->pv.pt_lock);
    assert_int_equal(get_page_and_type(pg + 0, pv, PT_L1), -EINVAL);
    spin_unlock(&pv->pv.pt_lock);
    batch->size = 1;
    batch->u.foreign_domid = 99;
    assert_int_equal(add_batch(), 0);
    assert_int_equal(errs[0], -ESRCH);
    batch->u.foreign_domid = 3;
    batch->idxs.p[0] = 0x61;
    res->domid = 3;
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 0, 0x61), 1);
    assert_int_equal(add_batch(), 0);
    assert_int_equal(errs[0], -EINVAL);
    assert_int_equal(mfn_to_page(mfn_at(0x61))->count_info & PGC_count_mask, 1);
    assert_int_equal(add(XENMAPSPACE_gmfn_foreign, frame, 0x60), -EACCES); /* about itself, a PV domain */
    /* Its owner dies; the mapping keeps frame and domain until the mapper dies (core_end). */
    core_kill(pv);
    assert_int_equal(pv->tot_pages, 1);
    audit();
}

static void test_add_foreign_translated(void **state)
{
    struct domain *owner;
    struct page_info *pg;

    translated(100);
    owner = d;
    assert_int_equal(reserve(XENMEM_populate_physmap, 2, 0, 0x10), 2);
    pg = mfn_to_page(mfn_at(0x10));
    core_as(control_domain->vcpu[0]);
    {
        struct xen_domctl_createdomain config = core_config(1);

        config.flags = XEN_DOMCTL_CDF_hvm;
        assert_int_equal(domain_create(4, &config, false, &d), 0);
    }
    new_batch(XENMAPSPACE_gmfn_foreign, 3, 2);
    batch->domid = 4;
    element(0, 0x10, 0x10);
    element(1, 0x12, 0x11);
    assert_int_equal(add_batch(), 0);
    assert_int_equal(errs[0], 0);
    assert_int_equal(errs[1], -EINVAL);
    assert_ptr_equal(mfn_to_page(mfn_at(0x10)), pg);
    /* Given up by its owner, who gets it back only with the mapping. */
    res->domid = 3;
    assert_int_equal(reserve(XENMEM_decrease_reservation, 1, 0, 0x10), 1);
    assert_int_equal(owner->tot_pages, 2);
    core_kill(d);
    assert_int_equal(owner->tot_pages, 1);
    d = owner;
    audit();
}

static long remove_at(unsigned long gfn)
{
    struct xen_remove_from_physmap *x = guest_new(struct xen_remove_from_physmap);

    *x = (struct xen_remove_from_physmap){.domid = 3, .gpfn = gfn};
    return CALL(memory_op, XENMEM_remove_from_physmap, x, 0);
}

static void test_remove(void **state)
{
    struct domain *pv = core_guest(1, 1);
    struct p2m_range mmio = {.gfn = _gfn(0x60), .mfn = _mfn(RAM_END), .type = P2M_MMIO_DIRECT};

    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 2, 0, 0x10), 2);
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, 0x20), 0);
    core_as(control_domain->vcpu[0]);
    new_batch(XENMAPSPACE_gmfn_foreign, pv->id, 1);
    element(0, first_frame(pv), 0x30);
    assert_int_equal(add_batch(), 0);
    assert_int_equal(p2m_set(d, &mmio), 0);
    core_as(d->vcpu[0]);
    assert_int_equal(remove_at(0x30), 0);
    assert_int_equal(mfn_to_page(_mfn(first_frame(pv)))->count_info & PGC_count_mask, 1);
    assert_int_equal(remove_at(0x20), 0);
    assert_int_equal(remove_at(0x10), 0);
    assert_int_equal(d->tot_pages, 1);
    assert_int_equal(remove_at(0x10), -ENOENT);
    assert_int_equal(remove_at(~0ul), -ENOENT);
    assert_int_equal(remove_at(0x60), -EPERM);
    assert_int_equal(CALL(memory_op, XENMEM_remove_from_physmap, FAULT, 0), -EFAULT);
    audit();
}

static long once(multicall_entry_t e)
{
    multicall_entry_t *calls = guest_new(multicall_entry_t);

    *calls = e;
    assert_int_equal(CALL(multicall, calls, 1, 0), 0);
    return (long)calls->result;
}

/* As tables of a guest's, whose entries would be stored by whoever names it, and as those the guest could store to. */
static void try_as_tables(unsigned long frame)
{
    struct mmu_update *u = guest_new(struct mmu_update);
    struct mmuext_op *m = guest_new(struct mmuext_op);
    multicall_entry_t e = {.op = __HYPERVISOR_mmuext_op, .args = {(unsigned long)m, 1, 0, 3}};
    static const unsigned int commands[] = {MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L4_TABLE, MMUEXT_UNPIN_TABLE,
                                            MMUEXT_CLEAR_PAGE};

    for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
        *m = (struct mmuext_op){.cmd = commands[i], .arg1.mfn = frame};
        assert_int_equal(once(e), -EINVAL);
    }
    u->ptr = frame << PAGE_SHIFT;
    e = (multicall_entry_t){.op = __HYPERVISOR_mmu_update, .args = {(unsigned long)u, 1, 0, 4u << 16 | 3}};
    assert_int_equal(once(e), -EINVAL);
    assert_int_equal(mfn_to_page(_mfn(frame))->type_info & (PGT_validated | PGT_count_mask), 0);
}

/* What would go past the P2M. */
static void test_no_other_way(void **state)
{
    struct xen_memory_exchange *x = guest_new(struct xen_memory_exchange);
    struct mmu_update *u = guest_new(struct mmu_update);

    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 0, 0x10), 1);
    *x = (struct xen_memory_exchange){.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                      .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    list[0] = mfn_at(0x10).n;
    x->in.extent_start.p = x->out.extent_start.p = list;
    assert_int_equal(CALL(memory_op, XENMEM_exchange, x, 0), -EOPNOTSUPP);
    core_as(control_domain->vcpu[0]);
    u->ptr = mfn_at(0x10).n << PAGE_SHIFT | MMU_MACHPHYS_UPDATE;
    u->val = 0x11;
    assert_int_equal(once((multicall_entry_t){.op = __HYPERVISOR_mmu_update, .args = {(unsigned long)u, 1, 0, 3}}),
                     -EINVAL);
    try_as_tables(mfn_at(0x10).n);
    audit();
}

/* ---- the control domain maps what it builds: its own tables, the guest's frame numbers ---- */

static long store_as(unsigned int cmd, mfn_t table, unsigned int slot, uint64_t value)
{
    struct mmu_update *u = guest_new(struct mmu_update);

    *u = (struct mmu_update){.ptr = (table.n << PAGE_SHIFT) + 8 * slot + cmd, .val = value};
    return once((multicall_entry_t){.op = __HYPERVISOR_mmu_update, .args = {(unsigned long)u, 1, 0, 3}});
}

static long store(mfn_t table, unsigned int slot, uint64_t value)
{
    return store_as(MMU_NORMAL_PT_UPDATE, table, slot, value);
}

static void test_map_by_guest_frame(void **state)
{
    struct page_info *table = mfn_to_page(_mfn(first_frame(control_domain))), *pg;
    mfn_t t = page_to_mfn(table);
    uint64_t *entry = mfn_to_virt(t);
    struct p2m_range mmio = {.gfn = _gfn(0x60), .mfn = _mfn(RAM_END), .type = P2M_MMIO_DIRECT};

    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 2, 0, 0x10), 2);
    assert_int_equal(p2m_set(d, &mmio), 0);
    pg = mfn_to_page(mfn_at(0x11));
    core_as(control_domain->vcpu[0]);
    spin_lock(&control_domain->pv.pt_lock);
    assert_int_equal(get_page_and_type(table, control_domain, PT_L1), 0);
    spin_unlock(&control_domain->pv.pt_lock);
    assert_int_equal(store(t, 1, 0x11 << PAGE_SHIFT | PTE_P | PTE_US | PTE_RW), 0);
    assert_int_equal(entry[1] & (PTE_ADDR | PTE_RW), page_to_mfn(pg).n << PAGE_SHIFT | PTE_RW);
    assert_int_equal(pg->count_info & PGC_count_mask, 2);
    assert_int_equal(pg->type_info & PGT_count_mask, 1);
    assert_int_equal(store(t, 2, 0x12 << PAGE_SHIFT | PTE_P | PTE_US), -EINVAL); /* nothing there */
    assert_int_equal(store(t, 2, 0x60 << PAGE_SHIFT | PTE_P | PTE_US), -EINVAL);
    assert_int_equal(store(t, 2, page_to_mfn(pg).n << PAGE_SHIFT | PTE_P | PTE_US), -EINVAL); /* by machine frame */
    assert_int_equal(store(t, 2, PTE_ADDR | PTE_P | PTE_US), -EINVAL);
    assert_int_equal(entry[2], 0);
    assert_int_equal(store_as(MMU_PT_UPDATE_NO_TRANSLATE, t, 2, page_to_mfn(pg).n << PAGE_SHIFT | PTE_P | PTE_US), 0);
    assert_int_equal(pg->count_info & PGC_count_mask, 3);
    assert_int_equal(store_as(MMU_PT_UPDATE_NO_TRANSLATE, t, 2, 0), 0);
    assert_int_equal(entry[2], 0);
    /* The guest gives the frame up; it is there until the mapping goes. */
    res->domid = 3;
    assert_int_equal(reserve(XENMEM_decrease_reservation, 1, 0, 0x11), 1);
    assert_int_equal(d->tot_pages, 2);
    assert_int_equal(store(t, 1, 0), 0);
    assert_int_equal(d->tot_pages, 1);
    spin_lock(&control_domain->pv.pt_lock);
    put_page_and_type(table);
    pv_drain_dead(control_domain);
    spin_unlock(&control_domain->pv.pt_lock);
    audit();
}

/* ---- grants: named by guest frame, pinned as the frame that it was ---- */

static void grant(grant_ref_t ref, unsigned long gfn)
{
    grant_entry_v1_t *e;
    mfn_t m;

    assert_int_equal(grant_get_frame(d, 0, &m), 0);
    e = mfn_to_virt(m);
    e[ref] = (grant_entry_v1_t){.flags = GTF_permit_access, .domid = 0, .frame = (uint32_t)gfn};
}

static int16_t map_grant(grant_ref_t ref, mfn_t table, unsigned int slot, struct gnttab_map_grant_ref *m)
{
    *m = (struct gnttab_map_grant_ref){.ref = ref,
                                       .dom = 3,
                                       .flags = GNTMAP_host_map | GNTMAP_device_map | GNTMAP_contains_pte};
    m->host_addr = (table.n << PAGE_SHIFT) + 8 * slot;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_map_grant_ref, m, 1), 0);
    return m->status;
}

static int16_t copy(struct gnttab_copy how)
{
    struct gnttab_copy *c = guest_new(struct gnttab_copy);

    *c = how;
    c->len = PAGE_SIZE;
    assert_int_equal(CALL(grant_table_op, GNTTABOP_copy, c, 1), 0);
    return c->status;
}

static void test_grant_by_guest_frame(void **state)
{
    struct page_info *table = mfn_to_page(_mfn(first_frame(control_domain)));
    struct gnttab_map_grant_ref *m = guest_new(struct gnttab_map_grant_ref);
    struct gnttab_unmap_grant_ref *u = guest_new(struct gnttab_unmap_grant_ref);
    uint64_t *entry = page_to_virt(table);
    mfn_t frame;

    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 3, 0, 0x10), 3);
    frame = mfn_at(0x10);
    grant(8, 0x10);
    grant(9, 0x99);
    grant(10, frame.n); /* a machine frame, which it cannot name */
    core_as(control_domain->vcpu[0]);
    spin_lock(&control_domain->pv.pt_lock);
    assert_int_equal(get_page_and_type(table, control_domain, PT_L1), 0);
    spin_unlock(&control_domain->pv.pt_lock);
    assert_int_equal(map_grant(9, page_to_mfn(table), 1, m), GNTST_bad_page);
    assert_int_equal(map_grant(10, page_to_mfn(table), 1, m), GNTST_bad_page);
    assert_int_equal(map_grant(8, page_to_mfn(table), 1, m), GNTST_okay);
    assert_int_equal(m->dev_bus_addr, frame.n << PAGE_SHIFT);
    assert_int_equal(entry[1] & PTE_ADDR, frame.n << PAGE_SHIFT);
    /* The guest puts other memory there: what is mapped stays what it was, until it is unmapped. */
    res->domid = 3;
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 0, 0x10), 1);
    assert_int_equal(d->tot_pages, 4);
    assert_int_equal(grant_audit(d) + grant_audit(control_domain), 0);
    *u = (struct gnttab_unmap_grant_ref){.host_addr = m->host_addr,
                                         .dev_bus_addr = m->dev_bus_addr,
                                         .handle = m->handle};
    assert_int_equal(CALL(grant_table_op, GNTTABOP_unmap_grant_ref, u, 1), 0);
    assert_int_equal(u->status, GNTST_okay);
    assert_int_equal(d->tot_pages, 3);
    spin_lock(&control_domain->pv.pt_lock);
    put_page_and_type(table);
    pv_drain_dead(control_domain);
    spin_unlock(&control_domain->pv.pt_lock);
    audit();
}

static void test_copy_by_guest_frame(void **state)
{
    mfn_t own = _mfn(first_frame(control_domain));

    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 2, 0, 0x10), 2);
    memset(mfn_to_virt(mfn_at(0x10)), 0x5a, PAGE_SIZE);
    assert_int_equal(copy((struct gnttab_copy){.source = {.u.gmfn = 0x10, .domid = DOMID_SELF},
                                               .dest = {.u.gmfn = 0x11, .domid = DOMID_SELF}}),
                     GNTST_okay);
    assert_int_equal(memcmp(mfn_to_virt(mfn_at(0x10)), mfn_to_virt(mfn_at(0x11)), PAGE_SIZE), 0);
    assert_int_equal(copy((struct gnttab_copy){.source = {.u.gmfn = mfn_at(0x10).n, .domid = DOMID_SELF},
                                               .dest = {.u.gmfn = 0x11, .domid = DOMID_SELF}}),
                     GNTST_bad_page);
    grant(8, 0x11);
    core_as(control_domain->vcpu[0]);
    assert_int_equal(copy((struct gnttab_copy){.source = {.u.ref = 8, .domid = 3},
                                               .dest = {.u.gmfn = own.n, .domid = DOMID_SELF},
                                               .flags = GNTCOPY_source_gref}),
                     GNTST_okay);
    assert_int_equal(*(uint64_t *)mfn_to_virt(own), 0x5a5a5a5a5a5a5a5a);
    memset(mfn_to_virt(own), 0, PAGE_SIZE);
}

/* Only its own memory is what a saver is to take. */
static void test_frame_info(void **state)
{
    struct xen_domctl *op = guest_new(struct xen_domctl);
    struct domain *pv = core_guest(1, 1);

    translated(100);
    assert_int_equal(reserve(XENMEM_populate_physmap, 1, 0, 0x10), 1);
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, 0x12), 0);
    assert_int_equal(add(XENMAPSPACE_grant_table, 0, 0x13), 0);
    core_as(control_domain->vcpu[0]);
    new_batch(XENMAPSPACE_gmfn_foreign, pv->id, 1);
    element(0, first_frame(pv), 0x14);
    assert_int_equal(add_batch(), 0);
    list[0] = 0x10;
    list[1] = 0x11;
    list[2] = mfn_at(0x10).n;
    for (unsigned int i = 3; i < 6; i++)
        list[i] = 0x12 + i - 3;
    *op = (struct xen_domctl){.cmd = XEN_DOMCTL_getpageframeinfo3,
                              .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                              .domain = 3};
    op->u.getpageframeinfo3.num = 6;
    op->u.getpageframeinfo3.array.p = list;
    assert_int_equal(CALL(domctl, op, 0, 0), 0);
    assert_int_equal(list[0], XEN_DOMCTL_PFINFO_NOTAB);
    for (unsigned int i = 1; i < 6; i++)
        assert_int_equal(list[i], XEN_DOMCTL_PFINFO_XTAB);
}

/* A guest with all kinds of entries dies, preempted at every point. */
static void test_teardown(void **state)
{
    struct domain *pv = core_guest(1, 1);

    translated(2000);
    assert_int_equal(reserve(XENMEM_populate_physmap, 3, 9, 0x200), 3);
    assert_int_equal(reserve(XENMEM_populate_physmap, 20, 0, 0x3ffff0), 20);
    assert_int_equal(reserve(XENMEM_decrease_reservation, 1, 0, 0x205), 1);
    assert_int_equal(add(XENMAPSPACE_shared_info, 0, P2M_GFNS - 1), 0);
    core_as(control_domain->vcpu[0]);
    new_batch(XENMAPSPACE_gmfn_foreign, pv->id, 1);
    element(0, first_frame(pv), 0x30);
    assert_int_equal(add_batch(), 0);
    core.preempt = 1;
    core_kill(d);
    assert_int_equal(mfn_to_page(_mfn(first_frame(pv)))->count_info & PGC_count_mask, 1);
}

int core_physmap_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_populate_translated),
        CORE_TEST(test_decrease_translated),
        CORE_TEST(test_hostile_extents),
        CORE_TEST(test_populate_without_memory),
        CORE_TEST(test_add_shared_info),
        CORE_TEST(test_add_grant_table),
        CORE_TEST(test_add_own_frame),
        CORE_TEST(test_add_batch),
        CORE_TEST(test_add_foreign),
        CORE_TEST(test_add_foreign_translated),
        CORE_TEST(test_remove),
        CORE_TEST(test_no_other_way),
        CORE_TEST(test_map_by_guest_frame),
        CORE_TEST(test_frame_info),
        CORE_TEST(test_grant_by_guest_frame),
        CORE_TEST(test_copy_by_guest_frame),
        CORE_TEST(test_teardown),
    };

    return cmocka_run_group_tests_name("physmap", tests, NULL, NULL);
}
