/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other CPUs: numbers, per-CPU data and stacks for all of them first (smp_prepare), then one after the other is
 * started by INIT and STARTUP (smp_boot). CPU 0 is the one that boots; the rest are numbered as the firmware lists
 * them.
 *
 * A CPU that does not come alive in time is put back to waiting by INIT and stays out of cpu_online_map; its number is
 * not given to another. CPUs are never taken away again.
 */
#include <hv/boot.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/timer.h>
#include <hv/x86.h>

#define ALIVE_TIMEOUT  SECONDS(2)
#define ONLINE_TIMEOUT SECONDS(10)

struct trampoline_args {
    uint64_t cr3, rsp, entry;
};

/* How far the CPU being started has come; it and CPU 0 contend for leaving AP_STARTED. */
enum ap_state { AP_STARTED, AP_ALIVE, AP_GIVEN_UP };
static enum ap_state ap_state;

unsigned int nr_cpus = 1;
unsigned long percpu_offset[NR_CPUS];
DEFINE_PER_CPU(unsigned long, stack_base);
DEFINE_PER_CPU(uint32_t, apicid);
DEFINE_PER_CPU(uint32_t, acpi_id);

static unsigned int opt_maxcpus = NR_CPUS;
CMDLINE_PARAM("maxcpus", PARAM_UINT, opt_maxcpus);
static bool opt_nosmp;
CMDLINE_PARAM("nosmp", PARAM_BOOL, opt_nosmp);

extern char percpu_template_start[], percpu_template_end[], percpu_cpu0_start[], cpu0_stack[];
extern char trampoline_start[], trampoline_args[], trampoline_end[];
extern pte_t boot_l4_virt[]; /* the first page tables, by their alias in the image */

static size_t percpu_size(void)
{
    return (size_t)(percpu_template_end - percpu_template_start);
}

static struct cpu_info *stack_cpu_info(unsigned long stack)
{
    return (struct cpu_info *)(stack + STACK_SIZE) - 1;
}

void percpu_init_boot_cpu(void)
{
    memcpy(percpu_cpu0_start, percpu_template_start, percpu_size());
    percpu_offset[0] = (unsigned long)percpu_cpu0_start - (unsigned long)percpu_template_start;
    get_cpu_info()->percpu_offset = percpu_offset[0];
    this_cpu(stack_base) = (unsigned long)cpu0_stack;
    cpumask_set(&cpu_online_map, 0);
}

/* CPUID's: the local APIC may not be mapped yet. */
static uint32_t own_apicid(void)
{
    uint32_t r[4];

    if (cpu_features.x2apic && cpu_features.max_leaf >= 11) {
        cpuid(11, 0, r);
        if (r[1] & 0xffff)
            return r[3];
    }
    cpuid(1, 0, r);
    return r[1] >> 24;
}

/* Per-CPU data and stack; false: no memory. */
static bool prepare_cpu(unsigned int cpu, const struct acpi_cpu *c)
{
    unsigned int order = get_order_bytes(percpu_size());
    char *data = alloc_hv_mem(order), *stack = alloc_hv_mem(STACK_ORDER);
    struct cpu_info *info;

    if (!data || !stack) {
        if (data)
            free_hv_mem(data, order);
        if (stack)
            free_hv_mem(stack, STACK_ORDER);
        return false;
    }
    memcpy(data, percpu_template_start, percpu_size());
    memset(stack, 0, STACK_SIZE);
    percpu_offset[cpu] = (unsigned long)data - (unsigned long)percpu_template_start;
    per_cpu(stack_base, cpu) = (unsigned long)stack;
    per_cpu(apicid, cpu) = c->apicid;
    per_cpu(acpi_id, cpu) = c->acpi_id;
    info = stack_cpu_info((unsigned long)stack);
    info->percpu_offset = percpu_offset[cpu];
    info->cpu = cpu;
    unmap_pages((unsigned long)stack + STACK_GUARD, 1);
    return true;
}

