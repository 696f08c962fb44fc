/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offsets of C structures for assembly. Compiled to text only; the Makefile turns each "->NAME value" line into a
 * #define in asm-offsets.h. Not linked.
 */
#include <hv/domain.h>
#include <hv/percpu.h>
#include <hv/x86.h>

#define DEFINE(name, value)       __asm__ __volatile__("\n#->" #name " %0" ::"i"((unsigned long)(value)))
#define OFFSET(name, type, field) DEFINE(name, offsetof(struct type, field))
#define UREG(field)               OFFSET(UREGS_##field, cpu_user_regs, field)
#define CPUINFO(field)            OFFSET(CPUINFO_##field, cpu_info, field)

void asm_offsets(void);
void asm_offsets(void)
{
    UREG(r15);
    UREG(r14);
    UREG(r13);
    UREG(r12);
    UREG(rbp);
    UREG(rbx);
    UREG(r11);
    UREG(r10);
    UREG(r9);
    UREG(r8);
    UREG(rax);
    UREG(rcx);
    UREG(rdx);
    UREG(rsi);
    UREG(rdi);
    UREG(error_code);
    UREG(entry_vector);
    UREG(rip);
    UREG(cs);
    UREG(saved_upcall_mask);
    OFFSET(UREGS_eflags, cpu_user_regs, rflags);
    UREG(rsp);
    UREG(ss);
    UREG(es);
    DEFINE(UREGS_kernel_sizeof, offsetof(struct cpu_user_regs, es));
    DEFINE(UREGS_sizeof, sizeof(struct cpu_user_regs));

    CPUINFO(guest_regs);
    OFFSET(CPUINFO_current, cpu_info, cur_vcpu);
    CPUINFO(percpu_offset);
    CPUINFO(cr3);
    CPUINFO(cpu);
    DEFINE(CPUINFO_sizeof, sizeof(struct cpu_info));

    OFFSET(CPUF_smap, cpu_features, smap);

    OFFSET(VCPU_domain, vcpu, domain);
    OFFSET(VCPU_pv_kernel_mode, vcpu, pv.kernel_mode);
}
