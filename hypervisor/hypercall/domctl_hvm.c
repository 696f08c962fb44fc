/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a domain on hardware virtualisation in the public save format: a header, records, an end. All of it is
 * read or changed in slices. Meanwhile the domain is paused, and other control calls about it wait, but for its
 * destruction: what was checked stays true. Source: <xen/hvm/save.h>.
 */
#include "domctl.h"

#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/sched.h>
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

/* ---- a transfer under way ---- */

struct record {
    struct hvm_save_descriptor desc;
    uint8_t body[PAGE_SIZE - sizeof(struct hvm_save_descriptor)];
};

struct hvm_transfer {
    uint64_t token; /* names it in the structure of the caller, who comes again with that */
    uint32_t cmd;
    uint32_t at;             /* bytes copied */
    struct record *record;   /* reading: the one at hand */
    unsigned int type, next; /* of it, an index of vcpu_types; its vCPU */
    uint8_t *bytes;          /* writing: what the caller has */
    uint32_t size;
    struct hvm_restore *restore;
};

/* A place in the structure that hvmcontext does not use. */
static uint8_t *token_place(struct xen_domctl *op)
{
    return op->u.pad + sizeof(op->u.hvmcontext);
}

static bool goes_on(const struct hvm_transfer *t, struct xen_domctl *op)
{
    uint64_t token;

    memcpy(&token, token_place(op), sizeof(token));
    return t->cmd == op->cmd && t->token == token;
}

bool domctl_must_wait(const struct domain *d, struct xen_domctl *op)
{
    return d->hvm.transfer && op->cmd != XEN_DOMCTL_destroydomain && !goes_on(d->hvm.transfer, op);
}

static void free_transfer(struct hvm_transfer *t)
{
    if (t->bytes)
        stretch_work(1u << get_order_bytes(t->size));
    free_hv_mem(t->bytes, get_order_bytes(t->size));
    hv_free(t->restore);
    hv_free(t->record);
    hv_free(t);
}

void hvm_drop_transfer(struct domain *d)
{
    struct hvm_transfer *t = d->hvm.transfer;

    if (!t)
        return;
    d->hvm.transfer = NULL;
    free_transfer(t);
    domain_unpause(d);
}

static struct hvm_transfer *new_transfer(const struct xen_domctl *op)
{
    struct hvm_transfer *t = hv_new(struct hvm_transfer);

    if (!t)
        return NULL;
    *t = (struct hvm_transfer){.token = rdtsc(), .cmd = op->cmd, .size = op->u.hvmcontext.size};
    if (op->cmd == XEN_DOMCTL_gethvmcontext) {
        t->record = hv_alloc(PAGE_SIZE);
        stretch_work(STRETCH_FRAME);
    } else {
        t->bytes = alloc_hv_mem(get_order_bytes(t->size));
        stretch_work(1u << get_order_bytes(t->size));
    }
    if (t->record || t->bytes)
        return t;
    hv_free(t);
    return NULL;
}

typedef int slice_fn(struct domain *d, struct hvm_transfer *t, uint8_t *caller);

/* The call begins, or goes on, until it should be preempted: 0, -ERESTART or an error, with which it is over. */
static int transfer(struct domain *d, struct xen_domctl *op, slice_fn *slice)
{
    struct hvm_transfer *t = d->hvm.transfer;
    int rc;

    if (!t) {
        t = d->hvm.transfer = new_transfer(op);
        if (!t)
            return -ENOMEM;
        domain_pause(d);
    }
    do {
        rc = slice(d, t, op->u.hvmcontext.buffer.p);
    } while (rc == -ERESTART && !preempt_needed());
    memcpy(token_place(op), &t->token, sizeof(t->token));
    return rc;
}

/* ---- reading ---- */

static int put(struct hvm_transfer *t, uint8_t *to, unsigned int type, unsigned int instance, size_t length)
{
    size_t size = sizeof(t->record->desc) + length;

    t->record->desc = (struct hvm_save_descriptor){(uint16_t)type, (uint16_t)instance, (uint32_t)length};
    if (guest_copy_to(to + t->at, t->record, size))
        return -EFAULT;
    t->at += (uint32_t)size;
    stretch_work(1 + (unsigned int)size / (PAGE_SIZE / STRETCH_FRAME));
    return -ERESTART;
}

static int put_header(struct hvm_transfer *t, uint8_t *to)
{
    struct hvm_save_header h = {.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION, .gtsc_khz = (uint32_t)tsc_khz};
    uint32_t r[4];

    cpuid(1, 0, r);
    h.cpuid = r[0];
    memcpy(t->record->body, &h, sizeof(h));
    return put(t, to, HVM_SAVE_CODE(HEADER), 0, sizeof(h));
}

/* The next vCPU's record of the type at hand. */
static int put_record(struct domain *d, struct hvm_transfer *t, uint8_t *to)
{
    unsigned int type = vcpu_types[t->type];
    struct vcpu *v = d->vcpu[t->next];
    size_t length = v ? hvm_save_record(v, type, t->record->body) : 0;
    int rc = length ? put(t, to, type, v->vcpu_id, length) : -ERESTART;

    if (++t->next == d->max_vcpus) {
        t->next = 0;
        t->type++;
    }
    return rc;
}

static int read_slice(struct domain *d, struct hvm_transfer *t, uint8_t *to)
{
    int rc;

    if (!t->at) {
        hvm_note_tsc(d);
        return put_header(t, to);
    }
    if (t->type < ARRAY_SIZE(vcpu_types))
        return put_record(d, t, to);
    rc = put(t, to, HVM_SAVE_CODE(END), 0, 0);
    return rc == -ERESTART ? 0 : rc;
}

long domctl_gethvmcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    struct xen_domctl_hvmcontext *c = &op->u.hvmcontext;
    bool begins = !d->hvm.transfer;
    int rc;

    if (!has_context(d))
        return -EINVAL;
    *copyback = true;
    if (begins && !c->buffer.p) {
        c->size = (uint32_t)domain_size(d);
        return 0;
    }
    if (begins && c->size < domain_size(d))
        return -ENOSPC;
    rc = transfer(d, op, read_slice);
    if (d->hvm.transfer && rc != -ERESTART) {
        c->size = d->hvm.transfer->at;
        hvm_drop_transfer(d);
    }
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

static int write_slice(struct domain *d, struct hvm_transfer *t, uint8_t *from)
{
    uint32_t n = MIN(t->size - t->at, (uint32_t)PAGE_SIZE);

    if (n && guest_copy_from(t->bytes + t->at, from + t->at, n))
        return -EFAULT;
    t->at += n;
    if (n) {
        stretch_work(STRETCH_FRAME);
        return -ERESTART;
    }
    if (!t->restore)
        t->restore = hvm_restore_begin(d, t->bytes, t->size);
    return t->restore ? hvm_restore_slice(d, t->restore) : -ENOMEM;
}

long domctl_sethvmcontext(struct domain *d, struct xen_domctl *op, bool *copyback)
{
    uint32_t size = op->u.hvmcontext.size;
    int rc;

    if (!has_context(d))
        return -EINVAL;
    if (!d->hvm.transfer && (!size || size > domain_size(d) + DOMAIN_MORE + d->max_vcpus * VCPU_MORE))
        return -EINVAL;
    rc = transfer(d, op, write_slice);
    if (rc == -ERESTART)
        *copyback = true;
    else
        hvm_drop_transfer(d);
    return rc;
}
