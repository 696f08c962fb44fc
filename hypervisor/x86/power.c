/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Restart, power-off, halt. Restart tries the ACPI reset register, UEFI firmware, the chipset's reset port, the
 * keyboard controller and at last a triple fault. Power-off writes the sleep type of S5, as the control domain's ACPI
 * interpreter gave it or as found in the DSDT, and asks UEFI firmware if that was of no use.
 *
 * May run in a panic: takes no lock, allocates nothing unless the reset register lies in memory.
 */
#include <hv/boot.h>
#include <hv/console.h>
#include <hv/efi.h>
#include <hv/irq.h>
#include <hv/pci.h>
#include <hv/x86.h>

#define SLP_TYP(t)  ((uint16_t)(((t)&7u) << 10))
#define SLP_TYPS    SLP_TYP(7)
#define SLP_EN      (1u << 13)
#define SCI_EN      1u
#define KBD_STATUS  0x64
#define KBD_RESET   0xfe
#define RESET_PORT  0xcf9
#define WAIT_CYCLES 100000000ull

static void wait_a_little(void)
{
    uint64_t start = rdtsc();

    while (rdtsc() - start < WAIT_CYCLES)
        cpu_relax();
}

static void stop_machine(void)
{
    irq_disable();
    apic_disable_on_crash();
    WRITE_ONCE(panicking, true);
    apic_send_nmi_others();
}

static void reset_by_acpi(void)
{
    volatile uint8_t *p;

    if (!acpi_info.has_reset_reg)
        return;
    switch (acpi_info.reset_space) {
    case 0:
        p = ioremap(_maddr(acpi_info.reset_address), 1);
        if (p)
            *p = acpi_info.reset_value;
        break;
    case 1:
        if (acpi_info.reset_address <= 0xffff)
            outb((uint16_t)acpi_info.reset_address, acpi_info.reset_value);
        break;
    case 2:
        /* Device in bits 32-39, function in 16-23, register in 0-15; bus 0. */
        pci_conf_write((struct pci_addr){0, 0,
                                         (uint8_t)(((acpi_info.reset_address >> 32) & 0x1f) << 3 |
                                                   ((acpi_info.reset_address >> 16) & 7))},
                       (uint16_t)acpi_info.reset_address & 0xff, 1, acpi_info.reset_value);
        break;
    }
    wait_a_little();
}

static void reset_by_ports(void)
{
    outb(RESET_PORT, 0x02);
    outb(RESET_PORT, 0x06);
    wait_a_little();
    for (unsigned int i = 0; i < 100000 && (inb(KBD_STATUS) & 2); i++)
        cpu_relax();
    outb(KBD_STATUS, KBD_RESET);
    wait_a_little();
}

void machine_restart(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};

    stop_machine();
    console_keep();
    reset_by_acpi();
    efi_reset(false);
    reset_by_ports();
    __asm__ __volatile__("lidt %0; int3" ::"m"(no_idt));
    machine_halt();
}

void machine_halt(void)
{
    irq_disable();
    for (;;)
        __asm__ __volatile__("hlt");
}

static void write_sleep(uint16_t port, uint16_t value)
{
    uint16_t keep;

    if (!port)
        return;
    keep = inw(port) & (uint16_t) ~(SLP_TYPS | SLP_EN);
    outw(port, (uint16_t)(keep | (value & SLP_TYPS)));
    outw(port, (uint16_t)(keep | (value & SLP_TYPS) | SLP_EN));
}

static void enter_s5(void)
{
    /* Without SCI_EN the machine is not in ACPI mode yet and ignores the sleep type. */
    if (acpi_info.smi_cmd && acpi_info.acpi_enable && !(inw(acpi_info.pm1a_cnt) & SCI_EN)) {
        outb(acpi_info.smi_cmd, acpi_info.acpi_enable);
        wait_a_little();
    }
    write_sleep(acpi_info.pm1a_cnt, SLP_TYP(acpi_info.s5_typa));
    write_sleep(acpi_info.pm1b_cnt, SLP_TYP(acpi_info.s5_typb));
    wait_a_little();
}

void machine_power_off(void)
{
    stop_machine();
    if (acpi_info.has_s5 && acpi_info.pm1a_cnt)
        enter_s5();
    efi_reset(true);
    printk("Power-off is not possible, halting. It is safe to switch the machine off.\n");
    machine_halt();
}
