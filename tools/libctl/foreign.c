// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mapping of another domain's frames.
 *
 * Place: how the builder writes into a domain it makes. Invariant: a mapping holds references on its frames; it is
 * undone before page tables are pinned, since a table may not be writable anywhere.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "libctl/internal.h"

void *ctl_foreign_map(struct ctl *ctl, uint32_t domid, int prot, const uint64_t *frames, size_t count,
                      struct ctl_error *err)
{
    xenforeignmemory_handle *handle = ctl_memory_handle(ctl, err);
    void *address;

    _Static_assert(sizeof(xen_pfn_t) == sizeof(*frames), "frames are passed as they are");
    if (!handle) {
        return NULL;
    }
    address = xenforeignmemory_map(handle, domid, prot, count, (const xen_pfn_t *)frames, NULL);
    if (!address) {
        ctl_fail_domain(ctl, err, errno ? -errno : -EIO, CTL_AT("map memory", domid), "%zu frames could not be mapped",
                        count);
    }
    return address;
}

void *ctl_foreign_map_some(struct ctl *ctl, uint32_t domid, const uint64_t *frames, size_t count, int *missing,
                           struct ctl_error *err)
{
    xenforeignmemory_handle *handle = ctl_memory_handle(ctl, err);
    void *address;

    if (!handle) {
        return NULL;
    }
    address = xenforeignmemory_map(handle, domid, PROT_READ, count, (const xen_pfn_t *)frames, missing);
    if (!address) {
        ctl_fail_domain(ctl, err, errno ? -errno : -EIO, CTL_AT("map memory", domid), "%zu frames could not be mapped",
                        count);
    }
    return address;
}

void ctl_foreign_unmap(struct ctl *ctl, void *address, size_t count)
{
    if (address) {
        xenforeignmemory_unmap(ctl->memory, address, count);
    }
}
