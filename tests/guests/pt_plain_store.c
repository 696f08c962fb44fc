// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: mmu_update to a frame that is no page table stores eight bytes, if the guest could have stored them itself. A
 * page that is read-only because it has become a table or a descriptor page is not such a frame, and one that is a
 * table of another level is checked as that.
 */
#include "guest.h"

void guest_main(void)
{
    unsigned long *page = new_page(), *gdt = new_page(), frames[1] = {mfn_of(gdt)};
    struct mmu_update two[2] = {{.ptr = maddr_of(page), .val = 1}, {.ptr = maddr_of(page) | 4, .val = 2}};
    unsigned int done = 77;

    CHECK_IS(mmu_store(&page[5], 0x1122334455667788), 0);
    CHECK_IS(page[5], 0x1122334455667788);
    CHECK_IS(mmu_store_at(spare_mfn(0) << 12 | 0xff8, 1), 0);

    REQUIRE(set_readonly(gdt) == 0);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, frames, 512), 0);
    CHECK(mmu_store(&gdt[3], 0x00cf8c000000ffff) < 0); /* a call gate, among other things */
    CHECK_IS(gdt[3], 0);
    CHECK_IS(set_writable(gdt), -XEN_EBUSY);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, frames, 0), 0);
    CHECK_IS(set_writable(gdt), 0);

    /* A batch ends at its first error and says how far it came. */
    CHECK_IS(hypercall(__HYPERVISOR_mmu_update, P(two), 2, P(&done), DOMID_SELF, 0), -XEN_ENOSYS);
    CHECK_IS(done, 1);
    CHECK_IS(page[0], 1);
    for (unsigned int cmd = 4; cmd < 8; cmd++)
        CHECK_IS(mmu_store_at(maddr_of(page) | cmd, 3), -XEN_ENOSYS);
    CHECK_IS(page[0], 1);
}
