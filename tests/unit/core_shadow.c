// SPDX-License-Identifier: BSD-2-Clause
/*
 * What control tools ask of a domain's shadows: umbra_op and the debug key. The guest is a vCPU's paging state without
 * a processor; it runs unpaged.
 */
#include <hv/hvm.h>
#include <hv/paging_pool.h>
#include <umbra/umbra_op.h>
#include "../../hypervisor/mm/shadow/internal.h"
#include "fake/core.h"

#define PAGES 40u
#define ROOM  200u

static struct domain *d;
static struct hvm_vcpu *hvm;
static struct umbra_op *u;

static void touch(uint64_t gfn)
{
    struct shadow_fault f = {.linear = gfn << PAGE_SHIFT, .access = PFEC_W};

    stretch_end();
    assert_int_equal(shadow_fault(&hvm->shadow, &f), SHADOW_FIXED);
}

/* A domain with one vCPU, which has stored to each of its pages. */
static void begin(void)
{
    struct xen_domctl_createdomain config = core_config(1);

    config.flags = XEN_DOMCTL_CDF_hvm;
    assert_int_equal(domain_create(3, &config, false, &d), 0);
    assert_int_equal(vcpu_create(d, 0), 0);
    d->max_pages = 2 * PAGES;
    stretch_end();
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(p2m_place(d, _gfn(i), alloc_domain_pages(d, 0, 0), 0), 0);
    hvm = d->vcpu[0]->hvm;
    hvm->shadow.s = d->shadow;
    guest_paging_set(&hvm->shadow.paging, shadow_cpu(d->shadow), CR0_PE, 0, 0);
    assert_int_equal(shadow_set_paging(&hvm->shadow), 0);
    hvm->exits[HVM_EXIT_CPUID] = 7;
    hvm->tlbs = 5;
    for (uint64_t i = 0; i < PAGES; i++)
        touch(i);
    core_as(control_domain->vcpu[0]);
    u = guest_new(struct umbra_op);
}

static long shadow_op(domid_t id, unsigned int cmd)
{
    u->cmd = cmd;
    u->interface_version = UMBRA_OP_INTERFACE_VERSION;
    u->domain = id;
    return CALL(umbra_op, u, 0, 0);
}

/* ---- who has no shadows, and whom it is refused ---- */

static void test_errors(void **state)
{
    static const unsigned int cmds[] = {UMBRA_OP_shadow_stats, UMBRA_OP_shadow_audit, UMBRA_OP_shadow_blow,
                                        UMBRA_OP_shadow_dump};

    begin();
    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        for (unsigned int odd = 0; odd < 2; odd++) {
            memset(&u->u, odd ? 0xff : 0, sizeof(u->u));
            assert_int_equal(shadow_op(control_domain->id, cmds[i]), -EOPNOTSUPP);
        }
        assert_int_equal(shadow_op(99, cmds[i]), -ESRCH);
        assert_int_equal(shadow_op(DOMID_IDLE, cmds[i]), -ESRCH);
    }
    assert_int_equal(shadow_op(3, UMBRA_OP_audit), -EOPNOTSUPP); /* that of a PV domain */
    shadow_drop_root(&hvm->shadow);
    d->dying = DOM_DYING;
    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        memset(&u->u, 0, sizeof(u->u));
        assert_int_equal(shadow_op(3, cmds[i]), -EBUSY);
    }
    d->dying = DOM_ALIVE;
}

/* ---- figures ---- */

static uint64_t figure(const struct umbra_figure *f, const char *group, const char *name)
{
    uint64_t sum = 0;
    bool found = false;

    for (unsigned int i = 0; i < u->u.shadow_stats.nr; i++)
        if (!strcmp(f[i].group, group) && !strcmp(f[i].name, name)) {
            sum += f[i].value;
            found = true;
        }
    assert_true(found);
    return sum;
}

