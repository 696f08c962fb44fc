// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: after INVLPG, a load of CR3 or a change of CR4.PGE the processor uses what the tables say. Global entries live
 * through a load of CR3 but not through INVLPG, nor a change of CR4.PGE. Until then it may use the old entry or the new
 * one, nothing else; entries that become present need no flush. INVLPG takes any address, reaches every part of a large
 * page, and is the supervisor's.
 */
#include "hvm.h"

#define X (TEST_AREA + 9 * PAGE_SIZE)

static volatile uint32_t *a, *b;
static unsigned int old_seen;

enum flush { INVLPG, CR3, PGE };

static void flush_by(enum flush flush)
{
    if (flush == INVLPG)
        invlpg(X);
    else if (flush == CR3)
        reload_cr3();
    for (unsigned int i = 0; flush == PGE && i < 2; i++)
        write_cr4(read_cr4() ^ CR4_PGE);
}

/* The entry goes from a to b; the flush makes that seen. */
static void try_flush(enum flush flush, entry_t flags)
{
    for (unsigned int i = 0, seen; i < 30; i++) {
        map(X, a, PTE_ALL | flags);
        CHECK_IS(*at(X), 0xa);
        *slot(X, 1) = entry_of(b, PTE_ALL | flags);
        seen = *at(X);
        CHECK(seen == 0xa || seen == 0xb);
        old_seen += seen == 0xa;
        flush_by(flush);
        CHECK_IS(*at(X), 0xb);
        CHECK(CHECK_ACCESS(WRITE | USER, X));
        *slot(X, 1) &= ~PTE_RW;
        flush_by(flush);
        CHECK(!CHECK_ACCESS(WRITE | USER, X));
        *slot(X, 1) = 0;
        flush_by(flush);
        CHECK(!CHECK_ACCESS(READ | USER, X));
        *slot(X, 1) = entry_of(a, PTE_ALL | flags); /* no flush: nothing was present */
        CHECK(CHECK_ACCESS(READ | USER, X));
        CHECK_IS(*at(X), 0xa);
        *(volatile uint16_t *)b = 0xb;
        *(volatile uint16_t *)a = 0xa;
    }
}

static void try_large(entry_t *table)
{
    unsigned long large = TEST_AREA + 6 * SPAN(2), inside = (unsigned long)a & (SPAN(2) - 1);
    entry_t base = (entry_t)(unsigned long)a & ~(entry_t)(SPAN(2) - 1);

    *a = 0xa;
    table[inside / PAGE_SIZE] = entry_of(b, PTE_ALL);
    for (unsigned int i = 0; i < 30; i++) {
        *slot(large, 2) = base | PTE_ALL | PTE_PSE;
        invlpg(large + inside); /* of the small page that was there */
        CHECK_IS(*at(large + inside), 0xa);
        CHECK_IS(*at(large), *(volatile uint32_t *)(unsigned long)base);
        *slot(large, 2) = entry_of(table, PTE_ALL);
        for (unsigned long at_4k = large; at_4k < large + SPAN(2); at_4k += SPAN(2) / 4)
            invlpg(at_4k + inside);
        CHECK_IS(*at(large + inside), 0xb);
    }
}

static void try_from_user_mode(void)
{
    b[0] = 0xcd38010f; /* invlpg (%eax), and the end */
    b[1] = 0x80;
    map(X, b, PTE_ALL);
    CHECK_IS(try_access(FETCH | USER, X).vector, TRAP_GP);
    CHECK_IS(try_access(FETCH, X).vector, VEC_END);
}

void guest_main(void)
{
    use_tables();
    *(a = new_page()) = 0xa;
    *(b = new_page()) = 0xb;
    try_flush(INVLPG, 0);
    try_flush(CR3, 0);
    if (has.pge) {
        write_cr4(read_cr4() | CR4_PGE);
        try_flush(INVLPG, PTE_G);
        try_flush(PGE, PTE_G);
    }
    if (LEVELS > 2 || (read_cr4() & CR4_PSE))
        try_large(new_page());
    invlpg(~0ul);
    invlpg(1ul << (sizeof(long) * 8 - 2)); /* not canonical */
    try_from_user_mode();
    say("the old entry was seen %u times before the flush", old_seen);
}
