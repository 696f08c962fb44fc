/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * domctl: what of a vCPU does not fit its context: extended processor state, entry points of 32-bit code, MSRs. With
 * the context they are all that a saved PV domain's vCPUs bring along.
 *
 * An image of the extended state is checked for all that XRSTOR would fault on before any of it is taken over: the
 * processor loads it in the hypervisor's name.
 */
#include "domctl.h"

#include <hv/fpu.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/vmce.h>
#include <hv/x86.h>

/* XCR0 and the sum of all values it ever had stand before the area. */
#define LEAD_SIZE   16
#define LEGACY_SIZE 512
#define COMPACT     (1ull << 63)

struct xstate_image {
    uint64_t xcr0, accum;
    uint8_t legacy[LEGACY_SIZE];
    uint64_t bv, comp, reserved[6];
};

/* Another's vCPU: its state is only whole while it does not run. */
static long other_vcpu(struct domain *d, uint32_t id, struct vcpu **v)
{
    *v = domain_vcpu(d, id);
    if (!*v)
        return -ESRCH;
    return *v == current ? -EINVAL : 0;
}

/* ---- extended state ---- */

static uint64_t state_mask(void)
{
    return cpu_features.xsave ? cpu_features.xcr0_mask : 0;
}

static uint64_t image_size(uint64_t accum)
{
    return LEAD_SIZE + (accum ? xstate_size(accum) : 0);
}

/* The area but for its header, which may name components that the guest never turned on. */
static int copy_image(const struct vcpu *v, uint8_t *out, uint64_t accum)
{
    const uint8_t *area = v->xsave_area;
    struct xstate_image head = {.xcr0 = accum ? v->xcr0 : 0, .accum = accum};
    uint64_t bv;

    if (!accum)
        return guest_copy_to(out, &head, LEAD_SIZE);
    memcpy(head.legacy, area, LEGACY_SIZE);
    memcpy(&bv, area + LEGACY_SIZE, sizeof(bv));
    head.bv = bv & accum;
    if (guest_copy_to(out, &head, sizeof(head)))
        return -EFAULT;
    return guest_copy_to(out + sizeof(head), area + sizeof(head) - LEAD_SIZE, image_size(accum) - sizeof(head));
}

long domctl_getvcpuextstate(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_vcpuextstate *e = &op->u.vcpuextstate;
    uint64_t mask = state_mask(), accum;
    struct vcpu *v;
    long rc = other_vcpu(d, e->vcpu, &v);

    if (rc)
        return rc;
    *copyback = true;
    if ((!e->size && !e->xfeature_mask) || !e->buffer.p) {
        e->xfeature_mask = mask;
        e->size = image_size(mask); /* the most that it may come to need */
        return 0;
    }
    vcpu_pause(v);
    accum = v->xcr0_accum & mask;
    if (e->size < image_size(accum) || e->xfeature_mask != mask)
        rc = -EINVAL;
    else
        rc = copy_image(v, (uint8_t *)e->buffer.p, accum);
    vcpu_unpause(v);
    if (!rc)
        e->size = image_size(accum);
    return rc;
}

static int check_image(const struct xstate_image *i, uint64_t size)
{
    uint32_t mxcsr;

    if ((i->accum & ~state_mask()) || !xcr0_valid(i->accum) || !xcr0_valid(i->xcr0) || (i->xcr0 & ~i->accum))
        return -EINVAL;
    if (size != image_size(i->accum))
        return -EINVAL;
    if (i->comp & COMPACT)
        return -EOPNOTSUPP;
    for (unsigned int k = 0; k < ARRAY_SIZE(i->reserved); k++)
        if (i->reserved[k])
            return -EINVAL;
    memcpy(&mxcsr, i->legacy + MXCSR_OFFSET, sizeof(mxcsr));
    return (i->bv & ~i->accum) || i->comp || (mxcsr & ~MXCSR_MASK_OK) ? -EINVAL : 0;
}

/* What lies behind the image's components is that of a vCPU that never turned on more. */
static void take_image(struct vcpu *v, const struct xstate_image *i, uint64_t size)
{
    uint8_t *area = v->xsave_area;

    vcpu_pause(v);
    v->xcr0 = i->xcr0;
    v->xcr0_accum = i->accum;
    memset(area, 0, cpu_features.xsave_size);
    memcpy(area, i->legacy, size - LEAD_SIZE);
    vcpu_unpause(v);
}

long domctl_setvcpuextstate(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_vcpuextstate *e = &op->u.vcpuextstate;
    struct xstate_image *image;
    struct vcpu *v;
    long rc = other_vcpu(d, e->vcpu, &v);

    if (rc)
        return rc;
    if (e->size < LEAD_SIZE || e->size > image_size(state_mask()))
        return -EINVAL;
    image = hv_alloc(MAX(e->size, sizeof(*image)));
    if (!image)
        return -ENOMEM;
    if (guest_copy_from(image, e->buffer.p, e->size))
        rc = -EFAULT;
    else if (!image->accum) /* saved where there is no XSAVE: the legacy image in its context is all there is */
        rc = image->xcr0 || e->size != LEAD_SIZE ? -EINVAL : 0;
    else
        rc = check_image(image, e->size);
    if (!rc && image->accum)
        take_image(v, image, e->size);
    hv_free(image);
    return rc;
}

/* ---- entry points ---- */

