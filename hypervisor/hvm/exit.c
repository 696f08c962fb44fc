// SPDX-License-Identifier: BSD-2-Clause
/*
 * The one switch on why a guest came back. Instructions are completed here: from what the processor tells of them, or,
 * since not every one does, from decoding them.
 */
#include <hv/fpu.h>
#include <hv/hvm.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "lapic.h"

#define OPCODE_MOV_TO_CR   0x22
#define OPCODE_MOV_FROM_CR 0x20
#define OPCODE_MOV_TO_DR   0x23
#define OPCODE_MOV_FROM_DR 0x21
#define OPCODE_CLTS        0x06
#define OPCODE_GROUP_7     0x01
#define GROUP_OP(in)       ((in)->modrm >> 3 & 7)
#define OP_SMSW            4
#define OP_LMSW            6
#define OPCODE_HLT         0xf4

void hvm_inject(struct vcpu *v, unsigned int vector, bool has_error, uint32_t error)
{
    struct hvm_vcpu *h = v->hvm;

    h->exception.valid = true;
    h->exception.vector = (uint8_t)vector;
    h->exception.has_error = has_error;
    h->exception.error = error;
}

static void undefined(struct vcpu *v)
{
    hvm_inject(v, TRAP_UD, false, 0);
}

static void general_protection(struct vcpu *v)
{
    hvm_inject(v, TRAP_GP, true, 0);
}

/* ---- instructions ---- */

/* False: the processor has not told all that is to be known of it. */
static bool told(const struct vmexit *x, struct insn *in)
{
    uint64_t len = x->next - guest_cpu_user_regs()->rip;
    bool dr = x->reason == HVM_EXIT_DR;

    if (!x->next || !len || len > INSN_MAX_LEN)
        return false;
    *in = (struct insn){.len = (uint8_t)len};
    if (x->reason == HVM_EXIT_INVLPG)
        return x->has_operand;
    if (x->reason != HVM_EXIT_CR && !dr)
        return true;
    in->map = 1;
    in->opcode =
        x->mov.to ? (dr ? OPCODE_MOV_TO_DR : OPCODE_MOV_TO_CR) : (dr ? OPCODE_MOV_FROM_DR : OPCODE_MOV_FROM_CR);
    in->reg = x->mov.nr;
    in->rm = x->mov.rm;
    return x->has_operand;
}

/* False: it cannot be read or understood, and the guest has the fault for it. */
static bool decode(struct vcpu *v, const struct vmexit *x, struct insn *in)
{
    uint8_t bytes[INSN_MAX_LEN];
    unsigned int n;

    if (told(x, in))
        return true;
    n = hvm_fetch(v, bytes);
    if (!n)
        return false;
    if (!insn_decode(in, bytes, n, hvm_mode(v)))
        return true;
    undefined(v);
    return false;
}

/* AMD64 manual volume 2, section 13.1.4. The shadow of STI and MOV SS ends with rip, see the back end. */
bool hvm_completed(struct vcpu *v)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    regs->rflags &= ~EFLAGS_RF;
    if (!(regs->rflags & EFLAGS_TF))
        return false;
    v->hvm->dr6 |= HVM_DR6_BS;
    hvm_inject(v, TRAP_DB, false, 0);
    return true;
}

/* True: the guest has a trap. */
static bool advance(struct vcpu *v, const struct insn *in)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    regs->rip += in->len;
    if (hvm_mode(v) != INSN_64)
        regs->rip = (uint32_t)regs->rip;
    return hvm_completed(v);
}

static void on_cpuid(struct vcpu *v, const struct insn *in)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    uint32_t r[4];

    hvm_cpuid(v, (uint32_t)regs->rax, (uint32_t)regs->rcx, r);
    regs->rax = r[0];
    regs->rbx = r[1];
    regs->rcx = r[2];
    regs->rdx = r[3];
    advance(v, in);
}

static void on_hlt(struct vcpu *v, const struct insn *in)
{
    if (advance(v, in))
        return;
    if (!(guest_cpu_user_regs()->rflags & EFLAGS_IF)) {
        hvm_stop_for_good(v);
        return;
    }
    set_bit(VPF_blocked, &v->pause_flags);
    smp_mb();
    if (hvm_interrupt_pending(v))
        clear_bit(VPF_blocked, &v->pause_flags);
    else
        raise_softirq(SOFTIRQ_SCHEDULE);
}

