/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure of one allocation, for tests of what is left when a domain cannot be made. Debug builds only. Counted are
 * allocations, of frames and of small objects, by the calls that make domains: domctl and memory_op. The number is
 * armed by umbra_op; once it has come the counting is over.
 */
#include <hv/heap.h>
#include <hv/stretch.h>

static unsigned int left; /* the allocation that is to fail, counted from 1; 0: none */

unsigned int alloc_fault_arm(unsigned int n)
{
    return __atomic_exchange_n(&left, n, __ATOMIC_SEQ_CST);
}

bool alloc_fault_due(void)
{
    unsigned int family, n = READ_ONCE(left);

    if (!DEBUG || !n)
        return false;
    family = stretch_family();
    if (family != __HYPERVISOR_domctl && family != __HYPERVISOR_memory_op)
        return false;
    while (n && !__atomic_compare_exchange_n(&left, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    return n == 1;
}
