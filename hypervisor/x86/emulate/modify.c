// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulator's entry, and the stores to modrm's operand: fetch, decode, locate, then read, compute and store until
 * memory held still in between. Every step may end the instruction; registers are written after the last of them, so
 * that whatever ends it early leaves them as they were.
 *
 * Nothing here trusts that it is the instruction that faulted, or the same as a moment ago: other vCPUs write to code.
 */
#include <hv/x86.h>
#include "internal.h"

enum emulate_result emul_raise(struct emul *e, uint8_t vector, bool has_error)
{
    e->fault = (struct emul_fault){.vector = vector, .has_error = has_error};
    return EMULATE_FAULT;
}

/* ---- addresses ---- */

static enum emulate_result check_legacy(struct emul *e, enum insn_seg seg, uint64_t offset, unsigned int bytes)
{
    const struct emul_segment *s = &e->seg[seg];

    if (!s->plain)
        return EMULATE_UNHANDLED;
    if (offset + bytes - 1 > s->limit)
        return emul_raise(e, seg == SEG_SS ? TRAP_SS : TRAP_GP, true);
    /* Around the end of the address space. */
    return (uint64_t)(uint32_t)(s->base + offset) + bytes - 1 > UINT32_MAX ? EMULATE_UNHANDLED : EMULATE_DONE;
}

enum emulate_result emul_locate(struct emul *e, enum insn_seg seg, uint64_t offset, unsigned int bytes,
                                struct emul_access *a)
{
    uint64_t linear = offset;

    if (e->mode != INSN_64) {
        enum emulate_result rc = check_legacy(e, seg, offset, bytes);

        if (rc != EMULATE_DONE)
            return rc;
        linear = (uint32_t)(e->seg[seg].base + offset);
    } else {
        if (seg >= SEG_FS)
            linear += e->seg[seg].base;
        if (!is_canonical(linear) || !is_canonical(linear + bytes - 1))
            return emul_raise(e, seg == SEG_SS ? TRAP_SS : TRAP_GP, true);
    }
    *a = (struct emul_access){
        .linear = linear,
        .bytes = (uint8_t)bytes,
        .write = true,
        .misaligned = linear & (bytes - 1),
        .crosses = (linear & ~PAGE_MASK) + bytes > PAGE_SIZE,
    };
    return EMULATE_DONE;
}

/* ---- read, compute, store ---- */

struct change {
    struct emul_access a;
    uint64_t src;
    uint64_t old[2], new[2];
    bool unequal; /* the comparison failed: nothing to store */
    unsigned long flags;
};

static uint64_t source(const struct insn *in, const struct cpu_user_regs *regs)
{
    switch (in->args) {
    case INSN_RM_REG:
        return insn_read_reg(regs, in->reg, in->op_bytes, in->rex != 0);
    case INSN_OFF_ACC:
        return insn_read_reg(regs, 0, in->op_bytes, true);
    case INSN_RM_IMM:
        return (uint64_t)in->imm & insn_mask(in->op_bytes);
    default:
        return 0;
    }
}

static bool is_bit_operation(enum insn_op op)
{
    return op == INSN_BTS || op == INSN_BTR || op == INSN_BTC;
}

/* The destination; a bit offset in a register moves it. */
static enum emulate_result locate(struct emul *e, struct change *c)
{
    const struct insn *in = &e->insn;
    uint64_t offset = insn_address(in, e->regs, e->regs->rip);
    unsigned int bytes = in->op == INSN_CMPXCHG_PAIR ? 2u * in->op_bytes : in->op_bytes;
    enum emulate_result rc;

    c->src = source(in, e->regs);
    if (is_bit_operation(in->op)) {
        int64_t distance = insn_bit_distance(&c->src, bytes);

        /* An immediate is taken modulo the operand's size. */
        if (in->args == INSN_RM_REG)
            offset = (offset + (uint64_t)distance) & insn_mask(in->addr_bytes);
    }
    rc = emul_locate(e, in->seg, offset, bytes, &c->a);
    if (rc != EMULATE_DONE)
        return rc;
    c->a.locked = in->lock || in->op == INSN_XCHG;
    return bytes == 16 && c->a.misaligned ? emul_raise(e, TRAP_GP, true) : EMULATE_DONE;
}

static uint64_t half(const struct emul *e, unsigned int reg)
{
    return insn_read_reg(e->regs, reg, e->insn.op_bytes, true);
}

/* Two registers as one operand; those of eight bytes are its two values. */
static void join(const struct emul *e, unsigned int low, unsigned int high, uint64_t *value)
{
    value[0] = half(e, low);
    value[1] = e->insn.op_bytes == 8 ? half(e, high) : 0;
    if (e->insn.op_bytes == 4)
        value[0] |= half(e, high) << 32;
}

static void compute_pair(struct emul *e, struct change *c)
{
    uint64_t wanted[2];

    join(e, 0, 2, wanted);
    join(e, 3, 1, c->new);
    c->unequal = wanted[0] != c->old[0] || wanted[1] != c->old[1];
    c->flags = (c->flags & ~EFLAGS_ZF) | (c->unequal ? 0 : EFLAGS_ZF);
}

