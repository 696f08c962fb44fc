// SPDX-License-Identifier: BSD-2-Clause
/*
 * Instructions that are not emulated, and store to a table by which their own code or operands are translated. Hardware
 * does one when nothing about it faults; so here an instruction is done when its fetch and its store work one after
 * the other without a fault in between. Each is done in the end, whatever other vCPUs do, and then nothing is
 * different from before.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "shadow_guest.h"

#define MOVQ    "\x66\x0f\xd6\x03" /* movq %xmm0, (%rbx) */
#define THROUGH (6 * PAGE_SIZE)    /* linear address of the table */
#define AT      (50 * PAGE_SIZE)   /* and of the code */
#define ENTRY   9u                 /* that is stored to */

static struct emul_segment flat[SEG_COUNT];
static enum insn_mode mode;
static struct cpu_user_regs regs;
static unsigned int rounds; /* that the last instruction took */

/* It faults, and then the table is none for it. */
static void give_up(struct test_vcpu *t, const struct access *a)
{
    struct emul e = {.mode = mode, .regs = &regs, .seg = flat};

    assert_int_equal(a->result, SHADOW_EMULATE);
    assert_int_equal(shadow_emulate(&t->v, &e, false, false), EMULATE_UNHANDLED);
    model_give_up(t, &regs, a->at);
    assert_int_equal(model_audit(), 0);
}

static void others_work(unsigned int percent)
{
    for (unsigned int i = 1; i < VCPUS; i++)
        if (fake_chance(percent))
            assert_int_equal(go_on(&vcpu[i], AT, ORACLE_FETCH, false).result, SHADOW_FIXED);
}

/* One instruction stores a value of 8 bytes, while others run through the same tables. */
static void execute_movq(struct test_vcpu *t, uint64_t to, uint64_t value, unsigned int others)
{
    struct access fetch, store;
    uint64_t gfn;

    regs = (struct cpu_user_regs){.rip = AT, .rbx = to};
    for (rounds = 0;; rounds++) {
        assert_in_range(rounds, 0, 1000);
        fetch = go_on(t, AT, ORACLE_FETCH, false);
        assert_int_equal(fetch.result, SHADOW_FIXED);
        store = go_on(t, to, ORACLE_WRITE, false);
        if (store.result == SHADOW_FIXED && !store.tries && !fetch.tries)
            break;
        if (store.result != SHADOW_FIXED)
            give_up(t, &store);
        others_work(others);
    }
    gfn = get_gpfn_from_mfn(_mfn(store.at >> PAGE_SHIFT));
    model_will_store((gfn << PAGE_SHIFT) + to % PAGE_SIZE, 8);
    memcpy((uint8_t *)mfn_to_virt(model_frame(gfn)) + to % PAGE_SIZE, &value, 8);
    model_wrote((gfn << PAGE_SHIFT) + to % PAGE_SIZE, 8, value);
}

static void put_code(void)
{
    model_store(CODE * PAGE_SIZE, 4, 0x03d60f66);
    assert_memory_equal(mfn_to_virt(model_frame(CODE)), MOVQ, 4);
}

/* The vCPU's TLB says what the tables say, and it is like all others again when it flushes. */
static void flushed(struct test_vcpu *t)
{
    assert_int_equal(model_audit(), 0);
    model_load(t);
    assert_false(t->v.apart);
    assert_int_equal(go_on(t, AT, ORACLE_FETCH, false).result, SHADOW_FIXED);
    assert_int_equal(model_audit(), 0);
}

static void protected_again(void)
{
    flushed(CPU);
    assert_int_equal(go(THROUGH, ORACLE_WRITE, false).result, SHADOW_EMULATE);
}

static void all_on_the_same_tables(void)
{
    for (unsigned int i = 1; i < VCPUS; i++) {
        vcpu[i].guest = CPU->guest;
        model_load(&vcpu[i]);
    }
}

/* Tables of each level, the top one too, which may be the root of others. */
static void test_table_of_its_own(void **state)
{
    mode = INSN_64;
    put_code();
    map(50, CODE, ALL);
    for (uint64_t table = 1; table <= 4; table++) {
        map(6, table, ALL);
        model_load(CPU);
        execute_movq(CPU, THROUGH + ENTRY * 8, (100 + table) << PAGE_SHIFT | ALL, 0);
        assert_in_range(rounds, 2, 8);
        assert_true(CPU->v.apart);
        assert_false(is_table(model_frame(table)));
        execute_movq(CPU, THROUGH + ENTRY * 8 + 16, 0, 0); /* the next one is not even noticed */
        assert_in_range(rounds, 0, 1);
        protected_again();
        assert_true(is_table(model_frame(table)));
    }
    assert_int_equal(d->shadow->count.apart, 4);
}

/* Others make a table of it again and again, and have it for their root. */
static void test_while_others_run(void **state)
{
    mode = INSN_64;
    fake_seed("shadow: apart");
    put_code();
    map(50, CODE, ALL);
    all_on_the_same_tables();
    for (unsigned int i = 0; i < 200; i++) {
        struct test_vcpu *t = &vcpu[i % VCPUS];

        map(6, 1 + i % 4, ALL);
        for (unsigned int n = 0; n < VCPUS; n++)
            model_load(&vcpu[n]);
        others_work(100);
        execute_movq(t, THROUGH + ENTRY * 8, i & 1 ? 0 : 100ul << PAGE_SHIFT | ALL, 60);
        flushed(t);
    }
    assert_in_range(d->shadow->count.apart, 100, 600);
}

