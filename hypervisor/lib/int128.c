/* SPDX-License-Identifier: BSD-2-Clause */
/* Division of 128-bit integers, which the compiler calls by these names (its own library is not linked). By zero:
 * undefined, as in C. */
#include <hv/lib.h>

unsigned __int128 __udivti3(unsigned __int128 n, unsigned __int128 d);
__int128 __divti3(__int128 n, __int128 d);

/* Quotient of hi:lo by d, hi < d: one divide instruction. */
static uint64_t divide_128_64(uint64_t hi, uint64_t lo, uint64_t d)
{
    uint64_t q, r;

    __asm__("divq %4" : "=a"(q), "=d"(r) : "0"(lo), "1"(hi), "r"(d) : "cc");
    return q;
}

unsigned __int128 __udivti3(unsigned __int128 n, unsigned __int128 d)
{
    uint64_t hi = (uint64_t)(n >> 64), lo = (uint64_t)n, d_lo = (uint64_t)d;
    unsigned __int128 q = 0, r = 0;

    if (d >> 64 == 0)
        return (unsigned __int128)(hi / d_lo) << 64 | divide_128_64(hi % d_lo, lo, d_lo);
    for (int i = 127; i >= 0; i--) {
        r = r << 1 | ((n >> i) & 1);
        q <<= 1;
        if (r >= d) {
            r -= d;
            q |= 1;
        }
    }
    return q;
}

__int128 __divti3(__int128 n, __int128 d)
{
    unsigned __int128 q = __udivti3(n < 0 ? -(unsigned __int128)n : (unsigned __int128)n,
                                    d < 0 ? -(unsigned __int128)d : (unsigned __int128)d);

    return (n < 0) != (d < 0) ? -(__int128)q : (__int128)q;
}
