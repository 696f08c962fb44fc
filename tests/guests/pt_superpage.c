// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: no entry above L1 may have the PSE bit, which would map 2 MiB or 1 GiB without an L1 table that anyone has
 * checked, page tables and other domains' memory included. EINVAL by mmu_update, and a table that contains such an
 * entry cannot be pinned or come into use.
 */
#include "guest.h"

static void refused(unsigned long *entry, unsigned long value)
{
    unsigned long before = *entry;

    CHECK_IS(mmu_store(entry, value), -XEN_EINVAL);
    CHECK_IS(*entry, before);
}

void guest_main(void)
{
    void *page = new_page(), *l2, *l3;
    unsigned long own = mfn_of(page) & ~511ul;
    unsigned long *l2_entry = entry_of((char *)page + (1ul << 29), 2); /* not used by the first mapping */

    REQUIRE(l2_entry && *l2_entry == 0);
    refused(l2_entry, make_pte(own, PTE_ALL | PTE_PSE));
    refused(l2_entry, make_pte(own, (PTE_ALL & ~PTE_RW) | PTE_PSE));
    refused(l2_entry, make_pte(0, PTE_ALL | PTE_PSE));
    refused(entry_of(page, 2), *entry_of(page, 2) | PTE_PSE);
    refused(entry_of(page, 3), *entry_of(page, 3) | PTE_PSE);
    refused(entry_of(page, 4), *entry_of(page, 4) | PTE_PSE);
    refused(entry_of((void *)(1ul << 39), 4), make_pte(0, PTE_ALL | PTE_PSE));

    l2 = new_table(7, make_pte(own, PTE_ALL | PTE_PSE));
    CHECK_IS(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2), 0), -XEN_EINVAL);
    l3 = new_table(7, make_pte(0, PTE_ALL | PTE_PSE));
    CHECK_IS(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(l3), 0), -XEN_EINVAL);
    CHECK_IS(mmu_store(entry_of((void *)(1ul << 39), 4), make_pte(mfn_of(l3), PTE_ALL)), -XEN_EINVAL);
    /* Refused tables are ordinary pages again. */
    CHECK_IS(set_writable(l2), 0);
    CHECK_IS(set_writable(l3), 0);
}
