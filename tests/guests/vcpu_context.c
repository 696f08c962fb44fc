// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a second vCPU is made with a context that would give it what the guest may not have: page tables that are
 * none, descriptor pages with gates, addresses that are not canonical, lengths that overflow, ring 0 selectors. Each is
 * refused or made harmless; a refused vCPU does not run, and a good context still works afterwards.
 */
#include "guest.h"

static struct vcpu_guest_context c;

static long initialise(unsigned int id)
{
    return HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_initialise, id, &c);
}

#define REFUSED(field, value)                                         \
    do {                                                              \
        fill_context(&c, 1);                                          \
        c.field = (value);                                            \
        CHECK(initialise(1) < 0);                                     \
        CHECK(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0) < 0); \
    } while (0)

static volatile bool ran;

static void run(void)
{
    uint64_t cs, flags;

    __asm__ __volatile__("mov %%cs, %0\n\tpushfq\n\tpop %1" : "=r"(cs), "=r"(flags));
    CHECK_IS(cs & 3, 3);
    CHECK(!(flags & 0x3000));
    ran = true;
}

void guest_main(void)
{
    unsigned long *gates = new_table(5, 0x00008e00e0080000), writable = mfn_of(new_page());

    REFUSED(ctrlreg[3], 0);
    REFUSED(ctrlreg[3], xen_pfn_to_cr3(writable));
    REFUSED(ctrlreg[3], xen_pfn_to_cr3(mfn_of(entry_of(gates, 1))));
    REFUSED(ctrlreg[3], xen_pfn_to_cr3(1ul << 36));
    if (on_umbra()) {
        REFUSED(ctrlreg[1], xen_pfn_to_cr3(writable)); /* Xen keeps the kernel's tables then, and the domain for ever */
        REFUSED(flags, 0);                             /* user mode without tables for it: Xen finds out later */
    }
    REFUSED(gdt_ents, 1ul << 32);
    REFUSED(gdt_ents, FIRST_RESERVED_GDT_ENTRY + 1);
    REFUSED(ldt_ents, 8193);
    REFUSED(event_callback_eip, NONCANONICAL);
    REFUSED(syscall_callback_eip, NONCANONICAL);
    REFUSED(fs_base, NONCANONICAL);
    REFUSED(gs_base_kernel, NONCANONICAL);
    fill_context(&c, 1);
    c.gdt_ents = 512;
    c.gdt_frames[0] = mfn_of(gates);
    CHECK(initialise(1) < 0);
    CHECK_IS(initialise(2), -XEN_ENOENT);
    CHECK_IS(initialise(~0u), -XEN_ENOENT);
    CHECK_IS(initialise(0), -XEN_EEXIST);
    CHECK_IS(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, HV_FIRST), -XEN_EFAULT);

    /* Ring 0, IOPL 3, no interrupts: taken, without what gives power. */
    fill_context(&c, 1);
    c.user_regs.cs = FLAT_KERNEL_CS & ~3;
    c.user_regs.ss = FLAT_KERNEL_SS & ~3;
    c.user_regs.rflags = 0x23002;
    c.user_regs.rdi = P(run);
    CHECK_IS(initialise(1), 0);
    CHECK_IS(initialise(1), -XEN_EEXIST);
    CHECK_IS(HYPERCALL3(__HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), 0);
    wait_vcpu(1);
    CHECK(ran);
}
