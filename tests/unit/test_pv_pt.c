// SPDX-License-Identifier: BSD-2-Clause
/* The page-table hypercalls, case by case: refusals, encodings, preemption. Random walks are in test_pv_random.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/grant.h>
#include <hv/hypercall.h>
#include <hv/stretch.h>
#include "fake/fake.h"

static struct domain *control, *d;
static struct page_info *t[5]; /* d's tables in use, by level */

static struct page_info *new_frame(struct domain *of)
{
    struct page_info *pg = alloc_domain_pages(of, 0, 0);

    assert_non_null(pg);
    return pg;
}

static pte_t *entry(const struct page_info *table, unsigned int i)
{
    return (pte_t *)page_to_virt(table) + i;
}

static pte_t to(const struct page_info *pg, uint64_t flags)
{
    return pte_make(page_to_mfn(pg), flags | PTE_P);
}

static uint64_t maddr(const struct page_info *table, unsigned int i)
{
    return mfn_to_maddr(page_to_mfn(table)).n + i * sizeof(pte_t);
}

static int begin(void **state)
{
    (void)state;
    fake_memory_init();
    fake_preempt_percent = 0;
    control = fake_domain(0, true, 1, 1);
    d = fake_domain(1, false, 1, 0);
    pv_pt_domain_init(control);
    pv_pt_domain_init(d);
    fake_run_on(0, d->vcpu[0]);
    for (unsigned int level = 1; level <= 4; level++) {
        t[level] = new_frame(d);
        if (level > 1)
            *entry(t[level], 0) = to(t[level - 1], PTE_RW);
    }
    assert_int_equal(pv_set_base(d->vcpu[0], page_to_mfn(t[4]), INVALID_MFN), 0);
    return 0;
}

static void tear_down(struct domain *x)
{
    struct page_info *pg, *next;

    x->dying = DOM_DYING;
    while (pv_drop_base(x->vcpu[0]) == -ERESTART)
        ;
    while (pv_relinquish_tables(x) == -ERESTART)
        ;
    list_for_each_safe (pg, next, &x->page_list, list) {
        bool allocated = pg->count_info & PGC_allocated;

        pg->count_info &= ~PGC_allocated;
        if (allocated)
            put_page(pg);
    }
}

static int end(void **state)
{
    (void)state;
    fake_preempt_percent = 0;
    fake_run_on(0, NULL);
    assert_int_equal(fake_locks_held, 0);
    assert_int_equal(fake_audit(d), d->dying ? -EBUSY : 0);
    tear_down(control);
    tear_down(d);
    assert_int_equal(fake_frames_free(), FAKE_FRAMES);
    assert_int_equal(d->refcount, 1);
    fake_domain_free(control);
    fake_domain_free(d);
    return 0;
}

/* As where hypercalls enter: what was done before is not this call's work. */
static long call(hypercall_fn *fn, struct hcall *hc)
{
    stretch_point();
    return fn(hc);
}

static long update_as(uint32_t domains, uint64_t ptr, uint64_t val)
{
    struct mmu_update u = {.ptr = ptr, .val = val};
    struct hcall hc = {.arg = {(unsigned long)&u, 1, 0, domains}};
    long rc = 0;

    do {
        hc.restart = false;
        rc = call(do_mmu_update, &hc);
    } while (hc.restart);
    return rc;
}

static long update(const struct page_info *table, unsigned int i, pte_t e)
{
    return update_as(DOMID_SELF, maddr(table, i), e.n);
}

static long ext_as(domid_t who, unsigned int cmd, uint64_t arg1)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = arg1};
    struct hcall hc = {.arg = {(unsigned long)&op, 1, 0, who}};
    long rc = 0;

    do {
        hc.restart = false;
        rc = call(do_mmuext_op, &hc);
    } while (hc.restart);
    return rc;
}

static long ext(unsigned int cmd, const struct page_info *pg)
{
    return ext_as(DOMID_SELF, cmd, page_to_mfn(pg).n);
}

