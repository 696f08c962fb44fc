// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: the IRET hypercall reads its frame from the kernel's stack pointer, which lies in the hypervisor's range. If
 * the frame were read there, the guest would continue with registers full of the hypervisor's memory. The domain is
 * crashed.
 */
#include "guest.h"

void guest_main(void)
{
    must_crash("IRET from a frame in the hypervisor");
    iret_hypercall((const struct iret_context *)(HV_DIRECTMAP + 0x200000));
}
