// SPDX-License-Identifier: BSD-2-Clause
/*
 * The local APIC's registers, priorities and timer; messages to others are in ipi.c. AMD64 manual volume 2, chapter 16.
 *
 * Requests come from any CPU as bits of irr, errors as bits of errors, the timer as one flag; the rest is touched on
 * the vCPU only. So there is no lock: whoever sets a bit kicks the vCPU, which looks before each entry. Nothing is
 * connected to LINT0 and LINT1, and no I/O APIC exists: every interrupt is edge triggered, and EOI tells nobody.
 */
#include <hv/event.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/x86.h>
#include "apic_regs.h"

#define DFR_FLAT     0xffffffffu
#define LVT_PERIODIC (1u << 17)
#define PERIOD_MIN   MICROSECS(100) /* shorter ones would let the guest do nothing else */
#define SKEW         MILLISECS(1)   /* more than the clocks of two CPUs differ by */
#define IN_XAPIC     1u
#define IN_X2APIC    2u
#define IN_BOTH      3u

/* By number: modes in which it can be read and written, and bits that can be set. */
static const struct {
    uint8_t read, write;
    uint32_t bits;
} rules[APIC_REGS] = {
    [APIC_ID] = {.read = IN_BOTH},
    [APIC_VERSION] = {.read = IN_BOTH},
    [APIC_TPR] = {IN_BOTH, IN_BOTH, 0xff},
    [APIC_PPR] = {.read = IN_BOTH},
    [APIC_EOI] = {0, IN_BOTH, 0},
    [APIC_LDR] = {IN_BOTH, IN_XAPIC, 0xff000000},
    [APIC_DFR] = {IN_XAPIC, IN_XAPIC, 0xf0000000},
    [APIC_SVR] = {IN_BOTH, IN_BOTH, 0x3ff},
    [APIC_ISR... APIC_IRR + 7] = {.read = IN_BOTH},
    [APIC_ESR] = {IN_BOTH, IN_BOTH, 0},
    [APIC_ICR_LOW] = {IN_BOTH, IN_BOTH, ICR_BITS},
    [APIC_ICR_HIGH] = {IN_XAPIC, IN_XAPIC, 0xff000000},
    [APIC_LVT] = {IN_BOTH, IN_BOTH, 0x300ff},
    [APIC_LVT + 1 ... APIC_LVT + 2] = {IN_BOTH, IN_BOTH, 0x107ff},
    [APIC_LVT + 3 ... APIC_LVT + 4] = {IN_BOTH, IN_BOTH, 0x1a7ff},
    [APIC_LVT_ERROR] = {IN_BOTH, IN_BOTH, 0x100ff},
    [APIC_TIMER_INITIAL] = {IN_BOTH, IN_BOTH, 0xffffffff},
    [APIC_TIMER_CURRENT] = {.read = IN_BOTH},
    [APIC_TIMER_DIVIDE] = {IN_BOTH, IN_BOTH, 0xb},
    [APIC_SELF] = {0, IN_X2APIC, 0xff},
};

uint32_t lapic_bits(unsigned int reg)
{
    return rules[reg].bits;
}

bool lapic_has(unsigned int reg)
{
    return rules[reg].read;
}

/* ---- priorities ---- */

static int highest(const unsigned long *bits)
{
    for (int i = 3; i >= 0; i--) {
        unsigned long word = READ_ONCE(bits[i]);

        if (word)
            return i * 64 + (int)fls_u64(word);
    }
    return -1;
}

