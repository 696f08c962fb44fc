/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU data. The top of a CPU's stack holds struct cpu_info, found by masking the stack pointer, so that no segment
 * base has to be switched on entry from a guest. DEFINE_PER_CPU variables live in section .percpu, of which each CPU
 * has a copy.
 */
#ifndef HV_PERCPU_H
#define HV_PERCPU_H

#include <hv/layout.h>
#include <hv/lib.h>
#include <xen/xen.h>

struct vcpu;

struct cpu_info {
    struct cpu_user_regs guest_regs; /* frame of the outermost entry; es..gs are not pushed by hardware or by entry.S */
    struct vcpu *cur_vcpu;           /* read as `current` */
    unsigned long percpu_offset;
    unsigned long cr3; /* value loaded in CR3 */
    uint32_t cpu;
    uint32_t pad;
};

#ifndef UMBRA_HOST
static inline struct cpu_info *get_cpu_info(void)
{
    unsigned long sp;

    __asm__("mov %%rsp, %0" : "=r"(sp));
    return (struct cpu_info *)((sp | (STACK_SIZE - 1)) + 1 - sizeof(struct cpu_info));
}

#define DEFINE_PER_CPU(type, name)  __attribute__((section(".percpu"))) typeof(type) percpu__##name
#define DECLARE_PER_CPU(type, name) extern typeof(type) percpu__##name
#define percpu_at(name, offset)     (*(typeof(percpu__##name) *)((char *)&percpu__##name + (offset)))
#define this_cpu(name)              percpu_at(name, get_cpu_info()->percpu_offset)
#define per_cpu(name, c)            percpu_at(name, percpu_offset[c])
extern unsigned long percpu_offset[NR_CPUS];
#else
struct cpu_info *get_cpu_info(void);
#define DEFINE_PER_CPU(type, name)  typeof(type) percpu__##name[NR_CPUS]
#define DECLARE_PER_CPU(type, name) extern typeof(type) percpu__##name[NR_CPUS]
#define this_cpu(name)              (percpu__##name[smp_processor_id()])
#define per_cpu(name, c)            (percpu__##name[c])
#endif

#define current               (get_cpu_info()->cur_vcpu)
#define smp_processor_id()    (get_cpu_info()->cpu)
#define guest_cpu_user_regs() (&get_cpu_info()->guest_regs)

#endif
