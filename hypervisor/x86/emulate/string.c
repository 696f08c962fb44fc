// SPDX-License-Identifier: BSD-2-Clause
/*
 * STOS, MOVS and PUSH: stores whose address is in a register of its own.
 *
 * A repeated instruction is done element by element up to the end of a page, at most EMULATE_REP_MAX of them, and then
 * goes back to the guest with the registers as an interrupt would leave them: work is bounded and each call progresses.
 */
#include <hv/x86.h>
#include "internal.h"

#define REG_CX 1
#define REG_SP 4
#define REG_SI 6
#define REG_DI 7

static uint64_t index_register(const struct emul *e, unsigned int reg)
{
    return insn_read_reg(e->regs, reg, e->insn.addr_bytes, true);
}

static void advance(struct emul *e, unsigned int reg, int64_t by)
{
    insn_write_reg(e->regs, reg, e->insn.addr_bytes, true, index_register(e, reg) + (uint64_t)by);
}

/* One element; the index registers move only when it is done. */
static enum emulate_result element(struct emul *e)
{
    const struct insn *in = &e->insn;
    int64_t step = e->regs->rflags & EFLAGS_DF ? -(int64_t)in->op_bytes : (int64_t)in->op_bytes;
    uint64_t value = insn_read_reg(e->regs, 0, in->op_bytes, true);
    struct emul_access from, to;
    enum emulate_result rc = EMULATE_DONE;

    if (in->op == INSN_MOVS) {
        rc = emul_locate(e, in->seg, index_register(e, REG_SI), in->op_bytes, &from);
        from.write = false;
        if (rc == EMULATE_DONE)
            rc = e->ops->read(e, &from, &value);
    }
    if (rc == EMULATE_DONE)
        rc = emul_locate(e, SEG_ES, index_register(e, REG_DI), in->op_bytes, &to);
    if (rc == EMULATE_DONE)
        rc = e->ops->write(e, &to, &value);
    if (rc != EMULATE_DONE)
        return rc;
    advance(e, REG_DI, step);
    if (in->op == INSN_MOVS)
        advance(e, REG_SI, step);
    return EMULATE_DONE;
}

/* Elements from the one at offset that lie wholly in its page; one that does not counts as one. */
static unsigned int elements_in_page(const struct emul *e, uint64_t offset)
{
    unsigned int bytes = e->insn.op_bytes, at = (unsigned int)(offset & ~PAGE_MASK);

    if (at + bytes > PAGE_SIZE)
        return 1;
    return e->regs->rflags & EFLAGS_DF ? at / bytes + 1 : (unsigned int)(PAGE_SIZE - at) / bytes;
}

static unsigned int batch(const struct emul *e, uint64_t count)
{
    unsigned int n = (unsigned int)MIN(count, (uint64_t)EMULATE_REP_MAX);

    /* A trap is due after each element. */
    if (e->regs->rflags & EFLAGS_TF)
        return 1;
    n = MIN(n, elements_in_page(e, index_register(e, REG_DI)));
    return e->insn.op == INSN_MOVS ? MIN(n, elements_in_page(e, index_register(e, REG_SI))) : n;
}

enum emulate_result emul_string(struct emul *e)
{
    uint64_t count = index_register(e, REG_CX);
    unsigned int n;

    /* Either prefix repeats. */
    if (!e->insn.rep && !e->insn.repne)
        return element(e);
    if (!count)
        return EMULATE_DONE;
    n = batch(e, count);
    for (unsigned int i = 0; i < n; i++) {
        enum emulate_result rc = element(e);

        if (rc != EMULATE_DONE)
            return i && rc == EMULATE_UNHANDLED ? EMULATE_RETRY : rc;
        advance(e, REG_CX, -1);
    }
    if (n == count)
        return EMULATE_DONE;
    e->single_step = e->regs->rflags & EFLAGS_TF;
    return EMULATE_RETRY;
}

/* ---- push ---- */

static enum emulate_result pushed_value(struct emul *e, uint64_t *value)
{
    const struct insn *in = &e->insn;
    struct emul_access a;
    enum emulate_result rc;

    if (in->args == INSN_IMM) {
        *value = (uint64_t)in->imm & insn_mask(in->op_bytes);
        return EMULATE_DONE;
    }
    if (!in->mem) {
        unsigned int reg = in->args == INSN_REG ? (in->opcode & 7u) | (in->rex & 1 ? 8u : 0u) : in->rm;

        *value = insn_read_reg(e->regs, reg, in->op_bytes, true);
        return EMULATE_DONE;
    }
    rc = emul_locate(e, in->seg, insn_address(in, e->regs, e->regs->rip), in->op_bytes, &a);
    a.write = false;
    return rc == EMULATE_DONE ? e->ops->read(e, &a, value) : rc;
}

enum emulate_result emul_push(struct emul *e)
{
    unsigned int bytes = e->insn.op_bytes, width = e->mode == INSN_64 ? 8 : e->seg[SEG_SS].big ? 4 : 2;
    uint64_t value = 0, sp = (insn_read_reg(e->regs, REG_SP, width, true) - bytes) & insn_mask(width);
    struct emul_access a;
    enum emulate_result rc = pushed_value(e, &value);

    if (rc == EMULATE_DONE)
        rc = emul_locate(e, SEG_SS, sp, bytes, &a);
    if (rc == EMULATE_DONE)
        rc = e->ops->write(e, &a, &value);
    if (rc == EMULATE_DONE)
        insn_write_reg(e->regs, REG_SP, width, true, sp);
    return rc;
}
