// SPDX-License-Identifier: BSD-2-Clause
/*
 * The opcode table: the one-byte map, the 0f map, and the groups in which modrm's reg field selects the operation.
 * AMD64 manual volume 3, appendix A. Operations are named only where the emulator can do them on memory.
 */
#include "opcodes.h"

#define BYTE(flags)        .form = (flags) | F_BYTE
#define RM_REG(operation)  .op = INSN_##operation, .args = INSN_RM_REG
#define REG_RM(operation)  .op = INSN_##operation, .args = INSN_REG_RM
#define RM_IMM(operation)  .op = INSN_##operation, .args = INSN_RM_IMM
#define RM_ONLY(operation) .op = INSN_##operation, .args = INSN_RM
#define STRING(operation)  .op = INSN_##operation, .args = INSN_STRING
#define IN_GROUP(flags, g) .form = (flags) | F_MODRM | F_GROUP, .group = GROUP_##g
#define LOCK               .lockable = true

/* Six forms of arithmetic: to modrm's operand, to a register, to the accumulator. */
#define ARITHMETIC(base, operation)                                                                                   \
    [(base) + 0] = {BYTE(F_MODRM), RM_REG(operation), LOCK},                                                          \
              [(base) + 1] = {.form = F_MODRM, RM_REG(operation), LOCK},                                              \
              [(base) + 2] = {BYTE(F_MODRM), REG_RM(operation)}, [(base) + 3] = {.form = F_MODRM, REG_RM(operation)}, \
              [(base) + 4] = {BYTE(F_IMM8)}, [(base) + 5] = {.form = F_IMMZ}

