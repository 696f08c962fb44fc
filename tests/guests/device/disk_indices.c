// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a disk's front end connects, reads a page as it should, and then puts its ring's producer far ahead, behind,
 * or a ring's length ahead of slots that are garbage, and overwrites the whole shared page, the back end's own index
 * and the events too. The back end may give up that connection; a new one must read the disk again.
 */
#include "lib/disk.h"

static const RING_IDX jumps[] = {DISK_SLOTS, DISK_SLOTS + 1, 1000, 0x7fffffff, 0x80000000, ~0u};
static struct disk d;
static const char *page;

static void connect_and_read(void)
{
    struct blkif_request r = disk_read_request(FIRST_REF);

    REQUIRE(disk_connect(&d, false));
    CHECK_IS(disk_do(&d, &r), BLKIF_RSP_OKAY);
    CHECK_IS(page[0], 'u');
}

static void told(unsigned int ms)
{
    front_notify(&d.f);
    pause_ms(ms);
}

static void jump(RING_IDX by, int garbage)
{
    connect_and_read();
    __builtin_memset(d.ring->ring, garbage, PAGE_SIZE - offsetof(blkif_sring_t, ring));
    WRITE_ONCE(d.ring->req_prod, d.ring->req_prod + by);
    told(50);
    __builtin_memset(d.ring, garbage, PAGE_SIZE);
    told(10);
    REQUIRE(front_reset(&d.f));
}

void guest_main(void)
{
    page = new_page();
    lend(FIRST_REF, mfn_of(page), 0);
    disk_open(&d);
    for (unsigned int i = 0; i < ARRAY_SIZE(jumps); i++)
        jump(jumps[i], 0xa5);
    jump(DISK_SLOTS, 0xff);
    connect_and_read();
}
