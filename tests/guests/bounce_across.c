// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an exception on a stack whose next words lie on two pages, of which only the upper one is mapped. Half a
 * frame cannot be delivered; the domain is crashed.
 */
#include "guest.h"

void guest_main(void)
{
    char *lower = new_page(), *upper = new_page();

    REQUIRE(upper == lower + PAGE_SIZE);
    REQUIRE(map_at(lower, 0, UVMF_INVLPG) == 0);
    must_crash("exception on a stack that begins to be unmapped");
    __asm__ __volatile__("mov %0, %%rsp\n\tud2" ::"r"(upper + 16) : "memory");
}
