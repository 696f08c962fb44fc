/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a domain on hardware virtualisation in the public save format: a header, records, an end. It is paused
 * while that is read or changed. Source: <xen/hvm/save.h>.
 */
#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/stretch.h>
#include <hv/x86.h>
#include <xen/hvm/save.h>

/* What records of others may add: wires of devices that are not there, components that this processor does not have. */
#define VCPU_MORE   PAGE_SIZE
#define DOMAIN_MORE PAGE_SIZE

/* In the order in which Xen has them. */
static const uint8_t vcpu_types[] = {
    HVM_SAVE_CODE(CPU), HVM_SAVE_CODE(LAPIC),     HVM_SAVE_CODE(LAPIC_REGS), HVM_SAVE_CODE(MTRR),
    CPU_XSAVE_CODE,     HVM_SAVE_CODE(VMCE_VCPU), HVM_SAVE_CODE(TSC_ADJUST),
};

/* Is it another one, and one that has such a state? */
static bool has_context(const struct domain *d)
{
    return d != current->domain && paging_mode_translate(d) && d->dying == DOM_ALIVE;
}

static size_t vcpu_size(void)
{
    size_t sum = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(vcpu_types); i++)
        if (hvm_record_max(vcpu_types[i]))
            sum += sizeof(struct hvm_save_descriptor) + hvm_record_max(vcpu_types[i]);
    return sum;
}

/* The most that d may come to need. */
static size_t domain_size(struct domain *d)
{
    size_t sum = 2 * sizeof(struct hvm_save_descriptor) + HVM_SAVE_LENGTH(HEADER);
    struct vcpu *v;

    for_each_vcpu (d, v)
        sum += vcpu_size();
    return sum;
}

/* ---- reading ---- */

struct writer {
    uint8_t *to; /* guest memory */
    uint32_t at;
    struct {
        struct hvm_save_descriptor desc;
        uint8_t body[PAGE_SIZE - sizeof(struct hvm_save_descriptor)];
    } * record;
};

static int put(struct writer *w, unsigned int type, unsigned int instance, size_t length)
{
    size_t size = sizeof(w->record->desc) + length;

    w->record->desc = (struct hvm_save_descriptor){(uint16_t)type, (uint16_t)instance, (uint32_t)length};
    if (guest_copy_to(w->to + w->at, w->record, size))
        return -EFAULT;
    w->at += (uint32_t)size;
    stretch_work(1);
    return 0;
}

static int put_header(struct writer *w)
{
    struct hvm_save_header h = {.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION, .gtsc_khz = (uint32_t)tsc_khz};
    uint32_t r[4];

    cpuid(1, 0, r);
    h.cpuid = r[0];
    memcpy(w->record->body, &h, sizeof(h));
    return put(w, HVM_SAVE_CODE(HEADER), 0, sizeof(h));
}

static int put_type(struct writer *w, struct domain *d, unsigned int type)
{
    struct vcpu *v;
    int rc = 0;

    for_each_vcpu (d, v) {
        size_t length = hvm_save_record(v, type, w->record->body);

        if (length)
            rc = put(w, type, v->vcpu_id, length);
        if (rc)
            break;
    }
    return rc;
}

static int put_all(struct writer *w, struct domain *d)
{
    int rc = put_header(w);

    for (unsigned int i = 0; !rc && i < ARRAY_SIZE(vcpu_types); i++)
        rc = put_type(w, d, vcpu_types[i]);
    return rc ? rc : put(w, HVM_SAVE_CODE(END), 0, 0);
}

long domctl_gethvmcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_hvmcontext *c = &op->u.hvmcontext;
    struct writer w = {.to = c->buffer.p};
    long rc;

    if (!has_context(d))
        return -EINVAL;
    *copyback = true;
    if (!w.to) {
        c->size = (uint32_t)domain_size(d);
        return 0;
    }
    if (c->size < domain_size(d))
        return -ENOSPC;
    w.record = hv_alloc(PAGE_SIZE);
    if (!w.record)
        return -ENOMEM;
    domain_pause(d);
    hvm_note_tsc(d);
    rc = put_all(&w, d);
    domain_unpause(d);
    c->size = w.at;
    hv_free(w.record);
    return rc;
}

/* ---- one record, without its description ---- */

static long copy_record(struct xen_domctl_hvmcontext_partial *p, const void *body, size_t length)
{
    if (!length)
        return -ENOENT;
    if (p->buffer.p && p->bufsz < length)
        return -ENOBUFS;
    if (p->buffer.p && guest_copy_to(p->buffer.p, body, length))
        return -EFAULT;
    p->bufsz = length;
    return 0;
}

long domctl_gethvmcontext_partial(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_hvmcontext_partial *p = &op->u.hvmcontext_partial;
    struct vcpu *v = domain_vcpu(d, p->instance);
    void *body;
    long rc;

    if (!has_context(d) || p->type <= HVM_SAVE_CODE(HEADER) || p->type > HVM_SAVE_CODE_MAX)
        return -EINVAL;
    if (!v || !hvm_record_max(p->type))
        return -ENOENT;
    body = hv_alloc(PAGE_SIZE);
    if (!body)
        return -ENOMEM;
    vcpu_pause(v);
    hvm_note_tsc(d);
    rc = copy_record(p, body, hvm_save_record(v, p->type, body));
    vcpu_unpause(v);
    hv_free(body);
    *copyback = !rc;
    return rc;
}

/* ---- writing ---- */

long domctl_sethvmcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint32_t size = op->u.hvmcontext.size;
    uint8_t *buf;
    int rc;

    if (!has_context(d) || !size || size > domain_size(d) + DOMAIN_MORE + d->max_vcpus * VCPU_MORE)
        return -EINVAL;
    buf = hv_alloc(size);
    if (!buf)
        return -ENOMEM;
    if (guest_copy_from(buf, op->u.hvmcontext.buffer.p, size))
        rc = -EFAULT;
    else {
        domain_pause(d);
        rc = hvm_restore(d, buf, size);
        domain_unpause(d);
    }
    hv_free(buf);
    return rc;
}
