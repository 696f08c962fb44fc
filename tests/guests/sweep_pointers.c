// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: every hypercall with every sub-operation, each pointer argument in turn a null pointer, an address that is
 * not mapped, not canonical, in the hypervisor's range, at the end of the address space, read-only, and at the very end
 * of a mapped page. Calls that end the guest or stop its vCPU are left out. Each returns, and neither the hypervisor
 * nor what the guest has mapped read-only has changed.
 */
#include "guest.h"

struct call {
    unsigned int nr, subs; /* sub-operations 0 to subs - 1 in the first argument; 0: there are none */
};

static const struct call calls[] = {
    {__HYPERVISOR_set_trap_table, 0},
    {__HYPERVISOR_mmu_update, 0},
    {__HYPERVISOR_set_gdt, 0},
    {__HYPERVISOR_platform_op, 0},
    {__HYPERVISOR_update_descriptor, 0},
    {__HYPERVISOR_memory_op, 40},
    {__HYPERVISOR_multicall, 0},
    {__HYPERVISOR_xen_version, 12},
    {__HYPERVISOR_console_io, 3},
    {__HYPERVISOR_grant_table_op, 16},
    {__HYPERVISOR_vm_assist, 0},
    {__HYPERVISOR_mmuext_op, 0},
    {__HYPERVISOR_callback_op, 3},
    {__HYPERVISOR_xsm_op, 0},
    {__HYPERVISOR_event_channel_op, 16},
    {__HYPERVISOR_physdev_op, 36},
    {__HYPERVISOR_hvm_op, 8},
    {__HYPERVISOR_sysctl, 0},
    {__HYPERVISOR_domctl, 0},
    {__HYPERVISOR_kexec_op, 4},
    {38 /* tmem */, 4},
    {__HYPERVISOR_argo_op, 6},
    {__HYPERVISOR_xenpmu_op, 8},
    {__HYPERVISOR_dm_op, 0},
    {__HYPERVISOR_hypfs_op, 4},
    {48, 4}, /* architecture's own */
};

static unsigned long pointers[16];
static unsigned int nr_pointers;
static const unsigned long *readonly;

static void collect(void)
{
    char *page = new_page();
    static const unsigned long fixed[] = {0,        8,       NOT_MAPPED,   NONCANONICAL, NONCANONICAL - 4,
                                          HV_FIRST, HV_TEXT, HV_DIRECTMAP, HV_END - 4,   ~0ul,
                                          ~7ul};

    readonly = entry_of(page, 1);
    for (unsigned int i = 0; i < ARRAY_SIZE(fixed); i++)
        pointers[nr_pointers++] = fixed[i];
    pointers[nr_pointers++] = P(readonly);
    REQUIRE(map_at(page + PAGE_SIZE, 0, UVMF_INVLPG) == 0);
    pointers[nr_pointers++] = P(page) + PAGE_SIZE - 4;
}

/* The pointer as first, second and third argument, and as several at once. */
static void attack(unsigned int nr, unsigned long first, unsigned long p, bool has_sub)
{
    if (!has_sub) {
        (void)raw_hypercall(nr, p, 1, 0, DOMID_SELF, 0);
        (void)raw_hypercall(nr, p, 0x7fffffff, p, DOMID_SELF, 0);
    } else {
        (void)raw_hypercall(nr, first, p, 1, p, p);
        (void)raw_hypercall(nr, first, 1, p, p, p);
        (void)raw_hypercall(nr, first, p, p, 1, 0);
    }
}

void guest_main(void)
{
    unsigned long before;

    collect();
    before = *readonly;
    for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++)
        for (unsigned int sub = 0; sub < (calls[i].subs ? calls[i].subs : 1); sub++)
            for (unsigned int p = 0; p < nr_pointers; p++)
                attack(calls[i].nr, sub, pointers[p], calls[i].subs);
    CHECK_IS(*readonly & ~(PTE_A | PTE_D), before & ~(PTE_A | PTE_D));
    for (unsigned int cmd = 0; cmd < 16; cmd++)
        for (unsigned int p = 0; p < nr_pointers; p++) {
            (void)HYPERCALL3(__HYPERVISOR_vcpu_op, cmd == VCPUOP_down ? VCPUOP_up : cmd, 0, pointers[p]);
            (void)HYPERCALL3(__HYPERVISOR_vcpu_op, cmd == VCPUOP_down ? VCPUOP_up : cmd, ~0u, pointers[p]);
        }
    for (unsigned int p = 0; p < nr_pointers; p++) {
        (void)HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, p < 11 ? pointers[p] : 0);
        (void)HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, pointers[p]);
    }
    CHECK_IS(HYPERCALL2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
}
