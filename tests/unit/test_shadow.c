// SPDX-License-Identifier: BSD-2-Clause
/*
 * Shadow paging against the oracle. A guest's vCPUs access random linear addresses in all paging modes, through tables
 * that they and others store to. The oracle says on the guest's own tables what has to happen; hardware is the oracle
 * once more, on the shadows, with a TLB that keeps what it was not told to forget. The P2M changes meanwhile, the pool
 * is small, everything is thrown away now and then, and the audit agrees all the time. Replay with UMBRA_SEED;
 * UMBRA_OPS sets the length. The other tests are single rules.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include <hv/logdirty.h>
#include "shadow_guest.h"
#include "shadow_lend.h"

static void test_random(void **state)
{
    fake_seed("shadow");
    model_alternate = true;
    model_random(fake_ops(150000));
    model_alternate = false;
}

/* Neighbours that the guest has accessed come with an entry: within eight, with the rights that they have. */
static void test_ahead(void **state)
{
    unsigned int level;

    map(16, 100, ALL);
    map(17, 101, ALL & ~PTE_D);
    map(18, 102, ALL & ~PTE_A);
    map(19, 103, ALL & ~PTE_P);
    map(20, 104, ALL & ~PTE_RW);
    map(23, 1, ALL); /* a table */
    map(24, 105, ALL);
    assert_int_equal(go(17 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_true(leaf(16 * PAGE_SIZE, &level) & PTE_RW);
    assert_false(leaf(17 * PAGE_SIZE, &level) & PTE_RW); /* not dirty */
    assert_int_equal(leaf(18 * PAGE_SIZE, &level), 0);
    assert_int_equal(leaf(19 * PAGE_SIZE, &level), 0);
    assert_int_equal(leaf(20 * PAGE_SIZE, &level) & (PTE_P | PTE_RW), PTE_P);
    assert_int_equal(leaf(23 * PAGE_SIZE, &level) & (PTE_P | PTE_RW), PTE_P);
    assert_int_equal(leaf(24 * PAGE_SIZE, &level), 0);
}

/* One fault makes every level, a second access none. */
static void test_one_fault(void **state)
{
    struct access a;
    unsigned int level;

    map(5, 100, ALL);
    a = go(5 * PAGE_SIZE, ORACLE_READ, true);
    assert_int_equal(a.result, SHADOW_FIXED);
    assert_int_equal(a.tries, 1);
    assert_int_equal(go(5 * PAGE_SIZE + 8, ORACLE_WRITE, false).tries, 0);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & PTE_ADDR, model_frame(100).n << PAGE_SHIFT);
    assert_int_equal(level, 1);
    assert_int_equal(d->shadow->pages, 4 + VCPUS - 1); /* and the other vCPUs' roots */
}

/* The shadow is read-only until the guest's D bit is set, and not there until A is. */
static void test_accessed_and_dirty(void **state)
{
    unsigned int level;

    map(5, 100, PTE_P | PTE_RW | PTE_US);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level), 0);
    go(5 * PAGE_SIZE, ORACLE_READ, false);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & PTE_RW, 0);
    go(5 * PAGE_SIZE, ORACLE_WRITE, false);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & PTE_RW, PTE_RW);
    map(5, 100, PTE_P | PTE_RW | PTE_US | PTE_A); /* the guest cleans it */
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & (PTE_P | PTE_RW), PTE_P);
    map(5, 100, PTE_P | PTE_RW | PTE_US);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level), 0);
}

/* A store to a shadowed table is not hardware's; done, the new translation is there without a fault. */
static void test_store_to_table(void **state)
{
    struct access a;

    map(5, 100, ALL);
    map(6, 1, ALL); /* the table itself */
    go(5 * PAGE_SIZE, ORACLE_READ, false);
    a = go(6 * PAGE_SIZE + 5 * 8, ORACLE_WRITE, false);
    assert_int_equal(a.result, SHADOW_EMULATE);
    assert_int_equal(a.at, PAGE_SIZE + 5 * 8);
    model_store(a.at, 8, 101ul << PAGE_SHIFT | ALL);
    a = go(5 * PAGE_SIZE, ORACLE_WRITE, false);
    assert_int_equal(a.tries, 0);
    assert_int_equal(a.at >> PAGE_SHIFT, model_frame(101).n);
}

