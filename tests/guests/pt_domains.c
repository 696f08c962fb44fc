// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: the page-table calls take the number of a domain whose frames or tables are meant. A guest that names another
 * domain, existing or not, the hypervisor's frames or device memory gets an error and nothing happens.
 */
#include "guest.h"

static void attack(unsigned int id)
{
    void *page = new_page();
    struct mmu_update u = {.ptr = maddr_of(entry_of(page, 1)), .val = make_pte(spare_mfn(0), PTE_ALL)};
    struct mmuext_op pin = {.cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn_of(page)};
    struct mmuext_op base = {.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = mfn_of((void *)start_info->pt_base)};
    struct mmuext_op flush = {.cmd = MMUEXT_TLB_FLUSH_ALL};
    unsigned long before = *entry_of(page, 1);

    CHECK(hypercall(__HYPERVISOR_mmu_update, P(&u), 1, 0, id, 0) < 0);
    CHECK(hypercall(__HYPERVISOR_mmu_update, P(&u), 1, 0, (id + 1ul) << 16 | DOMID_SELF, 0) < 0);
    CHECK(hypercall(__HYPERVISOR_mmuext_op, P(&pin), 1, 0, id, 0) < 0);
    CHECK(hypercall(__HYPERVISOR_mmuext_op, P(&base), 1, 0, id, 0) < 0);
    CHECK(hypercall(__HYPERVISOR_mmuext_op, P(&flush), 1, 0, id, 0) < 0);
    CHECK(hypercall(__HYPERVISOR_update_va_mapping_otherdomain, P(page), u.val, 0, id, 0) < 0);
    CHECK_IS(*entry_of(page, 1), before);
}

void guest_main(void)
{
    static const unsigned int ids[] = {0,        1,         2,         1000,          0x7fee,
                                       DOMID_IO, DOMID_XEN, DOMID_COW, DOMID_INVALID, DOMID_IDLE};
    unsigned int self = own_domid();

    for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++)
        if (ids[i] != self)
            attack(ids[i]);
}
