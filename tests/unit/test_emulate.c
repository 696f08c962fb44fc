// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulator's corners, one by one: faults, limits, prefixes, what a call may do before it gives back, what the
 * caller may answer. And docs/emulator.md, whose list of forms must be the opcode table's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/emulate.h>
#include <hv/x86.h>
#include "hex.h"

#define DATA  0x10000ul
#define BYTES 0x4000ul
#define CODE  0x40000ul
#define HIGH  0x800000000000ul /* the first address that is not canonical */

/* The caller's side: some memory, and what it answers. */
static struct {
    uint8_t memory[BYTES], code[64];
    unsigned long code_at, code_end; /* no code from here on */
    unsigned int reads, writes, swaps, fetches, faster;
    unsigned int refuse_after; /* stores until the caller does not want any more */
    struct emul_access last;   /* the last store */
} g;
static struct cpu_user_regs regs;
static struct emul_segment segments[SEG_COUNT];
static struct emul e;

static enum emulate_result page_fault(uint64_t linear, uint32_t error)
{
    e.fault = (struct emul_fault){TRAP_PF, true, error, linear};
    return EMULATE_FAULT;
}

static bool inside(const struct emul_access *a)
{
    return a->linear >= DATA && a->linear + a->bytes <= DATA + BYTES;
}

static enum emulate_result op_fetch(struct emul *em, uint64_t linear, uint8_t *buf, unsigned int bytes)
{
    g.fetches++;
    assert_int_equal(linear / PAGE_SIZE, (linear + bytes - 1) / PAGE_SIZE);
    if (linear >= g.code_end)
        return page_fault(linear, PFEC_I);
    for (unsigned int i = 0; i < bytes; i++)
        buf[i] = linear + i - g.code_at < sizeof(g.code) ? g.code[linear + i - g.code_at] : 0xcc;
    return EMULATE_DONE;
}

static enum emulate_result op_read(struct emul *em, const struct emul_access *a, uint64_t *value)
{
    g.reads++;
    if (!inside(a))
        return page_fault(a->linear, a->write ? PFEC_W : 0);
    value[0] = 0;
    memcpy(value, g.memory + (a->linear - DATA), a->bytes);
    return EMULATE_DONE;
}

static enum emulate_result op_write(struct emul *em, const struct emul_access *a, const uint64_t *value)
{
    g.last = *a;
    if (g.writes == g.refuse_after)
        return EMULATE_UNHANDLED;
    if (!inside(a))
        return page_fault(a->linear, PFEC_W);
    g.writes++;
    memcpy(g.memory + (a->linear - DATA), value, a->bytes);
    return EMULATE_DONE;
}

static enum emulate_result op_cmpxchg(struct emul *em, const struct emul_access *a, const uint64_t *old,
                                      const uint64_t *new)
{
    uint8_t *at = g.memory + (a->linear - DATA);

    g.last = *a;
    g.swaps++;
    if (g.refuse_after == 0)
        return EMULATE_UNHANDLED;
    /* Another processor adds one just before. */
    if (g.faster) {
        g.faster--;
        at[0]++;
    }
    if (memcmp(at, old, a->bytes))
        return EMULATE_RETRY;
    memcpy(at, new, a->bytes);
    return EMULATE_DONE;
}

static const struct emul_ops ops = {op_fetch, op_read, op_write, op_cmpxchg};

static void begin(enum insn_mode mode)
{
    memset(&g, 0, sizeof(g));
    g.refuse_after = ~0u;
    g.code_at = CODE;
    g.code_end = CODE + 2 * PAGE_SIZE;
    regs = (struct cpu_user_regs){
        .rip = CODE, .rflags = EFLAGS_MBS, .rdi = DATA, .rsi = DATA + 0x800, .rsp = DATA + 0x1000};
    for (unsigned int s = 0; s < SEG_COUNT; s++)
        segments[s] = (struct emul_segment){.limit = ~0u, .plain = true, .big = true};
    e = (struct emul){.ops = &ops, .mode = mode, .regs = &regs, .seg = segments};
}

/* Runs the instruction; unless it is done or repeats, nothing may have changed. */
static enum emulate_result run(const char *hex)
{
    static uint8_t memory[BYTES];
    struct cpu_user_regs before = regs;
    enum emulate_result rc;

