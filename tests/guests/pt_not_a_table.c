// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: CR3 of something that is no table. Base pointers, by hypercall and by a move to CR3, are given pages that are
 * mapped writably, tables of lower levels, frames of others and numbers beyond memory. Each is refused, and the vCPU
 * runs on with the tables that it had.
 */
#include "guest.h"

static void move_to_cr3(void *arg)
{
    __asm__ __volatile__("mov %0, %%cr3" ::"r"(arg) : "memory");
}

static void attack(unsigned long mfn)
{
    struct fault f = {0};

    CHECK_IS(mmuext(MMUEXT_NEW_BASEPTR, mfn, 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn, 0), -XEN_EINVAL);
    CHECK(faults(move_to_cr3, (void *)xen_pfn_to_cr3(mfn), &f));
    CHECK_IS(f.vector, TRAP_GP);
}

void guest_main(void)
{
    void *page = new_page();
    unsigned long cr3, l4 = mfn_of((void *)start_info->pt_base);

    attack(mfn_of(page));
    for (unsigned int level = 1; level <= 3; level++)
        attack(mfn_of(entry_of(page, level)));
    attack(1);
    attack((1ul << 36) - 1);
    attack((1ul << 40) - 1);
    CHECK_IS(mmuext(MMUEXT_NEW_BASEPTR, ~0ul, 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_NEW_BASEPTR, 0, 0), -XEN_EINVAL);

    __asm__ __volatile__("mov %%cr3, %0" : "=r"(cr3));
    CHECK_IS(xen_cr3_to_pfn(cr3), l4);
    CHECK_IS(mmuext(MMUEXT_NEW_BASEPTR, l4, 0), 0);
    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, l4, 0), 0);
    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, 0, 0), 0);
}
