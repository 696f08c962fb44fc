/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's state as the ABI's struct vcpu_guest_context: how secondary vCPUs start (VCPUOP_initialise), how a domain's
 * first vCPU is made and how a saved one comes back. The vCPU does not run meanwhile.
 *
 * Setting goes check (everything that needs no reference), acquire (page tables, which may be preempted and then leave
 * the rest untouched; descriptor frames), commit.
 */
#include <hv/fpu.h>
#include <hv/sched.h>
#include "internal.h"

static bool addresses_ok(const struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++)
        if (!is_canonical(c->trap_ctxt[i].address))
            return false;
    return is_canonical(c->event_callback_eip) && is_canonical(c->failsafe_callback_eip) &&
           is_canonical(c->syscall_callback_eip) && is_canonical(c->fs_base) && is_canonical(c->gs_base_kernel) &&
           is_canonical(c->gs_base_user);
}

static bool debug_registers_ok(const struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < 8; i++) {
        unsigned long value = c->debugreg[i];

        if (i != 4 && i != 5 && value && pv_check_debugreg(i, &value))
            return false;
    }
    return true;
}

static int check_context(const struct vcpu_guest_context *c)
{
    if (!addresses_ok(c) || !debug_registers_ok(c))
        return -EINVAL;
    if (c->gdt_ents > FIRST_RESERVED_GDT_ENTRY || c->ldt_ents > 8192 || (c->ldt_base & (PAGE_SIZE - 1)))
        return -EINVAL;
    if (c->ldt_ents && !guest_range_ok(c->ldt_base, c->ldt_ents * 8))
        return -EINVAL;
    /* Without tables of its mode a vCPU would have no descriptor windows either. */
    if (!c->ctrlreg[3] || (!(c->flags & VGCF_in_kernel) && !c->ctrlreg[1]))
        return -EINVAL;
    return 0;
}

static mfn_t base_of(unsigned long cr3)
{
    return cr3 ? _mfn(xen_cr3_to_pfn(cr3)) : INVALID_MFN;
}

static void set_registers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct cpu_user_regs *r = &v->regs;

    *r = c->user_regs;
    r->cs |= 3;
    r->ss |= 3;
    v->pv.iopl = (r->rflags & EFLAGS_IOPL) >> 12; /* Linux gives its other vCPUs their port rights here */
    r->rflags = pv_guest_rflags(r->rflags);
    r->entry_vector = 0;
    r->error_code = 0;
    r->saved_upcall_mask = 0;
    v->pv.ds = pv_guest_selector(c->user_regs.ds);
    v->pv.es = pv_guest_selector(c->user_regs.es);
    v->pv.fs = pv_guest_selector(c->user_regs.fs);
    v->pv.gs = pv_guest_selector(c->user_regs.gs);
    v->pv.fs_base = c->fs_base;
    v->pv.gs_base_kernel = c->gs_base_kernel;
    v->pv.gs_base_user = c->gs_base_user;
}

static void set_entry_points(struct vcpu *v, const struct vcpu_guest_context *c)
{
    memcpy(v->pv.trap, c->trap_ctxt, sizeof(v->pv.trap));
    for (unsigned int i = 0; i < ARRAY_SIZE(v->pv.trap); i++)
        v->pv.trap[i].cs = pv_guest_selector(v->pv.trap[i].cs);
    v->pv.event_callback = c->event_callback_eip;
    v->pv.failsafe_callback = c->failsafe_callback_eip;
    v->pv.syscall_callback = c->syscall_callback_eip;
    v->pv.failsafe_disables_events = c->flags & VGCF_failsafe_disables_events;
    v->pv.syscall_disables_events = c->flags & VGCF_syscall_disables_events;
    v->pv.kernel_ss = pv_guest_selector((uint16_t)c->kernel_ss);
    v->pv.kernel_sp = c->kernel_sp;
}

/* A register given as 0 means its reset value. */
static void set_debug_registers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < 4; i++)
        v->pv.dr[i] = c->debugreg[i];
    v->pv.dr6 = c->debugreg[6];
    v->pv.dr7 = c->debugreg[7];
    (void)pv_check_debugreg(6, &v->pv.dr6);
    (void)pv_check_debugreg(7, &v->pv.dr7);
}

