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

/* Scale of a clock with hz ticks per second, 1 Hz to 2^63 Hz. mul has its top bit set: full precision. */
static inline struct time_scale time_scale_of(uint64_t hz)
{
    struct time_scale s = {0, 0};

    while (hz > 2000000000ull) {
        hz >>= 1;
        s.shift--;
    }
    while (hz <= 1000000000ull) {
        hz <<= 1;
        s.shift++;
    }
    /* 1 GHz < hz <= 2 GHz: the fraction lies in [1/2, 1). */
    s.mul = (uint32_t)((1000000000ull << 32) / hz);
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
    unsigned __int128 t = ((unsigned __int128)ns * khz + 999999) / 1000000;

    return t > UINT64_MAX ? UINT64_MAX : (uint64_t)t;
}

#endif