static void test_abi_bits(void **state)
{
    struct page_info *pg = new_frame(d);

    (void)state;
    assert_int_equal(update(t[1], 0, to(pg, PTE_RW | PTE_G | PTE_NX)), 0);
    assert_int_equal(entry(t[1], 0)->n, to(pg, PTE_RW | PTE_NX | PTE_US).n);
    assert_int_equal(entry(t[4], 0)->n & PTE_US, PTE_US);
    /* A and D that hardware has set survive if asked, and only then. */
    entry(t[1], 0)->n |= PTE_A | PTE_D;
    assert_int_equal(update_as(DOMID_SELF, maddr(t[1], 0) | MMU_PT_UPDATE_PRESERVE_AD, to(pg, PTE_RW).n), 0);
    assert_int_equal(entry(t[1], 0)->n, to(pg, PTE_RW | PTE_US | PTE_A | PTE_D).n);
    assert_int_equal(update(t[1], 0, to(pg, PTE_RW)), 0);
    assert_int_equal(entry(t[1], 0)->n, to(pg, PTE_RW | PTE_US).n);
    /* Not present: any contents. */
    assert_int_equal(update(t[1], 0, _pte(0xfffffffffffffffeull)), 0);
    assert_int_equal(entry(t[1], 0)->n, 0xfffffffffffffffeull);
}

static void test_refused_entries(void **state)
{
    struct page_info *pg = new_frame(d), *foreign = new_frame(control);

    (void)state;
    assert_int_equal(update(t[1], 1, to(foreign, 0)), -EBUSY);
    assert_int_equal(update(t[1], 1, to(pg, PTE_PCD)), -EINVAL);
    assert_int_equal(update(t[1], 1, to(t[1], PTE_RW)), -EBUSY);
    assert_int_equal(update(t[1], 1, to(t[4], PTE_RW)), -EBUSY);
    assert_int_equal(update(t[1], 1, to(t[1], 0)), 0);
    assert_int_equal(update(t[1], 1, pte_make(_mfn(FAKE_MMIO_OK), PTE_P)), -EPERM);
    assert_int_equal(update(t[1], 1, pte_make(_mfn(1ull << 39), PTE_P)), -EPERM);
    assert_int_equal(update(t[2], 1, to(pg, PTE_PSE)), -EINVAL);
    assert_int_equal(update(t[2], 1, to(t[3], 0)), -EINVAL);
    assert_int_equal(update(t[4], 1, to(t[4], 0)), -EINVAL);
    assert_int_equal(update(t[4], 256, to(t[3], 0)), -EINVAL);
    assert_int_equal(update(t[4], 271, _pte(0)), -EINVAL);
    assert_int_equal(update(t[4], 272, to(t[3], 0)), 0);
    assert_int_equal(update_as(DOMID_SELF, maddr(t[1], 0) | 4, 0), -ENOSYS);
    assert_int_equal(update_as(DOMID_SELF, ~0ull & ~7ull, 0), -EINVAL);
}

static void test_pins(void **state)
{
    struct page_info *l1 = new_frame(d), *l2 = new_frame(d);

    (void)state;
    *entry(l1, 511) = to(l2, PTE_RW);
    *entry(l2, 3) = to(l1, PTE_RW);
    /* l1 would map l2 writable: the error is that of the entry. */
    assert_int_equal(ext(MMUEXT_PIN_L2_TABLE, l2), -EBUSY);
    *entry(l1, 511) = pte_make(_mfn(FAKE_MMIO_OK), PTE_P);
    assert_int_equal(ext(MMUEXT_PIN_L2_TABLE, l2), -EPERM);
    *entry(l1, 511) = to(l2, 0);
    assert_int_equal(ext(MMUEXT_PIN_L2_TABLE, l2), 0);
    assert_int_equal(ext(MMUEXT_PIN_L2_TABLE, l2), -EINVAL);
    assert_int_equal(ext(MMUEXT_PIN_L1_TABLE, l2), -EINVAL);
    assert_int_equal(update(t[1], 0, to(l1, PTE_RW)), -EBUSY);
    assert_int_equal(ext(MMUEXT_UNPIN_TABLE, l2), 0);
    assert_int_equal(ext(MMUEXT_UNPIN_TABLE, l2), -EINVAL);
    assert_int_equal(update(t[1], 0, to(l1, PTE_RW)), 0);
    /* A table that names itself. */
    *entry(l2, 0) = to(l2, PTE_RW);
    assert_int_equal(ext(MMUEXT_PIN_L3_TABLE, l2), -EINVAL);
    assert_int_equal(ext(MMUEXT_MARK_SUPER, l2), -EOPNOTSUPP);
    assert_int_equal(ext(99, l2), -ENOSYS);
}