    memset(g.code, 0xcc, sizeof(g.code));
    parse_hex(hex, g.code);
    memcpy(memory, g.memory, BYTES);
    rc = emulate_store(&e);
    if (rc == EMULATE_UNHANDLED || (rc == EMULATE_FAULT && e.insn.args != INSN_STRING)) {
        assert_memory_equal(&regs, &before, sizeof(regs));
        assert_memory_equal(g.memory, memory, BYTES);
    }
    return rc;
}

static uint64_t at(unsigned long linear)
{
    uint64_t v;

    memcpy(&v, g.memory + (linear - DATA), 8);
    return v;
}

static void put(unsigned long linear, uint64_t v)
{
    memcpy(g.memory + (linear - DATA), &v, 8);
}

static void check_fault(const char *hex, uint8_t vector)
{
    if (run(hex) != EMULATE_FAULT || e.fault.vector != vector)
        fail_msg("%s does not raise %u", hex, vector);
    assert_int_equal(e.fault.has_error, vector != TRAP_UD);
    assert_int_equal(g.writes + g.swaps, 0);
}

/* ---- what is refused, and how ---- */

static void test_not_handled(void **state)
{
    static const char *const rows[] = {
        "0f2907",       /* movaps */
        "c5f82907",     /* vmovaps */
        "62f17c482907", /* vmovaps of 512 bits */
        "0f9407",       /* sete */
        "8c1f",         /* mov from a segment register */
        "8f07",         /* pop */
        "48c12701",     /* shl */
        "0fa40701",     /* shld */
        "4889c7",       /* mov to a register */
        "488b07",       /* mov from memory */
        "ff17",         /* call */
        "d91f",         /* fstp */
        "0fae07",       /* fxsave */
        "660fc307",     /* no instruction */
        "0f0b",         /* ud2 */
        "f00f2907",     /* LOCK before what is not known: the processor will say */
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(INSN_64);
        assert_int_equal(run(rows[i]), EMULATE_UNHANDLED);
        assert_int_equal(g.reads + g.writes + g.swaps, 0);
    }
}

static void test_lock(void **state)
{
    static const char *const invalid[] = {"f08807", "f0c70700000000", "f0ab",     "f3f0a5", "f050",
                                          "f0ff37", "f00fc307",       "f04801c7", "f087c7", "f0480fc1c7"};
    static const char *const valid[] = {"f00107", "f00fb107", "f0fe07", "f0f717", "f00fba2f01", "f08707", "f00fc70f"};

    for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
        begin(INSN_64);
        check_fault(invalid[i], TRAP_UD);
    }
    for (size_t i = 0; i < ARRAY_SIZE(valid); i++) {
        begin(INSN_64);
        assert_int_equal(run(valid[i]), EMULATE_DONE);
        assert_true(g.last.locked);
        assert_int_equal(g.writes, 0);
        assert_int_equal(g.swaps, 1);
    }
    begin(INSN_64);
    assert_int_equal(run("8707"), EMULATE_DONE); /* xchg locks by itself */
    assert_true(g.last.locked);
}

static void test_length(void **state)
{
    begin(INSN_64);
    assert_int_equal(run("2e2e2e2e2e2e2e2e 66666666 89 7f08"), EMULATE_DONE); /* fifteen bytes */
    assert_int_equal(regs.rip, CODE + 15);
    assert_int_equal(at(DATA + 8), (uint16_t)DATA);
    begin(INSN_64);
    check_fault("2e2e2e2e2e2e2e2e 6666666666 89 7f08", TRAP_GP);
    begin(INSN_64);
    check_fault("66666666666666666666666666666666", TRAP_GP);
}

static void test_canonical(void **state)
{
    begin(INSN_64);
    regs.rdi = HIGH;
    check_fault("488907", TRAP_GP);
    regs.rdi = HIGH - 4; /* it ends beyond */
    check_fault("488907", TRAP_GP);
    regs.rbp = HIGH;
    check_fault("48894500", TRAP_SS);
    regs.rsp = HIGH + 8;
    check_fault("50", TRAP_SS);
    check_fault("48890424", TRAP_SS);
    regs.rdi = HIGH;
    check_fault("ab", TRAP_GP);
    segments[SEG_GS].base = HIGH;
    regs.rdi = 0;
    check_fault("65488907", TRAP_GP);
    segments[SEG_GS].base = DATA - 8;
    regs.rdi = 16;
    assert_int_equal(run("65488907"), EMULATE_DONE);
    assert_int_equal(g.last.linear, DATA + 8);
}

