// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception while the kernel's stack pointer lies in a page table of its own. The hypervisor could write
 * there, since nothing is read-only to it; pushed through the guest's read-only mapping the frame faults, and the
 * domain is crashed with its table unchanged.
 */
#include "guest.h"

void guest_main(void)
{
    unsigned long *table = entry_of(new_page(), 1);

    must_crash("exception on a stack in a page table");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(table + 400) : "memory");
}
