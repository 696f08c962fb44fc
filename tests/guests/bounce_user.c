// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: user mode enters the kernel by a system call while the kernel stack that stack_switch named cannot take a
 * frame. The hypercall takes any address, since it may become valid later; the entry finds that it is not, and the
 * domain is crashed. Before that, a round trip to user mode with a good stack works.
 */
#include "guest.h"

static uint8_t code[] = {0x0f, 0x05}; /* syscall */

void guest_main(void)
{
    static char stack[256];
    struct iret_context c = {
        .rip = P(code), .cs = FLAT_USER_CS64, .rflags = 0x202, .rsp = P(stack + 256), .ss = FLAT_USER_SS64};

    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0), 0);
    CHECK_IS(run_user_code(code, 0), VEC_SYSCALL);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_stack_switch, 0xe010, HV_PERDOMAIN + 0x1000), 0);
    must_crash("system call with a kernel stack in the hypervisor's range");
    iret_hypercall(&c);
}
