// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a state that cannot be loaded, and a failsafe callback whose own code is not mapped. The callback is entered
 * all the same and faults there; with a page-fault handler at the same place the vCPU would go round for ever, pushing
 * a frame each time. Its stack ends, and so does the domain.
 */
#include "guest.h"

static const struct trap_info traps[] = {
    {.vector = TRAP_PF, .cs = FLAT_KERNEL_CS, .address = NOT_MAPPED},
    {.vector = TRAP_GP, .cs = FLAT_KERNEL_CS, .address = NOT_MAPPED},
    {.vector = 0, .address = 0},
};

void guest_main(void)
{
    char *lower = new_page(), *upper = new_page();
    struct iret_context c = {
        .rip = P(guest_main), .cs = 0xe008, .rflags = 0x202, .rsp = P(upper), .ss = FLAT_KERNEL_SS};

    c.rsp += PAGE_SIZE;
    REQUIRE(map_at(lower, 0, UVMF_INVLPG) == 0);
    set_traps(traps);
    CHECK_IS(HYPERCALL3(__HYPERVISOR_set_callbacks, NOT_MAPPED, NOT_MAPPED, NOT_MAPPED), 0);
    must_crash("a failsafe callback that faults for ever");
    iret_hypercall(&c);
}
