// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the operations compute, flags included, and the general registers by number. Pure. AMD64 manual volume 3; flags
 * that it leaves undefined stay as they were, but for AF after the logical operations, which processors clear.
 */
#include <hv/insn.h>
#include <hv/x86.h>

#define STATUS_FLAGS (EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF)

/* ---- registers ---- */

/* Register r in the encoding's order: ax cx dx bx sp bp si di r8-r15. */
static uint64_t *reg_slot(struct cpu_user_regs *regs, unsigned int r)
{
    switch (r & 15) {
    case 0:
        return &regs->rax;
    case 1:
        return &regs->rcx;
    case 2:
        return &regs->rdx;
    case 3:
        return &regs->rbx;
    case 4:
        return &regs->rsp;
    case 5:
        return &regs->rbp;
    case 6:
        return &regs->rsi;
    case 7:
        return &regs->rdi;
    case 8:
        return &regs->r8;
    case 9:
        return &regs->r9;
    case 10:
        return &regs->r10;
    case 11:
        return &regs->r11;
    case 12:
        return &regs->r12;
    case 13:
        return &regs->r13;
    case 14:
        return &regs->r14;
    default:
        return &regs->r15;
    }
}

static bool is_high_byte(unsigned int r, unsigned int bytes, bool rex)
{
    return bytes == 1 && !rex && r >= 4 && r < 8;
}

unsigned long insn_read_reg(const struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex)
{
    struct cpu_user_regs *m = (struct cpu_user_regs *)regs;

    if (is_high_byte(r, bytes, rex))
        return (*reg_slot(m, r - 4) >> 8) & 0xff;
    return *reg_slot(m, r) & insn_mask(bytes);
}

void insn_write_reg(struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex, unsigned long v)
{
    bool high = is_high_byte(r, bytes, rex);
    uint64_t *slot = reg_slot(regs, high ? r - 4 : r);

    if (high)
        *slot = (*slot & ~0xff00ull) | ((v & 0xff) << 8);
    else if (bytes >= 4)
        *slot = v & insn_mask(bytes);
    else
        *slot = (*slot & ~insn_mask(bytes)) | (v & insn_mask(bytes));
}

/* ---- arithmetic ---- */

static unsigned long sign_flags(uint64_t r, unsigned int bytes)
{
    unsigned long f = 0;

    if (!r)
        f |= EFLAGS_ZF;
    if ((r >> (bytes * 8 - 1)) & 1)
        f |= EFLAGS_SF;
    if (!__builtin_parity((unsigned int)(r & 0xff)))
        f |= EFLAGS_PF;
    return f;
}

/* Writes all status flags but those that are kept. */
static void set_flags(unsigned long *flags, unsigned long f, unsigned long kept)
{
    *flags = (*flags & (~STATUS_FLAGS | kept)) | (f & STATUS_FLAGS & ~kept);
}

/* From the carry out of each bit, and the overflow in the top one. */
static unsigned long carry_flags(uint64_t carries, uint64_t overflow, unsigned int bytes)
{
    unsigned int top = bytes * 8 - 1;
    unsigned long f = 0;

    if ((carries >> top) & 1)
        f |= EFLAGS_CF;
    if ((overflow >> top) & 1)
        f |= EFLAGS_OF;
    if ((carries >> 3) & 1)
        f |= EFLAGS_AF;
    return f;
}

static uint64_t add(uint64_t a, uint64_t b, bool carry, unsigned int bytes, unsigned long *flags, unsigned long kept)
{
    uint64_t r = (a + b + carry) & insn_mask(bytes);

    set_flags(flags, carry_flags((a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r), bytes) | sign_flags(r, bytes), kept);
    return r;
}

static uint64_t sub(uint64_t a, uint64_t b, bool borrow, unsigned int bytes, unsigned long *flags, unsigned long kept)
{
    uint64_t r = (a - b - borrow) & insn_mask(bytes);

    set_flags(flags, carry_flags((~a & b) | (~(a ^ b) & r), (a ^ b) & (a ^ r), bytes) | sign_flags(r, bytes), kept);
    return r;
}

static uint64_t logic(enum insn_op op, uint64_t a, uint64_t b, unsigned int bytes, unsigned long *flags)
{
    uint64_t r = op == INSN_OR ? a | b : op == INSN_AND ? a & b : a ^ b;

    set_flags(flags, sign_flags(r, bytes), 0);
    return r;
}

/* src is the number of a bit of the operand. */
static uint64_t bit_operation(enum insn_op op, uint64_t dst, uint64_t src, unsigned long *flags)
{
    uint64_t bit = 1ull << (src & 63);

    set_flags(flags, dst & bit ? EFLAGS_CF : 0, ~EFLAGS_CF);
    return op == INSN_BTS ? dst | bit : op == INSN_BTR ? dst & ~bit : dst ^ bit;
}

static uint64_t arithmetic(enum insn_op op, uint64_t dst, uint64_t src, unsigned int bytes, unsigned long *flags)
{
    bool carry = *flags & EFLAGS_CF;

    switch (op) {
    case INSN_ADD:
    case INSN_XADD:
        return add(dst, src, false, bytes, flags, 0);
    case INSN_ADC:
        return add(dst, src, carry, bytes, flags, 0);
    case INSN_INC:
        return add(dst, 1, false, bytes, flags, EFLAGS_CF);
    case INSN_SUB:
        return sub(dst, src, false, bytes, flags, 0);
    case INSN_SBB:
        return sub(dst, src, carry, bytes, flags, 0);
    case INSN_DEC:
        return sub(dst, 1, false, bytes, flags, EFLAGS_CF);
    default: /* INSN_NEG */
        return sub(0, dst, false, bytes, flags, 0);
    }
}

uint64_t insn_compute(enum insn_op op, uint64_t dst, uint64_t src, unsigned int bytes, unsigned long *flags)
{
    dst &= insn_mask(bytes);
    src &= insn_mask(bytes);
    switch (op) {
    case INSN_OR:
    case INSN_AND:
    case INSN_XOR:
        return logic(op, dst, src, bytes, flags);
    case INSN_BTS:
    case INSN_BTR:
    case INSN_BTC:
        return bit_operation(op, dst, src, flags);
    case INSN_NOT:
        return ~dst & insn_mask(bytes);
    case INSN_ADD:
    case INSN_XADD:
    case INSN_ADC:
    case INSN_INC:
    case INSN_SUB:
    case INSN_SBB:
    case INSN_DEC:
    case INSN_NEG:
        return arithmetic(op, dst, src, bytes, flags);
    default:
        return src;
    }
}

void insn_compare(uint64_t dst, uint64_t src, unsigned int bytes, unsigned long *flags)
{
    sub(dst & insn_mask(bytes), src & insn_mask(bytes), false, bytes, flags, 0);
}

int64_t insn_bit_distance(uint64_t *bit, unsigned int bytes)
{
    unsigned int shift = 64 - 8 * bytes;
    int64_t at = (int64_t)(*bit << shift) >> shift, width = (int64_t)bytes * 8;
    int64_t operands = (at - (at & (width - 1))) / width;

    *bit = (uint64_t)(at & (width - 1));
    return operands * (int64_t)bytes;
}
