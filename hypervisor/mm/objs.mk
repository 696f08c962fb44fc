# SPDX-License-Identifier: BSD-2-Clause
hv-srcs += hypervisor/mm/map.c
hv-srcs += hypervisor/mm/heap.c
hv-srcs += hypervisor/mm/fresh.c
hv-srcs += hypervisor/mm/objects.c
hv-srcs += hypervisor/mm/alloc_fault.c
hv-srcs += hypervisor/mm/frame.c
hv-srcs += hypervisor/mm/paging_pool.c
