// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulated direct write. A guest kernel may store to an L1 table of its own that it has mapped read-only; the store
 * faults, and is done here by the same route as an mmu_update. Atomic forms stay atomic against the hardware's setting
 * of A and D: the new entry is computed from the present one and stored by compare-and-swap.
 *
 * Stores: mov, xchg, cmpxchg, xadd, or, and, sub, xor, add, bts, btr, btc, with and without lock, 1 to 8 bytes inside
 * one entry. Anything else - another instruction, an upper level, a value that pt_check or pt_acquire refuses - is left
 * to the guest as the page fault that it is.
 *
 * The instruction's bytes, the address and the entry are each read once; another vCPU that changes the code meanwhile
 * only makes its own kernel store something else. The code is taken to be 64-bit.
 */
#include <hv/guest_copy.h>
#include <hv/insn.h>
#include "pt.h"

enum store_kind { ST_MOV, ST_XCHG, ST_CMPXCHG, ST_XADD, ST_OR, ST_AND, ST_SUB, ST_XOR, ST_ADD, ST_BTS, ST_BTR, ST_BTC };

struct store {
    struct insn in;
    enum store_kind kind;
    unsigned int bytes, shift; /* of the operand, and its place in the entry in bits */
    uint64_t src;
    /* results */
    uint64_t old, new; /* operand before and after */
    unsigned long flags;
};

#define ARITH_FLAGS (EFLAGS_CF | (1ul << 2) | (1ul << 4) | EFLAGS_ZF | (1ul << 7) | EFLAGS_OF)

static uint64_t operand_mask(unsigned int bytes)
{
    return bytes == 8 ? ~0ull : (1ull << (bytes * 8)) - 1;
}

/* ---- which store is it? ---- */

static bool fetch(struct insn *in, unsigned long rip)
{
    uint8_t bytes[INSN_MAX_LEN];
    size_t first = MIN(sizeof(bytes), PAGE_SIZE - (rip & ~PAGE_MASK));
    int rc;

    if (guest_copy_from(bytes, (const void *)rip, first))
        return false;
    rc = insn_decode(in, bytes, first, true);
    if (rc != -ENODATA || first == sizeof(bytes))
        return rc == 0;
    /* It goes on in the next page. */
    if (guest_copy_from(bytes + first, (const void *)(rip + first), sizeof(bytes) - first))
        return false;
    return insn_decode(in, bytes, sizeof(bytes), true) == 0;
}

/* Groups 80, 81, 83: the operation stands in the reg field of modrm. adc, sbb and cmp are not stores to handle. */
static bool classify_group1(struct store *s)
{
    static const int8_t kind[8] = {ST_ADD, ST_OR, -1, -1, ST_AND, ST_SUB, ST_XOR, -1};
    int k = kind[(s->in.modrm >> 3) & 7];

    if (k < 0)
        return false;
    s->kind = (enum store_kind)k;
    s->src = (uint64_t)s->in.imm;
    return true;
}

static bool classify_one_byte(struct store *s, uint64_t reg)
{
    static const struct {
        uint8_t opcode;
        uint8_t kind;
    } reg_forms[] = {
        {0x88, ST_MOV}, {0x89, ST_MOV}, {0x86, ST_XCHG}, {0x87, ST_XCHG}, {0x08, ST_OR},
        {0x09, ST_OR},  {0x20, ST_AND}, {0x21, ST_AND},  {0x28, ST_SUB},  {0x29, ST_SUB},
        {0x30, ST_XOR}, {0x31, ST_XOR}, {0x00, ST_ADD},  {0x01, ST_ADD},
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(reg_forms); i++)
        if (reg_forms[i].opcode == s->in.opcode) {
            s->kind = (enum store_kind)reg_forms[i].kind;
            s->src = reg;
            return true;
        }
    if (s->in.opcode == 0xc6 || s->in.opcode == 0xc7) {
        s->kind = ST_MOV;
        s->src = (uint64_t)s->in.imm;
        return ((s->in.modrm >> 3) & 7) == 0;
    }
    return (s->in.opcode == 0x80 || s->in.opcode == 0x81 || s->in.opcode == 0x83) && classify_group1(s);
}

