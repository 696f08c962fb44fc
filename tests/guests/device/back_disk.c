// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: this guest is the back end of another guest's disk. It serves the first request as it should; then it keeps
 * what it maps, stores to it after its answer, asks for pages that were never granted to it, answers what was not
 * asked, runs ahead of the ring, overwrites it, sends events without a pause and changes its state all the time. It
 * ends with all of it still mapped. The front end may lose its disk; only the hypervisor's refusals are checked here.
 */
#include "lib/back.h"

#include <xen/io/blkif.h>

#define SLOTS __CONST_RING_SIZE(blkif, PAGE_SIZE)
#define BURST 20000u

static struct back b;
static blkif_sring_t *ring;
static RING_IDX served;
static uint64_t *held;

static void describe(void)
{
    back_open(&b);
    store_write_number(b.dir, "sectors", 2048);
    store_write_number(b.dir, "sector-size", 512);
    store_write_number(b.dir, "info", 0);
    REQUIRE(back_set(&b, XenbusStateInitWait));
    REQUIRE(front_reaches(&b, XenbusStateInitialised, PATIENCE_MS));
}

static void connect(void)
{
    ring = new_page();
    held = new_page();
    REQUIRE(back_map(&b, ring, (grant_ref_t)store_number(b.front, "ring-ref"), 0) == GNTST_okay);
    REQUIRE(back_bind(&b));
    REQUIRE(back_set(&b, XenbusStateConnected));
}

static void answer(uint64_t id, uint8_t operation, int16_t status)
{
    struct blkif_response *r = &ring->ring[ring->rsp_prod & (SLOTS - 1)].rsp;

    *r = (struct blkif_response){id, operation, status};
    __atomic_store_n(&ring->rsp_prod, ring->rsp_prod + 1, __ATOMIC_RELEASE);
    back_notify(&b);
}

static struct blkif_request next_request(void)
{
    for (unsigned int waited = 0; __atomic_load_n(&ring->req_prod, __ATOMIC_ACQUIRE) == served; waited++) {
        REQUIRE(waited < PATIENCE_MS);
        pause_ms(1);
    }
    return ring->ring[served++ & (SLOTS - 1)].req;
}

static void keep_a_page(void)
{
    struct blkif_request r = next_request();

    CHECK_IS(back_map(&b, held, r.seg[0].gref, 0), GNTST_okay);
    answer(r.id, r.operation, BLKIF_RSP_OKAY);
    for (unsigned int i = 0; i < 100; i++, pause_ms(1))
        WRITE_ONCE(held[i], ~0ul);
}

static void spoil(void)
{
    for (unsigned int i = 0; i < 8; i++)
        answer(i * 0x1111111111111111ul, (uint8_t)(i * 37), (int16_t)(i * 9000));
    WRITE_ONCE(ring->rsp_prod, ring->rsp_prod + 1000);
    back_notify(&b);
    pause_ms(50);
    __builtin_memset(ring, 0xa5, PAGE_SIZE);
    for (unsigned int i = 0; i < BURST; i++)
        back_notify(&b);
    for (unsigned int i = 1; i < 40; i++)
        back_set(&b, (enum xenbus_state)(i * i * 7 % 11));
}

void guest_main(void)
{
    void *window = new_page();
    struct blkif_request r;

    describe();
    connect();
    r = next_request();
    answer(r.id, r.operation, BLKIF_RSP_OKAY);
    CHECK(back_map(&b, window, 0, 0) < 0); /* its console's, and xenstore's: granted to others */
    CHECK(back_map(&b, window, 1, 0) < 0);
    CHECK(back_map(&b, window, ~0u, GNTMAP_readonly) < 0);
    keep_a_page();
    CHECK(back_map(&b, window, 1, GNTMAP_readonly) < 0);
    spoil();
}
