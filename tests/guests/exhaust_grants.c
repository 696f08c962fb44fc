// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: the grant table is grown beyond its limit, and one grant is mapped until its count of uses would overflow.
 * The table's limit is a general error, and so is the use too many; all mappings can be taken back, after which the
 * grant is not in use any more.
 */
#include "guest.h"

#define BATCH     64
#define LIMIT     32767 /* uses of each kind */
#define XEN_LIMIT 128

static struct gnttab_map_grant_ref maps[BATCH];
static struct gnttab_unmap_grant_ref unmaps[BATCH];
static grant_handle_t handles[LIMIT + BATCH];

static long grow(unsigned int frames)
{
    static xen_pfn_t list[300];
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = frames};

    set_xen_guest_handle(setup.frame_list, list);
    REQUIRE(grant_op(GNTTABOP_setup_table, &setup, 1) == 0);
    return setup.status;
}

static unsigned int map_all(domid_t self)
{
    unsigned int count = 0;

    for (;;) {
        for (unsigned int i = 0; i < BATCH; i++)
            maps[i] =
                (struct gnttab_map_grant_ref){.dom = self, .ref = 9, .flags = GNTMAP_device_map | GNTMAP_readonly};
        REQUIRE(grant_op(GNTTABOP_map_grant_ref, maps, BATCH) == 0);
        for (unsigned int i = 0; i < BATCH; i++) {
            if (maps[i].status != GNTST_okay)
                return count;
            handles[count++] = maps[i].handle;
        }
    }
}

void guest_main(void)
{
    grant_entry_v1_t *entries = grant_entries();
    unsigned long mfn = mfn_of(new_page());
    unsigned int count;

    CHECK_IS(grow(64), GNTST_okay);
    CHECK_IS(grow(65), GNTST_general_error);
    CHECK_IS(grow(~0u), GNTST_general_error);
    entries[9] =
        (grant_entry_v1_t){.flags = GTF_permit_access | GTF_readonly, .domid = own_domid(), .frame = (uint32_t)mfn};
    count = map_all(entries[9].domid);
    CHECK(on_umbra() ? count > 1000 && count <= LIMIT : count == XEN_LIMIT);
    CHECK(entries[9].flags & GTF_reading);
    for (unsigned int done = 0; done < count; done += BATCH) {
        unsigned int n = count - done < BATCH ? count - done : BATCH;

        for (unsigned int i = 0; i < n; i++)
            unmaps[i] = (struct gnttab_unmap_grant_ref){.dev_bus_addr = mfn << 12, .handle = handles[done + i]};
        REQUIRE(grant_op(GNTTABOP_unmap_grant_ref, unmaps, n) == 0);
        for (unsigned int i = 0; i < n; i++)
            if (unmaps[i].status != GNTST_okay)
                CHECK_IS(unmaps[i].status, GNTST_okay);
    }
    CHECK(!(entries[9].flags & (GTF_reading | GTF_writing)));
    CHECK(unmap_grant(0, handles[0]) < 0);
    CHECK(unmap_grant(0, ~0u) < 0);
}
