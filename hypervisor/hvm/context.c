// SPDX-License-Identifier: BSD-2-Clause
/* A vCPU's state from the ABI's record. Nothing is taken over unless all of it is possible. */
#include <hv/fpu.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/save.h>
#include "lapic.h"

static struct hvm_segment segment(uint32_t sel, uint32_t limit, uint64_t base, uint32_t attr)
{
    return (struct hvm_segment){(uint16_t)sel, (uint16_t)(attr & 0xfff), limit, base};
}

static void set_segments(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    const struct hvm_segment s[HVM_SEGS] = {
        [HVM_ES] = segment(c->es_sel, c->es_limit, c->es_base, c->es_arbytes),
        [HVM_CS] = segment(c->cs_sel, c->cs_limit, c->cs_base, c->cs_arbytes),
        [HVM_SS] = segment(c->ss_sel, c->ss_limit, c->ss_base, c->ss_arbytes),
        [HVM_DS] = segment(c->ds_sel, c->ds_limit, c->ds_base, c->ds_arbytes),
        [HVM_FS] = segment(c->fs_sel, c->fs_limit, c->fs_base, c->fs_arbytes),
        [HVM_GS] = segment(c->gs_sel, c->gs_limit, c->gs_base, c->gs_arbytes),
        [HVM_GDTR] = segment(0, c->gdtr_limit, c->gdtr_base, 0),
        [HVM_LDTR] = segment(c->ldtr_sel, c->ldtr_limit, c->ldtr_base, c->ldtr_arbytes),
        [HVM_IDTR] = segment(0, c->idtr_limit, c->idtr_base, 0),
        [HVM_TR] = segment(c->tr_sel, c->tr_limit, c->tr_base, c->tr_arbytes),
    };

    for (unsigned int i = 0; i < HVM_SEGS; i++)
        hvm_ops->set_segment(v, (enum hvm_seg)i, &s[i]);
}

static void set_registers(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    v->regs = (struct cpu_user_regs){
        .rax = c->rax,
        .rbx = c->rbx,
        .rcx = c->rcx,
        .rdx = c->rdx,
        .rbp = c->rbp,
        .rsi = c->rsi,
        .rdi = c->rdi,
        .rsp = c->rsp,
        .r8 = c->r8,
        .r9 = c->r9,
        .r10 = c->r10,
        .r11 = c->r11,
        .r12 = c->r12,
        .r13 = c->r13,
        .r14 = c->r14,
        .r15 = c->r15,
        .rip = c->rip,
        .rflags = c->rflags | EFLAGS_MBS,
    };
}

static int set_control(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    struct hvm_control old = hvm_get_control(v->hvm);
    int rc;

    v->hvm->cr0 = CR0_ET;
    v->hvm->efer = 0;
    rc = hvm_set_efer(v, c->msr_efer & ~EFER_LMA);
    if (!rc)
        rc = hvm_set_cr4(v, c->cr4);
    if (!rc)
        rc = hvm_set_cr3(v, c->cr3);
    if (!rc)
        rc = hvm_set_cr0(v, c->cr0);
    if (!rc && (v->hvm->efer & EFER_LMA))
        rc = hvm_set_cr3(v, c->cr3); /* all of it: before long mode it had 32 bits */
    if (!rc && v->hvm->efer != c->msr_efer)
        rc = -EINVAL;
    if (rc) {
        hvm_put_control(v->hvm, &old);
        hvm_paging_changed(v);
    }
    return rc;
}

static int load(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    const struct hvm_segment none = {0};
    struct hvm_segment cs;
    int rc;

    hvm_ops->get_segment(v, HVM_CS, &cs);
    hvm_ops->set_segment(v, HVM_CS, &none); /* paging may not be turned on from 64-bit code, which this is not */
    rc = set_control(v, c);
    if (rc) {
        hvm_ops->set_segment(v, HVM_CS, &cs);
        return rc;
    }
    v->hvm->cr2 = c->cr2;
    v->hvm->exception.valid = false;
    v->hvm->lapic->start = 0;
    hvm_ops->clear_events(v);
    set_segments(v, c);
    set_registers(v, c);
    if (c->flags & XEN_X86_FPU_INITIALISED)
        fpu_import_legacy(v, c->fpu_regs);
    v->is_initialised = true;
    return 0;
}

int hvm_set_context(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    int rc = load(v, c);

    if (!rc) {
        clear_bit(VPF_down, &v->pause_flags);
        vcpu_wake(v);
    }
    return rc;
}

static void registers_32(const struct vcpu_hvm_x86_32 *r, struct hvm_hw_cpu *c)
{
    *c = (struct hvm_hw_cpu){
        .rax = r->eax,
        .rcx = r->ecx,
        .rdx = r->edx,
        .rbx = r->ebx,
        .rsp = r->esp,
        .rbp = r->ebp,
        .rsi = r->esi,
        .rdi = r->edi,
        .rip = r->eip,
        .rflags = r->eflags,
        .cr0 = r->cr0,
        .cr3 = r->cr3,
        .cr4 = r->cr4,
        .msr_efer = r->efer,
        .cs_base = r->cs_base,
        .ds_base = r->ds_base,
        .ss_base = r->ss_base,
        .es_base = r->es_base,
        .tr_base = r->tr_base,
        .cs_limit = r->cs_limit,
        .ds_limit = r->ds_limit,
        .ss_limit = r->ss_limit,
        .es_limit = r->es_limit,
        .tr_limit = r->tr_limit,
        .cs_arbytes = r->cs_ar,
        .ds_arbytes = r->ds_ar,
        .ss_arbytes = r->ss_ar,
        .es_arbytes = r->es_ar,
        .tr_arbytes = r->tr_ar,
    };
}

static void registers_64(const struct vcpu_hvm_x86_64 *r, struct hvm_hw_cpu *c)
{
    *c = (struct hvm_hw_cpu){
        .rax = r->rax,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rbx = r->rbx,
        .rsp = r->rsp,
        .rbp = r->rbp,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .rip = r->rip,
        .rflags = r->rflags,
        .cr0 = r->cr0,
        .cr3 = r->cr3,
        .cr4 = r->cr4,
        .msr_efer = r->efer,
        .cs_limit = ~0u,
        .ds_limit = ~0u,
        .ss_limit = ~0u,
        .es_limit = ~0u,
        .tr_limit = 0x67,
        .cs_arbytes = 0xa9b,
        .ds_arbytes = 0xc93,
        .ss_arbytes = 0xc93,
        .es_arbytes = 0xc93,
        .tr_arbytes = 0x8b,
    };
}

int hvm_set_start(struct vcpu *v, const struct vcpu_hvm_context *s)
{
    struct hvm_hw_cpu c;

    if (s->pad)
        return -EINVAL;
    if (s->mode == VCPU_HVM_MODE_32B)
        registers_32(&s->cpu_regs.x86_32, &c);
    else if (s->mode == VCPU_HVM_MODE_64B && (s->cpu_regs.x86_64.efer & EFER_LMA))
        registers_64(&s->cpu_regs.x86_64, &c);
    else
        return -EINVAL;
    c.fs_limit = c.gs_limit = ~0u;
    c.fs_arbytes = c.gs_arbytes = 0xc93;
    c.ldtr_arbytes = 0x82;
    return load(v, &c);
}
