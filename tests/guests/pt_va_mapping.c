// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: update_va_mapping refuses to make a page table writable whatever flush it is asked for, and its flags change
 * nothing but flushes. An unknown kind of flush is EINVAL, or passed over as by Xen 4.17; a bitmap of vCPUs that cannot
 * be read EFAULT, an address that no L1 table maps EINVAL.
 */
#include "guest.h"

static const unsigned long kinds[] = {UVMF_NONE, UVMF_TLB_FLUSH, UVMF_INVLPG};
static const unsigned long whom[] = {UVMF_LOCAL, UVMF_ALL};

static void attack(const void *table)
{
    unsigned long rw = make_pte(mfn_of(table), PTE_ALL), before = *entry_of(table, 1);

    for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
        for (unsigned int j = 0; j < ARRAY_SIZE(whom); j++)
            CHECK_IS(map_at(table, rw, kinds[i] | whom[j]), -XEN_EBUSY);
    for (unsigned long bit = 3; bit < 64; bit++)
        CHECK(map_at(table, rw, UVMF_TLB_FLUSH | 1ul << bit) < 0);
    CHECK_IS(*entry_of(table, 1) & ~(PTE_A | PTE_D), before & ~(PTE_A | PTE_D));
    CHECK_READONLY(table);
}

void guest_main(void)
{
    void *page = new_page();
    unsigned long pte = *entry_of(page, 1);

    for (unsigned int level = 1; level <= 4; level++)
        attack(entry_of(page, level));
    CHECK_IS(map_at(page, pte, 3), on_umbra() ? -XEN_EINVAL : 0);
    CHECK_IS(map_at(page, pte, UVMF_INVLPG | NOT_MAPPED), -XEN_EFAULT);
    CHECK_IS(map_at(page, pte, UVMF_INVLPG | HV_TEXT), -XEN_EFAULT);
    CHECK_IS(map_at((void *)NOT_MAPPED, pte, UVMF_NONE), -XEN_EINVAL);
    CHECK_IS(map_at((void *)HV_DIRECTMAP, pte, UVMF_NONE), -XEN_EINVAL);
    CHECK_IS(map_at((void *)HV_PERDOMAIN, pte, UVMF_NONE), -XEN_EINVAL);
    CHECK_IS(map_at((void *)NONCANONICAL, pte, UVMF_NONE), -XEN_EINVAL);
    CHECK_IS(try_write(page, 1), -1);
}
