// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guests on hardware virtualisation: their pool, their parameters, the state of their vCPUs. Typed forms of calls.
 */
#include <string.h>

#include "libctl/internal.h"

#include <xen/hvm/save.h>

#define MIB 1024u /* KiB */

int ctl_domain_set_pool(struct ctl *ctl, uint32_t domid, uint64_t kib, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_shadow_op, .domain = domid};
    int rc;

    domctl.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION;
    domctl.u.shadow_op.mb = (kib + MIB - 1) / MIB;
    rc = ctl_call_domctl(ctl, &domctl);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("set the shadow memory", domid), "the hypervisor refused %u MiB",
                               domctl.u.shadow_op.mb);
    }
    return 0;
}

int ctl_domain_pool(struct ctl *ctl, uint32_t domid, struct ctl_pool *pool, struct ctl_error *err)
{
    struct umbra_op op = {.cmd = UMBRA_OP_pool, .domain = domid};
    int rc = ctl_call_umbra(ctl, &op);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("ask for the shadow memory", domid), "the hypervisor refused");
    }
    *pool = (struct ctl_pool){
        .size_kib = op.u.pool.size * 4,
        .p2m_kib = op.u.pool.p2m * 4,
        .shadow_kib = op.u.pool.shadow * 4,
        .vtlb = op.u.pool.flags & UMBRA_POOL_vtlb,
    };
    return 0;
}

int ctl_domain_set_param(struct ctl *ctl, uint32_t domid, uint32_t index, uint64_t value, struct ctl_error *err)
{
    struct xen_hvm_param arg = {.domid = domid, .index = index, .value = value};
    int rc = ctl_call_hvm(ctl, HVMOP_set_param, &arg, sizeof(arg));

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("set a parameter", domid),
                               "the hypervisor refused 0x%llx for parameter %u", (unsigned long long)value, index);
    }
    return 0;
}

int ctl_domain_get_param(struct ctl *ctl, uint32_t domid, uint32_t index, uint64_t *value, struct ctl_error *err)
{
    struct xen_hvm_param arg = {.domid = (domid_t)domid, .index = index};
    int rc = ctl_call_hvm(ctl, HVMOP_get_param, &arg, sizeof(arg));

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("ask for a parameter", domid),
                               "the hypervisor refused parameter %u", index);
    }
    *value = arg.value;
    return 0;
}

/* --- state --- */

static int context_call(struct ctl *ctl, uint32_t domid, uint32_t cmd, void *buffer, uint32_t *size)
{
    struct xen_domctl domctl = {.cmd = cmd, .domain = (domid_t)domid, .u.hvmcontext.size = *size};
    int rc;

    set_xen_guest_handle(domctl.u.hvmcontext.buffer, (uint8_t *)buffer);
    rc = ctl_call_domctl(ctl, &domctl);
    *size = domctl.u.hvmcontext.size;
    return rc;
}

void *ctl_hvm_context_get(struct ctl *ctl, uint32_t domid, uint32_t *size, struct ctl_error *err)
{
    void *context = NULL;
    int rc;

    *size = 0;
    rc = context_call(ctl, domid, XEN_DOMCTL_gethvmcontext, NULL, size);
    if (rc >= 0) {
        context = ctl_buffer_get(ctl, *size);
        rc = context ? context_call(ctl, domid, XEN_DOMCTL_gethvmcontext, context, size) : -ENOMEM;
    }
    if (rc >= 0) {
        return context;
    }
    ctl_buffer_put(ctl, context);
    ctl_fail_domain(ctl, err, rc, CTL_AT("read the state of its processors", domid), "the hypervisor refused");
    return NULL;
}

int ctl_hvm_context_set(struct ctl *ctl, uint32_t domid, void *context, uint32_t size, struct ctl_error *err)
{
    int rc = context_call(ctl, domid, XEN_DOMCTL_sethvmcontext, context, &size);

    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("set the state of its processors", domid),
                               "the hypervisor did not accept it");
    }
    return 0;
}

