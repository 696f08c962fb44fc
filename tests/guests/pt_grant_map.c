// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a page table is granted to the guest itself and mapped by grant, where the granting domain's own rules might
 * be forgotten. A writable mapping is a general error, at an address and at a page-table entry. The other way round, a
 * page that is mapped writably by a grant cannot become a page table until the mapping is gone.
 */
#include "guest.h"

static grant_entry_v1_t *entries;
static domid_t self;

static int map(unsigned int ref, unsigned long mfn, uint64_t host_addr, unsigned int flags)
{
    struct gnttab_map_grant_ref op = {.ref = ref, .dom = self, .host_addr = host_addr, .flags = flags}, result;

    entries[ref].frame = (uint32_t)mfn;
    entries[ref].domid = self;
    __atomic_store_n(&entries[ref].flags, GTF_permit_access, __ATOMIC_SEQ_CST);
    return map_grant(&op, &result) == GNTST_okay ? (int)result.handle : result.status;
}

void guest_main(void)
{
    void *window = new_page(), *page = new_page();
    int handle;

    entries = grant_entries();
    self = own_domid();
    for (unsigned int level = 1; level <= 4; level++) {
        unsigned long mfn = mfn_of(entry_of(page, level));

        CHECK_IS(map(10 + level, mfn, P(window), GNTMAP_host_map), GNTST_general_error);
        CHECK_IS(map(20 + level, mfn, maddr_of(entry_of(window, 1)), GNTMAP_host_map | GNTMAP_contains_pte),
                 GNTST_general_error);
        CHECK_IS(map(30 + level, mfn, 0, GNTMAP_device_map), GNTST_general_error);
        CHECK(!(entries[10 + level].flags & (GTF_reading | GTF_writing)));
    }
    /* Entries that are no L1 entries of ours, for a frame that may be written. */
    CHECK_IS(map(40, mfn_of(page), maddr_of(entry_of(window, 2)), GNTMAP_host_map | GNTMAP_contains_pte),
             GNTST_general_error);
    CHECK_IS(map(41, mfn_of(page), maddr_of(entry_of(window, 1)) + 1, GNTMAP_host_map | GNTMAP_contains_pte),
             GNTST_general_error);
    CHECK_IS(map(42, mfn_of(page), 0x1000, GNTMAP_host_map | GNTMAP_contains_pte), GNTST_general_error);
    CHECK_IS(map(43, mfn_of(page), NOT_MAPPED, GNTMAP_host_map), GNTST_general_error);
    CHECK_IS(map(44, mfn_of(page), HV_PERDOMAIN, GNTMAP_host_map), GNTST_general_error);

    handle = map(50, mfn_of(page), P(window), GNTMAP_host_map);
    REQUIRE(handle >= 0);
    CHECK_IS(set_readonly(page), 0);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page), 0), -XEN_EINVAL);
    CHECK_IS(try_write(window, 0), -1);
    CHECK_IS(unmap_grant(P(window), (grant_handle_t)handle), GNTST_okay);
    CHECK_IS(try_write(window, 0), TRAP_PF);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page), 0), 0);
    CHECK_IS(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(page), 0), 0);
}
