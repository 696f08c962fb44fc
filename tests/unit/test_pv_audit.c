// SPDX-License-Identifier: BSD-2-Clause
/*
 * The audit of a live domain: each invariant is broken by hand in the frame table, a table or a window, and must be
 * found by its number; and what an audit in slices does while the machine goes on.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/grant.h>
#include <hv/hypercall.h>
#include "fake/fake.h"
#include "../../hypervisor/hypercall/memory_op.h"
#include "../../hypervisor/pv/internal.h"

static struct domain *control, *d, *granter;
static struct page_info *t[5], *data, *spare, *gdt;
static uint64_t free_before;

void domain_pause(struct domain *x)
{
}

/* ---- a guest with tables, data, a GDT and a mapping by grant ---- */

static pte_t *entry(struct page_info *table, unsigned int i)
{
    return (pte_t *)page_to_virt(table) + i;
}

static pte_t to(const struct page_info *pg, uint64_t flags)
{
    return pte_make(page_to_mfn(pg), PTE_P | PTE_US | flags);
}

static struct domain *new_domain(domid_t id, unsigned int vcpus, unsigned int cpu)
{
    struct domain *x = fake_domain(id, id == 0, vcpus, cpu);

    assert_int_equal(pv_domain_init(x), 0);
    assert_int_equal(grant_domain_init(x, 1, 1, XEN_DOMCTL_GRANT_version(1)), 0);
    for (unsigned int i = 0; i < vcpus; i++)
        assert_int_equal(pv_vcpu_init(x->vcpu[i]), 0);
    return x;
}

static void set_update(struct page_info *table, unsigned int i, pte_t e)
{
    struct mmu_update u = {.ptr = mfn_to_maddr(page_to_mfn(table)).n + i * 8, .val = e.n};
    struct hcall hc = {.arg = {(unsigned long)&u, 1, 0, DOMID_SELF}};

    assert_int_equal(do_mmu_update(&hc), 0);
}

/* Frame of granter, mapped by d at 0x5000. */
static void map_grant(struct page_info *pg, unsigned int ref)
{
    struct gnttab_map_grant_ref op = {.host_addr = 0x5000, .flags = GNTMAP_host_map, .ref = ref, .dom = granter->id};
    struct hcall hc = {.arg = {GNTTABOP_map_grant_ref, (unsigned long)&op, 1}};
    grant_entry_v1_t *e;
    mfn_t m;

    assert_int_equal(grant_get_frame(granter, 0, &m), 0);
    e = (grant_entry_v1_t *)mfn_to_virt(m) + ref;
    *e = (grant_entry_v1_t){.flags = GTF_permit_access, .domid = d->id, .frame = (uint32_t)page_to_mfn(pg).n};
    assert_int_equal(do_grant_table_op(&hc), 0);
    assert_int_equal(op.status, GNTST_okay);
}

static int begin(void **state)
{
    unsigned long frame;

    fake_preempt_percent = 0;
    fake_memory_init();
    for (unsigned int cpu = 0; cpu < 4; cpu++) { /* not on a table of the last test's */
        fake_run_on(cpu, NULL);
        get_cpu_info()->cr3 = 0;
    }
    control = new_domain(0, 1, 2);
    d = new_domain(1, 2, 0);
    granter = new_domain(2, 1, 3);
    d->vcpu[1]->is_running = false;
    cpumask_clear(&d->dirty_cpus, 1);
    fake_run_on(0, d->vcpu[0]);
    for (unsigned int level = 1; level <= 4; level++)
        t[level] = alloc_domain_pages(d, 0, 0);
    for (unsigned int level = 2; level <= 4; level++)
        *entry(t[level], 0) = to(t[level - 1], PTE_RW);
    data = alloc_domain_pages(d, 0, 0);
    spare = alloc_domain_pages(d, 0, 0);
    gdt = alloc_domain_pages(d, 0, 0);
    *entry(t[1], 0) = to(data, PTE_RW);
    assert_int_equal(pv_set_base(d->vcpu[0], page_to_mfn(t[4]), INVALID_MFN), 0);
    frame = page_to_mfn(gdt).n;
    assert_int_equal(pv_set_gdt(d->vcpu[0], &frame, 512), 0);
    map_grant(alloc_domain_pages(granter, 0, 0), 0);
    free_before = fake_frames_free();
    assert_int_equal(fake_audit(d), 0);
    assert_int_equal(fake_frames_free(), free_before);
    return 0;
}

