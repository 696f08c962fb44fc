// SPDX-License-Identifier: BSD-2-Clause
/*
 * A vCPU's registers as the ABI's record of them, in both directions, and the first ones as VCPUOP_initialise gives
 * them. Nothing is taken over unless all of it is possible.
 */
#include <hv/fpu.h>
#include <hv/x86.h>
#include <xen/hvm/hvm_vcpu.h>
#include "lapic.h"
#include "state.h"

#define SEG_ATTR_ALL 0xfffu
#define SEG_ATTR_DPL (3u << 5)
#define EFLAGS_ALL   0x3f7fd7ul /* those that there are */

#define EXCEPTIONS_WITH_ERROR \
    (1u << TRAP_DF | 1u << TRAP_TS | 1u << TRAP_NP | 1u << TRAP_SS | 1u << TRAP_GP | 1u << TRAP_PF | 1u << TRAP_AC)

/* pending_type */
enum {
    HVM_EVENT_TYPE_INTERRUPT = 0,
    HVM_EVENT_TYPE_NMI = 2,
    HVM_EVENT_TYPE_EXCEPTION = 3,
    HVM_EVENT_TYPE_INT_N = 4,
    HVM_EVENT_TYPE_ICEBP = 5,
    HVM_EVENT_TYPE_INT3 = 6, /* and INTO */
};

/* Delivered by an instruction, at which rip still stands. */
static bool by_instruction(const struct hvm_hw_cpu *c)
{
    return c->pending_type >= HVM_EVENT_TYPE_INT_N && c->pending_type <= HVM_EVENT_TYPE_INT3;
}

/* Fields of a segment in the record, by its name there; a table has no selector and no attributes. */
#define SEGMENTS(segment, table)                                                                        \
    segment(HVM_ES, es) segment(HVM_CS, cs) segment(HVM_SS, ss) segment(HVM_DS, ds) segment(HVM_FS, fs) \
        segment(HVM_GS, gs) segment(HVM_LDTR, ldtr) segment(HVM_TR, tr) table(HVM_GDTR, gdtr) table(HVM_IDTR, idtr)

/* MSRs with fields of their own, which the back end keeps. */
static const struct {
    uint32_t msr;
    uint16_t offset;
    bool address;
} msr_fields[] = {
    {MSR_STAR, offsetof(struct hvm_hw_cpu, msr_star), false},
    {MSR_LSTAR, offsetof(struct hvm_hw_cpu, msr_lstar), true},
    {MSR_CSTAR, offsetof(struct hvm_hw_cpu, msr_cstar), true},
    {MSR_SYSCALL_MASK, offsetof(struct hvm_hw_cpu, msr_syscall_mask), false},
    {MSR_KERNEL_GS_BASE, offsetof(struct hvm_hw_cpu, shadow_gs), true},
    {MSR_SYSENTER_CS, offsetof(struct hvm_hw_cpu, sysenter_cs), false},
    {MSR_SYSENTER_ESP, offsetof(struct hvm_hw_cpu, sysenter_esp), true},
    {MSR_SYSENTER_EIP, offsetof(struct hvm_hw_cpu, sysenter_eip), true},
};

/* ---- check ---- */

static bool segments_ok(const struct hvm_hw_cpu *c)
{
#define SEGMENT_OK(seg, name)                                                                        \
    if (c->name##_sel >> 16 || (c->name##_arbytes & ~SEG_ATTR_ALL) || !is_canonical(c->name##_base)) \
        return false;
#define TABLE_OK(seg, name)                                     \
    if (c->name##_limit >> 16 || !is_canonical(c->name##_base)) \
        return false;
    SEGMENTS(SEGMENT_OK, TABLE_OK)
    return true;
}

static bool msrs_ok(const struct hvm_hw_cpu *c)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(msr_fields); i++)
        if (msr_fields[i].address && !is_canonical(*(const uint64_t *)((const uint8_t *)c + msr_fields[i].offset)))
            return false;
    return !(c->msr_syscall_mask >> 32) && !(c->msr_tsc_aux >> 32) && (cpu_features.rdtscp || !c->msr_tsc_aux);
}

static bool exception_ok(unsigned int vector, bool has_error)
{
    return vector < 32 && vector != TRAP_NMI && (!has_error || (EXCEPTIONS_WITH_ERROR >> vector & 1));
}

