/* SPDX-License-Identifier: BSD-2-Clause */
/* The opcode table's rows; for decode.c alone. */
#ifndef X86_EMULATE_OPCODES_H
#define X86_EMULATE_OPCODES_H

#include <hv/insn.h>

/* What follows the opcode, and what sizes its operand. A row of zero is an opcode whose length is not known. */
enum {
    F_PLAIN = 1 << 0, /* nothing follows */
    F_MODRM = 1 << 1,
    F_IMM8 = 1 << 2,
    F_IMM16 = 1 << 3,
    F_IMMZ = 1 << 4,      /* two or four bytes */
    F_IMMV = 1 << 5,      /* as wide as the operand */
    F_OFFSET = 1 << 6,    /* as wide as an address */
    F_BYTE = 1 << 7,      /* the operand is a byte */
    F_WIDE = 1 << 8,      /* the operand is 64-bit in 64-bit code without a prefix */
    F_NO64 = 1 << 9,      /* not in 64-bit code */
    F_GROUP = 1 << 10,    /* modrm's reg selects the operation: a row of opcode_groups */
    F_REGS = 1 << 11,     /* modrm names registers whatever its mod */
    F_DWORD = 1 << 12,    /* the operand is four bytes, or eight with REX.W, in every mode */
    F_NOPREFIX = 1 << 13, /* with 66, F2 or F3 it is another instruction, or none */
    F_WORD = 1 << 14      /* the operand is two bytes */
};

struct opcode {
    uint16_t form;
    uint8_t op, args;
    bool lockable;
    uint8_t group;
};

enum { GROUP_1, GROUP_1A, GROUP_3B, GROUP_3, GROUP_4, GROUP_5, GROUP_8, GROUP_9, GROUP_11, GROUPS };

extern const struct opcode opcode_map0[256], opcode_map1[256], opcode_groups[GROUPS][8];

#endif
