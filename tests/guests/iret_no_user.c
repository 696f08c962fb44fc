// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: IRET to user mode of a guest that has no page tables for it. There is nothing to load into CR3, and no kernel
 * state to go back to, since the guest's registers are already those of the frame. The domain is crashed.
 */
#include "guest.h"

void guest_main(void)
{
    struct iret_context c = {
        .rip = P(guest_main), .cs = FLAT_USER_CS64, .rflags = 0x202, .rsp = P(&c), .ss = FLAT_USER_SS64};

    must_crash("IRET to user mode without tables");
    iret_hypercall(&c);
}
