// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a CPU that finds in a table what another one has just stored there, and takes the old translation out of its
 * own TLB by INVLPG, translates by what it found. The entry names a table, and in turn others: stores to it are never
 * left to hardware for long. Each table leads to a page of its own, whose number shows.
 */
#include "smp.h"

#define X      (TEST_AREA + 64 * SPAN(2))
#define TABLES 8u
#define ROUNDS 4000u

static volatile entry_t *upper;
static entry_t entries[TABLES];
static volatile unsigned int sequence; /* 2n: the n-th store is done; before it 2n - 1 */
static volatile unsigned int looks, during, wrong;

static void look_once(void)
{
    unsigned int before = sequence, number = (before + 1) / 2 % TABLES;
    entry_t found = *upper;
    uint32_t seen;

    invlpg(X);
    seen = *at(X);
    if (sequence != before)
        return;
    looks = looks + 1;
    if ((found ^ entries[number]) & PTE_ADDR) {
        wrong += !(before & 1); /* not yet stored */
        return;
    }
    during += before & 1;
    wrong += seen != number;
}

static void look_on(void)
{
    while (!stop)
        look_once();
}

static void make_tables(void)
{
    for (unsigned int i = 0; i < TABLES; i++) {
        volatile entry_t *table = new_page();
        volatile uint32_t *page = new_page();

        *page = i;
        table[INDEX(X, 1)] = entry_of(page, PTE_KEPT);
        entries[i] = entry_of(table, PTE_ALL | PTE_A);
    }
}

void guest_main(void)
{
    use_tables();
    make_tables();
    upper = slot(X, 2);
    *upper = entries[0];
    start_cpu(look_on);
    WAIT_FOR(looks > 10);
    for (unsigned int n = 1; n <= ROUNDS; n++) {
        unsigned int pause = random32() % 64;

        sequence = 2 * n - 1;
        *upper = entries[n % TABLES];
        sequence = 2 * n;
        while (pause--)
            __asm__ __volatile__("pause");
    }
    stop_cpu();
    CHECK_IS(wrong, 0);
    CHECK_IS(*at(X), ROUNDS % TABLES);
    say("%u stores, %u looks, %u while one was under way", ROUNDS, looks, during);
}