uint32_t lapic_ppr(const struct lapic *l)
{
    int served = highest(l->isr);
    uint32_t tpr = READ_ONCE(l->tpr), isr = served < 0 ? 0 : (uint32_t)served;

    return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

int lapic_pending(const struct vcpu *v)
{
    const struct lapic *l = v->hvm->lapic;
    int vector = highest(l->irr);

    return vector >= 0 && lapic_accepts(l) && (uint32_t)vector >> 4 > lapic_ppr(l) >> 4 ? vector : -1;
}

void lapic_ack(struct vcpu *v, unsigned int vector)
{
    struct lapic *l = v->hvm->lapic;

    clear_bit(vector, l->irr);
    __set_bit(vector, l->isr);
}

void lapic_set_irq(struct vcpu *v, uint8_t vector)
{
    struct lapic *l = v->hvm->lapic;

    if (lapic_accepts(l) && !test_and_set_bit(vector, l->irr))
        vcpu_kick(v);
}

void lapic_hold_irq(struct vcpu *v, uint8_t vector)
{
    if (!test_and_set_bit(vector, v->hvm->lapic->irr))
        vcpu_kick(v);
}

void lapic_error(struct vcpu *v, uint32_t error)
{
    struct lapic *l = v->hvm->lapic;
    uint32_t lvt = READ_ONCE(l->lvt[APIC_LVT_ERROR - APIC_LVT]);

    __atomic_fetch_or(&l->errors, error, __ATOMIC_SEQ_CST);
    if (!(lvt & LVT_MASKED) && (uint8_t)lvt >= APIC_FIRST_VECTOR)
        lapic_set_irq(v, (uint8_t)lvt);
}

unsigned int lapic_get_cr8(const struct vcpu *v)
{
    return v->hvm->lapic->tpr >> 4;
}

int lapic_set_cr8(struct vcpu *v, uint64_t value)
{
    if (value > 15)
        return -EINVAL;
    v->hvm->lapic->tpr = (uint32_t)value << 4;
    return 0;
}

/* ---- the timer ---- */

/* Nanoseconds of one count. */
static s_time_t tick(const struct lapic *l)
{
    unsigned int code = (l->divide & 3) | (l->divide >> 1 & 4);

    return (s_time_t)LAPIC_TIMER_NS << ((code + 1) & 7);
}

/* Anywhere: what follows is done on the vCPU. A masked timer wakes nobody. */
static void timer_expired(void *data)
{
    struct vcpu *v = data;
    struct lapic *l = v->hvm->lapic;

    __atomic_store_n(&l->fired, true, __ATOMIC_SEQ_CST);
    if (!(READ_ONCE(l->lvt[0]) & LVT_MASKED))
        vcpu_kick(v);
}

static void arm(struct lapic *l, s_time_t expires)
{
    l->expires = expires;
    timer_set(&l->timer, expires);
}

void lapic_count(struct lapic *l, uint32_t count)
{
    arm(l, count ? system_time() + (s_time_t)count * tick(l) : STIME_MAX);
}

void lapic_update(struct vcpu *v)
{
    struct lapic *l = v->hvm->lapic;
    uint32_t lvt = l->lvt[0];
    s_time_t now, period;

    if (likely(!READ_ONCE(l->fired)) || !__atomic_exchange_n(&l->fired, false, __ATOMIC_SEQ_CST))
        return;
    now = system_time();
    if (l->expires > now + SKEW) /* armed again since */
        return;
    if ((lvt & LVT_PERIODIC) && l->initial) {
        period = MAX((s_time_t)l->initial * tick(l), PERIOD_MIN);
        arm(l, now + period - (now - l->expires) % period); /* those that were missed are not made up for */
    } else {
        l->expires = STIME_MAX;
    }
    if (lvt & LVT_MASKED)
        return;
    if ((uint8_t)lvt < APIC_FIRST_VECTOR)
        lapic_error(v, ESR_RECEIVED_VECTOR);
    else
        lapic_set_irq(v, (uint8_t)lvt);
}

bool lapic_timer_due(const struct vcpu *v)
{
    const struct lapic *l = v->hvm->lapic;

    return READ_ONCE(l->fired) && !(READ_ONCE(l->lvt[0]) & LVT_MASKED);
}

static uint32_t current_count(const struct lapic *l)
{
    s_time_t left = l->expires == STIME_MAX ? 0 : l->expires - system_time();

    return left <= 0 ? 0 : (uint32_t)MIN((left + tick(l) - 1) / tick(l), (s_time_t)l->initial);
}

void lapic_load_timer(struct vcpu *v)
{
    timer_migrate(&v->hvm->lapic->timer, v->processor);
}

/* ---- registers ---- */

static unsigned int mode(const struct lapic *l)
{
    return l->base & LAPIC_BASE_EXTD ? IN_X2APIC : l->base & LAPIC_BASE_EN ? IN_XAPIC : 0;
}

static uint32_t identity(const struct vcpu *v)
{
    return mode(v->hvm->lapic) == IN_X2APIC ? hvm_apic_id(v) : hvm_apic_id(v) << 24;
}

/* Eight registers of 32 bits are one set of bits. */
static uint32_t read_bits(const struct lapic *l, unsigned int reg)
{
    const unsigned long *bits = reg >= APIC_IRR ? l->irr : l->isr;

    if (reg >= APIC_TMR && reg < APIC_IRR)
        return 0; /* none is level triggered */
    return (uint32_t)(READ_ONCE(bits[(reg & 7) / 2]) >> (32 * (reg & 1)));
}

uint32_t lapic_read(struct vcpu *v, unsigned int reg)
{
    const struct lapic *l = v->hvm->lapic;

    switch (reg) {
    case APIC_ID:
        return identity(v);
    case APIC_VERSION:
        return LAPIC_VERSION;
    case APIC_TPR:
        return l->tpr;
    case APIC_PPR:
        return lapic_ppr(l);
    case APIC_LDR:
        return lapic_ldr(v);
    case APIC_DFR:
        return l->dfr;
    case APIC_SVR:
        return l->svr;
    case APIC_ISR ... APIC_IRR + 7:
        return read_bits(l, reg);
    case APIC_ESR:
        return l->esr;
    case APIC_ICR_LOW:
        return l->icr_low;
    case APIC_ICR_HIGH:
        return l->icr_high;
    case APIC_LVT ... APIC_LVT_ERROR:
        return l->lvt[reg - APIC_LVT];
    case APIC_TIMER_INITIAL:
        return l->initial;
    case APIC_TIMER_CURRENT:
        return current_count(l);
    default: /* APIC_TIMER_DIVIDE */
        return l->divide;
    }
}

static void end_of_interrupt(struct lapic *l)
{
    int vector = highest(l->isr);

    if (vector >= 0)
        __clear_bit((unsigned int)vector, l->isr);
}

/* While the APIC is off by software, every source is masked. */
static void set_spurious(struct lapic *l, uint32_t value)
{
    l->svr = value;
    if (!(value & SVR_ENABLED))
        for (unsigned int i = 0; i < LAPIC_NR_LVT; i++)
            l->lvt[i] |= LVT_MASKED;
}

/* What is left to count is counted at the new pace. */
static void set_divide(struct lapic *l, uint32_t value)
{
    uint32_t left = current_count(l);

    l->divide = value;
    if (left)
        lapic_count(l, left);
}

static void write_reg(struct vcpu *v, unsigned int reg, uint32_t value)
{
    struct lapic *l = v->hvm->lapic;

    switch (reg) {
    case APIC_TPR:
        l->tpr = value;
        break;
    case APIC_EOI:
        end_of_interrupt(l);
        break;
    case APIC_LDR:
        l->ldr = value;
        break;
    case APIC_DFR:
        l->dfr = value | ~0xf0000000u;
        break;
    case APIC_SVR:
        set_spurious(l, value);
        break;
    case APIC_ESR:
        l->esr = __atomic_exchange_n(&l->errors, 0, __ATOMIC_SEQ_CST);
        break;
    case APIC_ICR_LOW:
        l->icr_low = value;
        lapic_send(v, value, mode(l) == IN_X2APIC ? l->icr_high : l->icr_high >> 24);
        break;
    case APIC_ICR_HIGH:
        l->icr_high = value;
        break;
    case APIC_LVT ... APIC_LVT_ERROR:
        l->lvt[reg - APIC_LVT] = value | (l->svr & SVR_ENABLED ? 0 : LVT_MASKED);
        break;
    case APIC_TIMER_INITIAL:
        l->initial = value;
        lapic_count(l, value);
        break;
    case APIC_TIMER_DIVIDE:
        set_divide(l, value);
        break;
    default: /* APIC_SELF */
        lapic_send(v, value | ICR_TO_SELF, 0);
    }
}

/* ---- ways to them ---- */

int lapic_read_msr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    struct lapic *l = v->hvm->lapic;
    unsigned int reg = (unsigned int)array_index_nospec(msr - LAPIC_MSR_FIRST, APIC_REGS);

    if (msr == MSR_APIC_BASE) {
        *value = l->base;
        return 0;
    }
    if (msr - LAPIC_MSR_FIRST >= APIC_REGS || !(rules[reg].read & mode(l) & IN_X2APIC))
        return -EINVAL;
    lapic_update(v);
    *value = lapic_read(v, reg);
    if (reg == APIC_ICR_LOW)
        *value |= (uint64_t)l->icr_high << 32;
    return 0;
}

