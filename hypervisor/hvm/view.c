// SPDX-License-Identifier: BSD-2-Clause
/*
 * A vCPU's registers as the ABI's record of a PV vCPU has them, for tools that look at any guest: xenctx. They are not
 * set that way.
 */
#include <hv/fpu.h>
#include <hv/x86.h>
#include "state.h"

static struct hvm_segment segment(const struct vcpu *v, enum hvm_seg seg)
{
    struct hvm_segment s;

    hvm_ops->get_segment(v, seg, &s);
    return s;
}

static void selectors(const struct vcpu *v, struct cpu_user_regs *r)
{
    r->cs = segment(v, HVM_CS).sel;
    r->ss = segment(v, HVM_SS).sel;
    r->ds = segment(v, HVM_DS).sel;
    r->es = segment(v, HVM_ES).sel;
    r->fs = segment(v, HVM_FS).sel;
    r->gs = segment(v, HVM_GS).sel;
}

static void bases(const struct vcpu *v, bool kernel, struct vcpu_guest_context *c)
{
    uint64_t hidden = 0;

    hvm_ops->read_msr(v, MSR_KERNEL_GS_BASE, &hidden);
    c->fs_base = segment(v, HVM_FS).base;
    c->gs_base_kernel = kernel ? segment(v, HVM_GS).base : hidden;
    c->gs_base_user = kernel ? hidden : segment(v, HVM_GS).base;
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
