// SPDX-License-Identifier: BSD-2-Clause
/*
 * Weaknesses that were published for other implementations of shadow paging, one a test: what was wrong there, and what
 * has to hold here. All stand on shadow_model.c, so the oracle, the TLBs and the audit watch, and model_end finds what
 * is left.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/logdirty.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define VICTIM 200ul

/* An entry of any table. */
static void entry(uint64_t table, unsigned int index, uint64_t gfn, uint64_t flags)
{
    model_store((table << PAGE_SHIFT) + index * 8, 8, gfn << PAGE_SHIFT | flags);
}

static void check_run(uint64_t linear)
{
    struct access a = {.linear = linear, .kind = ORACLE_READ};

    model_run(CPU, &a);
    model_check(CPU, &a);
    assert_int_equal(a.result, SHADOW_FIXED);
}

/* ---- counts that overflow ---- */

/* 2 directories from 1 GiB on, of 512 entries: 64 tables, each with all eight combinations of rights. */
#define ALIAS_TABLES 64u
static void make_aliases(void)
{
    static const uint64_t rights[] = {0, PTE_RW, PTE_US, PTE_RW | PTE_US};

    for (unsigned int t = 0; t < 2 * ALIAS_TABLES; t++)
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            entry(30 + t, i, VICTIM, ALL);
    for (unsigned int dir = 0; dir < 2; dir++) {
        entry(3, 1 + dir, 20 + dir, ALL);
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            entry(20 + dir, i, 30 + dir * ALIAS_TABLES + i % ALIAS_TABLES,
                  PTE_P | PTE_A | rights[i / ALIAS_TABLES % 4] | (i >= PT_ENTRIES / 2 ? PTE_NX : 0));
    }
}

/* Each fault brings the eight entries around. */
static void touch_aliases(void)
{
    for (unsigned long i = 0; i < 2 * PT_ENTRIES * PT_ENTRIES; i += 8)
        check_run((1ul << 30) + i * PAGE_SIZE);
}

/*
 * A frame's references were counted in a field that a guest could make overflow by mapping the frame often enough: then
 * it was freed while it was mapped, or the host stopped. Without WP a table has a shadow for all rights that lead to
 * it, so 128 tables of a guest map one frame a million times here. There is no count that could overflow: mappings
 * are a ring. All can be protected, and all can go, each step within the bound.
 */
