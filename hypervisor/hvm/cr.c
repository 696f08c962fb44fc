// SPDX-License-Identifier: BSD-2-Clause
/*
 * Control registers and EFER: which values a guest may load, and what hardware runs with instead. Hardware always pages
 * (a guest without paging runs on shadows of its physical memory), always with WP and NX, and with PAE unless the guest
 * has turned paging on in long mode, where it must have it too. AMD64 manual volume 2, sections 3.1 and 15.23.
 */
#include <hv/hvm.h>
#include <hv/x86.h>

#define CR0_WT  (1ul << 29) /* NW */
#define CR0_CD  (1ul << 30)
#define CR0_ALL (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_WT | CR0_CD | CR0_PG)
#define CR4_ALL \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define EFER_ALL (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

static uint64_t cr4_allowed(void)
{
    return CR4_ALL | (cpu_features.xsave ? CR4_OSXSAVE : 0) | (cpu_features.fsgsbase ? CR4_FSGSBASE : 0) |
           (cpu_features.smep ? CR4_SMEP : 0) | (cpu_features.smap ? CR4_SMAP : 0);
}

static bool pae_paging(const struct hvm_vcpu *h)
{
    return (h->cr0 & CR0_PG) && (h->cr4 & CR4_PAE) && !(h->efer & EFER_LMA);
}

/*
 * PAE's four roots come from memory when CR3, or a bit that matters to them, is loaded. Nested walks of some emulated
 * processors set A in them, where it is reserved.
 */
static int load_pdptes(struct hvm_vcpu *h, bool hap)
{
    struct shadow *s = h->shadow.s;
    struct guest_mem mem;
    uint64_t pdpte[4];

    if (!pae_paging(h))
        return 0;
    mem = shadow_memory(s);
    for (unsigned int i = 0; i < 4; i++)
        if (!mem.read(mem.ctx, _gpa((h->cr3 & 0xffffffe0) + 8 * i), 8, &pdpte[i]))
            pdpte[i] = ~0ull;
        else if (hap)
            pdpte[i] &= ~PTE_A;
    if (!guest_pdptes_ok(shadow_cpu(s), pdpte))
        return -EINVAL;
    memcpy(h->shadow.paging.pdpte, pdpte, sizeof(pdpte));
    return 0;
}

void hvm_paging_changed(struct vcpu *v)
{
    struct hvm_vcpu *h = v->hvm;

    guest_paging_set(&h->shadow.paging, shadow_cpu(h->shadow.s), h->cr0, h->cr4, h->efer);
    h->shadow.paging.cr3 = h->cr3;
    h->paging_due = true;
}

const struct guest_paging *hvm_paging(struct vcpu *v)
{
    struct hvm_vcpu *h = v->hvm;

    if (v->domain->hap) { /* CR3 was loaded without an exit */
        h->shadow.paging.cr3 = h->cr3;
        (void)load_pdptes(h, true); /* bad ones: those of before */
    }
    return &h->shadow.paging;
}

struct hvm_control hvm_get_control(const struct hvm_vcpu *h)
{
    struct hvm_control c = {.cr0 = h->cr0, .cr3 = h->cr3, .cr4 = h->cr4, .efer = h->efer};

    memcpy(c.pdpte, h->shadow.paging.pdpte, sizeof(c.pdpte));
    return c;
}

void hvm_put_control(struct hvm_vcpu *h, const struct hvm_control *c)
{
    h->cr0 = c->cr0;
    h->cr3 = c->cr3;
    h->cr4 = c->cr4;
    h->efer = c->efer;
    memcpy(h->shadow.paging.pdpte, c->pdpte, sizeof(c->pdpte));
}

/* Takes the wanted registers over if the roots can be loaded by them. */
static int change(struct vcpu *v, const struct hvm_control *want, bool roots)
{
    struct hvm_control old = hvm_get_control(v->hvm);
    int rc;

    hvm_put_control(v->hvm, want);
    rc = roots ? load_pdptes(v->hvm, v->domain->hap) : 0;
    if (rc)
        hvm_put_control(v->hvm, &old);
    else
        hvm_paging_changed(v);
    return rc;
}

static bool in_64bit_code(const struct vcpu *v)
{
    struct hvm_segment cs;

    hvm_ops->get_segment(v, HVM_CS, &cs);
    return cs.attr & SEG_ATTR_L;
}

int hvm_set_cr0(struct vcpu *v, uint64_t value)
{
    struct hvm_control want = hvm_get_control(v->hvm);
    uint64_t turned = (value ^ want.cr0) & CR0_PG;

    if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_WT) && !(value & CR0_CD)))
        return -EINVAL;
    value = (value & CR0_ALL) | CR0_ET;
    if (turned && (value & CR0_PG) && (want.efer & EFER_LME)) {
        if (!(want.cr4 & CR4_PAE) || in_64bit_code(v))
            return -EINVAL;
        want.efer |= EFER_LMA;
    } else if (turned && !(value & CR0_PG) && (want.efer & EFER_LMA)) {
        if (in_64bit_code(v))
            return -EINVAL;
        want.efer &= ~EFER_LMA;
    }
    want.cr0 = value;
    return change(v, &want, turned);
}

int hvm_set_cr3(struct vcpu *v, uint64_t value)
{
    struct hvm_control want = hvm_get_control(v->hvm);

    if ((want.efer & EFER_LMA) && value >> shadow_cpu(v->hvm->shadow.s)->phys_bits)
        return -EINVAL;
    want.cr3 = want.efer & EFER_LMA ? value : (uint32_t)value;
    return change(v, &want, true);
}

int hvm_set_cr4(struct vcpu *v, uint64_t value)
{
    struct hvm_control want = hvm_get_control(v->hvm);
    uint64_t turned = value ^ want.cr4;

    if ((value & ~cr4_allowed()) || ((want.efer & EFER_LMA) && !(value & CR4_PAE)))
        return -EINVAL;
    want.cr4 = value;
    return change(v, &want, turned & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP));
}

int hvm_set_efer(struct vcpu *v, uint64_t value)
{
    struct hvm_control want = hvm_get_control(v->hvm);

    if ((value & ~EFER_ALL) || (((value ^ want.efer) & EFER_LME) && (want.cr0 & CR0_PG)))
        return -EINVAL;
    want.efer = (value & ~EFER_LMA) | (want.efer & EFER_LMA);
    return change(v, &want, false);
}
