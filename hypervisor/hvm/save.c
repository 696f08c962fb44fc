// SPDX-License-Identifier: BSD-2-Clause
/*
 * A paused vCPU's records in the public save format: those that Xen has for a domain whose only device is the local
 * APIC. No event waits there but the one under delivery, and no shadow of STI. Source: <xen/arch-x86/hvm/save.h>.
 */
#include <hv/x86.h>
#include "state.h"

size_t hvm_record_max(unsigned int type)
{
    switch (type) {
    case HVM_SAVE_CODE(CPU):
        return HVM_SAVE_LENGTH(CPU);
    case HVM_SAVE_CODE(LAPIC):
        return HVM_SAVE_LENGTH(LAPIC);
    case HVM_SAVE_CODE(LAPIC_REGS):
        return HVM_SAVE_LENGTH(LAPIC_REGS);
    case HVM_SAVE_CODE(MTRR):
        return HVM_SAVE_LENGTH(MTRR);
    case CPU_XSAVE_CODE:
        return hvm_xsave_max();
    case HVM_SAVE_CODE(VMCE_VCPU):
        return HVM_SAVE_LENGTH(VMCE_VCPU);
    case HVM_SAVE_CODE(TSC_ADJUST):
        return HVM_SAVE_LENGTH(TSC_ADJUST);
    default:
        return 0;
    }
}

/* One that is down has no registers: where it goes it is down as well. */
static size_t save_cpu(struct vcpu *v, void *buf)
{
    if (test_bit(VPF_down, &v->pause_flags))
        return 0;
    hvm_start_if_told(v);
    hvm_save_cpu(v, buf);
    return HVM_SAVE_LENGTH(CPU);
}

size_t hvm_save_record(struct vcpu *v, unsigned int type, void *buf)
{
    switch (type) {
    case HVM_SAVE_CODE(CPU):
        return save_cpu(v, buf);
    case HVM_SAVE_CODE(LAPIC):
        lapic_save(v, buf);
        break;
    case HVM_SAVE_CODE(LAPIC_REGS):
        lapic_save_regs(v, buf);
        break;
    case HVM_SAVE_CODE(MTRR):
        hvm_save_mtrr(v, buf);
        break;
    case CPU_XSAVE_CODE:
        return hvm_save_xsave(v, buf);
    case HVM_SAVE_CODE(VMCE_VCPU):
        *(struct hvm_vmce_vcpu *)buf = (struct hvm_vmce_vcpu){.caps = v->hvm->mcg_cap};
        break;
    case HVM_SAVE_CODE(TSC_ADJUST):
        *(struct hvm_tsc_adjust *)buf = (struct hvm_tsc_adjust){.tsc_adjust = v->hvm->tsc_adjust};
        break;
    }
    return hvm_record_max(type);
}