static void test_privilege(void **state)
{
    struct page_info *pg = new_frame(control), *mine = new_frame(d);

    (void)state;
    assert_int_equal(update_as(0, maddr(t[1], 0), to(pg, 0).n), -EPERM);
    assert_int_equal(update_as(1u << 16 | DOMID_SELF, maddr(pg, 0), 0), -EPERM);
    assert_int_equal(ext_as(0, MMUEXT_PIN_L1_TABLE, page_to_mfn(pg).n), -EPERM);
    assert_int_equal(update_as(DOMID_XEN, maddr(t[1], 0), to(pg, 0).n), -EPERM);
    assert_int_equal(ext_as(DOMID_SELF, MMUEXT_FLUSH_CACHE, 0), -EACCES);
    /* The control domain, for its target. */
    fake_run_on(1, control->vcpu[0]);
    assert_int_equal(update_as(7, maddr(t[1], 0), 0), -ESRCH);
    assert_int_equal(update_as(2u << 16 | 1, maddr(t[1], 0), to(mine, PTE_RW).n), 0);
    assert_int_equal(ext_as(1, MMUEXT_PIN_L1_TABLE, page_to_mfn(mine).n), -EINVAL);
    assert_int_equal(update_as(2u << 16 | 1, maddr(t[1], 0), 0), 0);
    assert_int_equal(ext_as(1, MMUEXT_PIN_L1_TABLE, page_to_mfn(mine).n), 0);
    assert_int_equal(ext_as(1, MMUEXT_NEW_BASEPTR, page_to_mfn(mine).n), -EPERM);
    d->dying = DOM_DYING;
    assert_int_equal(ext_as(1, MMUEXT_UNPIN_TABLE, page_to_mfn(mine).n), 0);
    assert_int_equal(ext_as(1, MMUEXT_PIN_L1_TABLE, page_to_mfn(mine).n), -EINVAL);
}

static void test_batch_counts(void **state)
{
    struct page_info *pg = new_frame(d);
    struct mmu_update u[3] = {{maddr(t[1], 0), to(pg, 0).n},
                              {maddr(t[1], 1), to(pg, 0).n},
                              {maddr(t[1], 2), to(t[1], PTE_RW).n}};
    unsigned int done = 99;
    struct hcall hc = {.arg = {(unsigned long)u, 3, (unsigned long)&done, DOMID_SELF}};

    (void)state;
    assert_int_equal(call(do_mmu_update, &hc), -EBUSY);
    assert_int_equal(done, 2);
    /* Preempted after each request: the rest is described by the arguments, the count goes on. */
    u[2].val = 0;
    fake_preempt_percent = 100;
    for (unsigned int i = 1; i < 3; i++) {
        hc.restart = false;
        assert_int_equal(call(do_mmu_update, &hc), -ERESTART);
        assert_true(hc.restart);
        assert_int_equal(done, i);
        assert_int_equal(hc.arg[0], (unsigned long)&u[i]);
        assert_int_equal(hc.arg[1], 0x80000000u | (3 - i));
    }
    hc.restart = false;
    assert_int_equal(call(do_mmu_update, &hc), 0);
    assert_int_equal(done, 3);
    fake_preempt_percent = 0;
    hc = (struct hcall){.arg = {8, 1, 0, DOMID_SELF}};
    assert_int_equal(call(do_mmu_update, &hc), -EFAULT);
    hc = (struct hcall){.arg = {0, 0, 0, DOMID_SELF}};
    assert_int_equal(call(do_mmu_update, &hc), 0);
}

