// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: hypercall numbers that do not exist: all up to 256, powers of two, and ones whose upper half must not be
 * looked at or must not be lost. They are ENOSYS; those kept for the control domain are EPERM or ENOSYS. Unknown
 * sub-operations of the known calls are errors, too.
 */
#include "guest.h"

/* Numbers that do something: see the table of <xen/xen.h>. 48 to 55 are kept for the architecture. */
static const uint8_t known[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  10, 12, 13, 14, 15, 17, 18, 20, 21,
                                22, 23, 24, 25, 26, 27, 28, 29, 30, 32, 33, 34, 35, 36, 39, 40, 41, 42};
static const uint8_t with_subs[] = {12, 17, 18, 20, 24, 29, 30, 32, 33};
static const uint8_t privileged[] = {7, 35, 36, 37};

static bool is_known(unsigned int nr)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i] == nr)
            return true;
    return false;
}

void guest_main(void)
{
    for (unsigned int nr = 0; nr < 256; nr++)
        if (!is_known(nr) && nr != 6 && nr != 16 && nr != 19 && nr != 31 && nr != 37 && !(nr >= 48 && nr < 56))
            CHECK_IS(raw_hypercall(nr, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    for (unsigned int bit = 8; bit < 32; bit++) {
        CHECK_IS(raw_hypercall(1ul << bit, 0, 0, 0, 0, 0), -XEN_ENOSYS);
        CHECK_IS(raw_hypercall(1ul << bit | __HYPERVISOR_sched_op, SCHEDOP_shutdown, 0, 0, 0, 0), -XEN_ENOSYS);
    }
    CHECK_IS(raw_hypercall(0xffffffff, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    CHECK_IS(raw_hypercall(0x7fffffff, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    for (unsigned int i = 0; i < ARRAY_SIZE(privileged); i++) {
        long rc = raw_hypercall(privileged[i], P(&rc), 0, 0, 0, 0);

        CHECK(rc == -XEN_EPERM || rc == -XEN_ENOSYS || rc == -XEN_EACCES);
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(with_subs); i++)
        for (unsigned int sub = 60; sub < 0x80000000; sub = sub * 2 + 7)
            CHECK(raw_hypercall(with_subs[i], with_subs[i] == 12 ? sub | 63 : sub, 0, 0, 0, 0) < 0);
}
