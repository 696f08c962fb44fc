/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of physical CPUs: one word, since NR_CPUS is 64. The atomic forms are full barriers. */
#ifndef HV_CPUMASK_H
#define HV_CPUMASK_H

#include <hv/lib.h>
#include <hv/layout.h>

typedef struct {
    uint64_t bits;
} cpumask_t;

static_assert(NR_CPUS == 64, "cpumask_t is one word");

#define CPUMASK_NONE ((cpumask_t){0})
#define CPUMASK_ALL  ((cpumask_t){~0ull})

static inline cpumask_t cpumask_of(unsigned int cpu)
{
    return (cpumask_t){1ull << cpu};
}

static inline bool cpumask_test(const cpumask_t *m, unsigned int cpu)
{
    return (__atomic_load_n(&m->bits, __ATOMIC_SEQ_CST) >> cpu) & 1;
}

static inline void cpumask_set(cpumask_t *m, unsigned int cpu)
{
    __atomic_fetch_or(&m->bits, 1ull << cpu, __ATOMIC_SEQ_CST);
}

static inline void cpumask_clear(cpumask_t *m, unsigned int cpu)
{
    __atomic_fetch_and(&m->bits, ~(1ull << cpu), __ATOMIC_SEQ_CST);
}

static inline cpumask_t cpumask_and(cpumask_t a, cpumask_t b)
{
    return (cpumask_t){a.bits & b.bits};
}

static inline cpumask_t cpumask_or(cpumask_t a, cpumask_t b)
{
    return (cpumask_t){a.bits | b.bits};
}

static inline bool cpumask_empty(cpumask_t m)
{
    return m.bits == 0;
}

static inline unsigned int cpumask_weight(cpumask_t m)
{
    unsigned int n = 0;

    for (; m.bits; m.bits &= m.bits - 1)
        n++;
    return n;
}

/* Lowest CPU of a non-empty mask. */
static inline unsigned int cpumask_first(cpumask_t m)
{
    return ffs_u64(m.bits);
}

#define for_each_cpu(cpu, mask)                                                                \
    for (uint64_t bits_##cpu = (mask).bits; bits_##cpu && ((cpu) = ffs_u64(bits_##cpu), true); \
         bits_##cpu &= bits_##cpu - 1)

extern cpumask_t cpu_online_map;
extern unsigned int nr_cpus; /* CPUs found at boot; ids are 0..nr_cpus-1 */

#endif