static void on_rdmsr(struct vcpu *v, const struct insn *in)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    uint64_t value;

    if (hvm_read_msr(v, (uint32_t)regs->rcx, &value)) {
        general_protection(v);
        return;
    }
    regs->rax = (uint32_t)value;
    regs->rdx = value >> 32;
    advance(v, in);
}

static void on_wrmsr(struct vcpu *v, const struct insn *in)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    if (hvm_write_msr(v, (uint32_t)regs->rcx, (regs->rdx << 32) | (uint32_t)regs->rax))
        general_protection(v);
    else
        advance(v, in);
}

static void read_cr(struct vcpu *v, unsigned int cr, unsigned int reg)
{
    const struct hvm_vcpu *h = v->hvm;
    uint64_t value = cr == 0 ? h->cr0 : cr == 2 ? h->cr2 : cr == 3 ? h->cr3 : cr == 4 ? h->cr4 : lapic_get_cr8(v);

    insn_write_reg(guest_cpu_user_regs(), reg, hvm_mode(v) == INSN_64 ? 8 : 4, true, value);
}

static int write_cr(struct vcpu *v, unsigned int cr, uint64_t value)
{
    switch (cr) {
    case 0:
        return hvm_set_cr0(v, value);
    case 3:
        return hvm_set_cr3(v, value);
    case 4:
        return hvm_set_cr4(v, value);
    case 8:
        return lapic_set_cr8(v, value);
    default:
        return -EINVAL;
    }
}

static void read_segments(struct vcpu *v, struct emul_segment *seg)
{
    for (unsigned int i = 0; i < SEG_COUNT; i++) {
        struct hvm_segment s;

        hvm_ops->get_segment(v, (enum hvm_seg)i, &s);
        seg[i] = (struct emul_segment){s.base, s.limit, (s.attr & 0x1e) == 0x12, s.attr & SEG_ATTR_D};
    }
}

/*
 * Where an operand of two bytes is. False: it faults, and the guest has the fault. So it has for segments that the
 * emulator does not know (code, none, one that grows down) and around the end of the address space: any program may try
 * these.
 */
static bool locate_word(struct vcpu *v, const struct insn *in, uint64_t *linear)
{
    struct emul_segment seg[SEG_COUNT];
    struct emul e = {.mode = hvm_mode(v), .regs = guest_cpu_user_regs(), .seg = seg};
    struct emul_access a;

    read_segments(v, seg);
    switch (emul_locate(&e, in->seg, insn_address(in, e.regs, e.regs->rip), sizeof(uint16_t), &a)) {
    case EMULATE_DONE:
        *linear = a.linear;
        return true;
    case EMULATE_FAULT:
        hvm_inject(v, e.fault.vector, e.fault.has_error, e.fault.error);
        return false;
    default:
        general_protection(v);
        return false;
    }
}

/* SMSW stores a word, whatever the size of operands, or fills a register of that size. */
static int read_msw(struct vcpu *v, const struct insn *in)
{
    uint64_t linear, cr0 = v->hvm->cr0;

    if (in->mem)
        return locate_word(v, in, &linear) && hvm_store(v, linear, &cr0, sizeof(uint16_t)) ? 0 : -EFAULT;
    insn_write_reg(guest_cpu_user_regs(), in->rm, in->op_bytes, true, cr0);
    return 0;
}

