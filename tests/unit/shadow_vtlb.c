// SPDX-License-Identifier: BSD-2-Clause
/*
 * The reference mode, shadow=vtlb. The random walk in it, and single rules: what its TLBs keep, what empties them, and
 * what goes at once whatever the guest does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "fake/ram.h"
#include "shadow_tlb.h"

#define ALL (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)

/* All vCPUs on the same tables. */
static int begin(void **state)
{
    model_vtlb = true;
    shadow_begin_4(state);
    for (unsigned int i = 1; i < VCPUS; i++) {
        vcpu[i].guest = vcpu[0].guest;
        model_load(&vcpu[i]);
    }
    return 0;
}

static int end(void **state)
{
    shadow_end(state);
    model_vtlb = false;
    return 0;
}
#define VTLB_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* A store of the guest's that nobody is told of. */
static void store(uint64_t at, uint64_t value)
{
    memcpy((uint8_t *)mfn_to_virt(model_frame(at >> PAGE_SHIFT)) + at % PAGE_SIZE, &value, 8);
    model_wrote(at, 8, value);
}

static void map(unsigned int index, uint64_t gfn, uint64_t flags)
{
    store(PAGE_SIZE + index * 8, gfn << PAGE_SHIFT | flags);
}

static struct access go(struct test_vcpu *t, uint64_t linear, enum oracle_kind kind)
{
    struct access a = {.linear = linear, .kind = kind};

    model_run(t, &a);
    if (a.result == SHADOW_FIXED)
        tlb_remember(t, &a);
    tlb_check();
    return a;
}

/* The access is hardware's, after so many faults, and reaches a guest frame. */
static void reaches(struct test_vcpu *t, uint64_t linear, uint64_t gfn, unsigned int faults)
{
    struct access a = go(t, linear, ORACLE_READ);

    assert_int_equal(a.result, SHADOW_FIXED);
    assert_int_equal(a.at >> PAGE_SHIFT, model_frame(gfn).n);
    assert_int_equal(a.tries, faults);
}

static void test_random(void **state)
{
    fake_seed("shadow");
    model_vtlb = true;
    model_random(fake_ops(150000) / 3);
    model_vtlb = false;
}

/* Tables are memory: not protected, not followed. What the TLB has stands until this vCPU flushes. */
static void test_until_it_flushes(void **state)
{
    map(5, 100, ALL);
    map(6, 1, ALL); /* the table itself */
    for (unsigned int i = 0; i < VCPUS; i++)
        reaches(&vcpu[i], 5 * PAGE_SIZE, 100, 1);
    assert_int_equal(go(&vcpu[0], 6 * PAGE_SIZE, ORACLE_WRITE).result, SHADOW_FIXED);
    for (unsigned int f = 1; f <= 4; f++)
        assert_false(is_table(model_frame(f)));
    map(5, 101, ALL);
    for (unsigned int i = 0; i < VCPUS; i++)
        reaches(&vcpu[i], 5 * PAGE_SIZE, 100, 0);
    model_load(&vcpu[0]);
    reaches(&vcpu[0], 5 * PAGE_SIZE, 101, 1);
    reaches(&vcpu[1], 5 * PAGE_SIZE, 100, 0);
    model_load(&vcpu[1]);
    reaches(&vcpu[1], 5 * PAGE_SIZE, 101, 1);
    assert_int_equal(model_audit(), 0);
}

/* Of a page of 2 MiB that is made of frames of 4 KiB, no part stays behind. */
static void test_parts_of_a_large_page(void **state)
{
    store(2 * PAGE_SIZE + 8, 0 | ALL | PTE_PSE); /* guest frames 0 to 511 */
    for (unsigned int i = 0; i < 3; i++)
        reaches(&vcpu[0], (1ul << 21) + (200 + i) * PAGE_SIZE, 200 + i, 1);
    store(2 * PAGE_SIZE + 8, (uint64_t)SMALL << PAGE_SHIFT | ALL | PTE_PSE);
    model_load(&vcpu[0]);
    reaches(&vcpu[0], (1ul << 21) + 200 * PAGE_SIZE, SMALL + 200, 1);
    for (unsigned int i = 1; i < 3; i++)
        reaches(&vcpu[0], (1ul << 21) + (200 + i) * PAGE_SIZE, SMALL + 200 + i, 0); /* a leaf of 2 MiB */
}

/* A fault of the guest's own takes along what the TLB has for the address, as hardware's does. */
static void test_fault_takes_the_entry(void **state)
{
    struct access a;

    map(5, 100, ALL & ~PTE_RW);
    reaches(&vcpu[0], 5 * PAGE_SIZE, 100, 1);
    map(5, 101, ALL & ~PTE_P);
    reaches(&vcpu[0], 5 * PAGE_SIZE, 100, 0);
    a = go(&vcpu[0], 5 * PAGE_SIZE, ORACLE_WRITE);
    assert_int_equal(a.result, SHADOW_REFLECT);
    assert_int_equal(a.error, PFEC_W);
    map(5, 101, ALL);
    reaches(&vcpu[0], 5 * PAGE_SIZE, 101, 1);
}

