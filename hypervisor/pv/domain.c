/* SPDX-License-Identifier: BSD-2-Clause */
/* PV parts of domains and vCPUs: creation and release. Release accepts what creation left half done. */
#include <hv/fpu.h>
#include <hv/heap.h>
#include "internal.h"

int pv_domain_init(struct domain *d)
{
    d->pv.perdomain_l3 = INVALID_MFN;
    pv_pt_domain_init(d);
    pv_cpuid_init();
    return pv_perdomain_init(d);
}

void pv_domain_free(struct domain *d)
{
    pv_perdomain_free(d);
    hv_free(d->pv.cpuid);
    d->pv.cpuid = NULL;
}

int pv_vcpu_init(struct vcpu *v)
{
    int rc;

    v->pv.l4_kernel = INVALID_MFN;
    v->pv.l4_user = INVALID_MFN;
    for (unsigned int i = 0; i < ARRAY_SIZE(v->pv.gdt_frames); i++)
        v->pv.gdt_frames[i] = INVALID_MFN;
    v->pv.kernel_mode = true;
    v->pv.dr6 = DR6_DEFAULT;
    v->pv.dr7 = DR7_DEFAULT;
    rc = fpu_vcpu_init(v);
    return rc ? rc : pv_perdomain_add_vcpu(v->domain, v->vcpu_id);
}

void pv_vcpu_free(struct vcpu *v)
{
    pv_drop_descriptors(v);
    fpu_vcpu_free(v);
}
