/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers and call chains. Frame pointers are kept in all code; the chain is followed within the stack of one CPU,
 * upwards only, so that a damaged stack ends the walk instead of faulting.
 */
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/x86.h>

#define MAX_FRAMES 32

static void show_address(unsigned long rip)
{
    unsigned long offset, size;
    const char *name = symbol_lookup(rip, &offset, &size);

    if (name)
        printk("   [<%016lx>] %s+%#lx/%#lx\n", rip, name, offset, size);
    else
        printk("   [<%016lx>]\n", rip);
}

/* A frame pointer within the stack that this code runs on. */
static bool frame_ok(unsigned long rbp)
{
    unsigned long base = (unsigned long)get_cpu_info() & ~(STACK_SIZE - 1);
    unsigned long top = (unsigned long)get_cpu_info();

    return (rbp & 7) == 0 && rbp >= base && rbp + 16 <= top &&
           (rbp + 16 <= base + STACK_GUARD || rbp >= base + STACK_GUARD + PAGE_SIZE);
}

void backtrace(unsigned long rip, unsigned long rbp)
{
    printk("Xen call trace:\n");
    show_address(rip);
    for (unsigned int i = 0; i < MAX_FRAMES && frame_ok(rbp); i++) {
        const unsigned long *frame = (const unsigned long *)rbp;

        if (frame[1] < XEN_VIRT_START)
            break;
        show_address(frame[1]);
        if (frame[0] <= rbp)
            break;
        rbp = frame[0];
    }
}

void dump_registers(const struct cpu_user_regs *r)
{
    printk("CPU:    %u\n", smp_processor_id());
    printk("RIP:    %04x:[<%016lx>]\n", r->cs, r->rip);
    printk("RFLAGS: %016lx   CONTEXT: %s", r->rflags, (r->cs & 3) ? "pv guest" : "hypervisor");
    if (current)
        printk(" (d%uv%u)", current->domain->id, current->vcpu_id);
    printk("\n");
    printk("rax: %016lx   rbx: %016lx   rcx: %016lx\n", r->rax, r->rbx, r->rcx);
    printk("rdx: %016lx   rsi: %016lx   rdi: %016lx\n", r->rdx, r->rsi, r->rdi);
    printk("rbp: %016lx   rsp: %016lx   r8:  %016lx\n", r->rbp, r->rsp, r->r8);
    printk("r9:  %016lx   r10: %016lx   r11: %016lx\n", r->r9, r->r10, r->r11);
    printk("r12: %016lx   r13: %016lx   r14: %016lx\n", r->r12, r->r13, r->r14);
    printk("r15: %016lx   cr0: %016lx   cr4: %016lx\n", r->r15, read_cr0(), read_cr4());
    printk("cr3: %016lx   cr2: %016lx   ss: %04x   vector: %#x   error: %#x\n", read_cr3(), read_cr2(), r->ss,
           r->entry_vector, r->error_code);
}
