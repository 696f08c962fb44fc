// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: vCPU 1 runs on page tables that vCPU 0 unpins, maps writably and gives back to the hypervisor meanwhile. As
 * long as a vCPU's base pointer names the table it stays a table: the writable mapping is refused, and what is given
 * back leaves the domain only when the vCPU has gone to other tables.
 */
#include "guest.h"

static unsigned long first, second;
static volatile unsigned int phase;

static void runner(void)
{
    CHECK_IS(mmuext(MMUEXT_NEW_BASEPTR, second, 0), 0);
    phase = 1;
    while (phase != 2)
        (void)READ_ONCE(stop);
    CHECK_IS(mmuext(MMUEXT_NEW_BASEPTR, first, 0), 0);
    phase = 3;
}

void guest_main(void)
{
    unsigned long *l4 = new_page();
    const unsigned long *old = (const unsigned long *)start_info->pt_base;
    struct xen_memory_reservation give = {.nr_extents = 1, .domid = DOMID_SELF};

    __builtin_memcpy(l4, old, PAGE_SIZE);
    first = mfn_of(old);
    second = mfn_of(l4);
    REQUIRE(set_readonly(l4) == 0);
    REQUIRE(mmuext(MMUEXT_PIN_L4_TABLE, second, 0) == 0);
    start_vcpu(1, runner);
    while (phase != 1)
        ;
    CHECK_IS(mmuext(MMUEXT_UNPIN_TABLE, second, 0), 0);
    CHECK_IS(set_writable(l4), -XEN_EBUSY);
    CHECK_IS(mmuext(MMUEXT_CLEAR_PAGE, second, 0), -XEN_EINVAL);
    CHECK_IS(map_at(l4, 0, UVMF_INVLPG), 0);
    set_xen_guest_handle(give.extent_start, &second);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &give), 1);
    /* In Xen what is in use may still be mapped, and stays as long as that. */
    CHECK((map_at(l4, make_pte(second, PTE_P | PTE_US), UVMF_INVLPG) < 0) == on_umbra());
    CHECK(map_at(l4, make_pte(second, PTE_ALL), UVMF_INVLPG) < 0);
    CHECK_IS(map_at(l4, 0, UVMF_INVLPG), 0);
    for (volatile unsigned int i = 0; i < 100000; i++)
        ;
    phase = 2;
    while (phase != 3)
        ;
    CHECK(mmuext(MMUEXT_NEW_BASEPTR, second, 0) < 0);
    CHECK(map_at(l4, make_pte(second, PTE_P | PTE_US), UVMF_INVLPG) < 0);
    wait_vcpu(1);
}
