// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: this guest is the back end of another guest's network interface. It takes one packet as it should; of the
 * next one it keeps the frame after its answer, and tries to write to what it may only read, by a mapping and by a
 * copy. It keeps and overwrites a buffer to receive into, answers what nobody asked, runs ahead of both rings,
 * overwrites them and sends events without a pause. It ends with all of it still mapped. The front end may lose its
 * interface; only the hypervisor's refusals are checked here.
 */
#include "lib/back.h"

#include <xen/io/netif.h>

#define TX_SLOTS __CONST_RING_SIZE(netif_tx, PAGE_SIZE)
#define RX_SLOTS __CONST_RING_SIZE(netif_rx, PAGE_SIZE)

static struct back b;
static netif_tx_sring_t *tx;
static netif_rx_sring_t *rx;
static RING_IDX seen;

static void *ring_of(const char *node)
{
    void *page = new_page();

    REQUIRE(back_map(&b, page, (grant_ref_t)store_number(b.front, node), 0) == GNTST_okay);
    return page;
}

static void connect(void)
{
    back_open(&b);
    store_write_number(b.dir, "feature-rx-copy", 1);
    REQUIRE(back_set(&b, XenbusStateInitWait));
    REQUIRE(front_reaches(&b, XenbusStateConnected, PATIENCE_MS));
    tx = ring_of("tx-ring-ref");
    rx = ring_of("rx-ring-ref");
    REQUIRE(back_bind(&b));
    REQUIRE(back_set(&b, XenbusStateConnected));
}

static struct netif_tx_request next_packet(void)
{
    for (unsigned int waited = 0; __atomic_load_n(&tx->req_prod, __ATOMIC_ACQUIRE) == seen; waited++) {
        REQUIRE(waited < PATIENCE_MS);
        pause_ms(1);
    }
    return tx->ring[seen++ & (TX_SLOTS - 1)].req;
}

static void answer(uint16_t id, int16_t status)
{
    tx->ring[tx->rsp_prod & (TX_SLOTS - 1)].rsp = (struct netif_tx_response){id, status};
    __atomic_store_n(&tx->rsp_prod, tx->rsp_prod + 1, __ATOMIC_RELEASE);
    back_notify(&b);
}

static int copy_to(grant_ref_t ref, const void *page)
{
    struct gnttab_copy op = {.source = {.domid = DOMID_SELF}, .len = 16, .flags = GNTCOPY_dest_gref};

    op.source.u.gmfn = mfn_of(page);
    op.dest.domid = b.domid;
    op.dest.u.ref = ref;
    REQUIRE(grant_op(GNTTABOP_copy, &op, 1) == 0);
    return op.status;
}

static void spoil(void)
{
    for (unsigned int i = 0; i < 8; i++) {
        answer((uint16_t)(i * 9973), (int16_t)(i * 9000));
        __builtin_memset(&rx->ring[rx->rsp_prod++ & (RX_SLOTS - 1)], (int)i * 31, sizeof(rx->ring[0]));
    }
    tx->rsp_prod += 1000;
    rx->rsp_prod += 1000;
    back_notify(&b);
    pause_ms(50);
    __builtin_memset(tx, 0xa5, PAGE_SIZE);
    __builtin_memset(rx, 0xff, PAGE_SIZE);
    for (unsigned int i = 0; i < 20000; i++)
        back_notify(&b);
}

void guest_main(void)
{
    uint64_t *page = new_page(), *held = new_page();
    struct netif_tx_request r;

    connect();
    answer(next_packet().id, NETIF_RSP_OKAY);
    r = next_packet();
    CHECK(back_map(&b, page, r.gref, 0) < 0);
    CHECK(copy_to(r.gref, page) < 0);
    CHECK_IS(back_map(&b, page, r.gref, GNTMAP_readonly), GNTST_okay);
    answer(r.id, NETIF_RSP_OKAY);
    CHECK_IS(back_map(&b, held, rx->ring[0].req.gref, 0), GNTST_okay);
    WRITE_ONCE(held[0], ~0ul);
    CHECK_IS(try_write(page, 0), TRAP_PF);
    spoil();
}
