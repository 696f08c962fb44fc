/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: set-up of each CPU, end of interrupt, inter-processor interrupts, the timer. Intel SDM volume 3,
 * chapter 11. Memory-mapped xAPIC; x2APIC when the firmware left it on, or when the command line asks.
 *
 * All interrupts are fixed, physical destination. The timer runs in TSC-deadline mode where the CPU has it, else
 * one-shot at the rate measured by apic_calibrate_timer.
 */
#include <hv/boot.h>
#include <hv/irq.h>
#include <hv/time_scale.h>
#include <hv/timer.h>
#include <hv/x86.h>

#define APIC_ID    0x020
#define APIC_TPR   0x080
#define APIC_EOI   0x0b0
#define APIC_LDR   0x0d0
#define APIC_DFR   0x0e0
#define APIC_SVR   0x0f0
#define APIC_ISR   0x100
#define APIC_ESR   0x280
#define APIC_ICR   0x300
#define APIC_ICR2  0x310
#define APIC_LVTT  0x320
#define APIC_LVTTH 0x330
#define APIC_LVTPC 0x340
#define APIC_LVT0  0x350
#define APIC_LVT1  0x360
#define APIC_LVTE  0x370
#define APIC_TMICT 0x380
#define APIC_TMCCT 0x390
#define APIC_TDCR  0x3e0

#define LVT_MASKED       (1u << 16)
#define LVT_TSC_DEADLINE (2u << 17)
#define LVT_NMI          (4u << 8)
#define SVR_ENABLE       (1u << 8)
#define ICR_PENDING      (1u << 12)
#define ICR_ASSERT       (1u << 14)
#define ICR_LEVEL        (1u << 15)
#define ICR_NMI          (4u << 8)
#define ICR_INIT         (5u << 8)
#define ICR_STARTUP      (6u << 8)
#define TDCR_DIV1        0xbu
#define BASE_ENABLE      (1ull << 11)
#define BASE_X2APIC      (1ull << 10)

#define X2APIC_MSR(reg) (0x800u + ((reg) >> 4))

static volatile uint8_t *apic_mmio;
static bool x2apic_mode, deadline_mode;

/* x2apic: switched on where the processor has it. Without the word it is used when the firmware left it on. */
static bool opt_x2apic;
CMDLINE_PARAM("x2apic", PARAM_BOOL, opt_x2apic);
static uint64_t timer_khz; /* one-shot mode: timer ticks per millisecond, 0 before calibration */

static uint32_t apic_read(unsigned int reg)
{
    if (x2apic_mode)
        return (uint32_t)rdmsr(X2APIC_MSR(reg));
    return *(volatile uint32_t *)(apic_mmio + reg);
}

static void apic_write(unsigned int reg, uint32_t v)
{
    if (x2apic_mode)
        wrmsr(X2APIC_MSR(reg), v);
    else
        *(volatile uint32_t *)(apic_mmio + reg) = v;
}

uint32_t apic_id(void)
{
    return x2apic_mode ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

/* ---- inter-processor interrupts ---- */

/* xAPIC: the previous command has left. Bounded, so that a dead APIC cannot hang a panic. */
static void icr_wait(void)
{
    for (unsigned int i = 0; i < 1000000 && (apic_read(APIC_ICR) & ICR_PENDING); i++)
        cpu_relax();
}

static void icr_send(uint32_t dest, uint32_t command)
{
    unsigned long flags = irq_save();

    if (x2apic_mode) {
        /* The MSR write is not serialising: what was stored before must be visible to the target. */
        __asm__ __volatile__("mfence; lfence" ::: "memory");
        wrmsr(X2APIC_MSR(APIC_ICR), (uint64_t)dest << 32 | command);
    } else if (apic_mmio) {
        icr_wait();
        apic_write(APIC_ICR2, dest << 24);
        apic_write(APIC_ICR, command);
    }
    irq_restore(flags);
}

void apic_send_ipi(unsigned int cpu, uint8_t vector)
{
    icr_send(per_cpu(apicid, cpu), ICR_ASSERT | vector);
}

void apic_send_ipi_mask(cpumask_t mask, uint8_t vector)
{
    unsigned int cpu;

    for_each_cpu (cpu, mask)
        apic_send_ipi(cpu, vector);
}

void apic_send_init(uint32_t target)
{
    icr_send(target, ICR_INIT | ICR_ASSERT | ICR_LEVEL);
    icr_wait();
    icr_send(target, ICR_INIT | ICR_LEVEL);
}

void apic_send_startup(uint32_t target, uint8_t page)
{
    icr_send(target, ICR_STARTUP | ICR_ASSERT | page);
}

void apic_send_nmi_others(void)
{
    unsigned int cpu;

    if (!apic_mmio && !x2apic_mode)
        return;
    for_each_cpu (cpu, cpu_online_map)
        if (cpu != smp_processor_id())
            icr_send(per_cpu(apicid, cpu), ICR_NMI | ICR_ASSERT);
}

void apic_disable_on_crash(void)
{
    if (apic_mmio || x2apic_mode)
        apic_write(APIC_LVTT, LVT_MASKED);
}

/* ---- timer ---- */

static void timer_setup(void)
{
    apic_write(APIC_TMICT, 0);
    apic_write(APIC_TDCR, TDCR_DIV1);
    apic_write(APIC_LVTT, VECTOR_LOCAL_TIMER | (deadline_mode ? LVT_TSC_DEADLINE : 0));
    if (deadline_mode) {
        /* The LVT write is a memory access, the deadline an MSR: order them (SDM 11.5.4.1). */
        __asm__ __volatile__("mfence" ::: "memory");
        wrmsr(MSR_TSC_DEADLINE, 0);
    }
}

/* Ticks of the timer in ten milliseconds of system time, the best of three tries: each is long by what broke into it.
 */
void apic_calibrate_timer(void)
{
    uint64_t best = 0;

    if (deadline_mode)
        return;
    for (unsigned int try = 0; try < 3; try++) {
        s_time_t start, now;
        uint32_t left;

        apic_write(APIC_LVTT, VECTOR_LOCAL_TIMER | LVT_MASKED);
        start = system_time();
        apic_write(APIC_TMICT, UINT32_MAX);
        while (system_time() - start < MILLISECS(10))
            cpu_relax();
        left = apic_read(APIC_TMCCT);
        now = system_time();
        best = MAX(best, (uint64_t)(UINT32_MAX - left) * 1000000 / (uint64_t)(now - start));
    }
    timer_khz = best;
    if (timer_khz == 0)
        panic("The local APIC timer does not count");
    printk(XLOG_INFO "APIC timer: one-shot at %lu kHz\n", timer_khz);
    timer_setup();
}

static bool program_deadline(s_time_t deadline)
{
    s_time_t now = system_time();

    if (deadline == STIME_MAX) {
        wrmsr(MSR_TSC_DEADLINE, 0);
        return true;
    }
    if (deadline <= now)
        return false;
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + time_ns_to_ticks(tsc_khz, (uint64_t)(deadline - now)));
    return true;
}

