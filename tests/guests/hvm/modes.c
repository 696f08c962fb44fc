// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a guest may go from any paging mode to any other, and each has its own tables, which are followed although they
 * are changed while another mode runs: no paging, 2 levels without and with PSE, 3 levels, 4 levels. One directory
 * serves 3 and 4 levels at once. In each mode one address shows another page; what is stored there comes to that page,
 * and A and D are set in that mode's table alone.
 */
#include "mode.h"

#define X      0x700000u /* within the guest's memory, for no paging */
#define ROUNDS 400u
enum { UNPAGED, TWO, TWO_PSE, THREE, FOUR, MODES };

static struct visit modes[MODES];
static uint32_t *pages[MODES + 2];
static volatile uint32_t *entries[MODES], none; /* of X, their lower halves */

/* 8 MiB as they are, but for X; the entry of that. */
static uint32_t *make_2(uint32_t *directory, bool large)
{
    uint32_t *table = new_page(), *other = new_page();

    for (uint32_t i = 0; i < 1024; i++) {
        table[i] = (1024 + i) << 12 | 7;
        other[i] = i << 12 | 7;
    }
    directory[0] = large ? 0x87 : (uint32_t)(unsigned long)other | 7;
    directory[1] = (uint32_t)(unsigned long)table | 7;
    return &table[(X >> 12) & 1023];
}

/* A directory of 2 MiB pages, but for X. */
static uint32_t *make_3(uint64_t *directory)
{
    uint64_t *table = new_page();

    for (uint64_t i = 0; i < 512; i++)
        table[i] = ((X >> 21 << 9) + i) << 12 | 7;
    for (uint64_t i = 0; i < 4; i++)
        directory[i] = i << 21 | 0x87;
    directory[X >> 21] = (unsigned long)table | 7;
    return (uint32_t *)&table[(X >> 12) & 511];
}

static void make_modes(void)
{
    uint64_t *directory = new_page(), *pointers = new_page(), *third = new_page(), *top = new_page();
    uint32_t *plain = new_page(), *pse = new_page();

    entries[UNPAGED] = &none;
    entries[TWO] = make_2(plain, false);
    entries[TWO_PSE] = make_2(pse, true);
    entries[THREE] = entries[FOUR] = make_3(directory);
    pointers[0] = (unsigned long)directory | 1;
    third[0] = (unsigned long)directory | 7;
    top[0] = (unsigned long)third | 7;
    modes[TWO].cr3 = (uint32_t)(unsigned long)plain;
    modes[TWO_PSE].cr3 = (uint32_t)(unsigned long)pse;
    modes[THREE].cr3 = (uint32_t)(unsigned long)pointers;
    modes[FOUR].cr3 = (uint32_t)(unsigned long)top;
    modes[TWO_PSE].cr4 = CR4_PSE;
    modes[THREE].cr4 = modes[FOUR].cr4 = CR4_PAE;
    modes[FOUR].efer = EFER_LME | (has.nx ? EFER_NXE : 0);
    for (unsigned int i = 0; i < MODES; i++)
        modes[i].cr0 = CR0_PE | CR0_ET | (i == UNPAGED ? 0 : CR0_PG) | (i == TWO ? CR0_WP : 0);
}

static void try_mode(unsigned int mode, uint32_t n)
{
    uint32_t *page = mode == UNPAGED ? (uint32_t *)(unsigned long)X : pages[random32() % ARRAY_SIZE(pages)];
    unsigned int other = mode == TWO ? TWO_PSE : TWO;
    uint32_t before = *entries[other];

    *entries[mode] = (uint32_t)(unsigned long)page | 7;
    page[n & 1] = ~n;
    modes[mode].address = X + 4 * (n & 1);
    modes[mode].written = n << 8;
    visit(&modes[mode]);
    CHECK_IS(modes[mode].read, ~n);
    CHECK_IS(page[n & 1], n << 8);
    CHECK_IS(*entries[mode], (uint32_t)(unsigned long)page | (mode == UNPAGED ? 7 : 0x67));
    CHECK_IS(*entries[other], before);
}

void guest_main(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(pages); i++)
        pages[i] = new_page();
    make_modes();
    for (uint32_t n = 0; n < MODES * MODES; n++) { /* from each to each, by way of home */
        try_mode(n / MODES, n);
        try_mode(n % MODES, n);
    }
    for (uint32_t n = 0; n < ROUNDS; n++)
        try_mode(random32() % MODES, n);
    say("%u visits in %u modes", ROUNDS + 2 * MODES * MODES, (unsigned int)MODES);
}
