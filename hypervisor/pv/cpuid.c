/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID for PV guests. The policy is a list of leaves: the host's, with the features removed that a PV guest cannot
 * use or must not see, and with a flat topology (each vCPU a package of its own). Leaves that depend on the vCPU or on
 * its state (APIC id, OSXSAVE, size of the XSAVE area, the hypervisor's own) are completed at each execution.
 *
 * Linux asks through the forced-emulation prefix; user code executes CPUID natively and sees the host's.
 */
#include <hv/cpuid.h>
#include <hv/time_scale.h>
#include <hv/timer.h>
#include <xen/arch-x86/cpuid.h>
#include "internal.h"

#define BIT(n) (1u << (n))

/* Leaf 1 ECX: SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND. */
#define L1_ECX                                                                                                  \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(26) | \
     BIT(28) | BIT(29) | BIT(30))
#define L1_ECX_OSXSAVE    BIT(27)
#define L1_ECX_XSAVE_ALL  (BIT(12) | BIT(26) | BIT(28) | BIT(29))
#define L1_ECX_HYPERVISOR BIT(31)
/* Leaf 1 EDX: FPU DE TSC MSR PAE MCE CX8 APIC MCA CMOV PAT CLFLUSH MMX FXSR SSE SSE2. */
#define L1_EDX                                                                                                       \
    (BIT(0) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(14) | BIT(15) | BIT(16) | BIT(19) | \
     BIT(23) | BIT(24) | BIT(25) | BIT(26))
/* Leaf 7 EBX: BMI1 AVX2 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA; AVX-512 F DQ IFMA CD BW VL. */
#define L7_EBX     (BIT(3) | BIT(5) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | BIT(24) | BIT(29) | L7_EBX_512)
#define L7_EBX_512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
/* Leaf 7 ECX: GFNI VAES VPCLMULQDQ. EDX: fast short REP MOVSB. */
#define L7_ECX (BIT(8) | BIT(9) | BIT(10))
#define L7_EDX BIT(4)
/* Leaf 0xd subleaf 1 EAX: XSAVEOPT XSAVEC XGETBV1. */
#define LD1_EAX (BIT(0) | BIT(1) | BIT(2))
/* Extended leaf 1 ECX: LAHF ABM SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM. */
#define E1_ECX (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
/* Extended leaf 1 EDX: SYSCALL NX MMXEXT RDTSCP LM 3DNOWEXT 3DNOW, and AMD's copies of leaf 1's bits. */
#define E1_EDX      (BIT(11) | BIT(20) | BIT(22) | BIT(27) | BIT(29) | BIT(30) | BIT(31))
#define E1_EDX_COPY 0x0183f3ffu
#define E7_EDX_ITSC BIT(8)

struct cpuid_policy pv_cpuid_policy;

static void add_leaf(struct cpuid_policy *p, uint32_t leaf, uint32_t sub, const uint32_t r[4])
{
    if (p->count < CPUID_POLICY_LEAVES)
        p->leaf[p->count++] =
            (xen_cpuid_leaf_t){.leaf = leaf, .subleaf = sub, .a = r[0], .b = r[1], .c = r[2], .d = r[3]};
}

static void filter_leaf1(uint32_t r[4])
{
    r[1] = (r[1] & 0xff00) | BIT(16); /* CLFLUSH size; one logical processor; the APIC id comes later */
    r[2] = (r[2] & L1_ECX) | L1_ECX_HYPERVISOR;
    r[3] &= L1_EDX;
    if (!cpu_features.xsave)
        r[2] &= ~L1_ECX_XSAVE_ALL;
}

static void filter_leaf7(uint32_t r[4])
{
    r[0] = 0;
    r[1] &= L7_EBX;
    r[2] &= L7_ECX;
    r[3] &= L7_EDX;
    if ((cpu_features.xcr0_mask & 0xe0) != 0xe0)
        r[1] &= ~L7_EBX_512;
    if (!(cpu_features.xcr0_mask & 4))
        r[1] &= ~BIT(5);
}

