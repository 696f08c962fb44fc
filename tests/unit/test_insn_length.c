// SPDX-License-Identifier: BSD-2-Clause
/*
 * The decoder against libcapstone on random bytes, in 16-, 32- and 64-bit code. What both decode must have one length;
 * what the decoder names must be that operation, with that memory operand; and what capstone takes for a store of the
 * listed operations the decoder must name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <capstone/capstone.h>
#include <cmocka.h>
#include <hv/insn.h>
#include "fake/fake.h"

#define ROUNDS 400000
/* Opcodes with a named operation, counted once for each mode and each value of modrm's reg: 1447. Nearly all are met.
 */
#define NAMED_SEEN 1425

static const unsigned int operation_ids[INSN_OPS][4] = {
    [INSN_MOV] = {X86_INS_MOV, X86_INS_MOVABS, X86_INS_MOVNTI},
    [INSN_XCHG] = {X86_INS_XCHG},
    [INSN_CMPXCHG] = {X86_INS_CMPXCHG},
    [INSN_CMPXCHG_PAIR] = {X86_INS_CMPXCHG8B, X86_INS_CMPXCHG16B},
    [INSN_XADD] = {X86_INS_XADD},
    [INSN_ADD] = {X86_INS_ADD},
    [INSN_OR] = {X86_INS_OR},
    [INSN_ADC] = {X86_INS_ADC},
    [INSN_SBB] = {X86_INS_SBB},
    [INSN_AND] = {X86_INS_AND},
    [INSN_SUB] = {X86_INS_SUB},
    [INSN_XOR] = {X86_INS_XOR},
    [INSN_INC] = {X86_INS_INC},
    [INSN_DEC] = {X86_INS_DEC},
    [INSN_NOT] = {X86_INS_NOT},
    [INSN_NEG] = {X86_INS_NEG},
    [INSN_BTS] = {X86_INS_BTS},
    [INSN_BTR] = {X86_INS_BTR},
    [INSN_BTC] = {X86_INS_BTC},
    [INSN_STOS] = {X86_INS_STOSB, X86_INS_STOSW, X86_INS_STOSD, X86_INS_STOSQ},
    [INSN_MOVS] = {X86_INS_MOVSB, X86_INS_MOVSW, X86_INS_MOVSD, X86_INS_MOVSQ},
    [INSN_PUSH] = {X86_INS_PUSH},
    [INSN_MOVZX] = {X86_INS_MOVZX},
    [INSN_MOVSX] = {X86_INS_MOVSX},
    [INSN_CMP] = {X86_INS_CMP},
    [INSN_TEST] = {X86_INS_TEST},
};

static csh engine[3];
static cs_insn *theirs;
static bool seen[3][2][256][8];

static enum insn_op operation_of(unsigned int id)
{
    for (unsigned int op = 0; op < INSN_OPS; op++)
        for (unsigned int i = 0; i < 4; i++)
            if (id && operation_ids[op][i] == id)
                return (enum insn_op)op;
    return INSN_OTHER;
}

static void check(bool holds, const char *what, const uint8_t *bytes, const struct insn *in)
{
    if (holds)
        return;
    for (unsigned int i = 0; i < INSN_MAX_LEN; i++)
        printf("%02x ", bytes[i]);
    printf("\ncapstone: %u bytes, %s %s\ndecoder: %u bytes, operation %u of %u bytes, base %u index %u disp %lx\n",
           theirs->size, theirs->mnemonic, theirs->op_str, in->len, (unsigned int)in->op, in->op_bytes, in->base,
           in->index, in->disp);
    fail_msg("%s", what);
}

/* Number of a register as the encoding has it; 0xff: none. */
static unsigned int register_number(unsigned int reg)
{
    static const unsigned int numbers[][3] = {
        {X86_REG_AX, X86_REG_EAX, X86_REG_RAX},    {X86_REG_CX, X86_REG_ECX, X86_REG_RCX},
        {X86_REG_DX, X86_REG_EDX, X86_REG_RDX},    {X86_REG_BX, X86_REG_EBX, X86_REG_RBX},
        {X86_REG_SP, X86_REG_ESP, X86_REG_RSP},    {X86_REG_BP, X86_REG_EBP, X86_REG_RBP},
        {X86_REG_SI, X86_REG_ESI, X86_REG_RSI},    {X86_REG_DI, X86_REG_EDI, X86_REG_RDI},
        {X86_REG_R8W, X86_REG_R8D, X86_REG_R8},    {X86_REG_R9W, X86_REG_R9D, X86_REG_R9},
        {X86_REG_R10W, X86_REG_R10D, X86_REG_R10}, {X86_REG_R11W, X86_REG_R11D, X86_REG_R11},
        {X86_REG_R12W, X86_REG_R12D, X86_REG_R12}, {X86_REG_R13W, X86_REG_R13D, X86_REG_R13},
        {X86_REG_R14W, X86_REG_R14D, X86_REG_R14}, {X86_REG_R15W, X86_REG_R15D, X86_REG_R15},
    };

    for (unsigned int r = 0; r < ARRAY_SIZE(numbers); r++)
        for (unsigned int w = 0; w < 3; w++)
            if (numbers[r][w] == reg)
                return r;
    return 0xff;
}

/*
 * Where 66 stands together with F2 or F3, capstone takes the former for a part of the opcode: not in these maps. And
 * PUSH of memory with REX.W and another prefix it takes for a word: by the manuals REX.W wins.
 */
static bool sizes_confused(const struct insn *in)
{
    return (in->opsize && (in->rep || in->repne)) || (in->op == INSN_PUSH && (in->rex & 8));
}

