// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a guest maps its own frames and no others. Each frame number that the M2P covers is tried, in steps: memory of
 * the control domain, of the neighbour, of the hypervisor with its image, frame table and heap, devices, holes, and
 * numbers beyond all memory. Whatever is not the guest's own is refused, for reading too, as a page, as a table, as
 * M2P entry, and for clearing and copying.
 */
#include "guest.h"

#define STEP 97

static void *page;

static bool is_own(unsigned long mfn)
{
    const unsigned long *p2m = (const unsigned long *)start_info->mfn_list;

    for (unsigned long pfn = 0; pfn < start_info->nr_pages; pfn++)
        if (p2m[pfn] == mfn)
            return true;
    return false;
}

static void attack(unsigned long mfn)
{
    bool refused = map_at(page, make_pte(mfn, PTE_P | PTE_US), UVMF_INVLPG) < 0;

    refused &= map_at(page, make_pte(mfn, PTE_ALL), UVMF_INVLPG) < 0;
    refused &= mmu_store_at(mfn << 12 | MMU_MACHPHYS_UPDATE, 5) < 0;
    refused &= mmu_store_at(mfn << 12, 0) < 0;
    refused &= mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) < 0;
    refused &= mmuext(MMUEXT_UNPIN_TABLE, mfn, 0) < 0;
    refused &= mmuext(MMUEXT_NEW_USER_BASEPTR, mfn ? mfn : 1, 0) < 0;
    refused &= mmuext(MMUEXT_CLEAR_PAGE, mfn, 0) < 0;
    refused &= mmuext(MMUEXT_COPY_PAGE, mfn_of(start_info), mfn) < 0;
    if (!refused)
        say("frame %lx", mfn);
    CHECK(refused);
}

void guest_main(void)
{
    static const unsigned long beyond[] = {0xfee00,         0xfec00,          0xa0, 0xb8, 1ul << 28, 1ul << 36,
                                           (1ul << 40) - 1, (1ul << 40) - 512};
    unsigned long max = (unsigned long)HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0), tried = 0;

    page = new_page();
    REQUIRE(max > 1000);
    for (unsigned long mfn = 0; mfn < max + 2 * STEP; mfn += STEP)
        if (!is_own(mfn)) {
            attack(mfn);
            tried++;
        }
    for (unsigned int i = 0; i < ARRAY_SIZE(beyond); i++)
        attack(beyond[i]);
    CHECK(tried > 1000);
    CHECK_IS(try_write(page, 1), -1);
}
