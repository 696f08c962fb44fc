/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From TSC ticks to nanoseconds, exactly as the ABI's vcpu_time_info has it: shift, then multiply by a 32-bit binary
 * fraction. The hypervisor uses the same arithmetic as its guests, so that both read the same clock. Pure.
 */
#ifndef HV_TIME_SCALE_H
#define HV_TIME_SCALE_H

#include <hv/lib.h>

struct time_scale {
    uint32_t mul;
    int8_t shift;
};

/* a * b / c with the product in full; UINT64_MAX when the quotient does not fit. c is not 0. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product, remainder;

    if (high >= c)
        return UINT64_MAX;
    /* The compiler's 128-bit division is a library function, which there is none of here. */
    __asm__("divq %4" : "=a"(low), "=d"(remainder) : "0"(low), "1"(high), "r"(c) : "cc");
    return low;
}

/* Scale of a clock with hz ticks per second, 1 Hz to 2^62 Hz. mul has its top bit set: full precision. */
static inline struct time_scale time_scale_of(uint64_t hz)
{
    struct time_scale s = {0, 0};
    uint64_t unit = 1000000000ull;

    while (hz > 2 * unit) {
        unit <<= 1;
        s.shift--;
    }
    while (hz <= unit) {
        hz <<= 1;
        s.shift++;
    }
    /* unit < hz <= 2 * unit: the fraction lies in [1/2, 1). */
    s.mul = (uint32_t)mul_div(unit, 1ull << 32, hz);
    return s;
}

static inline uint64_t time_scale_delta(struct time_scale s, uint64_t delta)
{
    unsigned __int128 wide = s.shift < 0 ? delta >> -s.shift : (unsigned __int128)delta << s.shift;

    return (uint64_t)((wide * s.mul) >> 32);
}

/* Ticks of a clock with khz kHz in ns nanoseconds, rounded up; saturates. */
static inline uint64_t time_ns_to_ticks(uint64_t khz, uint64_t ns)
{
    uint64_t ticks = mul_div(ns, khz, 1000000);

    return ticks < UINT64_MAX && ticks * 1000000 != ns * khz ? ticks + 1 : ticks;
}

#endif
