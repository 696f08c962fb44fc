/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of vCPUs on hardware virtualisation, in the public save format: a header, records, an end. Source:
 * <xen/hvm/save.h>.
 */
#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <xen/hvm/save.h>

#define MAX_CONTEXT PAGE_SIZE

/* A record behind its descriptor: 0 or -EINVAL. */
static int set_record(struct domain *d, const struct hvm_save_descriptor *desc, const void *body)
{
    struct hvm_hw_cpu cpu;
    struct vcpu *v;
    int rc;

    if (desc->typecode == HVM_SAVE_CODE(HEADER))
        return desc->length == HVM_SAVE_LENGTH(HEADER) ? 0 : -EINVAL;
    v = domain_vcpu(d, desc->instance);
    if (desc->typecode != HVM_SAVE_CODE(CPU) || desc->length != sizeof(cpu) || !v)
        return -EINVAL;
    memcpy(&cpu, body, sizeof(cpu));
    vcpu_pause(v);
    rc = hvm_set_context(v, &cpu);
    vcpu_unpause(v);
    return rc;
}

/* Up to the end record. */
static int set_records(struct domain *d, const uint8_t *buf, uint32_t size)
{
    struct hvm_save_descriptor desc;
    uint32_t at = 0;
    int rc = 0;

    while (!rc) {
        if (size - at < sizeof(desc))
            return -EINVAL;
        memcpy(&desc, buf + at, sizeof(desc));
        at += (uint32_t)sizeof(desc);
        if (desc.typecode == HVM_SAVE_CODE(END))
            return 0;
        if (desc.length > size - at)
            return -EINVAL;
        rc = set_record(d, &desc, buf + at);
        at += desc.length;
    }
    return rc;
}

long domctl_sethvmcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint32_t size = op->u.hvmcontext.size;
    uint8_t *buf;
    int rc;

    if (d == current->domain || !d->shadow || !size || size > MAX_CONTEXT)
        return -EINVAL;
    buf = hv_alloc(size);
    if (!buf)
        return -ENOMEM;
    rc = guest_copy_from(buf, op->u.hvmcontext.buffer.p, size) ? -EFAULT : set_records(d, buf, size);
    hv_free(buf);
    return rc;
}