static void test_pair(void **state)
{
    begin(INSN_64);
    regs.rdi = DATA + 8;
    check_fault("480fc70f", TRAP_GP);
    check_fault("f0480fc70f", TRAP_GP);
    assert_int_equal(run("0fc70f"), EMULATE_DONE); /* cmpxchg8b need not be aligned */
    regs.rdi = DATA + 16;
    put(DATA + 16, 1);
    put(DATA + 24, 2);
    regs.rax = 1;
    regs.rdx = 2;
    regs.rbx = 3;
    regs.rcx = 4;
    regs.rip = CODE;
    assert_int_equal(run("f0480fc70f"), EMULATE_DONE);
    assert_true(regs.rflags & EFLAGS_ZF);
    assert_int_equal(at(DATA + 16), 3);
    assert_int_equal(at(DATA + 24), 4);
    regs.rip = CODE;
    assert_int_equal(run("f0480fc70f"), EMULATE_DONE);
    assert_false(regs.rflags & EFLAGS_ZF);
    assert_int_equal(regs.rax, 3);
    assert_int_equal(regs.rdx, 4);
}

static void test_segments(void **state)
{
    begin(INSN_32);
    segments[SEG_DS].limit = DATA + 3;
    assert_int_equal(run("8907"), EMULATE_DONE);
    regs.rip = CODE;
    segments[SEG_DS].limit = DATA + 2;
    g.writes = 0;
    check_fault("8907", TRAP_GP);
    segments[SEG_SS].limit = DATA + 0xfff - 4;
    check_fault("50", TRAP_SS);
    assert_int_equal(run("ab"), EMULATE_DONE); /* ES has a limit of its own */
    segments[SEG_ES].plain = false;
    regs.rip = CODE;
    assert_int_equal(run("ab"), EMULATE_UNHANDLED);
    segments[SEG_DS].limit = ~0u;
    segments[SEG_DS].base = 0x1000;
    regs.rdi = 0xffffeffe; /* around the end of the address space */
    assert_int_equal(run("8907"), EMULATE_UNHANDLED);
    regs.rdi = DATA - 0x1000 + 0x20;
    assert_int_equal(run("8907"), EMULATE_DONE);
    assert_int_equal(g.last.linear, DATA + 0x20);
}

/* ---- addresses ---- */

static void test_rip_relative(void **state)
{
    begin(INSN_64);
    regs.rip = DATA + 0x100; /* code and data: the displacement counts from the end, behind the immediate */
    g.code_at = DATA + 0x100;
    g.code_end = DATA + PAGE_SIZE;
    assert_int_equal(run("48c705 f5000000 44332211"), EMULATE_DONE);
    assert_int_equal(g.last.linear, DATA + 0x200);
    assert_int_equal(at(DATA + 0x200), 0x11223344);
    regs.rip = DATA + 0x100;
    assert_int_equal(run("678005 f8000000 01"), EMULATE_DONE);
    assert_int_equal(g.last.linear, DATA + 0x200);
    assert_int_equal(at(DATA + 0x200), 0x11223345);
}

static void test_bit_offsets(void **state)
{
    static const struct {
        const char *bytes;
        int64_t bit;
        int64_t distance; /* of the operand, in bytes */
        uint64_t value;
    } rows[] = {
        {"480fab07", 5, 0, 1u << 5},      {"480fab07", 64, 8, 1},
        {"480fab07", -1, -8, 1ull << 63}, {"0fab07", 33, 4, 2},
        {"0fab07", -32, -4, 1},           {"660fab07", 0x7fff, 4094, 0x8000},
        {"660fab07", 0x18000, -4096, 1},  {"480fba2f7f", 0, 0, 1ull << 63},
        {"0fba2f25", 0, 0, 32},           {"f0480fab07", 130, 16, 4},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(INSN_64);
        regs.rdi = DATA + 0x2000;
        regs.rax = (uint64_t)rows[i].bit;
        assert_int_equal(run(rows[i].bytes), EMULATE_DONE);
        assert_int_equal(g.last.linear, DATA + 0x2000 + (uint64_t)rows[i].distance);
        assert_int_equal(at(g.last.linear), rows[i].value);
        assert_false(regs.rflags & EFLAGS_CF);
    }
    begin(INSN_64);
    regs.rdi = 4;
    regs.rax = (uint64_t)-64;
    assert_int_equal(run("670fab07"), EMULATE_FAULT); /* around the end of what 32-bit addresses reach */
    assert_int_equal(e.fault.linear, 0xfffffffc);
}

