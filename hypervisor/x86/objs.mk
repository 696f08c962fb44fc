# SPDX-License-Identifier: BSD-2-Clause
hv-srcs += hypervisor/x86/cpu.c
hv-srcs += hypervisor/x86/desc.c
hv-srcs += hypervisor/x86/tlb.c
