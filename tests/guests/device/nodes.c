// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: what a front end writes to xenstore is no number, too large, somebody else's port, a reference to nothing, to
 * its page table or to a frame of another domain; and its state changes hundreds of times, to states that there are not
 * too. With bad nodes no back end connects. Whatever came before, good nodes connect, and the disk can be read.
 */
#include "lib/disk.h"

#define TABLE   (FIRST_REF + 1)
#define FOREIGN (FIRST_REF + 2)
#define SETTLE  100 /* ms for a back end to do what it must not */

struct bad {
    const char *node, *value;
};

static const struct bad bad[] = {
    {"ring-ref", ""},
    {"ring-ref", "ring"},
    {"ring-ref", "-1"},
    {"ring-ref", "511"}, /* never given */
    {"ring-ref", "17"},  /* TABLE */
    {"ring-ref", "18"},  /* FOREIGN */
    {"ring-ref", "4294967295"},
    {"ring-ref", "99999999999999999999"},
    {"event-channel", ""},
    {"event-channel", "0"},
    {"event-channel", "-1"},
    {"event-channel", "1"}, /* xenstored has it */
    {"event-channel", "131072"},
    {"event-channel", "4294967295"},
    {"protocol", "vax-abi"},
    {"ring-page-order", "31"},
    {"multi-queue-num-queues", "4294967295"},
};

static struct disk d;

static void read_well(void)
{
    struct blkif_request r = disk_read_request(FIRST_REF);

    REQUIRE(disk_connect(&d, false));
    CHECK_IS(disk_do(&d, &r), BLKIF_RSP_OKAY);
    REQUIRE(front_reset(&d.f));
}

static void try_bad(const struct bad *b)
{
    lend(RING_REF, mfn_of(d.ring), 0);
    store_write_number(DISK, "ring-ref", RING_REF);
    store_write_number(DISK, "event-channel", d.f.port);
    store_write(DISK, "protocol", "x86_64-abi");
    CHECK(store_write(DISK, b->node, b->value));
    front_set(&d.f, XenbusStateInitialised);
    CHECK(!back_reaches(&d.f, XenbusStateConnected, SETTLE));
    store_remove(DISK, b->node);
    REQUIRE(front_set(&d.f, XenbusStateConnected));
    if (!front_reset(&d.f))
        say("after %s = %s the back end is in state %u", b->node, b->value, back_state(&d.f));
    REQUIRE(back_state(&d.f) == XenbusStateInitWait);
}

/* Not Unknown, which is the end of the device. */
static void storm(unsigned int n)
{
    for (unsigned int i = 1; i <= n; i++)
        front_set(&d.f, (enum xenbus_state)(1 + i * i * 7 % 11));
}

void guest_main(void)
{
    void *page = new_page();

    lend(FIRST_REF, mfn_of(page), 0);
    lend(TABLE, mfn_of(entry_of(page, 1)), 0);
    lend(FOREIGN, 0x200, 0);
    disk_open(&d);
    read_well();
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
        try_bad(&bad[i]);
    storm(300);
    REQUIRE(front_reset(&d.f));
    read_well();
    storm(20);
    store_remove(DISK, "state");
    front_set(&d.f, (enum xenbus_state) - 1);
}
