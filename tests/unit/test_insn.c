// SPDX-License-Identifier: BSD-2-Clause
/*
 * The instruction decoder: a table of forms with what each must yield, prefixes of every valid form (which must ask for
 * more bytes), and random bytes in buffers of exactly their size, where the address sanitizer sees a step too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include <hv/insn.h>
#include "hex.h"

struct form {
    const char *bytes; /* hexadecimal */
    enum insn_mode mode;
    unsigned int len, map, opcode, op_bytes;
    int mem;     /* -1: no modrm, 0: register, 1: memory */
    int reg, rm; /* -1: not looked at */
    int base;    /* -1: not looked at, 0xff: none */
    int64_t disp, imm;
};

static const struct form forms[] = {
    {"f4", INSN_64, 1, 0, 0xf4, 4, -1, -1, -1, -1, 0, 0},                 /* hlt */
    {"ec", INSN_64, 1, 0, 0xec, 1, -1, -1, -1, -1, 0, 0},                 /* in al, dx */
    {"66ed", INSN_64, 2, 0, 0xed, 2, -1, -1, -1, -1, 0, 0},               /* in ax, dx */
    {"ed", INSN_64, 1, 0, 0xed, 4, -1, -1, -1, -1, 0, 0},                 /* in eax, dx */
    {"e661", INSN_64, 2, 0, 0xe6, 1, -1, -1, -1, -1, 0, 0x61},            /* out 0x61, al */
    {"e570", INSN_64, 2, 0, 0xe5, 4, -1, -1, -1, -1, 0, 0x70},            /* in eax, 0x70 */
    {"f36c", INSN_64, 2, 0, 0x6c, 1, -1, -1, -1, -1, 0, 0},               /* rep insb */
    {"f3666f", INSN_64, 3, 0, 0x6f, 2, -1, -1, -1, -1, 0, 0},             /* rep outsw */
    {"cd80", INSN_64, 2, 0, 0xcd, 1, -1, -1, -1, -1, 0, -128},            /* int 0x80 */
    {"cc", INSN_64, 1, 0, 0xcc, 4, -1, -1, -1, -1, 0, 0},                 /* int3 */
    {"0f30", INSN_64, 2, 1, 0x30, 4, -1, -1, -1, -1, 0, 0},               /* wrmsr */
    {"0fa2", INSN_64, 2, 1, 0xa2, 4, -1, -1, -1, -1, 0, 0},               /* cpuid */
    {"0f01d1", INSN_64, 3, 1, 0x01, 4, 0, 2, 1, -1, 0, 0},                /* xsetbv */
    {"0f20c0", INSN_64, 3, 1, 0x20, 4, 0, 0, 0, -1, 0, 0},                /* mov rax, cr0 */
    {"0f20e3", INSN_64, 3, 1, 0x20, 4, 0, 4, 3, -1, 0, 0},                /* mov rbx, cr4 */
    {"0f2218", INSN_64, 3, 1, 0x22, 4, 0, 3, 0, -1, 0, 0},                /* mov cr3 with mod 0: still a register */
    {"440f22c0", INSN_64, 4, 1, 0x22, 4, 0, 8, 0, -1, 0, 0},              /* mov cr8, rax */
    {"410f23f8", INSN_64, 4, 1, 0x23, 4, 0, 7, 8, -1, 0, 0},              /* mov dr7, r8 */
    {"8807", INSN_64, 2, 0, 0x88, 1, 1, 0, -1, 7, 0, 0},                  /* mov [rdi], al */
    {"488907", INSN_64, 3, 0, 0x89, 8, 1, 0, -1, 7, 0, 0},                /* mov [rdi], rax */
    {"668907", INSN_64, 3, 0, 0x89, 2, 1, 0, -1, 7, 0, 0},                /* mov [rdi], ax */
    {"4c894708", INSN_64, 4, 0, 0x89, 8, 1, 8, -1, 7, 8, 0},              /* mov [rdi+8], r8 */
    {"498945f8", INSN_64, 4, 0, 0x89, 8, 1, 0, -1, 13, -8, 0},            /* mov [r13-8], rax */
    {"48890510000000", INSN_64, 7, 0, 0x89, 8, 1, 0, -1, 0xff, 16, 0},    /* mov [rip+16], rax */
    {"48890425f0ffffff", INSN_64, 8, 0, 0x89, 8, 1, 0, -1, 0xff, -16, 0}, /* mov [-16], rax */
    {"488904c7", INSN_64, 4, 0, 0x89, 8, 1, 0, -1, 7, 0, 0},              /* mov [rdi+rax*8], rax */
    {"48c70701000000", INSN_64, 7, 0, 0xc7, 8, 1, 0, -1, 7, 0, 1},        /* mov qword [rdi], 1 */
    {"66c7070100", INSN_64, 5, 0, 0xc7, 2, 1, 0, -1, 7, 0, 1},            /* mov word [rdi], 1 */
    {"c60742", INSN_64, 3, 0, 0xc6, 1, 1, 0, -1, 7, 0, 0x42},             /* mov byte [rdi], 0x42 */
    {"48b8efcdab8967452301", INSN_64, 10, 0, 0xb8, 8, -1, -1, -1, -1, 0, 0x0123456789abcdef},
    {"48a3efcdab8967452301", INSN_64, 10, 0, 0xa3, 8, -1, -1, -1, -1, 0, 0x0123456789abcdef},
    {"f0480fb10f", INSN_64, 5, 1, 0xb1, 8, 1, 1, -1, 7, 0, 0},               /* lock cmpxchg [rdi], rcx */
    {"480fc70f", INSN_64, 4, 1, 0xc7, 8, 1, 1, -1, 7, 0, 0},                 /* cmpxchg16b */
    {"488707", INSN_64, 3, 0, 0x87, 8, 1, 0, -1, 7, 0, 0},                   /* xchg [rdi], rax */
    {"f60701", INSN_64, 3, 0, 0xf6, 1, 1, 0, -1, 7, 0, 1},                   /* test byte [rdi], 1 */
    {"f617", INSN_64, 2, 0, 0xf6, 1, 1, 2, -1, 7, 0, 0},                     /* not byte [rdi]: no immediate */
    {"48f70701000000", INSN_64, 7, 0, 0xf7, 8, 1, 0, -1, 7, 0, 1},           /* test qword [rdi], 1 */
    {"4883 27fe", INSN_64, 4, 0, 0x83, 8, 1, 4, -1, 7, 0, -2},               /* and qword [rdi], -2 */
    {"480fba2f01", INSN_64, 5, 1, 0xba, 8, 1, 5, -1, 7, 0, 1},               /* bts qword [rdi], 1 */
    {"64488b042500000000", INSN_64, 9, 0, 0x8b, 8, 1, 0, -1, 0xff, 0, 0},    /* mov rax, fs:[0] */
    {"660f3a0fc108", INSN_64, 6, 3, 0x0f, 2, 0, 0, 1, -1, 0, 8},             /* palignr */
    {"0f38f007", INSN_64, 4, 2, 0xf0, 4, 1, 0, -1, 7, 0, 0},                 /* movbe */
    {"c8100001", INSN_64, 4, 0, 0xc8, 4, -1, -1, -1, -1, 0, 0x10010},        /* enter: sixteen and eight bits */
    {"40", INSN_32, 1, 0, 0x40, 4, -1, -1, -1, -1, 0, 0},                    /* inc eax */
    {"890578563412", INSN_32, 6, 0, 0x89, 4, 1, 0, -1, 0xff, 0x12345678, 0}, /* mov [disp32], eax */
    {"67894610", INSN_32, 4, 0, 0x89, 4, 1, 0, -1, 5, 16, 0},                /* mov [bp+16], eax */
    {"8900", INSN_16, 2, 0, 0x89, 2, 1, 0, -1, 3, 0, 0},                     /* mov [bx+si], ax */
    {"6689063412", INSN_16, 5, 0, 0x89, 4, 1, 0, -1, 0xff, 0x1234, 0},       /* mov [0x1234], eax */
    {"6667c7042411220000", INSN_16, 9, 0, 0xc7, 4, 1, 0, -1, 4, 0, 0x2211},  /* mov dword [esp], imm */
    {"6648c70701000000", INSN_64, 8, 0, 0xc7, 8, 1, 0, -1, 7, 0, 1},         /* REX.W is stronger than 66 */
    {"4866c7070100", INSN_64, 6, 0, 0xc7, 2, 1, 0, -1, 7, 0, 1},             /* a REX before 66 counts for nothing */
    {"666a80", INSN_64, 3, 0, 0x6a, 2, -1, -1, -1, -1, 0, -128},             /* push word */
    {"6aff", INSN_64, 2, 0, 0x6a, 8, -1, -1, -1, -1, 0, -1},
    {"a178563412", INSN_32, 5, 0, 0xa1, 4, -1, -1, -1, -1, 0, 0x12345678},
};

