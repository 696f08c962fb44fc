/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of older interfaces that are the newer ones in another form: the command in a structure in front of its
 * argument, or the argument itself instead of a pointer. Source: <xen/sched.h>, <xen/event_channel.h>,
 * <xen/physdev.h>.
 */
#include "dispatch.h"

#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <xen/event_channel.h>
#include <xen/physdev.h>

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
