// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a guest with as many vCPUs as the machine has CPUs, none of which ever yields, blocks or makes a hypercall,
 * with events masked, for three seconds. It gets its share of the processors and no more: the neighbour's ticks are
 * counted meanwhile.
 */
#include "guest.h"

#define SPIN_NS 3000000000ul

static volatile uint64_t turns[2];

static void spin(void)
{
    uint64_t end = now() + SPIN_NS;

    while (now() < end)
        turns[this_vcpu()]++;
}

void guest_main(void)
{
    start_vcpu(1, spin);
    spin();
    wait_vcpu(1);
    CHECK(turns[0] > 1000);
    CHECK(turns[1] > 1000);
}
