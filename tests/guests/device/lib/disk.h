/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk's front end with a ring of one page, which asks one thing at a time or many. Source: <xen/io/blkif.h>. */
#ifndef DEVICE_DISK_H
#define DEVICE_DISK_H

#include "front.h"

#include <xen/io/blkif.h>

#define DISK         "device/vbd/51712" /* xvda */
#define DISK_SLOTS   __CONST_RING_SIZE(blkif, PAGE_SIZE)
#define SECTOR       512u
#define PAGE_SECTORS (unsigned int)(PAGE_SIZE / SECTOR)

struct disk {
    struct front f;
    blkif_sring_t *ring;
    RING_IDX asked, seen; /* requests made, answers taken */
    uint64_t sectors;
};

void disk_open(struct disk *d);
/* persistent: the back end is offered to keep what it maps. False: it does not connect. */
bool disk_connect(struct disk *d, bool persistent);
/* A request to read a page's worth from the disk's beginning. */
struct blkif_request disk_read_request(grant_ref_t ref);
/* Puts a request, with the number of requests before it as its id, on the ring; the back end is not told. */
void disk_put(struct disk *d, const struct blkif_request *r);
/* Tells of what was put. */
void disk_tell(struct disk *d);
/* The status of the next answer, or NO_ANSWER. id may be NULL. */
int disk_answer(struct disk *d, uint64_t *id);
/* All of it with one request. */
int disk_do(struct disk *d, const struct blkif_request *r);

#endif
