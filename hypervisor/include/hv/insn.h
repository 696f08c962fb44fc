/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions, decoded: the one decoder of the tree, for all that the hypervisor completes for a guest. It knows the
 * length and operands of the one-byte and 0f maps and the lengths of the 0f 38 and 0f 3a maps, and names the operation
 * of those forms that store to memory and can be emulated.
 *
 * Pure: bytes in, description out; also built for host tests. AMD64 manual volume 3.
 */
#ifndef HV_INSN_H
#define HV_INSN_H

#include <hv/lib.h>
#include <xen/xen.h>

#define INSN_MAX_LEN 15

enum insn_mode { INSN_16, INSN_32, INSN_64 };

/* What it does. Of INSN_OTHER only the length and the raw operands are known. */
enum insn_op {
    INSN_OTHER,
    INSN_MOV, /* MOVNTI too */
    INSN_XCHG,
    INSN_CMPXCHG,
    INSN_CMPXCHG_PAIR, /* CMPXCHG8B, CMPXCHG16B */
    INSN_XADD,
    INSN_ADD,
    INSN_OR,
    INSN_ADC,
    INSN_SBB,
    INSN_AND,
    INSN_SUB,
    INSN_XOR,
    INSN_INC,
    INSN_DEC,
    INSN_NOT,
    INSN_NEG,
    INSN_BTS,
    INSN_BTR,
    INSN_BTC,
    INSN_STOS,
    INSN_MOVS,
    INSN_PUSH,
    INSN_MOVZX, /* these and MOVSX, CMP and TEST only read memory */
    INSN_MOVSX,
    INSN_CMP,
    INSN_TEST,
    INSN_OPS
};

/* Where the operands of a named operation are; the destination is memory, but for the last two. */
enum insn_args {
    INSN_ARGS_NONE,
    INSN_RM_REG,  /* modrm's memory, register reg */
    INSN_RM_IMM,  /* modrm's memory, the immediate */
    INSN_RM,      /* modrm's memory alone; with PUSH it is the source */
    INSN_OFF_ACC, /* address in imm, accumulator */
    INSN_STRING,  /* di, and accumulator or si */
    INSN_REG,     /* PUSH: register reg */
    INSN_IMM,     /* PUSH: the immediate */
    INSN_REG_RM,  /* register reg, modrm's memory */
    INSN_ACC_OFF, /* accumulator, address in imm */
};

/* In the order of the encoding. */
enum insn_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

struct insn {
    uint8_t len; /* total bytes */
    uint8_t map; /* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a */
    uint8_t opcode;
    uint8_t rex;                                        /* 0x40-0x4f or 0 */
    uint8_t modrm;                                      /* valid if has_modrm */
    bool has_modrm, lock, rep, repne, opsize, addrsize; /* prefixes; opsize: 66, addrsize: 67 */
    enum insn_op op;
    enum insn_args args;
    bool lockable;      /* LOCK is allowed when the destination is memory */
    enum insn_seg seg;  /* of the memory operand: the prefix, else as the base register wants it */
    uint8_t op_bytes;   /* 1, 2, 4 or 8: size of the operand named by the opcode; of a pair, each half; of an
                             extension, the source */
    uint8_t addr_bytes; /* 2, 4 or 8: width of addresses */
    uint8_t reg, rm;    /* register numbers with REX applied; rm valid when mod == 3 */
    bool mem;           /* modrm names memory */
    bool rip_relative;
    uint8_t base, index, scale; /* 0xff: none */
    int64_t disp;
    int64_t imm;
    uint8_t imm_bytes;
};

/*
 * Decodes up to n bytes. 0; -EINVAL: not an instruction this decoder knows the length of; -E2BIG: longer than fifteen
 * bytes; -ENODATA: more bytes are needed.
 */
int insn_decode(struct insn *in, const uint8_t *bytes, size_t n, enum insn_mode mode);
/* Effective address without segment base, rip being the address of the instruction. */
unsigned long insn_address(const struct insn *in, const struct cpu_user_regs *regs, unsigned long rip);
/* Value of register number r (0-15), and its write with x86's zero extension rules; bytes 1 with no REX: 4-7 are ah ch
 * dh bh. */
unsigned long insn_read_reg(const struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex);
void insn_write_reg(struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex, unsigned long v);

/*
 * A bit offset in a register reaches outside the operand: divides *bit into whole operands, returned as a distance in
 * bytes, and the bit in the operand found there.
 */
int64_t insn_bit_distance(uint64_t *bit, unsigned int bytes);
/*
 * dst op src in so many bytes, and the flags after it; undefined flags stay as they are. Operations with one operand
 * ignore src; for BTS, BTR and BTC it is the number of a bit in the operand. What computes nothing gives src.
 */
uint64_t insn_compute(enum insn_op op, uint64_t dst, uint64_t src, unsigned int bytes, unsigned long *flags);
/* The flags of dst - src. */
void insn_compare(uint64_t dst, uint64_t src, unsigned int bytes, unsigned long *flags);

static inline uint64_t insn_mask(unsigned int bytes)
{
    return bytes == 8 ? ~0ull : (1ull << (8 * bytes)) - 1;
}

#endif
