// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a guest with as many vCPUs as the machine has CPUs, none of which ever yields, blocks or makes a hypercall,
 * with events masked, for two seconds, and until both have come round a thousand times. It gets its share of the
 * processors and no more: the neighbour's ticks, four a second, are counted meanwhile.
 */
#include "guest.h"

#define SECOND 1000000000ul
#define ENOUGH 1000u

static volatile uint64_t turns[2];

static void spin(void)
{
    uint64_t start = now(), t;

    while ((t = now() - start) < 2 * SECOND || (t < 20 * SECOND && (turns[0] <= ENOUGH || turns[1] <= ENOUGH)))
        turns[this_vcpu()]++;
}

void guest_main(void)
{
    start_vcpu(1, spin);
    spin();
    wait_vcpu(1);
    CHECK(turns[0] > ENOUGH);
    CHECK(turns[1] > ENOUGH);
}
