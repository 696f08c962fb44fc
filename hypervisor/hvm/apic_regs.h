/* SPDX-License-Identifier: BSD-2-Clause */
/* Between lapic.c and ipi.c. Registers by number: offset in the page by 16, MSR less 0x800. */
#ifndef HVM_APIC_REGS_H
#define HVM_APIC_REGS_H

#include "lapic.h"

enum {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR_LOW = 0x30,
    APIC_ICR_HIGH = 0x31,
    APIC_LVT = 0x32, /* timer, thermal, performance, LINT0, LINT1, error */
    APIC_LVT_ERROR = 0x37,
    APIC_TIMER_INITIAL = 0x38,
    APIC_TIMER_CURRENT = 0x39,
    APIC_TIMER_DIVIDE = 0x3e,
    APIC_SELF = 0x3f,
    APIC_REGS = 0x40
};

#define APIC_FIRST_VECTOR 16u /* those below are exceptions' */
#define LAPIC_VERSION     (0x14u | (LAPIC_NR_LVT - 1) << 16)
#define LVT_MASKED        (1u << 16)
#define SVR_ENABLED       (1u << 8)
#define ICR_LOGICAL       (1u << 11)
#define ICR_ASSERT        (1u << 14)
#define ICR_LEVEL         (1u << 15)
#define ICR_TO_SELF       (1u << 18)
#define ICR_BITS          0xccfffu

#define ESR_SENT_VECTOR     (1u << 5)
#define ESR_RECEIVED_VECTOR (1u << 6)
#define ESR_REGISTER        (1u << 7)

/* Is it on, by APIC_BASE and by the spurious vector register? */
static inline bool lapic_accepts(const struct lapic *l)
{
    return (READ_ONCE(l->base) & LAPIC_BASE_EN) && (READ_ONCE(l->svr) & SVR_ENABLED);
}

uint32_t lapic_ppr(const struct lapic *l);
/* Can it be read, in any mode; which of its bits can be set; what it reads as. */
bool lapic_has(unsigned int reg);
uint32_t lapic_bits(unsigned int reg);
uint32_t lapic_read(struct vcpu *v, unsigned int reg);
/* The timer counts down from there; 0: it stops. */
void lapic_count(struct lapic *l, uint32_t count);
/* In x2APIC mode it follows from the identity. */
uint32_t lapic_ldr(const struct vcpu *v);
/* Bits ESR_* are noted. Any CPU. */
void lapic_error(struct vcpu *v, uint32_t error);
/* A message: ICR's low half, and whom it is for. */
void lapic_send(struct vcpu *v, uint32_t low, uint32_t dest);

#endif