/* LMSW changes the four lowest bits, of which it cannot clear the first. AMD64 manual volume 3, LMSW. */
static int write_msw(struct vcpu *v, const struct insn *in)
{
    uint64_t linear, cr0 = v->hvm->cr0;
    uint16_t word = 0;

    if (!in->mem)
        word = (uint16_t)insn_read_reg(guest_cpu_user_regs(), in->rm, sizeof(word), true);
    else if (!locate_word(v, in, &linear) || !hvm_load(v, linear, &word, sizeof(word)))
        return -EFAULT;
    return hvm_set_cr0(v, (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (word & (CR0_PE | CR0_MP | CR0_EM | CR0_TS)));
}

/*
 * The processor brings user mode here for SMSW only; but what stands there now may be another instruction, stored by
 * another vCPU in between, and that one's privilege nobody has looked at yet.
 */
static bool may_control(const struct vcpu *v, const struct insn *in)
{
    return !hvm_ops->cpl(v) || (in->opcode == OPCODE_GROUP_7 && GROUP_OP(in) == OP_SMSW);
}

/* 0; -EINVAL: #GP; -ENOSYS: it is none of these; -EFAULT: it has its fault. */
static int control(struct vcpu *v, const struct insn *in)
{
    unsigned int native = hvm_mode(v) == INSN_64 ? 8 : 4;

    if (in->map != 1)
        return -ENOSYS;
    if (!may_control(v, in))
        return -EINVAL;
    switch (in->opcode) {
    case OPCODE_MOV_FROM_CR:
        read_cr(v, in->reg, in->rm);
        return 0;
    case OPCODE_MOV_TO_CR:
        return write_cr(v, in->reg, insn_read_reg(guest_cpu_user_regs(), in->rm, native, true));
    case OPCODE_CLTS:
        return hvm_set_cr0(v, v->hvm->cr0 & ~CR0_TS);
    case OPCODE_GROUP_7:
        return GROUP_OP(in) == OP_SMSW ? read_msw(v, in) : GROUP_OP(in) == OP_LMSW ? write_msw(v, in) : -ENOSYS;
    default:
        return -ENOSYS;
    }
}

static void on_cr(struct vcpu *v, const struct insn *in)
{
    switch (control(v, in)) {
    case 0:
        advance(v, in);
        break;
    case -EINVAL:
        general_protection(v);
        break;
    case -ENOSYS:
        undefined(v);
        break;
    }
}

static uint64_t read_dr(const struct hvm_vcpu *h, unsigned int reg)
{
    return reg < 4 ? h->dr[array_index_nospec(reg, 4)] : reg == 7 ? HVM_DR7_RESET : h->dr6;
}

/* False: #GP. */
static bool write_dr(struct hvm_vcpu *h, unsigned int reg, uint64_t value)
{
    if (reg < 4)
        h->dr[array_index_nospec(reg, 4)] = value;
    else if (value >> 32)
        return false;
    else if (reg == 6)
        h->dr6 = (value & HVM_DR6_WRITABLE) | HVM_DR6_RESET;
    return true;
}

static void on_dr(struct vcpu *v, const struct insn *in)
{
    unsigned int bytes = hvm_mode(v) == INSN_64 ? 8 : 4, reg = in->reg;
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    struct hvm_vcpu *h = v->hvm;

    if ((reg == 4 || reg == 5) && !(h->cr4 & CR4_DE))
        reg += 2; /* as on a processor that has no debug extensions */
    if (in->map != 1 || (in->opcode != OPCODE_MOV_TO_DR && in->opcode != OPCODE_MOV_FROM_DR) || reg > 7 || reg == 4 ||
        reg == 5) {
        undefined(v);
        return;
    }
    if (in->opcode == OPCODE_MOV_FROM_DR)
        insn_write_reg(regs, in->rm, bytes, true, read_dr(h, reg));
    else if (!write_dr(h, reg, insn_read_reg(regs, in->rm, bytes, true))) {
        general_protection(v);
        return;
    }
    advance(v, in);
}

static void on_xsetbv(struct vcpu *v, const struct insn *in)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    if (hvm_ops->cpl(v) || (uint32_t)regs->rcx || !fpu_set_xcr0(v, (regs->rdx << 32) | (uint32_t)regs->rax))
        general_protection(v);
    else
        advance(v, in);
}

static uint64_t operand_of_invlpg(const struct vcpu *v, const struct insn *in)
{
    const struct cpu_user_regs *regs = guest_cpu_user_regs();
    uint64_t linear = insn_address(in, regs, regs->rip);
    struct hvm_segment s;

    hvm_ops->get_segment(v, (enum hvm_seg)in->seg, &s);
    if (hvm_mode(v) != INSN_64)
        return (uint32_t)(s.base + linear);
    return in->seg >= SEG_FS ? linear + s.base : linear;
}

