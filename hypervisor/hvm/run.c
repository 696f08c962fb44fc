// SPDX-License-Identifier: BSD-2-Clause
/*
 * The life of a vCPU on hardware virtualisation: created, entered again and again, switched away from, freed. There is
 * one stack per CPU: an entry begins on an empty one, and what an exit leaves there is forgotten when another vCPU
 * comes.
 */
#include <hv/fpu.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "lapic.h"

#define CR0_UNCACHED (3ul << 29) /* CD and NW, which guests may set but not have */

const struct hvm_ops *hvm_ops;
bool hvm_nested = true;

void hvm_cpu_init(void)
{
    if (cpu_features.svm && !svm_ops.cpu_init())
        hvm_ops = &svm_ops;
    else if (hvm_ops)
        panic("CPU %u has no %s, others have\n", smp_processor_id(), hvm_ops->name);
    if (smp_processor_id() == 0)
        printk(XLOG_INFO "hardware virtualisation: %s%s\n", hvm_ops ? hvm_ops->name : "none, PV guests only",
               hvm_ops && hvm_nested ? ", nested paging" : "");
}

int hvm_vcpu_init(struct vcpu *v)
{
    struct hvm_vcpu *h = hv_new(struct hvm_vcpu);
    int rc;

    if (!h)
        return -ENOMEM;
    v->hvm = h;
    h->shadow.s = v->domain->shadow;
    h->shadow.device = hvm_device_access;
    h->cr0 = CR0_ET;
    hvm_msr_init(v);
    rc = lapic_init(v);
    if (!rc)
        rc = hvm_ops->vcpu_init(v);
    if (!rc)
        hvm_paging_changed(v);
    return rc;
}

void hvm_vcpu_free(struct vcpu *v)
{
    if (!v->hvm)
        return;
    hvm_ops->vcpu_free(v);
    lapic_free(v);
    hv_free(v->hvm);
    v->hvm = NULL;
}

void hvm_vcpu_stop(struct vcpu *v)
{
    shadow_drop_root(&v->hvm->shadow);
    v->hvm->paging_due = true;
}

void hvm_switch_from(struct vcpu *v)
{
    fpu_save(v);
}

/*
 * The guest's tables are hardware's business: the hypervisor runs on its own, and with no selector of a PV guest
 * loaded, since an exit may load them again.
 */
void hvm_switch_to(struct vcpu *v)
{
    desc_load_idle_gdt();
    __asm__ __volatile__("movl %0, %%ds\n\tmovl %0, %%es\n\tmovl %0, %%fs\n\tmovl %0, %%gs\n\tlldt %w0" ::"r"(0));
    switch_cr3(virt_to_maddr(idle_l4).n);
    fpu_restore(v);
    if (cpu_features.rdtscp)
        wrmsr(MSR_TSC_AUX, v->hvm->tsc_aux);
    lapic_load_timer(v);
}

/*
 * On nested paging hardware runs with the guest's registers. LME means nothing until paging is turned on; an emulated
 * processor that comes back from a guest that has it, but neither PG nor PAE, goes on without paging itself.
 */
static void load_registers(struct vcpu *v)
{
    const struct hvm_vcpu *h = v->hvm;
    uint64_t efer = h->cr0 & CR0_PG ? h->efer : h->efer & ~EFER_LME;

    if (h->paging_due)
        hvm_ops->set_control(v, (h->cr0 & ~CR0_UNCACHED) | CR0_NE, h->cr3, h->cr4, efer);
    v->hvm->paging_due = false;
}

/* The root that paging asks for. False: not yet, or the guest was ended. */
static bool take_root(struct vcpu *v)
{
    struct hvm_vcpu *h = v->hvm;
    uint64_t cr0 = h->cr0 | CR0_PG | CR0_WP | CR0_NE, cr4 = h->cr4, efer = h->efer & ~EFER_LME;
    int rc;

    if (READ_ONCE(h->flush_due)) {
        WRITE_ONCE(h->flush_due, false);
        smp_mb(); /* who tells from now on wants another one */
        h->paging_due = true;
    }
    if (v->domain->hap) {
        load_registers(v);
        return true;
    }
    if (!shadow_ready(&h->shadow))
        return false;
    if (!h->paging_due && h->shadow.root && h->root_loaded == shadow_root(&h->shadow).n)
        return true;
    rc = h->paging_due ? shadow_set_paging(&h->shadow) : 0;
    if (rc == -ENOMEM)
        domain_crash(v->domain, "vCPU %u: its shadow memory is too small", v->vcpu_id);
    if (rc)
        return false;
    h->paging_due = false;
    if (h->efer & EFER_LMA)
        efer |= EFER_LME;
    if (!(h->cr0 & CR0_PG))
        cr4 &= ~(CR4_SMEP | CR4_SMAP); /* shadows of unpaged memory are user pages */
    h->root_loaded = shadow_root(&h->shadow).n;
    hvm_ops->set_control(v, cr0 & ~CR0_UNCACHED, h->root_loaded, cr4 | CR4_PAE, efer | EFER_NXE);
    return true;
}

/* Interrupts are off: what comes from now on ends the guest's run at once. */
static bool has_to_wait(const struct vcpu *v)
{
    return READ_ONCE(this_cpu(softirq_pending)) || READ_ONCE(v->hvm->paging_due) || READ_ONCE(v->hvm->flush_due) ||
           shadow_behind(&v->hvm->shadow);
}

void hvm_run(void)
{
    struct vcpu *v = current;
    struct vmexit x;

    for (;;) {
        do_softirq();
        hvm_start_if_told(v);
        if (!take_root(v))
            continue;
        irq_disable();
        if (has_to_wait(v)) {
            irq_enable();
            continue;
        }
        hvm_ops->watch_flushes(v, shadow_needs_flushes(&v->hvm->shadow));
        hvm_deliver(v);
        x = (struct vmexit){0};
        hvm_ops->enter(v, &x);
        irq_enable();
        v->hvm->exits[x.reason]++;
        stretch_begin(STRETCH_TRAP, 31);
        hvm_exit(v, &x);
        stretch_end();
    }
}
