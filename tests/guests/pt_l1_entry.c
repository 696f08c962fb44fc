// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: an L1 entry cannot give write access to a page table. mmu_update is asked to store such an entry, for a table
 * of each level, at an entry in use and at one that was empty; it gives EBUSY, with each command, and the entry stays
 * as it was. The same frame may be mapped read-only as often as the guest likes, and a read-only entry does not become
 * writable by a store that only changes the RW bit.
 */
#include "guest.h"

static unsigned long *slot; /* L1 entry of a page that the attack uses */

static void attack(unsigned long table_mfn)
{
    static const unsigned int commands[] = {MMU_NORMAL_PT_UPDATE, MMU_PT_UPDATE_PRESERVE_AD,
                                            MMU_PT_UPDATE_NO_TRANSLATE};
    unsigned long before = *slot;

    for (unsigned int i = 0; i < ARRAY_SIZE(commands); i++) {
        CHECK_IS(mmu_store_at(maddr_of(slot) | commands[i], make_pte(table_mfn, PTE_ALL)), -XEN_EBUSY);
        CHECK_IS(*slot, before);
    }
    CHECK_IS(mmu_store(slot, 0), 0);
    CHECK_IS(mmu_store(slot, make_pte(table_mfn, PTE_ALL)), -XEN_EBUSY);
    CHECK_IS(*slot, 0);
    CHECK_IS(mmu_store(slot, make_pte(table_mfn, PTE_ALL & ~PTE_RW)), 0);
    CHECK_IS(mmu_store(slot, make_pte(table_mfn, PTE_ALL)), -XEN_EBUSY);
    CHECK(!(*slot & PTE_RW));
    CHECK_IS(mmu_store(slot, before), 0);
}

void guest_main(void)
{
    void *page = new_page();

    slot = entry_of(page, 1);
    for (unsigned int level = 1; level <= 4; level++) {
        const unsigned long *table = entry_of(page, level);

        attack(mfn_of(table));
        CHECK_READONLY(table);
    }
    CHECK_IS(try_write(page, 1), -1);
}