void smp_prepare(void)
{
    uint32_t own = own_apicid();
    unsigned int i, limit = opt_nosmp ? 1 : MIN(MAX(opt_maxcpus, 1u), (unsigned int)NR_CPUS), left_out = 0;

    this_cpu(apicid) = own;
    for (i = 0; i < acpi_info.cpu_count; i++) {
        const struct acpi_cpu *c = &acpi_info.cpu[i];

        if (c->apicid == own)
            this_cpu(acpi_id) = c->acpi_id;
        if (!c->enabled || c->apicid == own)
            continue;
        if (nr_cpus >= limit) {
            left_out++;
            continue;
        }
        if (!prepare_cpu(nr_cpus, c)) {
            printk(XLOG_ERR "no memory for CPU %u and those behind it\n", nr_cpus);
            break;
        }
        nr_cpus++;
    }
    if (left_out)
        printk(XLOG_WARNING "%u CPUs are not used: the limit is %u\n", left_out, limit);
}

static void wait_until(s_time_t deadline, bool (*done)(unsigned int cpu), unsigned int cpu)
{
    while (system_time() < deadline && !(done && done(cpu)))
        cpu_relax();
}

static bool is_alive(unsigned int cpu)
{
    return __atomic_load_n(&ap_state, __ATOMIC_SEQ_CST) == AP_ALIVE;
}

static bool is_online(unsigned int cpu)
{
    return cpumask_test(&cpu_online_map, cpu);
}

/* Leaves AP_STARTED for the given state; false: the other side was first. */
static bool ap_decide(enum ap_state to)
{
    enum ap_state from = AP_STARTED;

    return __atomic_compare_exchange_n(&ap_state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* First C code of a CPU, on its own stack and on the page tables that also map the trampoline. */
static void __attribute__((noreturn)) ap_main(void)
{
    unsigned int cpu = smp_processor_id();

    switch_cr3(maddr_x(virt_to_maddr(idle_l4)));
    desc_init_cpu(cpu);
    if (!ap_decide(AP_ALIVE))
        for (;;)
            __asm__ __volatile__("cli; hlt");
    cpu_init();
    apic_init_ap();
    time_init_ap();
    sched_init_cpu(cpu);
    hvm_cpu_init();
    cpumask_set(&cpu_online_map, cpu);
    idle_loop();
}

static void start_cpu(unsigned int cpu, uint64_t page)
{
    char *code = maddr_to_virt(_maddr(page));
    struct trampoline_args *args = (struct trampoline_args *)(code + (trampoline_args - trampoline_start));
    uint32_t apic = per_cpu(apicid, cpu);

    memcpy(code, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    args->cr3 = maddr_x(virt_to_maddr(boot_l4_virt));
    args->rsp = (unsigned long)stack_cpu_info(per_cpu(stack_base, cpu)) & ~15ul;
    args->entry = (unsigned long)ap_main;
    __atomic_store_n(&ap_state, AP_STARTED, __ATOMIC_SEQ_CST);

    apic_send_init(apic);
    wait_until(system_time() + MILLISECS(10), NULL, cpu);
    apic_send_startup(apic, (uint8_t)(page >> PAGE_SHIFT));
    wait_until(system_time() + MILLISECS(1), is_alive, cpu);
    if (!is_alive(cpu))
        apic_send_startup(apic, (uint8_t)(page >> PAGE_SHIFT));
    wait_until(system_time() + ALIVE_TIMEOUT, is_alive, cpu);
    if (ap_decide(AP_GIVEN_UP)) {
        apic_send_init(apic);
        printk(XLOG_ERR "CPU %u (APIC id %u) does not start; it is left out\n", cpu, apic);
        return;
    }
    wait_until(system_time() + ONLINE_TIMEOUT, is_online, cpu);
    if (!is_online(cpu))
        panic("CPU %u (APIC id %u) started but did not come online\n", cpu, apic);
}

void smp_boot(void)
{
    uint64_t page = memmap_trampoline();
    unsigned int cpu, slot;

    /* The tables of head.S keep their identity mapping, and get the rest from the final ones. */
    for (slot = HYPERVISOR_L4_FIRST; slot <= HYPERVISOR_L4_LAST; slot++)
        boot_l4_virt[slot] = idle_l4[slot];
    for (cpu = 1; cpu < nr_cpus; cpu++)
        start_cpu(cpu, page);
    boot_l4_virt[0] = _pte(0);
    printk(XLOG_INFO "Brought up %u CPUs\n", cpumask_weight(cpu_online_map));
}
