// SPDX-License-Identifier: BSD-2-Clause
/*
 * AMD's virtualisation: switched on for each CPU, one control block for each vCPU. Only what must come back does:
 * faults on pages, control registers that decide about paging, what names machine resources. AMD64 manual volume 2,
 * chapter 15.
 */
#include <hv/heap.h>
#include <hv/irq.h>
#include <xen/sched.h>
#include <hv/x86.h>
#include "vmcb.h"

#define MSR_VM_CR       0xc0010114u
#define VM_CR_SVMDIS    (1ull << 4)
#define MSR_VM_HSAVE_PA 0xc0010117u
#define CPUID_SVM       0x8000000au
#define IOPM_ORDER      2u /* three pages of it are used */
#define MSRPM_ORDER     1u

/* From its address on an MSR has two bits there, for reading and writing. Set: it comes back. */
static uint8_t *iopm, *msrpm;
static DEFINE_PER_CPU(void *, host_save);
static DEFINE_PER_CPU(void *, host_vmcb);

void svm_enter(struct cpu_user_regs *regs, uint64_t guest_vmcb, uint64_t host);

/* MSRs that VMLOAD, VMSAVE and the control block switch. */
static const uint32_t own_msrs[] = {MSR_STAR,         MSR_LSTAR,       MSR_CSTAR,          MSR_SYSCALL_MASK,
                                    MSR_FS_BASE,      MSR_GS_BASE,     MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS,
                                    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};

static void pass_msr(uint32_t msr)
{
    unsigned int bit = msr < 0x2000 ? msr * 2 : 0x800 * 8 + (msr - 0xc0000000u) * 2;

    msrpm[bit / 8] &= (uint8_t) ~(3u << (bit % 8));
}

static int make_maps(void)
{
    if (msrpm)
        return 0;
    iopm = alloc_hv_mem(IOPM_ORDER);
    msrpm = alloc_hv_mem(MSRPM_ORDER);
    if (!iopm || !msrpm)
        return -ENOMEM;
    memset(iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
    memset(msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
    for (unsigned int i = 0; i < ARRAY_SIZE(own_msrs); i++)
        pass_msr(own_msrs[i]);
    return 0;
}

static void *zeroed_page(void)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

    return pg ? page_to_virt(pg) : NULL;
}

static int svm_cpu_init(void)
{
    uint64_t vm_cr;
    uint32_t r[4];

    if (!rdmsr_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS))
        return -EPERM;
    this_cpu(host_save) = zeroed_page();
    this_cpu(host_vmcb) = zeroed_page();
    if (make_maps() || !this_cpu(host_save) || !this_cpu(host_vmcb))
        return -ENOMEM;
    cpuid(CPUID_SVM, 0, r);
    svm_features &= r[3];
    hvm_nested = svm_features & SVM_NP;
    asid_init(r[1]);
    if (smp_processor_id() == 0)
        printk(XLOG_INFO "AMD SVM: %u address space identifiers%s%s\n", r[1],
               r[3] & SVM_NRIP_SAVE ? ", next rip saved" : "", r[3] & SVM_DECODE_ASSISTS ? ", decode assists" : "");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, virt_to_maddr(this_cpu(host_save)).n);
    return 0;
}

/* Neither faults on pages nor CR3 are the hypervisor's then. */
static void use_nested_paging(const struct vcpu *v, struct vmcb *c)
{
    c->np_enable = 1;
    c->ncr3 = mfn_to_maddr(p2m_root(v->domain)).n;
    c->cr_intercepts &= ~(1u << 3 | 1u << 19);
    c->exception_intercepts &= ~(1u << TRAP_PF);
}

