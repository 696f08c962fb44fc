// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a CPU may switch between tables as fast as it can while another one changes those very tables: after each load
 * of CR3 an address shows the page that these tables name now, or the one they named when it was loaded, and never a
 * page of other tables. Each set of tables has pages of its own, so that any mixture shows.
 */
#include "smp.h"

#define X      (TEST_AREA + 9 * PAGE_SIZE)
#define SETS   3u
#define ROUNDS 1500u

static unsigned long cr3s[SETS];
static volatile entry_t *entries[SETS];
static volatile uint32_t *pages[SETS][2];
static volatile unsigned int loads, mixed;

/* The value in page p of set s tells both. */
static void check_set(unsigned int s)
{
    write_cr3(cr3s[s]);
    mixed += *at(X) >> 8 != s;
    mixed += *at(X + 4) >> 8 != s;
}

static void switch_on(void)
{
    while (!stop) {
        check_set(loads % SETS);
        loads = loads + 1;
    }
    write_cr3((unsigned long)root);
}

static void *copy_of(const volatile void *page)
{
    volatile unsigned long *copy = new_page();

    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(long); i++)
        copy[i] = ((const volatile unsigned long *)page)[i];
    return (void *)copy;
}

/* The tables on the way to X are each set's own, all others are shared. */
static void make_set(unsigned int s)
{
    volatile entry_t *table = copy_of(root), *own = table;

    for (unsigned int level = LEVELS; level > 1; level--) {
        volatile entry_t *e = &table[INDEX(X, level)];

        table = copy_of((void *)(unsigned long)(*e & PTE_ADDR));
        *e = entry_of(table, *e & (PAGE_SIZE - 1));
    }
    for (unsigned int p = 0; p < 2; p++) {
        pages[s][p] = new_page();
        pages[s][p][0] = pages[s][p][1] = s << 8 | p;
    }
    entries[s] = &table[INDEX(X, 1)];
    *entries[s] = entry_of(pages[s][0], PTE_ALL);
    cr3s[s] = (unsigned long)own;
}

void guest_main(void)
{
    use_tables();
    (void)slot(X, 1);
    for (unsigned int s = 0; s < SETS; s++)
        make_set(s);
    start_cpu(switch_on);
    for (unsigned int n = 0; n < ROUNDS; n++) {
        unsigned int s = random32() % SETS, p = n & 1;

        *entries[s] = entry_of(pages[s][p], PTE_ALL);
        if (n % 4)
            continue;
        write_cr3(cr3s[s]);
        CHECK_IS(*at(X), s << 8 | p);
        CHECK_IS(*at(X + 4), s << 8 | p);
    }
    WAIT_FOR(loads > ROUNDS / 10);
    stop_cpu();
    CHECK_IS(mixed, 0);
    write_cr3((unsigned long)root);
    say("%u changes of %u sets of tables", ROUNDS, SETS);
}
