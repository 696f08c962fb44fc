/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt descriptors: shared by irq.c (vectors and dispatch), pirq.c (guests), ioapic.c and msi.c (hardware). Nobody
 * else includes this file.
 *
 * A vector is the same on all CPUs and belongs to one descriptor, so that an interrupt which arrives on the old CPU
 * after a change of affinity is still understood.
 */
#ifndef HV_IRQ_DESC_H
#define HV_IRQ_DESC_H

#include <hv/irq.h>
#include <hv/pci.h>

enum irq_kind { IRQ_UNUSED, IRQ_EDGE, IRQ_LEVEL, IRQ_MSI };

#define IRQ_MAX_GUESTS 7 /* domains that may share one level interrupt */

struct irq_guest {
    struct domain *d;
    uint16_t pirq;
    bool awaits_eoi; /* level: delivered, the guest has not finished */
};

struct irq_desc {
    spinlock_t lock; /* RANK_IRQ_DESC, irqsave; all below but delivering */
    uint16_t irq;
    uint8_t vector; /* 0: none yet */
    enum irq_kind kind;
    unsigned int cpu;   /* target */
    bool masked;        /* at the IO-APIC or in the device */
    void (*fn)(void *); /* the hypervisor's own handler */
    void *data;
    struct msi_desc *msi;
    bool shareable;
    uint8_t nr_guests;
    uint8_t in_flight; /* guests that have to finish before a level interrupt is unmasked */
    struct irq_guest guest[IRQ_MAX_GUESTS];
    unsigned int delivering; /* atomic: CPUs that pass it to guests just now, without the lock */
    uint64_t count;
};

/* NULL for numbers out of range; safe for guest-chosen ones. */
struct irq_desc *irq_to_desc(unsigned int irq);
/* After the IO-APICs are known: makes the descriptors. */
void irq_alloc_descs(unsigned int gsis);
/* Vectors: count consecutive ones (a power of two, aligned to it), for desc[irq..irq+count). 0 or -ENOSPC. */
int irq_assign_vectors(unsigned int irq, unsigned int count);
void irq_release_vectors(unsigned int irq, unsigned int count);
/* Message-signalled numbers: the first of count free ones, marked IRQ_MSI; -ENOSPC. */
int irq_alloc_msi(unsigned int count);
void irq_free_msi(unsigned int irq, unsigned int count);
/* Hardware mask and target, by kind; lock held. */
void irq_mask(struct irq_desc *desc);
void irq_unmask(struct irq_desc *desc);
void irq_retarget(struct irq_desc *desc, unsigned int cpu);
/* pirq.c: passes the interrupt to its guests; called by do_irq without the lock, on a copy of the list. */
void pirq_deliver(const struct irq_guest *guest, unsigned int n);
/* Waits until no CPU passes the interrupt to a guest. */
void irq_wait_delivered(struct irq_desc *desc);

/* ioapic.c; lock held. */
bool ioapic_gsi_exists(unsigned int gsi);
void ioapic_program(const struct irq_desc *desc);
void ioapic_set_mask(unsigned int gsi, bool masked);
/* Trigger and polarity of an input that nobody uses yet. 0, -EINVAL, or -EEXIST when it is in use. */
int ioapic_setup_gsi(unsigned int gsi, bool level, bool active_low);
/* Registers as the control domain sees them (PHYSDEVOP_apic_read and _write); 0 or -EINVAL. */
int ioapic_guest_read(uint64_t base, unsigned int reg, uint32_t *value);
int ioapic_guest_write(uint64_t base, unsigned int reg, uint32_t value);

/* pirq.c: the map from a domain's pirqs to interrupts. */
int pirq_map(struct domain *d, int pirq, unsigned int irq, unsigned int count); /* first pirq or -errno */
int pirq_unmap(struct domain *d, unsigned int pirq);
int pirq_reserve(struct domain *d);
int pirq_to_irq(struct domain *d, unsigned int pirq); /* -EINVAL: not mapped */
bool pirq_needs_eoi(struct domain *d, unsigned int pirq);
bool pirq_shared(struct domain *d, unsigned int pirq);
/* Registers the page in which guests find a bit per pirq that needs an EOI. Takes a writable reference. */
int pirq_set_eoi_map(struct domain *d, mfn_t mfn);

#endif