static bool event_ok(const struct hvm_hw_cpu *c)
{
    if (!c->pending_valid)
        return true;
    if (c->pending_reserved || (c->pending_error_valid && c->pending_type != HVM_EVENT_TYPE_EXCEPTION))
        return false;
    switch (c->pending_type) {
    case HVM_EVENT_TYPE_INTERRUPT:
        return c->pending_vector >= 16;
    case HVM_EVENT_TYPE_NMI:
        return c->pending_vector == TRAP_NMI;
    case HVM_EVENT_TYPE_EXCEPTION:
        return exception_ok(c->pending_vector, c->pending_error_valid);
    default:
        return by_instruction(c);
    }
}

static bool registers_ok(const struct hvm_hw_cpu *c)
{
    bool lma = c->msr_efer & EFER_LMA;
    uint32_t mxcsr;

    memcpy(&mxcsr, c->fpu_regs + MXCSR_OFFSET, sizeof(mxcsr));
    if (c->pad0 || (c->flags & ~XEN_X86_FPU_INITIALISED) || (c->flags && (mxcsr & ~MXCSR_MASK_OK)))
        return false;
    if ((c->rflags & ~EFLAGS_ALL) || c->dr6 >> 32 || c->dr7 >> 32)
        return false;
    return !lma || (!(c->rflags & EFLAGS_VM) && !((c->cs_arbytes & SEG_ATTR_L) && (c->cs_arbytes & SEG_ATTR_D)));
}

/* Loads them one after the other, as a processor would. */
static int set_control(struct vcpu *v, const struct hvm_hw_cpu *c)
{
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
    return rc;
}

/* What control registers would be, PAE's roots among them. */
static int check_control(struct vcpu *v, const struct hvm_hw_cpu *c, struct hvm_control *control)
{
    struct hvm_control old = hvm_get_control(v->hvm);
    const struct hvm_segment none = {0};
    struct hvm_segment cs;
    int rc;

    hvm_ops->get_segment(v, HVM_CS, &cs);
    hvm_ops->set_segment(v, HVM_CS, &none); /* paging may not be turned on from 64-bit code, which this is not */
    rc = set_control(v, c);
    *control = hvm_get_control(v->hvm);
    hvm_put_control(v->hvm, &old);
    hvm_paging_changed(v);
    hvm_ops->set_segment(v, HVM_CS, &cs);
    return rc;
}

int hvm_check_cpu(struct vcpu *v, const struct hvm_hw_cpu *c, struct hvm_control *control)
{
    if (!registers_ok(c) || !segments_ok(c) || !msrs_ok(c) || !event_ok(c))
        return -EINVAL;
    return check_control(v, c, control);
}

/* ---- load ---- */

