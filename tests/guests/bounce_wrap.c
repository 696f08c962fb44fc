// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception with a stack pointer of 16: the frame would begin above the end of the address space and go on
 * at its begin. Nothing may be written at either end; the domain is crashed.
 */
#include "guest.h"

void guest_main(void)
{
    must_crash("exception on a stack that wraps");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(16ul) : "memory");
}
