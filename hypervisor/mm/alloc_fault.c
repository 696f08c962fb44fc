/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure of one allocation, for tests of what is left when a domain cannot be made. Debug builds only. Counted are
 * allocations, of frames and of small objects, by hypercalls: making a domain takes calls of many families (domctl,
 * memory_op, event_channel_op, grant_table_op, mmuext_op), the control domain's kernel and its daemons make some of
 * them. What traps and softirqs allocate is not counted, nor what umbra_op does, which arms the number; once that has
 * come the counting is over.
 */
#include <hv/heap.h>
#include <hv/stretch.h>
#include <umbra/umbra_op.h>

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
    if (family >= STRETCH_TRAP || family == __HYPERVISOR_umbra_op)
        return false;
    while (n && !__atomic_compare_exchange_n(&left, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    return n == 1;
}
