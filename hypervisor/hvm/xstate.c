/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of the extended processor state: XCR0, the sum of all values it ever had, and an area in XSAVE's standard
 * format with the components of that sum. It is checked for all that XRSTOR would fault on, since the processor loads
 * it in the hypervisor's name. AMD64 manual volume 2, section 11.5.
 */
#include <hv/fpu.h>
#include <hv/x86.h>
#include "state.h"

#define LEAD          offsetof(struct hvm_hw_cpu_xsave, save_area)
#define LEGACY_STATES (XCR0_X87 | XCR0_SSE) /* FXRSTOR loads them whatever XCR0 says */

/* Components of which there may be something: those of v's area beyond them are in their initial state. */
static uint64_t states(uint64_t accum)
{
    return accum | LEGACY_STATES;
}

size_t hvm_xsave_max(void)
{
    return cpu_features.xsave ? LEAD + cpu_features.xsave_size : 0;
}

size_t hvm_save_xsave(const struct vcpu *v, struct hvm_hw_cpu_xsave *x)
{
    size_t size = cpu_features.xsave ? xstate_size(states(v->xcr0_accum)) : 0;

    if (!size)
        return 0;
    x->xfeature_mask = cpu_features.xcr0_mask;
    x->xcr0 = v->xcr0;
    x->xcr0_accum = v->xcr0_accum;
    memcpy(&x->save_area, v->xsave_area, size);
    x->save_area.xsave_hdr.xstate_bv &= states(v->xcr0_accum);
    return LEAD + size;
}

static bool header_ok(const struct hvm_hw_cpu_xsave *x)
{
    const struct hvm_hw_cpu_xsave_hdr *h = &x->save_area.xsave_hdr;
    uint64_t reserved = 0;
    uint32_t mxcsr;

    for (unsigned int i = 0; i < ARRAY_SIZE(h->reserved); i++)
        reserved |= h->reserved[i];
    memcpy(&mxcsr, x->save_area.fpu_sse.x + MXCSR_OFFSET, sizeof(mxcsr));
    return !(h->xstate_bv & ~states(x->xcr0_accum)) && !h->xcomp_bv && !reserved && !(mxcsr & ~MXCSR_MASK_OK);
}

/* What a processor with more components saved beyond those of the sum is nothing. */
static bool rest_is_clear(const struct hvm_hw_cpu_xsave *x, size_t from, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)x;

    while (from < size && !bytes[from])
        from++;
    return from == size;
}

int hvm_check_xsave(const struct hvm_hw_cpu_xsave *x, size_t size)
{
    uint64_t accum = x->xcr0_accum;
    size_t need;

    if (!cpu_features.xsave || (accum & ~cpu_features.xcr0_mask) || !xcr0_valid(accum))
        return -EINVAL;
    need = LEAD + xstate_size(states(accum));
    if (size < need || !xcr0_valid(x->xcr0) || (x->xcr0 & ~accum))
        return -EINVAL;
    return header_ok(x) && rest_is_clear(x, need, size) ? 0 : -EINVAL;
}

void hvm_load_xsave(struct vcpu *v, const struct hvm_hw_cpu_xsave *x)
{
    v->xcr0 = x->xcr0;
    v->xcr0_accum = x->xcr0_accum;
    memset(v->xsave_area, 0, cpu_features.xsave_size);
    memcpy(v->xsave_area, &x->save_area, xstate_size(states(x->xcr0_accum)));
}
