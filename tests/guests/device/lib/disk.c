// SPDX-License-Identifier: BSD-2-Clause
/* Requests to a block back end. */
#include "disk.h"

void disk_open(struct disk *d)
{
    front_open(&d->f, DISK);
    d->ring = new_page();
    REQUIRE(back_reaches(&d->f, XenbusStateInitWait, PATIENCE_MS));
}

bool disk_connect(struct disk *d, bool persistent)
{
    long sectors;

    __builtin_memset(d->ring, 0, PAGE_SIZE);
    d->ring->req_event = d->ring->rsp_event = 1;
    d->asked = d->seen = 0;
    lend(RING_REF, mfn_of(d->ring), 0);
    store_write_number(d->f.dir, "ring-ref", RING_REF);
    store_write_number(d->f.dir, "event-channel", d->f.port);
    store_write(d->f.dir, "protocol", "x86_64-abi");
    store_write_number(d->f.dir, "feature-persistent", persistent);
    front_set(&d->f, XenbusStateInitialised);
    if (!back_reaches(&d->f, XenbusStateConnected, PATIENCE_MS))
        return false;
    front_set(&d->f, XenbusStateConnected);
    sectors = store_number(d->f.back, "sectors");
    d->sectors = (uint64_t)sectors;
    return sectors > 0;
}

struct blkif_request disk_read_request(grant_ref_t ref)
{
    struct blkif_request r = {.operation = BLKIF_OP_READ, .nr_segments = 1};

    r.seg[0] = (struct blkif_request_segment){.gref = ref, .first_sect = 0, .last_sect = PAGE_SECTORS - 1};
    return r;
}

void disk_put(struct disk *d, const struct blkif_request *r)
{
    struct blkif_request *slot = &d->ring->ring[d->asked & (DISK_SLOTS - 1)].req;

    *slot = *r;
    slot->id = d->asked++;
}

void disk_tell(struct disk *d)
{
    __atomic_store_n(&d->ring->req_prod, d->asked, __ATOMIC_RELEASE);
    front_notify(&d->f);
}

int disk_answer(struct disk *d, uint64_t *id)
{
    const struct blkif_response *answer = &d->ring->ring[d->seen & (DISK_SLOTS - 1)].rsp;

    for (unsigned int waited = 0; __atomic_load_n(&d->ring->rsp_prod, __ATOMIC_ACQUIRE) == d->seen; waited++) {
        if (waited == PATIENCE_MS)
            return NO_ANSWER;
        pause_ms(1);
    }
    d->seen++;
    if (id)
        *id = answer->id;
    return answer->status;
}

int disk_do(struct disk *d, const struct blkif_request *r)
{
    disk_put(d, r);
    disk_tell(d);
    return disk_answer(d, NULL);
}