static int svm_vcpu_init(struct vcpu *v)
{
    struct vmcb *c = zeroed_page();

    if (!c)
        return -ENOMEM;
    v->hvm->vendor = c;
    c->cr_intercepts = ~(1u << 2 | 1u << 18); /* all but CR2 */
    c->dr_intercepts = 0xffffffff;
    c->exception_intercepts = 1u << TRAP_PF | 1u << TRAP_MC | 1u << TRAP_AC | 1u << TRAP_DB;
    c->general1 = G1_INTR | G1_NMI | G1_SMI | G1_INIT | G1_RDPMC | G1_CPUID | G1_RSM | G1_INVD | G1_HLT | G1_INVLPGA |
                  G1_IOIO | G1_MSR | G1_TASK | G1_SHUTDOWN;
    c->general2 = G2_VMRUN | G2_VMMCALL | G2_VMLOAD | G2_VMSAVE | G2_STGI | G2_CLGI | G2_SKINIT | G2_WBINVD |
                  G2_MONITOR | G2_MWAIT | G2_XSETBV | G2_RDPRU;
    c->iopm = virt_to_maddr(iopm).n;
    c->msrpm = virt_to_maddr(msrpm).n;
    c->vintr = VINTR_MASKING;
    v->hvm->dr6 = HVM_DR6_RESET;
    c->dr7 = HVM_DR7_RESET;
    c->g_pat = HOST_PAT;
    if (v->domain->hap)
        use_nested_paging(v, c);
    return 0;
}

static void svm_vcpu_free(struct vcpu *v)
{
    free_hv_mem(v->hvm->vendor, 0);
}

static bool contributory(unsigned int vector)
{
    return vector == TRAP_DE || (vector >= TRAP_TS && vector <= TRAP_GP);
}

/*
 * An exception while another is delivered: both in turn, or a double fault, or the third. Section 8.2.9. False: it was
 * the third, and the guest does not go on.
 */
static bool combine(struct vcpu *v, const struct vmcb *c)
{
    unsigned int first = c->exitintinfo & 0xff, second = v->hvm->exception.vector;

    if ((c->exitintinfo & (EVENT_VALID | EVENT_TYPE)) != (EVENT_VALID | EVENT_EXCEPTION) || !v->hvm->exception.valid)
        return true;
    if (first == TRAP_DF) {
        hvm_triple_fault(v);
        return false;
    }
    if ((first == TRAP_PF && (second == TRAP_PF || contributory(second))) ||
        (contributory(first) && contributory(second)))
        hvm_inject(v, TRAP_DF, true, 0);
    return true;
}

/* Delivered by an instruction (INT n, INT3, INTO): rip still stands there, and the guest executes it again. */
static bool by_instruction(uint64_t event)
{
    uint64_t vector = event & 0xff;

    return (event & EVENT_TYPE) == EVENT_SOFTWARE ||
           ((event & EVENT_TYPE) == EVENT_EXCEPTION && (vector == TRAP_BP || vector == TRAP_OF));
}

static uint64_t exception_event(const struct hvm_vcpu *h)
{
    uint64_t error = h->exception.has_error ? EVENT_HAS_ERROR | (uint64_t)h->exception.error << 32 : 0;

    return EVENT_VALID | EVENT_EXCEPTION | h->exception.vector | error;
}

/* False: the guest is not to be entered. */
static bool inject(struct vcpu *v, struct vmcb *c)
{
    struct hvm_vcpu *h = v->hvm;

    if (!combine(v, c)) {
        c->eventinj = c->exitintinfo = 0;
        h->exception.valid = false;
        return false;
    }
    /* What was being delivered when it came back is delivered again, unless something else has to be. */
    c->eventinj = (c->exitintinfo & EVENT_VALID) && !by_instruction(c->exitintinfo) ? c->exitintinfo : 0;
    c->exitintinfo = 0;
    if (!h->exception.valid)
        return true;
    c->eventinj = exception_event(h);
    h->exception.valid = false;
    return true;
}

/* Held back by STI or MOV SS; an instruction that was completed since has ended that. */
static bool in_shadow(const struct vcpu *v)
{
    const struct vmcb *c = v->hvm->vendor;

    return (c->interrupt_shadow & 1) && guest_cpu_user_regs()->rip == c->rip;
}

static bool svm_in_delivery(const struct vcpu *v)
{
    return ((const struct vmcb *)v->hvm->vendor)->exitintinfo & EVENT_VALID;
}

static bool svm_in_nmi(const struct vcpu *v)
{
    return ((const struct vmcb *)v->hvm->vendor)->general1 & G1_IRET;
}

static bool svm_can_inject(const struct vcpu *v, enum hvm_event type)
{
    const struct vmcb *c = v->hvm->vendor;

    return !v->hvm->exception.valid && !(c->exitintinfo & EVENT_VALID) && !in_shadow(v) &&
           (type == HVM_EVENT_NMI || (guest_cpu_user_regs()->rflags & EFLAGS_IF));
}

