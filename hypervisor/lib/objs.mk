# SPDX-License-Identifier: BSD-2-Clause
# Freestanding basics.
hv-srcs += hypervisor/lib/string.c
hv-srcs += hypervisor/lib/format.c
hv-srcs += hypervisor/lib/int128.c
hv-srcs += hypervisor/lib/bitmap.c
hv-srcs += hypervisor/lib/spinlock.c
hv-srcs += hypervisor/lib/rangeset.c