static void test_stats(void **state)
{
    struct umbra_figure *f = guest_alloc(ROOM * sizeof(*f));

    begin();
    u->u.shadow_stats = (struct umbra_op_shadow_stats){.room = ROOM, .figures = (unsigned long)f};
    assert_int_equal(shadow_op(3, UMBRA_OP_shadow_stats), 0);
    assert_int_equal(figure(f, "rmap", "leaves_4k"), PAGES);
    assert_int_equal(figure(f, "rmap", "frames_4k"), PAGES);
    assert_int_equal(figure(f, "tables", "0.1"), 1);
    assert_int_equal(figure(f, "tables", "0.3"), 1); /* the root */
    assert_int_equal(figure(f, "tables", "4.4"), 0);
    assert_int_equal(figure(f, "tables", "direct"), 2);
    assert_int_equal(figure(f, "events", "made"), 3);
    assert_int_equal(figure(f, "pool", "shadow"), d->paging_pool->used[PAGING_SHADOW]);
    assert_in_range(figure(f, "stretch", "longest"), 1, figure(f, "stretch", "bound"));
    assert_int_equal(
        figure(f, "work", "fault.0-7") + figure(f, "work", "fault.8-63") + figure(f, "work", "fault.64-255"), PAGES);
    assert_int_equal(figure(f, "work", "fault.more"), 0);
    assert_int_equal(figure(f, "work", "blow.0-7"), 0);
    assert_int_equal(u->u.shadow_stats.position, 1);
    assert_int_equal(shadow_op(3, UMBRA_OP_shadow_stats), 0);
    assert_int_equal(figure(f, "faults", "fixed"), PAGES);
    assert_int_equal(figure(f, "loads", "all"), figure(f, "loads", "made"));
    assert_true(figure(f, "loads", "all") > 0);
    assert_int_equal(figure(f, "lock", "fault"), PAGES);
    assert_int_equal(figure(f, "lock", "fault.busy"), 0);
    assert_int_equal(figure(f, "exits", "cpuid"), 7);
    assert_int_equal(figure(f, "tlb", "begun"), 5);
    assert_int_equal(u->u.shadow_stats.position, UMBRA_FIGURES_end);
    assert_int_equal(shadow_op(3, UMBRA_OP_shadow_stats), 0); /* beyond the end there is nothing */
    assert_int_equal(u->u.shadow_stats.nr, 0);
    for (unsigned int room = 0; room < 3; room++) {
        u->u.shadow_stats = (struct umbra_op_shadow_stats){.room = room, .figures = (unsigned long)f};
        assert_int_equal(shadow_op(3, UMBRA_OP_shadow_stats), -ENOBUFS);
        assert_int_equal(u->u.shadow_stats.nr, room);
    }
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++) {
        u->u.shadow_stats.position = i % 2;
        u->u.shadow_stats.figures = (unsigned long)core_bad_pointer(i, sizeof(*f));
        assert_int_equal(shadow_op(3, UMBRA_OP_shadow_stats), -EFAULT);
    }
    shadow_drop_root(&hvm->shadow);
}

/* ---- audit ---- */

static long audit(unsigned int room, const void *findings)
{
    u->u.shadow_audit = (struct umbra_op_shadow_audit){.room = room, .findings = (unsigned long)findings};
    return shadow_op(3, UMBRA_OP_shadow_audit);
}

static void test_audit(void **state)
{
    struct umbra_shadow_finding *f = guest_alloc(4 * sizeof(*f));
    struct shadow_page *sp;

    begin();
    for (core.preempt = 0; core.preempt < 2; core.preempt++) {
        assert_int_equal(audit(0, NULL), 0);
        assert_int_equal(core.restarts > 2, core.preempt);
        assert_int_equal(u->u.shadow_audit.broken, 0);
        assert_int_equal(u->u.shadow_audit.tables, 3);
        assert_int_equal(u->u.shadow_audit.entries, PAGES + 2);
        assert_int_equal(u->u.shadow_audit.p2m_tables + 1, d->paging_pool->used[PAGING_P2M]);
    }
    sp = page_by_id(d->shadow, hvm->shadow.root->id + 2);
    assert_int_equal(sp->role.level, 1);
    sp->used++; /* H2 */
    sp->entry[5].n ^= PAGE_SIZE;
    d->paging_pool->used[PAGING_SHADOW]++; /* H4, M1 */
    for (unsigned int room = 0; room < 5; room++) {
        core.preempt = room % 2;
        assert_int_equal(audit(room, f), 0);
        assert_int_equal(u->u.shadow_audit.broken, 4);
        assert_int_equal(u->u.shadow_audit.nr, room);
    }
    assert_string_equal(f[0].rule, "H1");
    assert_true(f[0].index == 5 && f[0].gfn == 0 && f[0].entry == sp->entry[5].n);
    assert_string_equal(f[1].rule, "H2");
    assert_string_equal(f[2].rule, "M1");
    assert_string_equal(f[3].rule, "H4");
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++)
        assert_int_equal(audit(1, core_bad_pointer(i, sizeof(*f))), -EFAULT);
    core.preempt = 0;
    sp->used--;
    sp->entry[5].n ^= PAGE_SIZE;
    d->paging_pool->used[PAGING_SHADOW]--;
    set_gpfn_from_mfn(p2m_lookup(d, _gfn(7)).mfn, 9); /* M5 */
    assert_int_equal(audit(4, f), 0);
    assert_string_equal(f[0].rule, "M5");
    assert_int_equal(f[0].gfn, 7);
    set_gpfn_from_mfn(p2m_lookup(d, _gfn(7)).mfn, 7);
    shadow_drop_root(&hvm->shadow);
}

