/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entering the guest kernel: exceptions, events, system calls and failsafe callbacks. All take the same step,
 * pv_bounce: the interrupted state is written as a frame to the guest kernel's stack and the registers are set to the
 * handler. Works on the register frame of the current vCPU; the guest sees the effect on the next return.
 *
 * Invariant: guest memory is written by guest_copy only; a stack that cannot take the frame ends the domain, as a
 * triple fault ends a machine.
 */
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <xen/callback.h>
#include "internal.h"

unsigned int pv_shown_iopl(const struct vcpu *v)
{
    return v->domain->vm_assist & (1ul << VMASST_TYPE_architectural_iopl) ? v->pv.iopl : 0;
}

void pv_read_selectors(struct pv_selectors *sel)
{
    __asm__ __volatile__("mov %%ds, %0" : "=m"(sel->ds));
    __asm__ __volatile__("mov %%es, %0" : "=m"(sel->es));
    __asm__ __volatile__("mov %%fs, %0" : "=m"(sel->fs));
    __asm__ __volatile__("mov %%gs, %0" : "=m"(sel->gs));
}

void pv_bounce(struct vcpu *v, const struct pv_bounce *b)
{
    const unsigned long cleared = EFLAGS_AC | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT | EFLAGS_TF;
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    bool was_kernel = v->pv.kernel_mode;
    uint8_t mask = READ_ONCE(v->vcpu_info->evtchn_upcall_mask);
    uint64_t words[BOUNCE_WORDS_MAX];
    unsigned int n = pv_bounce_words(words, regs, b, was_kernel, mask, pv_shown_iopl(v));
    unsigned long sp = (was_kernel ? regs->rsp : v->pv.kernel_sp) & ~15ul;

    if (!was_kernel)
        pv_toggle_mode(v);
    sp -= n * sizeof(words[0]);
    if (guest_copy_to((void *)sp, words, n * sizeof(words[0]))) {
        domain_crash(v->domain, "cannot push a frame at %lx, on the way to %lx from rip %lx", sp, b->rip, regs->rip);
        return;
    }
    if (b->mask_events)
        WRITE_ONCE(v->vcpu_info->evtchn_upcall_mask, 1);
    regs->rip = b->rip;
    regs->cs = SEL_KERNEL_CS64;
    regs->rflags = pv_guest_rflags(regs->rflags & ~cleared);
    regs->rsp = sp;
    regs->ss = SEL_KERNEL_SS;
}

static bool vector_has_error_code(unsigned int vector)
{
    const uint32_t vectors =
        1u << TRAP_DF | 1u << TRAP_TS | 1u << TRAP_NP | 1u << TRAP_SS | 1u << TRAP_GP | 1u << TRAP_PF | 1u << TRAP_AC;

    return vector < 32 && (vectors & (1u << vector));
}

void pv_inject(struct vcpu *v, unsigned int vector, uint32_t error_code)
{
    const struct trap_info *t = &v->pv.trap[array_index_nospec(vector & 0xff, ARRAY_SIZE(v->pv.trap))];
    struct pv_bounce b = {
        .rip = t->address,
        .mask_events = TI_GET_IF(t),
        .has_error = vector_has_error_code(vector),
        .error = error_code,
    };

    if (!t->address) {
        domain_crash(v->domain, "exception %u (error code %x, rip %lx, cr2 %lx) without a handler", vector, error_code,
                     guest_cpu_user_regs()->rip, v->pv.cr2);
        return;
    }
    pv_bounce(v, &b);
}

void pv_inject_page_fault(struct vcpu *v, uint32_t error_code, unsigned long cr2)
{
    /* The guest kernel runs in ring 3 and must not see its own accesses as the user's. */
    if (v->pv.kernel_mode)
        error_code &= ~PFEC_U;
    else
        error_code |= PFEC_U;
    v->pv.cr2 = cr2;
    WRITE_ONCE(v->vcpu_info->arch.cr2, cr2);
    pv_inject(v, TRAP_PF, error_code);
}

void pv_failsafe(struct vcpu *v, const struct pv_selectors *sel)
{
    struct pv_bounce b = {
        .rip = v->pv.failsafe_callback,
        .mask_events = v->pv.failsafe_disables_events,
        .failsafe = sel,
    };

    if (!b.rip) {
        domain_crash(v->domain, "guest state cannot be loaded and there is no failsafe callback");
        return;
    }
    pv_bounce(v, &b);
}

/* The IRETQ to the guest faulted: a selector, or an address that is not canonical. */
void pv_iret_fault(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct pv_selectors sel;

    irq_enable();
    pv_read_selectors(&sel);
    pv_failsafe(v, &sel);
}

void pv_toggle_mode(struct vcpu *v)
{
    unsigned long flags = irq_save();

    v->pv.kernel_mode = !v->pv.kernel_mode;
    __asm__ __volatile__("swapgs" ::: "memory");
    switch_cr3(pv_cr3(v));
    if (v->pv.cr4_guest & CR4_TSD)
        pv_load_tsd(v);
    irq_restore(flags);
    if (v->pv.kernel_mode && v->pv.areas_due) {
        v->pv.areas_due = false;
        vcpu_update_runstate_area(v);
        time_update_vcpu(v);
    }
}

static void bounce_callback(struct vcpu *v, unsigned long rip, bool mask_events)
{
    struct pv_bounce b = {.rip = rip, .mask_events = mask_events};

    pv_bounce(v, &b);
}

void pv_deliver_events(void)
{
    struct vcpu *v = current;

    if (v->nmi_pending && !v->pv.nmi_masked && v->pv.trap[TRAP_NMI].address) {
        v->nmi_pending = false;
        v->pv.nmi_masked = true;
        pv_inject(v, TRAP_NMI, 0);
        return;
    }
    if (v->pv.event_callback && vcpu_event_pending(v))
        bounce_callback(v, v->pv.event_callback, true);
}

/* Last stop before the guest. On return interrupts are off and there is nothing left to do on this CPU. */
void exit_to_guest_work(void)
{
    for (;;) {
        irq_disable();
        if (!READ_ONCE(this_cpu(softirq_pending))) {
            pv_deliver_events();
            if (!READ_ONCE(this_cpu(softirq_pending)))
                return;
        }
        irq_enable();
        do_softirq();
    }
}

/*
 * SYSCALL: a hypercall from the guest kernel, a system call from its user mode. Without a handler it is, to the guest,
 * an instruction that the processor lacks. From compatibility code it never is a hypercall.
 */
void pv_syscall(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    bool compat = regs->entry_vector == VECTOR_SYSCALL32;
    unsigned long rip = compat ? v->pv.syscall32_callback : v->pv.syscall_callback;

    if (v->pv.kernel_mode && !compat) {
        pv_hypercall(regs);
    } else if (v->pv.kernel_mode || !rip) {
        regs->rip -= 2;
        pv_inject(v, TRAP_UD, 0);
    } else {
        bounce_callback(v, rip, compat ? v->pv.syscall32_disables_events : v->pv.syscall_disables_events);
    }
}