static void check_form(const struct form *f, const struct insn *in)
{
    assert_int_equal(in->len, f->len);
    assert_int_equal(in->map, f->map);
    assert_int_equal(in->opcode, f->opcode);
    assert_int_equal(in->op_bytes, f->op_bytes);
    assert_int_equal(in->has_modrm, f->mem >= 0);
    assert_int_equal(in->mem, f->mem == 1);
    if (f->reg >= 0)
        assert_int_equal(in->reg, f->reg);
    if (f->rm >= 0)
        assert_int_equal(in->rm, f->rm);
    if (f->base >= 0)
        assert_int_equal(in->base, f->base);
    assert_int_equal(in->disp, f->disp);
    if (f->opcode != 0xc8)
        assert_int_equal(in->imm, f->imm);
}

static void test_forms(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        uint8_t bytes[INSN_MAX_LEN + 1] = {0};
        size_t n = parse_hex(forms[i].bytes, bytes);
        struct insn in;

        if (insn_decode(&in, bytes, INSN_MAX_LEN, forms[i].mode))
            fail_msg("%s refused", forms[i].bytes);
        check_form(&forms[i], &in);
        assert_int_equal(n, forms[i].len);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(insn_decode(&in, bytes, cut, forms[i].mode), -ENODATA);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "660fc307", /* movnti with a prefix */
        "c5f877",   "c4e2791800", "62f17c48", "06", "60", "9a", "ea", "d4", "8fe0", "0f0f", "0f04", "0fa6",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[INSN_MAX_LEN + 1] = {0};
        struct insn in;

        parse_hex(bad[i], bytes);
        assert_int_equal(insn_decode(&in, bytes, INSN_MAX_LEN, INSN_64), -EINVAL);
    }
}