/* It stands where an event that could not be delivered stands; inject() takes it from there. */
static void svm_inject(struct vcpu *v, enum hvm_event type, uint8_t vector)
{
    struct vmcb *c = v->hvm->vendor;

    c->exitintinfo = EVENT_VALID | (type == HVM_EVENT_NMI ? EVENT_NMI : 0) | vector;
    if (type == HVM_EVENT_NMI)
        c->general1 |= G1_IRET;
}

/*
 * A virtual interrupt that comes back before it is delivered. An NMI that has to wait comes with the next exit at the
 * latest, since nothing tells of the end of a shadow while interrupts are off.
 */
static void svm_window(struct vcpu *v, bool wanted)
{
    struct vmcb *c = v->hvm->vendor;

    c->vintr = VINTR_MASKING | (wanted ? VINTR_WINDOW : 0);
    c->general1 = wanted ? c->general1 | G1_VINTR : c->general1 & ~G1_VINTR;
}

static void svm_watch_flushes(struct vcpu *v, bool wanted)
{
    struct vmcb *c = v->hvm->vendor;

    c->general1 = wanted ? c->general1 | G1_INVLPG : c->general1 & ~G1_INVLPG;
}

static void svm_clear_events(struct vcpu *v)
{
    struct vmcb *c = v->hvm->vendor;

    c->exitintinfo = c->interrupt_shadow = 0;
    c->general1 &= ~G1_IRET;
    v->hvm->dr6 = HVM_DR6_RESET;
    c->dr7 = HVM_DR7_RESET;
}

/* The record's bits are those of EVENTINJ. */
static uint64_t svm_get_event(struct vcpu *v)
{
    const struct vmcb *c = v->hvm->vendor;
    const struct hvm_vcpu *h = v->hvm;

    if (!combine(v, c))
        return 0;
    if (h->exception.valid)
        return exception_event(h);
    return (c->exitintinfo & EVENT_VALID) && !by_instruction(c->exitintinfo) ? c->exitintinfo & EVENT_ALL : 0;
}

static void svm_set_event(struct vcpu *v, uint64_t event)
{
    struct vmcb *c = v->hvm->vendor;

    c->exitintinfo = event;
    if ((event & EVENT_TYPE) == EVENT_NMI)
        c->general1 |= G1_IRET;
}

/*
 * QEMU keeps the vector of an interrupt that VMRUN has delivered until the next exit, and delivers it once more
 * whenever its loop is left before that, with interrupts off too (docs/debugging.md). So an interrupt for the host is
 * made to wait, which brings the guest back before its next instruction.
 */
static void forget_injected(const struct vmcb *c)
{
    if (cpu_features.tcg && (c->eventinj & EVENT_VALID) && !(c->eventinj & EVENT_TYPE))
        apic_send_ipi(smp_processor_id(), VECTOR_EVENT_CHECK);
}

static void svm_run(struct vcpu *v, struct vmexit *x)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    struct vmcb *c = v->hvm->vendor;

    if (!inject(v, c))
        return; /* HVM_EXIT_NOTHING: it was ended with interrupts off, and nothing else would bring it out again */
    c->interrupt_shadow = in_shadow(v);
    c->rip = regs->rip;
    c->rsp = regs->rsp;
    c->rax = regs->rax;
    c->rflags = regs->rflags | EFLAGS_MBS;
    c->cr2 = v->hvm->cr2;
    if (read_cr2() != c->cr2)
        write_cr2(c->cr2); /* Bochs 2.7 does not load it from the block */
    c->dr6 = v->hvm->dr6;
    c->tsc_offset = v->hvm->tsc_offset;
    c->clean = 0;
    asid_take(v->hvm, c);
    forget_injected(c);
    svm_enter(regs, virt_to_maddr(c).n, virt_to_maddr(this_cpu(host_vmcb)).n);
    if (cpu_features.tcg)
        write_cr8(0); /* QEMU may have lost an interrupt at the exit (docs/debugging.md); now it looks for one */
    regs->rip = c->rip;
    regs->rsp = c->rsp;
    regs->rax = c->rax;
    regs->rflags = c->rflags;
    v->hvm->cr2 = c->cr2;
    v->hvm->dr6 = c->dr6;
    if (c->np_enable)
        v->hvm->cr3 = c->cr3;
    if (c->exitcode == EXIT_INVALID)
        asid_begin_again(); /* it was not entered, and nothing flushed */
    if (c->exitcode == EXIT_EXC_FIRST + TRAP_MC)
        __asm__ __volatile__("int %0" ::"i"(TRAP_MC) : "memory");
    if (c->exitcode == EXIT_IRET) {
        /* The next NMI may come when this instruction is done. */
        c->general1 &= ~G1_IRET;
        c->interrupt_shadow = 1;
    }
    svm_decode(c, x);
}