static bool classify_two_byte(struct store *s, uint64_t reg)
{
    s->src = reg;
    switch (s->in.opcode) {
    case 0xb0:
    case 0xb1:
        s->kind = ST_CMPXCHG;
        return true;
    case 0xc0:
    case 0xc1:
        s->kind = ST_XADD;
        return true;
    case 0xab:
        s->kind = ST_BTS;
        return true;
    case 0xb3:
        s->kind = ST_BTR;
        return true;
    case 0xbb:
        s->kind = ST_BTC;
        return true;
    case 0xba:
        /* /5 bts, /6 btr, /7 btc; /4 only tests. */
        s->kind = (enum store_kind)(ST_BTS + ((s->in.modrm >> 3) & 7) - 5);
        s->src = (uint64_t)s->in.imm;
        return ((s->in.modrm >> 3) & 7) >= 5;
    default:
        return false;
    }
}

static bool is_bit_store(const struct store *s)
{
    return s->kind >= ST_BTS;
}

/*
 * A bit offset in a register reaches beyond the operand: it is divided into whole operands, which move the address, and
 * the bit in it.
 */
static unsigned long bit_displacement(struct store *s)
{
    int64_t bit = (int64_t)(s->bytes == 8   ? s->src
                            : s->bytes == 4 ? (uint64_t)(int32_t)s->src
                                            : (uint64_t)(int16_t)s->src);
    int64_t width = (int64_t)s->bytes * 8, words = bit >= 0 ? bit / width : -((width - 1 - bit) / width);

    s->src = (uint64_t)(bit - words * width);
    return (unsigned long)(words * (int64_t)s->bytes);
}

static bool decode_store(struct store *s, unsigned long linear, const struct cpu_user_regs *regs)
{
    unsigned long addr;
    uint64_t reg;

    if (!fetch(&s->in, regs->rip) || !s->in.has_modrm || !s->in.mem || s->in.map > 1 || s->in.rep || s->in.repne)
        return false;
    /* A segment with a base of its own: guests do not address tables that way. */
    if (s->in.seg == 0x64 || s->in.seg == 0x65)
        return false;
    s->bytes = s->in.op_bytes;
    if (s->bytes != 1 && s->bytes != 2 && s->bytes != 4 && s->bytes != 8)
        return false;
    reg = insn_read_reg(regs, s->in.reg, s->bytes, s->in.rex != 0);
    if (s->in.map ? !classify_two_byte(s, reg) : !classify_one_byte(s, reg))
        return false;
    addr = insn_address(&s->in, regs, regs->rip);
    if (is_bit_store(s) && s->in.opcode != 0xba)
        addr += bit_displacement(s);
    s->src &= is_bit_store(s) ? s->bytes * 8 - 1 : operand_mask(s->bytes);
    s->shift = (addr & 7) * 8;
    /* The fault must be this store's, and the store lie in one entry. */
    return addr == linear && (addr & 7) + s->bytes <= 8;
}

/* ---- what does it do? ---- */

static unsigned long result_flags(uint64_t r, unsigned int bytes)
{
    unsigned long f = 0;

    if (!(r & operand_mask(bytes)))
        f |= EFLAGS_ZF;
    if ((r >> (bytes * 8 - 1)) & 1)
        f |= 1ul << 7;
    if (!__builtin_parity((unsigned int)(r & 0xff)))
        f |= 1ul << 2;
    return f;
}

static unsigned long add_flags(uint64_t a, uint64_t b, uint64_t r, unsigned int bytes)
{
    unsigned int top = bytes * 8 - 1;
    unsigned long f = result_flags(r, bytes);

    if (r < a)
        f |= EFLAGS_CF;
    if ((((a ^ r) & (b ^ r)) >> top) & 1)
        f |= EFLAGS_OF;
    return f | ((a ^ b ^ r) & 0x10);
}

static unsigned long sub_flags(uint64_t a, uint64_t b, uint64_t r, unsigned int bytes)
{
    unsigned int top = bytes * 8 - 1;
    unsigned long f = result_flags(r, bytes);

    if (a < b)
        f |= EFLAGS_CF;
    if ((((a ^ b) & (a ^ r)) >> top) & 1)
        f |= EFLAGS_OF;
    return f | ((a ^ b ^ r) & 0x10);
}

static uint64_t bit_result(const struct store *s)
{
    uint64_t bit = 1ull << s->src;

    switch (s->kind) {
    case ST_BTS:
        return s->old | bit;
    case ST_BTR:
        return s->old & ~bit;
    default:
        return s->old ^ bit;
    }
}

static void compute_bits(struct store *s, unsigned long flags)
{
    s->new = bit_result(s);
    s->flags = (flags & ~EFLAGS_CF) | (((s->old >> s->src) & 1) ? EFLAGS_CF : 0);
}

