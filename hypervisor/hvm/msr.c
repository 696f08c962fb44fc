// SPDX-License-Identifier: BSD-2-Clause
/*
 * MSRs of guests on hardware virtualisation: what is not here does not exist (#GP). Of the processor's own the back end
 * keeps some; memory types are kept and have no effect, since all that a guest has is memory; and some registers are
 * constants, which a kernel reads, or writes back as they were, without asking whether they are there. Sources: AMD64
 * manual volume 2, sections 7.7 and 7.8 and appendix A; <xen/arch-x86/cpuid.h> for the hypercall page.
 */
#include <hv/hvm.h>
#include <hv/vmce.h>
#include <hv/x86.h>
#include "lapic.h"
#include "state.h"

#define MSR_TSC            0x10u
#define MSR_TSC_ADJUST     0x3bu
#define MSR_MTRR_CAP       0xfeu
#define MSR_MTRR_VAR       0x200u
#define MSR_MTRR_DEF_TYPE  0x2ffu
#define MSR_HYPERCALL_PAGE 0x40000000u

#define MTRR_CAP        (HVM_MTRR_VAR | 1u << 8 | 1u << 10) /* fixed ranges, write combining */
#define MTRR_FIX_ENABLE (1u << 10)
#define MTRR_ENABLE     (1u << 11)
#define MTRR_VALID      (1u << 11) /* of a mask */
#define WRITE_BACK      6u
#define UNCACHED_MINUS  7u /* of a PAT only */

static const struct {
    uint32_t msr;
    uint64_t value;
} constants[] = {
    {0x8b, 0},                /* microcode revision */
    {0x17a, 0},               /* none is being handled */
    {0x1a0, 1},               /* MISC_ENABLE: fast strings */
    {0x1d9, 0},               /* DEBUGCTL */
    {0xc0010010, 0},          /* SYSCFG */
    {0xc0010015, 1u << 24},   /* HWCR: the TSC counts at the frequency of P0 */
    {0xc001001a, 0},          /* TOP_MEM */
    {0xc001001d, 0},          /* TOP_MEM2 */
    {0xc001001f, 1ull << 46}, /* NB_CFG: extended configuration space by I/O ports is on, none has to turn it on */
    {0xc0010055, 0},          /* interrupt pending message: no C1E */
    {0xc0010114, 0x18},       /* VM_CR: no SVM, locked */
    {0xc0011029, 1u << 1},    /* DE_CFG: LFENCE waits for what precedes it */
};

void hvm_msr_init(struct vcpu *v)
{
    v->hvm->mtrr.def_type = WRITE_BACK | MTRR_ENABLE;
    if (v->vcpu_id)
        hvm_sync_tsc(v);
    else
        v->hvm->tsc_offset = -rdtsc();
}

/* ---- memory types ---- */

/* Of a fixed range, eight in one. */
static const uint16_t fixed_msrs[HVM_MTRR_FIXED] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                                    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

static uint64_t *mtrr_slot(struct hvm_vcpu *h, uint32_t msr)
{
    if (msr == MSR_MTRR_DEF_TYPE)
        return &h->mtrr.def_type;
    if (msr >= MSR_MTRR_VAR && msr < MSR_MTRR_VAR + 2 * HVM_MTRR_VAR)
        return &h->mtrr.var[array_index_nospec(msr - MSR_MTRR_VAR, 2 * HVM_MTRR_VAR)];
    for (unsigned int i = 0; i < HVM_MTRR_FIXED; i++)
        if (fixed_msrs[i] == msr)
            return &h->mtrr.fixed[i];
    return NULL;
}

static bool type_ok(uint64_t type)
{
    return type <= WRITE_BACK && type != 2 && type != 3;
}

static bool pat_type_ok(uint64_t type)
{
    return type_ok(type) || type == UNCACHED_MINUS;
}

static bool mtrr_ok(const struct hvm_vcpu *h, uint32_t msr, uint64_t value)
{
    uint64_t address = ((1ull << shadow_cpu(h->shadow.s)->phys_bits) - 1) & PAGE_MASK;

    if (msr == MSR_MTRR_DEF_TYPE)
        return type_ok(value & 0xff) && !(value & ~(uint64_t)(0xff | MTRR_FIX_ENABLE | MTRR_ENABLE));
    if (msr < MSR_MTRR_VAR + 2 * HVM_MTRR_VAR)
        return msr & 1 ? !(value & ~(address | MTRR_VALID)) : type_ok(value & 0xff) && !(value & ~(address | 0xff));
    for (unsigned int i = 0; i < 8; i++)
        if (!type_ok(value >> (8 * i) & 0xff))
            return false;
    return true;
}

/* PAT is the back end's, and was checked before. */
void hvm_save_mtrr(const struct vcpu *v, struct hvm_hw_mtrr *m)
{
    const struct hvm_mtrr *own = &v->hvm->mtrr;

    *m = (struct hvm_hw_mtrr){.msr_mtrr_cap = MTRR_CAP, .msr_mtrr_def_type = own->def_type};
    memcpy(m->msr_mtrr_var, own->var, sizeof(own->var));
    memcpy(m->msr_mtrr_fixed, own->fixed, sizeof(own->fixed));
    hvm_ops->read_msr(v, MSR_PAT, &m->msr_pat_cr);
}

int hvm_check_mtrr(const struct vcpu *v, const struct hvm_hw_mtrr *m)
{
    const struct hvm_vcpu *h = v->hvm;
    bool ok = m->msr_mtrr_cap == MTRR_CAP && mtrr_ok(h, MSR_MTRR_DEF_TYPE, m->msr_mtrr_def_type);

    for (unsigned int i = 0; i < 2 * HVM_MTRR_VAR; i++)
        ok &= mtrr_ok(h, MSR_MTRR_VAR + i, m->msr_mtrr_var[i]);
    for (unsigned int i = 0; i < HVM_MTRR_FIXED; i++)
        ok &= mtrr_ok(h, fixed_msrs[i], m->msr_mtrr_fixed[i]);
    for (unsigned int i = 0; i < 8; i++)
        ok &= pat_type_ok(m->msr_pat_cr >> (8 * i) & 0xff);
    return ok ? 0 : -EINVAL;
}

