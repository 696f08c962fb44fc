// SPDX-License-Identifier: BSD-2-Clause
/*
 * vCPUs that stop and start by messages, as processors do: INIT stops one, a start-up message starts it in real mode.
 * Its state is made by itself before it enters the guest (hvm_start_if_told), since until then it may still be running.
 * is_initialised says whether it is past its start; it and VPF_down change under life_lock, as VCPUOP_up does it.
 */
#include <hv/cpuid.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "lapic.h"

#define START_VALID 0x100u

/* Nobody is left who could start v again. */
static void last_stopped(struct vcpu *v, const char *how)
{
    printk(XLOG_INFO "d%uv%u %s (d%uv%u at %lx), the last that was up\n", v->domain->id, v->vcpu_id, how,
           current->domain->id, current->vcpu_id, guest_cpu_user_regs()->rip);
    domain_shutdown(v->domain, SHUTDOWN_poweroff);
}

void hvm_init_signal(struct vcpu *v)
{
    bool last;

    spin_lock(&v->domain->life_lock);
    last = v->is_initialised && !other_vcpu_up(v);
    if (v->is_initialised) {
        v->is_initialised = false;
        WRITE_ONCE(v->hvm->lapic->start, 0);
        if (!test_and_set_bit(VPF_down, &v->pause_flags))
            vcpu_sleep_nosync(v);
    }
    spin_unlock(&v->domain->life_lock);
    if (last)
        last_stopped(v, "was stopped by INIT");
}

void hvm_startup_signal(struct vcpu *v, uint8_t vector)
{
    spin_lock(&v->domain->life_lock);
    if (!v->is_initialised) {
        WRITE_ONCE(v->hvm->lapic->start, START_VALID | vector);
        v->is_initialised = true;
        clear_bit(VPF_blocked, &v->pause_flags); /* it may have waited when INIT came */
        clear_bit(VPF_poll, &v->pause_flags);
        clear_bit(VPF_down, &v->pause_flags);
        vcpu_wake(v);
    }
    spin_unlock(&v->domain->life_lock);
}

/* HLT with interrupts off: only INIT, and a start-up message after it, goes on from there. */
void hvm_stop_for_good(struct vcpu *v)
{
    bool told, up;

    spin_lock(&v->domain->life_lock);
    told = READ_ONCE(v->hvm->lapic->start);
    up = told || other_vcpu_up(v);
    if (!told)
        set_bit(VPF_down, &v->pause_flags);
    spin_unlock(&v->domain->life_lock);
    if (!up)
        last_stopped(v, "has halted with interrupts off");
    raise_softirq(SOFTIRQ_SCHEDULE);
}

void hvm_triple_fault(struct vcpu *v)
{
    const struct cpu_user_regs *regs = guest_cpu_user_regs();
    const struct hvm_vcpu *h = v->hvm;
    struct hvm_segment cs, idt;

    hvm_ops->get_segment(v, HVM_CS, &cs);
    hvm_ops->get_segment(v, HVM_IDTR, &idt);
    printk(XLOG_INFO
           "d%uv%u triple fault at %04x:%lx, rsp %lx, rflags %lx, cr0 %lx, cr2 %lx, cr3 %lx, cr4 %lx, efer %lx, "
           "IDT %lx+%x\n",
           v->domain->id, v->vcpu_id, cs.sel, regs->rip, regs->rsp, regs->rflags, h->cr0, h->cr2, h->cr3, h->cr4,
           h->efer, idt.base, idt.limit);
    domain_shutdown(v->domain, (unsigned int)v->domain->hvm.param[HVM_PARAM_TRIPLE_FAULT_REASON]);
}

/* AMD64 manual volume 2, table 14-1. */
static void reset_segments(struct vcpu *v, uint8_t vector)
{
    const struct hvm_segment table = {.limit = 0xffff};

    for (unsigned int i = 0; i < HVM_SEGS; i++) {
        struct hvm_segment s = {.attr = i == HVM_CS ? 0x9b : 0x93, .limit = 0xffff};

        if (i == HVM_CS) {
            s.sel = (uint16_t)(vector << 8);
            s.base = (uint64_t)vector << 12;
        }
        if (i == HVM_LDTR || i == HVM_TR)
            s.attr = i == HVM_TR ? 0x8b : 0x82;
        hvm_ops->set_segment(v, (enum hvm_seg)i, i == HVM_GDTR || i == HVM_IDTR ? &table : &s);
    }
}

void hvm_start_if_told(struct vcpu *v)
{
    struct hvm_vcpu *h = v->hvm;
    const xen_cpuid_leaf_t *id;
    uint32_t start;

    if (likely(!READ_ONCE(h->lapic->start)))
        return;
    start = __atomic_exchange_n(&h->lapic->start, 0, __ATOMIC_SEQ_CST);
    if (!start)
        return;
    id = cpuid_find(domain_cpuid_policy(v->domain), 1, XEN_CPUID_NO_SUBLEAF);
    *(v == current ? guest_cpu_user_regs() : &v->regs) =
        (struct cpu_user_regs){.rflags = EFLAGS_MBS, .rdx = id ? id->a : 0};
    h->cr0 = CR0_ET;
    h->cr2 = h->cr3 = h->cr4 = h->efer = 0;
    memset(h->dr, 0, sizeof(h->dr));
    h->exception.valid = false;
    v->nmi_pending = false;
    reset_segments(v, (uint8_t)start);
    hvm_ops->clear_events(v);
    lapic_reset(v);
    hvm_paging_changed(v);
    hvm_sync_tsc(v);
}
