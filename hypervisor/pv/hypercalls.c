/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small hypercalls by which a guest kernel sets up its virtual processor: trap table, callbacks, kernel stack, TS,
 * debug registers, segment bases, assists. All act on the calling vCPU; every address is checked to be canonical,
 * every selector gets RPL 3. IRET has a file of its own.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <xen/callback.h>
#include <xen/nmi.h>
#include "internal.h"

#define TRAP_BATCH 32u

/* Takes over entries up to the terminator; 1: terminator seen. */
static int set_traps(struct vcpu *v, const struct trap_info *t, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (!t[i].address)
            return 1;
        if (!is_canonical(t[i].address))
            return -EINVAL;
        v->pv.trap[t[i].vector] = t[i];
        v->pv.trap[t[i].vector].cs = pv_guest_selector(t[i].cs);
    }
    return 0;
}

/*
 * The table has no length, only a terminator, which may be the last thing in a page: entries are read one by one. A
 * table of more than 256 entries sets some vector twice and is allowed; it restarts like any long call.
 */
long do_set_trap_table(struct hcall *hc)
{
    struct vcpu *v = current;
    struct trap_info t;
    int rc;

    if (!hc->arg[0]) {
        memset(v->pv.trap, 0, sizeof(v->pv.trap));
        return 0;
    }
    for (unsigned int i = 0;; i++) {
        if (i == TRAP_BATCH) {
            i = 0;
            if (preempt_needed())
                return hypercall_restart(hc);
        }
        if (copy_from_guest(&t, guest_ptr(struct trap_info, hc->arg[0]), 1))
            return -EFAULT;
        rc = set_traps(v, &t, 1);
        if (rc)
            return rc < 0 ? rc : 0;
        hc->arg[0] += sizeof(t);
    }
}

long do_set_callbacks(struct hcall *hc)
{
    struct vcpu *v = current;

    if (!is_canonical(hc->arg[0]) || !is_canonical(hc->arg[1]) || !is_canonical(hc->arg[2]))
        return -EINVAL;
    v->pv.event_callback = hc->arg[0];
    v->pv.failsafe_callback = hc->arg[1];
    v->pv.syscall_callback = hc->arg[2];
    return 0;
}

int pv_set_callback(struct vcpu *v, const struct callback_register *reg)
{
    bool mask = reg->flags & CALLBACKF_mask_events;

    if (!is_canonical(reg->address))
        return -EINVAL;
    switch (reg->type) {
    case CALLBACKTYPE_event:
        v->pv.event_callback = reg->address;
        return 0;
    case CALLBACKTYPE_failsafe:
        v->pv.failsafe_callback = reg->address;
        v->pv.failsafe_disables_events = mask;
        return 0;
    case CALLBACKTYPE_syscall:
        v->pv.syscall_callback = reg->address;
        v->pv.syscall_disables_events = mask;
        return 0;
    case CALLBACKTYPE_syscall32:
        v->pv.syscall32_callback = reg->address;
        v->pv.syscall32_disables_events = mask;
        return 0;
    case CALLBACKTYPE_sysenter:
        v->pv.sysenter_callback = reg->address;
        v->pv.sysenter_disables_events = mask;
        return 0;
    case CALLBACKTYPE_nmi:
        v->pv.trap[TRAP_NMI] =
            (struct trap_info){.vector = TRAP_NMI, .flags = 4, .cs = SEL_KERNEL_CS64, .address = reg->address};
        return 0;
    default:
        return -ENOSYS;
    }
}

static long unregister_callback(struct vcpu *v, unsigned int type)
{
    switch (type) {
    case CALLBACKTYPE_event:
    case CALLBACKTYPE_failsafe:
    case CALLBACKTYPE_syscall:
    case CALLBACKTYPE_sysenter:
    case CALLBACKTYPE_syscall32:
        return -EINVAL;
    case CALLBACKTYPE_nmi:
        v->pv.trap[TRAP_NMI] = (struct trap_info){0};
        return 0;
    default:
        return -ENOSYS;
    }
}

long do_callback_op(struct hcall *hc)
{
    struct callback_register reg;
    struct callback_unregister unreg;

    switch (hc->arg[0]) {
    case CALLBACKOP_register:
        if (copy_from_guest(&reg, guest_ptr(struct callback_register, hc->arg[1]), 1))
            return -EFAULT;
        return pv_set_callback(current, &reg);
    case CALLBACKOP_unregister:
        if (copy_from_guest(&unreg, guest_ptr(struct callback_unregister, hc->arg[1]), 1))
            return -EFAULT;
        return unregister_callback(current, unreg.type);
    default:
        return -ENOSYS;
    }
}

/* The older way to say what callback_op says of CALLBACKTYPE_nmi. Source: <xen/nmi.h>. */
long do_nmi_op(struct hcall *hc)
{
    struct callback_register reg = {.type = CALLBACKTYPE_nmi};
    struct xennmi_callback cb;

    switch ((unsigned int)hc->arg[0]) {
    case XENNMI_register_callback:
        if (copy_from_guest(&cb, guest_ptr(struct xennmi_callback, hc->arg[1]), 1))
            return -EFAULT;
        reg.address = cb.handler_address;
        return pv_set_callback(current, &reg);
    case XENNMI_unregister_callback:
        return unregister_callback(current, CALLBACKTYPE_nmi);
    default:
        return -ENOSYS;
    }
}

