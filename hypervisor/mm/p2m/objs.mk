# SPDX-License-Identifier: BSD-2-Clause
hv-srcs += hypervisor/mm/p2m/tree.c
hv-srcs += hypervisor/mm/p2m/lookup.c
hv-srcs += hypervisor/mm/p2m/update.c
hv-srcs += hypervisor/mm/p2m/type.c
hv-srcs += hypervisor/mm/p2m/harvest.c
hv-srcs += hypervisor/mm/p2m/life.c
hv-srcs += hypervisor/mm/p2m/audit.c
