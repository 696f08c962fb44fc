/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine checks as guests see them: none is ever told. A guest that was saved where it was told of banks (Xen shows
 * two) finds them, empty, and may go through them; others have none. Registers: AMD manual volume 2, chapter 9.
 */
#ifndef HV_VMCE_H
#define HV_VMCE_H

#include <hv/lib.h>
#include <xen/xen.h>
#include <xen/hvm/save.h>

#define MSR_MCG_CAP    0x179u
#define MSR_MCG_STATUS 0x17au
#define MSR_MCG_CTL    0x17bu
#define MSR_MC0_CTL    0x400u
#define MCG_CTL_P      (1u << 8)
#define MCG_TES_P \
    (1u << 11) /* these two Xen shows on Intel's processors: about the status of a bank, which is 0 here */
#define MCG_SER_P     (1u << 24)
#define MCG_BANKS_MAX 2u /* as many as Xen shows a guest */

/* What a saved vCPU had: 0, or -EINVAL if it is more than is kept here. Then .caps is all that there is to keep. */
static inline int vmce_check(const struct hvm_vmce_vcpu *m)
{
    const uint64_t known = 0xff | MCG_CTL_P | MCG_TES_P | MCG_SER_P;
    bool ok = (m->caps & 0xff) <= MCG_BANKS_MAX && !(m->caps & ~known);

    return ok && !m->mci_ctl2_bank0 && !m->mci_ctl2_bank1 && !m->mcg_ext_ctl ? 0 : -EINVAL;
}

/*
 * Has a vCPU of these capabilities that register of a bank, or the one that controls all of them? *control: it tells
 * what to report, reads as all ones, and can be set to anything without effect; others read as 0, and can be set to 0.
 */
static inline bool vmce_register(uint64_t caps, uint32_t msr, bool *control)
{
    *control = msr == MSR_MCG_CTL || msr % 4 == 0;
    if (msr == MSR_MCG_CTL)
        return caps & MCG_CTL_P;
    return msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * (caps & 0xff);
}

#endif
