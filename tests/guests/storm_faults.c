// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: faults as fast as two vCPUs can make them, of each kind that the hypervisor looks at before the guest gets
 * it: page faults on nothing, on its own page tables and in the hypervisor's range, privileged instructions, invalid
 * ones, interrupts that do not exist. Each comes back to its vCPU with its vector and, for page faults, its address.
 */
#include "guest.h"

#define ROUNDS 1500

static void storm(void)
{
    const unsigned long *table = entry_of(guest_main, 2);
    struct fault f = {.vector = 0};

    for (unsigned int i = 0; i < ROUNDS; i++) {
        unsigned long address = NOT_MAPPED + i * 8;

        CHECK_IS(try_read((void *)address), TRAP_PF);
        CHECK_IS(try_write((void *)table, 0), TRAP_PF);
        CHECK_IS(try_write((void *)(HV_TEXT + i), 0), TRAP_PF);
        CHECK_IS(run_code((const uint8_t[]){0x0f, 0x0b}, 2), TRAP_UD);
        CHECK_IS(run_code((const uint8_t[]){0xcd, 0x77}, 2), TRAP_GP);
        CHECK_IS(run_code((const uint8_t[]){0x0f, 0x01, 0xf8}, 3), TRAP_GP);
        CHECK(faults((void (*)(void *))address, NULL, &f));
        CHECK_IS(f.vector, TRAP_PF);
        CHECK_IS(f.cr2, address);
        CHECK_IS(f.rip, address);
    }
}

void guest_main(void)
{
    start_vcpu(1, storm);
    storm();
    wait_vcpu(1);
}
