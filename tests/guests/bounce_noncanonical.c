// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception while the kernel's stack pointer is not canonical, or so low that the frame would wrap around
 * the end of the address space. Neither can be pushed; the domain is crashed.
 */
#include "guest.h"

void guest_main(void)
{
    must_crash("exception on a stack at the edge of the address space");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(NONCANONICAL + 0x800) : "memory");
}
