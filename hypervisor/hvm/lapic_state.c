// SPDX-License-Identifier: BSD-2-Clause
/*
 * The local APIC's records in the public save format: APIC_BASE, and a page of registers as an xAPIC has them. What can
 * be read of it is checked and taken over, but for what follows from the rest; messages to come, and errors that were
 * not read yet, have no place there.
 */
#include <hv/x86.h>
#include "apic_regs.h"
#include "state.h"

#define BASE_BOTH       ((uint64_t)(LAPIC_BASE_EN | LAPIC_BASE_EXTD))
#define HW_DISABLED     1u /* of struct hvm_hw_lapic: by APIC_BASE, by the spurious vector register */
#define SW_DISABLED     2u
#define ESR_ALL         0xffu
#define DFR_ONES        0x0fffffffu
#define HIGH_BYTE       0xff000000u
#define DIVISOR_MAX     128u
#define EXCEPTIONS_MASK ((1u << APIC_FIRST_VECTOR) - 1)

static uint32_t word(const struct hvm_hw_lapic_regs *regs, unsigned int reg)
{
    uint32_t value;

    memcpy(&value, regs->data + reg * 16, sizeof(value));
    return value;
}

/* ---- check ---- */

static bool base_ok(const struct vcpu *v, const struct hvm_hw_lapic *hw)
{
    uint64_t bsp = v->vcpu_id ? 0 : LAPIC_BASE_BSP, base = hw->apic_base_msr;
    uint32_t divisor = hw->timer_divisor;

    if ((base & ~BASE_BOTH) != (LAPIC_MMIO | bsp) || (base & BASE_BOTH) == LAPIC_BASE_EXTD)
        return false;
    if ((hw->disabled & ~(HW_DISABLED | SW_DISABLED)) || !(hw->disabled & HW_DISABLED) != !!(base & LAPIC_BASE_EN))
        return false;
    return divisor && divisor <= DIVISOR_MAX && !(divisor & (divisor - 1)) && !hw->tdt_msr;
}

/* While the APIC is off by software, its sources are masked. */
static bool lvt_ok(const struct hvm_hw_lapic_regs *regs, unsigned int reg)
{
    uint32_t value = word(regs, reg);

    return !(value & ~lapic_bits(reg)) && ((word(regs, APIC_SVR) & SVR_ENABLED) || (value & LVT_MASKED));
}

static bool reg_ok(const struct vcpu *v, const struct hvm_hw_lapic_regs *regs, unsigned int reg, bool wide)
{
    uint32_t value = word(regs, reg);

    switch (reg) {
    case APIC_ID:
        return value == (wide ? hvm_apic_id(v) : hvm_apic_id(v) << 24);
    case APIC_VERSION:
        return value == LAPIC_VERSION;
    case APIC_LDR:
    case APIC_ICR_HIGH:
        return wide || !(value & ~HIGH_BYTE);
    case APIC_DFR:
        return !(~value & DFR_ONES);
    case APIC_ISR:
    case APIC_IRR:
        return !(value & EXCEPTIONS_MASK);
    case APIC_TMR ... APIC_TMR + 7:
        return !value; /* none is level triggered */
    case APIC_ESR:
        return !(value & ~ESR_ALL);
    case APIC_LVT ... APIC_LVT_ERROR:
        return lvt_ok(regs, reg);
    case APIC_TIMER_CURRENT:
        return value <= word(regs, APIC_TIMER_INITIAL);
    case APIC_TPR:
    case APIC_SVR:
    case APIC_ICR_LOW:
    case APIC_TIMER_DIVIDE:
        return !(value & ~lapic_bits(reg));
    default:
        return true;
    }
}

int lapic_check(const struct vcpu *v, const struct hvm_hw_lapic *hw, const struct hvm_hw_lapic_regs *regs)
{
    uint64_t base = hw ? hw->apic_base_msr : v->hvm->lapic->base;

    if (hw && !base_ok(v, hw))
        return -EINVAL;
    for (unsigned int reg = 0; regs && reg < APIC_REGS; reg++)
        if (!reg_ok(v, regs, reg, base & LAPIC_BASE_EXTD))
            return -EINVAL;
    return 0;
}

/* ---- load ---- */

/* Eight registers of 32 bits are one set of bits. */
static void load_bits(unsigned long *bits, const struct hvm_hw_lapic_regs *regs, unsigned int first)
{
    for (unsigned int i = 0; i < 4; i++)
        WRITE_ONCE(bits[i], word(regs, first + 2 * i) | (uint64_t)word(regs, first + 2 * i + 1) << 32);
}

/*
 * A count that has not ended goes on. One of 0 begins anew: it may also come from a hypervisor that keeps only where it
 * began, and a timer too many is better than one that never comes.
 */
static void load_timer(struct lapic *l, const struct hvm_hw_lapic_regs *regs)
{
    uint32_t left = word(regs, APIC_TIMER_CURRENT);

    l->initial = word(regs, APIC_TIMER_INITIAL);
    l->divide = word(regs, APIC_TIMER_DIVIDE);
    l->fired = false;
    lapic_count(l, left ? left : l->initial);
}

static void load_regs(struct lapic *l, const struct hvm_hw_lapic_regs *regs)
{
    load_bits(l->isr, regs, APIC_ISR);
    load_bits(l->irr, regs, APIC_IRR);
    l->tpr = word(regs, APIC_TPR);
    l->ldr = word(regs, APIC_LDR);
    l->dfr = word(regs, APIC_DFR);
    l->svr = word(regs, APIC_SVR);
    l->esr = word(regs, APIC_ESR);
    l->errors = 0;
    l->icr_low = word(regs, APIC_ICR_LOW);
    l->icr_high = word(regs, APIC_ICR_HIGH);
    for (unsigned int i = 0; i < LAPIC_NR_LVT; i++)
        l->lvt[i] = word(regs, APIC_LVT + i);
    load_timer(l, regs);
}

void lapic_load(struct vcpu *v, const struct hvm_hw_lapic *hw, const struct hvm_hw_lapic_regs *regs)
{
    if (hw)
        v->hvm->lapic->base = hw->apic_base_msr;
    if (regs)
        load_regs(v->hvm->lapic, regs);
}

/* ---- save ---- */

void lapic_save(struct vcpu *v, struct hvm_hw_lapic *hw)
{
    const struct lapic *l = v->hvm->lapic;
    unsigned int code = (l->divide & 3) | (l->divide >> 1 & 4);

    *hw = (struct hvm_hw_lapic){
        .apic_base_msr = l->base,
        .disabled = (l->base & LAPIC_BASE_EN ? 0 : HW_DISABLED) | (l->svr & SVR_ENABLED ? 0 : SW_DISABLED),
        .timer_divisor = 1u << ((code + 1) & 7),
    };
}

void lapic_save_regs(struct vcpu *v, struct hvm_hw_lapic_regs *regs)
{
    memset(regs, 0, sizeof(*regs));
    lapic_update(v);
    for (unsigned int reg = 0; reg < APIC_REGS; reg++)
        if (lapic_has(reg)) {
            uint32_t value = lapic_read(v, reg);

            memcpy(regs->data + reg * 16, &value, sizeof(value));
        }
}
