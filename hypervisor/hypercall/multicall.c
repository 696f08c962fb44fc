/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multicall: a list of hypercalls in guest memory, run in order. Each entry is copied once, its result stored before
 * the next. Between entries the call may be preempted; an entry that restarts has its progress written back and is
 * continued with the rest of the list. Multicalls do not nest, and calls that change the entry frame (iret) are refused
 * inside one.
 */
#include "dispatch.h"

#include <hv/guest_copy.h>
#include <hv/sched.h>
#include <hv/stretch.h>

/* Asked of the number as it will be dispatched: the upper half of the guest's word is not looked at there either. */
static bool may_nest(unsigned int op)
{
    return op != __HYPERVISOR_multicall && op != __HYPERVISOR_iret;
}

/* Restarts the multicall at entry pointer g with n entries left. */
static long restart_at(struct hcall *hc, const multicall_entry_t *g, unsigned long n)
{
    hc->arg[0] = (unsigned long)g;
    hc->arg[1] = n;
    return hypercall_restart(hc);
}

/* 0: done, go on; -ERESTART: progress is stored in the guest's entry; -EFAULT. */
static int run_entry(multicall_entry_t *g)
{
    multicall_entry_t e;
    struct hcall sub = {0};

    if (copy_from_guest(&e, g, 1))
        return -EFAULT;
    sub.op = (unsigned int)e.op;
    memcpy(sub.arg, e.args, sizeof(sub.arg));
    e.result = may_nest(sub.op) ? (xen_ulong_t)hypercall_run(&sub) : (xen_ulong_t)-EINVAL;
    if (sub.restart)
        return guest_copy_to(&g->args, sub.arg, sizeof(sub.arg)) ? -EFAULT : -ERESTART;
    return copy_field_to_guest(g, &e, result);
}

long do_multicall(struct hcall *hc)
{
    multicall_entry_t *g = guest_ptr(multicall_entry_t, hc->arg[0]);

    for (uint32_t n = (uint32_t)hc->arg[1]; n; n--, g++) {
        uint32_t before = stretch_request();
        int rc = run_entry(g);

        if (rc == -ERESTART)
            return restart_at(hc, g, n);
        if (rc)
            return rc;
        if (current->domain->is_shutting_down)
            return 0;
        stretch_request_done(before);
        if (n > 1 && preempt_needed())
            return restart_at(hc, g + 1, n - 1);
    }
    return 0;
}