/* Capstone's immediates that are too long: after such prefixes, and of RET after REX.W. */
static bool capstone_errs(const struct insn *in)
{
    return in->map == 0 && ((in->opcode == 0xc2 && (in->rex & 8)) || (in->opcode == 0x68 && sizes_confused(in)));
}

/* 66 before a near branch: the vendors differ. */
static bool is_near_branch(const struct insn *in)
{
    return (in->map == 0 && (in->opcode == 0xe8 || in->opcode == 0xe9)) || (in->map == 1 && in->opcode >> 4 == 8);
}

/* Would the emulator have to know it? Of MOV and PUSH those with segment registers are not on the list. */
static bool is_listed_store(const struct insn *in)
{
    const cs_x86 *x = &theirs->detail->x86;
    enum insn_op op = operation_of(theirs->id);

    if (op == INSN_OTHER || !x->op_count)
        return false;
    if (op == INSN_PUSH)
        return in->map == 0 && in->opcode >= 0x50;
    return x->operands[0].type == X86_OP_MEM && !(op == INSN_MOV && in->opcode == 0x8c) &&
           !(op == INSN_MOVS && in->map);
}

static void check_memory(const uint8_t *bytes, const struct insn *in)
{
    const cs_x86_op *o = &theirs->detail->x86.operands[in->args >= INSN_REG_RM];
    unsigned int size = in->op == INSN_CMPXCHG_PAIR ? 2u * in->op_bytes : in->op_bytes;

    check(o->type == X86_OP_MEM, "not memory", bytes, in);
    check(o->size == size || sizes_confused(in), "operand size", bytes, in);
    if (in->args == INSN_OFF_ACC || in->args == INSN_ACC_OFF || in->args == INSN_STRING)
        return;
    check(register_number(o->mem.base) == in->base, "base", bytes, in);
    check(register_number(o->mem.index) == in->index, "index", bytes, in);
    check(in->index == 0xff || o->mem.scale == in->scale, "scale", bytes, in);
    check(((uint64_t)(o->mem.disp - in->disp) & insn_mask(in->addr_bytes)) == 0, "displacement", bytes, in);
    check((o->mem.base == X86_REG_RIP || o->mem.base == X86_REG_EIP) == in->rip_relative, "RIP-relative", bytes, in);
}

static void check_named(const uint8_t *bytes, const struct insn *in, enum insn_mode mode)
{
    check(operation_of(theirs->id) == in->op, "operation", bytes, in);
    if (in->mem || in->args == INSN_OFF_ACC || in->args == INSN_ACC_OFF || in->args == INSN_STRING)
        check_memory(bytes, in);
    seen[mode][in->map][in->opcode][in->has_modrm ? (in->modrm >> 3) & 7 : 0] = true;
}

static void one_instruction(const uint8_t *bytes, enum insn_mode mode)
{
    struct insn in;
    const uint8_t *p = bytes;
    size_t n = INSN_MAX_LEN;
    uint64_t address = 0;
    int rc = insn_decode(&in, bytes, n, mode);

    if (!cs_disasm_iter(engine[mode], &p, &n, &address, theirs))
        return;
    if (rc) {
        /* MOVNTI with 66, F2 or F3 is no instruction to the manuals, but is to capstone. */
        check(!is_listed_store(&in) || theirs->id == X86_INS_MOVNTI, "unknown", bytes, &in);
        return;
    }
    if (capstone_errs(&in) || is_near_branch(&in))
        return;
    check(in.len == theirs->size, "length", bytes, &in);
    if (in.op != INSN_OTHER && (in.mem || (in.args != INSN_RM_REG && in.args != INSN_REG_RM && in.args != INSN_RM_IMM)))
        check_named(bytes, &in, mode);
    else
        check(!is_listed_store(&in), "a store that the table does not have", bytes, &in);
}

/* Random bytes after up to three prefixes; every other time an opcode of the second map. */
static void random_bytes(uint8_t *bytes)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x48, 0x45};
    unsigned int count = fake_below(4);

    for (unsigned int i = 0; i < INSN_MAX_LEN; i++)
        bytes[i] = (uint8_t)fake_rand();
    for (unsigned int i = 0; i < count; i++)
        bytes[i] = prefixes[fake_below(ARRAY_SIZE(prefixes))];
    if (fake_chance(50))
        bytes[count] = 0x0f;
}

static void test_random_lengths(void **state)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    unsigned long rounds = fake_ops(ROUNDS);
    unsigned int met = 0;
    const bool *s = &seen[0][0][0][0];

    fake_seed("insn_length");
    for (unsigned int m = 0; m < 3; m++) {
        assert_int_equal(cs_open(CS_ARCH_X86, modes[m], &engine[m]), CS_ERR_OK);
        cs_option(engine[m], CS_OPT_DETAIL, CS_OPT_ON);
    }
    theirs = cs_malloc(engine[0]);
    for (unsigned long i = 0; i < rounds; i++) {
        uint8_t bytes[INSN_MAX_LEN];

        random_bytes(bytes);
        one_instruction(bytes, (enum insn_mode)fake_below(3));
    }
    for (unsigned int i = 0; i < sizeof(seen); i++)
        met += s[i];
    printf("%lu rounds, %u named opcodes met\n", rounds, met);
    assert_true(met >= NAMED_SEEN || rounds < ROUNDS);
    cs_free(theirs, 1);
    for (unsigned int m = 0; m < 3; m++)
        cs_close(&engine[m]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_lengths)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
