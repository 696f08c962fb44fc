// SPDX-License-Identifier: BSD-2-Clause
/*
 * A vCPU's registers as the ABI's record of a PV vCPU has them, for tools that look at any guest: xenctx. They are not
 * set that way.
 */
#include <hv/fpu.h>
#include <hv/x86.h>
#include "state.h"

static uint64_t base_of(const struct vcpu *v, enum hvm_seg seg)
{
    struct hvm_segment s;

    hvm_ops->get_segment(v, seg, &s);
    return s.base;
}

static uint16_t selector_of(const struct vcpu *v, enum hvm_seg seg)
{
    struct hvm_segment s;

    hvm_ops->get_segment(v, seg, &s);
    return s.sel;
}

static void selectors(const struct vcpu *v, struct cpu_user_regs *r)
{
    r->cs = selector_of(v, HVM_CS);
    r->ss = selector_of(v, HVM_SS);
    r->ds = selector_of(v, HVM_DS);
    r->es = selector_of(v, HVM_ES);
    r->fs = selector_of(v, HVM_FS);
    r->gs = selector_of(v, HVM_GS);
}

static void bases(const struct vcpu *v, bool kernel, struct vcpu_guest_context *c)
{
    uint64_t hidden = 0;

    hvm_ops->read_msr(v, MSR_KERNEL_GS_BASE, &hidden);
    c->fs_base = base_of(v, HVM_FS);
    c->gs_base_kernel = kernel ? base_of(v, HVM_GS) : hidden;
    c->gs_base_user = kernel ? hidden : base_of(v, HVM_GS);
}

static void control_and_debug(const struct hvm_vcpu *h, struct vcpu_guest_context *c)
{
    c->ctrlreg[0] = h->cr0;
    c->ctrlreg[2] = h->cr2;
    c->ctrlreg[3] = h->cr3;
    c->ctrlreg[4] = h->cr4;
    memcpy(c->debugreg, h->dr, sizeof(h->dr));
    c->debugreg[6] = h->dr6;
    c->debugreg[7] = HVM_DR7_RESET;
}

void hvm_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    bool kernel;

    hvm_start_if_told(v);
    kernel = !hvm_ops->cpl(v);
    memset(c, 0, sizeof(*c));
    c->flags =
        VGCF_I387_VALID | (kernel ? VGCF_in_kernel : 0) | (test_bit(VPF_down, &v->pause_flags) ? 0 : VGCF_online);
    c->user_regs = v->regs;
    c->user_regs.entry_vector = 0;
    c->user_regs.error_code = 0;
    selectors(v, &c->user_regs);
    bases(v, kernel, c);
    control_and_debug(v->hvm, c);
    fpu_export_legacy(v, &c->fpu_ctxt);
}
