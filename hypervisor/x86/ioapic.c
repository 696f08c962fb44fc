/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IO-APICs: the inputs by global system interrupt (GSI) number, their trigger and polarity, masking and routing.
 *
 * The trigger and polarity come from the MADT for ISA interrupts and from the control domain (PHYSDEVOP_setup_gsi) for
 * all others. The control domain may read the registers as they are; of what it writes, trigger and polarity are taken,
 * nothing else: vectors, masks and destinations are the hypervisor's.
 */
#include <hv/boot.h>
#include <hv/irq_desc.h>
#include <hv/x86.h>

#define IOAPIC_ID       0
#define IOAPIC_VERSION  1
#define IOAPIC_REDIR(n) (0x10u + 2 * (n))
#define RTE_ACTIVE_LOW  (1u << 13)
#define RTE_LEVEL       (1u << 15)
#define RTE_MASKED      (1u << 16)
#define IOAPIC_WINDOW   0x20
#define MAX_PINS        240u

static struct ioapic {
    volatile uint32_t *regs; /* [0] select, [4] data */
    uint64_t base;
    unsigned int gsi_base, pins;
} ioapics[8];
static unsigned int ioapic_count;

/* Select and data are two accesses. */
static spinlock_t ioapic_lock = SPINLOCK_INIT(RANK_LEAF);

static uint32_t ioapic_read(const struct ioapic *a, unsigned int reg)
{
    unsigned long flags = spin_lock_irqsave(&ioapic_lock);
    uint32_t v;

    a->regs[0] = reg;
    v = a->regs[4];
    spin_unlock_irqrestore(&ioapic_lock, flags);
    return v;
}

static void ioapic_write(const struct ioapic *a, unsigned int reg, uint32_t v)
{
    unsigned long flags = spin_lock_irqsave(&ioapic_lock);

    a->regs[0] = reg;
    a->regs[4] = v;
    spin_unlock_irqrestore(&ioapic_lock, flags);
}

static const struct ioapic *ioapic_of(unsigned int gsi, unsigned int *pin)
{
    for (unsigned int i = 0; i < ioapic_count; i++) {
        if (gsi < ioapics[i].gsi_base || gsi - ioapics[i].gsi_base >= ioapics[i].pins)
            continue;
        *pin = gsi - ioapics[i].gsi_base;
        return &ioapics[i];
    }
    return NULL;
}

bool ioapic_gsi_exists(unsigned int gsi)
{
    unsigned int pin;

    return ioapic_of(gsi, &pin) != NULL;
}

/* Routes the input by its descriptor, trigger and polarity unchanged. Masked while the halves do not match. */
void ioapic_program(const struct irq_desc *desc)
{
    unsigned int pin;
    const struct ioapic *a = ioapic_of(desc->irq, &pin);
    uint32_t low;

    if (!a)
        return;
    low = ioapic_read(a, IOAPIC_REDIR(pin)) & (RTE_ACTIVE_LOW | RTE_LEVEL);
    ioapic_write(a, IOAPIC_REDIR(pin), low | RTE_MASKED | desc->vector);
    ioapic_write(a, IOAPIC_REDIR(pin) + 1, per_cpu(apicid, desc->cpu) << 24);
    ioapic_write(a, IOAPIC_REDIR(pin), low | desc->vector | (desc->masked ? RTE_MASKED : 0));
}

void ioapic_set_mask(unsigned int gsi, bool masked)
{
    unsigned int pin;
    const struct ioapic *a = ioapic_of(gsi, &pin);
    uint32_t low;

    if (!a)
        return;
    low = ioapic_read(a, IOAPIC_REDIR(pin)) & ~RTE_MASKED;
    ioapic_write(a, IOAPIC_REDIR(pin), low | (masked ? RTE_MASKED : 0));
    /* The read makes sure that the mask has reached the IO-APIC before the end of interrupt is sent. */
    ioapic_read(a, IOAPIC_REDIR(pin));
}

/* ---- trigger and polarity ---- */

/* Lock of desc held; the input is masked. */
static void set_trigger(struct irq_desc *desc, const struct ioapic *a, unsigned int pin, bool level, bool active_low)
{
    uint32_t low = ioapic_read(a, IOAPIC_REDIR(pin)) & ~(RTE_LEVEL | RTE_ACTIVE_LOW);

    desc->kind = level ? IRQ_LEVEL : IRQ_EDGE;
    ioapic_write(a, IOAPIC_REDIR(pin), low | (level ? RTE_LEVEL : 0) | (active_low ? RTE_ACTIVE_LOW : 0));
}