/* The guest makes a page read-only, has not flushed yet, and then it is a table: no TLB may store to it. */
static void test_stale_write(void **state)
{
    map(5, 200, ALL);
    for (unsigned int i = 0; i < 4 * TLB_SIZE; i++)
        go(5 * PAGE_SIZE, ORACLE_WRITE, false);
    map(5, 200, ALL & ~PTE_RW);
    model_store(2 * PAGE_SIZE + 8, 8, 200ul << PAGE_SHIFT | ALL);
    model_store(200 * PAGE_SIZE, 8, 101ul << PAGE_SHIFT | ALL);
    go(1ul << 21, ORACLE_READ, false);
    assert_true(is_table(model_frame(200)));
}

/* A compare and swap changes a table and what was made from it, if it finds what it expects. */
static void test_swap_in_table(void **state)
{
    static const unsigned int sizes[] = {8, 4, 2, 1, 8, 3};
    uint64_t at = PAGE_SIZE + 5 * 8, old = 7;

    map(5, 100, ALL);
    go(5 * PAGE_SIZE, ORACLE_READ, false);
    assert_int_equal(shadow_swap(d, _gpa(at), 8, &old, 0), 0);
    assert_int_equal(old, 100ul << PAGE_SHIFT | ALL); /* it did not */
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).tries, 0);
    assert_int_equal(shadow_swap(d, _gpa(at), 8, &old, 101ul << PAGE_SHIFT | ALL), 0);
    model_wrote(at, 8, 101ul << PAGE_SHIFT | ALL);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(101).n);
    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t place = 300 * PAGE_SIZE + 16 * i + (i > 3 ? 1 : 0), mask = ~0ull >> (64 - 8 * sizes[i]);

        old = 0;
        assert_int_equal(shadow_swap(d, _gpa(place), sizes[i], &old, 0x1122334455667788), 0);
        assert_int_equal(old, 0);
        assert_int_equal(shadow_swap(d, _gpa(place), sizes[i], &old, 5), 0);
        assert_int_equal(old, 0x1122334455667788 & mask);
        model_wrote(place, sizes[i], 0x1122334455667788);
    }
    assert_int_equal(shadow_swap(d, _gpa(2 * PAGE_SIZE - 1), 2, &old, 0), -EFAULT);
    assert_int_equal(shadow_swap(d, _gpa(FRAMES * PAGE_SIZE), 8, &old, 0), -EFAULT);
}

/* ---- instructions ---- */

/* Instructions that store to a shadowed table are completed, and so is what they mean. */
static void test_emulated_stores(void **state)
{
    uint64_t at = 6 * PAGE_SIZE + 5 * 8;
    struct cpu_user_regs regs = {.rbx = at, .rcx = 101ul << PAGE_SHIFT | ALL};
    struct emul e;

    map(5, 100, ALL);
    map(6, 1, ALL); /* the table itself */
    go(5 * PAGE_SIZE, ORACLE_READ, false);
    assert_int_equal(go(at, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(EXECUTE(&e, &regs, "\x48\x89\x0b"), EMULATE_DONE); /* mov %rcx, (%rbx) */
    assert_int_equal(regs.rip, 50 * PAGE_SIZE + 3);
    model_wrote(PAGE_SIZE + 5 * 8, 8, regs.rcx);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(101).n);

    regs.rax = regs.rcx;
    regs.rcx = 102ul << PAGE_SHIFT | ALL;
    assert_int_equal(EXECUTE(&e, &regs, "\xf0\x48\x0f\xb1\x0b"), EMULATE_DONE); /* lock cmpxchg %rcx, (%rbx) */
    model_wrote(PAGE_SIZE + 5 * 8, 8, regs.rcx);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).at >> PAGE_SHIFT, model_frame(102).n);
    assert_int_equal(EXECUTE(&e, &regs, "\xf0\x48\x0f\xba\x33\x00"), EMULATE_DONE); /* lock btr $0, (%rbx) */
    model_wrote(PAGE_SIZE + 5 * 8, 8, regs.rcx & ~PTE_P);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_REFLECT);

    regs.rbx = 60 * PAGE_SIZE + 8; /* not mapped */
    assert_int_equal(EXECUTE(&e, &regs, "\x48\x89\x0b"), EMULATE_FAULT);
    assert_int_equal(e.fault.vector, 14);
    assert_int_equal(e.fault.error, PFEC_W);
    assert_int_equal(e.fault.linear, regs.rbx);
    assert_int_equal(regs.rip, 50 * PAGE_SIZE);
}

