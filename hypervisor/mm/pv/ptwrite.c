// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulated direct write. A guest kernel may store to an L1 table of its own that it has mapped read-only; the store
 * faults, and is done here by the same route as an mmu_update. Atomic forms stay atomic against the hardware's setting
 * of A and D: the new entry is computed from the present one and stored by compare-and-swap.
 *
 * Stores: those that the opcode table names and whose destination modrm names, with and without lock, 1 to 8 bytes
 * inside one entry. Anything else - another instruction, an upper level, a value that pt_check or pt_acquire refuses -
 * is left to the guest as the page fault that it is.
 *
 * The instruction's bytes, the address and the entry are each read once; another vCPU that changes the code meanwhile
 * only makes its own kernel store something else. The code is taken to be 64-bit.
 */
#include <hv/guest_copy.h>
#include <hv/insn.h>
#include "pt.h"

struct store {
    struct insn in;
    unsigned int bytes, shift; /* of the operand, and its place in the entry in bits */
    uint64_t src;
    /* results */
    uint64_t old, new; /* operand before and after */
    unsigned long flags;
};

/* ---- which store is it? ---- */

static bool fetch(struct insn *in, unsigned long rip)
{
    uint8_t bytes[INSN_MAX_LEN];
    size_t first = MIN(sizeof(bytes), PAGE_SIZE - (rip & ~PAGE_MASK));
    int rc;

    if (guest_copy_from(bytes, (const void *)rip, first))
        return false;
    rc = insn_decode(in, bytes, first, INSN_64);
    if (rc != -ENODATA || first == sizeof(bytes))
        return rc == 0;
    /* It goes on in the next page. */
    if (guest_copy_from(bytes + first, (const void *)(rip + first), sizeof(bytes) - first))
        return false;
    return insn_decode(in, bytes, sizeof(bytes), INSN_64) == 0;
}

/* Is it a store to modrm's operand that fits into an entry? Fetches the source. */
static bool operands(struct store *s, const struct cpu_user_regs *regs)
{
    const struct insn *in = &s->in;

    s->bytes = in->op_bytes;
    if (!in->mem || in->op == INSN_PUSH || in->op == INSN_CMPXCHG_PAIR || (in->lock && !in->lockable))
        return false;
    switch (in->args) {
    case INSN_RM_REG:
        s->src = insn_read_reg(regs, in->reg, s->bytes, in->rex != 0);
        return true;
    case INSN_RM_IMM:
        s->src = (uint64_t)in->imm;
        return true;
    default:
        return in->args == INSN_RM;
    }
}

static bool is_bit_store(const struct store *s)
{
    return s->in.op == INSN_BTS || s->in.op == INSN_BTR || s->in.op == INSN_BTC;
}

static bool decode_store(struct store *s, unsigned long linear, const struct cpu_user_regs *regs)
{
    unsigned long addr;

    if (!fetch(&s->in, regs->rip) || s->in.rep || s->in.repne || !operands(s, regs))
        return false;
    /* A segment with a base of its own: guests do not address tables that way. */
    if (s->in.seg == SEG_FS || s->in.seg == SEG_GS)
        return false;
    addr = insn_address(&s->in, regs, regs->rip);
    if (is_bit_store(s) && s->in.args == INSN_RM_REG)
        addr += (unsigned long)insn_bit_distance(&s->src, s->bytes);
    s->src &= is_bit_store(s) ? s->bytes * 8 - 1 : insn_mask(s->bytes);
    s->shift = (addr & 7) * 8;
    /* The fault must be this store's, and the store lie in one entry. */
    return addr == linear && (addr & 7) + s->bytes <= 8;
}

/* ---- doing it ---- */

/* s->old is set; acc is the accumulator, cut to the operand. */
static void compute(struct store *s, uint64_t acc, unsigned long flags)
{
    s->flags = flags;
    s->new = insn_compute(s->in.op, s->old, s->src, s->bytes, &s->flags);
    if (s->in.op != INSN_CMPXCHG)
        return;
    insn_compare(acc, s->old, s->bytes, &s->flags);
    if (acc != s->old)
        s->new = s->old;
}

/* Reads, computes and stores until the entry held still in between; pt_lock held. */
static int store_to_entry(struct store *s, struct domain *d, struct page_info *table, unsigned int index,
                          const struct cpu_user_regs *regs)
{
    uint64_t mask = insn_mask(s->bytes) << s->shift, acc = regs->rax & insn_mask(s->bytes);
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

    if (s->in.op == INSN_XCHG || s->in.op == INSN_XADD)
        insn_write_reg(regs, s->in.reg, s->bytes, rex, s->old);
    else if (s->in.op == INSN_CMPXCHG && !(s->flags & EFLAGS_ZF))
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