static void free_domain(struct domain *x)
{
    grant_domain_free(x);
    pv_domain_free(x);
    fake_domain_free(x);
}

/* Broken domains are not torn down: their memory goes with the next test's machine. */
static int end(void **state)
{
    assert_int_equal(fake_locks_held, 0);
    free_domain(control);
    free_domain(d);
    free_domain(granter);
    return 0;
}

/* The audit that must find one thing at least, and all of it under this number. */
static void expect_broken(const char *rule, const char *what)
{
    struct pv_audit_report r;
    bool there = false;
    int rc;

    while ((rc = pv_audit(d, &r)) == -ERESTART)
        ;
    assert_int_equal(rc, 0);
    assert_true(r.broken > 0);
    for (unsigned int i = 0; i < r.broken && i < PV_AUDIT_FINDINGS; i++)
        there = there || (!strcmp(r.finding[i].rule, rule) && strstr(r.finding[i].what, what));
    if (!there)
        fail_msg("%s \"%s\" was not found, but %s \"%s\"", rule, what, r.finding[0].rule, r.finding[0].what);
    assert_int_equal(fake_frames_free(), free_before);
}

/* ---- each invariant ---- */

static void test_s1_general_count(void **state)
{
    data->count_info--;
    expect_broken("S1", "fewer general references");
}

static void test_s2_typed_count(void **state)
{
    data->type_info--;
    expect_broken("S2", "fewer typed references");
    data->type_info += 5;
    expect_broken("S2", "without general ones");
}

static void test_s3_busy(void **state)
{
    spare->type_info |= PGT_busy;
    expect_broken("S3", "busy");
}

/* A processor on the domain's tables, to which no flush would go. */
static void test_s4_who_is_flushed(void **state)
{
    cpumask_clear(&d->dirty_cpus, 0);
    expect_broken("S4", "would not be flushed");
    cpumask_set(&d->dirty_cpus, 0);
    assert_int_equal(fake_audit(d), 0);
}

static void test_s5_used_and_free(void **state)
{
    fake_in_heap = data;
    expect_broken("S5", "in use is free");
    fake_in_heap = alloc_hv_pages(0, 0);
    free_before--;
    assert_int_equal(fake_audit(d), 0);
    mfn_to_page(page_to_mfn(fake_in_heap))->type_info = PGT_partial;
    expect_broken("S5", "in use is free");
    fake_in_heap = NULL;
    assert_int_equal(fake_audit(d), 0);
}

static void test_s6_shared_page(void **state)
{
    mfn_t m;

    assert_int_equal(grant_get_frame(d, 0, &m), 0);
    mfn_to_page(m)->type_info--;
    expect_broken("S6", "shared page");
}

static void test_s7_claims(void **state)
{
    d->claimed_pages = 3;
    expect_broken("S7", "not what is set aside");
    fake_claimed = 5;
    granter->claimed_pages = 2;
    assert_int_equal(fake_audit(d), 0);
    granter->dying = DOM_DYING;
    expect_broken("S7", "dying domain");
    granter->dying = DOM_ALIVE;
    fake_claimed = d->claimed_pages = free_before + 1;
    granter->claimed_pages = 0;
    expect_broken("S7", "than are free");
}

static void test_p1_typed_without_holder(void **state)
{
    t[1]->type_info++;
    t[1]->count_info++;
    expect_broken("P1", "without a holder");
}

static void test_p2_writable_mapping(void **state)
{
    *entry(t[1], 1) = to(t[2], PTE_RW);
    expect_broken("P2", "writable mapping");
    *entry(t[1], 1) = to(gdt, PTE_RW);
    expect_broken("P2", "writable mapping");
}

static void test_p3_entry_names_no_table(void **state)
{
    *entry(t[2], 1) = to(spare, PTE_RW);
    expect_broken("P3", "no table of the next level");
    *entry(t[2], 1) = to(t[3], PTE_RW);
    expect_broken("P3", "no table of the next level");
}

static void test_p3_base_names_no_l4(void **state)
{
    d->vcpu[1]->pv.l4_kernel = page_to_mfn(t[3]);
    expect_broken("P3", "no live L4");
    d->vcpu[1]->pv.l4_kernel = _mfn(FAKE_MMIO_OK);
    expect_broken("P3", "no RAM");
}