/* A repeated store to a table that cannot be given up: each stretch is within the bound and gets on. */
static void test_repeated_stores(void **state)
{
    struct cpu_user_regs regs = {.rdi = 7 * PAGE_SIZE + 256 * 8, .rcx = 256};
    enum emulate_result r = EMULATE_RETRY;
    unsigned int stretches = 0;
    struct emul e;

    map(7, 4, ALL); /* the top table */
    for (uint64_t left = 256; left; left = regs.rcx, stretches++) {
        assert_int_equal(go(regs.rdi, ORACLE_WRITE, false).result, SHADOW_EMULATE);
        stretch_begin(STRETCH_TRAP, 14);
        r = EXECUTE(&e, &regs, "\xf3\x48\xab"); /* rep stosq */
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_end();
        assert_true(regs.rcx < left);
    }
    assert_int_equal(r, EMULATE_DONE);
    assert_int_equal(stretches, 4); /* of 6 units for each store and shadow */
}

/* What a device was asked for; it gives a pattern. */
static struct {
    gpa_t at;
    unsigned int bytes, reads, writes;
    uint64_t value;
} asked;

static void device(gpa_t at, unsigned int bytes, bool write, uint64_t *value)
{
    asked.at = at;
    asked.bytes = bytes;
    asked.reads += !write;
    asked.writes += write;
    asked.value = *value;
    if (!write)
        *value = 0x1122334455667788 & insn_mask(bytes);
}

/* Where no memory is, the vCPU's device takes part, in parts at the end of a page; without one nothing is done. */
static void test_device(void **state)
{
    struct cpu_user_regs regs = {.rbx = 7 * PAGE_SIZE + 8, .rcx = 0xabcdef};
    struct emul e;

    map(6, 101, ALL);
    map(7, FRAMES + 3, ALL);
    assert_int_equal(EXECUTE(&e, &regs, "\x89\x0b"), EMULATE_UNHANDLED); /* mov %ecx, (%rbx) */
    memset(&asked, 0, sizeof(asked));
    CPU->v.device = device;
    assert_int_equal(EXECUTE(&e, &regs, "\x89\x0b"), EMULATE_DONE);
    assert_int_equal(asked.at.n, (FRAMES + 3) * PAGE_SIZE + 8);
    assert_int_equal(asked.bytes, 4);
    assert_int_equal(asked.value, 0xabcdef);
    assert_int_equal(EXECUTE(&e, &regs, "\x01\x0b"), EMULATE_DONE); /* add %ecx, (%rbx) */
    assert_int_equal(asked.value, 0x55667788 + 0xabcdef);
    assert_int_equal(asked.reads, 1);
    assert_int_equal(asked.writes, 2);
    regs.rbx = 7 * PAGE_SIZE - 4; /* half of it is memory */
    model_store(101 * PAGE_SIZE + PAGE_SIZE - 4, 4, 0x99aabbcc);
    assert_int_equal(EXECUTE(&e, &regs, "\x48\x8b\x03"), EMULATE_UNHANDLED); /* mov (%rbx), %rax: a load */
    e.loads = true;
    assert_int_equal(shadow_emulate(&CPU->v, &e, false, false), EMULATE_DONE);
    assert_int_equal(regs.rax, 0x5566778899aabbcc);
    model_retype(101, P2M_RAM_RO);
    regs.rbx = 6 * PAGE_SIZE; /* read-only memory is a device for stores */
    assert_int_equal(EXECUTE(&e, &regs, "\x89\x0b"), EMULATE_DONE);
    assert_int_equal(asked.at.n, 101 * PAGE_SIZE);
    regs.rip = 7 * PAGE_SIZE; /* no code comes from one */
    assert_int_equal(shadow_emulate(&CPU->v, &e, false, false), EMULATE_UNHANDLED);
    /* Repeated stores to it are counted as those to tables are. */
    memset(&asked, 0, sizeof(asked));
    regs.rdi = 7 * PAGE_SIZE;
    regs.rcx = PAGE_SIZE;
    stretch_begin(STRETCH_TRAP, 14);
    assert_int_equal(EXECUTE(&e, &regs, "\xf3\xaa"), EMULATE_RETRY); /* rep stosb */
    assert_in_range(asked.writes, STRETCH_BOUND / 2, STRETCH_BOUND);
    assert_int_equal(regs.rcx, PAGE_SIZE - asked.writes);
    assert_in_range(this_cpu(stretch_now).work, asked.writes, STRETCH_BOUND);
    stretch_end();
    CPU->v.device = NULL;
}

