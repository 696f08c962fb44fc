// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a front end ends grants and gives their frames back to the hypervisor while the back end has them mapped. A
 * persistent grant is held between requests: its frame, given back, must come to nobody until the back end lets go, and
 * what is read by that grant goes there and not into the frame that the entry names meanwhile. Then requests whose
 * frames go while they are in flight, round after round. Each is answered, and the disk can be read at the end.
 */
#include "lib/disk.h"

#define IN_FLIGHT 24u
#define ROUNDS    24u

static struct disk d;
static unsigned long frames[IN_FLIGHT];
static const char *page;

static void read_well(void)
{
    struct blkif_request good = disk_read_request(FIRST_REF);

    CHECK_IS(disk_do(&d, &good), BLKIF_RSP_OKAY);
}

/* Frames that are free elsewhere come first; all that can be had goes back. */
static void check_not_given(unsigned long frame)
{
    static unsigned long got[64];
    unsigned int n = 0;

    CHECK(give_back(frames[1]));
    while (n < ARRAY_SIZE(got) && (got[n] = get_frame())) {
        CHECK(got[n] != frame);
        n++;
    }
    frames[1] = n ? got[--n] : 0;
    REQUIRE(frames[1]);
    while (n)
        CHECK(give_back(got[--n]));
}

static void persistent(void)
{
    struct blkif_request r = disk_read_request(FIRST_REF + 1);

    REQUIRE(disk_connect(&d, true));
    lend(FIRST_REF + 1, frames[0], 0);
    CHECK_IS(disk_do(&d, &r), BLKIF_RSP_OKAY);
    CHECK_IS(lending_in_use(FIRST_REF + 1), GTF_reading | GTF_writing);
    CHECK(!end_lending(FIRST_REF + 1));
    CHECK(give_back(frames[0]));
    give_back(frames[0]); /* once more: it must not go twice */
    check_not_given(frames[0]);
    lend(FIRST_REF + 1, mfn_of(page), GTF_readonly);
    CHECK_IS(disk_do(&d, &r), BLKIF_RSP_OKAY);
    CHECK_IS(page[0], 0);
    REQUIRE(front_reset(&d.f));
    CHECK_IS(lending_in_use(FIRST_REF + 1), 0);
    frames[0] = get_frame();
    REQUIRE(frames[0]);
}

static void in_flight(void)
{
    for (unsigned int i = 0; i < IN_FLIGHT; i++) {
        struct blkif_request r = disk_read_request(FIRST_REF + 1 + i);

        lend(FIRST_REF + 1 + i, frames[i], 0);
        disk_put(&d, &r);
    }
    disk_tell(&d);
    for (unsigned int i = 0; i < IN_FLIGHT; i++) {
        end_lending(FIRST_REF + 1 + i);
        CHECK(give_back(frames[i]));
    }
    for (unsigned int i = 0; i < IN_FLIGHT; i++)
        CHECK(disk_answer(&d, NULL) != NO_ANSWER);
    for (unsigned int i = 0; i < IN_FLIGHT; i++) {
        frames[i] = get_frame();
        REQUIRE(frames[i]);
    }
}

void guest_main(void)
{
    page = new_page();
    for (unsigned int i = 0; i < IN_FLIGHT; i++)
        frames[i] = spare_mfn(i);
    disk_open(&d);
    persistent();
    REQUIRE(disk_connect(&d, false));
    lend(FIRST_REF, mfn_of(new_page()), 0);
    for (unsigned int i = 0; i < ROUNDS; i++)
        in_flight();
    read_well();
    CHECK(give_back(mfn_of(d.ring)) && give_back(mfn_of(page)));
    read_well();
}