/*
 * Off, xAPIC and x2APIC in turn, and from any of them off; what was on begins anew after that. The page stays where it
 * is, and who was the first processor cannot be changed. Section 16.9.1.
 */
static int set_base(struct vcpu *v, uint64_t value)
{
    struct lapic *l = v->hvm->lapic;
    uint64_t both = LAPIC_BASE_EN | LAPIC_BASE_EXTD, to = value & both, from = l->base & both;

    if ((value & ~(both | LAPIC_BASE_BSP)) != LAPIC_MMIO || to == LAPIC_BASE_EXTD)
        return -EINVAL;
    if ((from == both && to == LAPIC_BASE_EN) || (!from && to == both))
        return -EINVAL;
    l->base = (l->base & ~both) | to;
    if (from && !to)
        lapic_reset(v);
    else if (to != from)
        l->icr_high = 0; /* it means something else now */
    return 0;
}

int lapic_write_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    struct lapic *l = v->hvm->lapic;
    unsigned int reg = (unsigned int)array_index_nospec(msr - LAPIC_MSR_FIRST, APIC_REGS);
    uint64_t bits;

    if (msr == MSR_APIC_BASE)
        return set_base(v, value);
    if (msr - LAPIC_MSR_FIRST >= APIC_REGS || !(rules[reg].write & mode(l) & IN_X2APIC))
        return -EINVAL;
    bits = reg == APIC_ICR_LOW ? 0xffffffffull << 32 : 0;
    if (value & ~(rules[reg].bits | bits))
        return -EINVAL;
    lapic_update(v);
    if (bits)
        l->icr_high = (uint32_t)(value >> 32);
    write_reg(v, reg, (uint32_t)value);
    return 0;
}

