// SPDX-License-Identifier: BSD-2-Clause
/* Instructions that only read memory, for devices: MOV and its extensions, arithmetic into a register, comparisons. */
#include <hv/x86.h>
#include "internal.h"

/* Of MOVZX and MOVSX: as wide as the prefixes say, whatever the source is. */
static unsigned int extended_bytes(const struct emul *e)
{
    if (e->insn.rex & 8)
        return 8;
    return e->insn.opsize != (e->mode == INSN_16) ? 2 : 4;
}

static uint64_t sign_extended(uint64_t value, unsigned int bytes)
{
    unsigned int shift = 64 - 8 * bytes;

    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static void complete(struct emul *e, uint64_t value)
{
    const struct insn *in = &e->insn;
    bool extends = in->op == INSN_MOVZX || in->op == INSN_MOVSX;
    unsigned int reg = in->args == INSN_ACC_OFF ? 0 : in->reg, bytes = extends ? extended_bytes(e) : in->op_bytes;
    uint64_t other = in->args == INSN_RM_IMM ? (uint64_t)in->imm : insn_read_reg(e->regs, reg, bytes, in->rex != 0);
    unsigned long flags = e->regs->rflags;

    if (in->op == INSN_CMP)
        in->args == INSN_REG_RM ? insn_compare(other, value, bytes, &flags) : insn_compare(value, other, bytes, &flags);
    else if (in->op == INSN_TEST)
        insn_compute(INSN_AND, value, other, bytes, &flags);
    else if (in->op == INSN_MOVSX)
        insn_write_reg(e->regs, reg, bytes, true, sign_extended(value, in->op_bytes));
    else
        insn_write_reg(e->regs, reg, bytes, in->rex != 0 || extends, insn_compute(in->op, other, value, bytes, &flags));
    e->regs->rflags = flags;
}

enum emulate_result emul_load(struct emul *e)
{
    const struct insn *in = &e->insn;
    struct emul_access a;
    uint64_t value[2];
    enum emulate_result rc;

    rc = emul_locate(e, in->seg, insn_address(in, e->regs, e->regs->rip), in->op_bytes, &a);
    a.write = false;
    if (rc == EMULATE_DONE)
        rc = e->ops->read(e, &a, value);
    if (rc == EMULATE_DONE)
        complete(e, value[0]);
    return rc;
}
