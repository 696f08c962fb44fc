// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: however many entries, aliases and tables there are, each is followed. A table is filled and emptied over and
 * over; one frame is mapped at every entry of several tables, is then made a page table itself, stored to by way of its
 * aliases, and made an ordinary page again; and more tables are in use than a hypervisor has memory for shadows, so
 * that some of them must go while the guest comes back to them.
 */
#include "hvm.h"

#define ALIASES      (TEST_AREA + 16 * SPAN(2)) /* of one frame, in ALIAS_TABLES tables */
#define ALIAS_TABLES 2u
#define THROUGH      (TEST_AREA + 15 * SPAN(2)) /* what the frame maps while it is a table */
#define MANY         (TEST_AREA + 32 * SPAN(2))
#define MANY_TABLES  200u

static volatile uint32_t *pages[8];

static void fill_and_empty(void)
{
    for (unsigned int round = 0; round < 6; round++) {
        for (unsigned int i = 16; i < ENTRIES; i++)
            *slot(TEST_AREA + i * PAGE_SIZE, 1) = entry_of(pages[(i + round) % 8], PTE_ALL);
        reload_cr3();
        for (unsigned int i = 16; i < ENTRIES; i += 5)
            CHECK_IS(*at(TEST_AREA + i * PAGE_SIZE), (i + round) % 8);
        for (unsigned int i = 16; i < ENTRIES; i++)
            *slot(TEST_AREA + i * PAGE_SIZE, 1) = 0;
        reload_cr3();
        for (unsigned int i = 16; i < ENTRIES; i += 51)
            CHECK(!CHECK_ACCESS(READ, TEST_AREA + i * PAGE_SIZE));
    }
}

static void alias_of_table(void)
{
    entry_t *frame = new_page();
    unsigned int n = ALIAS_TABLES * ENTRIES;

    for (unsigned int i = 0; i < n; i++)
        *slot(ALIASES + i * PAGE_SIZE, 1) = entry_of(frame, PTE_ALL);
    for (unsigned int round = 0; round < 3; round++) {
        for (unsigned int i = 0; i < n; i += 3)
            *(volatile entry_t *)(ALIASES + i * PAGE_SIZE) = i; /* all of them may be written */
        CHECK_IS(frame[0], (n - 1) / 3 * 3);
        frame[0] = entry_of(pages[0], PTE_ALL);
        *slot(THROUGH, 2) = entry_of(frame, PTE_ALL);
        CHECK_IS(*at(THROUGH), 0);
        for (unsigned int i = 0; i < n; i += 61) {
            *(volatile entry_t *)(ALIASES + i * PAGE_SIZE) = entry_of(pages[i % 8], PTE_ALL);
            invlpg(THROUGH);
            CHECK_IS(*at(THROUGH), i % 8);
            CHECK_IS(frame[0], entry_of(pages[i % 8], PTE_ALL | PTE_A));
        }
        *slot(THROUGH, 2) = 0;
        reload_cr3();
        CHECK(!CHECK_ACCESS(READ, THROUGH));
    }
}

/* Table t maps page (t + turn) % 8. */
static void many_tables(void)
{
    for (unsigned int turn = 0; turn < 3; turn++) {
        for (unsigned int t = 0; t < MANY_TABLES; t++)
            *slot(MANY + t * SPAN(2), 1) = entry_of(pages[(t + turn) % 8], PTE_ALL);
        reload_cr3();
        for (unsigned int t = 0; t < MANY_TABLES; t++)
            CHECK_IS(*at(MANY + t * SPAN(2)), (t + turn) % 8);
        for (unsigned int t = 0; t < MANY_TABLES; t += 7)
            CHECK(CHECK_ACCESS(READ | USER, MANY + t * SPAN(2)));
    }
}

void guest_main(void)
{
    use_tables();
    for (unsigned int i = 0; i < 8; i++)
        *(pages[i] = new_page()) = i;
    (void)slot(TEST_AREA, 1);
    fill_and_empty();
    alias_of_table();
    many_tables();
    say("%u aliases of a table, %u tables in use at once", ALIAS_TABLES * ENTRIES, MANY_TABLES);
}
