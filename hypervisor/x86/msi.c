/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Message-signalled interrupts. The control domain finds the device and asks for messages (PHYSDEVOP_map_pirq); the
 * hypervisor writes address and data into the device's capability or MSI-X table, so that no guest chooses a vector.
 *
 * Flow: physdev_op -> msi_setup / msix_setup (masked) -> pirq_map; bind -> msi_write_message, unmask; unmap ->
 * msi_teardown. msi_lock (RANK_PIRQ) guards allocation; the fields of a descriptor are under its own lock.
 */
#include <hv/frame.h>
#include <hv/heap.h>
#include <hv/irq_desc.h>
#include <hv/x86.h>

#define CAP_MSI         0x05
#define CAP_MSIX        0x11
#define MSI_ENABLE      0x0001u
#define MSI_QUEUE_MASK  0x0070u
#define MSI_64BIT       0x0080u
#define MSI_MASKBIT     0x0100u
#define MSIX_SIZE_MASK  0x07ffu
#define MSIX_ENTRY_SIZE 16u
#define MSIX_MASKED     1u
#define PCI_COMMAND     0x04
#define COMMAND_MEMORY  0x02
#define PCI_BAR0        0x10
#define MSI_ADDRESS     0xfee00000u

static spinlock_t msi_lock = SPINLOCK_INIT(RANK_PIRQ);

static bool same_device(struct pci_addr a, struct pci_addr b)
{
    return a.seg == b.seg && a.bus == b.bus && a.devfn == b.devfn;
}

/* ---- hardware; lock of the descriptor held, or nobody else knows it ---- */

static unsigned int msi_data_reg(const struct msi_desc *m)
{
    return m->cap + (m->is64 ? 12u : 8u);
}

static unsigned int msi_mask_reg(const struct msi_desc *m)
{
    return m->cap + (m->is64 ? 16u : 12u);
}

void msi_write_message(struct irq_desc *desc)
{
    struct msi_desc *m = desc->msi;
    uint32_t address = MSI_ADDRESS | (per_cpu(apicid, desc->cpu) & 0xff) << 12;

    if (m->is_msix) {
        /* A message must not be sent from a half-written entry. */
        m->slot[3] |= MSIX_MASKED;
        m->slot[0] = address;
        m->slot[1] = 0;
        m->slot[2] = desc->vector;
        if (!desc->masked)
            m->slot[3] &= ~MSIX_MASKED;
        return;
    }
    pci_conf_write(m->addr, m->cap + 4u, 4, address);
    if (m->is64)
        pci_conf_write(m->addr, m->cap + 8u, 4, 0);
    pci_conf_write(m->addr, msi_data_reg(m), 2, (uint32_t)(desc->vector - m->entry));
}

/* The device raises messages from now on; how many it may tell apart by the low bits of the data. */
static void msi_enable(const struct msi_desc *m)
{
    uint32_t control = pci_conf_read(m->addr, m->cap + 2u, 2) & ~MSI_QUEUE_MASK;

    pci_conf_write(m->addr, m->cap + 2u, 2, control | MSI_ENABLE | fls_u64(m->count) << 4);
}

static void msi_disable(const struct msi_desc *m)
{
    uint32_t control = pci_conf_read(m->addr, m->cap + 2u, 2);

    pci_conf_write(m->addr, m->cap + 2u, 2, control & ~(MSI_ENABLE | MSI_QUEUE_MASK));
}

/* A device without mask bits cannot be masked: its message is then acknowledged and dropped. */
void msi_set_mask(struct irq_desc *desc, bool masked)
{
    struct msi_desc *m = desc->msi;
    uint32_t bits;

    if (m->is_msix) {
        m->slot[3] = (m->slot[3] & ~MSIX_MASKED) | (masked ? MSIX_MASKED : 0);
        return;
    }
    if (m->maskbit) {
        bits = pci_conf_read(m->addr, msi_mask_reg(m), 4) & ~(1u << m->entry);
        pci_conf_write(m->addr, msi_mask_reg(m), 4, bits | (masked ? 1u << m->entry : 0));
    }
    if (!masked)
        msi_enable(m);
}

/* ---- set-up ---- */

static bool has_message(struct pci_addr a, bool msix, unsigned int entry)
{
    for (unsigned int irq = nr_irqs_gsi; irq < nr_irqs; irq++) {
        const struct msi_desc *m = irq_to_desc(irq)->msi;

        /* MSI and MSI-X exclude each other on a device. */
        if (m && same_device(m->addr, a) && (!msix || !m->is_msix || m->entry == entry))
            return true;
    }
    return false;
}

/* ACQUIRE: numbers, vectors and records for count messages; *first is set. msi_lock held. */
static int acquire(unsigned int count, struct msi_desc **records, int *first)
{
    int rc = irq_alloc_msi(count);

    if (rc < 0)
        return rc;
    *first = rc;
    *records = hv_new_array(struct msi_desc, count);
    rc = *records ? irq_assign_vectors((unsigned int)*first, count) : -ENOMEM;
    if (rc) {
        hv_free(*records);
        irq_free_msi((unsigned int)*first, count);
    }
    return rc;
}

/* COMMIT: the descriptors get their records and the device the (masked) message. */
static void install(unsigned int first, struct msi_desc *records, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        struct irq_desc *desc = irq_to_desc(first + i);
        unsigned long flags = spin_lock_irqsave(&desc->lock);

        desc->msi = &records[i];
        desc->cpu = 0;
        desc->masked = true;
        if (i == 0 || records[i].is_msix)
            msi_write_message(desc);
        if (records[i].is_msix || records[i].maskbit)
            msi_set_mask(desc, true);
        spin_unlock_irqrestore(&desc->lock, flags);
    }
}

