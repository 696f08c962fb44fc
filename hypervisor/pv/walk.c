/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the processor finds for a linear address in a guest's tables, read through the direct map. Without locks: the
 * tables may change or be freed meanwhile. The answer is a hint; whoever takes a frame from it gets a reference to
 * that frame first, which checks its owner and type.
 */
#include "internal.h"

static const pte_t *table_at(mfn_t m)
{
    return mfn_valid(m) ? mfn_to_virt(m) : NULL;
}

int pv_walk_from(mfn_t l4, unsigned long linear, pte_t *leaf, unsigned int *level)
{
    uint64_t allow = PTE_RW | PTE_US, deny = 0;
    mfn_t m = l4;

    if (!is_canonical(linear))
        return -ENOENT;
    for (unsigned int l = 4; l > 0; l--) {
        const pte_t *table = table_at(m);
        pte_t e;

        if (!table)
            return -ENOENT;
        e = READ_ONCE(table[pt_index(linear, l)]);
        if (!(e.n & PTE_P))
            return -ENOENT;
        allow &= e.n;
        deny |= e.n & PTE_NX;
        if (l == 1 || (l < 4 && (e.n & PTE_PSE))) {
            *leaf = _pte((e.n & ~(PTE_RW | PTE_US | PTE_NX)) | allow | deny);
            *level = l;
            return 0;
        }
        m = pte_mfn_nospec(e);
    }
    return -ENOENT;
}

int pv_walk(const struct vcpu *v, unsigned long linear, pte_t *leaf, unsigned int *level)
{
    return pv_walk_from(pv_base(v), linear, leaf, level);
}