/* What is not emulated the guest does by itself, once the frame is no table any more. */
static void test_give_up(void **state)
{
    struct cpu_user_regs regs = {.rbx = 6 * PAGE_SIZE + 16};
    struct emul e;

    map(6, 200, ALL);
    model_store(2 * PAGE_SIZE + 8, 8, 200ul << PAGE_SHIFT | ALL); /* frame 200 as a table for 2 MiB */
    model_store(200 * PAGE_SIZE, 8, 101ul << PAGE_SHIFT | ALL);
    go(1ul << 21, ORACLE_READ, false);
    assert_int_equal(go(regs.rbx, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(EXECUTE(&e, &regs, "\x66\x0f\xd6\x03"), EMULATE_UNHANDLED); /* movq %xmm0, (%rbx) */
    assert_true(shadow_give_up(&CPU->v, &regs, _gpa(200 * PAGE_SIZE + 16)));
    assert_int_equal(go(regs.rbx, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_false(CPU->v.apart);
    assert_true(shadow_give_up(&CPU->v, &regs, _gpa(FRAMES * PAGE_SIZE))); /* no memory is there any more */
}

/* User mode does not store to tables: a frame in which it does is none. Nor is one that is stored to again and again.
 */
static void test_no_table_any_more(void **state)
{
    map(5, 100, ALL);
    map(6, 200, ALL);
    model_store(2 * PAGE_SIZE + 8, 8, 200ul << PAGE_SHIFT | ALL); /* frame 200 as a table for 2 MiB */
    model_store(200 * PAGE_SIZE, 8, 101ul << PAGE_SHIFT | ALL);
    go(1ul << 21, ORACLE_READ, false);
    assert_true(is_table(model_frame(200)));
    assert_int_equal(go(6 * PAGE_SIZE + 16, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(go(6 * PAGE_SIZE + 16, ORACLE_WRITE, true).result, SHADOW_FIXED);
    assert_false(is_table(model_frame(200)));
    go(1ul << 21, ORACLE_READ, false);
    assert_true(is_table(model_frame(200)));
    for (unsigned int i = 0; i < 200 && is_table(model_frame(200)); i++)
        model_store(200 * PAGE_SIZE + 8 * i, 8, 0);
    assert_false(is_table(model_frame(200)));
}

/* The flags of an entry, or one half of it, are stored to by whoever has a table; what is not aligned is not. */
static void test_misaligned_store(void **state)
{
    static const struct {
        unsigned int offset, bytes;
        bool table;
    } cases[] = {{8, 1, true},  {8, 4, true},   {12, 4, true}, {16, 8, true}, {9, 1, false},
                 {8, 2, false}, {20, 8, false}, {6, 4, false}, {15, 2, false}};

    map(6, 200, ALL);
    model_store(2 * PAGE_SIZE + 8, 8, 200ul << PAGE_SHIFT | ALL);
    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        model_store(200 * PAGE_SIZE, 8, 101ul << PAGE_SHIFT | ALL);
        go(1ul << 21, ORACLE_READ, false);
        assert_true(is_table(model_frame(200)));
        model_store(200 * PAGE_SIZE + cases[i].offset, cases[i].bytes, 0);
        assert_int_equal(is_table(model_frame(200)), cases[i].table);
    }
}

/* 2 MiB at once, until a table lies in it, and again when it does no more. */
static void test_large_leaf(void **state)
{
    uint64_t linear = 1ul << 21;
    unsigned int level;

    model_store(2 * PAGE_SIZE + 8, 8, (uint64_t)SMALL << PAGE_SHIFT | ALL | PTE_PSE);
    assert_int_equal(go(linear + 0x12345, ORACLE_WRITE, false).tries, 1);
    assert_true(leaf(linear, &level) & PTE_PSE);
    assert_int_equal(level, 2);
    assert_int_equal(go(linear + 0x100000, ORACLE_READ, true).tries, 0);
    model_store(2 * PAGE_SIZE + 16, 8, (SMALL + 9ul) << PAGE_SHIFT | ALL); /* a table inside */
    model_store((SMALL + 9) * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    go(2ul << 21, ORACLE_READ, false);
    assert_int_equal(leaf(linear, &level), 0);
    assert_int_equal(go(linear, ORACLE_WRITE, false).result, SHADOW_FIXED);
    leaf(linear, &level);
    assert_int_equal(level, 1);
    assert_int_equal(go(linear + 9 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(go(linear + 9 * PAGE_SIZE, ORACLE_WRITE, true).result, SHADOW_FIXED);
    model_blow();
    go(linear, ORACLE_WRITE, false);
    leaf(linear, &level);
    assert_int_equal(level, 2);
}

static unsigned int level_at(uint64_t linear)
{
    unsigned int level;

    return leaf(linear, &level) ? level : 0;
}

/* The table inside goes, in each of the ways that it can: the next fault anywhere in the 2 MiB joins them again. */
static void test_large_leaf_again(void **state)
{
    uint64_t linear = 1ul << 21, names = (SMALL + 9ul) << PAGE_SHIFT | ALL;

    model_store(2 * PAGE_SIZE + 8, 8, (uint64_t)SMALL << PAGE_SHIFT | ALL | PTE_PSE);
    for (unsigned int way = 0; way < 3; way++) {
        model_store(2 * PAGE_SIZE + 16, 8, names);
        model_store((SMALL + 9) * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
        go(2ul << 21, ORACLE_READ, false);
        for (uint64_t page = 0; page < 9; page += 4)
            assert_int_equal(go(linear + page * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
        assert_int_equal(level_at(linear), 1);
        if (way == 0) /* it is data again, for user mode */
            assert_int_equal(go(linear + 9 * PAGE_SIZE, ORACLE_WRITE, true).result, SHADOW_FIXED);
        if (way == 1) /* the guest takes it out of its tree */
            model_store(2 * PAGE_SIZE + 16, 8, 0);
        for (unsigned int i = 0; way == 2 && i < 8; i++) /* it is filled with something */
            model_store((SMALL + 9) * PAGE_SIZE + i * 8, 8, 0);
        assert_false(is_table(model_frame(SMALL + 9)));
        if (way)
            assert_int_equal(level_at(linear), 1); /* what was faulted in stays until then */
        assert_int_equal(go(linear + 300 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
        assert_int_equal(level_at(linear), 2);
        assert_int_equal(go(linear, ORACLE_WRITE, true).tries, 0);
        assert_int_equal(model_audit(), 0);
    }
}

/* An instruction that reads from one page and stores to another of a large one, while stores are logged, gets on. */
static void test_large_leaf_logged(void **state)
{
    uint64_t from = (1ul << 21) + 0x1000, to = (1ul << 21) + 0x2000;
    unsigned int level;

    logdirty_harvest = false;
    model_store(2 * PAGE_SIZE + 8, 8, (uint64_t)SMALL << PAGE_SHIFT | ALL | PTE_PSE);
    while (logdirty_enable(d) == -ERESTART)
        ;
    assert_int_equal(go(from, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_true(leaf(from, &level) & PTE_PSE);
    assert_int_equal(go(to, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_int_equal(go(from, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(go(to, ORACLE_WRITE, false).tries, 0);
    assert_int_equal(go(from, ORACLE_READ, false).tries, 0);
    assert_false(leaf(from, &level) & PTE_RW);
    while (logdirty_disable(d) == -ERESTART)
        ;
    model_blow();
    go(to, ORACLE_WRITE, false);
    leaf(to, &level);
    assert_int_equal(level, 2);
}

/* A page of user mode that is read-only: without WP the supervisor stores to it and user mode goes on reading. */
static void test_without_wp(void **state)
{
    unsigned int level;

    map(5, 100, ALL & ~PTE_RW);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_REFLECT);
    CPU->guest.cr0 &= ~CR0_WP;
    CPU->guest.cr4 |= CR4_SMEP;
    model_load(CPU);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & (PTE_RW | PTE_US | PTE_NX), PTE_RW | PTE_NX);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_FETCH, false).result, SHADOW_REFLECT);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_READ, true).result, SHADOW_FIXED);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, true).result, SHADOW_REFLECT);
    map(5, 100, ALL);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, true).result, SHADOW_FIXED);
    model_store(2 * PAGE_SIZE, 8, 1ul << PAGE_SHIFT | (ALL & ~PTE_RW)); /* the level above, where leaves got it from */
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, true).result, SHADOW_REFLECT);
    CPU->guest.cr4 |= CR4_SMAP;
    CPU->guest.eflags_ac = true;
    model_load(CPU);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_EMULATE);
}

/* What stores there with SMAP, and is not emulated, gets on: as without SMAP. To a table it is a store to a table. */
static void test_past_smap(void **state)
{
    struct shadow_fault f = {.linear = 5 * PAGE_SIZE, .access = PFEC_W, .smap_exempt = true, .not_emulated = true};
    unsigned int level;

    CPU->guest.cr0 &= ~CR0_WP;
    CPU->guest.cr4 |= CR4_SMAP;
    CPU->guest.eflags_ac = true;
    model_load(CPU);
    map(5, 100, ALL & ~PTE_RW);
    map(6, 1, ALL & ~PTE_RW); /* the table itself */
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(shadow_fault(&CPU->v, &f), SHADOW_FIXED);
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & (PTE_P | PTE_RW | PTE_US), PTE_P | PTE_RW);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_READ, true).result, SHADOW_FIXED); /* and user mode has it back */
    assert_int_equal(leaf(5 * PAGE_SIZE, &level) & (PTE_P | PTE_RW | PTE_US), PTE_P | PTE_US);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    f.linear = 6 * PAGE_SIZE + 64;
    assert_int_equal(shadow_fault(&CPU->v, &f), SHADOW_EMULATE);
    assert_true(f.table);
    assert_int_equal(model_audit(), 0);
}

/* What the P2M does not give, no entry does. */
static void test_kinds_of_memory(void **state)
{
    struct access a = {.linear = 6 * PAGE_SIZE, .kind = ORACLE_WRITE};

    map(5, 100, ALL);
    map(6, 101, ALL);
    map(7, FRAMES + 3, ALL);
    go(6 * PAGE_SIZE, ORACLE_WRITE, false);
    model_retype(101, P2M_RAM_RO);
    model_run(CPU, &a);
    assert_int_equal(a.result, SHADOW_MMIO);
    assert_int_equal(shadow_store(d, _gpa(101 * PAGE_SIZE), 8, 1), -EFAULT);
    assert_int_equal(go(7 * PAGE_SIZE + 4, ORACLE_READ, false).result, SHADOW_MMIO);
    assert_int_equal(shadow_store(d, _gpa((FRAMES + 3) * PAGE_SIZE), 8, 1), -EFAULT);
    assert_int_equal(shadow_store(d, _gpa(PAGE_SIZE - 4), 8, 1), -EFAULT); /* not within a frame */
    assert_int_equal(shadow_store(d, _gpa(PAGE_SIZE), 0, 1), -EFAULT);
    assert_int_equal(shadow_store(d, _gpa(~0ul), 1, 1), -EFAULT);
    assert_int_equal(shadow_store(d, _gpa(PAGE_SIZE), 9, 1), -EFAULT);
}

/* Another domain's memory is data: no code, and no tables. */
static void test_borrowed_memory(void **state)
{
    struct access a;

    map(5, 100, ALL);
    model_store(2 * PAGE_SIZE + 8, 8, 100ul << PAGE_SHIFT | ALL);
    lend_or_return(100, true);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_WRITE, false).result, SHADOW_FIXED);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_FETCH, false).result, SHADOW_MMIO);
    a = go(1ul << 21, ORACLE_READ, false);
    assert_int_equal(a.result, SHADOW_REFLECT);
    assert_int_equal(a.error, PFEC_P | PFEC_RSVD);
    model_replace(100);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_FETCH, false).result, SHADOW_FIXED);
}