void hvm_load_mtrr(struct vcpu *v, const struct hvm_hw_mtrr *m)
{
    struct hvm_mtrr *own = &v->hvm->mtrr;

    own->def_type = m->msr_mtrr_def_type;
    memcpy(own->var, m->msr_mtrr_var, sizeof(own->var));
    memcpy(own->fixed, m->msr_mtrr_fixed, sizeof(own->fixed));
    hvm_ops->write_msr(v, MSR_PAT, m->msr_pat_cr);
}

/* ---- counter ---- */

void hvm_note_tsc(struct domain *d)
{
    d->hvm.save_tsc = rdtsc();
}

void hvm_sync_tsc(struct vcpu *v)
{
    v->hvm->tsc_offset = v->domain->vcpu[0]->hvm->tsc_offset;
    v->hvm->tsc_adjust = 0;
    if (v == current)
        time_update_vcpu(v); /* what it was told when it was switched to is of the old counter */
}

/* The time that the guest reads by it follows. */
static void move_tsc(struct vcpu *v, uint64_t by)
{
    v->hvm->tsc_offset += by;
    v->hvm->tsc_adjust += by;
    time_update_vcpu(v);
}

/* ---- access ---- */

/* Stub n of the page makes hypercall n. */
static int write_hypercall_page(struct vcpu *v, uint64_t value)
{
    gpa_t at = _gpa(value & PAGE_MASK);
    int rc = (value & (PAGE_SIZE - 1)) ? -EINVAL : 0;

    for (unsigned int nr = 0; nr < PAGE_SIZE / 32 && !rc; nr++) {
        /* mov eax, nr; vmmcall; ret */
        uint8_t stub[] = {0xb8, (uint8_t)nr, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3};

        rc = shadow_write(v->domain, _gpa(at.n + nr * 32), sizeof(stub), stub) ? -EINVAL : 0;
    }
    if (!rc)
        hvm_latch_width(v->domain);
    return rc;
}

static int write_tsc_aux(struct vcpu *v, uint64_t value)
{
    if (!cpu_features.rdtscp || value >> 32)
        return -EINVAL;
    v->hvm->tsc_aux = (uint32_t)value;
    return wrmsr_safe(MSR_TSC_AUX, value) ? -EINVAL : 0;
}

static int constant(uint32_t msr, uint64_t *value)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(constants); i++)
        if (constants[i].msr == msr) {
            *value = constants[i].value;
            return 0;
        }
    return -EINVAL;
}

bool hvm_is_constant(uint32_t msr, uint64_t value)
{
    uint64_t now;

    return !constant(msr, &now) && now == value;
}

static int read_other(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    const uint64_t *mtrr = mtrr_slot(v->hvm, msr);
    bool control;

    if (vmce_register(v->hvm->mcg_cap, msr, &control)) {
        *value = control ? ~0ull : 0;
        return 0;
    }
    if (mtrr)
        *value = *mtrr;
    return mtrr || hvm_ops->read_msr(v, msr, value) ? 0 : constant(msr, value);
}

int hvm_read_msr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_EFER:
        *value = v->hvm->efer;
        return 0;
    case MSR_APIC_BASE:
    case LAPIC_MSR_FIRST ... LAPIC_MSR_LAST:
        return lapic_read_msr(v, msr, value);
    case MSR_TSC:
        *value = rdtsc() + v->hvm->tsc_offset;
        return 0;
    case MSR_TSC_ADJUST:
        *value = v->hvm->tsc_adjust;
        return 0;
    case MSR_TSC_AUX:
        *value = v->hvm->tsc_aux;
        return cpu_features.rdtscp ? 0 : -EINVAL;
    case MSR_MTRR_CAP:
        *value = MTRR_CAP;
        return 0;
    case MSR_MCG_CAP:
        *value = v->hvm->mcg_cap;
        return 0;
    default:
        return read_other(v, msr, value);
    }
}

static int write_other(struct vcpu *v, uint32_t msr, uint64_t value)
{
    uint64_t *mtrr = mtrr_slot(v->hvm, msr);
    bool control;

    if (vmce_register(v->hvm->mcg_cap, msr, &control))
        return control || !value ? 0 : -EINVAL;
    if (msr == MSR_MCG_CAP)
        return value == v->hvm->mcg_cap ? 0 : -EINVAL;
    if (mtrr) {
        if (!mtrr_ok(v->hvm, msr, value))
            return -EINVAL;
        *mtrr = value;
        return 0;
    }
    if (hvm_ops->write_msr(v, msr, value))
        return 0;
    return hvm_is_constant(msr, value) ? 0 : -EINVAL;
}

int hvm_write_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_EFER:
        return hvm_set_efer(v, value);
    case MSR_APIC_BASE:
    case LAPIC_MSR_FIRST ... LAPIC_MSR_LAST:
        return lapic_write_msr(v, msr, value);
    case MSR_HYPERCALL_PAGE:
        return write_hypercall_page(v, value);
    case MSR_TSC:
        move_tsc(v, value - (rdtsc() + v->hvm->tsc_offset));
        return 0;
    case MSR_TSC_ADJUST:
        move_tsc(v, value - v->hvm->tsc_adjust);
        return 0;
    case MSR_TSC_AUX:
        return write_tsc_aux(v, value);
    default:
        return write_other(v, msr, value);
    }
}
