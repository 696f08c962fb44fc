// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an interface's front end offers two thousand million buffers, or less than none, in slots that are garbage,
 * while packets come for it; and events beside it. A new connection must send and receive. Then the ring for sending
 * gets such a producer, for which the back end may give up the interface for good, and is overwritten by garbage.
 */
#include "lib/net.h"

#define PACKETS 12u

static const RING_IDX jumps[] = {RX_SLOTS + 1, 0x7fffffff, 0x80000000, ~0u};
static struct net n;

static void connect_and_receive(void)
{
    int size;

    REQUIRE(net_connect(&n));
    net_post(&n, FIRST_REF);
    size = net_ask(&n);
    CHECK(size >= 14 && size <= (int)PAGE_SIZE);
}

static void receive_by_garbage(RING_IDX by, int garbage)
{
    struct netif_tx_request r = net_question();

    connect_and_receive();
    __builtin_memset(n.rx->ring, garbage, PAGE_SIZE - offsetof(netif_rx_sring_t, ring));
    n.posted += by;
    for (unsigned int i = 0; i < PACKETS; i++)
        net_put(&n, &r);
    net_tell(&n);
    pause_ms(50);
    __builtin_memset(n.rx, garbage, PAGE_SIZE);
    front_notify(&n.f);
    pause_ms(10);
    REQUIRE(front_reset(&n.f));
}

static void send_by_garbage(void)
{
    connect_and_receive();
    __builtin_memset(n.tx->ring, 0xa5, PAGE_SIZE - offsetof(netif_tx_sring_t, ring));
    WRITE_ONCE(n.tx->req_prod, n.sent + TX_SLOTS + 1);
    for (unsigned int i = 0; i < 100; i++)
        front_notify(&n.f);
    pause_ms(50);
    __builtin_memset(n.tx, 0xa5, PAGE_SIZE);
    front_notify(&n.f);
    pause_ms(50);
}

void guest_main(void)
{
    lend(FIRST_REF, mfn_of(new_page()), 0);
    net_open(&n);
    for (unsigned int i = 0; i < ARRAY_SIZE(jumps); i++)
        receive_by_garbage(jumps[i], i % 2 ? 0xa5 : 0xff);
    send_by_garbage();
}