/* All translations go: a large page may be in several entries of the TLB. */
static void on_invlpg(struct vcpu *v, const struct vmexit *x, const struct insn *in)
{
    if (!shadow_invlpg(&v->hvm->shadow, x->has_operand ? x->linear : operand_of_invlpg(v, in)))
        v->hvm->paging_due = true;
    hvm_forget_translations(v->hvm);
    advance(v, in);
}

static void on_instruction(struct vcpu *v, const struct vmexit *x)
{
    struct insn in;

    if (!decode(v, x, &in))
        return;
    switch (x->reason) {
    case HVM_EXIT_CPUID:
        on_cpuid(v, &in);
        break;
    case HVM_EXIT_HLT:
        on_hlt(v, &in);
        break;
    case HVM_EXIT_RDMSR:
        on_rdmsr(v, &in);
        break;
    case HVM_EXIT_WRMSR:
        on_wrmsr(v, &in);
        break;
    case HVM_EXIT_CR:
        on_cr(v, &in);
        break;
    case HVM_EXIT_DR:
        on_dr(v, &in);
        break;
    case HVM_EXIT_XSETBV:
        on_xsetbv(v, &in);
        break;
    case HVM_EXIT_INVLPG:
        on_invlpg(v, x, &in);
        break;
    default:
        advance(v, &in);
    }
}

/* ---- others ---- */

/*
 * It came back for the host's sake. HLT under the shadow of STI is completed at once: an emulated processor that
 * forgets the shadow when the guest is entered again would take an interrupt before HLT, which then waits for another.
 */
static void on_nothing(struct vcpu *v)
{
    static const struct insn hlt = {.opcode = OPCODE_HLT, .len = 1};
    uint8_t bytes[INSN_MAX_LEN];

    if (hvm_ops->in_shadow(v) && !hvm_ops->cpl(v) && hvm_fetch(v, bytes) && bytes[0] == OPCODE_HLT)
        on_hlt(v, &hlt);
}

static void on_hypercall(struct vcpu *v)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    unsigned long rip = regs->rip;

    if (hvm_ops->cpl(v) || !(v->hvm->cr0 & CR0_PE)) {
        regs->rax = (unsigned long)-EPERM;
        regs->rip += 3;
    } else if (hvm_mode(v) == INSN_64) {
        hvm_hypercall(regs);
    } else {
        hvm_hypercall_32(regs);
    }
    if (regs->rip == rip + 3)
        hvm_completed(v);
}

/* False: it did nothing, and cannot be completed. */
static bool emulate(struct vcpu *v, const struct vmexit *x, bool loads)
{
    struct emul_segment seg[SEG_COUNT];
    struct emul e = {.mode = hvm_mode(v),
                     .loads = loads,
                     .regs = guest_cpu_user_regs(),
                     .seg = seg,
                     .bytes = x->bytes,
                     .fetched = x->fetched};
    bool user = hvm_ops->cpl(v) == 3;
    enum emulate_result rc;

    read_segments(v, seg);
    rc = shadow_emulate(&v->hvm->shadow, &e, user, e.regs->rflags & EFLAGS_AC);
    if (rc == EMULATE_FAULT) {
        if (e.fault.vector == TRAP_PF)
            v->hvm->cr2 = e.fault.linear;
        hvm_inject(v, e.fault.vector, e.fault.has_error, e.fault.error);
    }
    if (e.single_step)
        hvm_completed(v);
    return rc != EMULATE_UNHANDLED;
}

/*
 * What is stored when an event is delivered is not the instruction's. What is not emulated hardware does, once the
 * table is none any more, or an entry of the supervisor's lets it past WP.
 */
static void emulate_protected_store(struct vcpu *v, const struct vmexit *x, struct shadow_fault *f)
{
    enum shadow_result r = SHADOW_EMULATE;

    if (!hvm_ops->in_delivery(v) && emulate(v, x, false))
        return;
    if (!f->table) {
        f->not_emulated = true;
        r = shadow_fault(&v->hvm->shadow, f);
    }
    if (f->table)
        (void)shadow_give_up(&v->hvm->shadow, guest_cpu_user_regs(), f->gpa);
    else if (r == SHADOW_EMULATE)
        domain_crash(v->domain, "store to %lx, which is watched, by an instruction that is not emulated", f->gpa.n);
}