/* Two L2 tables of 512 full L1 tables would not fit; what counts is that each slice makes progress and ends. */
static void test_preempted_validation(void **state)
{
    struct page_info *l2 = new_frame(d);
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L2_TABLE, .arg1.mfn = page_to_mfn(l2).n};
    struct hcall hc = {.arg = {(unsigned long)&op, 1, 0, DOMID_SELF}};
    unsigned int slices = 0;
    long rc;

    (void)state;
    for (unsigned int i = 0; i < 20; i++)
        *entry(l2, i * 25) = to(new_frame(d), PTE_RW);
    fake_preempt_percent = 100;
    do {
        hc.restart = false;
        rc = call(do_mmuext_op, &hc);
        slices++;
        /* Half validated: usable neither as a table nor for writing. */
        if (hc.restart)
            assert_int_equal(update(t[1], 0, to(l2, PTE_RW)), -EBUSY);
    } while (hc.restart);
    assert_int_equal(rc, 0);
    assert_in_range(slices, 39, 42); /* a table, and what is empty up to the next one */
    for (slices = 0, op.cmd = MMUEXT_UNPIN_TABLE, hc.arg[0] = (unsigned long)&op, hc.arg[1] = 1;; slices++) {
        hc.restart = false;
        rc = call(do_mmuext_op, &hc);
        if (!hc.restart)
            break;
    }
    assert_int_equal(rc, 0);
    assert_in_range(slices, 19, 22);
    assert_int_equal(update(t[1], 0, to(l2, PTE_RW)), 0);
}

/* Given up half way: another use undoes the rest; teardown finds what nobody comes back for. */
static void test_abandoned_validation(void **state)
{
    struct page_info *l2 = new_frame(d), *l1 = new_frame(d), *left = new_frame(d);
    struct mmuext_op op[2] = {{.cmd = MMUEXT_PIN_L2_TABLE, .arg1.mfn = page_to_mfn(l2).n},
                              {.cmd = MMUEXT_PIN_L2_TABLE, .arg1.mfn = page_to_mfn(left).n}};

    (void)state;
    *entry(l2, 0) = *entry(left, 0) = to(l1, PTE_RW);
    *entry(l2, 1) = *entry(left, 1) = to(new_frame(d), PTE_RW);
    fake_preempt_percent = 100;
    for (unsigned int i = 0; i < 2; i++) {
        struct hcall hc = {.arg = {(unsigned long)&op[i], 1, 0, DOMID_SELF}};

        assert_int_equal(call(do_mmuext_op, &hc), -ERESTART);
    }
    fake_preempt_percent = 0;
    assert_int_equal(fake_audit(d), 0);
    assert_int_equal(ext(MMUEXT_PIN_L3_TABLE, l2), -EINVAL);
    assert_int_equal(update(t[1], 0, to(l2, PTE_RW)), 0);
}

/*
 * A half-validated table is all that keeps another in use, and an entry of that other is to name it as a table of
 * another level. It has to be undone first, and with it goes the table that was to be changed.
 */
static void test_update_undoes_its_own_table(void **state)
{
    struct page_info *l3 = new_frame(d), *l2 = new_frame(d), *l1 = new_frame(d);
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L3_TABLE, .arg1.mfn = page_to_mfn(l3).n};
    struct hcall hc = {.arg = {(unsigned long)&op, 1, 0, DOMID_SELF}};

    (void)state;
    *entry(l3, 0) = to(l2, PTE_RW);
    *entry(l3, 1) = to(new_frame(d), PTE_RW);
    *entry(l2, 0) = to(l1, PTE_RW);
    fake_preempt_percent = 100;
    do
        assert_int_equal(call(do_mmuext_op, &hc), -ERESTART);
    while (!(l2->type_info & PGT_validated));
    fake_preempt_percent = 0;
    assert_int_equal(l3->type_info & PGT_partial, PGT_partial);
    assert_int_equal(update(l2, 0, to(l3, PTE_RW)), 0);
    /* What was a table is plain memory now, and so is what it referred to. */
    assert_int_equal(entry(l2, 0)->n, to(l3, PTE_RW).n);
    assert_int_equal(l1->type_info & PGT_count_mask, 0);
    assert_int_equal(l3->type_info & PGT_count_mask, 0);
    assert_int_equal(l1->count_info & PGC_count_mask, 1);
    assert_int_equal(l3->count_info & PGC_count_mask, 1);
}