/* Fifteen bytes are an instruction, the sixteenth is one too many, wherever it would be. */
static void test_longest(void **state)
{
    static const char *const ends[] = {"8907", "48890510000000", "c7078877665544", "666a0102", "0fb10f", "f4"};
    struct insn in;

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        uint8_t end[INSN_MAX_LEN], bytes[INSN_MAX_LEN + 1];
        size_t n = parse_hex(ends[i], end);

        assert_int_equal(insn_decode(&in, end, n, INSN_64), 0);
        n = in.len;
        memset(bytes, 0x2e, sizeof(bytes));
        memcpy(bytes + INSN_MAX_LEN - n, end, n);
        assert_int_equal(insn_decode(&in, bytes, sizeof(bytes), INSN_64), 0);
        assert_int_equal(in.len, INSN_MAX_LEN);
        memset(bytes, 0x2e, sizeof(bytes));
        memcpy(bytes + INSN_MAX_LEN + 1 - n, end, n);
        assert_int_equal(insn_decode(&in, bytes, sizeof(bytes), INSN_64), -E2BIG);
        assert_int_equal(insn_decode(&in, bytes, INSN_MAX_LEN - 1, INSN_64), -ENODATA);
    }
}

static void test_segments(void **state)
{
    static const struct {
        const char *bytes;
        enum insn_mode mode;
        enum insn_seg seg;
    } rows[] = {
        {"8907", INSN_64, SEG_DS},         {"890424", INSN_64, SEG_SS},   {"8945 00", INSN_64, SEG_SS},
        {"418945 00", INSN_64, SEG_DS},    {"64890424", INSN_64, SEG_FS}, {"64 3e 8907", INSN_64, SEG_FS},
        {"2e8907", INSN_64, SEG_DS},       {"2e8907", INSN_32, SEG_CS},   {"64 26 8907", INSN_32, SEG_ES},
        {"894600", INSN_16, SEG_SS},       {"89063412", INSN_16, SEG_DS}, {"36890f", INSN_16, SEG_SS},
        {"65a311223344", INSN_32, SEG_GS},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t bytes[INSN_MAX_LEN] = {0};
        struct insn in;

        parse_hex(rows[i].bytes, bytes);
        assert_int_equal(insn_decode(&in, bytes, sizeof(bytes), rows[i].mode), 0);
        assert_int_equal(in.seg, rows[i].seg);
    }
}

