/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts: vectors, IO-APIC and MSI routing, and their delivery to the control domain as pirqs.
 */
#ifndef HV_IRQ_H
#define HV_IRQ_H

#include <hv/domain.h>

/* Hypervisor vectors, highest priority first. Device vectors are allocated from FIRST_DYNAMIC_VECTOR to
 * LAST_DYNAMIC_VECTOR. */
#define VECTOR_SPURIOUS       0xff
#define VECTOR_ERROR          0xfe
#define VECTOR_INVALIDATE     0xfd /* TLB shoot-down */
#define VECTOR_EVENT_CHECK    0xfc /* softirqs and events: nothing to do but return through the exit path */
#define VECTOR_CALL_FUNCTION  0xfb
#define VECTOR_LOCAL_TIMER    0xf9
#define FIRST_DYNAMIC_VECTOR  0x20
#define LAST_DYNAMIC_VECTOR   0xdf
#define VECTOR_HYPERCALL      0x82 /* int 0x82 of 32-bit guests; never given to a device */
#define VECTOR_LEGACY_SYSCALL 0x80

/* From entry.S for vectors 0x20-0xff; interrupts off. */
void do_irq(struct cpu_user_regs *regs);
void irq_init(void);
/* A handler inside the hypervisor (serial port, HPET); 0 or -errno. */
int irq_request_internal(unsigned int gsi, void (*fn)(void *), void *data);

int irq_domain_init(struct domain *d);
/* Teardown: unmaps all pirqs, in bounded slices from d->teardown_next on: -ERESTART or 0. */
int irq_relinquish(struct domain *d);
void irq_domain_free(struct domain *d);
/* EVTCHNOP_bind_pirq: routes the pirq of v's domain to events; share: level interrupts may be shared. */
int pirq_guest_bind(struct vcpu *v, unsigned int pirq, bool share);
void pirq_guest_unbind(struct domain *d, unsigned int pirq);
/* The guest finished: PHYSDEVOP_eoi, and implicit by unmasking. */
void pirq_guest_eoi(struct domain *d, unsigned int pirq);
/* Follows the event's vCPU: retargets the interrupt to the CPU of v. */
void pirq_set_affinity(struct domain *d, unsigned int pirq, const struct vcpu *v);
/* Interrupt numbers: [0, nr_irqs_gsi) are the IO-APIC inputs by GSI, the rest up to nr_irqs are message-signalled. */
extern unsigned int nr_irqs_gsi, nr_irqs;
void irq_dump(void); /* debug key 'i' */
/* Registers of the context that the current interrupt broke into; NULL outside interrupts. */
const struct cpu_user_regs *irq_regs(void);

/* Local APIC. */
void apic_init_bsp(void);
void apic_init_ap(void);
void apic_eoi(void);
uint32_t apic_id(void);
void apic_send_ipi(unsigned int cpu, uint8_t vector);
void apic_send_ipi_mask(cpumask_t mask, uint8_t vector);
void apic_send_init(uint32_t apicid);
void apic_send_startup(uint32_t apicid, uint8_t page);
void apic_send_nmi_others(void);  /* to every CPU but this one */
void apic_calibrate_timer(void);  /* called by time_init, once system_time() runs */
void apic_disable_on_crash(void); /* quiet before a reset */
/* IO-APICs. */
void ioapic_init(void);

#endif
