// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: an LDT in the guest's own memory with a gate in it. Its pages are looked at when the processor first uses
 * one: loading a selector of a page that holds a gate faults, and the page stays the guest's. A page with good segments
 * is taken, and may not be written to from then on until the LDT is another. Bases and lengths that cannot be are
 * EINVAL.
 */
#include "guest.h"

#define SELECTOR(n) ((n) << 3 | 4 | 3)

static int load_ds(unsigned int selector)
{
    uint8_t code[] = {0xb8, (uint8_t)selector, (uint8_t)(selector >> 8), 0, 0, 0x8e,
                      0xd8}; /* mov, %eax; mov %eax, %ds */

    return run_code(code, sizeof(code));
}

void guest_main(void)
{
    uint64_t *ldt = new_page(), *second = new_page();

    REQUIRE(second == ldt + 512);
    ldt[1] = 0x00cff3000000ffff;    /* data, DPL 3 */
    ldt[2] = 0x00cf93000000ffff;    /* data, DPL 0 */
    second[0] = 0x00cff3000000ffff; /* the same beside a call gate */
    second[1] = 0x0000ec00e0080000;
    REQUIRE(set_readonly(ldt) == 0 && set_readonly(second) == 0);
    CHECK_IS(mmuext(MMUEXT_SET_LDT, P(ldt), 1024), 0);
    CHECK_IS(load_ds(SELECTOR(1)), -1);
    CHECK_IS(load_ds(SELECTOR(2)), -1);
    CHECK_IS((ldt[2] >> 45) & 3, 3);
    CHECK(load_ds(SELECTOR(512)) >= TRAP_GP);
    CHECK(load_ds(SELECTOR(513)) >= TRAP_GP);
    CHECK(load_ds(SELECTOR(1024)) >= TRAP_GP);
    CHECK_IS(set_writable(ldt), -XEN_EBUSY);
    CHECK_READONLY(ldt);
    CHECK_IS(set_writable(second), 0);
    CHECK_IS(load_ds(0), -1);

    CHECK_IS(mmuext(MMUEXT_SET_LDT, P(ldt) + 8, 10), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_SET_LDT, HV_PERDOMAIN, 512), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_SET_LDT, NONCANONICAL, 512), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_SET_LDT, P(ldt), 8193), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_SET_LDT, NOT_MAPPED, 512), 0);
    CHECK(load_ds(SELECTOR(1)) >= TRAP_GP);
    /* An LDT in the guest's page tables: no descriptor page either. */
    CHECK_IS(mmuext(MMUEXT_SET_LDT, P(entry_of(ldt, 1)) & ~4095ul, 512), 0);
    CHECK(load_ds(SELECTOR(1)) >= TRAP_GP);
    CHECK_IS(mmuext(MMUEXT_SET_LDT, 0, 0), 0);
    CHECK_IS(set_writable(ldt), 0);
}