static void test_random_bytes(void **state)
{
    srand((unsigned int)time(NULL));
    for (unsigned int round = 0; round < 300000; round++) {
        size_t n = (size_t)rand() % (INSN_MAX_LEN + 2);
        uint8_t *bytes = malloc(n ? n : 1);
        struct insn in;

        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)rand();
        if (insn_decode(&in, n ? bytes : bytes + 1, n, (enum insn_mode)(rand() % 3)) == 0) {
            assert_in_range(in.len, 1, MIN(n, (size_t)INSN_MAX_LEN));
            assert_true(in.op_bytes == 1 || in.op_bytes == 2 || in.op_bytes == 4 || in.op_bytes == 8);
        }
        free(bytes);
    }
}

static void test_address(void **state)
{
    struct cpu_user_regs regs = {.rdi = 0x1000, .rax = 3, .r13 = 0x2000};
    struct insn in;

    assert_int_equal(insn_decode(&in, (const uint8_t *)"\x48\x89\x44\xc7\x10", 5, INSN_64), 0);
    assert_int_equal(insn_address(&in, &regs, 0), 0x1000 + 3 * 8 + 0x10);
    assert_int_equal(insn_decode(&in, (const uint8_t *)"\x48\x89\x05\x10\x00\x00\x00", 7, INSN_64), 0);
    assert_int_equal(insn_address(&in, &regs, 0x5000), 0x5017);
    assert_int_equal(insn_decode(&in, (const uint8_t *)"\x67\x89\x47\xf0", 4, INSN_64), 0);
    regs.rdi = 0xffffffff00000000;
    assert_int_equal(insn_address(&in, &regs, 0), 0xfffffff0);
}

static void test_registers(void **state)
{
    struct cpu_user_regs regs = {.rax = 0x1122334455667788, .rsi = 0xaabb};

    assert_int_equal(insn_read_reg(&regs, 0, 1, false), 0x88);
    assert_int_equal(insn_read_reg(&regs, 4, 1, false), 0x77);
    assert_int_equal(insn_read_reg(&regs, 6, 1, true), 0xbb);
    insn_write_reg(&regs, 4, 1, false, 0x55);
    assert_int_equal(regs.rax, 0x1122334455665588);
    insn_write_reg(&regs, 0, 2, false, 0xffff);
    assert_int_equal(regs.rax, 0x112233445566ffff);
    insn_write_reg(&regs, 0, 4, false, 1);
    assert_int_equal(regs.rax, 1);
    insn_write_reg(&regs, 15, 8, true, ~0ull);
    assert_int_equal(regs.r15, ~0ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_refused),   cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_address),  cmocka_unit_test(test_registers), cmocka_unit_test(test_longest),
        cmocka_unit_test(test_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
