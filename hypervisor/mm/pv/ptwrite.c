// SPDX-License-Identifier: BSD-2-Clause
/*
 * The emulated direct write. A guest kernel that has enabled VMASST_TYPE_writable_pagetables may store to an L1 table
 * of its own that it has mapped read-only; the store faults, and is done here by the same route as an mmu_update.
 * Atomic forms stay atomic against the hardware's setting of A and D: the new entry is computed from the present one
 * and stored by compare-and-swap.
 *
 * Stores: the forms of docs/emulator.md, 1 to 8 bytes inside one entry, which must be the one that faulted. Anything
 * else - another instruction, an upper level, a value that pt_check or pt_acquire refuses - is left to the guest as the
 * page fault that it is.
 *
 * The instruction's bytes are read once; another vCPU that changes the code meanwhile only makes its own kernel store
 * something else. The code is taken to be 64-bit.
 */
#include <hv/emulate.h>
#include <hv/guest_copy.h>
#include "pt.h"

/* The store that faulted. */
struct ptwrite {
    struct vcpu *v;
    unsigned long linear;
};

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

/* ---- the emulator's access to memory ---- */

static enum emulate_result op_fetch(struct emul *e, uint64_t linear, uint8_t *buf, unsigned int bytes)
{
    return guest_copy_from(buf, (const void *)linear, bytes) ? EMULATE_UNHANDLED : EMULATE_DONE;
}

/* The table, if this is the store that faulted, and lies in one entry; pt_lock held. */
static struct page_info *target(const struct emul *e, const struct emul_access *a)
{
    const struct ptwrite *w = e->ctx;

    /* A segment with a base of its own: guests do not address tables that way. */
    if (e->insn.seg == SEG_FS || e->insn.seg == SEG_GS)
        return NULL;
    if (a->linear != w->linear || (a->linear & 7) + a->bytes > 8)
        return NULL;
    return find_target(w->v, a->linear);
}

static uint64_t part_mask(const struct emul_access *a)
{
    return insn_mask(a->bytes) << (a->linear & 7) * 8;
}

static unsigned int entry_index(const struct emul_access *a)
{
    return (a->linear & ~PAGE_MASK) / sizeof(pte_t);
}

static enum emulate_result op_read(struct emul *e, const struct emul_access *a, uint64_t *value)
{
    struct ptwrite *w = e->ctx;
    struct page_info *table;

    *value = 0;
    /* The other operand of an instruction that has two. */
    if (!a->write)
        return guest_copy_from(value, (const void *)a->linear, a->bytes) ? EMULATE_UNHANDLED : EMULATE_DONE;
    spin_lock(&w->v->domain->pv.pt_lock);
    table = target(e, a);
    if (table)
        *value = (pt_read(pt_slot(table, entry_index(a))).n & part_mask(a)) >> (a->linear & 7) * 8;
    spin_unlock(&w->v->domain->pv.pt_lock);
    return table ? EMULATE_DONE : EMULATE_UNHANDLED;
}

/* Stores until the rest of the entry held still in between, if its part is still what is expected; pt_lock held. */
static enum emulate_result store_part(struct ptwrite *w, struct page_info *table, const struct emul_access *a,
                                      const uint64_t *expected, uint64_t value)
{
    unsigned int shift = (a->linear & 7) * 8;
    int rc;

    do {
        pte_t old = pt_read(pt_slot(table, entry_index(a)));

        if (expected && ((old.n ^ *expected << shift) & part_mask(a)))
            return EMULATE_RETRY;
        rc = pt_update(&(struct pt_request){
            .pt_owner = w->v->domain,
            .pg_owner = w->v->domain,
            .table = table,
            .index = entry_index(a),
            .entry = _pte((old.n & ~part_mask(a)) | (value << shift & part_mask(a))),
            .expected = &old,
        });
    } while (rc == -EAGAIN);
    return rc ? EMULATE_UNHANDLED : EMULATE_DONE;
}

static enum emulate_result op_cmpxchg(struct emul *e, const struct emul_access *a, const uint64_t *old,
                                      const uint64_t *new)
{
    struct ptwrite *w = e->ctx;
    enum emulate_result rc = EMULATE_UNHANDLED;
    struct page_info *table;

    spin_lock(&w->v->domain->pv.pt_lock);
    table = target(e, a);
    if (table)
        rc = store_part(w, table, a, old, *new);
    spin_unlock(&w->v->domain->pv.pt_lock);
    return rc;
}

static enum emulate_result op_write(struct emul *e, const struct emul_access *a, const uint64_t *value)
{
    return op_cmpxchg(e, a, NULL, value);
}

static const struct emul_ops ptwrite_ops = {op_fetch, op_read, op_write, op_cmpxchg};

bool pv_ptwrite_fault(struct vcpu *v, unsigned long linear, struct cpu_user_regs *regs)
{
    static const struct emul_segment segments[SEG_COUNT];
    struct ptwrite w = {v, linear};
    struct emul e = {.ops = &ptwrite_ops, .ctx = &w, .mode = INSN_64, .regs = regs, .seg = segments};
    bool wanted = v->pv.kernel_mode && test_bit(VMASST_TYPE_writable_pagetables, &v->domain->vm_assist);
    struct page_info *table;
    enum emulate_result rc;

    /* Cheap refusals first: most write faults have nothing to do with tables. */
    spin_lock(&v->domain->pv.pt_lock);
    table = wanted ? find_target(v, linear) : NULL;
    spin_unlock(&v->domain->pv.pt_lock);
    if (!table)
        return false;
    rc = emulate_store(&e);
    if (rc != EMULATE_DONE && rc != EMULATE_RETRY)
        return false;
    if (e.single_step) {
        v->pv.dr6 |= 1ul << 14;
        pv_inject(v, TRAP_DB, 0);
    }
    return true;
}