/* Wherever the caller says that the audit was. */
static void test_audit_goes_on_anywhere(void **state)
{
    begin();
    u->u.shadow_audit = (struct umbra_op_shadow_audit){.next = ~0u, .p2m_next = 1};
    assert_int_equal(shadow_op(3, UMBRA_OP_shadow_audit), -EAGAIN); /* no change of the map has that number */
    u->u.shadow_audit = (struct umbra_op_shadow_audit){.next = ~0u, .p2m_next = ~0ul};
    assert_int_equal(shadow_op(3, UMBRA_OP_shadow_audit), -EAGAIN);
    for (unsigned int i = 0; i < 2000; i++) {
        long rc;

        u->u.shadow_audit = (struct umbra_op_shadow_audit){
            .next = (uint32_t)(fake_rand() >> fake_below(64)),
            .p2m_next = fake_rand() >> fake_below(64),
            .p2m_seen = {fake_below(600), fake_below(3)},
            .p2m_changes = fake_below(4) ? PAGES : fake_rand(),
            .p2m_tables = fake_below(5),
        };
        rc = shadow_op(3, UMBRA_OP_shadow_audit);
        assert_true(rc == 0 || rc == -EAGAIN);
    }
    shadow_drop_root(&hvm->shadow);
}

/* ---- blow ---- */

static void test_blow(void **state)
{
    begin();
    for (core.preempt = 0; core.preempt < 3; core.preempt++) {
        assert_int_equal(shadow_op(3, UMBRA_OP_shadow_blow), 0);
        assert_int_equal(d->shadow->pages, 1); /* the root */
        assert_int_equal(hvm->shadow.root->used, 0);
        for (uint64_t i = 0; i < PAGES; i++)
            touch(i);
        assert_int_equal(d->shadow->pages, 3);
    }
    core.preempt = 0;
    assert_int_equal(d->shadow->count.blows, 3);
    core_press('S');
    core_settle();
    core_pass(MILLISECS(10));
    assert_int_equal(d->shadow->count.blows, 4); /* once for each domain, and no more */
    assert_int_equal(d->shadow->pages, 1);
    shadow_drop_root(&hvm->shadow);
}

/* ---- dump ---- */

/* All records, by calls with so much room. */
static unsigned int dump(struct umbra_shadow_record *r, unsigned int room)
{
    unsigned int n = 0, calls = 0;

    u->u.shadow_dump.position = 0;
    do {
        u->u.shadow_dump.room = room;
        u->u.shadow_dump.records = (unsigned long)(r + n);
        assert_int_equal(shadow_op(3, UMBRA_OP_shadow_dump), 0);
        assert_in_range(u->u.shadow_dump.nr, 0, room);
        n += u->u.shadow_dump.nr;
        assert_true(calls++ < 1000);
    } while (u->u.shadow_dump.position != UMBRA_SHADOW_end);
    return n;
}

static void test_dump(void **state)
{
    struct umbra_shadow_record *r = guest_alloc(ROOM * sizeof(*r)), *same = guest_alloc(ROOM * sizeof(*r));
    unsigned int n, leaves = 0;

    begin();
    n = dump(r, ROOM);
    assert_int_equal(n, 3 + 2 + PAGES);
    assert_int_equal(r[0].index, UMBRA_SHADOW_table);
    assert_true(r[0].level == 3 && r[0].format == 0 && r[0].roots == 1 && r[0].used == 1);
    assert_int_equal(r[1].child, r[2].shadow);
    assert_true(r[2].flags & UMBRA_SHADOW_direct);
    for (unsigned int i = 0; i < n; i++)
        if (r[i].index != UMBRA_SHADOW_table && !r[i].child)
            assert_int_equal(r[i].gfn, leaves++);
    assert_int_equal(leaves, PAGES);
    for (core.preempt = 0; core.preempt < 2; core.preempt++)
        for (unsigned int room = 1; room < 60; room += 14) {
            assert_int_equal(dump(same, room), n);
            assert_memory_equal(same, r, n * sizeof(*r));
        }
    core.preempt = 0;
    for (unsigned int i = 0; i < NR_BAD_POINTERS; i++) {
        u->u.shadow_dump =
            (struct umbra_op_shadow_dump){.room = ROOM, .records = (unsigned long)core_bad_pointer(i, sizeof(*r))};
        assert_int_equal(shadow_op(3, UMBRA_OP_shadow_dump), -EFAULT);
    }
    for (unsigned int i = 0; i < 2000; i++) {
        u->u.shadow_dump = (struct umbra_op_shadow_dump){.position = fake_rand() >> fake_below(64),
                                                         .room = fake_below(ROOM),
                                                         .records = (unsigned long)same};
        assert_int_equal(shadow_op(3, UMBRA_OP_shadow_dump), 0);
        assert_in_range(u->u.shadow_dump.nr, 0, n);
    }
    shadow_drop_root(&hvm->shadow);
}

int core_shadow_tests(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_errors), CORE_TEST(test_stats), CORE_TEST(test_audit), CORE_TEST(test_audit_goes_on_anywhere),
        CORE_TEST(test_blow),   CORE_TEST(test_dump),
    };

    return cmocka_run_group_tests_name("shadow tools", tests, NULL, NULL);
}
