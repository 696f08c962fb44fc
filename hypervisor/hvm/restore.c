// SPDX-License-Identifier: BSD-2-Clause
/*
 * A domain's records in the public save format: a header, any records in any order, an end. They are noted by vCPU,
 * checked, and only then taken over, which cannot fail; a slice is one record to be noted, or one vCPU. What is not
 * there stays as it is, except that a vCPU without registers is down from then on. What follows the end is not looked
 * at. Source: <xen/arch-x86/hvm/save.h>.
 */
#include <hv/heap.h>
#include <hv/stretch.h>
#include <hv/vmce.h>
#include <hv/x86.h>
#include "state.h"

#define ALIGNMENT 8u /* of records and their parts */
#define MSR_COUNT 64u
#define ANY_SIZE  (~0u)

/* What is looked at, or taken over, of a vCPU: its APIC's page, some registers, an XSAVE area. */
#define VCPU_WORK (3 * STRETCH_FRAME)

struct plan {
    const void *record[HVM_SAVE_CODE_MAX + 1];
    uint32_t size[HVM_SAVE_CODE_MAX + 1];
    struct hvm_control control;
};

struct hvm_restore {
    const uint8_t *records;
    size_t size, at;
    enum { NOTE, CHECK, LOAD, SET_UP } stage;
    unsigned int next;  /* vCPU of this stage */
    struct plan plan[]; /* of each vCPU */
};

/* Those that are taken. Of the whole domain's there is one. */
static const struct {
    uint32_t min, max;
    bool whole;
} rules[HVM_SAVE_CODE_MAX + 1] = {
#define EXACTLY(type) HVM_SAVE_LENGTH(type), HVM_SAVE_LENGTH(type)
    [HVM_SAVE_CODE(HEADER)] = {EXACTLY(HEADER), true},
    [HVM_SAVE_CODE(CPU)] = {EXACTLY(CPU), false},
    [HVM_SAVE_CODE(LAPIC)] = {EXACTLY(LAPIC), false},
    [HVM_SAVE_CODE(LAPIC_REGS)] = {EXACTLY(LAPIC_REGS), false},
    [HVM_SAVE_CODE(PCI_IRQ)] = {EXACTLY(PCI_IRQ), true},
    [HVM_SAVE_CODE(ISA_IRQ)] = {EXACTLY(ISA_IRQ), true},
    [HVM_SAVE_CODE(PCI_LINK)] = {EXACTLY(PCI_LINK), true},
    [HVM_SAVE_CODE(MTRR)] = {EXACTLY(MTRR), false},
    [CPU_XSAVE_CODE] = {sizeof(struct hvm_hw_cpu_xsave), ANY_SIZE, false},
    [HVM_SAVE_CODE(VMCE_VCPU)] = {EXACTLY(VMCE_VCPU), false},
    [HVM_SAVE_CODE(TSC_ADJUST)] = {EXACTLY(TSC_ADJUST), false},
    [CPU_MSR_CODE] = {offsetof(struct hvm_msr, msr[0]), offsetof(struct hvm_msr, msr[MSR_COUNT]), false},
};

/* ---- note ---- */

static int note(struct domain *d, struct plan *plans, const struct hvm_save_descriptor *desc, const void *body)
{
    unsigned int type = (unsigned int)array_index_nospec(desc->typecode, ARRAY_SIZE(rules));
    struct vcpu *v = domain_vcpu(d, desc->instance);
    struct plan *p;

    if (desc->typecode >= ARRAY_SIZE(rules) || !rules[type].max || !v || (rules[type].whole && desc->instance))
        return -EINVAL;
    if (desc->length < rules[type].min || desc->length > rules[type].max || desc->length % ALIGNMENT)
        return -EINVAL;
    p = &plans[v->vcpu_id];
    if (p->record[type])
        return -EINVAL; /* twice */
    p->record[type] = body;
    p->size[type] = desc->length;
    return 0;
}

static int note_slice(struct domain *d, struct hvm_restore *r)
{
    bool first = !r->at;
    struct hvm_save_descriptor desc;
    size_t left = r->size - r->at;
    int rc;

    if (left < sizeof(desc))
        return -EINVAL;
    memcpy(&desc, r->records + r->at, sizeof(desc));
    if (first != (desc.typecode == HVM_SAVE_CODE(HEADER)) || desc.length > left - sizeof(desc))
        return -EINVAL;
    stretch_work(1);
    if (desc.typecode == HVM_SAVE_CODE(END)) {
        r->stage = CHECK;
        return desc.length || desc.instance ? -EINVAL : -ERESTART;
    }
    rc = note(d, r->plan, &desc, r->records + r->at + sizeof(desc));
    r->at += sizeof(desc) + desc.length;
    return rc ? rc : -ERESTART;
}

/* ---- check ---- */

static int check_header(const struct hvm_save_header *h)
{
    return h->magic == HVM_FILE_MAGIC && h->version == HVM_FILE_VERSION ? 0 : -EINVAL;
}

/* There are no wires to interrupt controllers, so that none of them can be high. */
static int check_wires(const struct plan *p)
{
    static const uint8_t types[] = {HVM_SAVE_CODE(PCI_IRQ), HVM_SAVE_CODE(ISA_IRQ), HVM_SAVE_CODE(PCI_LINK)};

    for (unsigned int i = 0; i < ARRAY_SIZE(types); i++)
        for (uint32_t k = 0; k < p->size[types[i]]; k++)
            if (((const uint8_t *)p->record[types[i]])[k])
                return -EINVAL;
    return 0;
}

