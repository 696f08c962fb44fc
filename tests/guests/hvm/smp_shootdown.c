// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: after a CPU has flushed an entry, no access of it goes by the old one. One CPU reads and writes a page without
 * pause; the other one gives the address another page, or none, tells the first to flush by INVLPG, and when that is
 * done uses the page that was there for something else. The first must never see that, nor store to it; and where there
 * is no page it must fault.
 */
#include "smp.h"

#define X      (TEST_AREA + 9 * PAGE_SIZE)
#define ROUNDS 40u
#define TAKEN  0xdeadu

static volatile uint32_t *pages[3];
static volatile unsigned int asked, done, accesses, faults, wrong;

static void look(void *seen)
{
    *(uint32_t *)seen = *at(X);
}

static void user_of_x(void)
{
    while (!stop) {
        uint32_t seen = 0;
        struct fault f = accesses & 1 ? try_access(WRITE | (accesses & 2 ? USER : 0), X) : try_call(look, &seen);

        accesses++;
        faults += f.vector == TRAP_PF;
        wrong += seen == TAKEN || (f.vector != VEC_END && (f.vector != TRAP_PF || f.cr2 != X));
        if (asked != done) {
            invlpg(X);
            done = asked;
        }
    }
}

static void shoot_down(void)
{
    asked = asked + 1;
    WAIT_FOR(done == asked);
}

/* The page, when nobody uses it any more, keeps what is put into it now. */
static void take(volatile uint32_t *page)
{
    unsigned int before = accesses;

    *page = TAKEN;
    WAIT_FOR(accesses - before > 3);
    CHECK_IS(*page, TAKEN);
    *page = CODE_END;
}

void guest_main(void)
{
    use_tables();
    for (unsigned int i = 0; i < 3; i++)
        *(pages[i] = new_page()) = CODE_END;
    map(X, pages[0], PTE_ALL);
    start_cpu(user_of_x);
    for (unsigned int n = 1; n <= ROUNDS; n++) {
        unsigned int before;

        *slot(X, 1) = n % 4 ? entry_of(pages[n % 3], PTE_ALL) : 0;
        shoot_down();
        before = faults;
        take(pages[(n + 2) % 3]);
        if (n % 4) {
            CHECK_IS(faults, before);
        } else { /* every access faults */
            WAIT_FOR(faults - before > 3);
            CHECK_IS(*slot(X, 1), 0);
        }
    }
    stop_cpu();
    CHECK_IS(wrong, 0);
    CHECK(accesses > ROUNDS);
    say("%u shoot-downs", ROUNDS);
}