const struct opcode opcode_map0[256] = {
    ARITHMETIC(0x00, ADD),
    [0x06 ... 0x07] = {.form = F_PLAIN | F_NO64},
    ARITHMETIC(0x08, OR),
    [0x0e] = {.form = F_PLAIN | F_NO64},
    ARITHMETIC(0x10, ADC),
    [0x16 ... 0x17] = {.form = F_PLAIN | F_NO64},
    ARITHMETIC(0x18, SBB),
    [0x1e ... 0x1f] = {.form = F_PLAIN | F_NO64},
    ARITHMETIC(0x20, AND),
    [0x27] = {.form = F_PLAIN | F_NO64},
    ARITHMETIC(0x28, SUB),
    [0x2f] = {.form = F_PLAIN | F_NO64},
    ARITHMETIC(0x30, XOR),
    [0x37] = {.form = F_PLAIN | F_NO64},
    [0x38] = {BYTE(F_MODRM), RM_REG(CMP)},
    [0x39] = {.form = F_MODRM, RM_REG(CMP)},
    [0x3a] = {BYTE(F_MODRM), REG_RM(CMP)},
    [0x3b] = {.form = F_MODRM, REG_RM(CMP)},
    [0x3c] = {BYTE(F_IMM8)},
    [0x3d] = {.form = F_IMMZ},
    [0x3f] = {.form = F_PLAIN | F_NO64},
    [0x40 ... 0x4f] = {.form = F_PLAIN},
    [0x50 ... 0x57] = {.form = F_PLAIN | F_WIDE, .op = INSN_PUSH, .args = INSN_REG},
    [0x58 ... 0x5f] = {.form = F_PLAIN | F_WIDE},
    [0x60 ... 0x61] = {.form = F_PLAIN | F_NO64},
    /* 62: BOUND, or EVEX */
    [0x63] = {.form = F_MODRM},
    [0x68] = {.form = F_IMMZ | F_WIDE, .op = INSN_PUSH, .args = INSN_IMM},
    [0x69] = {.form = F_MODRM | F_IMMZ},
    [0x6a] = {.form = F_IMM8 | F_WIDE, .op = INSN_PUSH, .args = INSN_IMM},
    [0x6b] = {.form = F_MODRM | F_IMM8},
    [0x6c] = {BYTE(F_PLAIN)},
    [0x6d] = {.form = F_PLAIN},
    [0x6e] = {BYTE(F_PLAIN)},
    [0x6f] = {.form = F_PLAIN},
    [0x70 ... 0x7f] = {BYTE(F_IMM8)},
    [0x80] = {IN_GROUP(F_IMM8 | F_BYTE, 1)},
    [0x81] = {IN_GROUP(F_IMMZ, 1)},
    [0x82] = {IN_GROUP(F_IMM8 | F_BYTE | F_NO64, 1)},
    [0x83] = {IN_GROUP(F_IMM8, 1)},
    [0x84] = {BYTE(F_MODRM), RM_REG(TEST)},
    [0x85] = {.form = F_MODRM, RM_REG(TEST)},
    [0x86] = {BYTE(F_MODRM), RM_REG(XCHG), LOCK},
    [0x87] = {.form = F_MODRM, RM_REG(XCHG), LOCK},
    [0x88] = {BYTE(F_MODRM), RM_REG(MOV)},
    [0x89] = {.form = F_MODRM, RM_REG(MOV)},
    [0x8a] = {BYTE(F_MODRM), REG_RM(MOV)},
    [0x8b] = {.form = F_MODRM, REG_RM(MOV)},
    [0x8c ... 0x8e] = {.form = F_MODRM},
    [0x8f] = {IN_GROUP(0, 1A)},
    [0x90 ... 0x99] = {.form = F_PLAIN},
    [0x9a] = {.form = F_IMMZ | F_IMM16 | F_NO64},
    [0x9b ... 0x9f] = {.form = F_PLAIN},
    [0xa0] = {BYTE(F_OFFSET), .op = INSN_MOV, .args = INSN_ACC_OFF},
    [0xa1] = {.form = F_OFFSET, .op = INSN_MOV, .args = INSN_ACC_OFF},
    [0xa2] = {BYTE(F_OFFSET), .op = INSN_MOV, .args = INSN_OFF_ACC},
    [0xa3] = {.form = F_OFFSET, .op = INSN_MOV, .args = INSN_OFF_ACC},
    [0xa4] = {BYTE(F_PLAIN), STRING(MOVS)},
    [0xa5] = {.form = F_PLAIN, STRING(MOVS)},
    [0xa6] = {BYTE(F_PLAIN)},
    [0xa7] = {.form = F_PLAIN},
    [0xa8] = {BYTE(F_IMM8)},
    [0xa9] = {.form = F_IMMZ},
    [0xaa] = {BYTE(F_PLAIN), STRING(STOS)},
    [0xab] = {.form = F_PLAIN, STRING(STOS)},
    [0xac] = {BYTE(F_PLAIN)},
    [0xad] = {.form = F_PLAIN},
    [0xae] = {BYTE(F_PLAIN)},
    [0xaf] = {.form = F_PLAIN},
    [0xb0 ... 0xb7] = {BYTE(F_IMM8)},
    [0xb8 ... 0xbf] = {.form = F_IMMV},
    [0xc0] = {BYTE(F_MODRM | F_IMM8)},
    [0xc1] = {.form = F_MODRM | F_IMM8},
    [0xc2] = {.form = F_IMM16},
    [0xc3] = {.form = F_PLAIN},
    /* c4, c5: LES and LDS, or VEX */
    [0xc6] = {IN_GROUP(F_IMM8 | F_BYTE, 11)},
    [0xc7] = {IN_GROUP(F_IMMZ, 11)},
    [0xc8] = {.form = F_IMM16 | F_IMM8},
    [0xc9] = {.form = F_PLAIN},
    [0xca] = {.form = F_IMM16},
    [0xcb ... 0xcc] = {.form = F_PLAIN},
    [0xcd] = {BYTE(F_IMM8)},
    [0xce] = {.form = F_PLAIN | F_NO64},
    [0xcf] = {.form = F_PLAIN},
    [0xd0] = {BYTE(F_MODRM)},
    [0xd1] = {.form = F_MODRM},
    [0xd2] = {BYTE(F_MODRM)},
    [0xd3] = {.form = F_MODRM},
    [0xd4 ... 0xd5] = {.form = F_IMM8 | F_NO64},
    [0xd6] = {.form = F_PLAIN | F_NO64},
    [0xd7] = {.form = F_PLAIN},
    [0xd8 ... 0xdf] = {.form = F_MODRM},
    [0xe0 ... 0xe4] = {BYTE(F_IMM8)},
    [0xe5] = {.form = F_IMM8},
    [0xe6] = {BYTE(F_IMM8)},
    [0xe7] = {.form = F_IMM8},
    /* Near branches: 66 is ignored in 64-bit code by Intel's processors only. Such code is refused by its users. */
    [0xe8 ... 0xe9] = {.form = F_IMMZ},
    [0xea] = {.form = F_IMMZ | F_IMM16 | F_NO64},
    [0xeb] = {BYTE(F_IMM8)},
    [0xec] = {BYTE(F_PLAIN)},
    [0xed] = {.form = F_PLAIN},
    [0xee] = {BYTE(F_PLAIN)},
    [0xef] = {.form = F_PLAIN},
    [0xf1] = {.form = F_PLAIN},
    [0xf4 ... 0xf5] = {.form = F_PLAIN},
    [0xf6] = {IN_GROUP(F_BYTE, 3B)},
    [0xf7] = {IN_GROUP(0, 3)},
    [0xf8 ... 0xfd] = {.form = F_PLAIN},
    [0xfe] = {IN_GROUP(F_BYTE, 4)},
    [0xff] = {IN_GROUP(0, 5)},
};

