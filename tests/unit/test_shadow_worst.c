// SPDX-License-Identifier: BSD-2-Clause
/*
 * The longest stretches of shadow paging, in units of work and in instructions, for guests made to be the worst there
 * are: one frame mapped by 1 GiB of addresses, and a guest all of whose frames are page tables. What can be done to
 * them is done in single stretches, each counted: faults, stores, changes of the P2M, the log of stores, throwing all
 * shadows away, the end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/logdirty.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "counted.h"
#include "shadow_guest.h"

#define GIB     (1ul << 30)
#define VICTIM  200ul
#define ALIASES (1u << 18) /* 1 GiB of pages */

/*
 * No stretch is longer. They are instructions of this program, compiled as the random walk is, with the checks of a
 * debug build; what was measured is in docs/measurements.md.
 */
#define MOST_INSTRUCTIONS 300000u

/* ---- an operation, stretch by stretch ---- */

static int (*operation)(void); /* 0: it is done; -ERESTART */
static int result;

static void one_stretch(void)
{
    stretch_begin(STRETCH_TRAP, 14);
    result = operation();
    model_longest = MAX(model_longest, this_cpu(stretch_now).work);
    stretch_end();
}

/* How many stretches it took. */
static unsigned int measure(const char *name, int (*op)(void))
{
    uint64_t n, longest = 0, all = 0;
    unsigned int stretches = 0;

    operation = op;
    model_longest = 0;
    do {
        n = counted(one_stretch);
        assert_true(result == 0 || result == -ERESTART);
        longest = MAX(longest, n);
        all += n;
        stretches++;
    } while (result == -ERESTART);
    printf("  %-34s %6u stretches, longest %3u units, %6lu instructions; %lu in all\n", name, stretches, model_longest,
           longest, all);
    assert_true(model_longest <= STRETCH_BOUND);
    assert_true(longest <= MOST_INSTRUCTIONS);
    return stretches;
}

/* ---- operations ---- */

static struct shadow_fault fault;
static struct page_info *another;
static struct logdirty_read reading;
static uint8_t bitmap[FRAMES / 8], contents[PAGE_SIZE];

/* Until hardware does it, or it is to be emulated. */
static int op_access(void)
{
    enum shadow_result r = shadow_fault(&CPU->v, &fault);
    unsigned int level;
    uint64_t e;

    if (r != SHADOW_FIXED)
        return r == SHADOW_EMULATE ? 0 : -EINVAL;
    e = leaf(fault.linear, &level);
    return (e & PTE_P) && (!(fault.access & PFEC_W) || (e & PTE_RW)) ? 0 : -ERESTART;
}

static int op_store(void)
{
    return shadow_store(d, _gpa(VICTIM * PAGE_SIZE), 8, *(const uint64_t *)contents);
}

static int op_overwrite(void)
{
    return shadow_write(d, _gpa(VICTIM * PAGE_SIZE), PAGE_SIZE, contents);
}

static int op_ready(void)
{
    return shadow_ready(&CPU->v) ? 0 : -ERESTART;
}

static int op_load(void)
{
    return shadow_set_paging(&CPU->v);
}

static int op_retype(void)
{
    struct p2m_retype r = {.gfn = _gfn(VICTIM), .n = 1, .from = P2M_RAM_RW, .to = P2M_LOGDIRTY};

    return p2m_change_type(d, &r);
}

static int op_retype_back(void)
{
    struct p2m_retype r = {.gfn = _gfn(VICTIM), .n = 1, .from = P2M_LOGDIRTY, .to = P2M_RAM_RW};

    return p2m_change_type(d, &r);
}

static int op_replace(void)
{
    return p2m_place(d, _gfn(VICTIM), another, 0);
}

static int op_give_up(void)
{
    static const struct cpu_user_regs regs = {.rip = 1};

    return shadow_give_up(&CPU->v, &regs, _gpa(VICTIM * PAGE_SIZE)) ? 0 : -ERESTART;
}

static int op_blow(void)
{
    return shadow_blow(d);
}

static int op_log(void)
{
    return logdirty_enable(d);
}

static int op_read_log(void)
{
    return logdirty_read(d, &reading);
}

static int op_unlog(void)
{
    return logdirty_disable(d);
}

static int op_end(void)
{
    return shadow_relinquish(d);
}

static void measure_access(const char *name, uint64_t linear, uint32_t access)
{
    fault = (struct shadow_fault){.linear = linear, .access = access};
    measure(name, op_access);
}

static void measure_replacement(const char *name)
{
    another = alloc_domain_pages(d, 0, 0);
    memcpy(page_to_virt(another), mfn_to_virt(model_frame(VICTIM)), PAGE_SIZE);
    measure(name, op_replace);
}

static void measure_log(const char *on, void (*use)(enum oracle_kind kind), const char *read, const char *off)
{
    measure(on, op_log);
    use(ORACLE_WRITE);
    model_store(VICTIM * PAGE_SIZE, 8, *(const uint64_t *)contents);
    reading = (struct logdirty_read){.clean = true, .bitmap = bitmap, .pages = FRAMES};
    measure(read, op_read_log);
    assert_true(bitmap[VICTIM / 8] & 1u << VICTIM % 8);
    measure(off, op_unlog);
}

static void measure_end(const char *name)
{
    assert_int_equal(model_audit(), 0);
    for (unsigned int i = 0; i < VCPUS; i++)
        shadow_drop_root(&vcpu[i].v);
    measure(name, op_end);
    counted_end();
    model_free();
}

/* ---- guests ---- */

static void entry(uint64_t table, unsigned int index, uint64_t gfn, uint64_t flags)
{
    model_store((table << PAGE_SHIFT) + index * 8, 8, gfn << PAGE_SHIFT | flags);
}