/* What is not present may hold any number: it leads nowhere, neither by the look at it nor by its address. */
static void test_absent_entry_leads_nowhere(void **state)
{
    struct hcall hc = {.arg = {0x200000, to(new_frame(d), PTE_RW).n, UVMF_NONE}};
    pte_t absent = _pte(to(t[1], PTE_RW | PTE_US).n & ~PTE_P), before = *entry(t[1], 0);

    (void)state;
    assert_int_equal(update(t[2], 1, absent), 0);
    assert_int_equal(entry(t[2], 1)->n, absent.n);
    assert_int_equal(call(do_update_va_mapping, &hc), -EINVAL);
    assert_int_equal(entry(t[1], 0)->n, before.n);
    assert_int_equal(pte_mfn_nospec(absent).n, 0);
    assert_int_equal(pte_mfn_nospec(_pte(~PTE_P)).n, 0);
    assert_int_equal(pte_mfn_nospec(_pte(absent.n | PTE_P)).n, page_to_mfn(t[1]).n);
    assert_int_equal(pte_mfn_nospec(_pte(~0ull)).n, PTE_ADDR >> PAGE_SHIFT);
}

static void test_va_mapping(void **state)
{
    struct page_info *pg = new_frame(d);
    struct hcall hc = {.arg = {0x3000, to(pg, PTE_RW).n, UVMF_INVLPG}};
    uint32_t before = tlb_now();

    (void)state;
    assert_int_equal(call(do_update_va_mapping, &hc), 0);
    assert_int_equal(entry(t[1], 3)->n, to(pg, PTE_RW | PTE_US).n);
    assert_int_equal(tlb_now(), before);
    hc.arg[2] = UVMF_TLB_FLUSH | UVMF_ALL;
    assert_int_equal(call(do_update_va_mapping, &hc), 0);
    assert_int_equal(tlb_now(), before + 1);
    hc.arg[0] = 0x200000;
    assert_int_equal(call(do_update_va_mapping, &hc), -EINVAL);
    hc.arg[0] = HYPERVISOR_BASE;
    assert_int_equal(call(do_update_va_mapping, &hc), -EINVAL);
    hc.arg[0] = 0x0000900000000000ul;
    assert_int_equal(call(do_update_va_mapping, &hc), -EINVAL);
    hc.arg[0] = 0x3000;
    hc.arg[2] = UVMF_FLUSHTYPE_MASK;
    assert_int_equal(call(do_update_va_mapping, &hc), -EINVAL);
    hc.arg[2] = UVMF_TLB_FLUSH | 8;
    assert_int_equal(call(do_update_va_mapping, &hc), -EFAULT);
}

static void test_grant_entries(void **state)
{
    struct page_info *pg = new_frame(control), *own = new_frame(d);
    mfn_t m = page_to_mfn(pg);

    (void)state;
    assert_int_equal(get_page_and_type(pg, control, PT_WRITABLE), 0);
    assert_int_equal(pv_grant_map_pte(d, 0x5000, false, pte_make(m, PTE_P | PTE_RW)), 0);
    assert_int_equal(pv_grant_unmap_pte(d, 0x5000, false, m, true, _pte(0)), -EINVAL);
    assert_int_equal(pv_grant_unmap_pte(d, 0x6000, false, m, false, _pte(0)), -EINVAL);
    assert_int_equal(pv_grant_unmap_pte(d, 0x5000, false, m, false, to(own, 0)), -EINVAL);
    assert_int_equal(pv_grant_unmap_pte(d, maddr(t[1], 5) + 4, true, m, false, _pte(0)), -EINVAL);
    assert_int_equal(pv_grant_unmap_pte(d, maddr(t[2], 5), true, m, false, _pte(0)), -EINVAL);
    /* Other bits may change; another frame, or more access, may not. */
    assert_int_equal(update(t[1], 5, pte_make(m, PTE_P | PTE_RW | PTE_NX)), 0);
    assert_int_equal(update(t[1], 6, pte_make(m, PTE_P)), -EBUSY);
    assert_int_equal(update(t[1], 7, to(own, PTE_RW)), 0);
    assert_int_equal(pv_grant_replace_pte(d, 0x5000, m, false, 0x5000), -EINVAL);
    assert_int_equal(pv_grant_replace_pte(d, 0x5000, m, false, 0x7000), 0);
    put_page_and_type(pg);
    assert_int_equal(entry(t[1], 5)->n, to(own, PTE_RW | PTE_US).n);
    assert_int_equal(entry(t[1], 7)->n, 0);
    /* Overwritten by the domain: the entry's references go, the grant code finds nothing to take back. */
    assert_true(get_page(pg, control));
    assert_int_equal(pv_grant_map_pte(d, maddr(t[1], 8), true, pte_make(m, PTE_P)), 0);
    assert_int_equal(update(t[1], 8, _pte(0)), 0);
    assert_int_equal(pv_grant_unmap_pte(d, maddr(t[1], 8), true, m, true, _pte(0)), -EINVAL);
    assert_int_equal(pg->count_info & PGC_count_mask, 1);
}