static void load_segments(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    struct hvm_segment s;

#define LOAD_SEGMENT(seg, name)                                                                                      \
    s = (struct hvm_segment){(uint16_t)c->name##_sel, (uint16_t)c->name##_arbytes, c->name##_limit, c->name##_base}; \
    hvm_ops->set_segment(v, seg, &s);
#define LOAD_TABLE(seg, name)                                                   \
    s = (struct hvm_segment){.limit = c->name##_limit, .base = c->name##_base}; \
    hvm_ops->set_segment(v, seg, &s);
    SEGMENTS(LOAD_SEGMENT, LOAD_TABLE)
}

static void load_registers(struct vcpu *v, const struct hvm_hw_cpu *c)
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

/* DR7 is kept by nobody: no breakpoint is ever set. */
static void load_msrs(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(msr_fields); i++)
        hvm_ops->write_msr(v, msr_fields[i].msr, *(const uint64_t *)((const uint8_t *)c + msr_fields[i].offset));
    v->hvm->tsc_aux = (uint32_t)c->msr_tsc_aux;
    v->hvm->dr[0] = c->dr0;
    v->hvm->dr[1] = c->dr1;
    v->hvm->dr[2] = c->dr2;
    v->hvm->dr[3] = c->dr3;
    v->hvm->dr6 = (c->dr6 & HVM_DR6_WRITABLE) | HVM_DR6_RESET;
}

/* An event that an instruction made comes again when that is executed again. */
static void load_event(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    v->hvm->exception.valid = false;
    v->nmi_pending = false;
    hvm_ops->clear_events(v);
    if (c->pending_valid && !by_instruction(c))
        hvm_ops->set_event(v, c->pending_event | (uint64_t)c->error_code << 32);
}

void hvm_load_cpu(struct vcpu *v, const struct hvm_hw_cpu *c, const struct hvm_control *control)
{
    hvm_put_control(v->hvm, control);
    hvm_paging_changed(v);
    v->hvm->cr2 = c->cr2;
    v->hvm->lapic->start = 0;
    load_segments(v, c);
    load_registers(v, c);
    load_msrs(v, c);
    load_event(v, c);
    if (c->flags & XEN_X86_FPU_INITIALISED)
        fpu_import_legacy(v, c->fpu_regs);
    else
        fpu_reset(v);
}

/* ---- save ---- */

static void save_segments(const struct vcpu *v, struct hvm_hw_cpu *c)
{
    struct hvm_segment s;

#define SAVE_SEGMENT(seg, name)       \
    hvm_ops->get_segment(v, seg, &s); \
    c->name##_sel = s.sel;            \
    c->name##_arbytes = s.attr;       \
    c->name##_limit = s.limit;        \
    c->name##_base = s.base;
#define SAVE_TABLE(seg, name)         \
    hvm_ops->get_segment(v, seg, &s); \
    c->name##_limit = s.limit;        \
    c->name##_base = s.base;
    SEGMENTS(SAVE_SEGMENT, SAVE_TABLE)
    /* The record tells the privilege there; hardware keeps it apart. */
    c->ss_arbytes = (c->ss_arbytes & ~SEG_ATTR_DPL) | hvm_ops->cpl(v) << 5;
}

static void save_msrs(const struct vcpu *v, struct hvm_hw_cpu *c)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(msr_fields); i++)
        hvm_ops->read_msr(v, msr_fields[i].msr, (uint64_t *)((uint8_t *)c + msr_fields[i].offset));
    c->msr_tsc_aux = v->hvm->tsc_aux;
    c->tsc = v->domain->hvm.save_tsc + v->hvm->tsc_offset;
    c->dr0 = v->hvm->dr[0];
    c->dr1 = v->hvm->dr[1];
    c->dr2 = v->hvm->dr[2];
    c->dr3 = v->hvm->dr[3];
    c->dr6 = v->hvm->dr6;
    c->dr7 = HVM_DR7_RESET;
}

static void save_registers(const struct cpu_user_regs *r, struct hvm_hw_cpu *c)
{
    c->rax = r->rax;
    c->rbx = r->rbx;
    c->rcx = r->rcx;
    c->rdx = r->rdx;
    c->rbp = r->rbp;
    c->rsi = r->rsi;
    c->rdi = r->rdi;
    c->rsp = r->rsp;
    c->r8 = r->r8;
    c->r9 = r->r9;
    c->r10 = r->r10;
    c->r11 = r->r11;
    c->r12 = r->r12;
    c->r13 = r->r13;
    c->r14 = r->r14;
    c->r15 = r->r15;
    c->rip = r->rip;
    c->rflags = r->rflags;
}

void hvm_save_cpu(struct vcpu *v, struct hvm_hw_cpu *c)
{
    const struct hvm_vcpu *h = v->hvm;
    uint64_t event = hvm_ops->get_event(v);

    *c = (struct hvm_hw_cpu){
        .cr0 = h->cr0,
        .cr2 = h->cr2,
        .cr3 = h->cr3,
        .cr4 = h->cr4,
        .msr_efer = h->efer,
        .pending_event = (uint32_t)event,
        .error_code = (uint32_t)(event >> 32),
        .flags = XEN_X86_FPU_INITIALISED,
    };
    save_registers(&v->regs, c);
    save_segments(v, c);
    save_msrs(v, c);
    fpu_export_legacy(v, c->fpu_regs);
}

/* ---- VCPUOP_initialise ---- */

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
    struct hvm_control control;
    struct hvm_hw_cpu c;
    int rc;

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
    rc = hvm_check_cpu(v, &c, &control);
    if (rc)
        return rc;
    hvm_load_cpu(v, &c, &control);
    hvm_sync_tsc(v);
    v->is_initialised = true;
    return 0;
}
