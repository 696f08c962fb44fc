// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: each entry of a table maps its own part of the address space, whichever quarter of a directory or half of a
 * table it stands in. A hypervisor has several shadows of a table of 1024 entries, each for a part: pages are mapped at
 * the first and the last entry of each part, and changed for others there, and each shows its own; then the directory's
 * entries are exchanged over the quarters.
 */
#include "hvm.h"

#define BASES 4u

static const unsigned long bases[BASES] = {0x1000000, TEST_AREA, 0x80000000, 0xc0000000};
static volatile uint32_t *pages[BASES * 4];

static unsigned long place(unsigned int n)
{
    static const unsigned int indices[] = {0, ENTRIES / 2 - 1, ENTRIES / 2, ENTRIES - 1};

    return bases[n / 4] + indices[n % 4] * PAGE_SIZE;
}

/* Place n shows page first[n]. */
static void look(unsigned int (*shown)(unsigned int))
{
    for (unsigned int n = 0; n < BASES * 4; n++) {
        CHECK_IS(*at(place(n)), shown(n));
        CHECK(CHECK_ACCESS(READ | USER, place(n)));
        CHECK(!(*slot(place(n), 1) & PTE_D));
    }
}

static unsigned int same(unsigned int n)
{
    return n;
}

static unsigned int other_half(unsigned int n)
{
    return n ^ 2;
}

static unsigned int other_quarter(unsigned int n)
{
    return (n + 4) % (BASES * 4);
}

static void map_all(unsigned int (*shown)(unsigned int))
{
    for (unsigned int n = 0; n < BASES * 4; n++)
        map(place(n), pages[shown(n)], PTE_ALL);
}

static void exchange_directories(void)
{
    entry_t first = *slot(bases[0], 2);

    for (unsigned int i = 0; i < BASES; i++)
        *slot(bases[i], 2) = i < BASES - 1 ? *slot(bases[i + 1], 2) : first;
    reload_cr3();
}

void guest_main(void)
{
    for (unsigned int n = 0; n < BASES * 4; n++)
        *(pages[n] = new_page()) = n;
    map_all(same); /* PAE reads its pointers when CR3 is loaded */
    reload_cr3();
    use_tables();
    for (unsigned int round = 0; round < 10; round++) {
        map_all(same);
        look(same);
        map_all(other_half);
        look(other_half);
        map_all(other_quarter);
        look(other_quarter);
        map_all(same);
        exchange_directories();
        look(other_quarter);
        for (unsigned int i = 1; i < BASES; i++)
            exchange_directories();
        look(same);
    }
    say("%u places in %u tables of %u entries", BASES * 4, BASES, ENTRIES);
}