static void test_audit_finds(void **state)
{
    struct page_info *pg = new_frame(d);

    (void)state;
    assert_int_equal(update(t[1], 0, to(pg, PTE_RW)), 0);
    assert_int_equal(fake_audit(d), 0);
    pg->count_info--;
    assert_true(fake_audit(d) > 0);
    pg->count_info++;
    *entry(t[1], 1) = to(t[2], PTE_RW | PTE_US);
    assert_true(fake_audit(d) > 0);
    *entry(t[1], 1) = _pte(0);
}

/* As a plain update: translated nowhere, hardware's A and D are not kept, and what is refused is refused. */
static void test_no_translate(void **state)
{
    struct page_info *pg = new_frame(d), *foreign = new_frame(control);
    uint64_t ptr = maddr(t[1], 0) | MMU_PT_UPDATE_NO_TRANSLATE;

    (void)state;
    assert_int_equal(update_as(DOMID_SELF, ptr, to(pg, PTE_RW).n), 0);
    assert_int_equal(entry(t[1], 0)->n, to(pg, PTE_RW | PTE_US).n);
    entry(t[1], 0)->n |= PTE_A | PTE_D;
    assert_int_equal(update_as(DOMID_SELF, ptr, to(foreign, PTE_RW).n), -EBUSY);
    assert_int_equal(update_as(DOMID_SELF, ptr, to(t[2], PTE_RW).n), -EBUSY);
    assert_int_equal(entry(t[1], 0)->n, to(pg, PTE_RW | PTE_US | PTE_A | PTE_D).n);
    assert_int_equal(update_as(DOMID_SELF, ptr, to(pg, 0).n), 0);
    assert_int_equal(entry(t[1], 0)->n, to(pg, PTE_US).n);
    assert_int_equal(update_as(0, ptr, 0), -EPERM);
    fake_run_on(0, control->vcpu[0]);
    assert_int_equal(update_as(9, ptr, 0), -ESRCH);
    fake_run_on(0, d->vcpu[0]);
    ptr = maddr(foreign, 0) | MMU_PT_UPDATE_NO_TRANSLATE;
    assert_int_equal(update_as(DOMID_SELF, ptr, 0), -EINVAL);
}

static void test_unknown_ext_ops(void **state)
{
    static const unsigned int cmds[] = {14, 21, 1000, ~0u};

    (void)state;
    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        assert_int_equal(ext(cmds[i], t[1]), -ENOSYS);
        assert_int_equal(ext_as(0, cmds[i], 0), -EPERM);
    }
}

/* A bitmap of vCPUs that cannot be read; addresses of the hypervisor are passed over. */
static void test_flushes(void **state)
{
    struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_MULTI, .arg1.linear_addr = HYPERVISOR_BASE};
    struct hcall hc = {.arg = {(unsigned long)&op, 1, 0, DOMID_SELF}};
    uint64_t vcpus = 1;
    uint32_t before;

    (void)state;
    assert_int_equal(call(do_mmuext_op, &hc), -EINVAL);
    op.cmd = MMUEXT_INVLPG_MULTI;
    op.arg1.linear_addr = 0x3000;
    assert_int_equal(call(do_mmuext_op, &hc), -EINVAL);
    op.arg2.vcpumask.p = &vcpus;
    assert_int_equal(call(do_mmuext_op, &hc), 0);
    before = tlb_now();
    op.cmd = MMUEXT_TLB_FLUSH_MULTI;
    assert_int_equal(call(do_mmuext_op, &hc), 0);
    assert_int_equal(tlb_now(), before + 1);
    for (op.cmd = MMUEXT_TLB_FLUSH_LOCAL; op.cmd <= MMUEXT_INVLPG_ALL; op.cmd++)
        assert_int_equal(call(do_mmuext_op, &hc), 0);
}

