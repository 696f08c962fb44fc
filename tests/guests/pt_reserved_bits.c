// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: an entry with address bits beyond the processor's, with bits that are reserved at its level, or with a cache
 * attribute that a guest without devices may not choose is refused at every level, alone and inside a table that is to
 * be pinned. The error is EINVAL; EPERM where an L1 entry names no RAM, which might be a device's. An entry that is not
 * present may hold anything, and gives nothing.
 */
#include "guest.h"

static void *const elsewhere = (void *)(1ul << 39);

static void refused_with(long error, const unsigned long *entry, unsigned long value)
{
    unsigned long before = *entry;

    CHECK_IS(mmu_store(entry, value), error);
    CHECK_IS(*entry, before);
}

static void refused(const unsigned long *entry, unsigned long value)
{
    refused_with(-XEN_EINVAL, entry, value);
}

void guest_main(void)
{
    void *page = new_page();
    unsigned long *l1 = entry_of(new_page(), 1), *l2 = entry_of(page, 2) + 9, *l3 = entry_of(page, 3) - 1;
    unsigned long *l4 = entry_of(elsewhere, 4), saved = *l1;
    unsigned long l1_table = make_pte(mfn_of(new_table(0, 0)), PTE_ALL);

    for (unsigned int bit = 40; bit < 52; bit++) {
        refused_with(-XEN_EPERM, l1, *l1 | 1ul << bit);
        refused(l2, l1_table | 1ul << bit);
        refused(l3, l1_table | 1ul << bit);
        refused(l4, l1_table | 1ul << bit);
    }
    for (unsigned long bit = PTE_PWT; bit <= PTE_PCD; bit <<= 1) {
        refused(l1, *l1 | bit);
        refused(l2, l1_table | bit);
        refused(l3, l1_table | bit);
        refused(l4, l1_table | bit);
    }
    refused(l1, *l1 | PTE_PSE); /* at this level PAT, the third cache attribute */
    refused(l2, l1_table | PTE_PSE);
    refused(l3, l1_table | PTE_PSE);
    refused(l4, l1_table | PTE_PSE);
    refused(l4, l1_table | PTE_G);
    /* An L1 table has only been read-only so far: it serves as one. */
    CHECK_IS(mmu_store(l2, l1_table), 0);
    CHECK_IS(mmu_store(l2, 0), 0);

    CHECK_IS(mmu_store(l1, ~PTE_P), 0);
    CHECK_IS(*l1, ~PTE_P);
    CHECK_IS(try_read((void *)(VIRT_BASE | (P(l1) & 0xff8) << 9)), TRAP_PF);
    CHECK_IS(mmu_store(l1, saved), 0);
    CHECK_IS(mmu_store(l4, ~PTE_P), 0);
    CHECK_IS(try_read(elsewhere), TRAP_PF);
    CHECK_IS(mmu_store(l4, 0), 0);

    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(new_table(3, saved | 1ul << 51)), 0), -XEN_EPERM);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(new_table(3, saved | PTE_PCD)), 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(new_table(3, l1_table | 1ul << 50)), 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(new_table(3, l1_table | 1ul << 49)), 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(new_table(3, l1_table | 1ul << 48)), 0), -XEN_EINVAL);
}
