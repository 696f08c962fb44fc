// SPDX-License-Identifier: BSD-2-Clause
/*
 * The grammar of hypercalls at random by itself: the same seed gives the same calls whatever they brought, every row
 * comes up, structures are as long as their types, the loop counts and says what it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/xen.h>
#include <xen/arch-x86/xen-mca.h>
#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include "../guests/fuzz/run.h"
#include "fuzz_grammar.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct fuzz_world world;
static struct fuzz_vcpu callers[FUZZ_VCPUS];
static uint64_t values[NR_LISTS][16];

static uint64_t hash;

static void add(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3ul;
}

static void add_store(uint64_t to, const void *from, size_t n)
{
    add(&to, sizeof(to));
    add(from, n);
}

static bool load_nothing(void *to, uint64_t from, size_t n)
{
    return false;
}

static uint64_t no_time(void)
{
    return 1000000;
}

static void set_list(enum fuzz_list list, unsigned int count)
{
    world.list[list].values = values[list];
    world.list[list].count = count;
}

/* A world of numbers that mean nothing. */
static void plain_world(uint64_t salt)
{
    world = (struct fuzz_world){.now = no_time, .store = add_store, .load = load_nothing};
    for (unsigned int list = 0; list < NR_LISTS; list++) {
        for (unsigned int i = 0; i < 16; i++)
            values[list][i] = (salt + list) << 20 | i << 12;
        set_list(list, 16);
    }
    for (unsigned int i = 0; i < NR_RINGS * FUZZ_RING; i++)
        world.ring[i / FUZZ_RING][i % FUZZ_RING] = salt * i;
    for (unsigned int i = 0; i < FUZZ_VCPUS; i++) {
        world.vcpu[i] = &callers[i];
        callers[i].area = 0x100000 * (i + 1);
    }
}

static uint64_t hash_of(uint64_t seed, unsigned int vcpu, uint64_t i)
{
    struct fuzz_call c;

    hash = 0xcbf29ce484222325ul;
    fuzz_make(&world, seed, vcpu, i, &c);
    add(&c.nr, sizeof(c.nr));
    add(&c.flags, sizeof(c.flags));
    add(c.arg, sizeof(c.arg));
    return hash;
}

static void test_same_seed_same_calls(void **state)
{
    static uint64_t first[4000];
    unsigned int same = 0;

    plain_world(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++)
        first[i] = hash_of(7, 0, i);
    for (unsigned int i = ARRAY_SIZE(first); i-- > 0;) /* in any order */
        assert_int_equal(hash_of(7, 0, i), first[i]);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++)
        same += (hash_of(7, 1, i) == first[i]) + (hash_of(8, 0, i) == first[i]);
    assert_in_range(same, 0, 40); /* a few have no arguments at all */
}

/* What the guest has and what earlier calls brought decides values, and never what is chosen. */
static void test_choices_do_not_depend_on_values(void **state)
{
    static struct fuzz_call first[4000];
    struct fuzz_call c;

    plain_world(1);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++)
        fuzz_make(&world, 3, 1, i, &first[i]);
    plain_world(999);
    for (unsigned int i = 0; i < ARRAY_SIZE(first); i++) {
        fuzz_make(&world, 3, 1, i, &c);
        assert_string_equal(c.name, first[i].name);
        assert_int_equal(c.flags, first[i].flags);
        assert_int_equal(c.outs, first[i].outs);
        assert_int_equal(c.narrow, first[i].narrow);
    }
}

static void every_row(bool translated)
{
    static unsigned int seen[256];
    unsigned int rows = 0;
    struct fuzz_call c;

    plain_world(1);
    world.translated = translated;
    memset(seen, 0, sizeof(seen));
    for (unsigned int i = 0; i < 100000; i++) {
        fuzz_make(&world, 11, 0, i, &c);
        for (unsigned int row = 0; fuzz_row(row); row++)
            seen[row] += c.name == fuzz_row(row);
    }
    for (; fuzz_row(rows); rows++)
        if (!seen[rows] && !(translated && !strcmp(fuzz_row(rows), "SCHEDOP_block")))
            fail_msg("%s never comes up", fuzz_row(rows));
    assert_in_range(rows, 150, ARRAY_SIZE(seen));
}