/* 1500 writable leaves, in three tables from 2 MiB on. */
static void map_often(uint64_t gfn)
{
    for (unsigned int t = 0; t < 3; t++) {
        model_store(2 * PAGE_SIZE + (1 + t) * 8, 8, (20ul + t) << PAGE_SHIFT | ALL);
        for (unsigned int i = 0; i < 500; i++)
            model_store((20 + t) * PAGE_SIZE + i * 8, 8, gfn << PAGE_SHIFT | ALL);
        for (unsigned int i = 0; i < 500; i++)
            go(((1ul + t) << 21) + i * PAGE_SIZE, ORACLE_WRITE, false);
    }
}

/* A frame that is mapped 1500 times becomes a table: each fault protects a part, and it ends. */
static void test_many_mappings(void **state)
{
    struct access a;

    map_often(200);
    model_store(2 * PAGE_SIZE + 32, 8, 200ul << PAGE_SHIFT | ALL);
    model_store(200 * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    a = go(4ul << 21, ORACLE_READ, false);
    assert_int_equal(a.result, SHADOW_FIXED);
    assert_in_range(a.tries, 3, 6);
    assert_int_equal(go(1ul << 21, ORACLE_WRITE, false).result, SHADOW_EMULATE);
    assert_int_equal(model_audit(), 0);
}

/* One fault for an address, and no more; then an audit. */
static void fault_once(uint64_t linear)
{
    struct shadow_fault f = {.linear = linear};

    stretch_begin(STRETCH_TRAP, 14);
    assert_int_equal(shadow_fault(&CPU->v, &f), SHADOW_FIXED);
    stretch_end();
    assert_int_equal(model_audit(), 0);
}

/* While a frame becomes a table, which takes several faults, the audit finds nothing wrong with its mappings. */
static void test_audit_meanwhile(void **state)
{
    map_often(200);
    model_store(2 * PAGE_SIZE + 32, 8, 200ul << PAGE_SHIFT | ALL);
    model_store(200 * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    fault_once(4ul << 21);
    assert_true(is_table(model_frame(200)));
    assert_int_equal(go(4ul << 21, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(model_audit(), 0);
}

/* The same with leaves of 2 MiB that cover it; and when it is a table one such leaf is a find. */
static void test_audit_of_cover(void **state)
{
    struct page_info *first;
    entry_ref r;

    for (uint64_t t = 0; t < 2; t++) {
        model_store(3 * PAGE_SIZE + (1 + t) * 8, 8, (20 + t) << PAGE_SHIFT | ALL);
        for (uint64_t i = 0; i < PT_ENTRIES; i++) {
            model_store((20 + t) * PAGE_SIZE + i * 8, 8, (uint64_t)SMALL << PAGE_SHIFT | ALL | PTE_PSE);
            go(((1 + t) << 30) + (i << 21), ORACLE_WRITE, false);
        }
    }
    model_store(2 * PAGE_SIZE + 16, 8, (SMALL + 9ul) << PAGE_SHIFT | ALL);
    model_store((SMALL + 9) * PAGE_SIZE, 8, 100ul << PAGE_SHIFT | ALL);
    first = mfn_to_page(model_frame(SMALL));
    fault_once(2ul << 21);
    assert_true(first->shadow.rmap_2m);
    r = first->shadow.rmap_2m;
    assert_int_equal(go(2ul << 21, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_int_equal(first->shadow.rmap_2m, 0);
    assert_int_equal(model_audit(), 0);
    first->shadow.rmap_2m = r;
    assert_int_equal(model_audit(), 1);
    first->shadow.rmap_2m = 0;
}

/* The table under a vCPU's root goes from the P2M: the vCPU goes on with what comes to stand there. */
static void test_root_goes(void **state)
{
    map(5, 100, ALL);
    go(5 * PAGE_SIZE, ORACLE_READ, false);
    model_replace(4);
    assert_int_equal(CPU->v.root->used, 0);
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
    assert_true(mfn_eq(CPU->v.root->table, model_frame(4)));
}

/* Mapped more often than a stretch can forget: changes of the P2M wait, say so, and get through. */
static void test_p2m_waits(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);
    struct p2m_range r = {.gfn = _gfn(200), .mfn = page_to_mfn(pg), .type = P2M_RAM_RW};
    struct p2m_audit audit = {0};
    unsigned int waits = 0;

    map_often(200);
    memset(page_to_virt(pg), 0, PAGE_SIZE);
    stretch_point();
    assert_int_equal(p2m_place(d, _gfn(200), pg, 0), -ERESTART);
    assert_false(mfn_eq(model_frame(200), r.mfn));
    /* Nor does it move at once, to where there is no table yet: none is made until it can. */
    stretch_point();
    map_often(200);
    stretch_point();
    assert_int_equal(p2m_move(d, mfn_to_page(model_frame(200)), _gfn(3ul << 27)), -ERESTART);
    while (p2m_audit(d, &audit) == -ERESTART)
        stretch_point();
    assert_int_equal(audit.broken.count, 0);
    stretch_point();
    while (p2m_set(d, &r) == -ERESTART) {
        assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
        stretch_point();
        waits++;
    }
    assert_in_range(waits, 1, 3);
    assert_true(mfn_eq(model_frame(200), r.mfn));
    assert_int_equal(go(1ul << 21, ORACLE_WRITE, false).at >> PAGE_SHIFT, r.mfn.n);
    assert_int_equal(model_audit(), 0);
}

/* Fewer frames than one translation needs: it is said, nothing is lost, and more frames mend it. */
static void test_small_pool(void **state)
{
    struct access a = {.linear = 5 * PAGE_SIZE, .kind = ORACLE_READ};
    unsigned long use;

    map(5, 100, ALL);
    model_blow();
    use = d->paging_pool->used[PAGING_P2M] + d->paging_pool->used[PAGING_SHADOW];
    while (paging_pool_resize(d, use + 2) == -ERESTART)
        stretch_point();
    model_run(CPU, &a);
    assert_int_equal(a.result, SHADOW_NOMEM);
    assert_int_equal(model_audit(), 0);
    while (paging_pool_resize(d, use + 60) == -ERESTART)
        stretch_point();
    assert_int_equal(go(5 * PAGE_SIZE, ORACLE_READ, false).result, SHADOW_FIXED);
}

/* Each invariant, broken by hand, is found. */
static void test_audit_finds(void **state)
{
    struct shadow_page *sp;
    unsigned int level;
    uint64_t good;

    map(5, 100, ALL);
    map(6, 1, ALL & ~PTE_RW);
    go(5 * PAGE_SIZE, ORACLE_WRITE, false);
    go(6 * PAGE_SIZE, ORACLE_READ, false);
    assert_int_equal(model_audit(), 0);
    sp = page_by_id(d->shadow, mfn_to_page(model_frame(1))->shadow.tables);
    good = leaf(5 * PAGE_SIZE, &level);
    sp->entry[5].n = good + PAGE_SIZE; /* H1: another frame */
    assert_int_equal(model_audit(), 1);
    sp->entry[5].n = good & ~PTE_NX;
    model_store(PAGE_SIZE + 7 * 8, 8, 0);
    sp->entry[5].n = good;
    sp->entry[6].n |= PTE_RW; /* H1 and H3: beyond the guest's rights, and a table that can be written */
    assert_int_equal(model_audit(), 2);
    sp->entry[6].n &= ~PTE_RW;
    sp->link[5].next = ref_of(sp, 6); /* H2 */
    assert_int_equal(model_audit(), 1);
    sp->link[5].next = ref_of(sp, 5);
    sp->used++; /* H2 */
    assert_int_equal(model_audit(), 1);
    sp->used--;
    assert_int_equal(model_audit(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        SHADOW_TEST(test_one_fault),
        SHADOW_TEST(test_accessed_and_dirty),
        SHADOW_TEST(test_store_to_table),
        SHADOW_TEST(test_swap_in_table),
        SHADOW_TEST(test_emulated_stores),
        SHADOW_TEST(test_ahead),
        SHADOW_TEST(test_repeated_stores),
        SHADOW_TEST(test_give_up),
        SHADOW_TEST(test_device),
        SHADOW_TEST(test_stale_write),
        SHADOW_TEST(test_no_table_any_more),
        SHADOW_TEST(test_large_leaf),
        SHADOW_TEST(test_large_leaf_logged),
        SHADOW_TEST(test_without_wp),
        SHADOW_TEST(test_kinds_of_memory),
        SHADOW_TEST(test_many_mappings),
        SHADOW_TEST(test_root_goes),
        SHADOW_TEST(test_p2m_waits),
        SHADOW_TEST(test_small_pool),
        SHADOW_TEST(test_audit_finds),
        SHADOW_TEST(test_borrowed_memory),
        SHADOW_TEST(test_misaligned_store),
        SHADOW_TEST(test_past_smap),
        SHADOW_TEST(test_large_leaf_again),
        SHADOW_TEST(test_audit_meanwhile),
        SHADOW_TEST(test_audit_of_cover),
    };

    return cmocka_run_group_tests_name("shadow", tests, NULL, NULL) | shadow_ahead_tests() | shadow_unsync_tests() |
           shadow_part_tests() | shadow_shrink_tests() | shadow_apart_tests() | shadow_vtlb_tests() |
           shadow_order_tests() | shadow_roots_tests();
}