int msi_setup(struct pci_addr a, unsigned int nvec, int *first)
{
    unsigned int cap = pci_find_cap(a, CAP_MSI), count;
    struct msi_desc *records;
    uint32_t control;
    int rc;

    if (!cap)
        return -ENODEV;
    control = pci_conf_read(a, cap + 2, 2);
    if (nvec == 0 || nvec > 1u << MIN((control >> 1) & 7, 5u))
        return -EINVAL;
    count = nvec == 1 ? 1 : 1u << (fls_u64(nvec - 1) + 1);
    spin_lock(&msi_lock);
    rc = has_message(a, false, 0) ? -EEXIST : acquire(count, &records, first);
    if (!rc) {
        for (unsigned int i = 0; i < count; i++)
            records[i] = (struct msi_desc){.addr = a,
                                           .cap = (uint8_t)cap,
                                           .is64 = control & MSI_64BIT,
                                           .maskbit = control & MSI_MASKBIT,
                                           .entry = (uint16_t)i,
                                           .count = (uint16_t)count};
        install((unsigned int)*first, records, count);
    }
    spin_unlock(&msi_lock);
    return rc;
}

/* Machine address of the table's entry by the device's base address register; 0: not there. */
static uint64_t msix_entry_address(struct pci_addr a, unsigned int cap, unsigned int entry)
{
    uint32_t table = pci_conf_read(a, cap + 4, 4);
    unsigned int bar = table & 7;
    uint32_t low;
    uint64_t base;

    if (bar > 5 || !(pci_conf_read(a, PCI_COMMAND, 2) & COMMAND_MEMORY))
        return 0;
    low = pci_conf_read(a, PCI_BAR0 + 4 * bar, 4);
    base = low & ~15u;
    if (low & 1)
        return 0;
    if ((low & 6) == 4 && bar < 5)
        base |= (uint64_t)pci_conf_read(a, PCI_BAR0 + 4 * bar + 4, 4) << 32;
    return base ? base + (table & ~7u) + (uint64_t)entry * MSIX_ENTRY_SIZE : 0;
}

int msix_setup(struct pci_addr a, unsigned int entry, int *first)
{
    unsigned int cap = pci_find_cap(a, CAP_MSIX);
    struct msi_desc *record;
    uint64_t where;
    void *map;
    int rc;

    if (!cap)
        return -ENODEV;
    if (entry > (pci_conf_read(a, cap + 2, 2) & MSIX_SIZE_MASK))
        return -EINVAL;
    where = msix_entry_address(a, cap, entry);
    if (!where || mfn_valid(maddr_to_mfn(_maddr(where))) || where >> MIN(cpu_features.phys_bits, 52u))
        return -ENXIO;
    map = ioremap(_maddr(where), MSIX_ENTRY_SIZE);
    if (!map)
        return -ENOMEM;
    spin_lock(&msi_lock);
    rc = has_message(a, true, entry) ? -EEXIST : acquire(1, &record, first);
    if (!rc) {
        *record = (struct msi_desc){.addr = a,
                                    .cap = (uint8_t)cap,
                                    .is_msix = true,
                                    .entry = (uint16_t)entry,
                                    .count = 1,
                                    .table = map,
                                    .slot = map};
        install((unsigned int)*first, record, 1);
    }
    spin_unlock(&msi_lock);
    if (rc)
        iounmap(map);
    return rc;
}

void msi_teardown(unsigned int irq)
{
    struct msi_desc *records = irq_to_desc(irq)->msi;
    unsigned int count = records->is_msix ? 1 : records->count;
    void *map = records->table;

    spin_lock(&msi_lock);
    for (unsigned int i = irq; i < irq + count; i++) {
        struct irq_desc *desc = irq_to_desc(i);
        unsigned long flags = spin_lock_irqsave(&desc->lock);

        if (records->is_msix || records->maskbit)
            msi_set_mask(desc, true);
        desc->masked = true;
        desc->msi = NULL;
        spin_unlock_irqrestore(&desc->lock, flags);
    }
    if (!records->is_msix)
        msi_disable(records);
    irq_release_vectors(irq, count);
    irq_free_msi(irq, count);
    spin_unlock(&msi_lock);
    if (map)
        iounmap(map);
    hv_free(records);
}

bool msi_is_of(unsigned int irq, struct pci_addr a)
{
    bool yes;

    spin_lock(&msi_lock);
    yes = irq_to_desc(irq)->msi && same_device(irq_to_desc(irq)->msi->addr, a);
    spin_unlock(&msi_lock);
    return yes;
}

int msi_restore(struct pci_addr a)
{
    int rc = -ENODEV;

    spin_lock(&msi_lock);
    for (unsigned int irq = nr_irqs_gsi; irq < nr_irqs; irq++) {
        struct irq_desc *desc = irq_to_desc(irq);
        unsigned long flags = spin_lock_irqsave(&desc->lock);

        if (desc->msi && same_device(desc->msi->addr, a)) {
            msi_write_message(desc);
            msi_set_mask(desc, desc->masked);
            rc = 0;
        }
        spin_unlock_irqrestore(&desc->lock, flags);
    }
    spin_unlock(&msi_lock);
    return rc;
}
