/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of a vCPU: registers by MSR (x2APIC) or at 0xfee00000 (xAPIC), the timer, messages between vCPUs.
 * AMD64 manual volume 2, chapter 16. Who may call: what says "any CPU", from anywhere; all else, code that runs on the
 * vCPU, or has it paused.
 */
#ifndef HVM_LAPIC_H
#define HVM_LAPIC_H

#include <hv/domain.h>

#define LAPIC_MSR_FIRST 0x800u
#define LAPIC_MSR_LAST  0x8ffu
#define LAPIC_MMIO      0xfee00000ull
#define LAPIC_TIMER_NS  10 /* a tick of the bus clock: 100 MHz */
#define LAPIC_NR_LVT    6u
#define LAPIC_BASE_BSP  (1u << 8)
#define LAPIC_BASE_EXTD (1u << 10)
#define LAPIC_BASE_EN   (1u << 11)

struct lapic {
    unsigned long irr[4], isr[4]; /* requested (any CPU sets bits), in service */
    uint64_t base;                /* APIC_BASE */
    uint32_t tpr, ldr, dfr, svr, icr_low, icr_high, lvt[LAPIC_NR_LVT], initial, divide;
    uint32_t esr, errors; /* as read; what has come since (any CPU sets bits) */
    s_time_t expires;     /* the timer's count is 0 then; STIME_MAX: it does not run */
    bool fired;           /* it did (any CPU) */
    uint32_t start;       /* start-up message that waits to be obeyed, see hvm/startup.c; 0: none (any CPU) */
    struct timer timer;
};

/* Of a new vCPU, before its back end: 0 or -ENOMEM. */
int lapic_init(struct vcpu *v);
void lapic_free(struct vcpu *v);
/* As after INIT: all but the identity, APIC_BASE and what start says. */
void lapic_reset(struct vcpu *v);
/* The vCPU begins to run on this CPU: so does its timer. */
void lapic_load_timer(struct vcpu *v);

/* APIC_BASE and 0x800-0x8ff: 0 or -EINVAL (#GP). */
int lapic_read_msr(struct vcpu *v, uint32_t msr, uint64_t *value);
int lapic_write_msr(struct vcpu *v, uint32_t msr, uint64_t value);
/* An access to the page of an xAPIC; false: at is not there. Others than of 4 bytes at a register find nothing. */
bool lapic_mmio(struct vcpu *v, gpa_t at, unsigned int bytes, bool write, uint32_t *value);
/* CR8 is the upper half of the task priority. */
unsigned int lapic_get_cr8(const struct vcpu *v);
int lapic_set_cr8(struct vcpu *v, uint64_t value);

/* An interrupt for v, edge triggered. Any CPU. */
void lapic_set_irq(struct vcpu *v, uint8_t vector);
/*
 * The same, which an APIC that is off, by SVR or IA32_APIC_BASE, keeps until it is on: a kernel that goes on after a
 * suspension names its upcall vector before it turns its APIC on again, and events are announced once. What was kept
 * when the base turns it off is lost, as all of its state is.
 */
void lapic_hold_irq(struct vcpu *v, uint8_t vector);
/* What the timer has done becomes visible. Before each entry. */
void lapic_update(struct vcpu *v);
/* The timer's interrupt is due, and lapic_update has not seen it yet. Any CPU. */
bool lapic_timer_due(const struct vcpu *v);
/* The interrupt that priorities let through, or -1. From other CPUs a guess. */
int lapic_pending(const struct vcpu *v);
/* It is delivered: requested no more, in service. */
void lapic_ack(struct vcpu *v, unsigned int vector);

#endif
