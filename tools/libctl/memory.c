// SPDX-License-Identifier: BSD-2-Clause
/*
 * Frames of a domain: given and taken back, in batches.
 *
 * Place: under the builder. Invariant: never one call per page; a batch is at most BATCH extents, and the hypervisor
 * preempts itself inside. Does not map anything.
 */
#include <string.h>

#include "libctl/internal.h"

#define BATCH 4096

/* One batch of a reservation call; frames[] goes in and comes back. Returns extents done or -errno. */
static long reservation(struct ctl *ctl, unsigned op, uint32_t domid, unsigned order, xen_pfn_t *buffer, size_t count)
{
    struct xen_memory_reservation arg = {.nr_extents = count, .extent_order = order, .domid = domid};
    long rc;

    set_xen_guest_handle(arg.extent_start, buffer);
    do {
        rc = ctl_call_memory(ctl, op, &arg, sizeof(arg));
    } while (rc == -EAGAIN || rc == -ERESTART);
    return rc > (long)count ? -EIO : rc;
}

int ctl_memory_claim(struct ctl *ctl, uint32_t domid, uint64_t pages, struct ctl_error *err)
{
    struct xen_memory_reservation arg = {.nr_extents = pages, .domid = domid};
    long rc = ctl_call_memory(ctl, XENMEM_claim_pages, &arg, sizeof(arg));

    if (rc >= 0 || rc == -ENOSYS) {
        return 0;
    }
    if (!pages) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("claim memory", domid), "what was set aside could not be given up");
    }
    return ctl_fail_domain(ctl, err, rc, CTL_AT("claim memory", domid), "the host cannot set %llu MiB aside",
                           (unsigned long long)pages / 256);
}

long ctl_memory_populate(struct ctl *ctl, uint32_t domid, unsigned order, uint64_t *frames, size_t count,
                         struct ctl_error *err)
{
    size_t most = count < BATCH ? count : BATCH, done = 0;
    xen_pfn_t *buffer = ctl_buffer_get(ctl, (most ? most : 1) * sizeof(*buffer));
    long rc = 0;

    if (!buffer) {
        return ctl_fail_domain(ctl, err, -ENOMEM, CTL_AT("populate memory", domid),
                               "no locked memory for the list of frames");
    }
    while (done < count) {
        size_t now = count - done < most ? count - done : most;

        memcpy(buffer, frames + done, now * sizeof(*frames));
        rc = reservation(ctl, XENMEM_populate_physmap, domid, order, buffer, now);
        if (rc <= 0) {
            break;
        }
        memcpy(frames + done, buffer, rc * sizeof(*frames));
        done += rc;
        if ((size_t)rc < now) {
            break;
        }
    }
    ctl_buffer_put(ctl, buffer);
    if (rc < 0 && !(rc == -ENOMEM || done)) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("populate memory", domid),
                               "the hypervisor refused %zu extents of order %u", count, order);
    }
    return done;
}

long ctl_memory_free(struct ctl *ctl, uint32_t domid, const uint64_t *frames, size_t count, struct ctl_error *err)
{
    size_t most = count < BATCH ? count : BATCH, done = 0;
    xen_pfn_t *buffer = ctl_buffer_get(ctl, (most ? most : 1) * sizeof(*buffer));
    long rc = 0;

    if (!buffer) {
        return ctl_fail_domain(ctl, err, -ENOMEM, CTL_AT("free memory", domid),
                               "no locked memory for the list of frames");
    }
    while (done < count) {
        size_t now = count - done < most ? count - done : most;

        memcpy(buffer, frames + done, now * sizeof(*frames));
        rc = reservation(ctl, XENMEM_decrease_reservation, domid, 0, buffer, now);
        if (rc <= 0) {
            break;
        }
        done += rc;
    }
    ctl_buffer_put(ctl, buffer);
    if (rc < 0 && !done) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("free memory", domid), "the hypervisor refused %zu frames", count);
    }
    return done;
}
