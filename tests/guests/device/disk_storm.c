// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: for some seconds a front end sends events to its back end, to xenstored and to the console without a pause,
 * while a request is on its ring now and then, and moves the index at which it wants to be told. The back end goes on
 * answering, which is looked at, and so does everybody else, which the test looks at.
 */
#include "lib/disk.h"

#define SECONDS 3ul
#define SECOND  1000000000ul
#define BURST   256u

static struct disk d;

static void burst(void)
{
    const evtchn_port_t ports[] = {d.f.port, start_info->store_evtchn, d.f.port, start_info->console.domU.evtchn};

    for (unsigned int i = 0; i < BURST; i++) {
        struct evtchn_send send = {.port = ports[i % ARRAY_SIZE(ports)]};

        REQUIRE(evtchn_op(EVTCHNOP_send, &send) == 0);
    }
}

void guest_main(void)
{
    uint64_t start, bursts = 0;
    unsigned int answered = 0;
    struct blkif_request r = disk_read_request(FIRST_REF);

    lend(FIRST_REF, mfn_of(new_page()), 0);
    disk_open(&d);
    REQUIRE(disk_connect(&d, false));
    start = now();
    disk_put(&d, &r);
    disk_tell(&d);
    while (now() - start < SECONDS * SECOND) {
        burst();
        bursts++;
        WRITE_ONCE(d.ring->rsp_event, d.seen + (unsigned int)bursts % 3);
        if (READ_ONCE(d.ring->rsp_prod) == d.seen)
            continue;
        CHECK_IS(disk_answer(&d, NULL), BLKIF_RSP_OKAY);
        answered++;
        disk_put(&d, &r);
        disk_tell(&d);
    }
    CHECK_IS(disk_answer(&d, NULL), BLKIF_RSP_OKAY);
    say("%u answers, %lu events", answered, bursts * BURST);
}