static void test_p4_foreign_memory(void **state)
{
    struct page_info *other = alloc_domain_pages(granter, 0, 0);

    free_before--;
    *entry(t[1], 1) = pte_make(_mfn(FAKE_MMIO_OK), PTE_P | PTE_US);
    expect_broken("P4", "memory that is not the domain's");
    *entry(t[1], 1) = to(other, 0);
    expect_broken("P4", "not granted");
    /* One mapping by grant is no leave for two entries. */
    *entry(t[1], 1) = *entry(t[1], 5);
    expect_broken("P4", "not granted");
    other->count_info = 0;
    *entry(t[1], 1) = to(other, 0);
    expect_broken("P4", "free frame");
}

static void test_p5_partial_and_in_use(void **state)
{
    t[1]->type_info |= PGT_partial;
    expect_broken("P5", "partial and in use");
    t[1]->type_info &= ~(PGT_partial | PGT_validated);
    expect_broken("P5", "not validated");
}

static void test_p6_attributes(void **state)
{
    static const struct {
        unsigned int level;
        uint64_t flip;
    } bad[] = {{1, PTE_US}, {4, PTE_US}, {2, PTE_PSE}, {3, PTE_PCD}, {2, PTE_G}, {1, PTE_G}, {1, PTE_PCD}};

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        entry(t[bad[i].level], 0)->n ^= bad[i].flip;
        expect_broken("P6", "attributes");
        entry(t[bad[i].level], 0)->n ^= bad[i].flip;
    }
    assert_int_equal(fake_audit(d), 0);
}

static void test_p6_hypervisor_slots(void **state)
{
    for (unsigned int i = HYPERVISOR_L4_FIRST; i <= HYPERVISOR_L4_LAST; i++) {
        pte_t own = *entry(t[4], i);

        *entry(t[4], i) = to(t[3], PTE_RW);
        expect_broken("P6", "slot of the hypervisor");
        *entry(t[4], i) = own;
    }
}

static void test_p7_pin_without_reference(void **state)
{
    spare->type_info |= PGT_pinned;
    expect_broken("P7", "pinned without");
}

/* Paused, the domain is on no processor; of one that runs it, the base is the processor's. */
static void test_p8_cr3(void **state)
{
    fake_run_on(1, NULL);
    switch_cr3(mfn_to_maddr(page_to_mfn(t[4])).n);
    expect_broken("P8", "does not run");
    expect_broken("S4", "would not be flushed");
    switch_cr3(virt_to_maddr(page_to_virt(alloc_hv_pages(0, 0))).n);
    free_before--;
    fake_run_on(0, d->vcpu[0]);
    assert_int_equal(fake_audit(d), 0);
    switch_cr3(mfn_to_maddr(page_to_mfn(t[3])).n);
    expect_broken("P8", "other tables than its own");
    d->vcpu[0]->is_running = false;
    expect_broken("P8", "does not run");
    d->vcpu[0]->pv.root[1].cr3 = 5 * PAGE_SIZE;
    switch_cr3(d->vcpu[0]->pv.root[1].cr3);
    expect_broken("P8", "does not run");
}

/* What a call would leave that forgets to release them, and two that do not know each other. */
static void test_p10_dead_tables(void **state)
{
    struct page_info *dead[2];

    spin_lock(&d->pv.pt_lock);
    for (unsigned int i = 0; i < 2; i++) {
        dead[i] = alloc_domain_pages(d, 0, 0);
        assert_int_equal(get_page_and_type(dead[i], d, PT_L1), 0);
        put_page_and_type(dead[i]);
    }
    spin_unlock(&d->pv.pt_lock);
    free_before -= 2;
    expect_broken("P10", "no call goes on with");
    d->pv.drain_preempted = true;
    assert_int_equal(fake_audit(d), 0);
    for (unsigned int i = 0; i < 2; i++) {
        uint32_t *link = i ? &dead[1]->dead.next : &dead[0]->dead.prev, own = *link;

        *link = (uint32_t)page_to_mfn(data).n;
        expect_broken("P10", "in order among the others");
        *link = own;
    }
    dead[1]->dead.next = 0;
    expect_broken("P10", "in order among the others");
    dead[1]->dead.next = (uint32_t)page_to_mfn(dead[0]).n;
    spin_lock(&d->pv.pt_lock);
    assert_int_equal(pv_drain_dead(d), 0);
    spin_unlock(&d->pv.pt_lock);
    assert_false(d->pv.drain_preempted);
    assert_int_equal(fake_audit(d), 0);
}

