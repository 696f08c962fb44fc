// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulator against libunicorn: random instructions of every form that the opcode table names, with random prefixes,
 * registers and memory, in 16-, 32- and 64-bit code. Both must come to the same registers, flags that are defined,
 * memory, and fault.
 *
 * Memory is five pages: two that may be written, one that may only be read, a gap, one more. What unicorn does not
 * check is not compared; test_emulate.c has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unicorn/unicorn.h>
#include <cmocka.h>
#include <hv/emulate.h>
#include "fake/fake.h"

#define ROUNDS      30000
#define LEAST       10u /* completed instructions of each operation in each mode */
#define PAGES       5
#define READ_ONLY   2
#define GAP         3
#define ARENA_BYTES (PAGES * PAGE_SIZE)
#define STATUS      (EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF)

enum outcome { DONE, MEMORY_FAULT, INVALID, GENERAL, NOT_HANDLED, OUTCOMES };

static const uint64_t arena_at[] = {[INSN_16] = 0x20000, [INSN_32] = 0x40000000, [INSN_64] = 0x40000000};
static const uint64_t code_at[] = {[INSN_16] = 0x50000, [INSN_32] = 0x50000000, [INSN_64] = 0x50000000};

static const int register_ids[] = {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
                                   UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
                                   UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
                                   UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};
static const int register_ids32[] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                                     UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};

/* Every named opcode, for modrm's reg where it matters. */
static struct form {
    uint8_t map, opcode, reg;
} forms[512];
static unsigned int form_count;

/* One try: what both sides begin with, and where each ends. */
static struct side {
    struct cpu_user_regs regs;
    uint8_t *memory;
    enum outcome outcome;
    unsigned int calls;
} ours, theirs;
static struct cpu_user_regs before;
static uint64_t memory_before[ARENA_BYTES / 8];
static uint8_t code[2 * INSN_MAX_LEN];
static struct insn insn;
static enum insn_mode mode;
static struct emul_segment segments[SEG_COUNT];
static uc_engine *engine[3];

