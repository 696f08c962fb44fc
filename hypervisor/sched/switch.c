/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch of vCPUs. There is one stack per CPU, so the outgoing vCPU's registers are copied from the entry frame and
 * the stack is thrown away: a switch ends in the guest or in the idle loop, never in the caller. Interrupts are off
 * throughout.
 */
#include <hv/hvm.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <hv/timer.h>
#include <hv/x86.h>

#define reset_stack_and_jump(fn)                                                          \
    do {                                                                                  \
        __asm__ __volatile__("mov %0, %%rsp\n\tjmp *%1"                                   \
                             :                                                            \
                             : "r"((char *)get_cpu_info() - 8), "r"((void (*)(void))(fn)) \
                             : "memory");                                                 \
        __builtin_unreachable();                                                          \
    } while (0)

static void save_guest(struct vcpu *v)
{
    v->regs = *guest_cpu_user_regs();
    (is_hvm_vcpu(v) ? hvm_switch_from : pv_switch_from)(v);
}

static void load_guest(struct vcpu *v)
{
    cpumask_set(&v->domain->dirty_cpus, smp_processor_id());
    *guest_cpu_user_regs() = v->regs;
    (is_hvm_vcpu(v) ? hvm_switch_to : pv_switch_to)(v);
    vcpu_load_timers(v);
}

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    unsigned int cpu = smp_processor_id();

    if (!is_idle_vcpu(prev))
        save_guest(prev);
    get_cpu_info()->cur_vcpu = next;
    if (is_idle_vcpu(next)) {
        desc_load_idle_gdt();
        switch_cr3(virt_to_maddr(idle_l4).n);
    } else
        load_guest(next);
    if (!is_idle_vcpu(prev) && prev->domain != next->domain)
        cpumask_clear(&prev->domain->dirty_cpus, cpu);
    sched_context_saved(prev);
    stretch_end();
    if (is_idle_vcpu(next)) {
        irq_enable();
        reset_stack_and_jump(idle_loop);
    }
    time_update_vcpu(next);
    irq_enable();
    vcpu_update_runstate_area(next);
    if (is_hvm_vcpu(next))
        reset_stack_and_jump(hvm_run);
    reset_stack_and_jump(pv_enter_guest);
}

void idle_loop(void)
{
    for (;;) {
        do_softirq();
        irq_disable();
        if (this_cpu(softirq_pending))
            irq_enable();
        else
            __asm__ __volatile__("sti; hlt" ::: "memory");
    }
}
