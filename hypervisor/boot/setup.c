/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot as a list. head.S calls hv_main() with 64-bit paging on, interrupts off, on CPU 0's stack; it ends in the
 * idle loop, from which the scheduler picks the control domain. docs/life-of-a-boot.md tells the same at length.
 *
 * The order is that of what each step needs: per-CPU data before the first lock, descriptor tables before the page
 * tables of head.S (and with them its GDT) go away, the heap before anything that allocates.
 */
#include <hv/boot.h>
#include <hv/console.h>
#include <hv/efi.h>
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <hv/timer.h>
#include <hv/x86.h>

void hv_main(uint32_t magic, uint32_t info);

static const char *region_name(uint32_t type)
{
    static const char *const names[] = {"", "usable", "reserved", "ACPI data", "ACPI NVS", "unusable"};

    return type < ARRAY_SIZE(names) ? names[type] : names[2];
}

static void show_boot_info(void)
{
    unsigned int i;

    printk("Umbra version %s (XEN 4.17 ABI)%s\n", UMBRA_VERSION, DEBUG ? " debug=y" : "");
    printk("Bootloader: %s\n", boot_info.loader);
    printk("Command line: %s\n", boot_info.cmdline);
    cmdline_report();
    printk(XLOG_INFO "Machine's memory map:\n");
    for (i = 0; i < boot_info.region_count; i++) {
        const struct mem_region *r = &boot_info.region[i];

        printk(XLOG_INFO " [%016lx, %016lx] (%s)\n", r->start, r->start + r->size - 1, region_name(r->type));
    }
    for (i = 0; i < boot_info.module_count; i++) {
        const struct boot_module *m = &boot_info.module[i];

        printk(XLOG_INFO "Module %u: [%lx, %lx] %s\n", i, m->start, m->start + m->size - 1, m->cmdline);
    }
}

void hv_main(uint32_t magic, uint32_t info)
{
    percpu_init_boot_cpu();
    multiboot2_parse(magic, info);
    cmdline_parse(boot_info.cmdline);
    console_init_early();
    show_boot_info();

    desc_init_cpu(0);
    cpu_identify();
    spin_locks_init(cpu_features.virtualised);
    memmap_init();
    console_init_kept();
    map_init_early();
    cpu_init();
    console_init_vga();

    efi_init();
    acpi_init();
    smp_prepare();
    irq_init();
    apic_init_bsp();
    ioapic_init();
    time_init();

    stretch_init();
    timer_boot_init();
    sched_init();
    domain_boot_init();
    sched_init_cpu(0);
    hvm_cpu_init();
    irq_enable();
    smp_boot();

    console_init_irq();
    build_control_domain();
    console_endboot();
    domain_unpause(control_domain);
    idle_loop();
}
