// SPDX-License-Identifier: BSD-2-Clause
/*
 * The other halves of a guest's devices, as far as guests can tell them from the stock kernel's: blkback, netback, and
 * a blkfront for a guest that is a back end. None trusts what it reads.
 */
#include <stdio.h>
#include <string.h>

#include "device_world.h"

#include <xen/io/blkif.h>
#include <xen/io/netif.h>

#define DISK      "device/vbd/51712"
#define NET       "device/vif/0"
#define BACK_DISK "/local/domain/0/backend/vbd/7/51712"
#define BACK_NET  "/local/domain/0/backend/vif/7/0"
#define SECTORS   2048u
#define SLOTS     32u
#define TX_SLOTS  256u

/* ---- states ---- */

struct peer {
    const char *front, *back;
    bool (*connect)(void);
    void (*disconnect)(void);
    enum xenbus_state state;
    bool gone;
};

static void set_state(struct peer *p, enum xenbus_state state)
{
    p->state = state;
    store_put_number(p->back, "state", state);
}

static void connect(struct peer *p)
{
    if (p->state == XenbusStateConnected)
        return;
    p->disconnect();
    set_state(p, p->connect() ? XenbusStateConnected : XenbusStateClosing);
}

static void follow(struct peer *p, bool net)
{
    long front = store_get_number(p->front, "state");

    if (front == XenbusStateInitialising) {
        if (p->state == XenbusStateClosed || p->state == XenbusStateInitialising)
            set_state(p, XenbusStateInitWait);
    } else if (front == XenbusStateConnected || (front == XenbusStateInitialised && !net)) {
        connect(p);
    } else if (front == XenbusStateClosing) {
        set_state(p, XenbusStateClosing);
    } else if (front == XenbusStateClosed) {
        p->disconnect();
        set_state(p, XenbusStateClosed);
    } else if (front <= 0) {
        p->disconnect();
        p->gone = true;
    } else if (front > XenbusStateReconfiguring) {
        set_state(p, XenbusStateClosing);
    }
}

static void work(struct peer *p, bool changed, bool net)
{
    if (p->state == XenbusStateUnknown && store_get(p->front, "backend"))
        set_state(p, XenbusStateInitWait);
    if (p->state != XenbusStateUnknown && changed && !p->gone)
        follow(p, net);
}

static bool is(const char *node, const char *value)
{
    const char *there = store_get(DISK, node);

    return there && !strcmp(there, value);
}

/* ---- blkback ---- */

static blkif_sring_t *blk;
static RING_IDX blk_cons, blk_rsp;
static bool blk_halted, keeps;
static struct {
    grant_ref_t ref;
    uint8_t *page;
} kept[64];
static unsigned int nr_kept;

static void blk_disconnect(void)
{
    while (nr_kept)
        world_unmap(kept[--nr_kept].page);
    if (blk)
        world_unmap((uint8_t *)blk);
    blk = NULL;
}

static bool blk_connect(void)
{
    long ref = store_get_number(DISK, "ring-ref");

    if (!is("protocol", "x86_64-abi") || store_get(DISK, "ring-page-order") || ref < 0 || ref >= REFS)
        return false;
    if (store_get(DISK, "multi-queue-num-queues") || store_get_number(DISK, "event-channel") != world_port)
        return false;
    blk = (blkif_sring_t *)world_map((grant_ref_t)ref, true);
    if (!blk)
        return false;
    blk_cons = blk_rsp = blk->rsp_prod;
    blk_halted = false;
    keeps = store_get_number(DISK, "feature-persistent") == 1;
    store_put_number(BACK_DISK, "sectors", SECTORS);
    return true;
}

static struct peer blkback = {DISK, BACK_DISK, blk_connect, blk_disconnect, XenbusStateUnknown, false};

static uint8_t *blk_page(grant_ref_t ref)
{
    uint8_t *page;

    for (unsigned int i = 0; i < nr_kept; i++)
        if (kept[i].ref == ref)
            return kept[i].page;
    page = world_map(ref, true);
    if (page && keeps) {
        kept[nr_kept].ref = ref;
        kept[nr_kept++].page = page;
    }
    return page;
}

static bool blk_read(const struct blkif_request_segment *s)
{
    uint8_t *page = blk_page(s->gref);

    for (unsigned int i = s->first_sect * 512u; page && i < (s->last_sect + 1u) * 512; i++)
        page[i] = (uint8_t) "umbra\n"[i % 6];
    if (page && !keeps)
        world_unmap(page);
    return page;
}