int pv_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    int rc = check_context(c);

    if (!rc && v->vcpu_id == 0) /* before the tables: what user mode sees of the M2P depends on it */
        v->domain->vm_assist = c->vm_assist & PV_VM_ASSIST_MASK;
    if (!rc)
        rc = pv_set_base(v, base_of(c->ctrlreg[3]), base_of(c->ctrlreg[1]));
    if (!rc && preempt_after_work()) /* called again it has that base already, and goes on here */
        rc = -ERESTART;
    if (!rc)
        rc = pv_set_gdt(v, c->gdt_frames, (unsigned int)c->gdt_ents);
    if (!rc)
        rc = pv_set_ldt(v, c->ldt_base, c->ldt_ents);
    if (rc)
        return rc;
    set_registers(v, c);
    set_entry_points(v, c);
    set_debug_registers(v, c);
    v->pv.kernel_mode = c->flags & VGCF_in_kernel;
    v->pv.cr0_guest = c->ctrlreg[0] & CR0_TS;
    v->pv.cr4_guest = c->ctrlreg[4];
    if (c->flags & VGCF_I387_VALID)
        fpu_import_legacy(v, &c->fpu_ctxt);
    v->is_initialised = true;
    return 0;
}

static unsigned long cr3_of(mfn_t m)
{
    return mfn_eq(m, INVALID_MFN) ? 0 : xen_pfn_to_cr3(mfn_x(m));
}

static void get_tables(const struct vcpu *v, struct vcpu_guest_context *c)
{
    c->ldt_base = v->pv.ldt_base;
    c->ldt_ents = v->pv.ldt_ents;
    c->gdt_ents = v->pv.gdt_ents;
    for (unsigned int i = 0; i < (v->pv.gdt_ents + 511u) / 512; i++)
        c->gdt_frames[i] = mfn_x(v->pv.gdt_frames[i]);
    c->ctrlreg[0] = (read_cr0() & ~CR0_TS) | v->pv.cr0_guest;
    c->ctrlreg[1] = cr3_of(v->pv.l4_user);
    c->ctrlreg[3] = cr3_of(v->pv.l4_kernel);
    c->ctrlreg[4] = pv_cr4_shown(read_cr4(), v->pv.cr4_guest);
    for (unsigned int i = 0; i < 4; i++)
        c->debugreg[i] = v->pv.dr[i];
    c->debugreg[6] = v->pv.dr6;
    c->debugreg[7] = v->pv.dr7;
}

void pv_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    memset(c, 0, sizeof(*c));
    c->flags = VGCF_I387_VALID | (v->pv.kernel_mode ? VGCF_in_kernel : 0) |
               (v->pv.failsafe_disables_events ? VGCF_failsafe_disables_events : 0) |
               (v->pv.syscall_disables_events ? VGCF_syscall_disables_events : 0) |
               (test_bit(VPF_down, &v->pause_flags) ? 0 : VGCF_online);
    c->user_regs = v->regs;
    c->user_regs.entry_vector = 0;
    c->user_regs.error_code = 0;
    c->user_regs.rflags |= (unsigned long)v->pv.iopl << 12; /* as pv_set_context takes it */
    c->user_regs.ds = v->pv.ds;
    c->user_regs.es = v->pv.es;
    c->user_regs.fs = v->pv.fs;
    c->user_regs.gs = v->pv.gs;
    c->fs_base = v->pv.fs_base;
    c->gs_base_kernel = v->pv.gs_base_kernel;
    c->gs_base_user = v->pv.gs_base_user;
    memcpy(c->trap_ctxt, v->pv.trap, sizeof(c->trap_ctxt));
    c->event_callback_eip = v->pv.event_callback;
    c->failsafe_callback_eip = v->pv.failsafe_callback;
    c->syscall_callback_eip = v->pv.syscall_callback;
    c->kernel_ss = v->pv.kernel_ss;
    c->kernel_sp = v->pv.kernel_sp;
    c->vm_assist = v->domain->vm_assist;
    get_tables(v, c);
    fpu_export_legacy(v, &c->fpu_ctxt);
}
