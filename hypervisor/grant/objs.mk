# SPDX-License-Identifier: BSD-2-Clause
# Grant tables.
hv-srcs += hypervisor/grant/grant_table_op.c
hv-srcs += hypervisor/grant/map.c
hv-srcs += hypervisor/grant/copy.c
hv-srcs += hypervisor/grant/table.c
hv-srcs += hypervisor/grant/maptrack.c
