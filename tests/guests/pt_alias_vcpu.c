// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: vCPU 1 keeps writing to a page through its TLB while vCPU 0 maps the page read-only, asks for no flush at
 * all, and pins it as a page table. Once the pin has succeeded, no write of vCPU 1 may reach the page any more,
 * whatever its TLB still holds.
 */
#include "guest.h"

#define ROUNDS 40

static volatile uint64_t *page;
static volatile bool faulted, writing;

static void hammer(void *arg)
{
    while (!stop) {
        page[8] = page[8] + 2; /* never like an entry that is present */
        writing = true;
    }
}

static void writer(void)
{
    while (!stop) {
        if (faults(hammer, NULL, NULL))
            faulted = true;
    }
}

static bool round(void)
{
    uint64_t seen;

    REQUIRE(map_at((void *)page, make_pte(mfn_of((void *)page), PTE_ALL & ~PTE_RW), UVMF_NONE) == 0);
    /* Level 2: direct writes to an L1 table would be completed for the guest, if they are harmless. */
    REQUIRE(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of((void *)page), 0) == 0);
    seen = page[8];
    for (volatile unsigned int i = 0; i < 20000; i++)
        ;
    CHECK_IS(page[8], seen);
    REQUIRE(mmuext(MMUEXT_UNPIN_TABLE, mfn_of((void *)page), 0) == 0);
    REQUIRE(set_writable((void *)page) == 0);
    page[8] = 0;
    return seen != 0;
}

void guest_main(void)
{
    unsigned int raced = 0;

    page = new_page();
    start_vcpu(1, writer);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        writing = false;
        while (!writing)
            ;
        raced += round();
    }
    stop = true;
    wait_vcpu(1);
    CHECK(faulted);
    say("%u rounds met a value under way", raced);
}