static void test_reported(void **state)
{
    static const struct {
        unsigned long linear;
        const char *bytes;
        bool misaligned, crosses;
    } rows[] = {
        {DATA, "488907", false, false},         {DATA + 4, "488907", true, false},
        {DATA + 0xff8, "488907", false, false}, {DATA + 0xffc, "488907", true, true},
        {DATA + 0xfff, "8807", false, false},   {DATA + 0xfff, "668907", true, true},
        {DATA + 0xffd, "f00107", true, true},   {DATA + 0xffc, "ab", false, false},
        {DATA + 0xffe, "f3ab", true, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(INSN_64);
        regs.rcx = 1;
        regs.rdi = rows[i].linear;
        assert_int_equal(run(rows[i].bytes), EMULATE_DONE);
        assert_int_equal(g.last.linear, rows[i].linear);
        assert_int_equal(g.last.misaligned, rows[i].misaligned);
        assert_int_equal(g.last.crosses, rows[i].crosses);
        assert_int_equal(g.writes + g.swaps, 1);
    }
}

/* Code is read no further than the instruction needs. */
static void test_code_across_pages(void **state)
{
    begin(INSN_64);
    regs.rip = CODE + PAGE_SIZE - 3;
    g.code_at = regs.rip;
    g.code_end = CODE + PAGE_SIZE;
    assert_int_equal(run("488907"), EMULATE_DONE);
    assert_int_equal(g.fetches, 1);
    regs.rip = g.code_at;
    assert_int_equal(run("48894708"), EMULATE_FAULT);
    assert_int_equal(e.fault.linear, CODE + PAGE_SIZE);
    assert_int_equal(e.fault.error, PFEC_I);
    g.code_end = CODE + 2 * PAGE_SIZE;
    assert_int_equal(run("48894708"), EMULATE_DONE);
}

/* ---- who else writes, and who refuses ---- */

static void test_faster_processor(void **state)
{
    begin(INSN_64);
    g.faster = EMULATE_ATTEMPTS - 1;
    assert_int_equal(run("f0800710"), EMULATE_DONE);
    assert_int_equal(at(DATA), 0x10 + EMULATE_ATTEMPTS - 1);
    assert_int_equal(g.reads, EMULATE_ATTEMPTS);

    begin(INSN_64);
    g.faster = ~0u;
    assert_int_equal(run("f0800710"), EMULATE_RETRY);
    assert_int_equal(g.swaps, EMULATE_ATTEMPTS);
    assert_int_equal(regs.rip, CODE);
    assert_int_equal(regs.rflags, EFLAGS_MBS);

    /* Without LOCK it is stored in the end. */
    begin(INSN_64);
    g.faster = ~0u;
    assert_int_equal(run("800710"), EMULATE_DONE);
    assert_int_equal(g.writes, 1);

    /* cmpxchg compares with what it finds. */
    begin(INSN_64);
    g.faster = 1;
    assert_int_equal(run("f0480fb10f"), EMULATE_DONE);
    assert_false(regs.rflags & EFLAGS_ZF);
    assert_int_equal(regs.rax, 1);
}

static void test_caller_refuses(void **state)
{
    static const char *const rows[] = {"488907", "f0480107", "480fb10f", "ab", "50", "ff36", "a5"};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(INSN_64);
        g.refuse_after = 0;
        assert_int_equal(run(rows[i]), EMULATE_UNHANDLED);
    }
    /* In the midst of a repetition: what is done is done. */
    begin(INSN_64);
    regs.rcx = 10;
    g.refuse_after = 3;
    assert_int_equal(run("f348ab"), EMULATE_RETRY);
    assert_int_equal(regs.rcx, 7);
    assert_int_equal(regs.rdi, DATA + 24);
    assert_int_equal(regs.rip, CODE);
}

/* ---- repetition ---- */

static void test_repeat_in_parts(void **state)
{
    unsigned int calls = 0;

    begin(INSN_64);
    regs.rdi = DATA + 0x10;
    regs.rcx = 0x2000 - 0x10;
    regs.rax = 0x55;
    for (enum emulate_result rc = EMULATE_RETRY; rc == EMULATE_RETRY; calls++) {
        unsigned int writes = g.writes;

        rc = run("f3aa");
        assert_in_range(g.writes - writes, 1, EMULATE_REP_MAX);
        assert_int_equal((regs.rdi - 1) / PAGE_SIZE, g.last.linear / PAGE_SIZE);
    }
    assert_int_equal(g.writes, 0x2000 - 0x10);
    assert_int_equal(calls, 16);
    assert_int_equal(regs.rip, CODE + 2);
    assert_int_equal(g.memory[0xf], 0);
    assert_int_equal(g.memory[0x10], 0x55);
    assert_int_equal(g.memory[0x1fff], 0x55);
    assert_int_equal(g.memory[0x2000], 0);
}