/*
 * Code that is all ones is no instruction. What is not emulated, or stored by the delivery of an event, faults: any
 * program that was given a piece of a device's memory may try that, and is no reason to end the guest.
 */
static void no_memory(struct vcpu *v, const struct vmexit *x, gpa_t at, uint32_t access)
{
    if (access & PFEC_I)
        undefined(v);
    else if (hvm_ops->in_delivery(v) || !emulate(v, x, true)) {
        gprintk("access to %lx, where no memory is, by an instruction that is not emulated\n", at.n);
        general_protection(v);
    }
}

/*
 * EFLAGS.AC exempts what an instruction of the supervisor accesses, not what a processor looks up by itself: descriptor
 * tables and the like. In user mode, where any program can set AC, a supervisor's access is such a one. Elsewhere a
 * read is that failed though an entry was there: nothing but SMAP refuses those. AMD64 manual, volume 2, section 5.6.6.
 */
static bool exempt_from_smap(const struct vcpu *v, uint32_t error)
{
    bool refused = (error & (PFEC_P | PFEC_W | PFEC_I)) == PFEC_P;

    return (guest_cpu_user_regs()->rflags & EFLAGS_AC) && hvm_ops->cpl(v) != 3 && !refused;
}

static void on_page_fault(struct vcpu *v, const struct vmexit *x)
{
    struct shadow_fault f = {
        .linear = x->linear,
        .access = x->error & (PFEC_W | PFEC_U | PFEC_I),
        .smap_exempt = exempt_from_smap(v, x->error),
    };

    switch (shadow_fault(&v->hvm->shadow, &f)) {
    case SHADOW_FIXED:
        break;
    case SHADOW_REFLECT:
        v->hvm->cr2 = x->linear;
        hvm_inject(v, TRAP_PF, true, f.error);
        break;
    case SHADOW_EMULATE:
        emulate_protected_store(v, x, &f);
        break;
    case SHADOW_MMIO:
        no_memory(v, x, f.gpa, f.access);
        break;
    case SHADOW_NOMEM:
        domain_crash(v->domain, "its shadow memory is too small");
    }
}

/* The P2M has changed since, unless that is no access that can be had there. */
static void on_nested_fault(struct vcpu *v, const struct vmexit *x)
{
    struct p2m_entry e = p2m_lookup(v->domain, _gfn(x->gpa.n >> PAGE_SHIFT));

    if ((x->error & PFEC_W) && e.type == P2M_LOGDIRTY)
        p2m_stored(v->domain, _gfn(x->gpa.n >> PAGE_SHIFT));
    if (!p2m_refuses(e.type, x->error & PFEC_W, x->error & PFEC_I))
        return;
    (void)hvm_paging(v);
    no_memory(v, x, x->gpa, x->error);
}

void hvm_exit(struct vcpu *v, const struct vmexit *x)
{
    switch (x->reason) {
    case HVM_EXIT_NOTHING:
        on_nothing(v);
        break;
    case HVM_EXIT_PAGE_FAULT:
        on_page_fault(v, x);
        break;
    case HVM_EXIT_NESTED_FAULT:
        on_nested_fault(v, x);
        break;
    case HVM_EXIT_EXCEPTION:
        hvm_inject(v, x->vector, x->has_error, x->error);
        break;
    case HVM_EXIT_HYPERCALL:
        on_hypercall(v);
        break;
    case HVM_EXIT_IO:
        hvm_io(v, x);
        break;
    case HVM_EXIT_UNDEFINED:
        undefined(v);
        break;
    case HVM_EXIT_PRIVILEGED:
        general_protection(v);
        break;
    case HVM_EXIT_TRIPLE_FAULT:
        hvm_triple_fault(v);
        break;
    case HVM_EXIT_FATAL:
        domain_crash(v->domain, "vCPU %u: exit %lx of hardware", v->vcpu_id, x->code);
        break;
    default:
        on_instruction(v, x);
    }
}
