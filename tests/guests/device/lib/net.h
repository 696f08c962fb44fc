/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network interface's front end: one queue, copies to the guest. The frame that it sends asks the control domain's
 * end of the bridge for its address, by ARP, so that for each of them one comes back. Source: <xen/io/netif.h>.
 */
#ifndef DEVICE_NET_H
#define DEVICE_NET_H

#include "front.h"

#include <xen/io/netif.h>

#define NET        "device/vif/0"
#define TX_SLOTS   __CONST_RING_SIZE(netif_tx, PAGE_SIZE)
#define RX_SLOTS   __CONST_RING_SIZE(netif_rx, PAGE_SIZE)
#define ARP_BYTES  42
#define ARP_REF    (RING_REF + 2)
#define ANSWER_MS  1000 /* for one packet, before it is asked for again */
#define ANSWER_TRY 30

struct net {
    struct front f;
    netif_tx_sring_t *tx;
    netif_rx_sring_t *rx;
    RING_IDX sent, sent_seen, posted, got;
    uint8_t *arp; /* a page, by ARP_REF, that has the question */
};

void net_open(struct net *n);
bool net_connect(struct net *n);
/* The question. */
struct netif_tx_request net_question(void);
/* Puts a slot on the ring for sending, with the number of those before it as its id; nobody is told. */
void net_put(struct net *n, const struct netif_tx_request *r);
void net_tell(struct net *n);
/* The status of the next answer about what was sent, or NO_ANSWER. */
int net_sent(struct net *n);
/* All of it with one slot. */
int net_send(struct net *n, const struct netif_tx_request *r);
/* Offers a frame to receive into. */
void net_post(struct net *n, grant_ref_t ref);
/* Asks, again and again, until a packet comes or cannot; its length, or a negative status, or NO_ANSWER. */
int net_ask(struct net *n);

#endif
