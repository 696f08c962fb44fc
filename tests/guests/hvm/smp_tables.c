// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: two CPUs may store to one page table in use at once, and nothing is lost: locked additions of both to one entry
 * add up, plain stores of both to entries side by side all arrive, and the D bit that one CPU's access sets is in the
 * entry that the other one takes away by XCHG, if what was stored through it is in the page.
 */
#include "smp.h"

#define X      (TEST_AREA + 9 * PAGE_SIZE)
#define Y      (TEST_AREA + 10 * PAGE_SIZE)
#define COUNTS 200u /* entries from here on are not present, and counted in */
#define ROUNDS 2000u
#define TAKEN  40u

static volatile entry_t *table;
static volatile unsigned int phase, other_phase, asked, done;
static volatile uint32_t *page;

static void add(volatile entry_t *e, entry_t n)
{
    __asm__ __volatile__("lock add %1, %0" : "+m"(*(volatile unsigned long *)e) : "r"((unsigned long)n) : "memory");
}

/* Even numbers: not present. */
static void count(unsigned int cpu)
{
    for (unsigned int i = 1; i <= ROUNDS; i++) {
        add(&table[COUNTS], 2);
        table[COUNTS + 1 + cpu] = (entry_t)i << 1;
        ((volatile uint16_t *)&table[COUNTS + 4])[cpu] = (uint16_t)(i << 1);
        if (i % 64 == cpu)
            *at(X) = i; /* through the table */
    }
}

static void store_through(void)
{
    for (unsigned int i = 1; !stop; i++) {
        if (asked != done) {
            invlpg(Y);
            done = asked;
        }
        (void)try_access(WRITE, Y);
    }
}

static void second(void)
{
    other_phase = 1;
    WAIT_FOR(phase == 1);
    count(1);
    other_phase = 2;
    store_through();
}

/* The page's first byte is what try_access stores, unless it has been cleared since. */
static unsigned int take_away(void)
{
    unsigned int stored = 0;

    for (unsigned int i = 0; i < TAKEN; i++) {
        unsigned long old = (unsigned long)entry_of(page, PTE_P | PTE_RW);

        *page = 0;
        *slot(Y, 1) = (entry_t)old;
        for (unsigned int k = 0; k < i % 50 || (!(i & 1) && !*page); k++)
            __asm__ __volatile__("pause");
        old = 0;
        __asm__ __volatile__("xchg %0, %1" : "+r"(old), "+m"(*(volatile unsigned long *)slot(Y, 1))::"memory");
        asked = asked + 1;
        WAIT_FOR(done == asked);
        CHECK_IS(*slot(Y, 1), 0);
        CHECK(!*page || (old & PTE_D));
        stored += !!*page;
    }
    return stored;
}

void guest_main(void)
{
    use_tables();
    table = slot(TEST_AREA, 1);
    page = new_page();
    map(X, new_page(), PTE_ALL);
    start_cpu(second);
    WAIT_FOR(other_phase == 1);
    phase = 1;
    count(0);
    WAIT_FOR(other_phase == 2);
    CHECK_IS(table[COUNTS], 4 * ROUNDS);
    CHECK_IS(table[COUNTS + 1], 2 * ROUNDS);
    CHECK_IS(table[COUNTS + 2], 2 * ROUNDS);
    CHECK_IS((uint32_t)table[COUNTS + 4], 2 * ROUNDS * 0x10001u);
    CHECK_ACCESS(WRITE | USER, X);
    CHECK(take_away() > 0);
    stop_cpu();
    say("%u stores of each CPU to one table, %u entries taken away", 3 * ROUNDS, TAKEN);
}