static void svm_set_control(struct vcpu *v, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
    struct vmcb *c = v->hvm->vendor;

    efer |= EFER_SVME;
    if (c->np_enable || c->cr0 != cr0 || c->cr4 != cr4 || c->efer != efer)
        hvm_forget_translations(v->hvm);
    if (!c->np_enable)
        asid_set_root(v->hvm, cr3, shadow_losses(&v->hvm->shadow));
    c->cr0 = cr0;
    c->cr3 = cr3;
    c->cr4 = cr4;
    c->efer = efer;
}

static void svm_get_segment(const struct vcpu *v, enum hvm_seg seg, struct hvm_segment *s)
{
    const struct vmcb *c = v->hvm->vendor;

    *s = (struct hvm_segment){c->seg[seg].sel, c->seg[seg].attr, c->seg[seg].limit, c->seg[seg].base};
}

static void svm_set_segment(struct vcpu *v, enum hvm_seg seg, const struct hvm_segment *s)
{
    struct vmcb *c = v->hvm->vendor;

    c->seg[seg] = (struct vmcb_seg){s->sel, s->attr, s->limit, s->base};
    if (seg == HVM_SS)
        c->cpl = s->attr >> 5 & 3;
}

static unsigned int svm_cpl(const struct vcpu *v)
{
    return ((const struct vmcb *)v->hvm->vendor)->cpl;
}

static uint64_t *msr_slot(const struct vcpu *v, uint32_t msr)
{
    struct vmcb *c = v->hvm->vendor;

    switch (msr) {
    case MSR_PAT:
        return &c->g_pat;
    case MSR_STAR:
        return &c->star;
    case MSR_LSTAR:
        return &c->lstar;
    case MSR_CSTAR:
        return &c->cstar;
    case MSR_SYSCALL_MASK:
        return &c->sfmask;
    case MSR_KERNEL_GS_BASE:
        return &c->kernel_gs_base;
    case MSR_SYSENTER_CS:
        return &c->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &c->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &c->sysenter_eip;
    default:
        return NULL;
    }
}

static bool svm_read_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
    const uint64_t *slot = msr_slot(v, msr);

    if (slot)
        *value = *slot;
    return slot;
}

/* Memory types of a PAT: 2 and 3 are reserved, as is everything from 8 on. */
static bool pat_ok(uint64_t value)
{
    for (unsigned int i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(value >> (8 * i));

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool svm_write_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    uint64_t *slot = msr_slot(v, msr);

    if (!slot || (msr == MSR_PAT && !pat_ok(value)))
        return false;
    *slot = value;
    if (msr == MSR_PAT)
        hvm_forget_translations(v->hvm);
    return true;
}

const struct hvm_ops svm_ops = {
    .name = "AMD SVM",
    .cpu_init = svm_cpu_init,
    .vcpu_init = svm_vcpu_init,
    .vcpu_free = svm_vcpu_free,
    .enter = svm_run,
    .set_control = svm_set_control,
    .get_segment = svm_get_segment,
    .set_segment = svm_set_segment,
    .cpl = svm_cpl,
    .can_inject = svm_can_inject,
    .inject = svm_inject,
    .window = svm_window,
    .watch_flushes = svm_watch_flushes,
    .in_shadow = in_shadow,
    .in_delivery = svm_in_delivery,
    .in_nmi = svm_in_nmi,
    .clear_events = svm_clear_events,
    .read_msr = svm_read_msr,
    .write_msr = svm_write_msr,
    .get_event = svm_get_event,
    .set_event = svm_set_event,
};