static void test_d1_window(void **state)
{
    pte_t *window = d->pv.gdt_ldt_l1[0], own = window[0];

    window[0] = to(data, PTE_RW);
    expect_broken("D1", "another type");
    window[0] = own;
    window[1] = own;
    expect_broken("D1", "behind the table's end");
    window[1] = _pte(0);
    window[GDT_PAGES] = own;
    expect_broken("D1", "behind the table's end");
    window[GDT_PAGES] = _pte(0);
    window[0] = _pte(0);
    expect_broken("D1", "without a window");
}

static void test_d1_descriptors(void **state)
{
    static const uint64_t harmful[] = {0x00008c0000080000, 0x00008b0000000067, 0x0000820000000fff, 0x00cf9a000000ffff};

    for (unsigned int i = 0; i < ARRAY_SIZE(harmful); i++) {
        ((uint64_t *)page_to_virt(gdt))[511 - i] = harmful[i];
        expect_broken("D1", "descriptor page with");
        ((uint64_t *)page_to_virt(gdt))[511 - i] = 0x00cffa000000ffff;
    }
    assert_int_equal(fake_audit(d), 0);
    /* Nobody shows it, but who does next trusts it. */
    assert_int_equal(pv_set_gdt(d->vcpu[0], NULL, 0), 0);
    ((uint64_t *)page_to_virt(gdt))[5] = harmful[0];
    expect_broken("D1", "descriptor page with");
    ((uint64_t *)page_to_virt(gdt))[5] = 0;
    assert_int_equal(fake_audit(d), 0);
}

/* Fourteen pages, preempted at every chance: each slice checks one more, and the call ends. */
/* Whatever number the guest gives: what was refused holds nothing, and the table in force stays. */
static void test_gdt_frames_refused(void **state)
{
    mfn_t theirs = page_to_mfn(alloc_domain_pages(granter, 0, 0)), table = page_to_mfn(t[1]);
    uint64_t bad[] = {0, max_page, 1ull << 40, ~0ull, theirs.n, table.n};

    (void)state;
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        unsigned long frames[] = {page_to_mfn(spare).n, bad[i]};
        uint64_t held = spare->count_info, other = t[1]->count_info;

        assert_int_equal(pv_set_gdt(d->vcpu[0], frames, 1024), -EINVAL);
        assert_int_equal(spare->count_info, held);
        assert_int_equal(t[1]->count_info, other);
        assert_int_equal(mfn_to_page(theirs)->count_info, PGC_allocated | 1);
        assert_int_equal(pte_mfn(d->pv.gdt_ldt_l1[0][0]).n, page_to_mfn(gdt).n);
    }
    assert_true(release_own_frame(granter, theirs));
}

static void test_long_gdt_is_preempted(void **state)
{
    unsigned long frames[FIRST_RESERVED_GDT_PAGE];
    unsigned int slices = 1;
    int rc;

    for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++)
        frames[i] = page_to_mfn(alloc_domain_pages(d, 0, 0)).n;
    fake_preempt_percent = 100;
    while ((rc = pv_set_gdt(d->vcpu[0], frames, FIRST_RESERVED_GDT_ENTRY)) == -ERESTART)
        assert_true(++slices <= ARRAY_SIZE(frames));
    fake_preempt_percent = 0;
    assert_int_equal(rc, 0);
    assert_int_equal(slices, ARRAY_SIZE(frames));
    assert_int_equal(fake_audit(d), 0);
}

/* ---- what is no fault ---- */

static void test_nothing_is_made_up(void **state)
{
    struct pv_audit_report r;

    /* A foreign mapping by the control domain, a pin that was preempted, a pin. */
    assert_true(get_page(data, d));
    fake_preempt_percent = 100;
    assert_int_equal(pv_pin_l4(d, page_to_mfn(t[4])), 0);
    *entry(spare, 0) = *entry(spare, 1) = to(t[1], PTE_RW);
    spin_lock(&d->pv.pt_lock);
    assert_int_equal(get_page_type(spare, PT_L2), -ERESTART);
    spin_unlock(&d->pv.pt_lock);
    fake_preempt_percent = 0;
    assert_int_equal(pv_audit(d, &r), 0);
    assert_int_equal(r.broken, 0);
    assert_int_equal(r.shared, 1);
    assert_int_equal(r.tables, 5);
    assert_int_equal(r.windows, 1);
    assert_int_equal(r.frames, d->tot_pages + 1);
}