bool apic_program_timer(s_time_t deadline)
{
    s_time_t now;
    uint64_t ticks;

    if (deadline_mode)
        return program_deadline(deadline);
    if (deadline == STIME_MAX) {
        apic_write(APIC_TMICT, 0);
        return true;
    }
    now = system_time();
    if (deadline <= now)
        return false;
    /* Too far for the counter: it fires early, finds nothing due and is set again. */
    ticks = time_ns_to_ticks(timer_khz, (uint64_t)(deadline - now));
    apic_write(APIC_TMICT, ticks == 0 ? 1 : (uint32_t)MIN(ticks, UINT32_MAX));
    return true;
}

/* ---- set-up ---- */

/* Interrupts that the firmware left in service would block everything of lower priority. */
static void clear_in_service(void)
{
    for (unsigned int pass = 0; pass < 256; pass++) {
        bool any = false;

        for (unsigned int i = 0; i < 8; i++)
            any |= apic_read(APIC_ISR + i * 0x10) != 0;
        if (!any)
            return;
        apic_eoi();
    }
}

static void apic_setup(bool bsp)
{
    apic_write(APIC_TPR, 0);
    apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
    if (!x2apic_mode) {
        apic_write(APIC_DFR, 0xffffffffu);
        apic_write(APIC_LDR, 0);
    }
    clear_in_service();
    apic_write(APIC_LVT0, LVT_MASKED);
    apic_write(APIC_LVT1, bsp ? LVT_NMI : LVT_NMI | LVT_MASKED);
    apic_write(APIC_LVTPC, LVT_MASKED);
    apic_write(APIC_ESR, 0);
    apic_write(APIC_LVTE, VECTOR_ERROR);
    timer_setup();
}

/* Both 8259s: remapped away from the exceptions, every line masked. */
static void pic_disable(void)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, 0x20);
    outb(0xa1, 0x28);
    outb(0x21, 0x04);
    outb(0xa1, 0x02);
    outb(0x21, 0x01);
    outb(0xa1, 0x01);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void apic_init_bsp(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    pic_disable();
    if (!(base & BASE_ENABLE)) {
        base |= BASE_ENABLE;
        wrmsr(MSR_APIC_BASE, base);
    }
    if (opt_x2apic && cpu_features.x2apic && !(base & BASE_X2APIC)) {
        base |= BASE_X2APIC;
        wrmsr(MSR_APIC_BASE, base);
    }
    deadline_mode = cpu_features.tsc_deadline;
    if (base & BASE_X2APIC) {
        x2apic_mode = true;
    } else {
        apic_mmio = ioremap(_maddr(base & PTE_ADDR), PAGE_SIZE);
        if (!apic_mmio)
            panic("No address space for the local APIC");
    }
    this_cpu(apicid) = apic_id();
    apic_setup(true);
    printk(XLOG_INFO "Local APIC %#x: %s, timer %s\n", apic_id(), x2apic_mode ? "x2APIC" : "xAPIC",
           deadline_mode ? "TSC deadline" : "one-shot");
}

void apic_init_ap(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    base |= BASE_ENABLE;
    wrmsr(MSR_APIC_BASE, base);
    if (x2apic_mode && !(base & BASE_X2APIC))
        wrmsr(MSR_APIC_BASE, base | BASE_X2APIC);
    apic_setup(false);
}