/* Rights of all levels, and A and D as in the other mode. */
static void test_rights(void **state)
{
    static const uint64_t none[] = {PTE_RW, PTE_US, PTE_NX};

    for (unsigned int level = 1; level <= 4; level++)
        for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
            struct access w = {.linear = 0, .kind = ORACLE_WRITE}, u = {.linear = 0, .kind = ORACLE_READ, .user = true},
                          x = {.linear = 0, .kind = ORACLE_FETCH};
            uint64_t e = (level > 1 ? level - 1 : 100) << PAGE_SHIFT | PTE_P | PTE_RW | PTE_US;

            store(level * PAGE_SIZE, e ^ none[i]);
            if (level > 1)
                map(0, 100, PTE_P | PTE_RW | PTE_US);
            model_load(&vcpu[0]);
            assert_int_equal(go(&vcpu[0], 0, ORACLE_READ).result, SHADOW_FIXED);
            model_check(&vcpu[0], (model_run(&vcpu[0], &w), &w));
            model_check(&vcpu[0], (model_run(&vcpu[0], &u), &u));
            model_check(&vcpu[0], (model_run(&vcpu[0], &x), &x));
            assert_int_equal(w.result == SHADOW_REFLECT, none[i] == PTE_RW);
            assert_int_equal(u.result == SHADOW_REFLECT, none[i] == PTE_US);
            assert_int_equal(x.result == SHADOW_REFLECT, none[i] == PTE_NX);
            store(level * PAGE_SIZE, e);
        }
}

/* What the P2M takes away goes at once, from all. */
static void test_p2m_at_once(void **state)
{
    map(5, 100, ALL);
    for (unsigned int i = 0; i < VCPUS; i++)
        assert_int_equal(go(&vcpu[i], 5 * PAGE_SIZE, ORACLE_WRITE).result, SHADOW_FIXED);
    model_replace(100);
    for (unsigned int i = 0; i < VCPUS; i++)
        reaches(&vcpu[i], 5 * PAGE_SIZE, 100, 1);
    model_retype(100, P2M_LOGDIRTY);
    for (unsigned int i = 0; i < VCPUS; i++)
        assert_int_equal(go(&vcpu[i], 5 * PAGE_SIZE, ORACLE_WRITE).result, SHADOW_EMULATE);
    model_retype(100, P2M_RAM_RW);
    model_replace(1); /* a table of the guest's moves, which only its P2M knows */
    for (unsigned int i = 0; i < VCPUS; i++)
        assert_int_equal(go(&vcpu[i], 5 * PAGE_SIZE, ORACLE_WRITE).result, SHADOW_FIXED);
}

#define REGIONS 60u

/* A full TLB is emptied in one stretch; what hung in it is used again, and nothing is lost. */
static void test_large_tree(void **state)
{
    unsigned long made;

    for (unsigned int r = 1; r < REGIONS; r++)
        store(2 * PAGE_SIZE + r * 8, 1ul << PAGE_SHIFT | ALL);
    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        map(i, 100 + i % 50, ALL);
    for (unsigned int r = 0; r < REGIONS; r++)
        for (unsigned int i = 0; i < 64; i++)
            go(&vcpu[0], ((uint64_t)r << 21) + i * 8 * PAGE_SIZE, ORACLE_WRITE);
    assert_in_range(d->shadow->pages, REGIONS + 4, REGIONS + 5);
    stretch_begin(STRETCH_TRAP, 0);
    assert_int_equal(shadow_set_paging(&vcpu[0].v), 0);
    assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
    stretch_end();
    assert_int_equal(vcpu[0].v.root->used, 0);
    made = d->shadow->count.made;
    while (d->shadow->count.made < made + 4 * REGIONS) { /* until the pool has been through twice */
        model_load(&vcpu[0]);
        for (unsigned int r = 0; r < REGIONS; r++)
            go(&vcpu[0], (uint64_t)r << 21, ORACLE_WRITE);
    }
    assert_true(d->shadow->count.reclaimed > REGIONS);
    assert_int_equal(model_audit(), 0);
}

/* What still holds in this mode, broken by hand. */
static void test_audit_finds(void **state)
{
    const struct shadow_page *sp;
    spte_t *e;

    map(5, 100, ALL);
    go(&vcpu[0], 5 * PAGE_SIZE, ORACLE_WRITE);
    map(5, 101, ALL & ~PTE_RW); /* the guest's matter */
    assert_int_equal(model_audit(), 0);
    for (sp = vcpu[0].v.root; sp->role.level > 1;)
        sp = page_of_frame(d->shadow, spte_mfn(sp->entry[0]));
    e = &sp->entry[5];
    e->n += (RAM_END - 1 - spte_mfn(*e).n) << PAGE_SHIFT; /* H1 twice: a frame that is not the guest's, and writable */
    assert_int_equal(model_audit(), 2);
    e->n -= (spte_mfn(*e).n - model_frame(100).n) << PAGE_SHIFT;
    assert_int_equal(model_audit(), 0);
}

int shadow_vtlb_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        VTLB_TEST(test_until_it_flushes),
        VTLB_TEST(test_parts_of_a_large_page),
        VTLB_TEST(test_fault_takes_the_entry),
        VTLB_TEST(test_rights),
        VTLB_TEST(test_p2m_at_once),
        VTLB_TEST(test_large_tree),
        VTLB_TEST(test_audit_finds),
    };

    return cmocka_run_group_tests_name("shadow=vtlb", tests, NULL, NULL);
}
