// SPDX-License-Identifier: BSD-2-Clause
/* All of the hypervisor that is not processor, device or boot, in one process: the groups are in core_*.c. */
#include "fake/core.h"

int main(void)
{
    int failed;

    fake_seed("test_core");
    failed = core_sched_tests();
    failed += core_fair_tests();
    failed += core_timer_tests();
    failed += core_domain_tests();
    failed += core_create_tests();
    failed += core_call_tests();
    failed += core_memory_tests();
    failed += core_control_tests();
    failed += core_domctl_tests() + core_state_tests();
    failed += core_host_tests();
    failed += core_vcpu_tests();
    failed += core_grants_tests();
    failed += core_compat_tests();
    failed += core_policy_tests();
    failed += core_context_tests();
    failed += core_paging_tests();
    failed += core_physmap_tests();
    failed += core_hvm_tests();
    failed += core_compat_32_tests();
    failed += core_width_tests();
    failed += core_shadow_tests();
    failed += core_log_tests();
    failed += core_log_pv_tests();
    failed += core_efi_tests();
    failed += core_hypfs_tests();
    return failed;
}
