// SPDX-License-Identifier: BSD-2-Clause
/*
 * Registers for a core file: those of a PV guest's vCPUs as the hypervisor gives them; those of a PVH guest's from its
 * record of them, in the same form. A PV guest's top-level tables are machine frames, as the file's table of frames is.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/dump.h"

#include <xen/hvm/save.h>

static int no_memory(struct ctl_save *v)
{
    return ctl_fail_domain(v->ctl, v->err, -ENOMEM, CTL_AT("dump registers", v->info.domid), "no memory for them");
}

/* --- PV --- */

static int pv_vcpus(struct ctl_save *v, struct vcpu_guest_context *list)
{
    int n = 0, rc = 0;

    for (uint32_t i = 0; i < v->info.vcpus_max && rc >= 0; i++) {
        struct ctl_vcpu_info info;

        rc = ctl_vcpu_info(v->ctl, v->info.domid, i, &info, v->err);
        if (rc >= 0 && info.online) {
            rc = ctl_vcpu_get_context(v->ctl, v->info.domid, i, &list[n++], v->err);
        }
    }
    return rc < 0 ? rc : n;
}

/* --- PVH --- */

static void general_registers(struct vcpu_guest_context *c, const struct hvm_hw_cpu *cpu)
{
    struct cpu_user_regs *r = &c->user_regs;

    *r = (struct cpu_user_regs){
        .rax = cpu->rax,
        .rbx = cpu->rbx,
        .rcx = cpu->rcx,
        .rdx = cpu->rdx,
        .rbp = cpu->rbp,
        .rsi = cpu->rsi,
        .rdi = cpu->rdi,
        .rsp = cpu->rsp,
        .r8 = cpu->r8,
        .r9 = cpu->r9,
        .r10 = cpu->r10,
        .r11 = cpu->r11,
        .r12 = cpu->r12,
        .r13 = cpu->r13,
        .r14 = cpu->r14,
        .r15 = cpu->r15,
        .rip = cpu->rip,
        .rflags = cpu->rflags,
        .cs = (uint16_t)cpu->cs_sel,
        .ss = (uint16_t)cpu->ss_sel,
        .ds = (uint16_t)cpu->ds_sel,
        .es = (uint16_t)cpu->es_sel,
        .fs = (uint16_t)cpu->fs_sel,
        .gs = (uint16_t)cpu->gs_sel,
    };
}

static void from_record(struct vcpu_guest_context *c, const struct hvm_hw_cpu *cpu)
{
    bool user = (cpu->cs_sel & 3) == 3;

    memset(c, 0, sizeof(*c));
    general_registers(c, cpu);
    memcpy(&c->fpu_ctxt, cpu->fpu_regs, sizeof(cpu->fpu_regs));
    c->flags = VGCF_online | (user ? 0 : VGCF_in_kernel);
    c->ctrlreg[0] = cpu->cr0;
    c->ctrlreg[2] = cpu->cr2;
    c->ctrlreg[3] = cpu->cr3;
    c->ctrlreg[4] = cpu->cr4;
    c->debugreg[0] = cpu->dr0;
    c->debugreg[1] = cpu->dr1;
    c->debugreg[2] = cpu->dr2;
    c->debugreg[3] = cpu->dr3;
    c->debugreg[6] = cpu->dr6;
    c->debugreg[7] = cpu->dr7;
    c->fs_base = cpu->fs_base;
    c->gs_base_kernel = user ? cpu->shadow_gs : cpu->gs_base;
    c->gs_base_user = user ? cpu->gs_base : cpu->shadow_gs;
}

/* A record for each vCPU that is up. */
static int hvm_vcpus(struct ctl_save *v, struct vcpu_guest_context *list)
{
    struct hvm_save_descriptor desc;
    uint32_t size, n = 0;
    uint8_t *context = ctl_hvm_context_get(v->ctl, v->info.domid, &size, v->err);

    if (!context) {
        return v->err->code;
    }
    for (uint32_t at = 0; size - at >= sizeof(desc) && n < v->info.vcpus_max; at += desc.length) {
        struct hvm_hw_cpu cpu;

        memcpy(&desc, context + at, sizeof(desc));
        at += sizeof(desc);
        if (desc.length > size - at) {
            break;
        }
        if (desc.typecode == HVM_SAVE_CODE(CPU) && desc.length == sizeof(cpu)) {
            memcpy(&cpu, context + at, sizeof(cpu));
            from_record(&list[n++], &cpu);
        }
    }
    ctl_buffer_put(v->ctl, context);
    return (int)n;
}

int ctl_dump_vcpus(struct ctl_save *v, struct vcpu_guest_context **list)
{
    int rc;

    *list = calloc(v->info.vcpus_max + 1, sizeof(**list));
    if (!*list) {
        return no_memory(v);
    }
    rc = v->info.hvm ? hvm_vcpus(v, *list) : pv_vcpus(v, *list);
    if (rc < 0) {
        free(*list);
        *list = NULL;
    }
    return rc;
}
