// SPDX-License-Identifier: BSD-2-Clause
/*
 * Takes all memory of the machine that nobody has a claim on, down to the last page: a domain of its own, without a
 * name and paused, that stays until it is destroyed. Prints its number.
 */
#include <stdint.h>

#include "calls.h"
#include "libctl/ctl.h"

#define LARGE 9u
#define BATCH 64u
#define ALL   (1ull << 32) /* KiB */

/* Extents of this order from a guest frame on, until there is none left; returns the first frame without one. */
static uint64_t take(struct ctl *ctl, uint32_t domid, unsigned order, uint64_t frame)
{
    uint64_t frames[BATCH];
    long done = BATCH;

    while (done == BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            frames[i] = frame + ((uint64_t)i << order);
        done = ctl_memory_populate(ctl, domid, order, frames, BATCH, NULL);
        must(done >= 0, "populate");
        frame += (uint64_t)done << order;
    }
    return frame;
}

int main(void)
{
    struct ctl_domain_create args = {
        .uuid = {0xf1}, .vcpus = 1, .max_event_ports = 16, .grant_frames = 1, .maptrack_frames = 1};
    struct ctl *ctl = ctl_open(NULL);
    uint32_t domid = 0;

    must(ctl != NULL, "open");
    must(ctl_domain_create(ctl, &args, &domid, NULL) == 0, "create");
    printf("%u\n", domid);
    fflush(stdout);
    must(ctl_domain_set_maxmem(ctl, domid, ALL, NULL) == 0, "maxmem");
    must(take(ctl, domid, 0, take(ctl, domid, LARGE, 0)) > 0, "nothing was left");
    ctl_close(ctl);
    return 0;
}
