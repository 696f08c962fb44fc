// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a table that names itself is a table at each level at once, and a window on all tables below. Entries are read
 * and changed through the window, and through the window's window, and each change is followed: translations, A and D
 * bits, and the window itself, which goes when its entry is cleared through it. A table that is both directory and
 * table must not keep shadows of one role when it is changed in the other.
 */
#include "hvm.h"

#define SELF  300u /* the entry; of the table that maps from BASE on, at the first level that has rights */
#define BASE  (LEVELS == 3 ? TEST_AREA : 0ul)
#define ENTRY (LEVELS == 4 ? 200u : SELF) /* below the addresses that are not canonical */
#define X     (TEST_AREA + 7 * PAGE_SIZE)

static unsigned long window_of(unsigned long linear)
{
    return BASE + ENTRY * SPAN(TOP) + ((linear - BASE) >> 12) * sizeof(entry_t);
}

static volatile entry_t *window(unsigned long linear)
{
    return (volatile entry_t *)window_of(linear);
}

static void change_through_window(volatile uint32_t *a, volatile uint32_t *b)
{
    for (unsigned int i = 0; i < 50; i++) {
        *window(X) = entry_of(i & 1 ? b : a, PTE_ALL);
        invlpg(X);
        CHECK_IS(*slot(X, 1), entry_of(i & 1 ? b : a, PTE_ALL));
        CHECK_IS(*at(X), i & 1 ? 2 : 1);
        CHECK_ACCESS(READ | USER, X);
        CHECK_IS(*window(X) & (PTE_A | PTE_D), PTE_A);
        *at(X + 4) = i;
        CHECK(*window(X) & PTE_D);
    }
    *window(X) = 0;
    invlpg(X);
    CHECK(!CHECK_ACCESS(READ, X));
}

/* The entry above it, seen as one that maps the window's page. */
static void change_directory(volatile uint32_t *a, volatile uint32_t *b)
{
    volatile entry_t *above = window(window_of(X));
    entry_t *other = new_page(), old = *above;

    CHECK_IS(old & PTE_ADDR, *slot(X, 2) & PTE_ADDR);
    other[INDEX(X, 1)] = entry_of(b, PTE_ALL);
    *window(X) = entry_of(a, PTE_ALL);
    for (unsigned int i = 0; i < 50; i++) {
        *above = i & 1 ? entry_of(other, PTE_ALL) : old;
        reload_cr3();
        CHECK_IS(*at(X), i & 1 ? 2 : 1);
        CHECK_IS(*window(X) & PTE_ADDR, (entry_t)(unsigned long)(i & 1 ? b : a));
    }
    *above = old & ~PTE_RW; /* neither the page nor the window may be written now */
    reload_cr3();
    CHECK(!CHECK_ACCESS(WRITE | USER, X));
    CHECK(!CHECK_ACCESS(WRITE | USER, window_of(X)));
    CHECK(CHECK_ACCESS(READ, window_of(X)));
    *above = old;
    reload_cr3();
}

static void end_window(volatile entry_t *self)
{
    unsigned long last = BASE + ENTRY * SPAN(TOP);

    for (unsigned int level = TOP; level > 1; level--)
        last = window_of(last);
    CHECK_IS(*(volatile entry_t *)(last)&PTE_ADDR, *slot(BASE, TOP == LEVELS ? TOP : 2) & PTE_ADDR);
    last += ENTRY * sizeof(entry_t) - (last & (PAGE_SIZE - 1));
    CHECK_IS(*(volatile entry_t *)last, *self);
    *(volatile uint32_t *)last = 0; /* in one store: after it the window may be gone */
    CHECK_IS(*self, 0);
    reload_cr3();
    CHECK(!CHECK_ACCESS(READ, window_of(X)));
}

void guest_main(void)
{
    volatile uint32_t *a = new_page(), *b = new_page();
    volatile entry_t *table, *self;

    use_tables();
    *a = 1;
    *b = 2;
    map(X, a, PTE_ALL);
    table = slot(BASE, TOP) - INDEX(BASE, TOP);
    self = table + ENTRY;
    for (unsigned int round = 0; round < 3; round++) {
        *self = entry_of(table, PTE_ALL);
        reload_cr3();
        change_through_window(a, b);
        change_directory(a, b);
        end_window(self);
    }
    say("entry %u of a table of level %u named its own table", ENTRY, TOP);
}