static void compute_logic(struct store *s, unsigned long flags)
{
    if (s->kind == ST_OR)
        s->new = s->old | s->src;
    else if (s->kind == ST_AND)
        s->new = s->old & s->src;
    else
        s->new = s->old ^ s->src;
    s->flags = (flags & ~ARITH_FLAGS) | result_flags(s->new, s->bytes);
}

/* s->old is set; acc is the accumulator, cut to the operand. */
static void compute(struct store *s, uint64_t acc, unsigned long flags)
{
    uint64_t mask = operand_mask(s->bytes);

    s->flags = flags;
    switch (s->kind) {
    case ST_MOV:
    case ST_XCHG:
        s->new = s->src;
        break;
    case ST_CMPXCHG:
        s->new = acc == s->old ? s->src : s->old;
        s->flags = (flags & ~ARITH_FLAGS) | sub_flags(acc, s->old, (acc - s->old) & mask, s->bytes);
        break;
    case ST_XADD:
    case ST_ADD:
        s->new = (s->old + s->src) & mask;
        s->flags = (flags & ~ARITH_FLAGS) | add_flags(s->old, s->src, s->new, s->bytes);
        break;
    case ST_SUB:
        s->new = (s->old - s->src) & mask;
        s->flags = (flags & ~ARITH_FLAGS) | sub_flags(s->old, s->src, s->new, s->bytes);
        break;
    case ST_OR:
    case ST_AND:
    case ST_XOR:
        compute_logic(s, flags);
        break;
    default:
        compute_bits(s, flags);
    }
}

/* ---- doing it ---- */

/* Reads, computes and stores until the entry held still in between; pt_lock held. */
static int store_to_entry(struct store *s, struct domain *d, struct page_info *table, unsigned int index,
                          const struct cpu_user_regs *regs)
{
    uint64_t mask = operand_mask(s->bytes) << s->shift, acc = regs->rax & operand_mask(s->bytes);
    int rc;

    do {
        pte_t old = pt_read(pt_slot(table, index));

        s->old = (old.n & mask) >> s->shift;
        compute(s, acc, regs->rflags);
        rc = pt_update(&(struct pt_request){
            .pt_owner = d,
            .pg_owner = d,
            .table = table,
            .index = index,
            .entry = _pte((old.n & ~mask) | (s->new << s->shift)),
            .expected = &old,
        });
    } while (rc == -EAGAIN);
    return rc;
}

/* The L1 table of d behind a linear address that is mapped read-only; NULL: the fault is not ours. */
static struct page_info *find_target(const struct vcpu *v, unsigned long linear)
{
    struct page_info *map = pt_walk(v, linear), *table;
    pte_t e;

    if (!map)
        return NULL;
    e = pt_read(pt_slot(map, pt_index(linear, 1)));
    if ((e.n & (PTE_P | PTE_RW)) != PTE_P || !mfn_valid(pte_mfn(e)))
        return NULL;
    table = mfn_to_page(pte_mfn(e));
    return table->owner == v->domain && pt_is_live(table, 1) ? table : NULL;
}

static void write_registers(const struct store *s, struct cpu_user_regs *regs)
{
    bool rex = s->in.rex != 0;

    if (s->kind == ST_XCHG || s->kind == ST_XADD)
        insn_write_reg(regs, s->in.reg, s->bytes, rex, s->old);
    else if (s->kind == ST_CMPXCHG && !(s->flags & EFLAGS_ZF))
        insn_write_reg(regs, 0, s->bytes, rex, s->old);
    regs->rflags = s->flags & ~EFLAGS_RF;
    regs->rip += s->in.len;
}

bool pv_ptwrite_fault(struct vcpu *v, unsigned long linear, struct cpu_user_regs *regs)
{
    struct domain *d = v->domain;
    struct page_info *table;
    struct store s = {.bytes = 0};
    int rc = -EINVAL;

    /* Cheap refusals first: most write faults have nothing to do with tables. */
    spin_lock(&d->pv.pt_lock);
    table = v->pv.kernel_mode ? find_target(v, linear) : NULL;
    spin_unlock(&d->pv.pt_lock);
    if (!table || !decode_store(&s, linear, regs))
        return false;

    spin_lock(&d->pv.pt_lock);
    table = find_target(v, linear);
    if (table)
        rc = store_to_entry(&s, d, table, (linear & ~PAGE_MASK) / sizeof(pte_t), regs);
    spin_unlock(&d->pv.pt_lock);
    if (rc)
        return false;
    write_registers(&s, regs);
    if (s.flags & EFLAGS_TF) {
        v->pv.dr6 |= 1ul << 14;
        pv_inject(v, TRAP_DB, 0);
    }
    return true;
}