static void add_cache_leaves(struct cpuid_policy *p)
{
    uint32_t r[4];

    for (uint32_t sub = 0; sub < 6; sub++) {
        cpuid(4, sub, r);
        r[0] &= 0x3fff; /* not shared with other processors, one core */
        if (!(r[0] & 31))
            memset(r, 0, sizeof(r));
        add_leaf(p, 4, sub, r);
        if (!(r[0] & 31))
            break;
    }
}

static void add_xstate_leaves(struct cpuid_policy *p)
{
    uint32_t r[4] = {0};

    if (!cpu_features.xsave) {
        add_leaf(p, 0xd, 0, r);
        add_leaf(p, 0xd, 1, r);
        return;
    }
    add_leaf(p, 0xd, 0,
             (uint32_t[4]){(uint32_t)cpu_features.xcr0_mask, cpu_features.xsave_size, cpu_features.xsave_size,
                           (uint32_t)(cpu_features.xcr0_mask >> 32)});
    cpuid(0xd, 1, r);
    add_leaf(p, 0xd, 1, (uint32_t[4]){r[0] & LD1_EAX, 0, 0, 0});
    for (uint32_t sub = 2; sub < 63; sub++) {
        if (!(cpu_features.xcr0_mask & (1ull << sub)))
            continue;
        cpuid(0xd, sub, r);
        r[2] = 0;
        r[3] = 0;
        add_leaf(p, 0xd, sub, r);
    }
}

static void add_basic_leaf(struct cpuid_policy *p, uint32_t leaf, uint32_t max)
{
    uint32_t r[4] = {0};

    switch (leaf) {
    case 0:
        cpuid(0, 0, r);
        r[0] = max;
        break;
    case 1:
        cpuid(1, 0, r);
        filter_leaf1(r);
        break;
    case 2:
        cpuid(2, 0, r);
        break;
    case 4:
        add_cache_leaves(p);
        return;
    case 7:
        cpuid(7, 0, r);
        filter_leaf7(r);
        add_leaf(p, 7, 0, r);
        return;
    case 0xb:
        add_leaf(p, 0xb, 0, r);
        return;
    case 0xd:
        add_xstate_leaves(p);
        return;
    }
    add_leaf(p, leaf, XEN_CPUID_NO_SUBLEAF, r);
}

/* All of them, also those that show nothing: tools count on the list being as long as they make it themselves. */
static void add_basic_leaves(struct cpuid_policy *p)
{
    uint32_t max = MIN(cpu_features.max_leaf, 0xdu);

    for (uint32_t leaf = 0; leaf <= max; leaf++)
        add_basic_leaf(p, leaf, max);
}

/* Where the hypervisor's own leaves begin. What they show depends on the domain and is not part of a policy. */
static void add_hypervisor_leaves(struct cpuid_policy *p)
{
    const uint32_t r[4] = {0};

    add_leaf(p, 0x40000000, XEN_CPUID_NO_SUBLEAF, r);
    add_leaf(p, 0x40000100, XEN_CPUID_NO_SUBLEAF, r);
}

static void filter_ext1(uint32_t r[4], const xen_cpuid_leaf_t *leaf1)
{
    uint32_t keep = E1_EDX;

    if (cpu_features.syscall32)
        keep |= E1_EDX_COPY & leaf1->d;
    r[1] = 0;
    r[2] &= E1_ECX;
    r[3] &= keep;
}

static void add_extended_leaves(struct cpuid_policy *p)
{
    uint32_t max = MIN(cpu_features.max_ext_leaf, 0x80000008u), r[4];

    for (uint32_t leaf = 0x80000000; leaf <= max; leaf++) {
        cpuid(leaf, 0, r);
        if (leaf == 0x80000000)
            r[0] = max;
        else if (leaf == 0x80000001)
            filter_ext1(r, cpuid_find(p, 1, 0));
        else if (leaf == 0x80000007)
            memcpy(r, (uint32_t[4]){0, 0, 0, r[3] & E7_EDX_ITSC}, sizeof(r));
        else if (leaf == 0x80000008)
            memcpy(r, (uint32_t[4]){r[0] & 0xffff, 0, 0, 0}, sizeof(r));
        add_leaf(p, leaf, XEN_CPUID_NO_SUBLEAF, r);
    }
}

