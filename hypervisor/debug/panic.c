/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Last words. The CPU that panics first stops the others by NMI, shows the reason, registers and call chain, and
 * restarts the machine after five seconds; with `noreboot` it halts. A second panic on the same CPU (a fault while
 * panicking) goes straight to the end.
 *
 * Does not use locks, the heap or interrupts.
 */
#include <hv/boot.h>
#include <hv/console.h>
#include <hv/irq.h>
#include <hv/timer.h>
#include <hv/x86.h>

static const char stars[] = "****************************************\n";

bool panicking;
static unsigned int panic_cpu; /* CPU + 1 that panicked first */

static bool opt_noreboot;
CMDLINE_RUNTIME("noreboot", PARAM_BOOL, opt_noreboot);

void panic_park(void)
{
    irq_disable();
    for (;;)
        __asm__ __volatile__("hlt");
}

/* True on the one CPU that may go on with the panic; false: this CPU panics again while it does. */
static bool panic_first(void)
{
    unsigned int none = 0, me = smp_processor_id() + 1;

    irq_disable();
    if (__atomic_compare_exchange_n(&panic_cpu, &none, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return true;
    if (none != me)
        panic_park();
    return false;
}

static void stop_others(void)
{
    WRITE_ONCE(panicking, true);
    smp_mb();
    apic_send_nmi_others();
    for (unsigned int i = 0; i < 1000000; i++)
        cpu_relax();
}

/* Five seconds by the TSC; when time does not run yet, some billion cycles. */
static void panic_delay(void)
{
    uint64_t khz = tsc_khz ? tsc_khz : 1000000;
    uint64_t end = rdtsc() + 5000 * khz;

    while (rdtsc() < end)
        cpu_relax();
}

static void __attribute__((noreturn)) panic_end(void)
{
    if (opt_noreboot) {
        printk("'noreboot' set - not rebooting.\n");
        panic_park();
    }
    printk("Reboot in five seconds...\n");
    panic_delay();
    machine_restart();
}

static void panic_message(const char *fmt, va_list ap)
{
    printk("%s", stars);
    printk("Panic on CPU %u:\n", smp_processor_id());
    vprintk(fmt, ap);
    if (fmt[0] == '\0' || fmt[strlen(fmt) - 1] != '\n')
        printk("\n");
    printk("%s", stars);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    if (!panic_first())
        panic_end();
    stop_others();
    va_start(ap, fmt);
    panic_message(fmt, ap);
    va_end(ap);
    printk("RFLAGS: %016lx   cr0: %016lx   cr2: %016lx   cr3: %016lx   cr4: %016lx\n", read_flags(), read_cr0(),
           read_cr2(), read_cr3(), read_cr4());
    backtrace((unsigned long)__builtin_return_address(0), *(unsigned long *)__builtin_frame_address(0));
    panic_end();
}

void panic_with_regs(const struct cpu_user_regs *regs, const char *fmt, ...)
{
    va_list ap;

    if (!panic_first())
        panic_end();
    stop_others();
    va_start(ap, fmt);
    panic_message(fmt, ap);
    va_end(ap);
    dump_registers(regs);
    if (!(regs->cs & 3))
        backtrace(regs->rip, regs->rbp);
    panic_end();
}

void bug_at(const char *file, int line, const char *what)
{
    panic("Xen BUG at %s:%d: %s", file, line, what);
}
