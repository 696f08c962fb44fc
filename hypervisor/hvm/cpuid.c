// SPDX-License-Identifier: BSD-2-Clause
/*
 * CPUID for guests on hardware virtualisation. Their policy is that of PV guests and, added to it, what only they can
 * use: what hvm/cr.c lets them turn on, memory types, and a local APIC, whose x2APIC mode is the hypervisor's and
 * there whatever the processor has.
 */
#include <hv/cpuid.h>
#include <hv/hvm.h>
#include <hv/x86.h>
#include <xen/arch-x86/cpuid.h>
#include "lapic.h"

#define BIT(n) (1u << (n))

/* Leaf 1 EDX: VME PSE SEP MTRR PGE PSE36. */
#define L1_EDX         (BIT(1) | BIT(3) | BIT(11) | BIT(12) | BIT(13) | BIT(17))
#define L1_EDX_APIC    BIT(9)
#define L1_ECX_X2APIC  BIT(21)
#define L1_ECX_XSAVE   BIT(26)
#define L1_ECX_OSXSAVE BIT(27)
/* Extended leaf 1 EDX: AMD's copies of leaf 1's VME PSE MTRR PGE PSE36; RDTSCP. */
#define E1_EDX_COPY (BIT(1) | BIT(3) | BIT(12) | BIT(13) | BIT(17))
#define E1_EDX      BIT(27)

struct cpuid_policy hvm_cpuid_policy;

static uint32_t leaf7_ebx(void)
{
    return (cpu_features.fsgsbase ? BIT(0) : 0) | (cpu_features.smep ? BIT(7) : 0) | (cpu_features.smap ? BIT(20) : 0);
}

static void add_features(xen_cpuid_leaf_t *l)
{
    uint32_t r[4];

    cpuid(l->leaf, 0, r);
    switch (l->leaf) {
    case 1:
        l->c |= L1_ECX_X2APIC;
        l->d |= (r[3] & L1_EDX) | L1_EDX_APIC;
        break;
    case 7:
        l->b |= leaf7_ebx();
        break;
    case 0x80000001:
        l->d |= r[3] & (E1_EDX | (cpu_features.syscall32 ? E1_EDX_COPY : 0));
        break;
    case 0x80000008:
        l->a = (l->a & ~0xffu) | MIN(l->a & 0xff, HVM_PHYS_BITS_MAX);
        break;
    }
}

void hvm_cpuid_init(void)
{
    hvm_cpuid_policy = pv_cpuid_policy;
    for (unsigned int i = 0; i < hvm_cpuid_policy.count; i++)
        add_features(&hvm_cpuid_policy.leaf[i]);
}

static void hypervisor_leaf(const struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    switch (leaf & 0xff) {
    case 0:
        cpuid_hypervisor_leaf(leaf, sub, r);
        r[0] = 0x40000004;
        break;
    case 2:
        cpuid_hypervisor_leaf(leaf, sub, r);
        r[2] = 0; /* they are about PV page tables */
        break;
    case 4:
        if (sub)
            break;
        r[0] = XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT;
        r[1] = v->vcpu_id;
        r[2] = v->domain->id;
        break;
    case 5:
        break;
    default:
        cpuid_hypervisor_leaf(leaf, sub, r);
    }
}

static void complete_leaf1(const struct vcpu *v, uint32_t r[4])
{
    r[1] |= hvm_apic_id(v) << 24;
    if (!(v->hvm->lapic->base & LAPIC_BASE_EN))
        r[3] &= ~L1_EDX_APIC;
    if ((r[2] & L1_ECX_XSAVE) && (v->hvm->cr4 & CR4_OSXSAVE))
        r[2] |= L1_ECX_OSXSAVE;
}

void hvm_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    memset(r, 0, 4 * sizeof(r[0]));
    if (leaf >= 0x40000000 && leaf <= 0x400000ff) {
        hypervisor_leaf(v, leaf, sub, r);
        return;
    }
    cpuid_of_policy(v, leaf, sub, r);
    if (leaf == 1)
        complete_leaf1(v, r);
    else if (leaf == 0xb && domain_cpuid_policy(v->domain)->leaf[0].a >= 0xb) {
        r[2] = sub & 0xff;
        r[3] = hvm_apic_id(v);
    }
}
