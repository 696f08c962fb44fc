/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to hvm/: the parts of a vCPU's state as records of the public save format. check: could all of it be taken
 * over? It changes nothing; 0 or -EINVAL. load takes over what was checked, and cannot fail. v is paused, and stays so
 * from the check on.
 */
#ifndef HVM_STATE_H
#define HVM_STATE_H

#include <hv/hvm.h>
#include <xen/hvm/save.h>

/* context.c. control: what the check made of the control registers, for load. */
int hvm_check_cpu(struct vcpu *v, const struct hvm_hw_cpu *c, struct hvm_control *control);
void hvm_load_cpu(struct vcpu *v, const struct hvm_hw_cpu *c, const struct hvm_control *control);
void hvm_save_cpu(struct vcpu *v, struct hvm_hw_cpu *c);

/* lapic_state.c. Either record may be absent: NULL. */
int lapic_check(const struct vcpu *v, const struct hvm_hw_lapic *hw, const struct hvm_hw_lapic_regs *regs);
void lapic_load(struct vcpu *v, const struct hvm_hw_lapic *hw, const struct hvm_hw_lapic_regs *regs);
void lapic_save(struct vcpu *v, struct hvm_hw_lapic *hw);
void lapic_save_regs(struct vcpu *v, struct hvm_hw_lapic_regs *regs);

/* msr.c */
int hvm_check_mtrr(const struct vcpu *v, const struct hvm_hw_mtrr *m);
void hvm_load_mtrr(struct vcpu *v, const struct hvm_hw_mtrr *m);
void hvm_save_mtrr(const struct vcpu *v, struct hvm_hw_mtrr *m);
/* Is that the value that the guest finds there, whatever it does? */
bool hvm_is_constant(uint32_t msr, uint64_t value);

/* xstate.c. size: of the record. */
int hvm_check_xsave(const struct hvm_hw_cpu_xsave *x, size_t size);
void hvm_load_xsave(struct vcpu *v, const struct hvm_hw_cpu_xsave *x);
/* What of it is longest, and what v has: 0 without XSAVE. */
size_t hvm_xsave_max(void);
size_t hvm_save_xsave(const struct vcpu *v, struct hvm_hw_cpu_xsave *x);

#endif
