/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended processor state: saved and restored eagerly at each vCPU switch. The hypervisor itself uses general
 * registers only. */
#ifndef HV_FPU_H
#define HV_FPU_H

#include <hv/domain.h>

#define XCR0_X87      (1ull << 0)
#define XCR0_SSE      (1ull << 1)
#define XCR0_AVX      (1ull << 2)
#define XCR0_BNDREGS  (1ull << 3)
#define XCR0_BNDCSR   (1ull << 4)
#define XCR0_AVX512   (7ull << 5)
#define MXCSR_OFFSET  24 /* in the legacy image */
#define MXCSR_MASK_OK 0xffffu

/* Rules of XSETBV: x87 always; AVX needs SSE; the three AVX-512 parts go together and need AVX; both of MPX or none. */
static inline bool xcr0_valid(uint64_t x)
{
    if (!(x & XCR0_X87))
        return false;
    if ((x & XCR0_AVX) && !(x & XCR0_SSE))
        return false;
    if ((x & XCR0_AVX512) && ((x & XCR0_AVX512) != XCR0_AVX512 || !(x & XCR0_AVX)))
        return false;
    return !(x & XCR0_BNDREGS) == !(x & XCR0_BNDCSR);
}

int fpu_vcpu_init(struct vcpu *v); /* 0 or -ENOMEM */
void fpu_vcpu_free(struct vcpu *v);
void fpu_save(struct vcpu *v);
void fpu_restore(struct vcpu *v);
/* XSETBV by the guest: false when the value is not allowed. */
bool fpu_set_xcr0(struct vcpu *v, uint64_t xcr0);
void fpu_reset(struct vcpu *v); /* as of a new vCPU, but for XCR0 */
/* Legacy 512-byte image of the ABI's vcpu_guest_context. */
void fpu_import_legacy(struct vcpu *v, const void *fxsave);
void fpu_export_legacy(struct vcpu *v, void *fxsave);

#endif
