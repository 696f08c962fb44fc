// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: bits and fields that the ABI keeps for itself, outside page tables: padding, flags, assist types, commands,
 * reasons, extended state components and debug status. What is not defined is refused rather than passed over, so that
 * nothing of it can come to mean something by accident.
 */
#include "guest.h"

static long shutdown(unsigned int cmd, unsigned int reason)
{
    struct sched_shutdown s = {.reason = reason};

    return HYPERCALL2(__HYPERVISOR_sched_op, cmd, &s);
}

static long acquire(uint32_t pad)
{
    xen_pfn_t frame;
    struct xen_mem_acquire_resource r = {.domid = DOMID_SELF, .type = XENMEM_resource_grant_table, .nr_frames = 1};

    r.pad = pad;
    set_xen_guest_handle(r.frame_list, &frame);
    return HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_acquire_resource, &r);
}

static long unregister(unsigned int type)
{
    struct callback_unregister u = {.type = (uint16_t)type};

    return HYPERCALL2(__HYPERVISOR_callback_op, CALLBACKOP_unregister, &u);
}

void guest_main(void)
{
    /* mov %cr4, %rax; or $OSXSAVE, %eax; mov %rax, %cr4 */
    static const uint8_t osxsave[] = {0x0f, 0x20, 0xe0, 0x0d, 0, 0, 4, 0, 0x0f, 0x22, 0xe0};
    static const uint8_t xsetbv[] = {0x31, 0xc9, 0xb8, 7, 0, 0, 0, 0xba, 0, 0, 0, 0x80, 0x0f, 0x01, 0xd1}; /* bit 63 */
    unsigned long mfn = mfn_of(new_table(0, 0));

    for (unsigned int type = 6; type < 32; type++) /* 32 is m2p_strict */
        CHECK(HYPERCALL2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, type) < 0);
    for (unsigned int bit = 6; bit < (on_umbra() ? 64 : 32); bit++) /* Xen does not look beyond 32 */
        CHECK(HYPERCALL2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, 1ul << bit) < 0);
    CHECK(HYPERCALL2(__HYPERVISOR_vm_assist, 2, VMASST_TYPE_writable_pagetables) < 0);

    for (unsigned int bit = 8; bit < 32; bit++)
        CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE | 1u << bit, mfn, 0), -XEN_ENOSYS);
    for (unsigned int bit = 3; bit < 32; bit++) {
        struct evtchn_bind_pirq bind = {.pirq = 5, .flags = 1u << bit};

        CHECK(evtchn_op(EVTCHNOP_bind_pirq, &bind) < 0);
        if (on_umbra()) { /* Xen ends the guest with the lower eight bits */
            CHECK_IS(shutdown(SCHEDOP_shutdown, 1u << bit), -XEN_EINVAL);
            CHECK_IS(shutdown(SCHEDOP_shutdown_code, 1u << bit), -XEN_EINVAL);
        }
        CHECK(acquire(1u << bit) < 0);
        CHECK(HYPERCALL2(__HYPERVISOR_set_debugreg, 6, 1ul << (bit + 32)) < 0);
    }
    for (unsigned int type = 0; type < 16; type++)
        CHECK(unregister(type) < 0 || type == CALLBACKTYPE_nmi);
    CHECK_IS(run_code(osxsave, sizeof(osxsave)), -1);
    CHECK_IS(run_code(xsetbv, sizeof(xsetbv)), TRAP_GP);
}
