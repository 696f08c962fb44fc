/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of older interfaces that are the newer ones in another form: the command in a structure in front of its
 * argument, or the argument itself instead of a pointer. Source: <xen/sched.h>, <xen/event_channel.h>,
 * <xen/physdev.h>.
 *
 * And calls from 32-bit code: those whose arguments have the same layout there, which are all that have neither
 * pointers, nor frame numbers, nor anything as large as a pointer. They are the same calls. Layout of i386: 64-bit
 * members are aligned to 4 bytes.
 */
#include "dispatch.h"

#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define CMD_BITS 6 /* of memory_op's: above them is its progress */

long do_sched_op_compat(struct hcall *hc)
{
    struct hcall sub = {.arg = {hc->arg[0]}};

    switch ((unsigned int)hc->arg[0]) {
    case SCHEDOP_yield:
    case SCHEDOP_block:
        return do_sched_op(&sub);
    case SCHEDOP_shutdown:
        domain_shutdown(current->domain, (uint8_t)hc->arg[1]);
        return 0;
    default:
        return -ENOSYS;
    }
}

long do_event_channel_op_compat(struct hcall *hc)
{
    uint32_t cmd; /* first in the structure */
    struct hcall sub;
    long rc;

    if (copy_from_guest(&cmd, guest_ptr(uint32_t, hc->arg[0]), 1))
        return -EFAULT;
    if (cmd > EVTCHNOP_unmask)
        return -ENOSYS;
    sub = (struct hcall){.arg = {cmd, hc->arg[0] + offsetof(struct evtchn_op, u)}};
    rc = do_event_channel_op(&sub);
    return sub.restart ? hypercall_restart(hc) : rc;
}

long do_physdev_op_compat(struct hcall *hc)
{
    uint32_t cmd; /* first in the structure */
    struct hcall sub;

    if (copy_from_guest(&cmd, guest_ptr(uint32_t, hc->arg[0]), 1))
        return -EFAULT;
    switch (cmd) {
    case PHYSDEVOP_irq_status_query:
    case PHYSDEVOP_set_iopl:
    case PHYSDEVOP_set_iobitmap:
    case PHYSDEVOP_apic_read:
    case PHYSDEVOP_apic_write:
    case PHYSDEVOP_alloc_irq_vector:
        sub = (struct hcall){.arg = {cmd, hc->arg[0] + offsetof(struct physdev_op, u)}};
        return do_physdev_op(&sub);
    default:
        return -ENOSYS;
    }
}

/* ---- calls from 32-bit code ---- */

#define SUB(cmd) (1ull << (cmd))
#define ALL_SUBS (~0ull)

/* Sub-operations by number. Those of vcpu_op and sched_op that are not here have a pointer, or a size of their own. */
static const uint64_t same_layout[] = {
    [__HYPERVISOR_memory_op] = SUB(XENMEM_maximum_ram_page) | SUB(XENMEM_current_reservation) |
                               SUB(XENMEM_maximum_reservation) | SUB(XENMEM_maximum_gpfn),
    [__HYPERVISOR_xen_version] = ALL_SUBS & ~SUB(XENVER_platform_parameters),
    [__HYPERVISOR_console_io] = ALL_SUBS,
    [__HYPERVISOR_grant_table_op] = SUB(GNTTABOP_map_grant_ref) | SUB(GNTTABOP_unmap_grant_ref) |
                                    SUB(GNTTABOP_unmap_and_replace) | SUB(GNTTABOP_query_size) |
                                    SUB(GNTTABOP_set_version) | SUB(GNTTABOP_get_version) |
                                    SUB(GNTTABOP_swap_grant_ref) | SUB(GNTTABOP_cache_flush),
    [__HYPERVISOR_vm_assist] = ALL_SUBS,
    [__HYPERVISOR_vcpu_op] = SUB(VCPUOP_initialise) | SUB(VCPUOP_up) | SUB(VCPUOP_down) | SUB(VCPUOP_is_up) |
                             SUB(VCPUOP_set_periodic_timer) | SUB(VCPUOP_stop_periodic_timer) |
                             SUB(VCPUOP_stop_singleshot_timer) | SUB(VCPUOP_register_vcpu_info) | SUB(VCPUOP_send_nmi),
    [__HYPERVISOR_sched_op] = ALL_SUBS & ~SUB(SCHEDOP_poll),
    [__HYPERVISOR_event_channel_op] = ALL_SUBS,
    [__HYPERVISOR_hvm_op] = ALL_SUBS,
    [__HYPERVISOR_xenpmu_op] = ALL_SUBS,
};

static bool looks_the_same(const struct hcall *hc)
{
    unsigned int op = (unsigned int)array_index_nospec(hc->op, ARRAY_SIZE(same_layout));
    unsigned long cmd = hc->arg[0];

    if (hc->op >= ARRAY_SIZE(same_layout))
        return false;
    if (op == __HYPERVISOR_memory_op)
        cmd &= SUB(CMD_BITS) - 1;
    return cmd < 64 ? same_layout[op] >> cmd & 1 : same_layout[op] == ALL_SUBS;
}

long hypercall_run_32(struct hcall *hc)
{
    if (hc->op == __HYPERVISOR_set_timer_op) /* its argument has two registers */
        hc->arg[0] |= hc->arg[1] << 32;
    else if (!looks_the_same(hc))
        return -ENOSYS;
    return hypercall_run(hc);
}