/* n pages from there on, eight of which come with a fault. What the guest has no mapping for is its own affair. */
static void touch(uint64_t linear, unsigned long n, enum oracle_kind kind)
{
    for (unsigned long i = 0; i < n; i += 8) {
        struct access a = {.linear = linear + i * PAGE_SIZE, .kind = kind};

        model_run(CPU, &a);
        assert_int_not_equal(a.result, SHADOW_NOMEM);
    }
}

/* One directory of 512 tables, each of which maps VICTIM 512 times. */
static void make_aliases(void)
{
    guest_4(1400);
    fake_preempt_percent = 100;
    for (unsigned int t = 0; t < PT_ENTRIES; t++)
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            entry(300 + t, i, VICTIM, ALL);
    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        entry(20, i, 300 + i, ALL);
    entry(3, 1, 20, ALL);
    counted_begin();
}

static void use_aliases(enum oracle_kind kind)
{
    touch(GIB, ALIASES, kind);
    assert_in_range(d->shadow->count.entries[RING_4K], ALIASES, ALIASES + 16);
}

/* Entry 1 of a directory says that VICTIM is a table; entry 0 of that one maps a page. */
static void victim_is_table(const char *name)
{
    entry(VICTIM, 0, 100, ALL);
    entry(2, 1, VICTIM, ALL);
    measure_access(name, 1ul << 21, 0);
    assert_true(is_table(model_frame(VICTIM)));
}

static void victim_is_none(void)
{
    entry(2, 1, 0, 0);
    model_blow();
    use_aliases(ORACLE_READ);
}

/*
 * Each frame from OTHERS on is a table of the last level, and so are those below, which are tables of upper levels too.
 * Each of them maps 512 frames. Two directories from 1 GiB on name all.
 */
#define OTHERS 7u
static void make_tables(void)
{
    guest_4(3600);
    fake_preempt_percent = 100;
    for (unsigned int t = OTHERS; t < FRAMES; t++)
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            entry(t, i, (t * PT_ENTRIES + i) % FRAMES, ALL);
    for (unsigned int t = 0; t < 2; t++)
        entry(t, 0, 100, ALL);
    for (unsigned int dir = 0; dir < 2; dir++) {
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            entry(5 + dir, i, dir * PT_ENTRIES + i, ALL);
        entry(3, 1 + dir, 5 + dir, ALL);
    }
    counted_begin();
}

static void use_tables(enum oracle_kind kind)
{
    for (uint64_t t = 0; t < OTHERS; t++)
        touch(GIB + (t << 21), 1, ORACLE_READ);
    touch(GIB + (OTHERS << 21), (FRAMES - OTHERS) * PT_ENTRIES, kind);
}

/* ---- the tests ---- */

static void test_one_gib_of_aliases(void **state)
{
    make_aliases();
    measure_access("aliases: first access", GIB, 0);
    use_aliases(ORACLE_READ);
    measure("aliases: change of type", op_retype);
    measure("aliases: and back", op_retype_back);
    use_aliases(ORACLE_READ);
    measure_replacement("aliases: another frame");
    use_aliases(ORACLE_READ);
    victim_is_table("aliases: the frame becomes a table");
    measure("aliases: a store to it", op_store);
    measure_access("aliases: user mode stores to it", GIB, PFEC_W | PFEC_U);
    victim_is_none();
    victim_is_table("aliases: a table again");
    measure("aliases: it is given up", op_give_up);
    victim_is_none();
    measure_log("aliases: log on", use_aliases, "aliases: log read", "aliases: log off");
    use_aliases(ORACLE_READ);
    measure("aliases: a load of CR3", op_load);
    assert_true(measure("aliases: blow", op_blow) > ALIASES / STRETCH_BOUND);
    use_aliases(ORACLE_READ);
    measure_end("aliases: the end");
}

static void test_every_frame_a_table(void **state)
{
    make_tables();
    measure_access("tables: first access", GIB + (VICTIM << 21), 0);
    use_tables(ORACLE_READ);
    for (uint64_t t = 0; t < FRAMES; t++)
        if (!is_table(model_frame(t)))
            fail_msg("frame %lu is no table", t);
    assert_int_equal(d->shadow->count.reclaimed, 0);
    assert_in_range(d->shadow->count.entries[RING_4K], (FRAMES - 2 * OTHERS) * PT_ENTRIES, FRAMES * PT_ENTRIES);
    memcpy(contents, mfn_to_virt(model_frame(VICTIM)), PAGE_SIZE);
    measure("tables: a store", op_store);
    measure_access("tables: a fault for a store", GIB + (VICTIM / 2 << 21) + VICTIM * PAGE_SIZE, PFEC_W);
    measure("tables: change of type", op_retype);
    measure("tables: and back", op_retype_back);
    use_tables(ORACLE_READ);
    measure_replacement("tables: another frame");
    use_tables(ORACLE_READ);
    measure("tables: one is given up", op_give_up);
    use_tables(ORACLE_READ);
    measure("tables: one is overwritten", op_overwrite);
    measure("tables: so all are to go", op_ready);
    use_tables(ORACLE_READ);
    measure_log("tables: log on", use_tables, "tables: log read", "tables: log off");
    use_tables(ORACLE_READ);
    measure("tables: a load of CR3", op_load);
    assert_true(measure("tables: blow", op_blow) > FRAMES);
    use_tables(ORACLE_READ);
    measure_end("tables: the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_gib_of_aliases),
        cmocka_unit_test(test_every_frame_a_table),
    };

    return cmocka_run_group_tests_name("longest stretches of shadow paging", tests, NULL, NULL);
}