int ioapic_setup_gsi(unsigned int gsi, bool level, bool active_low)
{
    struct irq_desc *desc;
    const struct ioapic *a;
    unsigned int pin;
    unsigned long flags;
    int rc = 0;

    a = ioapic_of(gsi, &pin);
    if (!a)
        return -EINVAL;
    desc = irq_to_desc(gsi);
    flags = spin_lock_irqsave(&desc->lock);
    if (desc->fn || desc->nr_guests)
        rc = -EEXIST;
    else
        set_trigger(desc, a, pin, level, active_low);
    spin_unlock_irqrestore(&desc->lock, flags);
    return rc;
}

/* ---- registers for the control domain ---- */

static const struct ioapic *ioapic_at(uint64_t base)
{
    for (unsigned int i = 0; i < ioapic_count; i++)
        if (ioapics[i].base == base)
            return &ioapics[i];
    return NULL;
}

int ioapic_guest_read(uint64_t base, unsigned int reg, uint32_t *value)
{
    const struct ioapic *a = ioapic_at(base);

    if (!a || reg > 0xff)
        return -EINVAL;
    *value = ioapic_read(a, reg);
    return 0;
}

int ioapic_guest_write(uint64_t base, unsigned int reg, uint32_t value)
{
    const struct ioapic *a = ioapic_at(base);
    unsigned int pin = (reg - 0x10) / 2;

    if (!a || reg < 0x10 || pin >= a->pins)
        return -EINVAL;
    /* A masked entry is a guest's way of saying nothing about it; the high half is the destination. */
    if ((reg & 1) || (value & RTE_MASKED))
        return 0;
    ioapic_setup_gsi(a->gsi_base + pin, value & RTE_LEVEL, value & RTE_ACTIVE_LOW);
    return 0;
}

/* ---- boot ---- */

static void ioapic_add(const struct acpi_ioapic *from)
{
    struct ioapic *a = &ioapics[ioapic_count];
    uint32_t version;

    a->regs = ioremap(_maddr(from->address), IOAPIC_WINDOW);
    if (!a->regs)
        return;
    a->base = from->address;
    a->gsi_base = from->gsi_base;
    version = ioapic_read(a, IOAPIC_VERSION);
    a->pins = ((version >> 16) & 0xff) + 1;
    if (version == 0xffffffffu || a->pins > MAX_PINS || a->gsi_base > 1024) {
        printk(XLOG_WARNING "IO-APIC at %#lx does not answer, ignored\n", a->base);
        iounmap((void *)(uintptr_t)a->regs);
        return;
    }
    for (unsigned int pin = 0; pin < a->pins; pin++) {
        ioapic_write(a, IOAPIC_REDIR(pin), RTE_MASKED);
        ioapic_write(a, IOAPIC_REDIR(pin) + 1, 0);
    }
    printk(XLOG_INFO "IO-APIC %u at %#lx: GSI %u-%u\n", from->id, a->base, a->gsi_base, a->gsi_base + a->pins - 1);
    nr_irqs_gsi = MAX(nr_irqs_gsi, a->gsi_base + a->pins);
    ioapic_count++;
}

/* Overrides: bits 0-1 polarity (3: low), bits 2-3 trigger (3: level); 0 is the ISA bus's edge, active high. */
static void apply_override(const struct acpi_override *o)
{
    if (ioapic_gsi_exists(o->gsi))
        ioapic_setup_gsi(o->gsi, ((o->flags >> 2) & 3) == 3, (o->flags & 3) == 3);
}

void ioapic_init(void)
{
    for (unsigned int i = 0; i < acpi_info.ioapic_count; i++)
        ioapic_add(&acpi_info.ioapic[i]);
    if (ioapic_count == 0)
        panic("No IO-APIC answers");
    irq_alloc_descs(nr_irqs_gsi);
    for (unsigned int gsi = 0; gsi < nr_irqs_gsi; gsi++)
        if (ioapic_gsi_exists(gsi))
            ioapic_setup_gsi(gsi, gsi >= 16, gsi >= 16);
    for (unsigned int i = 0; i < acpi_info.override_count; i++)
        apply_override(&acpi_info.override[i]);
    pci_init();
}
