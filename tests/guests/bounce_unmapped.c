// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception while the kernel's stack pointer names memory that is not mapped. The hypervisor cannot push the
 * exception's frame: that ends the domain, as a triple fault ends a machine.
 */
#include "guest.h"

void guest_main(void)
{
    must_crash("exception on a stack that is not mapped");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(NOT_MAPPED + 0x800) : "memory");
}