static void test_more_than_fit(void **state)
{
    struct pv_audit_report r;

    for (unsigned int i = 10; i < 10 + 3 * PV_AUDIT_FINDINGS; i++)
        *entry(t[1], i) = to(t[2], PTE_RW);
    assert_int_equal(pv_audit(d, &r), 0);
    assert_true(r.broken >= 3 * PV_AUDIT_FINDINGS);
    for (unsigned int i = 0; i < PV_AUDIT_FINDINGS; i++)
        assert_non_null(r.finding[i].rule);
}

/* ---- slices ---- */

static void test_slices_and_pauses(void **state)
{
    struct pv_audit_report r;
    int pauses = 0, slices = 0, rc;

    fake_preempt_percent = 100;
    do {
        rc = pv_audit(d, &r);
        pauses += r.pauses;
        slices++;
        assert_int_equal(pauses, rc == -ERESTART);
    } while (rc == -ERESTART);
    assert_int_equal(rc, 0);
    assert_int_equal(r.broken, 0);
    assert_true(slices > 4);
    assert_int_equal(fake_frames_free(), free_before);
}

static void test_changed_meanwhile(void **state)
{
    struct pv_audit_report r;

    fake_preempt_percent = 100;
    assert_int_equal(pv_audit(d, &r), -ERESTART);
    fake_preempt_percent = 0;
    set_update(t[1], 3, to(spare, 0));
    assert_int_equal(pv_audit(d, &r), -EAGAIN);
    assert_int_equal(r.pauses, -1);
    assert_int_equal(fake_frames_free(), free_before);
    assert_int_equal(fake_audit(d), 0);
}

static void test_no_memory(void **state)
{
    struct page_info *taken[FAKE_FRAMES];
    struct pv_audit_report r;
    unsigned int n = 0;

    while ((taken[n] = alloc_hv_pages(0, 0)) != NULL)
        n++;
    for (unsigned int left = 0; left < 2; left++) {
        assert_int_equal(pv_audit(d, &r), -ENOMEM);
        assert_int_equal(r.pauses, 0);
        assert_null(d->pv.audit);
        assert_int_equal(fake_frames_free(), left);
        free_hv_pages(taken[--n], 0);
    }
    while (n)
        free_hv_pages(taken[--n], 0);
    assert_int_equal(fake_audit(d), 0);
}

static void test_teardown_meanwhile(void **state)
{
    struct pv_audit_report r;

    fake_preempt_percent = 100;
    do
        assert_int_equal(pv_audit(d, &r), -ERESTART);
    while (fake_frames_free() == free_before);
    d->dying = DOM_DYING;
    assert_int_equal(pv_audit(d, &r), -EBUSY);
    assert_int_equal(r.pauses, 0);
    while (pv_relinquish_tables(d) == -ERESTART)
        ;
    assert_null(d->pv.audit);
    assert_int_equal(fake_frames_free(), free_before);
}

#define AUDIT_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(test_s1_general_count),
        AUDIT_TEST(test_s2_typed_count),
        AUDIT_TEST(test_s3_busy),
        AUDIT_TEST(test_s4_who_is_flushed),
        AUDIT_TEST(test_s5_used_and_free),
        AUDIT_TEST(test_s6_shared_page),
        AUDIT_TEST(test_s7_claims),
        AUDIT_TEST(test_p1_typed_without_holder),
        AUDIT_TEST(test_p2_writable_mapping),
        AUDIT_TEST(test_p3_entry_names_no_table),
        AUDIT_TEST(test_p3_base_names_no_l4),
        AUDIT_TEST(test_p4_foreign_memory),
        AUDIT_TEST(test_p5_partial_and_in_use),
        AUDIT_TEST(test_p6_attributes),
        AUDIT_TEST(test_p6_hypervisor_slots),
        AUDIT_TEST(test_p7_pin_without_reference),
        AUDIT_TEST(test_p8_cr3),
        AUDIT_TEST(test_p10_dead_tables),
        AUDIT_TEST(test_d1_window),
        AUDIT_TEST(test_d1_descriptors),
        AUDIT_TEST(test_gdt_frames_refused),
        AUDIT_TEST(test_long_gdt_is_preempted),
        AUDIT_TEST(test_nothing_is_made_up),
        AUDIT_TEST(test_more_than_fit),
        AUDIT_TEST(test_slices_and_pauses),
        AUDIT_TEST(test_changed_meanwhile),
        AUDIT_TEST(test_no_memory),
        AUDIT_TEST(test_teardown_meanwhile),
    };

    fake_seed("pv_audit");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
