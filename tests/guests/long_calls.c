// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: hypercalls as long as they can be made: hundreds of flushes of everything in one batch, pins and unpins of
 * tables with 512 entries, lists of lists. On both vCPUs for a second. They are interrupted between their parts, so
 * that an event sent at the start arrives before the batch ends, and the neighbour goes on.
 */
#include "guest.h"

#define OPS 1000

static struct mmuext_op flushes[OPS], pins[2][OPS];
static volatile unsigned int rounds[2];

static void prepare(unsigned int me)
{
    unsigned long *table = new_page(), mfn = mfn_of(table), other = make_pte(mfn_of(new_page()), PTE_P | PTE_US);

    for (unsigned int i = 0; i < 512; i++)
        table[i] = other;
    REQUIRE(set_readonly(table) == 0);
    for (unsigned int i = 0; i < OPS; i++) {
        flushes[i] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_ALL};
        pins[me][i] = (struct mmuext_op){.cmd = i & 1 ? MMUEXT_UNPIN_TABLE : MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn};
    }
}

static void work(void)
{
    unsigned int me = this_vcpu(), done = 0;
    uint64_t end = now() + 1000000000ul;

    while (now() < end) {
        CHECK_IS(hypercall(__HYPERVISOR_mmuext_op, P(pins[me]), OPS, P(&done), DOMID_SELF, 0), 0);
        CHECK_IS(done, OPS);
        CHECK_IS(hypercall(__HYPERVISOR_mmuext_op, P(flushes), OPS / 10, P(&done), DOMID_SELF, 0), 0);
        CHECK_IS(done, OPS / 10);
        rounds[me]++;
    }
}

void guest_main(void)
{
    prepare(0);
    prepare(1);
    start_vcpu(1, work);
    work();
    wait_vcpu(1);
    CHECK(rounds[0] > 0);
    CHECK(rounds[1] > 0);
    say("%u and %u rounds", rounds[0], rounds[1]);
}