/* 3 levels: the directory. 2 levels: directory and table in one. */
static void test_other_formats(void **state)
{
    mode = INSN_32;
    put_code();
    map(50, CODE, ALL);
    map(6, 2, ALL);
    CPU->guest.efer = EFER_NXE;
    CPU->guest.pdpte[0] = 2 * PAGE_SIZE | PTE_P;
    model_load(CPU);
    execute_movq(CPU, THROUGH + ENTRY * 8, 100ul << PAGE_SHIFT | ALL, 0);
    assert_true(CPU->v.apart);
    protected_again();

    CPU->guest.efer = 0;
    CPU->guest.cr4 = 0;
    CPU->guest.cr3 = 10 * PAGE_SIZE;
    model_store(10 * PAGE_SIZE, 4, 10 * PAGE_SIZE | ALL); /* entry 0 is the directory itself */
    model_store(10 * PAGE_SIZE + 6 * 4, 4, 10 * PAGE_SIZE | ALL);
    model_store(10 * PAGE_SIZE + 50 * 4, 4, CODE * PAGE_SIZE | ALL);
    model_load(CPU);
    execute_movq(CPU, THROUGH + 8 * 4, 0, 0);
    assert_true(CPU->v.apart);
    protected_again();
}

/* What is no table for the instruction's sake is given up once, and its vCPU goes on as before. */
static void test_others_tables(void **state)
{
    mode = INSN_64;
    put_code();
    map(50, CODE, ALL);
    for (unsigned int i = 0; i < 20; i++) { /* a loop over tables: another place each time */
        map(6, 200 + i, ALL);
        model_store(2 * PAGE_SIZE + 8, 8, (200ul + i) << PAGE_SHIFT | ALL);
        model_store((200 + i) * PAGE_SIZE, 8, 101ul << PAGE_SHIFT | ALL);
        go(1ul << 21, ORACLE_READ, false);
        execute_movq(CPU, THROUGH + i * 8, 0, 0);
        assert_false(is_table(model_frame(200 + i)));
    }
    assert_int_equal(d->shadow->count.apart, 0);
}

/*
 * A directory names a table where no memory is. It reads as ones, and with 2 levels ones are an entry, for the highest
 * frame; there is memory. Hardware goes there, and so does the vCPU.
 */
static void test_table_of_ones(void **state)
{
    static const enum oracle_kind kinds[] = {ORACLE_READ, ORACLE_WRITE, ORACLE_FETCH};
    struct page_info *pg = alloc_domain_pages(d, 0, 0);
    struct access a = {.linear = 0x12345};

    memset(page_to_virt(pg), 0, PAGE_SIZE);
    stretch_point();
    assert_int_equal(p2m_place(d, _gfn(0xfffff), pg, 0), 0);
    CPU->guest.cr4 = 0;
    CPU->guest.efer = 0;
    CPU->guest.cr3 = 10 * PAGE_SIZE;
    model_store(10 * PAGE_SIZE, 4, (FRAMES + 5) << PAGE_SHIFT | ALL);
    model_store(10 * PAGE_SIZE + 4, 4, 11 * PAGE_SIZE | ALL);
    model_store(11 * PAGE_SIZE, 4, 100 * PAGE_SIZE | ALL);
    model_load(CPU);
    for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
        a.kind = kinds[i];
        model_run(CPU, &a);
        assert_int_equal(a.result, SHADOW_FIXED);
        assert_int_equal(a.at, mfn_to_maddr(page_to_mfn(pg)).n + 0x345);
    }
    assert_int_equal(go(4ul << 20, ORACLE_WRITE, true).result, SHADOW_FIXED); /* others as ever */
    model_load(CPU);
    assert_false(CPU->v.apart);
    model_store(10 * PAGE_SIZE, 4, 11 * PAGE_SIZE | ALL);
    assert_int_equal(go(5, ORACLE_READ, false).at, mfn_to_maddr(model_frame(100)).n + 5);
    assert_false(CPU->v.apart);
    assert_int_equal(model_audit(), 0);
}

/* A small pool holds both trees, one after the other. */
static void test_small_pool(void **state)
{
    unsigned long use = d->paging_pool->used[PAGING_P2M] + d->paging_pool->used[PAGING_SHADOW];

    mode = INSN_64;
    put_code();
    map(50, CODE, ALL);
    map(6, 4, ALL);
    stretch_point();
    while (paging_pool_resize(d, use + 16) == -ERESTART)
        stretch_point();
    execute_movq(CPU, THROUGH + ENTRY * 8, 0, 0);
    flushed(CPU);
}

int shadow_apart_tests(void)
{
    const struct CMUnitTest tests[] = {
        SHADOW_TEST(test_table_of_its_own), SHADOW_TEST(test_while_others_run), SHADOW_TEST(test_other_formats),
        SHADOW_TEST(test_others_tables),    SHADOW_TEST(test_small_pool),       SHADOW_TEST(test_table_of_ones),
    };

    return cmocka_run_group_tests_name("shadow: a vCPU apart", tests, NULL, NULL);
}