long domctl_getextcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_ext_vcpucontext *e = &op->u.ext_vcpucontext;
    uint32_t id = e->vcpu;
    struct vcpu *v;
    long rc = other_vcpu(d, id, &v);

    if (rc)
        return rc;
    memset(e, 0, sizeof(*e));
    e->vcpu = id;
    e->size = sizeof(*e);
    if (!paging_mode_translate(d)) {
        vcpu_pause(v);
        e->vmce.caps = v->pv.mcg_cap;
        e->syscall32_callback_eip = v->pv.syscall32_callback;
        e->sysenter_callback_eip = v->pv.sysenter_callback;
        e->syscall32_callback_cs = v->pv.syscall32_cs;
        e->sysenter_callback_cs = v->pv.sysenter_cs;
        e->syscall32_disables_events = v->pv.syscall32_disables_events;
        e->sysenter_disables_events = v->pv.sysenter_disables_events;
        vcpu_unpause(v);
    }
    *copyback = true;
    return 0;
}

/* What it says of machine checks, of which older writers say less. */
static int read_vmce(const struct xen_domctl_ext_vcpucontext *e, struct hvm_vmce_vcpu *m)
{
    const size_t at = offsetof(struct xen_domctl_ext_vcpucontext, vmce);

    memset(m, 0, sizeof(*m));
    if (e->size < at)
        return -EINVAL;
    memcpy(m, &e->vmce, MIN((size_t)e->size - at, sizeof(*m)));
    return vmce_check(m);
}

long domctl_setextcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    const struct xen_domctl_ext_vcpucontext *e = &op->u.ext_vcpucontext;
    struct hvm_vmce_vcpu vmce;
    struct vcpu *v;
    long rc = other_vcpu(d, e->vcpu, &v);

    if (!rc)
        rc = read_vmce(e, &vmce);
    if (rc)
        return rc;
    if (paging_mode_translate(d))
        return e->syscall32_callback_eip || e->sysenter_callback_eip ? -EINVAL : 0;
    if (!is_canonical(e->syscall32_callback_eip) || !is_canonical(e->sysenter_callback_eip))
        return -EINVAL;
    vcpu_pause(v);
    v->pv.syscall32_callback = e->syscall32_callback_eip;
    v->pv.sysenter_callback = e->sysenter_callback_eip;
    v->pv.syscall32_cs = e->syscall32_callback_cs;
    v->pv.sysenter_cs = e->sysenter_callback_cs;
    v->pv.syscall32_disables_events = e->syscall32_disables_events;
    v->pv.sysenter_disables_events = e->sysenter_disables_events;
    v->pv.mcg_cap = vmce.caps;
    vcpu_unpause(v);
    return 0;
}

/* ---- MSRs ---- */

#define MSR_SPEC_CTRL             0x48
#define MSR_MISC_FEATURES_ENABLES 0x140
/* AMD's masks of breakpoint addresses. */
#define MSR_DR0_MASK 0xc0011027
#define MSR_DR1_MASK 0xc0011019
#define MSR_DR2_MASK 0xc001101a
#define MSR_DR3_MASK 0xc001101b

static const uint32_t saved_msrs[] = {
    MSR_SPEC_CTRL, MSR_MISC_FEATURES_ENABLES, MSR_TSC_AUX, MSR_DR0_MASK, MSR_DR1_MASK, MSR_DR2_MASK, MSR_DR3_MASK,
};

/* Without a list: how many there can be. Those that are 0 are left out. */
static int put_msrs(const struct vcpu *v, struct xen_domctl_vcpu_msrs *m)
{
    struct xen_domctl_vcpu_msr aux = {.index = MSR_TSC_AUX, .value = v->pv.tsc_aux};
    uint32_t room = m->msr_count;

    m->msr_count = m->msrs.p ? aux.value != 0 : ARRAY_SIZE(saved_msrs);
    if (!m->msrs.p || !aux.value)
        return 0;
    if (!room)
        return -ENOBUFS;
    return guest_copy_to(m->msrs.p, &aux, sizeof(aux)) ? -EFAULT : 0;
}

/* Of those that are saved by name PV guests are offered RDTSCP's alone: the others have no value but 0. */
long domctl_getvcpumsrs(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct vcpu *v;
    long rc = other_vcpu(d, op->u.vcpu_msrs.vcpu, &v);

    if (rc)
        return rc;
    if (paging_mode_translate(d))
        return -EINVAL;
    *copyback = true;
    return put_msrs(v, &op->u.vcpu_msrs);
}

/* The vCPU is paused. */
static int set_msr(struct vcpu *v, const struct xen_domctl_vcpu_msr *m)
{
    bool known = false;

    for (unsigned int i = 0; i < ARRAY_SIZE(saved_msrs); i++)
        known |= m->index == saved_msrs[i];
    if (!known || m->reserved)
        return -EINVAL;
    if (m->index != MSR_TSC_AUX)
        return m->value ? -EINVAL : 0;
    if (m->value >> 32 || (m->value && !cpu_features.rdtscp))
        return -EINVAL;
    v->pv.tsc_aux = (uint32_t)m->value;
    return 0;
}

long domctl_setvcpumsrs(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_vcpu_msrs *m = &op->u.vcpu_msrs;
    struct vcpu *v;
    long rc = other_vcpu(d, m->vcpu, &v);
    uint32_t i = 0;

    if (rc)
        return rc;
    if (paging_mode_translate(d) || m->msr_count > ARRAY_SIZE(saved_msrs))
        return -EINVAL;
    vcpu_pause(v);
    for (; i < m->msr_count && !rc; i++) {
        struct xen_domctl_vcpu_msr msr;

        rc = guest_copy_from(&msr, m->msrs.p + i, sizeof(msr)) ? -EFAULT : set_msr(v, &msr);
    }
    vcpu_unpause(v);
    if (rc) {
        m->msr_count = i - 1;
        *copyback = true;
    }
    return rc;
}