static void test_repeat_backwards(void **state)
{
    begin(INSN_64);
    regs.rdi = DATA + 0x1008;
    regs.rsi = DATA + 0x2008;
    regs.rcx = 4;
    regs.rflags |= EFLAGS_DF;
    assert_int_equal(run("f348a5"), EMULATE_RETRY); /* two in this page */
    assert_int_equal(regs.rcx, 2);
    assert_int_equal(regs.rdi, DATA + 0xff8);
    assert_int_equal(run("f348a5"), EMULATE_DONE);
    assert_int_equal(regs.rdi, DATA + 0xfe8);
    assert_int_equal(regs.rsi, DATA + 0x1fe8);
}

/* The second page is not there: the first is done, and the fault is the next element's. */
static void test_repeat_faults(void **state)
{
    begin(INSN_64);
    regs.rdi = DATA + BYTES - 16;
    regs.rcx = 5;
    assert_int_equal(run("f348ab"), EMULATE_RETRY);
    assert_int_equal(run("f348ab"), EMULATE_FAULT);
    assert_int_equal(e.fault.linear, DATA + BYTES);
    assert_int_equal(regs.rcx, 3);
    assert_int_equal(regs.rdi, DATA + BYTES);
    assert_int_equal(regs.rip, CODE);
}

static void test_single_step(void **state)
{
    begin(INSN_64);
    regs.rflags |= EFLAGS_TF | EFLAGS_RF;
    assert_int_equal(run("488907"), EMULATE_DONE);
    assert_true(e.single_step);
    assert_false(regs.rflags & EFLAGS_RF);
    regs.rip = CODE;
    regs.rcx = 2;
    assert_int_equal(run("f3ab"), EMULATE_RETRY);
    assert_true(e.single_step);
    assert_int_equal(regs.rcx, 1);
    assert_int_equal(run("f3ab"), EMULATE_DONE);
    regs.rflags &= ~EFLAGS_TF;
    regs.rip = CODE;
    assert_int_equal(run("488907"), EMULATE_DONE);
    assert_false(e.single_step);
}

/* Two operands in memory: one read, one store, whatever either is. */
static void test_two_operands(void **state)
{
    begin(INSN_64);
    put(DATA + 0x800, 0x1122334455667788);
    assert_int_equal(run("ff36"), EMULATE_DONE); /* push (%rsi) */
    assert_int_equal(regs.rsp, DATA + 0xff8);
    assert_int_equal(at(DATA + 0xff8), 0x1122334455667788);
    assert_int_equal(g.reads, 1);
    assert_int_equal(g.writes, 1);
    regs.rip = CODE;
    assert_int_equal(run("ff742400"), EMULATE_DONE); /* push (%rsp): addressed by the old stack pointer */
    assert_int_equal(at(DATA + 0xff0), 0x1122334455667788);
    regs.rip = CODE;
    assert_int_equal(run("54"), EMULATE_DONE); /* push %rsp: its old value */
    assert_int_equal(at(DATA + 0xfe8), DATA + 0xff0);
    regs.rip = CODE;
    regs.rsi = DATA - 8;
    assert_int_equal(run("ff36"), EMULATE_FAULT); /* the source is the one that faults */
    assert_int_equal(e.fault.linear, DATA - 8);
    assert_int_equal(e.fault.error, 0);
}

/* ---- the list ---- */

static const struct {
    const char *name;
    enum insn_op op;
} names[] = {
    {"MOV", INSN_MOV},
    {"MOVNTI", INSN_MOV},
    {"XCHG", INSN_XCHG},
    {"CMPXCHG", INSN_CMPXCHG},
    {"XADD", INSN_XADD},
    {"ADD", INSN_ADD},
    {"OR", INSN_OR},
    {"ADC", INSN_ADC},
    {"SBB", INSN_SBB},
    {"AND", INSN_AND},
    {"SUB", INSN_SUB},
    {"XOR", INSN_XOR},
    {"INC", INSN_INC},
    {"DEC", INSN_DEC},
    {"NOT", INSN_NOT},
    {"NEG", INSN_NEG},
    {"BTS", INSN_BTS},
    {"BTR", INSN_BTR},
    {"BTC", INSN_BTC},
    {"STOS", INSN_STOS},
    {"MOVS", INSN_MOVS},
    {"PUSH", INSN_PUSH},
    {"CMPXCHG8B", INSN_CMPXCHG_PAIR},
    {"MOVZX", INSN_MOVZX},
    {"MOVSX", INSN_MOVSX},
    {"CMP", INSN_CMP},
    {"TEST", INSN_TEST},
};