/* Such as the guest has have the one value that they have here. */
static int check_msrs(const struct hvm_msr *m, uint32_t size)
{
    if (size != offsetof(struct hvm_msr, msr[0]) + (uint64_t)m->count * sizeof(m->msr[0]))
        return -EINVAL;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->msr[i]._rsvd || !hvm_is_constant(m->msr[i].index, m->msr[i].val))
            return -EINVAL;
    return 0;
}

static int check(struct vcpu *v, struct plan *p)
{
    const void *const *r = p->record;
    int rc = check_wires(p);

    if (!rc && r[HVM_SAVE_CODE(HEADER)])
        rc = check_header(r[HVM_SAVE_CODE(HEADER)]);
    if (!rc)
        rc = lapic_check(v, r[HVM_SAVE_CODE(LAPIC)], r[HVM_SAVE_CODE(LAPIC_REGS)]);
    if (!rc && r[HVM_SAVE_CODE(MTRR)])
        rc = hvm_check_mtrr(v, r[HVM_SAVE_CODE(MTRR)]);
    if (!rc && r[CPU_XSAVE_CODE])
        rc = hvm_check_xsave(r[CPU_XSAVE_CODE], p->size[CPU_XSAVE_CODE]);
    if (!rc && r[HVM_SAVE_CODE(VMCE_VCPU)])
        rc = vmce_check(r[HVM_SAVE_CODE(VMCE_VCPU)]);
    if (!rc && r[CPU_MSR_CODE])
        rc = check_msrs(r[CPU_MSR_CODE], p->size[CPU_MSR_CODE]);
    if (!rc && r[HVM_SAVE_CODE(CPU)])
        rc = hvm_check_cpu(v, r[HVM_SAVE_CODE(CPU)], &p->control);
    return rc;
}

/* ---- load ---- */

/* The XSAVE area has all that the legacy image of the registers has, and more. */
static void load(struct vcpu *v, const struct plan *p)
{
    const void *const *r = p->record;

    if (r[HVM_SAVE_CODE(CPU)])
        hvm_load_cpu(v, r[HVM_SAVE_CODE(CPU)], &p->control);
    lapic_load(v, r[HVM_SAVE_CODE(LAPIC)], r[HVM_SAVE_CODE(LAPIC_REGS)]);
    if (r[HVM_SAVE_CODE(MTRR)])
        hvm_load_mtrr(v, r[HVM_SAVE_CODE(MTRR)]);
    if (r[CPU_XSAVE_CODE])
        hvm_load_xsave(v, r[CPU_XSAVE_CODE]);
    if (r[HVM_SAVE_CODE(VMCE_VCPU)])
        v->hvm->mcg_cap = ((const struct hvm_vmce_vcpu *)r[HVM_SAVE_CODE(VMCE_VCPU)])->caps;
    if (r[HVM_SAVE_CODE(TSC_ADJUST)])
        v->hvm->tsc_adjust = ((const struct hvm_tsc_adjust *)r[HVM_SAVE_CODE(TSC_ADJUST)])->tsc_adjust;
}

/* vCPU 0 first: one that has no registers counts as it does, as it will when it starts. */
static void load_counter(struct vcpu *v, const struct hvm_hw_cpu *c)
{
    if (c)
        v->hvm->tsc_offset = c->tsc - v->domain->hvm.save_tsc;
    else
        hvm_sync_tsc(v);
}

/* life_lock held. It runs on from there, or not at all, when the domain is no longer paused. */
static void set_up(struct vcpu *v, bool up)
{
    if (!up) {
        set_bit(VPF_down, &v->pause_flags);
        return;
    }
    v->is_initialised = true;
    clear_bit(VPF_blocked, &v->pause_flags);
    clear_bit(VPF_poll, &v->pause_flags);
    clear_bit(VPF_down, &v->pause_flags);
}

static void set_all_up(struct domain *d, const struct hvm_restore *r)
{
    struct vcpu *v;

    spin_lock(&d->life_lock);
    for_each_vcpu (d, v)
        set_up(v, r->plan[v->vcpu_id].record[HVM_SAVE_CODE(CPU)]);
    spin_unlock(&d->life_lock);
    stretch_work(d->max_vcpus);
}

/* ---- slices ---- */

static int vcpu_slice(struct domain *d, struct hvm_restore *r)
{
    struct vcpu *v = d->vcpu[r->next];
    int rc = 0;

    if (v) {
        stretch_work(VCPU_WORK);
        if (r->stage == CHECK)
            rc = check(v, &r->plan[r->next]);
        else {
            load(v, &r->plan[r->next]);
            load_counter(v, r->plan[r->next].record[HVM_SAVE_CODE(CPU)]);
        }
    }
    if (++r->next == d->max_vcpus) {
        r->stage++;
        r->next = 0;
    }
    return rc ? rc : -ERESTART;
}

int hvm_restore_slice(struct domain *d, struct hvm_restore *r)
{
    if (r->stage == NOTE)
        return note_slice(d, r);
    if (r->stage == LOAD && !r->next)
        hvm_note_tsc(d);
    if (r->stage != SET_UP)
        return vcpu_slice(d, r);
    set_all_up(d, r);
    return 0;
}

struct hvm_restore *hvm_restore_begin(const struct domain *d, const void *records, size_t size)
{
    size_t length = sizeof(struct hvm_restore) + d->max_vcpus * sizeof(struct plan);
    struct hvm_restore *r = hv_alloc(length);

    if (!r)
        return NULL;
    stretch_work(STRETCH_FRAME << get_order_bytes(length));
    r->records = records;
    r->size = size;
    return r;
}
