// SPDX-License-Identifier: BSD-2-Clause
/* More vCPUs: each on a stack of its own, with the tables and traps of the first. */
#include "internal.h"

volatile bool stop;
static volatile bool returned[MAX_VCPUS];

unsigned int this_vcpu(void)
{
    return this_cpu()->id;
}

void fill_context(struct vcpu_guest_context *c, unsigned int id)
{
    ((struct cpu *)stacks[id])->id = id;
    __builtin_memset(c, 0, sizeof(*c));
    c->flags = VGCF_in_kernel;
    c->user_regs.rip = P(vcpu_entry);
    c->user_regs.rsp = P(stacks[id] + STACK_BYTES);
    c->user_regs.rflags = 0x202;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = P(stacks[id] + STACK_BYTES);
    c->ctrlreg[3] = xen_pfn_to_cr3(mfn_of((const void *)start_info->pt_base));
    c->event_callback_eip = P(event_entry);
    c->failsafe_callback_eip = P(failsafe_entry);
    c->syscall_callback_eip = P(syscall_entry);
}

void lib_vcpu_main(void (*fn)(void))
{
    unsigned int id = this_cpu()->id;

    init_traps();
    fn();
    returned[id] = true;
    for (;;)
        HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_down, id, 0);
}

void start_vcpu(unsigned int id, void (*fn)(void))
{
    static struct vcpu_guest_context c;

    REQUIRE(id < MAX_VCPUS);
    fill_context(&c, id);
    c.user_regs.rdi = P(fn);
    REQUIRE(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_initialise, id, &c) == 0);
    REQUIRE(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_up, id, 0) == 0);
}

void wait_vcpu(unsigned int id)
{
    while (!returned[id])
        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}
