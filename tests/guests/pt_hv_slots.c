// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: L4 slots 256 to 271 are the hypervisor's. A store to one is EINVAL; what a new L4 table holds there when it is
 * pinned is replaced. Of the range behind them a guest can read the M2P, write nothing and execute nothing.
 */
#include "guest.h"

static const unsigned long hidden[] = {
    HV_FIRST + (1ul << 38), HV_PERDOMAIN,         HV_PERDOMAIN + 0xe000, 0xffff828000000000ul, 0xffff82c000000000ul,
    HV_TEXT + 0x1000,       0xffff82d060000000ul, 0xffff82e000000000ul,  HV_DIRECTMAP,         HV_DIRECTMAP + 0x200000,
    HV_END - 4096,
};

static int execute(unsigned long address)
{
    uint8_t jump[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}; /* mov address, %rax; jmp *%rax */

    __builtin_memcpy(jump + 2, &address, 8);
    return run_code(jump, sizeof(jump));
}

void guest_main(void)
{
    unsigned long *l4 = (unsigned long *)start_info->pt_base, *fresh = new_page();
    unsigned long own = make_pte(mfn_of(entry_of(fresh, 3)), PTE_ALL);

    for (unsigned int slot = 256; slot < 272; slot++) {
        CHECK_IS(mmu_store(&l4[slot], 0), -XEN_EINVAL);
        CHECK_IS(mmu_store(&l4[slot], own), -XEN_EINVAL);
        fresh[slot] = own;
    }
    REQUIRE(set_readonly(fresh) == 0);
    CHECK_IS(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(fresh), 0), 0);
    for (unsigned int slot = 256; slot < 272; slot++)
        CHECK((fresh[slot] & PTE_ADDR) != (own & PTE_ADDR));
    CHECK_IS(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(fresh), 0), 0);

    CHECK_IS(try_read(m2p() + mfn_of(l4)), -1);
    CHECK_IS(try_write(m2p() + mfn_of(l4), 0), TRAP_PF);
    CHECK_IS(execute(HV_FIRST + mfn_of(l4) * 8), TRAP_PF);
    for (unsigned int i = 0; i < ARRAY_SIZE(hidden); i++) {
        CHECK_IS(try_read((void *)hidden[i]), TRAP_PF);
        CHECK_IS(try_write((void *)hidden[i], 0), TRAP_PF);
        CHECK_IS(execute(hidden[i]), TRAP_PF);
    }
}
