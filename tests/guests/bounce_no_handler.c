// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception for which the kernel has no handler: its trap table was cleared. There is nobody to tell it to,
 * and the domain is crashed rather than sent to address 0.
 */
#include "guest.h"

void guest_main(void)
{
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_trap_table, 0, 0), 0);
    must_crash("exception without a handler");
    __asm__ __volatile__("ud2" ::: "memory");
}