static void test_every_row_comes_up(void **state)
{
    every_row(false);
    every_row(true);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t size;
    } types[] = {
#define SHAPE(name, type, ...) {#name, sizeof(type)},
#include "../guests/fuzz/shapes.def"
#undef SHAPE
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
        if (fuzz_shape_size(i, false) != types[i].size)
            fail_msg("%s has %u bytes, its type %zu", types[i].name, fuzz_shape_size(i, false), types[i].size);
    assert_int_equal(fuzz_shape_size(ARRAY_SIZE(types), false), 0);
}

/* By 32-bit code: pointers and longs of 4 bytes, and no more alignment than that. */
static void test_narrow_sizes(void **state)
{
    static const struct {
        const char *name;
        unsigned int size;
    } known[] = {{"reservation", 20}, {"exchange", 44},   {"multicall", 32}, {"poll", 16},
                 {"grant_copy", 24},  {"singleshot", 12}, {"add_batch", 20}, {"memory_map", 8}};
    static const char *const names[] = {
#define SHAPE(name, type, ...) #name,
#include "../guests/fuzz/shapes.def"
#undef SHAPE
    };
    unsigned int found = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
        for (unsigned int k = 0; k < ARRAY_SIZE(known); k++)
            if (!strcmp(names[i], known[k].name)) {
                assert_int_equal(fuzz_shape_size(i, true), known[k].size);
                found++;
            }
    assert_int_equal(found, ARRAY_SIZE(known));
}

static void test_options(void **state)
{
    struct fuzz_options o = {.seed = 1, .calls = 2, .trace = 3};

    fuzz_parse("", &o);
    fuzz_parse("reseed=4 seed calls 5", &o);
    assert_true(o.seed == 1 && o.calls == 2 && o.from == 0 && o.trace == 3);
    fuzz_parse("quiet seed=0xFfe calls=1200000 from=7 trace=0x10 seed=9", &o);
    assert_true(o.seed == 0xffe && o.calls == 1200000 && o.from == 7 && o.trace == 16);
    fuzz_parse("seed=99", &o);
    assert_true(o.seed == 99 && o.from == 7);
}

/* ---- the loop, with calls that only count ---- */

static char said[4096];
static size_t said_len;
static unsigned int numbers[64], mended, over_after;

static long count_call(uint32_t nr, const uint64_t *arg, bool narrow)
{
    bool on_stack = arg[2] >> 30 == (uintptr_t)&nr >> 30; /* what the run says; others are calls of the grammar */

    numbers[nr % 64]++;
    if (nr != __HYPERVISOR_console_io || arg[0] != CONSOLEIO_write)
        return nr % 2 ? -1 : 0;
    if (on_stack && arg[1] < 128 && said_len + arg[1] < sizeof(said) && strncmp((char *)arg[2], "fuzz: ", 6) == 0) {
        memcpy(said + said_len, (char *)arg[2], arg[1]);
        said_len += arg[1];
    }
    return 0;
}

static void count_mend(unsigned int vcpu, unsigned int what)
{
    mended++;
}

static void wake_nobody(void)
{
}

static bool just_call(void (*fn)(void *), void *arg)
{
    fn(arg);
    return ++over_after % 100 == 0; /* as if it had faulted at its end */
}

static void test_loop(void **state)
{
    static const struct fuzz_guest guest = {&world, count_call, wake_nobody, count_mend, just_call};
    struct fuzz_options o = {.seed = 5, .calls = 2000, .from = 10, .trace = ~0ul};
    char faults[32];

    plain_world(1);
    over_after = 0;
    memset(numbers, 0, sizeof(numbers));
    fuzz_run(&guest, &o, 0);
    assert_non_null(strstr(said, "fuzz: seed 5 vcpu 0 begins at 0: 0 refused, 0 faults"));
    assert_non_null(strstr(said, "fuzz: seed 5 vcpu 0 has made 2000: "));
    assert_non_null(strstr(said, "fuzz: seed 5 vcpu 0 ends after 2000: "));
    assert_in_range(over_after, 2000 + 2000 / 64, 2000 + 2000 / 64 + 1); /* calls, and mendings */
    snprintf(faults, sizeof(faults), ", %u faults", over_after / 100);
    assert_non_null(strstr(said, faults));
    assert_in_range(mended, 2000 / 64, 400);
    for (unsigned int nr = 12; nr <= 20; nr += 8) /* memory_op, grant_table_op */
        assert_in_range(numbers[nr], 100, 1000);
}

int fuzz_grammar_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_calls),
        cmocka_unit_test(test_choices_do_not_depend_on_values),
        cmocka_unit_test(test_every_row_comes_up),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_narrow_sizes),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_loop),
    };

    return cmocka_run_group_tests_name("grammar", tests, NULL, NULL);
}
