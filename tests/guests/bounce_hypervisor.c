// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception while the kernel's stack pointer lies in the hypervisor's own memory, so that the frame would be
 * written there. The address is the guest's to choose, the frame's contents almost too. The domain is crashed.
 */
#include "guest.h"

void guest_main(void)
{
    must_crash("exception on a stack in the hypervisor's range");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(HV_TEXT + 0x8000) : "memory");
}
