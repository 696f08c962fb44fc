// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: packets of no length, of grants that were never given, are another domain's or name a frame that is not the
 * guest's; and buffers to receive into that may only be read, are not the guest's, are its page table, or nothing at
 * all. Each has an answer, an error; nothing is stored; what is good is sent and received beside it. At the end a
 * packet beyond its frame's end, for which the back end may give up the interface, and garbage all over both rings.
 */
#include "lib/net.h"

#define OF_OTHER_DOMAIN (FIRST_REF + 1)
#define FOREIGN         (FIRST_REF + 2)
#define WILD            (FIRST_REF + 3)
#define TABLES          (FIRST_REF + 4)
#define READ_ONLY       (FIRST_REF + 8)
#define NEVER_GIVEN     (REFS - 1)

static struct net n;

#define REFUSED(change)                             \
    do {                                            \
        struct netif_tx_request r = net_question(); \
        change;                                     \
        CHECK(net_send(&n, &r) < 0);                \
    } while (0)

static void send_bad(void)
{
    REFUSED(r.size = 0);
    REFUSED(r.size = 13);
    REFUSED(r.gref = NEVER_GIVEN);
    REFUSED(r.gref = REFS);
    REFUSED(r.gref = ~0u);
    REFUSED(r.gref = OF_OTHER_DOMAIN);
    REFUSED(r.gref = FOREIGN);
    REFUSED(r.gref = WILD);
    REFUSED(r.gref = FOREIGN; r.size = 1500); /* more than the back end copies */
}

/* Answers come in the order of the offers. */
static void receive_bad(void)
{
    for (grant_ref_t ref = OF_OTHER_DOMAIN; ref <= READ_ONLY; ref++) {
        net_post(&n, ref);
        CHECK(net_ask(&n) < 0);
    }
    net_post(&n, NEVER_GIVEN);
    CHECK(net_ask(&n) < 0);
    net_post(&n, ~0u);
    CHECK(net_ask(&n) < 0);
}

static void receive_well(const uint8_t *page)
{
    int size;

    net_post(&n, FIRST_REF);
    size = net_ask(&n);
    CHECK(size >= 14 && size <= (int)PAGE_SIZE);
    CHECK(page[0] == n.arp[6] || page[0] & 1); /* to us, or to many */
}

static void worst(void)
{
    struct netif_tx_request r = net_question();

    r.offset = (uint16_t)(PAGE_SIZE - 1);
    r.flags = NETTXF_csum_blank | NETTXF_more_data;
    net_put(&n, &r);
    net_tell(&n);
    pause_ms(50);
    __builtin_memset(n.tx, 0xa5, PAGE_SIZE);
    __builtin_memset(n.rx, 0xff, PAGE_SIZE);
    front_notify(&n.f);
    pause_ms(50);
}

void guest_main(void)
{
    uint8_t *page = new_page(), *untouched = new_page();

    net_open(&n);
    lend(FIRST_REF, mfn_of(page), 0);
    lend(OF_OTHER_DOMAIN, mfn_of(untouched), 0);
    grant_entries()[OF_OTHER_DOMAIN].domid = own_domid();
    lend(FOREIGN, 0x200, 0);
    lend(WILD, ~0u, 0);
    for (unsigned int level = 1; level <= 4; level++)
        lend(TABLES + level - 1, mfn_of(entry_of(page, level)), 0);
    lend(READ_ONLY, mfn_of(untouched), GTF_readonly);
    REQUIRE(net_connect(&n));
    receive_well(page);
    send_bad();
    receive_bad();
    CHECK(untouched[0] == 0 && untouched[6] == 0 && untouched[12] == 0);
    receive_well(page);
    worst();
}