/* Real mode: selectors times 16. Otherwise flat, but for FS and GS in 64-bit code. */
static const uint16_t selectors[SEG_COUNT] = {0x1800, 0x4800, 0x1700, 0x1900, 0x1a00, 0x1b00};
static const int segment_ids[SEG_COUNT] = {UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
                                           UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

static struct emul_access faulted; /* on our side */
static unsigned int compared[3][INSN_OPS], outcomes[OUTCOMES], repeated;

/* ---- our side ---- */

static bool reachable(uint64_t linear, unsigned int bytes, bool write)
{
    for (uint64_t at = linear; at != linear + bytes; at++) {
        uint64_t page = (at - arena_at[mode]) / PAGE_SIZE;

        if (at < arena_at[mode] || page >= PAGES || page == GAP || (write && page == READ_ONLY))
            return false;
    }
    return true;
}

static enum emulate_result access_ok(struct emul *e, const struct emul_access *a, bool write)
{
    assert_int_equal(a->misaligned, (a->linear % a->bytes) != 0);
    assert_int_equal(a->crosses, a->linear / PAGE_SIZE != (a->linear + a->bytes - 1) / PAGE_SIZE);
    if (reachable(a->linear, a->bytes, write))
        return EMULATE_DONE;
    faulted = *a;
    e->fault = (struct emul_fault){TRAP_PF, true, write ? PFEC_W : 0, a->linear};
    return EMULATE_FAULT;
}

static uint8_t *our_memory(const struct emul_access *a)
{
    return ours.memory + (a->linear - arena_at[mode]);
}

static enum emulate_result op_fetch(struct emul *e, uint64_t linear, uint8_t *buf, unsigned int bytes)
{
    memcpy(buf, code + (linear - code_at[mode]), bytes);
    return EMULATE_DONE;
}

static enum emulate_result op_read(struct emul *e, const struct emul_access *a, uint64_t *value)
{
    enum emulate_result rc = access_ok(e, a, a->write);

    value[0] = 0;
    if (rc == EMULATE_DONE)
        memcpy(value, our_memory(a), a->bytes);
    return rc;
}

static enum emulate_result op_write(struct emul *e, const struct emul_access *a, const uint64_t *value)
{
    enum emulate_result rc = access_ok(e, a, true);

    if (rc == EMULATE_DONE)
        memcpy(our_memory(a), value, a->bytes);
    return rc;
}

/* Now and then another processor was faster. */
static enum emulate_result op_cmpxchg(struct emul *e, const struct emul_access *a, const uint64_t *old,
                                      const uint64_t *new)
{
    assert_int_equal(access_ok(e, a, true), EMULATE_DONE);
    assert_memory_equal(our_memory(a), old, a->bytes);
    if (fake_chance(10))
        return EMULATE_RETRY;
    memcpy(our_memory(a), new, a->bytes);
    return EMULATE_DONE;
}

static const struct emul_ops ops = {op_fetch, op_read, op_write, op_cmpxchg};

static enum outcome outcome_of(enum emulate_result rc, const struct emul_fault *f)
{
    if (rc == EMULATE_DONE)
        return DONE;
    if (rc != EMULATE_FAULT)
        return NOT_HANDLED;
    return f->vector == TRAP_PF ? MEMORY_FAULT : f->vector == TRAP_UD ? INVALID : GENERAL;
}

/* Until the instruction is over: each call must have progressed, unless another processor was faster each time. */
static void run_ours(void)
{
    struct emul e = {.ops = &ops, .mode = mode, .regs = &ours.regs, .seg = segments, .loads = true};
    enum emulate_result rc;

    ours.regs = before;
    ours.calls = 0;
    do {
        uint64_t count = ours.regs.rcx, rip = ours.regs.rip;

        rc = emulate_store(&e);
        ours.calls++;
        if (rc == EMULATE_RETRY) {
            assert_int_equal(ours.regs.rip, rip);
            count = (count - ours.regs.rcx) & insn_mask(insn.addr_bytes);
            assert_in_range(count, insn.args == INSN_STRING ? 1 : 0, EMULATE_REP_MAX);
        }
    } while (rc == EMULATE_RETRY && ours.calls < 10000);
    ours.outcome = outcome_of(rc, &e.fault);
    if (ours.outcome != DONE && insn.args != INSN_STRING)
        assert_memory_equal(&ours.regs, &before, sizeof(before));
}

/* ---- their side ---- */

static void registers_to(uc_engine *uc, const struct cpu_user_regs *r)
{
    uint64_t flags = r->rflags;

    for (unsigned int i = 0; i < (mode == INSN_64 ? 16 : 8); i++) {
        uint64_t v = insn_read_reg(r, i, 8, true);

        uc_reg_write(uc, mode == INSN_64 ? register_ids[i] : register_ids32[i], &v);
    }
    uc_reg_write(uc, UC_X86_REG_EFLAGS, &flags);
    if (mode == INSN_64) {
        uc_reg_write(uc, UC_X86_REG_FS_BASE, &segments[SEG_FS].base);
        uc_reg_write(uc, UC_X86_REG_GS_BASE, &segments[SEG_GS].base);
    }
}

static void registers_from(uc_engine *uc, struct cpu_user_regs *r)
{
    uint64_t flags = 0, rip = 0;

    *r = before;
    for (unsigned int i = 0; i < (mode == INSN_64 ? 16 : 8); i++) {
        uint64_t v = 0;

        uc_reg_read(uc, mode == INSN_64 ? register_ids[i] : register_ids32[i], &v);
        insn_write_reg(r, i, 8, true, v);
    }
    uc_reg_read(uc, UC_X86_REG_EFLAGS, &flags);
    uc_reg_read(uc, mode == INSN_64 ? UC_X86_REG_RIP : UC_X86_REG_EIP, &rip);
    r->rflags = flags;
    r->rip = rip;
}

static enum outcome outcome_of_error(uc_err err)
{
    switch (err) {
    case UC_ERR_OK:
        return DONE;
    case UC_ERR_INSN_INVALID:
        return INVALID;
    case UC_ERR_EXCEPTION:
        return GENERAL;
    case UC_ERR_READ_UNMAPPED:
    case UC_ERR_READ_PROT:
    case UC_ERR_WRITE_UNMAPPED:
    case UC_ERR_WRITE_PROT:
        return MEMORY_FAULT;
    default:
        fail_msg("unicorn: %s", uc_strerror(err));
        return NOT_HANDLED;
    }
}

static void run_theirs(void)
{
    uc_engine *uc = engine[mode];
    uint64_t end = code_at[mode] + insn.len;

    uc_mem_write(uc, code_at[mode], code, sizeof(code));
    registers_to(uc, &before);
    theirs.outcome = outcome_of_error(uc_emu_start(uc, code_at[mode], end, 0, 0));
    registers_from(uc, &theirs.regs);
    /* An exception that it finds itself sometimes ends the run without an error. */
    if (theirs.outcome == DONE && theirs.regs.rip == before.rip)
        theirs.outcome = GENERAL;
}

/* ---- an instruction ---- */

static void find_forms(void)
{
    for (unsigned int i = 0; i < 2 * 256 * 8; i++) {
        uint8_t map = (uint8_t)(i >> 11), opcode = (uint8_t)(i >> 3), reg = i & 7;
        uint8_t bytes[INSN_MAX_LEN] = {0};
        struct insn in;
        size_t n = 0;

        if (map)
            bytes[n++] = 0x0f;
        bytes[n++] = opcode;
        bytes[n] = (uint8_t)(reg << 3);
        if (insn_decode(&in, bytes, sizeof(bytes), INSN_32) || in.op == INSN_OTHER)
            continue;
        /* Not a prefix or the escape. */
        if (in.opcode == opcode && in.map == map && (in.has_modrm || reg == 0)) {
            assert_true(form_count < ARRAY_SIZE(forms));
            forms[form_count++] = (struct form){map, opcode, reg};
        }
    }
}

static size_t random_prefixes(uint8_t *bytes, bool string)
{
    static const uint8_t segment[] = {0x26, 0x36, 0x3e, 0x64, 0x65};
    size_t n = 0;

    if (fake_chance(25))
        bytes[n++] = 0x66;
    if (fake_chance(20))
        bytes[n++] = 0x67;
    if (fake_chance(20))
        bytes[n++] = segment[fake_below(sizeof(segment))];
    if (fake_chance(string ? 3 : 25))
        bytes[n++] = 0xf0;
    if (fake_chance(string ? 70 : 3))
        bytes[n++] = fake_chance(50) ? 0xf2 : 0xf3;
    if (mode == INSN_64 && fake_chance(60))
        bytes[n++] = (uint8_t)(0x40 | fake_below(16));
    return n;
}

static bool random_instruction(void)
{
    const struct form *f = &forms[fake_below(form_count)];
    bool string = f->map == 0 && (f->opcode == 0xa4 || f->opcode == 0xa5 || f->opcode == 0xaa || f->opcode == 0xab);
    size_t n;

    for (size_t i = 0; i < sizeof(code); i++)
        code[i] = (uint8_t)fake_rand();
    n = random_prefixes(code, string);
    if (f->map)
        code[n++] = 0x0f;
    code[n++] = f->opcode;
    code[n] = (uint8_t)((fake_chance(3) ? 3u : fake_below(3)) << 6 | (unsigned int)f->reg << 3 | fake_below(8));
    if (insn_decode(&insn, code, INSN_MAX_LEN, mode) || insn.op == INSN_OTHER)
        return false;
    /* Where modrm's reg is part of the opcode, unicorn has REX.R select others that do not exist. */
    return insn.args == INSN_RM_REG || insn.args == INSN_REG_RM || !(insn.rex & 4);
}

/* ---- registers that lead to the five pages ---- */

static uint64_t random_value(void)
{
    switch (fake_below(4)) {
    case 0:
        return (uint64_t)(int64_t)(int8_t)fake_rand();
    case 1:
        return fake_rand() & 0xffff;
    default:
        return fake_rand();
    }
}

/* Mostly inside; often on an edge between pages. */
static uint64_t random_target(void)
{
    if (fake_chance(40))
        return arena_at[mode] + (1 + fake_below(PAGES)) * PAGE_SIZE - 1 - fake_below(16);
    return arena_at[mode] + (fake_chance(80) ? fake_below(2 * PAGE_SIZE) : fake_below(ARENA_BYTES)) / 8 * 8;
}

static void add_to_register(unsigned int reg, uint64_t by)
{
    insn_write_reg(&before, reg, 8, true, insn_read_reg(&before, reg, 8, true) + by);
}

static void aim_modrm(uint64_t target)
{
    uint64_t bit = insn_read_reg(&before, insn.reg, insn.op_bytes, insn.rex != 0), offset;
    bool bits = insn.op == INSN_BTS || insn.op == INSN_BTR || insn.op == INSN_BTC;
    bool moffs = insn.args == INSN_OFF_ACC || insn.args == INSN_ACC_OFF;
    unsigned int width = moffs ? insn.addr_bytes : insn.addr_bytes == 2 ? 2 : 4;
    uint8_t *displacement = code + insn.len - (moffs ? 0 : insn.imm_bytes) - width;

    offset = insn_address(&insn, &before, before.rip);
    if (bits && insn.args == INSN_RM_REG)
        offset += (uint64_t)insn_bit_distance(&bit, insn.op_bytes);
    target -= segments[insn.seg].base + offset;
    if (insn.base != 0xff) {
        add_to_register(insn.base, target);
        return;
    }
    for (unsigned int i = 0; i < width; i++) {
        target += displacement[i];
        displacement[i] = (uint8_t)target;
        target = (uint64_t)((int64_t)target >> 8);
    }
    insn_decode(&insn, code, INSN_MAX_LEN, mode);
}

static void aim(void)
{
    uint64_t si = random_target() - segments[insn.seg].base;

    if (insn.mem || insn.args == INSN_OFF_ACC || insn.args == INSN_ACC_OFF)
        aim_modrm(random_target());
    if (insn.args == INSN_STRING) {
        before.rdi = random_target() - segments[SEG_ES].base;
        before.rsi = si;
        before.rcx = fake_chance(85) ? fake_below(40) : fake_below(3000);
        if (fake_chance(20) && insn.addr_bytes < 8)
            before.rcx |= fake_rand() << (8 * insn.addr_bytes);
    }
    if (insn.op == INSN_PUSH && !(insn.mem && insn.base == 4))
        before.rsp = random_target() + insn.op_bytes - segments[SEG_SS].base;
}

/* Comparisons should succeed as often as not. */
static void aim_comparison(void)
{
    uint64_t at = insn_address(&insn, &before, before.rip) + segments[insn.seg].base - arena_at[mode];

    if (!fake_chance(50) || at > ARENA_BYTES - 16)
        return;
    if (insn.op == INSN_CMPXCHG && insn.base != 0 && insn.index != 0)
        memcpy(&before.rax, (uint8_t *)memory_before + at, 8);
    if (insn.op == INSN_CMPXCHG_PAIR && insn.base != 0 && insn.index != 0 && insn.base != 2 && insn.index != 2) {
        memcpy(&before.rax, (uint8_t *)memory_before + at, insn.op_bytes);
        memcpy(&before.rdx, (uint8_t *)memory_before + at + insn.op_bytes, insn.op_bytes);
    }
}

static void random_segments(void)
{
    for (unsigned int s = 0; s < SEG_COUNT; s++) {
        segments[s] = (struct emul_segment){.limit = mode == INSN_16 ? 0xffff : ~0u, .plain = true};
        segments[s].big = mode == INSN_32;
        if (mode == INSN_16)
            segments[s].base = selectors[s] << 4;
        else if (mode == INSN_64 && s >= SEG_FS)
            segments[s].base = fake_rand() & 0x7fffffffffff;
    }
}

static void random_state(void)
{
    for (unsigned int i = 0; i < 16; i++)
        insn_write_reg(&before, i, 8, true, random_value());
    random_segments();
    before.rip = code_at[mode] - segments[SEG_CS].base;
    before.rflags = (fake_rand() & (STATUS | EFLAGS_DF)) | EFLAGS_MBS;
    for (unsigned int i = 0; i < ARENA_BYTES / 8; i++)
        memory_before[i] = fake_rand();
    aim();
    aim_comparison();
    if (mode != INSN_64)
        for (unsigned int i = 0; i < 8; i++)
            insn_write_reg(&before, i, 8, true, insn_read_reg(&before, i, 4, true));
    memcpy(ours.memory, memory_before, ARENA_BYTES);
    memcpy(theirs.memory, memory_before, ARENA_BYTES);
}

/* ---- comparison ---- */

static void show(const char *who, const struct side *s)
{
    static const char *const names[] = {"done", "memory fault", "invalid", "general protection", "not handled"};

    printf("%s: %s\n  rip %lx flags %lx\n ", who, names[s->outcome], s->regs.rip, s->regs.rflags);
    for (unsigned int i = 0; i < 16; i++)
        printf(" %lx", insn_read_reg(&s->regs, i, 8, true));
    printf("\n");
}

static void differ(const char *what)
{
    printf("%u-bit:", 16u << mode);
    for (unsigned int i = 0; i < insn.len; i++)
        printf(" %02x", code[i]);
    printf("\n");
    show("before", &(struct side){.regs = before});
    show("emulator", &ours);
    show("unicorn", &theirs);
    for (unsigned int i = 0; i < ARENA_BYTES; i++)
        if (ours.memory[i] != theirs.memory[i])
            printf("  at %#lx: %02x, emulator %02x, unicorn %02x\n", arena_at[mode] + i, ((uint8_t *)memory_before)[i],
                   ours.memory[i], theirs.memory[i]);
    fail_msg("%s", what);
}

/* Unicorn 2.0.1 takes the flags of LOCK NEG from the operand instead of the result; without LOCK they are right. */
static unsigned long defined_flags(void)
{
    if (insn.op == INSN_NEG && insn.lock)
        return ~STATUS;
    switch (insn.op) {
    case INSN_OR:
    case INSN_AND:
    case INSN_XOR:
    case INSN_TEST:
        return ~EFLAGS_AF;
    case INSN_BTS:
    case INSN_BTR:
    case INSN_BTC:
        return ~(STATUS & ~(EFLAGS_CF | EFLAGS_ZF));
    default:
        return ~0ul;
    }
}

/* Of a comparison that succeeds unicorn writes the accumulator all the same, which in four bytes clears the upper half.
 */
static void spare_accumulator(void)
{
    if (insn.op == INSN_CMPXCHG && insn.op_bytes == 4 && (ours.regs.rflags & EFLAGS_ZF))
        theirs.regs.rax = (before.rax & ~insn_mask(4)) | (theirs.regs.rax & insn_mask(4));
}

/* A store across two pages of which the second faults: unicorn has stored to the first by then. */
static void spare_first_page(void)
{
    for (uint64_t at = faulted.linear; at % PAGE_SIZE; at++)
        theirs.memory[at - arena_at[mode]] = ours.memory[at - arena_at[mode]];
}

static void compare(void)
{
    if (ours.outcome == DONE)
        spare_accumulator();
    if (ours.outcome == MEMORY_FAULT && faulted.crosses && reachable(faulted.linear, 1, true))
        spare_first_page();
    if (ours.outcome != theirs.outcome)
        differ("outcome");
    if (memcmp(ours.memory, theirs.memory, ARENA_BYTES))
        differ("memory");
    /* After the fault unicorn goes on to the end of this one, with what it could not read. */
    if (ours.outcome == MEMORY_FAULT && insn.op == INSN_CMPXCHG_PAIR)
        theirs.regs = ours.regs;
    for (unsigned int i = 0; i < 16; i++)
        if (insn_read_reg(&ours.regs, i, 8, true) != insn_read_reg(&theirs.regs, i, 8, true))
            differ("register");
    if ((ours.regs.rflags ^ theirs.regs.rflags) & defined_flags())
        differ("flags");
    if (ours.regs.rip != theirs.regs.rip)
        differ("instruction pointer");
}

/*
 * Segment limits and canonical addresses it does not check; LOCK where it may not stand is ignored, or its end. The
 * second encoding of TEST with an immediate it takes for none.
 */
static bool unicorn_knows(void)
{
    if (ours.outcome == INVALID)
        assert_true(insn.lock && !(insn.lockable && insn.mem));
    if (ours.outcome == GENERAL)
        return insn.op == INSN_CMPXCHG_PAIR && (insn.rex & 8);
    if (insn.op == INSN_TEST && insn.args == INSN_RM_IMM && (insn.reg & 7) == 1)
        return false;
    return ours.outcome != INVALID && ours.outcome != NOT_HANDLED;
}

static void one_instruction(void)
{
    mode = (enum insn_mode)fake_below(3);
    if (!random_instruction())
        return;
    random_state();
    run_ours();
    outcomes[ours.outcome]++;
    if (!unicorn_knows())
        return;
    run_theirs();
    compare();
    if (ours.outcome == DONE) {
        compared[mode][insn.op]++;
        repeated += ours.calls > 1 && insn.args == INSN_STRING;
    }
}

/* ---- setting up ---- */

static void map_arena(uc_engine *uc, uint64_t at)
{
    assert_int_equal(uc_mem_map_ptr(uc, at, 2 * PAGE_SIZE, UC_PROT_READ | UC_PROT_WRITE, theirs.memory), UC_ERR_OK);
    assert_int_equal(uc_mem_map_ptr(uc, at + READ_ONLY * PAGE_SIZE, PAGE_SIZE, UC_PROT_READ,
                                    theirs.memory + READ_ONLY * PAGE_SIZE),
                     UC_ERR_OK);
    assert_int_equal(uc_mem_map_ptr(uc, at + (GAP + 1) * PAGE_SIZE, PAGE_SIZE, UC_PROT_READ | UC_PROT_WRITE,
                                    theirs.memory + (GAP + 1) * PAGE_SIZE),
                     UC_ERR_OK);
}

static void start_engines(void)
{
    static const uc_mode modes[] = {UC_MODE_16, UC_MODE_32, UC_MODE_64};

    ours.memory = malloc(ARENA_BYTES);
    theirs.memory = aligned_alloc(PAGE_SIZE, ARENA_BYTES);
    for (unsigned int m = 0; m < 3; m++) {
        assert_int_equal(uc_open(UC_ARCH_X86, modes[m], &engine[m]), UC_ERR_OK);
        map_arena(engine[m], arena_at[m]);
        for (unsigned int s = 0; m == INSN_16 && s < SEG_COUNT; s++)
            assert_int_equal(uc_reg_write(engine[m], segment_ids[s], &selectors[s]), UC_ERR_OK);
        assert_int_equal(uc_mem_map(engine[m], code_at[m], PAGE_SIZE, UC_PROT_READ | UC_PROT_EXEC), UC_ERR_OK);
    }
}

/* Some operations complete rarely: it goes on until each of them has done so often enough to say something. */
static bool enough(void)
{
    for (unsigned int m = 0; m < 3; m++)
        for (unsigned int op = INSN_OTHER + 1; op < INSN_OPS; op++)
            if (compared[m][op] < LEAST)
                return false;
    return true;
}

static void test_against_unicorn(void **state)
{
    unsigned long rounds = fake_ops(ROUNDS);

    fake_seed("emulate");
    find_forms();
    start_engines();
    for (unsigned long i = 0; i < rounds || (rounds >= ROUNDS && i < 20 * rounds && !enough()); i++)
        one_instruction();
    printf("%u forms; %u done, %u memory faults, %u invalid, %u general protection, %u not handled; %u in parts\n",
           form_count, outcomes[DONE], outcomes[MEMORY_FAULT], outcomes[INVALID], outcomes[GENERAL],
           outcomes[NOT_HANDLED], repeated);
    for (unsigned int m = 0; m < 3; m++)
        for (unsigned int op = INSN_OTHER + 1; op < INSN_OPS && rounds >= ROUNDS; op++)
            assert_true(compared[m][op] >= LEAST);
    for (unsigned int m = 0; m < 3; m++)
        uc_close(engine[m]);
    free(ours.memory);
    free(theirs.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_unicorn)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