static void test_frame_mapped_a_million_times(void **state)
{
    guest_4(4300);
    make_aliases();
    CPU->guest.cr0 &= ~CR0_WP;
    for (unsigned int smep = 0; smep < 2; smep++) {
        CPU->guest.cr4 = CR4_PAE | (smep ? CR4_SMEP : 0);
        model_load(CPU);
        touch_aliases();
    }
    assert_true(d->shadow->count.entries[RING_4K] >= 1u << 20);
    assert_int_equal(d->shadow->count.reclaimed, 0);
    model_replace(VICTIM); /* nothing may lead to it any more */
    assert_int_equal(d->shadow->count.entries[RING_4K], 0);
    /* What stands there now becomes a table: nobody may store to it. */
    touch_aliases();
    entry(2, 1, VICTIM, ALL);
    entry(VICTIM, 0, 100, ALL);
    go(1ul << 21, ORACLE_READ, false);
    assert_true(is_table(model_frame(VICTIM)));
    assert_int_equal(go((1ul << 30) + (ALIAS_TABLES << 21), ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(model_audit(), 0);
    model_replace(VICTIM);
    assert_true(d->shadow->count.entries[RING_4K] < PT_ENTRIES);
    assert_int_equal(model_audit(), 0);
    model_end();
}

/* The same for a table: 66,000 entries name it, more than 16 bits count. It can go, and no entry is left behind. */
static void test_table_named_by_very_many(void **state)
{
    unsigned int n = 130;

    guest_4(400);
    map(0, 100, ALL);
    for (unsigned int dir = 0; dir < n; dir++) {
        entry(3, 1 + dir, 30 + dir, ALL);
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            entry(30 + dir, i, 1, ALL);
    }
    for (unsigned long i = 0; i < n * PT_ENTRIES; i++)
        check_run((1ul << 30) + (i << 21));
    assert_true(d->shadow->count.entries[RING_PARENTS] > 1u << 16);
    model_replace(1);
    assert_true(d->shadow->count.entries[RING_PARENTS] <= n + 3);
    assert_int_equal(model_audit(), 0);
    check_run(1ul << 30);
    model_end();
}

/* ---- tables freed too early ---- */

static void roots_are_there(void)
{
    for (unsigned int i = 0; i < VCPUS; i++) {
        const struct shadow_page *root = vcpu[i].v.root;
        mfn_t m = maddr_to_mfn(shadow_root(&vcpu[i].v));

        assert_non_null(root->entry);
        assert_true(root->roots > 0);
        assert_ptr_equal(page_of_frame(d->shadow, m), root);
        assert_true(mfn_eq(page_mfn(root), m));
    }
    assert_int_equal(model_audit(), 0);
}

static void pool_of(unsigned long more)
{
    unsigned long use = d->paging_pool->used[PAGING_P2M] + d->paging_pool->used[PAGING_SHADOW];

    stretch_point();
    while (paging_pool_resize(d, use + more) == -ERESTART)
        stretch_point();
}

/*
 * The shadow of a top-level table was freed while a vCPU still ran on it: by another vCPU's change of CR3, by reclaim,
 * by the guest's stores to the table. Here two vCPUs run on one root, and everything is done to it that takes shadows
 * away.
 */
static void test_top_level_freed_early(void **state)
{
    static const struct cpu_user_regs regs;
    struct shadow_page *root = CPU->v.root;

    vcpu[1].guest = CPU->guest;
    vcpu[1].guest.memory = CPU->guest.memory;
    model_load(&vcpu[1]);
    assert_ptr_equal(vcpu[1].v.root, root);
    assert_int_equal(root->roots, 2);
    map(5, 100, ALL);
    map(6, 4, ALL); /* the top-level table as a page */
    for (unsigned int i = 0; i < 2; i++)
        go_on(&vcpu[i], 5 * PAGE_SIZE, ORACLE_WRITE, true);
    roots_are_there();
    go(6 * PAGE_SIZE, ORACLE_WRITE, true); /* user mode stores to it */
    roots_are_there();
    for (unsigned int i = 0; i < 600; i++) /* a flood */
        entry(4, 256, 0, 0);
    roots_are_there();
    model_blow();
    roots_are_there();
    pool_of(0);
    (void)shadow_give_up(&CPU->v, &regs, _gpa(PAGE_SIZE));
    roots_are_there();
    pool_of(60);
    CPU->guest.cr3 = 5 * PAGE_SIZE; /* one goes, the other stays */
    model_load(CPU);
    assert_int_equal(root->roots, 1);
    roots_are_there();
    CPU->guest.cr3 = 4 * PAGE_SIZE;
    model_load(CPU);
    assert_int_equal(root->roots, 2);
    for (unsigned int i = 0; i < 2; i++)
        go_on(&vcpu[i], 5 * PAGE_SIZE, ORACLE_WRITE, true);
    model_replace(4); /* the table under it goes: each finds the new one by its next fault, the last one frees it */
    for (unsigned int i = 0; i < 2; i++) {
        assert_ptr_equal(vcpu[i].v.root, root);
        roots_are_there();
        go_on(&vcpu[i], 5 * PAGE_SIZE, ORACLE_WRITE, true);
        assert_ptr_not_equal(vcpu[i].v.root, root);
        roots_are_there();
    }
}

/* ---- allocations that fail ---- */

static void do_first_fault(void)
{
    map(5, 100, ALL);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
}

static void do_large_page(void)
{
    entry(2, 1, 0, ALL | PTE_PSE); /* of frames with entries of their own, tables among them */
    assert_int_equal(go((1ul << 21) + 100 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_int_equal(go((1ul << 21) + 2 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_EMULATE);
}

static void do_pae(void)
{
    CPU->guest.efer = EFER_NXE;
    CPU->guest.pdpte[1] = 2 * PAGE_SIZE | PTE_P;
    map(5, 100, ALL);
    model_load(CPU);
    assert_int_equal(go((1ul << 30) + 5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
}

static void do_two_levels(void)
{
    CPU->guest.efer = 0;
    CPU->guest.cr4 = CR4_PSE;
    CPU->guest.cr3 = 10 * PAGE_SIZE;
    for (unsigned int i = 0; i < 4; i++)
        model_store(10 * PAGE_SIZE + i * 1024, 4, 11 * PAGE_SIZE | ALL);
    model_store(11 * PAGE_SIZE + 4 * 600, 4, 100 * PAGE_SIZE | ALL);
    model_load(CPU);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(go((i << 30) + 600 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
}

static void do_unpaged(void)
{
    CPU->guest.cr0 = CR0_PE;
    CPU->guest.efer = 0;
    model_load(CPU);
    assert_int_equal(go(SIZE - PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
}

static void do_changes_of_the_p2m(void)
{
    do_large_page();
    model_retype(SMALL + 7, P2M_LOGDIRTY);
    model_replace(SMALL + 9);
    model_replace(1);
    assert_int_equal(go((1ul << 21) + 100 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
}

/*
 * Memory was to be had at the start of an operation and not half-way, where nobody looked. Every allocation of each of
 * these operations is refused once, and eight times in a row; whatever was begun is a sound state, and the operation
 * ends as it would have.
 */
static void test_allocation_fails_half_way(void **state)
{
    static void (*const operations[])(void) = {do_first_fault, do_large_page, do_pae,
                                               do_two_levels,  do_unpaged,    do_changes_of_the_p2m};
    unsigned int refused, points = 0;

    for (unsigned int o = 0; o < ARRAY_SIZE(operations); o++)
        for (unsigned int times = 1; times <= 8; times += 7)
            for (unsigned int n = 1;; n++, points++) {
                guest_4(400);
                model_refuse(n, times);
                operations[o]();
                refused = model_refuse(0, 0);
                assert_int_equal(model_audit(), 0);
                model_end();
                if (!refused)
                    break;
            }
    assert_in_range(points, 2 * 2 * ARRAY_SIZE(operations), 500);
}

static int retype(uint64_t gfn, enum p2m_type from, enum p2m_type to)
{
    struct p2m_retype r = {.gfn = _gfn(gfn), .n = 1, .from = from, .to = to};

    stretch_point();
    return p2m_change_type(d, &r);
}

/*
 * Frames for log-dirty tracking were not among those that were made sure of beforehand: when the pool had just enough
 * for the shadows, they took a frame of a table that was in use. Here tracked memory costs a table of the P2M, when a
 * large entry is split. With any number of frames left over, a change of type and a fault either work, or say that
 * there are too few, and all is sound.
 */
static void test_log_dirty_in_a_pool_of_any_size(void **state)
{
    bool works = false;

    for (unsigned long more = 0; more < 24; more++) {
        struct access a = {.linear = 5 * PAGE_SIZE, .kind = ORACLE_WRITE};
        bool tracked;

        guest_4(400);
        map(5, SMALL + 7, ALL);
        model_blow();
        pool_of(more);
        model_run(CPU, &a);
        tracked = retype(SMALL + 7, P2M_RAM_RW, P2M_LOGDIRTY) == 0;
        assert_true(tracked || more == 0);
        assert_int_equal(model_audit(), 0);
        a.tries = 0;
        model_run(CPU, &a);
        assert_false(tracked && a.result == SHADOW_FIXED); /* each store is to be noted */
        assert_int_equal(model_audit(), 0);
        assert_true(!tracked || retype(SMALL + 7, P2M_LOGDIRTY, P2M_RAM_RW) == 0);
        a.tries = 0;
        model_run(CPU, &a);
        assert_true(a.result == SHADOW_FIXED || (a.result == SHADOW_NOMEM && !works));
        works = a.result == SHADOW_FIXED;
        assert_int_equal(model_audit(), 0);
        model_end();
    }
    assert_true(works);
}

static int log_whole(int (*op)(struct domain *))
{
    int rc;

    do {
        stretch_begin(STRETCH_TEARDOWN, 0);
        rc = op(d);
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
    } while (rc == -ERESTART);
    return rc;
}

static bool is_logged(uint64_t gfn)
{
    uint8_t bits[FRAMES / 8] = {0};
    struct logdirty_read peek = {.bitmap = bits, .pages = FRAMES};

    stretch_point();
    while (logdirty_read(d, &peek) == -ERESTART)
        stretch_point();
    return bits[gfn / 8] >> gfn % 8 & 1;
}

/* Memory so far away that the log needs nodes of its own for it, as does the P2M. It comes, or it does not; if there is
 * no room for its bits, all memory counts as stored to. */
static void place_far_away(bool logged)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);
    unsigned long used = d->paging_pool->used[PAGING_LOGDIRTY];
    int rc;

    do {
        stretch_point();
        rc = p2m_place(d, _gfn(1ul << 26), pg, 0);
    } while (rc == -ERESTART);
    assert_true(rc == 0 || rc == -ENOMEM);
    if (rc)
        free_domain_page(pg);
    else
        assert_true(!logged || d->paging_pool->used[PAGING_LOGDIRTY] > used || d->logdirty.all);
}

/* With so many frames left over: did the log come on, and the access get done? */
static void log_with(unsigned long more, bool *on, bool *done)
{
    struct access a = {.linear = 5 * PAGE_SIZE, .kind = ORACLE_WRITE};
    int rc;

    guest_4(400);
    map(5, 100, ALL);
    model_blow();
    pool_of(more);
    model_run(CPU, &a);
    rc = log_whole(logdirty_enable);
    assert_true(rc == 0 || rc == -ENOMEM);
    assert_int_equal(model_audit(), 0);
    *on = rc == 0;
    place_far_away(*on);
    a.tries = 0;
    model_run(CPU, &a);
    assert_true(a.result == SHADOW_FIXED || a.result == SHADOW_NOMEM);
    *done = a.result == SHADOW_FIXED;
    if (*on && *done)
        assert_true(is_logged(100));
    assert_int_equal(model_audit(), 0);
    assert_int_equal(log_whole(logdirty_disable), 0);
    assert_int_equal(d->paging_pool->used[PAGING_LOGDIRTY], 0);
    model_end();
}

/*
 * The same for the log itself, whose bits stand in frames of the pool: when it is turned on, and when memory comes
 * while it is on. Each of them gets its frames or says that there are too few, and the shadows that stand there are
 * sound.
 */
static void test_log_in_a_pool_of_any_size(void **state)
{
    bool on, done, refused = false;

    for (unsigned long more = 0; more < 40; more++) {
        log_with(more, &on, &done);
        refused |= !on || !done;
    }
    assert_true(refused);
    assert_true(on && done);
}

/* ---- frame numbers that do not fit ---- */

/*
 * The frame number of a superpage was kept in a field narrower than a guest's addresses, so that one page stood for
 * another. Here are frames whose numbers differ beyond 28 and 32 bits only; each superpage leads to its own.
 */
static void test_superpage_wider_than_its_field(void **state)
{
    static const uint64_t at[] = {1ul << 28, 1ul << 32, 1ul << 33, (1ul << 36) - (1ul << 18)};
    struct page_info *pg;

    model_phys_bits = 48;
    guest_4(400);
    for (unsigned int i = 0; i < ARRAY_SIZE(at); i++) {
        pg = alloc_domain_pages(d, 0, 0);
        assert_int_equal(p2m_place(d, _gfn(at[i] + 3), pg, 0), 0);
        entry(2, 1, at[i], ALL | PTE_PSE);
        entry(3, 1, at[i], ALL | PTE_PSE); /* 1 GiB */
        for (unsigned int shift = 21; shift <= 30; shift += 9) {
            assert_int_equal(go((1ul << shift) + 3 * PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT,
                             page_to_mfn(pg).n);
            assert_int_equal(go((1ul << shift) + 4 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_MMIO);
        }
    }
    entry(2, 1, 1ul << 36, ALL | PTE_PSE); /* beyond what the processor has */
    assert_int_equal(go((1ul << 21) + 3 * PAGE_SIZE, ORACLE_READ, false).error & PFEC_RSVD, PFEC_RSVD);
    model_end();
    model_phys_bits = 40;
}

/* Where 2 MiB are not counted there is no leaf of 2 MiB: nobody would split it for a table inside. */
static void test_large_leaf_beyond_the_counters(void **state)
{
    uint64_t gfn = REGION_PAGES * REGIONS_PER_PAGE * REGION_FRAMES;
    struct page_info *pg;
    unsigned int level;

    model_phys_bits = 48;
    guest_4(400);
    pg = alloc_domain_pages(d, 9, 0);
    assert_non_null(pg);
    assert_int_equal(p2m_place(d, _gfn(gfn), pg, 9), 0);
    entry(2, 1, gfn, ALL | PTE_PSE);
    assert_int_equal(go((1ul << 21) + 3 * PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, page_to_mfn(pg).n + 3);
    leaf((1ul << 21) + 3 * PAGE_SIZE, &level);
    assert_int_equal(level, 1);
    model_end();
    model_phys_bits = 40;
}

/* ---- error paths ---- */

/*
 * When a change of tables failed half-way, the error path left with the other table in force. Each allocation of a
 * load of CR3 is refused: the vCPU keeps a root that is there, no lock is held, and the next try makes the right one.
 */
static void test_error_path_that_switches_tables(void **state)
{
    static const uint64_t efer[] = {EFER_LME | EFER_LMA | EFER_NXE, EFER_NXE};

    for (unsigned int mode = 0; mode < ARRAY_SIZE(efer); mode++) /* to another root of 4 levels, to one of PAE */
        for (unsigned int n = 1; n <= 3; n++) {
            guest_4(400);
            map(5, 100, ALL);
            go(5 * PAGE_SIZE, ORACLE_READ, false);
            CPU->guest.cr3 = 8 * PAGE_SIZE;
            CPU->guest.efer = efer[mode];
            guest_paging_set(&CPU->v.paging, shadow_cpu(d->shadow), CPU->guest.cr0, CPU->guest.cr4, efer[mode]);
            CPU->v.paging.cr3 = CPU->guest.cr3;
            model_refuse(n, 1000);
            for (unsigned int tries = 0; tries < 20; tries++) {
                stretch_point();
                if (shadow_set_paging(&CPU->v) == 0)
                    break;
                assert_int_equal(fake_locks_held, 0);
                roots_are_there();
            }
            model_refuse(0, 0);
            model_load(CPU);
            roots_are_there();
            assert_int_equal(CPU->v.root->role.levels, mode ? 3 : 4);
            model_end();
        }
}

/* ---- references of emulated stores ---- */

static uint64_t references(void)
{
    uint64_t sum = 0;

    for (uint64_t gfn = 0; gfn < FRAMES; gfn++)
        sum += mfn_to_page(model_frame(gfn))->count_info & PGC_count_mask;
    return sum;
}

/*
 * An emulated store that crossed into a second page, or failed there, kept a reference to the first, until the count
 * overflowed. Stores with every outcome leave all counts as they were.
 */
static void test_emulated_stores_leak_no_reference(void **state)
{
    static const struct {
        uint64_t at;
        enum emulate_result result;
    } stores[] = {
        {6 * PAGE_SIZE + 40, EMULATE_DONE},
        {7 * PAGE_SIZE - 3, EMULATE_UNHANDLED},
        {8 * PAGE_SIZE, EMULATE_FAULT},
        {9 * PAGE_SIZE, EMULATE_UNHANDLED},
        {10 * PAGE_SIZE - 4, EMULATE_UNHANDLED},
        {12 * PAGE_SIZE - 4, EMULATE_UNHANDLED},
        {1ul << 47, EMULATE_FAULT},
    };
    struct emul e;
    uint64_t before;

    map(6, 1, ALL); /* a table; the page after it is not there */
    map(8, 101, ALL & ~PTE_RW);
    map(9, FRAMES + 3, ALL); /* no memory */
    map(11, 4, ALL);         /* two tables in a row */
    map(12, 3, ALL);
    go(6 * PAGE_SIZE, ORACLE_READ, false);
    execute(&e, &(struct cpu_user_regs){.rbx = stores[0].at}, "\x90", 1); /* its entry is there from now on */
    before = references();
    for (unsigned int i = 0; i < ARRAY_SIZE(stores); i++) {
        struct cpu_user_regs regs = {.rbx = stores[i].at};

        assert_int_equal(EXECUTE(&e, &regs, "\x48\x89\x0b"), stores[i].result); /* mov %rcx, (%rbx) */
        assert_int_equal(references(), before);
        EXECUTE(&e, &regs, "\xf0\x48\x0f\xb1\x0b"); /* lock cmpxchg %rcx, (%rbx) */
        assert_int_equal(references(), before);
        EXECUTE(&e, &regs, "\x66\x0f\xd6\x03"); /* movq %xmm0, (%rbx): not emulated */
        assert_int_equal(references(), before);
    }
}

/* ---- tables that name themselves ---- */

/* All of a linear address's indices. */
static uint64_t address(unsigned int l4, unsigned int l3, unsigned int l2, unsigned int l1)
{
    uint64_t a = (uint64_t)l4 << 39 | (uint64_t)l3 << 30 | (uint64_t)l2 << 21 | (uint64_t)l1 << 12;

    return (uint64_t)((int64_t)(a << 16) >> 16);
}

static unsigned int shadows_of(uint64_t gfn)
{
    unsigned int n = 0;

    for (uint32_t id = mfn_to_page(model_frame(gfn))->shadow.tables; id; id = page_by_id(d->shadow, id)->next_of_table)
        n++;
    return n;
}

/*
 * A store of many bytes to a table with many shadows was followed at once, however long that took. Here a hypercall
 * overwrites a page with 16 shadows; it costs next to nothing, and before a vCPU runs again, in as many stretches as it
 * takes, they have gone.
 */
static void test_table_overwritten(void **state)
{
    static const uint64_t rights[] = {0, PTE_RW, PTE_US, PTE_RW | PTE_US};
    static uint64_t entries[PT_ENTRIES];

    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        entry(VICTIM, i, 100 + i % 50, ALL);
        entries[i] = (150 + i % 50) << PAGE_SHIFT | ALL;
    }
    for (unsigned int i = 0; i < 8; i++)
        entry(2, 1 + i, VICTIM, PTE_P | PTE_A | rights[i % 4] | (i >= 4 ? PTE_NX : 0));
    CPU->guest.cr0 &= ~CR0_WP;
    for (unsigned int smep = 0; smep < 2; smep++) {
        CPU->guest.cr4 = CR4_PAE | (smep ? CR4_SMEP : 0);
        model_load(CPU);
        for (unsigned int i = 0; i < 8 * PT_ENTRIES; i += 8)
            check_run((1ul << 21) + i * PAGE_SIZE);
    }
    assert_int_equal(shadows_of(VICTIM), MAX_SHADOWS);
    model_will_store(VICTIM * PAGE_SIZE + 64, 8);
    stretch_begin(STRETCH_TRAP, 14);
    assert_int_equal(shadow_store(d, _gpa(VICTIM * PAGE_SIZE + 64), 8, 0), 0);
    assert_in_range(this_cpu(stretch_now).work, 2 * MAX_SHADOWS, STORE_WORK);
    stretch_end();
    model_wrote(VICTIM * PAGE_SIZE + 64, 8, 0);
    model_overwrite(VICTIM * PAGE_SIZE, PAGE_SIZE, (const uint8_t *)entries);
    assert_false(is_table(model_frame(VICTIM)));
    assert_int_equal(model_audit(), 0);
    for (unsigned int i = 0; i < 8; i++)
        assert_int_equal(go(((1ul + i) << 21) + 7 * PAGE_SIZE, ORACLE_READ, false).at >> PAGE_SHIFT,
                         model_frame(157).n);
}

/*
 * Self-linear maps: a table that is its own entry made counts of types and levels go round in a circle, so that it was
 * never freed, or freed while it named itself. Here the top-level table names itself: it is shadowed at four levels at
 * once, each naming the next, and is a page as well. Stores through the map work, and everything goes.
 */
static void test_self_linear_map(void **state)
{
    struct access a;

    entry(4, 511, 4, ALL);
    map(5, 100, ALL);
    assert_int_equal(go(address(511, 511, 511, 511), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(4).n);
    assert_int_equal(go(address(511, 511, 511, 0), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(3).n);
    assert_int_equal(go(address(511, 511, 0, 0), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(2).n);
    assert_int_equal(go(address(511, 0, 0, 0), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(1).n);
    assert_int_equal(go(address(0, 0, 0, 5), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(100).n);
    assert_int_equal(shadows_of(4), 4);
    assert_int_equal(shadows_of(1), 1);
    a = go(address(511, 0, 0, 0) + 5 * 8, ORACLE_WRITE, false);
    assert_int_equal(a.result, SHADOW_EMULATE);
    model_store(a.at, 8, 101ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(address(0, 0, 0, 5), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(101).n);
    a = go(address(511, 511, 511, 511) + 511 * 8, ORACLE_WRITE, true); /* its own entry, from user mode */
    assert_int_equal(a.result, SHADOW_EMULATE);
    assert_int_equal(model_audit(), 0);
    entry(4, 511, 0, 0);
    assert_int_equal(go(address(511, 511, 511, 511), ORACLE_READ, false).result, SHADOW_REFLECT);
    entry(4, 511, 4, ALL);
    go(address(511, 511, 511, 511), ORACLE_READ, false);
    model_replace(4);
    assert_int_equal(go(address(511, 511, 511, 511), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(4).n);
    model_blow();
    assert_int_equal(go(address(511, 511, 0, 0), ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(2).n);
}

/* The same with 2 levels, where the directory has four shadows as such and two as a table; and a directory of PAE. */
static void test_self_linear_map_of_32_bits(void **state)
{
    for (unsigned int i = 0; i < 1024; i++)
        model_store(10 * PAGE_SIZE + i * 4, 4, (i < 1023 ? 11 : 10) * PAGE_SIZE | ALL);
    CPU->guest.cr4 = 0;
    CPU->guest.efer = 0;
    CPU->guest.cr3 = 10 * PAGE_SIZE;
    model_load(CPU);
    for (uint64_t i = 0; i < 1024; i += 31)
        go(0xffc00000 + i * PAGE_SIZE, ORACLE_READ, false);
    assert_int_equal(go(0xfffff000, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(10).n);
    assert_int_equal(go(0xfffffffc, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_in_range(shadows_of(10), 3, 6);
    assert_int_equal(model_audit(), 0);

    entry(12, 511, 12, ALL);
    CPU->guest.cr4 = CR4_PAE;
    CPU->guest.pdpte[3] = 12 * PAGE_SIZE | PTE_P;
    model_load(CPU);
    assert_int_equal(go(0xfffff000, ORACLE_READ, false).at >> PAGE_SHIFT, model_frame(12).n);
    assert_int_equal(go(0xfffff000 + 511 * 8, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(shadows_of(12), 2);
    assert_int_equal(model_audit(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_mapped_a_million_times),
        cmocka_unit_test(test_table_named_by_very_many),
        SHADOW_TEST(test_top_level_freed_early),
        cmocka_unit_test(test_allocation_fails_half_way),
        cmocka_unit_test(test_log_dirty_in_a_pool_of_any_size),
        cmocka_unit_test(test_log_in_a_pool_of_any_size),
        cmocka_unit_test(test_superpage_wider_than_its_field),
        cmocka_unit_test(test_large_leaf_beyond_the_counters),
        cmocka_unit_test(test_error_path_that_switches_tables),
        SHADOW_TEST(test_emulated_stores_leak_no_reference),
        SHADOW_TEST(test_table_overwritten),
        SHADOW_TEST(test_self_linear_map),
        SHADOW_TEST(test_self_linear_map_of_32_bits),
    };

    return cmocka_run_group_tests_name("shadow weaknesses", tests, NULL, NULL);
}
