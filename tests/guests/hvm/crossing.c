// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: stores that are not aligned, or that lie on two pages, do to page tables what they do to other memory: each
 * form of store, at each offset, across the boundary of two ordinary pages, of a page and a table, of a table and a
 * page, and of two tables in use, does to memory, registers and flags what it does elsewhere. The tables are what the
 * processor goes by afterwards.
 */
#include "form.h"

#define WINDOW (TEST_AREA + 3 * SPAN(2)) /* where the two pages are written */
#define MIDDLE (TEST_AREA + 9 * SPAN(2)) /* what the two tables map, this side and that */
#define BORDER ((volatile entry_t *)(WINDOW + PAGE_SIZE))

static entry_t now, source[16];
static volatile entry_t *plain;

/* What the entries around the border map, where they lead to pages of ours. */
static void look(int near)
{
    for (int i = -near; i < near; i++) {
        unsigned long linear = MIDDLE + (unsigned long)i * PAGE_SIZE;
        entry_t frame = *slot(linear, 1) & PTE_ADDR;

        invlpg(linear);
        if (frame == (now & PTE_ADDR) || frame == (source[0] & PTE_ADDR))
            CHECK_ACCESS(READ | USER, linear);
    }
}

static void try_form(const struct form *f, unsigned int before)
{
    refill(plain, now);
    refill(BORDER, now);
    look(1); /* both are in use */
    check_form(f, (uint8_t *)BORDER - before, (uint8_t *)plain - before, now, source);
    look(4);
}

static unsigned int try_pages(volatile void *a, volatile void *b)
{
    static const unsigned int befores[] = {1, 3, 4, 6, 17};
    unsigned int n = 0;

    map(WINDOW, a, PTE_ALL);
    map(WINDOW + PAGE_SIZE, b, PTE_ALL);
    for (const struct form *f = forms; f < forms + nr_forms; f++) {
        if (!form_possible(f) || f->need == ALIGNED || f->need == XSAVE)
            continue;
        for (unsigned int k = 0; k < ARRAY_SIZE(befores); k++, n++)
            try_form(f, befores[k]);
    }
    return n;
}

void guest_main(void)
{
    volatile entry_t *after = slot(MIDDLE, 1), *before = slot(MIDDLE - SPAN(2), 1), *page = new_page();
    unsigned int n = 0;

    use_tables();
    enable_forms();
    plain = (entry_t *)new_page() + ENTRIES / 2;
    now = entry_of(new_page(), PTE_KEPT);
    for (unsigned int i = 0; i < ARRAY_SIZE(source); i++)
        source[i] = i ? source[0] : entry_of(new_page(), PTE_KEPT);
    n += try_pages(page, new_page());
    n += try_pages(page, after);
    n += try_pages(before, page);
    n += try_pages(before, after);
    say("%u stores across a boundary", n);
    CHECK(n > 900);
}
