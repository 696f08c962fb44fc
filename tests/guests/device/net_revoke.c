// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: long packets whose grants end, and whose frames go back to the hypervisor, as soon as the back end has been
 * told of them; and buffers to receive into that go in the same way while packets come. The back end may fail each, but
 * answers; then, with frames that stay, a packet is sent and one is received.
 */
#include "lib/net.h"

#define IN_FLIGHT 16u
#define ROUNDS    16u
#define LONG      1500u
#define TX        (FIRST_REF + 32)
#define RX        (FIRST_REF + 64)

static struct net n;
static unsigned long frames[2 * IN_FLIGHT];

static void offer(unsigned int i)
{
    struct netif_tx_request r = net_question();

    lend(TX + i, frames[i], GTF_readonly);
    lend(RX + i, frames[IN_FLIGHT + i], 0);
    r.gref = TX + i;
    r.size = LONG; /* not copied but mapped */
    net_put(&n, &r);
    r = net_question();
    net_put(&n, &r); /* for which a packet comes */
    net_post(&n, RX + i);
}

static void withdraw(unsigned int i)
{
    end_lending(TX + i);
    end_lending(RX + i);
    CHECK(give_back(frames[i]));
    CHECK(give_back(frames[IN_FLIGHT + i]));
}

static unsigned long another(void)
{
    unsigned long frame = get_frame();

    /* What the back end has mapped for long counts as ours until it lets go. */
    for (unsigned int waited = 0; !frame && waited < PATIENCE_MS; waited++) {
        pause_ms(1);
        frame = get_frame();
    }
    REQUIRE(frame);
    return frame;
}

static void in_flight(unsigned int seed)
{
    for (unsigned int i = 0; i < IN_FLIGHT; i++)
        offer(i);
    net_tell(&n);
    for (unsigned int i = seed % 5; i--;)
        front_notify(&n.f);
    for (unsigned int i = 0; i < IN_FLIGHT; i++)
        withdraw(i);
    for (unsigned int i = 0; i < 2 * IN_FLIGHT; i++)
        CHECK(net_sent(&n) != NO_ANSWER);
    for (unsigned int i = 0; i < 2 * IN_FLIGHT; i++)
        frames[i] = another();
}

void guest_main(void)
{
    int size;

    for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++)
        frames[i] = spare_mfn(i);
    net_open(&n);
    REQUIRE(net_connect(&n));
    for (unsigned int i = 0; i < ROUNDS; i++) {
        in_flight(i);
        while (n.got != n.posted)
            REQUIRE(net_ask(&n) != NO_ANSWER);
    }
    lend(FIRST_REF, mfn_of(new_page()), 0);
    net_post(&n, FIRST_REF);
    size = net_ask(&n);
    CHECK(size >= 14 && size <= (int)PAGE_SIZE);
}