/* What cannot be an L4 is no base pointer, and the vCPU keeps those it has. */
static void test_base_refusals(void **state)
{
    static const unsigned int cmds[] = {MMUEXT_NEW_BASEPTR, MMUEXT_NEW_USER_BASEPTR};
    struct page_info *mapped = new_frame(d), *bad[] = {t[1], t[3], new_frame(control), mapped};
    mfn_t kernel = d->vcpu[0]->pv.l4_kernel;

    (void)state;
    assert_int_equal(update(t[1], 0, to(mapped, PTE_RW)), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        for (unsigned int k = 0; k < ARRAY_SIZE(bad); k++)
            assert_int_equal(ext(cmds[i], bad[k]), -EINVAL);
        assert_int_equal(ext_as(DOMID_SELF, cmds[i], 1ull << 40), -EINVAL);
    }
    assert_true(mfn_eq(d->vcpu[0]->pv.l4_kernel, kernel) && mfn_eq(d->vcpu[0]->pv.l4_user, INVALID_MFN));
}

/* m2p_strict: the table that user mode walks does not show the M2P, the kernel's does. */
static void test_m2p_strict(void **state)
{
    struct page_info *user = new_frame(d);

    (void)state;
    idle_l4[M2P_L4_SLOT] = to(t[3], 0);
    assert_int_equal(ext(MMUEXT_NEW_BASEPTR, t[4]), 0);
    assert_int_equal(ext(MMUEXT_NEW_USER_BASEPTR, user), 0);
    assert_int_equal(entry(user, M2P_L4_SLOT)->n, idle_l4[M2P_L4_SLOT].n);
    d->vm_assist = 1ul << VMASST_TYPE_m2p_strict;
    assert_int_equal(ext(MMUEXT_NEW_USER_BASEPTR, user), 0);
    assert_int_equal(entry(user, M2P_L4_SLOT)->n, 0);
    assert_int_equal(entry(t[4], M2P_L4_SLOT)->n, idle_l4[M2P_L4_SLOT].n);
    assert_int_not_equal(entry(user, PERDOMAIN_L4_SLOT)->n, 0);
    /* As a kernel's table it shows it again; as both, the last word counts. */
    assert_int_equal(ext(MMUEXT_NEW_USER_BASEPTR, t[4]), 0);
    assert_int_equal(ext(MMUEXT_NEW_BASEPTR, user), 0);
    assert_int_equal(entry(user, M2P_L4_SLOT)->n, idle_l4[M2P_L4_SLOT].n);
    assert_int_equal(entry(t[4], M2P_L4_SLOT)->n, 0);
    d->vm_assist = 0;
    assert_int_equal(ext(MMUEXT_NEW_USER_BASEPTR, t[4]), 0);
    assert_int_equal(entry(t[4], M2P_L4_SLOT)->n, idle_l4[M2P_L4_SLOT].n);
    idle_l4[M2P_L4_SLOT] = *entry(user, M2P_L4_SLOT) = *entry(t[4], M2P_L4_SLOT) = _pte(0);
}

/* ---- a boot loader ---- */

#define WINDOW 4u /* entry by which tables in the making are reached */
#define PLAIN  8u /* the first of plain memory */
#define MEMORY 32u

static long map(unsigned int i, pte_t e)
{
    struct hcall hc = {.arg = {(unsigned long)i << PAGE_SHIFT, e.n, UVMF_INVLPG}};

    return call(do_update_va_mapping, &hc);
}

/* Puts what it is to hold into a new table. */
static void make_table(struct page_info *table, unsigned int i, pte_t e)
{
    assert_int_equal(map(WINDOW, to(table, PTE_RW | PTE_US)), 0);
    *entry(table, i) = e;
}

/* All memory, in one L1; old and new tables read-only, at the same places in both. */
static void make_tables(struct page_info *n[5], struct page_info *old[5], struct page_info *memory[MEMORY])
{
    for (unsigned int level = 4; level > 1; level--)
        make_table(n[level], 0, to(n[level - 1], PTE_RW | PTE_US));
    for (unsigned int i = PLAIN; i < MEMORY; i++)
        make_table(n[1], i, to(memory[i], PTE_RW | PTE_US));
    for (unsigned int level = 1; level <= 4; level++) {
        make_table(n[1], level - 1, to(old[level], PTE_US));
        make_table(n[1], MEMORY + level, to(n[level], PTE_US));
    }
    assert_int_equal(map(WINDOW, _pte(0)), 0);
}

