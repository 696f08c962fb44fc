// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception while the kernel's stack pointer is not canonical: just above the lower half of the address
 * space. No frame can be pushed there, nor may trying harm the hypervisor; the domain is crashed.
 */
#include "guest.h"

void guest_main(void)
{
    must_crash("exception on a stack that is not canonical");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(NONCANONICAL + 0x800) : "memory");
}