/* The registers of vCPU 0 among a domain's records, or NULL. */
static uint8_t *find_registers(uint8_t *context, uint32_t size)
{
    struct hvm_save_descriptor desc;

    for (uint32_t at = 0; size - at > sizeof(desc); at += desc.length) {
        memcpy(&desc, context + at, sizeof(desc));
        at += sizeof(desc);
        if (desc.length > size - at) {
            return NULL;
        }
        if (desc.typecode == HVM_SAVE_CODE(CPU) && desc.instance == 0 && desc.length == HVM_SAVE_LENGTH(CPU)) {
            return context + at;
        }
    }
    return NULL;
}

/* All records go back: what has none would be as if it were down. */
int ctl_hvm_set_result(struct ctl *ctl, uint32_t domid, uint64_t value, struct ctl_error *err)
{
    uint32_t size;
    uint8_t *context = ctl_hvm_context_get(ctl, domid, &size, err), *registers;
    int rc = -ESRCH;

    if (!context) {
        return err ? err->code : -EIO;
    }
    registers = find_registers(context, size);
    if (registers) {
        memcpy(registers + offsetof(struct hvm_hw_cpu, rax), &value, sizeof(value));
        rc = ctl_hvm_context_set(ctl, domid, context, size, err);
    } else {
        ctl_fail_domain(ctl, err, rc, CTL_AT("let it go on", domid), "its vCPU 0 is down");
    }
    ctl_buffer_put(ctl, context);
    return rc;
}

/* What sethvmcontext takes: records, each behind its description. */
struct context {
    struct hvm_save_descriptor head_desc;
    HVM_SAVE_TYPE(HEADER) head;
    struct hvm_save_descriptor cpu_desc;
    HVM_SAVE_TYPE(CPU) cpu;
    struct hvm_save_descriptor end_desc;
} __attribute__((packed));

/* The start of <xen/arch-x86/hvm/start_info.h>: 32-bit, flat segments, CR0.PE alone. */
static void flat_state(struct hvm_hw_cpu *cpu, uint32_t entry, uint32_t ebx)
{
    cpu->rip = entry;
    cpu->rbx = ebx;
    cpu->rflags = 2;
    cpu->cr0 = 0x11; /* PE, ET */
    cpu->cs_limit = cpu->ds_limit = cpu->es_limit = cpu->ss_limit = ~0u;
    cpu->cs_arbytes = 0xc9b;
    cpu->ds_arbytes = cpu->es_arbytes = cpu->ss_arbytes = 0xc93;
    cpu->tr_limit = 0x67;
    cpu->tr_arbytes = 0x8b;
}

int ctl_vcpu_set_flat(struct ctl *ctl, uint32_t domid, uint32_t entry, uint32_t ebx, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_sethvmcontext, .domain = domid};
    struct context *c = ctl_buffer_get(ctl, sizeof(*c));
    struct hvm_hw_cpu cpu = {0};
    int rc = -ENOMEM;

    if (c) {
        c->head_desc = (struct hvm_save_descriptor){HVM_SAVE_CODE(HEADER), 0, HVM_SAVE_LENGTH(HEADER)};
        c->cpu_desc = (struct hvm_save_descriptor){HVM_SAVE_CODE(CPU), 0, HVM_SAVE_LENGTH(CPU)};
        c->end_desc = (struct hvm_save_descriptor){HVM_SAVE_CODE(END), 0, 0};
        c->head = (struct hvm_save_header){.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION};
        flat_state(&cpu, entry, ebx);
        c->cpu = cpu;
        domctl.u.hvmcontext.size = sizeof(*c);
        set_xen_guest_handle(domctl.u.hvmcontext.buffer, (uint8_t *)c);
        rc = ctl_call_domctl(ctl, &domctl);
    }
    ctl_buffer_put(ctl, c);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("set registers", domid), "the hypervisor refused");
    }
    return 0;
}
