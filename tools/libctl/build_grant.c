// SPDX-License-Identifier: BSD-2-Clause
/*
 * The first entries of a new domain's grant table: the daemons map the two rings by grant, not by force.
 *
 * Place: builder's step before introduction, since xenstored maps its ring at once. Two ways to reach the table: as a
 * resource of the domain, or - where the hypervisor or kernel does not offer that - by asking for its frame and mapping
 * it.
 */
#include <string.h>
#include <sys/mman.h>

#include "libctl/build.h"

static void seed(struct ctl_build *b, grant_entry_v1_t *table)
{
    const struct {
        unsigned ref;
        uint64_t frame;
    } rings[] = {
        {GNTTAB_RESERVED_CONSOLE, b->console_frame},
        {GNTTAB_RESERVED_XENSTORE, b->store_frame},
    };

    for (size_t i = 0; i < CTL_ARRAY(rings); i++) {
        grant_entry_v1_t *entry = &table[rings[i].ref];

        entry->domid = 0;
        entry->frame = rings[i].frame;
        __atomic_store_n(&entry->flags, GTF_permit_access, __ATOMIC_RELEASE);
    }
}

static bool seed_resource(struct ctl_build *b, xenforeignmemory_handle *memory)
{
    void *table = NULL;
    xenforeignmemory_resource_handle *resource =
        xenforeignmemory_map_resource(memory, b->domid, XENMEM_resource_grant_table,
                                      XENMEM_resource_grant_table_id_shared, 0, 1, &table, PROT_READ | PROT_WRITE, 0);

    if (!resource) {
        return false;
    }
    seed(b, table);
    xenforeignmemory_unmap_resource(memory, resource);
    return true;
}

static int seed_frame(struct ctl_build *b)
{
    struct gnttab_setup_table setup = {.dom = b->domid, .nr_frames = 1};
    xen_pfn_t *frames = ctl_buffer_get(b->ctl, sizeof(*frames));
    void *table = NULL;
    int rc = -ENOMEM;

    if (frames) {
        set_xen_guest_handle(setup.frame_list, frames);
        rc = ctl_call_grant(b->ctl, GNTTABOP_setup_table, &setup, sizeof(setup));
        rc = rc == 0 && setup.status != GNTST_okay ? -EIO : rc;
    }
    if (rc == 0) {
        table = ctl_foreign_map(b->ctl, b->domid, PROT_READ | PROT_WRITE, (uint64_t *)frames, 1, b->err);
        rc = table ? 0 : b->err->code;
    }
    if (rc == 0) {
        seed(b, table);
    }
    ctl_foreign_unmap(b->ctl, table, 1);
    ctl_buffer_put(b->ctl, frames);
    return rc;
}

int ctl_build_grants(struct ctl_build *b)
{
    xenforeignmemory_handle *memory = ctl_memory_handle(b->ctl, b->err);
    int rc;

    if (!memory) {
        return b->err->code;
    }
    if (seed_resource(b, memory)) {
        return 0;
    }
    rc = seed_frame(b);
    if (rc < 0) {
        return ctl_fail_domain(b->ctl, b->err, rc, CTL_AT("grant the rings", b->domid),
                               "its grant table could not be reached");
    }
    return 0;
}