const struct opcode opcode_map1[256] = {
    [0x00 ... 0x03] = {.form = F_MODRM},
    [0x05 ... 0x09] = {.form = F_PLAIN}, /* syscall clts sysret invd wbinvd */
    [0x0b] = {.form = F_PLAIN},          /* ud2 */
    [0x0d] = {.form = F_MODRM},
    [0x0e] = {.form = F_PLAIN},
    /* 0f: 3DNow!, whose opcode comes last */
    [0x10 ... 0x1f] = {.form = F_MODRM},
    [0x20 ... 0x23] = {.form = F_MODRM | F_REGS},
    [0x28 ... 0x2f] = {.form = F_MODRM},
    [0x30 ... 0x35] = {.form = F_PLAIN}, /* wrmsr rdtsc rdmsr rdpmc sysenter sysexit */
    [0x37] = {.form = F_PLAIN},
    [0x40 ... 0x6f] = {.form = F_MODRM},
    [0x70 ... 0x73] = {.form = F_MODRM | F_IMM8},
    [0x74 ... 0x76] = {.form = F_MODRM},
    [0x77] = {.form = F_PLAIN},
    /* 78: VMREAD, or EXTRQ and INSERTQ */
    [0x79] = {.form = F_MODRM},
    [0x7c ... 0x7f] = {.form = F_MODRM},
    [0x80 ... 0x8f] = {.form = F_IMMZ},
    [0x90 ... 0x9f] = {BYTE(F_MODRM)},
    [0xa0 ... 0xa2] = {.form = F_PLAIN}, /* push fs, pop fs, cpuid */
    [0xa3] = {.form = F_MODRM},
    [0xa4] = {.form = F_MODRM | F_IMM8},
    [0xa5] = {.form = F_MODRM},
    [0xa8 ... 0xaa] = {.form = F_PLAIN},
    [0xab] = {.form = F_MODRM, RM_REG(BTS), LOCK},
    [0xac] = {.form = F_MODRM | F_IMM8},
    [0xad ... 0xaf] = {.form = F_MODRM},
    [0xb0] = {BYTE(F_MODRM), RM_REG(CMPXCHG), LOCK},
    [0xb1] = {.form = F_MODRM, RM_REG(CMPXCHG), LOCK},
    [0xb2] = {.form = F_MODRM},
    [0xb3] = {.form = F_MODRM, RM_REG(BTR), LOCK},
    [0xb4 ... 0xb5] = {.form = F_MODRM},
    [0xb6] = {BYTE(F_MODRM), REG_RM(MOVZX)},
    [0xb7] = {.form = F_MODRM | F_WORD, REG_RM(MOVZX)},
    [0xb8] = {.form = F_MODRM},
    /* b9: UD1, with or without modrm */
    [0xba] = {IN_GROUP(F_IMM8, 8)},
    [0xbb] = {.form = F_MODRM, RM_REG(BTC), LOCK},
    [0xbc ... 0xbd] = {.form = F_MODRM},
    [0xbe] = {BYTE(F_MODRM), REG_RM(MOVSX)},
    [0xbf] = {.form = F_MODRM | F_WORD, REG_RM(MOVSX)},
    [0xc0] = {BYTE(F_MODRM), RM_REG(XADD), LOCK},
    [0xc1] = {.form = F_MODRM, RM_REG(XADD), LOCK},
    [0xc2] = {.form = F_MODRM | F_IMM8},
    [0xc3] = {.form = F_MODRM | F_DWORD | F_NOPREFIX, RM_REG(MOV)}, /* movnti */
    [0xc4 ... 0xc6] = {.form = F_MODRM | F_IMM8},
    [0xc7] = {IN_GROUP(0, 9)},
    [0xc8 ... 0xcf] = {.form = F_PLAIN}, /* bswap */
    [0xd0 ... 0xfe] = {.form = F_MODRM},
};

/* .form is added to that of the opcode; a row of zero names no operation. */
const struct opcode opcode_groups[GROUPS][8] = {
    [GROUP_1] =
        {
            {RM_IMM(ADD), LOCK},
            {RM_IMM(OR), LOCK},
            {RM_IMM(ADC), LOCK},
            {RM_IMM(SBB), LOCK},
            {RM_IMM(AND), LOCK},
            {RM_IMM(SUB), LOCK},
            {RM_IMM(XOR), LOCK},
            {RM_IMM(CMP)},
        },
    [GROUP_1A] = {{.form = F_WIDE}},
    [GROUP_3B] = {{.form = F_IMM8, RM_IMM(TEST)},
                  {.form = F_IMM8, RM_IMM(TEST)},
                  {RM_ONLY(NOT), LOCK},
                  {RM_ONLY(NEG), LOCK}},
    [GROUP_3] = {{.form = F_IMMZ, RM_IMM(TEST)},
                 {.form = F_IMMZ, RM_IMM(TEST)},
                 {RM_ONLY(NOT), LOCK},
                 {RM_ONLY(NEG), LOCK}},
    [GROUP_4] = {{RM_ONLY(INC), LOCK}, {RM_ONLY(DEC), LOCK}},
    [GROUP_5] =
        {
            {RM_ONLY(INC), LOCK},
            {RM_ONLY(DEC), LOCK},
            {.form = F_WIDE},
            {0},
            {.form = F_WIDE},
            {0},
            {.form = F_WIDE, RM_ONLY(PUSH)},
        },
    [GROUP_8] = {[5] = {RM_IMM(BTS), LOCK}, [6] = {RM_IMM(BTR), LOCK}, [7] = {RM_IMM(BTC), LOCK}},
    [GROUP_9] = {[1] = {.form = F_DWORD, RM_ONLY(CMPXCHG_PAIR), LOCK}},
    [GROUP_11] = {[0] = {RM_IMM(MOV)}},
};
