/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions, by where they come from. From the hypervisor: expected faults have an exception-table entry, those of
 * UEFI firmware that it called end that call, everything else ends the machine with registers and backtrace. From a
 * guest: a few are completed here (page-table writes, privileged instructions, LDT pages), the rest goes to the guest
 * kernel's trap table.
 *
 * Interrupts are off on entry. CR2 and DR6 are read before they are enabled: another fault would overwrite them.
 */
#include <hv/console.h>
#include <hv/efi.h>
#include <hv/shadow.h>
#include <hv/stretch.h>
#include "../pv/internal.h"

static const char *const trap_names[20] = {
    "divide error", "debug",           "NMI",         "breakpoint",         "overflow",
    "bound range",  "invalid opcode",  "device",      "double fault",       "(9)",
    "TSS",          "segment missing", "stack fault", "general protection", "page fault",
    "(15)",         "x87 exception",   "alignment",   "machine check",      "SIMD exception",
};

static unsigned long read_dr6(void)
{
    unsigned long v;

    __asm__ __volatile__("mov %%dr6, %0" : "=r"(v));
    return v;
}

static void reset_dr6(void)
{
    __asm__ __volatile__("mov %0, %%dr6" ::"r"(DR6_DEFAULT));
}

static void __attribute__((noreturn)) fatal_trap(struct cpu_user_regs *regs, unsigned long cr2)
{
    unsigned int vector = regs->entry_vector;

    panic_with_regs(regs, "exception %u (%s), error code %x, cr2 %lx", vector,
                    vector < 20 ? trap_names[vector] : "reserved", regs->error_code, cr2);
}

/*
 * Does the present mapping allow what faulted? The processor's TLB was older than the tables then, and the instruction
 * is simply executed again. Faults with reasons that the walk does not know (reserved bits, keys) are never spurious.
 */
static bool fault_is_spurious(struct vcpu *v, unsigned long linear, uint32_t ec, bool user)
{
    unsigned int level;
    pte_t leaf;

    if (ec & ~(PFEC_P | PFEC_W | PFEC_U | PFEC_I))
        return false;
    if (!guest_range_ok(linear, 1) || pv_walk(v, linear, &leaf, &level))
        return false;
    if ((ec & PFEC_W) && !(leaf.n & PTE_RW))
        return false;
    if ((ec & PFEC_I) && (leaf.n & PTE_NX))
        return false;
    return !user || (leaf.n & PTE_US);
}

/*
 * Did the tables that hardware walks only lack what the guest's own have? *ec becomes what these would have given.
 */
static bool shadow_fixes(struct vcpu *v, unsigned long linear, uint32_t *ec)
{
    enum shadow_result r = shadow_pv_fault(v, linear, ec);

    if (r == SHADOW_NOMEM)
        domain_crash(v->domain, "the pool is too small for its shadows");
    return r != SHADOW_REFLECT;
}

/* Of a copy to or from the guest, whose stretch this is none of: it is tried again until it gets there. */
static bool shadow_fixes_copy(struct vcpu *v, unsigned long linear, uint32_t ec)
{
    struct stretch_now now = this_cpu(stretch_now);
    enum shadow_result r;

    stretch_begin(STRETCH_TRAP, TRAP_PF);
    r = shadow_pv_fault(v, linear, &ec);
    stretch_end();
    this_cpu(stretch_now) = now;
    return r == SHADOW_FIXED;
}

/* Faults of the hypervisor itself that are no fault: its copies to and from guests, and loads of guest selectors. */
static bool hypervisor_page_fault(struct cpu_user_regs *regs, unsigned long cr2)
{
    struct vcpu *v = current;

    if (!v || is_idle_vcpu(v))
        return false;
    if (pv_in_ldt_window(v, cr2))
        return pv_ldt_fault(v, cr2);
    /* Only the guest copies may touch guest memory: never to execute, and under SMAP only with AC set. */
    if ((regs->error_code & PFEC_I) || (cpu_features.smap && !(regs->rflags & EFLAGS_AC)))
        return false;
    if (pv_on_shadows(&v->pv))
        return shadow_fixes_copy(v, cr2, regs->error_code);
    return fault_is_spurious(v, cr2, regs->error_code, false);
}

