// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: addresses that the hypervisor writes to on its own, for run states and time, are registered while they lie in
 * an ordinary page; then the page becomes a page table, read-only to the guest. The hypervisor's writes go through the
 * guest's mapping or not at all: the table stays as it was validated. A vcpu_info page, which the hypervisor keeps
 * mapped, cannot become a table.
 */
#include "guest.h"

static void block_briefly(void)
{
    struct sched_poll poll = {.timeout = now() + 300000};

    HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
}

void guest_main(void)
{
    char *page = new_page(), *info_page = new_page();
    struct vcpu_register_runstate_memory_area runstate;
    struct vcpu_register_time_memory_area time;
    struct vcpu_register_vcpu_info info = {.mfn = mfn_of(info_page), .offset = 64};
    struct vcpu_register_vcpu_info bad = {.mfn = mfn_of(info_page), .offset = PAGE_SIZE - 8};

    set_xen_guest_handle(runstate.addr.h, (struct vcpu_runstate_info *)page);
    set_xen_guest_handle(time.addr.h, (struct vcpu_time_info *)(page + 256));
    CHECK_IS(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0, &runstate), 0);
    CHECK_IS(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &time), 0);
    CHECK(page[256 + 20] || page[256 + 16]);
    block_briefly();

    REQUIRE(set_readonly(page) == 0);
    /* The areas' contents might look like entries: a plain store by mmu_update clears them. */
    for (unsigned int i = 0; i < 512; i++)
        if (((unsigned long *)page)[i])
            REQUIRE(mmu_store((unsigned long *)page + i, 0) == 0);
    REQUIRE(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page), 0) == 0);
    for (unsigned int i = 0; i < 20; i++) {
        block_briefly();
        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    }
    for (unsigned int i = 0; i < 512; i++)
        if (((unsigned long *)page)[i])
            CHECK_IS(((unsigned long *)page)[i], 0);
    CHECK_IS(map_at(page, 0, UVMF_INVLPG), 0);
    block_briefly();

    CHECK(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, &bad) < 0);
    bad.offset = 3; /* Xen takes this one */
    if (on_umbra())
        CHECK(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, &bad) < 0);
    bad = (struct vcpu_register_vcpu_info){.mfn = mfn_of(entry_of(page, 1)), .offset = 0};
    CHECK(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, &bad) < 0);
    bad.mfn = 0x200;
    CHECK(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, &bad) < 0);
    CHECK_IS(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, &info), 0);
    CHECK_IS(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, &info), -XEN_EINVAL);
    CHECK_IS(set_readonly(info_page), 0);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(info_page), 0), -XEN_EINVAL);
}
