/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boxed frame numbers and addresses. They are distinct one-member structs in every build, so that the compiler refuses
 * to mix them; conversions are the named functions below. x86-64 passes such a struct in one register.
 *
 *   mfn_t  machine frame number        maddr_t  machine (physical) address in bytes
 *   gfn_t  guest frame number as the guest's paging sees it (PV: equal to the mfn)
 *   pfn_t  guest pseudo-physical frame number (PV: index into the guest's own P2M)
 *   gpa_t  guest physical address
 */
#ifndef HV_TYPES_H
#define HV_TYPES_H

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>

#ifndef UMBRA_HOST
/* One static image: nothing needs the indirection that a symbol of another module would. */
#pragma GCC visibility push(hidden)
#endif

#define BOXED(type, make, value)         \
    typedef struct {                     \
        uint64_t n;                      \
    } type;                              \
    static inline type make(uint64_t n)  \
    {                                    \
        return (type){n};                \
    }                                    \
    static inline uint64_t value(type x) \
    {                                    \
        return x.n;                      \
    }

BOXED(mfn_t, _mfn, mfn_x)
BOXED(gfn_t, _gfn, gfn_x)
BOXED(pfn_t, _pfn, pfn_x)
BOXED(maddr_t, _maddr, maddr_x)
BOXED(gpa_t, _gpa, gpa_x)

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ul << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define INVALID_MFN _mfn(~0ull)

static inline maddr_t mfn_to_maddr(mfn_t m)
{
    return _maddr(m.n << PAGE_SHIFT);
}

static inline mfn_t maddr_to_mfn(maddr_t a)
{
    return _mfn(a.n >> PAGE_SHIFT);
}

static inline bool mfn_eq(mfn_t a, mfn_t b)
{
    return a.n == b.n;
}

static inline mfn_t mfn_add(mfn_t m, uint64_t i)
{
    return _mfn(m.n + i);
}

/* Nanoseconds since boot; INT64_MAX means never. */
typedef int64_t s_time_t;
#define STIME_MAX      INT64_MAX
#define NANOSECONDS(n) ((s_time_t)(n))
#define MICROSECS(n)   ((s_time_t)(n)*1000)
#define MILLISECS(n)   ((s_time_t)(n)*1000000)
#define SECONDS(n)     ((s_time_t)(n)*1000000000)

#endif
