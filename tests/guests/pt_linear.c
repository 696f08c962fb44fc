// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: page tables that name themselves or a table of their own level, which would show the tables as pages. With
 * write access it is EINVAL everywhere. Read-only, Umbra refuses it too (docs/decisions/no-linear-page-tables.md);
 * Xen has it for the sake of old kernels. A table used at two levels is EINVAL on both.
 */
#include "guest.h"

static void *const elsewhere = (void *)(1ul << 39); /* L4 slot 1 is empty at the start */

static void attempt(unsigned long *entry, unsigned long mfn)
{
    unsigned long before = *entry;

    CHECK_IS(mmu_store(entry, make_pte(mfn, PTE_ALL)), -XEN_EINVAL);
    CHECK_IS(*entry, before);
    if (on_umbra()) {
        CHECK_IS(mmu_store(entry, make_pte(mfn, PTE_P | PTE_US)), -XEN_EINVAL);
        CHECK_IS(*entry, before);
    }
}

void guest_main(void)
{
    const void *here = new_page();
    unsigned long *l4_slot = entry_of(elsewhere, 4), *unused_l3 = entry_of(here, 3) - 1,
                  *unused_l2 = entry_of(here, 2) + 9;
    unsigned long l4 = mfn_of(l4_slot), l3 = mfn_of(unused_l3), l2 = mfn_of(unused_l2), l1 = mfn_of(entry_of(here, 1));

    attempt(l4_slot, l4);
    attempt(unused_l3, l3);
    attempt(unused_l2, l2);
    /* Levels that do not fit each other: too high, too low. */
    CHECK_IS(mmu_store(unused_l3, make_pte(l4, PTE_ALL)), -XEN_EINVAL);
    CHECK_IS(mmu_store(unused_l2, make_pte(l4, PTE_ALL)), -XEN_EINVAL);
    CHECK_IS(mmu_store(unused_l2, make_pte(l3, PTE_ALL)), -XEN_EINVAL);
    CHECK_IS(mmu_store(l4_slot, make_pte(l2, PTE_ALL)), -XEN_EINVAL);
    CHECK_IS(mmu_store(l4_slot, make_pte(l1, PTE_ALL)), -XEN_EINVAL);
    CHECK_IS(mmu_store(unused_l3, make_pte(l1, PTE_ALL)), -XEN_EINVAL);
    /* By a pin: the table in use already has its type. */
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, l2, 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_PIN_L3_TABLE, l4, 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_PIN_L4_TABLE, l1, 0), -XEN_EINVAL);
    CHECK_READONLY(l4_slot);
    CHECK_READONLY(unused_l3);
    CHECK_READONLY(unused_l2);
}
