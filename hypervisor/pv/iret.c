/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IRET hypercall: the guest kernel's way back to user mode, and to itself when it has to unmask events atomically.
 * All arguments lie on the kernel stack (struct iret_context). CS and SS get RPL 3, flags that give power are dropped;
 * what is still wrong then (selectors, address) makes our own IRETQ fault, which becomes a failsafe callback.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include "internal.h"

static void load_context(struct cpu_user_regs *regs, const struct iret_context *c)
{
    regs->rip = c->rip;
    regs->rflags = pv_guest_rflags(c->rflags);
    regs->rsp = c->rsp;
    regs->cs = (uint16_t)c->cs | 3;
    regs->ss = (uint16_t)c->ss | 3;
    regs->rax = c->rax;
    if (c->flags & VGCF_in_syscall) {
        /* As SYSRET leaves them. */
        regs->cs = regs->cs == FLAT_RING3_CS32 ? FLAT_RING3_CS32 : FLAT_RING3_CS64;
        regs->ss = FLAT_RING3_SS64;
        regs->rcx = regs->rip;
        regs->r11 = regs->rflags;
    } else {
        regs->rcx = c->rcx;
        regs->r11 = c->r11;
    }
}

long do_iret(struct hcall *hc)
{
    struct vcpu *v = current;
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    struct iret_context c;

    if (copy_from_guest(&c, guest_ptr(struct iret_context, regs->rsp), 1)) {
        domain_crash(v->domain, "IRET hypercall: cannot read the frame at %lx", regs->rsp);
        return 0;
    }
    if ((c.cs & 3) == 3) {
        if (mfn_eq(v->pv.l4_user, INVALID_MFN)) {
            domain_crash(v->domain, "IRET hypercall to user mode without user page tables");
            return 0;
        }
        pv_toggle_mode(v);
    }
    load_context(regs, &c);
    if (v->domain->vm_assist & (1ul << VMASST_TYPE_architectural_iopl))
        v->pv.iopl = (c.rflags & EFLAGS_IOPL) >> 12;
    v->pv.nmi_masked = false;
    WRITE_ONCE(v->vcpu_info->evtchn_upcall_mask, !(c.rflags & EFLAGS_IF));
    return (long)regs->rax;
}