static struct {
    enum insn_op op;
    bool lock;
} listed[2][256][8];

static enum insn_op operation_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i].name, name))
            return names[i].op;
    fail_msg("docs/emulator.md: no operation %s", name);
    return INSN_OTHER;
}

/* `88` `0F BA /5`: an opcode, with modrm's reg if that belongs to it. */
static void list_opcode(const char *text, enum insn_op op, bool lock)
{
    unsigned int map = !strncmp(text, "0F ", 3), opcode, reg = 8;

    assert_true(sscanf(text + 3 * map, "%2X /%u", &opcode, &reg) >= 1);
    for (unsigned int r = 0; r < 8; r++)
        if (reg == 8 || r == reg) {
            assert_int_equal(listed[map][opcode][r].op, INSN_OTHER);
            listed[map][opcode][r].op = op;
            listed[map][opcode][r].lock = lock;
        }
}

static void list_row(char *line)
{
    char name[32], lock[8], *cell = strchr(line + 1, '|');

    assert_int_equal(sscanf(cell, "| %31[A-Z0-9] | %*[^|]| %7[a-z]", name, lock), 2);
    *cell = 0;
    for (char *p = strtok(line, "`|"); p; p = strtok(NULL, "`|"))
        if (*p != ' ')
            list_opcode(p, operation_named(name), !strcmp(lock, "yes"));
}

static void test_documented(void **state)
{
    char line[256];
    FILE *f = fopen("docs/emulator.md", "r");
    unsigned int rows = 0;

    assert_non_null(f); /* to be run from the top of the tree */
    while (fgets(line, sizeof(line), f))
        if (!strncmp(line, "| `", 3)) {
            list_row(line);
            rows++;
        }
    fclose(f);
    assert_true(rows > 20);
    for (unsigned int i = 0; i < 2 * 256 * 8; i++) {
        uint8_t map = (uint8_t)(i >> 11), opcode = (uint8_t)(i >> 3), reg = i & 7, bytes[INSN_MAX_LEN] = {0};
        struct insn in;

        if (map)
            bytes[0] = 0x0f;
        bytes[map] = opcode;
        bytes[map + 1] = (uint8_t)(reg << 3);
        if (insn_decode(&in, bytes, sizeof(bytes), INSN_32) || in.opcode != opcode || in.map != map)
            in = (struct insn){.op = INSN_OTHER};
        if (listed[map][opcode][reg].op != in.op || listed[map][opcode][reg].lock != in.lockable)
            fail_msg("map %u opcode %02X /%u: documented %u, table %u; or LOCK differs", map, opcode, reg,
                     listed[map][opcode][reg].op, in.op);
    }
}

/* What the processor has fetched is the instruction, unless there is more of it. */
static void test_fetched_already(void **state)
{
    static const uint8_t mov[] = {0x48, 0x89, 0x07};

    for (unsigned int n = 1; n <= sizeof(mov); n++) {
        begin(INSN_64);
        put(DATA, 5);
        regs.rax = 0x1234;
        e.bytes = mov;
        e.fetched = n;
        assert_int_equal(run("480107"), EMULATE_DONE); /* an addition, by now */
        assert_int_equal(g.fetches, n < sizeof(mov));
        assert_int_equal(at(DATA), n < sizeof(mov) ? 0x1239 : 0x1234);
        assert_int_equal(regs.rip, CODE + 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_handled),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_rip_relative),
        cmocka_unit_test(test_bit_offsets),
        cmocka_unit_test(test_reported),
        cmocka_unit_test(test_code_across_pages),
        cmocka_unit_test(test_fetched_already),
        cmocka_unit_test(test_faster_processor),
        cmocka_unit_test(test_caller_refuses),
        cmocka_unit_test(test_repeat_in_parts),
        cmocka_unit_test(test_repeat_backwards),
        cmocka_unit_test(test_repeat_faults),
        cmocka_unit_test(test_single_step),
        cmocka_unit_test(test_two_operands),
        cmocka_unit_test(test_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
