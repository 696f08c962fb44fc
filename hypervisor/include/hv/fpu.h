/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended processor state: saved and restored eagerly at each vCPU switch. The hypervisor itself uses general
 * registers only. */
#ifndef HV_FPU_H
#define HV_FPU_H

#include <hv/domain.h>

int fpu_vcpu_init(struct vcpu *v); /* 0 or -ENOMEM */
void fpu_vcpu_free(struct vcpu *v);
void fpu_save(struct vcpu *v);
void fpu_restore(struct vcpu *v);
/* XSETBV by the guest: false when the value is not allowed. */
bool fpu_set_xcr0(struct vcpu *v, uint64_t xcr0);
/* Legacy 512-byte image of the ABI's vcpu_guest_context. */
void fpu_import_legacy(struct vcpu *v, const void *fxsave);
void fpu_export_legacy(struct vcpu *v, void *fxsave);

#endif
