// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a multicall that contains itself, an IRET, unknown numbers, numbers whose upper half would be cut off, lists
 * whose results overwrite entries to come, a list that never ends, and lists at addresses that cannot be. Recursion
 * would use the hypervisor's stack up; each entry gets its own error instead, and the list goes on.
 */
#include "guest.h"

static multicall_entry_t list[8];

static long run(void *entries, unsigned long n)
{
    return HYPERCALL2(__HYPERVISOR_multicall, entries, n);
}

void guest_main(void)
{
    multicall_entry_t *last;

    list[0] = (multicall_entry_t){.op = __HYPERVISOR_multicall, .args = {P(list), 1}};
    /* Xen goes to wherever the stack says, and the list ends there. */
    list[1] = (multicall_entry_t){.op = on_umbra() ? __HYPERVISOR_iret : 63};
    list[2] = (multicall_entry_t){.op = 63};
    list[3] = (multicall_entry_t){.op = 0x100000000ul | __HYPERVISOR_multicall, .args = {P(list), 1}};
    list[4] = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
    CHECK_IS(run(list, 5), 0);
    CHECK((long)list[0].result < 0);
    CHECK((long)list[1].result < 0);
    CHECK_IS(list[2].result, -XEN_ENOSYS);
    CHECK((long)list[3].result < 0);
    CHECK_IS(list[4].result, 4 << 16 | 17);

    /* A call of the list writes into an entry to come: an address into its number, of which the lower half is 0, and
     * a frame number into its first argument. That entry is read when it is due. */
    list[0] = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
    list[1] = (multicall_entry_t){.op = __HYPERVISOR_memory_op, .args = {XENMEM_machphys_mapping, P(&list[2])}};
    list[2] = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
    CHECK_IS(run(list, 3), 0);
    CHECK_IS(list[1].result, 0);
    CHECK(list[2].op != __HYPERVISOR_xen_version);
    CHECK((long)list[2].result < 0);

    CHECK_IS(run((void *)HV_TEXT, 1), -XEN_EFAULT);
    CHECK_IS(run((void *)NOT_MAPPED, 1), -XEN_EFAULT);
    CHECK_IS(run((void *)NONCANONICAL, 1), -XEN_EFAULT);
    CHECK_IS(run((void *)(NONCANONICAL - 8), 1), -XEN_EFAULT);
    CHECK_IS(run((void *)NOT_MAPPED, 0), 0);
    /* Entries that can be read, results that cannot be written. */
    CHECK_IS(run((void *)HV_FIRST, 1), -XEN_EFAULT);
    last = new_page();
    last = (multicall_entry_t *)((char *)last + PAGE_SIZE) - 1;
    *last = (multicall_entry_t){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
    CHECK_IS(map_at((char *)last + sizeof(*last), 0, UVMF_INVLPG), 0);
    CHECK_IS(run(last, 0xffffffff), -XEN_EFAULT);
    CHECK_IS(last->result, 4 << 16 | 17);
}
