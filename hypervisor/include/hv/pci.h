/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space and message-signalled interrupts. The hypervisor owns no device; it reads configuration space
 * to program MSI and MSI-X on behalf of the control domain, which enumerates and drives the devices.
 */
#ifndef HV_PCI_H
#define HV_PCI_H

#include <hv/lib.h>

struct domain;
struct irq_desc;

struct pci_addr {
    uint16_t seg;
    uint8_t bus, devfn;
};

/* width is 1, 2 or 4 and reg is aligned to it; all ones for what does not exist. Any context. */
uint32_t pci_conf_read(struct pci_addr a, unsigned int reg, unsigned int width);
void pci_conf_write(struct pci_addr a, unsigned int reg, unsigned int width, uint32_t value);
/* Reports the memory-mapped configuration space, if there is one. */
void pci_init(void);
bool pci_device_present(struct pci_addr a);
/* Offset of a capability, 0: none. */
unsigned int pci_find_cap(struct pci_addr a, uint8_t id);

/*
 * Access of the control domain to 0xcfc + offset with its own value for 0xcf8: both in one step, so that nobody else's
 * access comes between. offset + width <= 4.
 */
uint32_t pci_port_read(uint32_t address, unsigned int offset, unsigned int width);
void pci_port_write(uint32_t address, unsigned int offset, unsigned int width, uint32_t value);

/*
 * msi.c. A message belongs to a run of irq_desc of consecutive numbers (one, or several for multi-message MSI); the
 * device is programmed masked and unmasked by the binding to an event channel.
 */
struct msi_desc {
    struct pci_addr addr;
    uint8_t cap;        /* offset of the capability */
    bool is_msix;       /* table entry; else the capability itself */
    bool is64, maskbit; /* MSI: layout of the capability */
    uint16_t entry;     /* MSI-X: index in the table; MSI: index of the message */
    uint16_t count;     /* MSI: messages of the device, a power of two */
    void *table;        /* MSI-X: mapping of the page that holds the entry */
    volatile uint32_t *slot;
};

/* Allocates messages for the device; *first is the number of the first interrupt. 0 or -errno with nothing changed. */
int msi_setup(struct pci_addr a, unsigned int nvec, int *first);
int msix_setup(struct pci_addr a, unsigned int entry, int *first);
/* Masks the message of irq and forgets it. It has no handler and no guest any more. */
void msi_teardown(unsigned int irq);
/* Is irq a message of that device? */
bool msi_is_of(unsigned int irq, struct pci_addr a);
/* Writes address and data for the current target CPU, or the mask bit; the descriptor's lock is held. */
void msi_write_message(struct irq_desc *desc);
void msi_set_mask(struct irq_desc *desc, bool masked);
/* Programs all messages of a device again after a reset or a sleep. */
int msi_restore(struct pci_addr a);

#endif
