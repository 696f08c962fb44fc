/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSR policy for PV guests: what is not named here does not exist (#GP). Values are the guest's own, constants, or
 * host values that tell nothing a guest could use; no MSR of the host is written except the segment bases.
 */
#include <hv/hypercall.h>
#include <hv/vmce.h>
#include "internal.h"

#define MSR_TSC           0x10
#define MSR_PLATFORM_ID   0x17
#define MSR_UCODE_REV     0x8b
#define MSR_MTRR_CAP      0xfe
#define MSR_MISC_ENABLE   0x1a0
#define MSR_MTRR_VAR      0x200
#define MSR_MTRR_VAR_END  0x20f
#define MSR_MTRR_FIX64K   0x250
#define MSR_MTRR_FIX_END  0x26f
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_K8_HWCR       0xc0010015
#define MSR_AMD_DE_CFG    0xc0011029
#define MSR_HYPERCALL     0x40000000

#define APIC_BASE_DEFAULT   0xfee00000ull
#define APIC_BASE_BSP       (1ull << 8)
#define APIC_BASE_ENABLE    (1ull << 11)
#define HWCR_TSC_FREQ_SEL   (1ull << 24)
#define DE_CFG_LFENCE_SER   (1ull << 1)
#define MISC_ENABLE_DEFAULT 1ull /* fast strings */

static bool vendor_is_amd(void)
{
    return cpu_features.syscall32; /* the vendors that have SYSCALL in compatibility mode */
}

/* Constants: MSRs that the guest may read and write only without effect. */
static bool constant_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_APIC_BASE:
        *value = APIC_BASE_DEFAULT | APIC_BASE_ENABLE | (v->vcpu_id == 0 ? APIC_BASE_BSP : 0);
        return true;
    case MSR_PAT:
        *value = HOST_PAT;
        return true;
    case MSR_EFER:
        *value = rdmsr(MSR_EFER) & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
        return true;
    case MSR_MISC_ENABLE:
        *value = MISC_ENABLE_DEFAULT;
        return !vendor_is_amd();
    case MSR_K8_HWCR:
        *value = HWCR_TSC_FREQ_SEL;
        return vendor_is_amd();
    case MSR_AMD_DE_CFG:
        *value = DE_CFG_LFENCE_SER;
        return vendor_is_amd();
    case MSR_MCG_CAP:
        *value = v->pv.mcg_cap;
        return true;
    case MSR_PLATFORM_ID:
    case MSR_MCG_STATUS:
    case MSR_MTRR_CAP:
    case MSR_MTRR_VAR ... MSR_MTRR_VAR_END:
    case MSR_MTRR_FIX64K ... MSR_MTRR_FIX_END:
    case MSR_MTRR_DEF_TYPE:
        *value = 0;
        return true;
    default:
        return false;
    }
}

int pv_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    bool control;

    if (constant_msr(v, msr, value))
        return 0;
    if (vmce_register(v->pv.mcg_cap, msr, &control)) {
        *value = control ? ~0ull : 0;
        return 0;
    }
    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        *value = rdmsr(msr);
        return 0;
    case MSR_TSC:
        *value = rdtsc();
        return 0;
    case MSR_TSC_AUX:
        *value = v->pv.tsc_aux;
        return cpu_features.rdtscp ? 0 : -EPERM;
    case MSR_UCODE_REV:
        return rdmsr_safe(msr, value) ? -EPERM : 0;
    case MSR_HYPERCALL:
        *value = 0;
        return 0;
    default:
        return -EPERM;
    }
}

static int write_base(uint32_t msr, uint64_t value)
{
    if (!is_canonical(value))
        return -EPERM;
    wrmsr(msr, value);
    return 0;
}

/* Its kernel reads it by RDTSCP, without an exit. */
static int write_tsc_aux(struct vcpu *v, uint64_t value)
{
    if (!cpu_features.rdtscp || value >> 32)
        return -EPERM;
    v->pv.tsc_aux = (uint32_t)value;
    return wrmsr_safe(MSR_TSC_AUX, value) ? -EPERM : 0;
}

/* A frame number in the address bits: the guest's page becomes a hypercall page. */
static int write_hypercall_page(struct vcpu *v, uint64_t value)
{
    struct page_info *pg;
    int rc;

    if (value & (PAGE_SIZE - 1))
        return -EPERM;
    pg = get_page_from_mfn(_mfn(value >> PAGE_SHIFT), v->domain);
    if (!pg)
        return -EPERM;
    rc = get_page_type(pg, PT_WRITABLE);
    if (!rc) {
        hypercall_page_init(page_to_virt(pg));
        put_page_type(pg);
    }
    put_page(pg);
    return rc ? -EPERM : 0;
}

int pv_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    uint64_t now;
    bool control;

    if (vmce_register(v->pv.mcg_cap, msr, &control))
        return control || !value ? 0 : -EPERM;
    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        return write_base(msr, value);
    case MSR_TSC_AUX:
        return write_tsc_aux(v, value);
    case MSR_HYPERCALL:
        return write_hypercall_page(v, value);
    case MSR_UCODE_REV: /* processors want it cleared before CPUID stores the revision */
        return value ? -EPERM : 0;
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SYSCALL_MASK:
    case MSR_SYSENTER_CS ... MSR_SYSENTER_EIP: /* entry points are set by callbacks */
        return 0;
    default:
        return constant_msr(v, msr, &now) && now == value ? 0 : -EPERM;
    }
}