static void trap_from_hypervisor(struct cpu_user_regs *regs, unsigned long cr2)
{
    unsigned long fixup;

    if (efi_fault(regs))
        return;
    switch (regs->entry_vector) {
    case TRAP_NMI:
        return;
    case TRAP_DB: /* a guest's watchpoint met by a copy, or deferred over its SYSCALL: not reported */
        reset_dr6();
        return;
    case TRAP_PF:
        if (hypervisor_page_fault(regs, cr2))
            return;
        break;
    case TRAP_MC:
    case TRAP_DF:
        fatal_trap(regs, cr2);
    }
    fixup = extable_find(regs->rip);
    if (!fixup)
        fatal_trap(regs, cr2);
    if (regs->entry_vector != TRAP_PF)
        printk(XLOG_GUEST XLOG_DEBUG "fix-up of exception %u (error code %x) at %lx\n", regs->entry_vector,
               regs->error_code, regs->rip);
    regs->rip = fixup;
}

/* Beyond the GDT's pages the table has ended, in the guest's eyes; an LDT page may still have to be mapped. */
static void guest_descriptor_fault(struct vcpu *v, uint32_t ec, unsigned long cr2)
{
    if (!pv_in_ldt_window(v, cr2))
        pv_inject(v, TRAP_GP, (cr2 - GDT_VIRT(v->vcpu_id)) & 0xfff8);
    else if (!pv_ldt_fault(v, cr2))
        pv_inject_page_fault(v, ec, v->pv.ldt_base + (cr2 - LDT_VIRT(v->vcpu_id)));
}

static void guest_page_fault(struct vcpu *v, struct cpu_user_regs *regs, unsigned long cr2)
{
    uint32_t ec = regs->error_code;

    /* The processor's own look at a descriptor: not a user access, although ring 3 made it. */
    if (!(ec & PFEC_U) && cr2 - GDT_VIRT(v->vcpu_id) < 1ul << GDT_LDT_VCPU_SHIFT) {
        guest_descriptor_fault(v, ec, cr2);
        return;
    }
    if (pv_on_shadows(&v->pv) ? shadow_fixes(v, cr2, &ec) : fault_is_spurious(v, cr2, ec, true))
        return;
    if (v->pv.kernel_mode && (ec & (PFEC_P | PFEC_W)) == (PFEC_P | PFEC_W) && guest_range_ok(cr2, 1) &&
        pv_ptwrite_fault(v, cr2, regs))
        return;
    pv_inject_page_fault(v, ec, cr2);
}

static void guest_general_protection(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint32_t ec = regs->error_code;

    if (ec & 2) {
        if (pv_emulate_int(v, regs))
            return;
    } else if (!ec && pv_emulate_privileged(v, regs)) {
        return;
    }
    pv_inject(v, TRAP_GP, ec);
}

static void guest_debug(struct vcpu *v, unsigned long dr6)
{
    v->pv.dr6 = (v->pv.dr6 & 0xe00f) | DR6_DEFAULT | (dr6 & 0xe00f);
    pv_inject(v, TRAP_DB, 0);
}

static void guest_device_not_available(struct vcpu *v)
{
    /* TS is set for the guest only: to it the flag is clear once it knows. */
    if (v->pv.cr0_guest & CR0_TS)
        pv_fpu_taskswitch(v, false);
    pv_inject(v, TRAP_NM, 0);
}

static void trap_from_guest(struct cpu_user_regs *regs, unsigned long cr2, unsigned long dr6)
{
    struct vcpu *v = current;

    switch (regs->entry_vector) {
    case TRAP_PF:
        guest_page_fault(v, regs, cr2);
        break;
    case TRAP_GP:
        guest_general_protection(v, regs);
        break;
    case TRAP_UD:
        if (!pv_emulate_forced_cpuid(v, regs))
            pv_inject(v, TRAP_UD, 0);
        break;
    case TRAP_NM:
        guest_device_not_available(v);
        break;
    case TRAP_DB:
        guest_debug(v, dr6);
        break;
    case TRAP_NMI:
        break;
    case TRAP_DF:
    case TRAP_MC:
        fatal_trap(regs, cr2);
    default:
        pv_inject(v, regs->entry_vector, regs->error_code);
        break;
    }
}

void do_trap(struct cpu_user_regs *regs)
{
    unsigned long cr2 = regs->entry_vector == TRAP_PF ? read_cr2() : 0;
    unsigned long dr6 = 0;

    if (regs->entry_vector == TRAP_NMI && READ_ONCE(panicking))
        panic_park();
    if (!(regs->cs & 3)) {
        trap_from_hypervisor(regs, cr2);
        return;
    }
    if (regs->entry_vector == TRAP_DB) {
        dr6 = read_dr6();
        reset_dr6();
    }
    irq_enable();
    stretch_begin(STRETCH_TRAP, regs->entry_vector);
    trap_from_guest(regs, cr2, dr6);
    stretch_end();
}