void pv_cpuid_init(void)
{
    struct cpuid_policy *p = &pv_cpuid_policy;

    if (p->count)
        return;
    add_basic_leaves(p);
    add_hypervisor_leaves(p);
    add_extended_leaves(p);
    hvm_cpuid_init();
}

const struct cpuid_policy *default_cpuid_policy(const struct domain *d)
{
    return paging_mode_translate(d) ? &hvm_cpuid_policy : &pv_cpuid_policy;
}

const struct cpuid_policy *domain_cpuid_policy(const struct domain *d)
{
    return d->pv.cpuid ? d->pv.cpuid : default_cpuid_policy(d);
}

const xen_cpuid_leaf_t *cpuid_find(const struct cpuid_policy *p, uint32_t leaf, uint32_t sub)
{
    for (unsigned int i = 0; i < p->count; i++)
        if (p->leaf[i].leaf == leaf && (p->leaf[i].subleaf == XEN_CPUID_NO_SUBLEAF || p->leaf[i].subleaf == sub))
            return &p->leaf[i];
    return NULL;
}

/* ---- the hypervisor's leaves, from 0x40000000 ---- */

static void time_leaf(uint32_t sub, uint32_t r[4])
{
    struct time_scale scale;

    switch (sub) {
    case 0:
        r[0] = (cpu_features.invariant_tsc ? 2 : 0) | (cpu_features.rdtscp ? 4 : 0);
        r[2] = (uint32_t)tsc_khz;
        break;
    case 1:
        scale = time_scale_of(tsc_khz * 1000);
        r[2] = scale.mul;
        r[3] = (uint32_t)scale.shift;
        break;
    case 2:
        r[0] = (uint32_t)tsc_khz;
        break;
    }
}

void cpuid_hypervisor_leaf(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    switch (leaf & 0xff) {
    case 0:
        r[0] = 0x40000000 + XEN_CPUID_MAX_NUM_LEAVES;
        r[1] = XEN_CPUID_SIGNATURE_EBX;
        r[2] = XEN_CPUID_SIGNATURE_ECX;
        r[3] = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        r[0] = 4 << 16 | 17;
        break;
    case 2:
        r[0] = 1;
        r[1] = 0x40000000;
        r[2] = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
        break;
    case 3:
        time_leaf(sub, r);
        break;
    case 5:
        if (sub == 0)
            r[1] = MIN(cpu_features.phys_bits, 52u);
        break;
    }
}

/* ---- execution ---- */

static void complete_leaf1(const struct vcpu *v, uint32_t r[4])
{
    r[1] |= v->vcpu_id * 2 << 24;
    if ((r[2] & BIT(26)) && (read_cr4() & CR4_OSXSAVE))
        r[2] |= L1_ECX_OSXSAVE;
}

/* The size that the present XCR0 needs: it is the guest's, so the processor knows. */
static void complete_xstate(uint32_t sub, uint32_t r[4])
{
    uint32_t hw[4];

    cpuid(0xd, sub, hw);
    r[1] = hw[1];
}

void cpuid_of_policy(const struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    const xen_cpuid_leaf_t *l = cpuid_find(domain_cpuid_policy(v->domain), leaf, sub);

    memset(r, 0, 4 * sizeof(r[0]));
    if (!l)
        return;
    r[0] = l->a;
    r[1] = l->b;
    r[2] = l->c;
    r[3] = l->d;
    if (leaf == 0xd && sub < 2 && cpu_features.xsave)
        complete_xstate(sub, r);
    else if (leaf == 0x80000007 && !v->domain->is_control)
        r[3] &= ~E7_EDX_ITSC;
}

void pv_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    if (leaf >= 0x40000000 && leaf <= 0x400000ff) {
        memset(r, 0, 4 * sizeof(r[0]));
        cpuid_hypervisor_leaf(leaf, sub, r);
        return;
    }
    cpuid_of_policy(v, leaf, sub, r);
    if (leaf == 1)
        complete_leaf1(v, r);
}
