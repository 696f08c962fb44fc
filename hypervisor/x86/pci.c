/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space through ports 0xcf8 and 0xcfc: segment 0, the first 256 bytes of each function, which is
 * where the capabilities for message-signalled interrupts are. The control domain reaches extended space by the
 * memory-mapped window that ACPI names.
 */
#include <hv/boot.h>
#include <hv/pci.h>
#include <hv/spinlock.h>
#include <hv/x86.h>

#define CONF_ADDRESS 0xcf8
#define CONF_DATA    0xcfc
#define CONF_ENABLE  (1u << 31)
#define PCI_STATUS   0x06
#define PCI_CAP_PTR  0x34
#define STATUS_CAPS  0x10
#define MAX_CAPS     48u

static spinlock_t conf_lock = SPINLOCK_INIT(RANK_LEAF);

void pci_init(void)
{
    if (acpi_info.mcfg_address)
        printk(XLOG_INFO "PCI: memory-mapped configuration at %#lx, buses %u-%u\n", acpi_info.mcfg_address,
               acpi_info.mcfg_bus_first, acpi_info.mcfg_bus_last);
}

static uint32_t data_read(uint32_t address, unsigned int offset, unsigned int width)
{
    unsigned long flags = spin_lock_irqsave(&conf_lock);
    uint16_t port = (uint16_t)(CONF_DATA + offset);
    uint32_t v;

    outl(CONF_ADDRESS, address);
    v = width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port);
    spin_unlock_irqrestore(&conf_lock, flags);
    return v;
}

static void data_write(uint32_t address, unsigned int offset, unsigned int width, uint32_t v)
{
    unsigned long flags = spin_lock_irqsave(&conf_lock);
    uint16_t port = (uint16_t)(CONF_DATA + offset);

    outl(CONF_ADDRESS, address);
    if (width == 1)
        outb(port, (uint8_t)v);
    else if (width == 2)
        outw(port, (uint16_t)v);
    else
        outl(port, v);
    spin_unlock_irqrestore(&conf_lock, flags);
}

static uint32_t conf_address(struct pci_addr a, unsigned int reg)
{
    return CONF_ENABLE | (uint32_t)a.bus << 16 | (uint32_t)a.devfn << 8 | (reg & 0xfc);
}

uint32_t pci_conf_read(struct pci_addr a, unsigned int reg, unsigned int width)
{
    if (a.seg != 0 || reg + width > 256)
        return 0xffffffffu >> (32 - 8 * width);
    return data_read(conf_address(a, reg), reg & 3, width);
}

void pci_conf_write(struct pci_addr a, unsigned int reg, unsigned int width, uint32_t value)
{
    if (a.seg == 0 && reg + width <= 256)
        data_write(conf_address(a, reg), reg & 3, width, value);
}

bool pci_device_present(struct pci_addr a)
{
    return pci_conf_read(a, 0, 2) != 0xffff;
}

unsigned int pci_find_cap(struct pci_addr a, uint8_t id)
{
    unsigned int pos;

    if (!pci_device_present(a) || !(pci_conf_read(a, PCI_STATUS, 2) & STATUS_CAPS))
        return 0;
    pos = pci_conf_read(a, PCI_CAP_PTR, 1) & 0xfc;
    /* A device may lie: no more steps than there is room for capabilities. */
    for (unsigned int i = 0; i < MAX_CAPS && pos >= 0x40; i++) {
        if (pci_conf_read(a, pos, 1) == id)
            return pos;
        pos = pci_conf_read(a, pos + 1, 1) & 0xfc;
    }
    return 0;
}

/* ---- for the control domain: the address is what it wrote to 0xcf8 ---- */

uint32_t pci_port_read(uint32_t address, unsigned int offset, unsigned int width)
{
    return data_read(address, offset, width);
}

void pci_port_write(uint32_t address, unsigned int offset, unsigned int width, uint32_t value)
{
    data_write(address, offset, width, value);
}