/* One call: the new ones pinned and loaded, the old ones let go. */
static void change_tables(const struct page_info *n, const struct page_info *old)
{
    struct mmuext_op op[3] = {
        {.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = page_to_mfn(n).n},
        {.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = page_to_mfn(n).n},
        {.cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = page_to_mfn(old).n},
    };
    struct hcall hc = {.arg = {(unsigned long)op, 3, 0, DOMID_SELF}};
    long rc;

    do {
        hc.restart = false;
        rc = call(do_mmuext_op, &hc);
    } while (hc.restart);
    assert_int_equal(rc, 0);
}

/* The frames change places: the guest's numbers for them do as well. */
static void swap(struct page_info **a, uint64_t pfn_a, struct page_info **b, uint64_t pfn_b)
{
    struct page_info *was = *a;
    struct mmu_update u[2] = {{.ptr = maddr(*b, 0) | MMU_MACHPHYS_UPDATE, .val = pfn_a},
                              {.ptr = maddr(*a, 0) | MMU_MACHPHYS_UPDATE, .val = pfn_b}};
    struct hcall hc = {.arg = {(unsigned long)u, 2, 0, DOMID_SELF}};

    *a = *b;
    *b = was;
    assert_int_equal(call(do_mmu_update, &hc), 0);
    assert_int_equal(get_gpfn_from_mfn(page_to_mfn(*a)), pfn_a);
    assert_int_equal(get_gpfn_from_mfn(page_to_mfn(*b)), pfn_b);
}

/*
 * What GRUB does as a guest's kernel: it goes over to tables of its own for all memory, takes the old ones' frames as
 * memory, and then, having made its kernel's tables where it can write to them, makes those read-only and goes over
 * once more.
 */
static void test_boot_loader(void **state)
{
    struct page_info *memory[MEMORY], *own[5], *kernel[5];

    (void)state;
    for (unsigned int i = PLAIN; i < MEMORY; i++)
        memory[i] = new_frame(d);
    for (unsigned int level = 1; level <= 4; level++) {
        own[level] = new_frame(d);
        kernel[level] = memory[PLAIN + level];
        assert_int_equal(map(level - 1, to(t[level], 0)), 0);
    }
    assert_int_equal(ext(MMUEXT_PIN_L4_TABLE, t[4]), 0);
    swap(&memory[MEMORY - 1], MEMORY - 1, &memory[MEMORY - 2], MEMORY - 2);
    fake_preempt_percent = 50;
    make_tables(own, t, memory);
    change_tables(own[4], t[4]);
    for (unsigned int level = 1; level <= 4; level++)
        assert_int_equal(map(level - 1, to(t[level], PTE_RW | PTE_US)), 0);
    assert_int_equal(map(0, to(own[1], PTE_RW | PTE_US)), -EBUSY);

    for (unsigned int level = 1; level <= 4; level++) {
        *entry(kernel[level], 0) = level > 1 ? to(kernel[level - 1], PTE_RW | PTE_US) : to(memory[PLAIN], PTE_RW);
        assert_int_equal(map(PLAIN + level, to(kernel[level], PTE_US)), 0);
    }
    change_tables(kernel[4], own[4]);
    assert_int_equal(update(kernel[1], 1, to(own[4], PTE_RW)), 0);
    assert_int_equal(update(kernel[1], 2, to(kernel[4], PTE_RW)), -EBUSY);
    fake_preempt_percent = 0;
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_abi_bits),
        TEST(test_refused_entries),
        TEST(test_pins),
        TEST(test_privilege),
        TEST(test_batch_counts),
        TEST(test_preempted_validation),
        TEST(test_abandoned_validation),
        TEST(test_update_undoes_its_own_table),
        TEST(test_absent_entry_leads_nowhere),
        TEST(test_va_mapping),
        TEST(test_grant_entries),
        TEST(test_audit_finds),
        TEST(test_no_translate),
        TEST(test_unknown_ext_ops),
        TEST(test_flushes),
        TEST(test_base_refusals),
        TEST(test_m2p_strict),
        TEST(test_boot_loader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