long do_stack_switch(struct hcall *hc)
{
    current->pv.kernel_ss = pv_guest_selector((uint16_t)hc->arg[0]);
    current->pv.kernel_sp = hc->arg[1];
    return 0;
}

void pv_fpu_taskswitch(struct vcpu *v, bool set)
{
    unsigned long cr0 = read_cr0();

    v->pv.cr0_guest = set ? v->pv.cr0_guest | CR0_TS : v->pv.cr0_guest & ~CR0_TS;
    write_cr0(set ? cr0 | CR0_TS : cr0 & ~CR0_TS);
}

long do_fpu_taskswitch(struct hcall *hc)
{
    pv_fpu_taskswitch(current, hc->arg[0] & 1);
    return 0;
}

static void write_dr(unsigned int reg, unsigned long v)
{
    switch (reg) {
    case 0:
        __asm__ __volatile__("mov %0, %%dr0" ::"r"(v));
        break;
    case 1:
        __asm__ __volatile__("mov %0, %%dr1" ::"r"(v));
        break;
    case 2:
        __asm__ __volatile__("mov %0, %%dr2" ::"r"(v));
        break;
    case 3:
        __asm__ __volatile__("mov %0, %%dr3" ::"r"(v));
        break;
    default:
        __asm__ __volatile__("mov %0, %%dr7" ::"r"(v));
        break;
    }
}

/* The guest's breakpoints are in the processor only while any is enabled. */
void pv_debug_load(const struct vcpu *v)
{
    if (!(v->pv.dr7 & DR7_ACTIVE))
        return;
    for (unsigned int i = 0; i < 4; i++)
        write_dr(i, v->pv.dr[i]);
    write_dr(7, v->pv.dr7);
}

void pv_debug_unload(void)
{
    write_dr(7, DR7_DEFAULT);
}

int pv_set_debugreg(struct vcpu *v, unsigned int reg, unsigned long value)
{
    unsigned long flags;
    int rc;

    if (reg == 4 || reg == 5)
        reg += 2;
    rc = pv_check_debugreg(reg, &value);
    if (rc)
        return rc;
    if (reg < 4)
        v->pv.dr[array_index_nospec(reg, 4)] = value;
    else if (reg == 6)
        v->pv.dr6 = value;
    else
        v->pv.dr7 = value;
    if (v != current)
        return 0;
    flags = irq_save();
    pv_debug_unload();
    pv_debug_load(v);
    irq_restore(flags);
    return 0;
}

unsigned long pv_get_debugreg(struct vcpu *v, unsigned int reg)
{
    if (reg == 4 || reg == 5)
        reg += 2;
    if (reg < 4)
        return v->pv.dr[array_index_nospec(reg, 4)];
    if (reg == 6)
        return v->pv.dr6;
    return reg == 7 ? v->pv.dr7 : (unsigned long)-EINVAL;
}

long do_set_debugreg(struct hcall *hc)
{
    return hc->arg[0] > 7 ? -ENODEV : pv_set_debugreg(current, (unsigned int)hc->arg[0], hc->arg[1]);
}

long do_get_debugreg(struct hcall *hc)
{
    return hc->arg[0] > 7 ? -ENODEV : (long)pv_get_debugreg(current, (unsigned int)hc->arg[0]);
}

/* %gs of user mode: loaded while the user's base is the active one; a bad selector becomes null. */
static void load_user_gs(uint16_t sel)
{
    unsigned long flags = irq_save();

    __asm__ __volatile__("swapgs\n"
                         "1: mov %0, %%gs\n"
                         "2: swapgs\n"
                         ".pushsection .text.fixup, \"ax\"\n"
                         "3: xor %0, %0\n"
                         "jmp 1b\n"
                         ".popsection\n" EXTABLE(1b, 3b)
                         : "+r"(sel)::"memory");
    irq_restore(flags);
}

long do_set_segment_base(struct hcall *hc)
{
    struct vcpu *v = current;
    unsigned long base = hc->arg[1];

    if (hc->arg[0] <= SEGBASE_GS_KERNEL && !is_canonical(base))
        return -EINVAL;
    switch (hc->arg[0]) {
    case SEGBASE_FS:
        wrmsr(MSR_FS_BASE, base);
        v->pv.fs_base = base;
        return 0;
    case SEGBASE_GS_USER:
        wrmsr(MSR_KERNEL_GS_BASE, base);
        v->pv.gs_base_user = base;
        return 0;
    case SEGBASE_GS_KERNEL:
        wrmsr(MSR_GS_BASE, base);
        v->pv.gs_base_kernel = base;
        return 0;
    case SEGBASE_GS_USER_SEL:
        load_user_gs(pv_guest_selector((uint16_t)base));
        return 0;
    default:
        return -EINVAL;
    }
}

long do_vm_assist(struct hcall *hc)
{
    struct domain *d = current->domain;
    unsigned long type = hc->arg[1];
    unsigned long mask = paging_mode_translate(d) ? 1ul << VMASST_TYPE_runstate_update_flag : PV_VM_ASSIST_MASK;

    if (type >= BITS_PER_LONG || !(mask & (1ul << type)))
        return -EINVAL;
    switch (hc->arg[0]) {
    case VMASST_CMD_enable:
        set_bit((unsigned int)type, &d->vm_assist);
        return 0;
    case VMASST_CMD_disable:
        clear_bit((unsigned int)type, &d->vm_assist);
        return 0;
    default:
        return -ENOSYS;
    }
}