static int16_t blk_status(const struct blkif_request *r)
{
    unsigned int sectors = 0;

    if (r->operation == BLKIF_OP_RESERVED_1 || r->operation > BLKIF_OP_INDIRECT)
        return BLKIF_RSP_EOPNOTSUPP;
    if (r->operation != BLKIF_OP_READ || !r->nr_segments || r->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        return BLKIF_RSP_ERROR;
    for (unsigned int i = 0; i < r->nr_segments; i++) {
        if (r->seg[i].last_sect > 7 || r->seg[i].first_sect > r->seg[i].last_sect)
            return BLKIF_RSP_ERROR;
        sectors += r->seg[i].last_sect - r->seg[i].first_sect + 1u;
    }
    if (r->sector_number > SECTORS || sectors > SECTORS - r->sector_number)
        return BLKIF_RSP_ERROR;
    for (unsigned int i = 0; i < r->nr_segments; i++)
        if (!blk_read(&r->seg[i]))
            return BLKIF_RSP_ERROR;
    return BLKIF_RSP_OKAY;
}

void blkback_work(bool changed)
{
    work(&blkback, changed, false);
    while (blk && !blk_halted && blk_cons != blk->req_prod) {
        struct blkif_request r = blk->ring[blk_cons & (SLOTS - 1)].req;

        blk_halted = blk->req_prod - blk_rsp > SLOTS;
        if (blk_halted)
            return;
        blk_cons++;
        blk->ring[blk_rsp & (SLOTS - 1)].rsp = (struct blkif_response){r.id, r.operation, blk_status(&r)};
        blk->rsp_prod = ++blk_rsp;
    }
}

/* ---- netback ---- */

static netif_tx_sring_t *tx;
static netif_rx_sring_t *rx;
static RING_IDX tx_cons, rx_cons, waiting; /* packets for the guest */
static bool disabled;

static void net_disconnect(void)
{
    if (tx)
        world_unmap((uint8_t *)tx);
    if (rx)
        world_unmap((uint8_t *)rx);
    tx = NULL;
    rx = NULL;
    waiting = 0;
}

static bool net_connect(void)
{
    tx = (netif_tx_sring_t *)world_map((grant_ref_t)store_get_number(NET, "tx-ring-ref"), true);
    rx = (netif_rx_sring_t *)world_map((grant_ref_t)store_get_number(NET, "rx-ring-ref"), true);
    tx_cons = rx_cons = 0;
    return tx && rx && store_get_number(NET, "event-channel") == world_port &&
           store_get_number(NET, "request-rx-copy") == 1;
}

static struct peer netback = {NET, BACK_NET, net_connect, net_disconnect, XenbusStateUnknown, false};

static int16_t net_send(const struct netif_tx_request *r)
{
    uint8_t *page = r->size < 14 ? NULL : world_map(r->gref, false);

    if (!page)
        return NETIF_RSP_ERROR;
    waiting +=
        page[12] == 8 && page[13] == 6 && page[6] == 0x00 && page[7] == 0x16 && page[11] == 0x2b && page[41] == 1;
    world_unmap(page);
    return NETIF_RSP_OKAY;
}

static int16_t net_receive(grant_ref_t ref)
{
    uint8_t *page = world_map(ref, true);

    waiting--;
    if (!page)
        return NETIF_RSP_ERROR;
    memset(page, 0, 42);
    world_unmap(page);
    return 42;
}

void netback_work(bool changed)
{
    work(&netback, changed, true);
    while (tx && !disabled && tx_cons != tx->req_prod) {
        struct netif_tx_request r = tx->ring[tx_cons & (TX_SLOTS - 1)].req;

        disabled = tx->req_prod - tx_cons > TX_SLOTS || r.offset + r.size > 4096 || (r.flags & NETTXF_more_data);
        if (disabled)
            return;
        tx->ring[tx_cons & (TX_SLOTS - 1)].rsp = (struct netif_tx_response){r.id, net_send(&r)};
        tx->rsp_prod = ++tx_cons;
    }
    while (rx && !disabled && waiting && rx_cons != rx->req_prod) {
        struct netif_rx_request r = rx->ring[rx_cons & (TX_SLOTS - 1)].req;

        rx->ring[rx_cons & (TX_SLOTS - 1)].rsp = (struct netif_rx_response){r.id, 0, 0, net_receive(r.gref)};
        rx->rsp_prod = ++rx_cons;
    }
}

/* ---- blkfront and netfront, of domain 5 ---- */

#define PAGE_REF (RING_REF + 4) /* granted to be read from */
#define ROOM_REF (RING_REF + 5)

static void *lent[2]; /* rings: of a disk, or for sending and for receiving */
static unsigned int asked;

int front_grant(const struct gnttab_map_grant_ref *op)
{
    if (op->ref == RING_REF || op->ref == RING_REF + 1)
        lent[op->ref - RING_REF] = (void *)op->host_addr;
    else if (op->ref == PAGE_REF ? !(op->flags & GNTMAP_readonly) : op->ref != ROOM_REF)
        return op->ref == ~0u ? GNTST_bad_gntref : GNTST_general_error;
    return GNTST_okay;
}

static void ask_disk(blkif_sring_t *ring)
{
    struct blkif_request r = {.operation = BLKIF_OP_READ, .nr_segments = 1, .id = asked};

    r.seg[0].gref = ROOM_REF;
    ring->ring[ring->req_prod++ & (SLOTS - 1)].req = r;
}

static void send_packet(netif_tx_sring_t *sends, netif_rx_sring_t *receives)
{
    sends->ring[sends->req_prod++ & (TX_SLOTS - 1)].req = (struct netif_tx_request){.gref = PAGE_REF, .size = 60};
    receives->ring[receives->req_prod++ & (TX_SLOTS - 1)].req.gref = ROOM_REF;
}

static void begin(const char *front, bool net)
{
    store_put_number(front, net ? "tx-ring-ref" : "ring-ref", RING_REF);
    store_put_number(front, "rx-ring-ref", RING_REF + 1);
    store_put_number(front, "event-channel", 3);
    store_put_number(front, "state", net ? XenbusStateConnected : XenbusStateInitialised);
}

/* Three requests are enough. */
void front_work(void)
{
    const char *back = store_get("data", "back"), *front = back ? store_get(back, "frontend") : NULL;
    long state = back ? store_get_number(back, "state") : -1;
    bool net = store_get_number(back ? back : "", "feature-rx-copy") == 1;

    if (state == XenbusStateInitWait && store_get_number(front, "state") == XenbusStateInitialising)
        begin(front, net);
    if (state != XenbusStateConnected || !lent[0] || asked++ >= 3)
        return;
    if (net)
        send_packet(lent[0], lent[1]);
    else
        ask_disk(lent[0]);
}
