/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction decoding for the forms that the hypervisor completes for a guest. Pure: bytes in, description out; also
 * built for host tests. AMD64 manual volume 3.
 */
#ifndef HV_INSN_H
#define HV_INSN_H

#include <hv/lib.h>
#include <xen/xen.h>

#define INSN_MAX_LEN 15

struct insn {
    uint8_t len; /* total bytes */
    uint8_t map; /* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a */
    uint8_t opcode;
    uint8_t rex;                                        /* 0x40-0x4f or 0 */
    uint8_t modrm;                                      /* valid if has_modrm */
    bool has_modrm, lock, rep, repne, opsize, addrsize; /* prefixes; opsize: 66 */
    uint8_t seg;                                        /* 0 none, else the prefix byte 0x26 2e 36 3e 64 65 */
    uint8_t op_bytes;                                   /* 1, 2, 4 or 8: size of the operand named by the opcode */
    uint8_t reg, rm;                                    /* register numbers with REX applied; rm valid when mod == 3 */
    bool mem;                                           /* modrm names memory */
    bool rip_relative;
    uint8_t base, index, scale; /* 0xff: none */
    int64_t disp;
    int64_t imm;
    uint8_t imm_bytes;
};

/*
 * Decodes up to n bytes as 64-bit code (long_mode) or as 32-bit compatibility code. 0; -EINVAL: not an instruction this
 * decoder knows the length of; -ENODATA: more bytes are needed.
 */
int insn_decode(struct insn *in, const uint8_t *bytes, size_t n, bool long_mode);
/* Effective address without segment base, rip being the address of the instruction. */
unsigned long insn_address(const struct insn *in, const struct cpu_user_regs *regs, unsigned long rip);
/* Value of register number r (0-15), and its write with x86's zero extension rules; bytes 1 with no REX: 4-7 are ah ch
 * dh bh. */
unsigned long insn_read_reg(const struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex);
void insn_write_reg(struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex, unsigned long v);

#endif