bool lapic_mmio(struct vcpu *v, gpa_t at, unsigned int bytes, bool write, uint32_t *value)
{
    uint64_t offset = at.n - LAPIC_MMIO;
    unsigned int reg = (unsigned int)array_index_nospec(offset >> 4, APIC_REGS);

    if (offset >= PAGE_SIZE || mode(v->hvm->lapic) != IN_XAPIC)
        return false;
    lapic_update(v);
    if (bytes != 4 || (offset & 15) || offset >> 4 >= APIC_REGS ||
        !((write ? rules[reg].write : rules[reg].read) & IN_XAPIC)) {
        lapic_error(v, ESR_REGISTER);
        if (!write)
            *value = ~0u;
    } else if (write) {
        write_reg(v, reg, *value & rules[reg].bits);
    } else {
        *value = lapic_read(v, reg);
    }
    return true;
}

/* ---- life ---- */

void lapic_reset(struct vcpu *v)
{
    struct lapic *l = v->hvm->lapic;

    memset(l->irr, 0, sizeof(l->irr));
    memset(l->isr, 0, sizeof(l->isr));
    l->tpr = l->ldr = l->icr_low = l->icr_high = l->initial = l->divide = l->esr = l->errors = 0;
    l->dfr = DFR_FLAT;
    set_spurious(l, 0xff);
    for (unsigned int i = 0; i < LAPIC_NR_LVT; i++)
        l->lvt[i] = LVT_MASKED;
    arm(l, STIME_MAX);
    l->fired = false;
}

int lapic_init(struct vcpu *v)
{
    struct lapic *l = hv_new(struct lapic);

    if (!l)
        return -ENOMEM;
    v->hvm->lapic = l;
    l->base = LAPIC_MMIO | LAPIC_BASE_EN | (v->vcpu_id ? 0 : LAPIC_BASE_BSP);
    timer_init(&l->timer, timer_expired, v, v->processor);
    lapic_reset(v);
    return 0;
}

void lapic_free(struct vcpu *v)
{
    if (!v->hvm->lapic)
        return;
    timer_kill(&v->hvm->lapic->timer);
    hv_free(v->hvm->lapic);
    v->hvm->lapic = NULL;
}