static void compute(struct emul *e, struct change *c)
{
    const struct insn *in = &e->insn;
    uint64_t acc = insn_read_reg(e->regs, 0, in->op_bytes, true);

    c->flags = e->regs->rflags;
    if (in->op == INSN_CMPXCHG_PAIR) {
        compute_pair(e, c);
        return;
    }
    c->new[0] = insn_compute(in->op, c->old[0], c->src, in->op_bytes, &c->flags);
    if (in->op == INSN_CMPXCHG) {
        insn_compare(acc, c->old[0], in->op_bytes, &c->flags);
        c->unequal = acc != c->old[0];
    }
}

static void write_registers(struct emul *e, const struct change *c)
{
    const struct insn *in = &e->insn;

    e->regs->rflags = c->flags;
    if (in->op == INSN_XCHG || in->op == INSN_XADD)
        insn_write_reg(e->regs, in->reg, in->op_bytes, in->rex != 0, c->old[0]);
    if (!c->unequal)
        return;
    insn_write_reg(e->regs, 0, in->op_bytes, true, c->old[0]);
    if (in->op == INSN_CMPXCHG_PAIR)
        insn_write_reg(e->regs, 2, in->op_bytes, true, in->op_bytes == 8 ? c->old[1] : c->old[0] >> 32);
}

/*
 * All are stored by compare-and-swap, so that nothing that happened since the read is lost; a form without LOCK, which
 * may lose it on a processor as well, is in the end stored all the same.
 */
static enum emulate_result store(struct emul *e, const struct change *c, bool last)
{
    if (c->unequal)
        return EMULATE_DONE;
    if (last && !c->a.locked)
        return e->ops->write(e, &c->a, c->new);
    return e->ops->cmpxchg(e, &c->a, c->old, c->new);
}

static enum emulate_result modify(struct emul *e)
{
    struct change c = {.unequal = false};
    enum emulate_result rc = locate(e, &c);

    if (rc != EMULATE_DONE)
        return rc;
    if (e->insn.op == INSN_MOV)
        return e->ops->write(e, &c.a, &c.src);
    for (unsigned int i = 1; i <= EMULATE_ATTEMPTS; i++) {
        rc = e->ops->read(e, &c.a, c.old);
        if (rc != EMULATE_DONE)
            return rc;
        compute(e, &c);
        rc = store(e, &c, i == EMULATE_ATTEMPTS);
        if (rc != EMULATE_RETRY)
            break;
    }
    if (rc == EMULATE_DONE)
        write_registers(e, &c);
    return rc;
}

/* ---- the instruction ---- */

static enum emulate_result fetch(struct emul *e)
{
    uint8_t bytes[INSN_MAX_LEN];
    uint64_t rip = e->mode == INSN_64 ? e->regs->rip : (uint32_t)(e->seg[SEG_CS].base + e->regs->rip);
    unsigned int first = (unsigned int)MIN((uint64_t)INSN_MAX_LEN, PAGE_SIZE - (rip & ~PAGE_MASK));
    enum emulate_result rc;
    int len;

    if (e->fetched && !insn_decode(&e->insn, e->bytes, e->fetched, e->mode))
        return EMULATE_DONE;
    rc = e->ops->fetch(e, rip, bytes, first);
    if (rc != EMULATE_DONE)
        return rc;
    len = insn_decode(&e->insn, bytes, first, e->mode);
    if (len == -ENODATA) {
        /* It goes on in the next page, of which no byte is read that it does not need. */
        rc = e->ops->fetch(e, rip + first, bytes + first, INSN_MAX_LEN - first);
        if (rc != EMULATE_DONE)
            return rc;
        len = insn_decode(&e->insn, bytes, INSN_MAX_LEN, e->mode);
    }
    if (len == -E2BIG)
        return emul_raise(e, TRAP_GP, true);
    return len ? EMULATE_UNHANDLED : EMULATE_DONE;
}

static enum emulate_result dispatch(struct emul *e)
{
    const struct insn *in = &e->insn;

    if (in->op == INSN_OTHER)
        return EMULATE_UNHANDLED;
    if (in->lock && !(in->lockable && in->mem))
        return emul_raise(e, TRAP_UD, false);
    if (in->op == INSN_PUSH)
        return emul_push(e);
    if (in->args == INSN_STRING)
        return emul_string(e);
    if (in->args >= INSN_REG_RM || in->op >= INSN_CMP)
        return e->loads && (in->mem || in->args == INSN_ACC_OFF) ? emul_load(e) : EMULATE_UNHANDLED;
    return in->mem || in->args == INSN_OFF_ACC ? modify(e) : EMULATE_UNHANDLED;
}

static void finish(struct emul *e)
{
    static const uint8_t width[] = {[INSN_16] = 2, [INSN_32] = 4, [INSN_64] = 8};

    e->regs->rip = (e->regs->rip + e->insn.len) & insn_mask(width[e->mode]);
    e->regs->rflags &= ~EFLAGS_RF;
    e->single_step = e->regs->rflags & EFLAGS_TF;
}

enum emulate_result emulate_store(struct emul *e)
{
    enum emulate_result rc;

    e->single_step = false;
    rc = fetch(e);
    if (rc == EMULATE_DONE)
        rc = dispatch(e);
    if (rc == EMULATE_DONE)
        finish(e);
    return rc;
}
