// SPDX-License-Identifier: BSD-2-Clause
/* Packets to and from a network back end. */
#include "net.h"

#define TX_REF   RING_REF
#define RX_REF   (RING_REF + 1)
#define MAC_TEXT 18

/* ARP, RFC 826: who has 10.77.0.1, tell 10.77.0.66. The sender's hardware address comes at 6 and at 22. */
static const uint8_t question[ARP_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0,  0,  8, 6,
                                            0,    1,    8,    0,    6,    4,    0, 1, 0, 0, 0,  0,  0, 0,
                                            10,   77,   0,    66,   0,    0,    0, 0, 0, 0, 10, 77, 0, 1};

static unsigned int digit(char c)
{
    return (unsigned int)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 15;
}

static void make_question(struct net *n)
{
    char mac[MAC_TEXT];

    REQUIRE(store_read(n->f.dir, "mac", mac, sizeof(mac)));
    __builtin_memcpy(n->arp, question, sizeof(question));
    for (unsigned int i = 0; i < 6; i++)
        n->arp[6 + i] = n->arp[22 + i] = (uint8_t)(digit(mac[3 * i]) << 4 | digit(mac[3 * i + 1]));
}

void net_open(struct net *n)
{
    front_open(&n->f, NET);
    n->tx = new_page();
    n->rx = new_page();
    n->arp = new_page();
    make_question(n);
    lend(ARP_REF, mfn_of(n->arp), GTF_readonly);
    REQUIRE(back_reaches(&n->f, XenbusStateInitWait, PATIENCE_MS));
}

bool net_connect(struct net *n)
{
    __builtin_memset(n->tx, 0, PAGE_SIZE);
    __builtin_memset(n->rx, 0, PAGE_SIZE);
    n->tx->req_event = n->tx->rsp_event = 1;
    n->rx->req_event = n->rx->rsp_event = 1;
    n->sent = n->sent_seen = n->posted = n->got = 0;
    lend(TX_REF, mfn_of(n->tx), 0);
    lend(RX_REF, mfn_of(n->rx), 0);
    store_write_number(n->f.dir, "tx-ring-ref", TX_REF);
    store_write_number(n->f.dir, "rx-ring-ref", RX_REF);
    store_write_number(n->f.dir, "event-channel", n->f.port);
    store_write_number(n->f.dir, "request-rx-copy", 1);
    store_write_number(n->f.dir, "feature-rx-notify", 1);
    store_write_number(n->f.dir, "feature-sg", 1);
    front_set(&n->f, XenbusStateConnected);
    return back_reaches(&n->f, XenbusStateConnected, PATIENCE_MS);
}

struct netif_tx_request net_question(void)
{
    return (struct netif_tx_request){.gref = ARP_REF, .size = ARP_BYTES};
}

void net_put(struct net *n, const struct netif_tx_request *r)
{
    struct netif_tx_request *slot = &n->tx->ring[n->sent & (TX_SLOTS - 1)].req;

    *slot = *r;
    slot->id = (uint16_t)n->sent++;
}

void net_tell(struct net *n)
{
    __atomic_store_n(&n->tx->req_prod, n->sent, __ATOMIC_RELEASE);
    __atomic_store_n(&n->rx->req_prod, n->posted, __ATOMIC_RELEASE);
    front_notify(&n->f);
}

/* Waits until a producer has passed seen. */
static bool comes(const RING_IDX *producer, RING_IDX seen, unsigned int ms)
{
    for (unsigned int waited = 0; __atomic_load_n(producer, __ATOMIC_ACQUIRE) == seen; waited++) {
        if (waited == ms)
            return false;
        pause_ms(1);
    }
    return true;
}

int net_sent(struct net *n)
{
    if (!comes(&n->tx->rsp_prod, n->sent_seen, PATIENCE_MS))
        return NO_ANSWER;
    return n->tx->ring[n->sent_seen++ & (TX_SLOTS - 1)].rsp.status;
}

int net_send(struct net *n, const struct netif_tx_request *r)
{
    net_put(n, r);
    net_tell(n);
    return net_sent(n);
}

void net_post(struct net *n, grant_ref_t ref)
{
    struct netif_rx_request *slot = &n->rx->ring[n->posted & (RX_SLOTS - 1)].req;

    *slot = (struct netif_rx_request){.id = (uint16_t)n->posted++, .gref = ref};
}

int net_ask(struct net *n)
{
    struct netif_tx_request r = net_question();

    for (unsigned int tries = 0; tries < ANSWER_TRY; tries++) {
        if (net_send(n, &r) == NO_ANSWER)
            return NO_ANSWER;
        if (comes(&n->rx->rsp_prod, n->got, ANSWER_MS))
            return n->rx->ring[n->got++ & (RX_SLOTS - 1)].rsp.status;
    }
    return NO_ANSWER;
}
