// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a large page maps all of its span, with one A and one D bit; its reserved bits fault, and with PSE36 some of
 * them are address bits 32 and up. Without CR4.PSE the bit that makes a large page means nothing. A table inside a
 * large page is followed when it is stored to by way of the large page, and a large page may be taken apart and put
 * together.
 */
#include "hvm.h"

/* With this entry of level 2 at LARGE; its A and D are clear before each. */
#define LARGE (TEST_AREA + 4 * SPAN(2))
static unsigned int allowed(entry_t e, unsigned int n_kinds, unsigned long offset)
{
    unsigned int ok = 0;

    for (unsigned int user = 0; user <= USER; user += USER)
        for (unsigned int kind = READ; kind < n_kinds; kind++) {
            *slot(LARGE, 2) = e;
            invlpg(LARGE + offset);
            ok += CHECK_ACCESS(kind | user, LARGE + offset);
        }
    return ok;
}

static bool has_large(void)
{
    return LEVELS > 2 || (read_cr4() & CR4_PSE);
}

/* Without CR4.PSE these bits are the address of a table: of the guest's own code, in which A would then be set. */
static void try_reserved(void)
{
    volatile uint32_t *low = new_page();

    if (!has_large())
        return;
    *low = 0x600df00d;
    for (unsigned int bit = 13; bit < (LEVELS == 2 ? 22 : 21); bit++)
        (void)allowed(PTE_ALL | PTE_PSE | (entry_t)1 << bit, FETCH, (unsigned long)low);
    if (LEVELS > 2)
        for (unsigned int bit = has.phys_bits; bit < (LEVELS == 3 ? 63 : 52); bit++) {
            CHECK_IS(allowed(PTE_ALL | PTE_PSE | (entry_t)(1ull << bit), FETCH, 0), 0);
            CHECK_IS(allowed(PTE_ALL | (entry_t)(1ull << bit), FETCH, 0), 0);
        }
    if (LEVELS == 2 && has.pse36) {
        CHECK_IS(allowed(PTE_ALL | PTE_PSE | 1 << 13, FETCH, (unsigned long)low), 4);
        CHECK(*at(LARGE + (unsigned long)low) != 0x600df00d); /* it is what lies above 4 GiB, or nothing */
        CHECK_IS(*low, 0x600df00d);
    }
}

static void try_large(void)
{
    volatile uint32_t *page = new_page();
    entry_t *table = new_page(), base = (entry_t)(unsigned long)page & ~(entry_t)(SPAN(2) - 1);
    unsigned long inside = (unsigned long)page - (unsigned long)base;

    *page = CODE_END;
    for (unsigned int i = 0; i < ENTRIES; i++)
        table[i] = entry_of(page, PTE_ALL);
    if (!has_large()) { /* it names a table */
        CHECK_IS(allowed(entry_of(table, PTE_ALL | PTE_PSE), 3, 0), 6);
        return;
    }
    for (unsigned int rights = 0; rights < 4; rights++)
        (void)allowed(base | PTE_P | PTE_PSE | rights << 1, 3, inside);
    CHECK_IS(allowed(base | PTE_ALL | PTE_PSE, 3, inside), 6);
    *at(LARGE + inside + 8) = 77;
    CHECK_IS(page[2], 77);
    /* The table of another address, by way of the large page. */
    map(TEST_AREA, page, PTE_ALL | PTE_A);
    CHECK_IS(*at(TEST_AREA + 8), 77);
    *at(LARGE + ((unsigned long)slot(TEST_AREA, 1) - (unsigned long)base)) &= ~PTE_RW;
    invlpg(TEST_AREA);
    CHECK(!CHECK_ACCESS(WRITE | USER, TEST_AREA));
    CHECK(CHECK_ACCESS(READ | USER, TEST_AREA));
    /* Taken apart, and put together again. */
    table[5] = entry_of(page, PTE_ALL) + PAGE_SIZE;
    CHECK_IS(allowed(entry_of(table, PTE_ALL), 2, 5 * PAGE_SIZE), 4);
    CHECK_IS(allowed(base | PTE_ALL | PTE_PSE, 3, inside), 6);
}

void guest_main(void)
{
    use_tables();
    try_large();
    try_reserved();
    for (unsigned int i = 0; LEVELS == 2 && i < 2; i++) { /* the other way, and back */
        write_cr4(read_cr4() ^ CR4_PSE);
        try_large();
    }
    say("large pages of %lu KiB, %u address bits, PSE36 %u", SPAN(2) >> 10, has.phys_bits, has.pse36);
}
