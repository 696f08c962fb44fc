# SPDX-License-Identifier: BSD-2-Clause
# The processor as a 64-bit PV guest sees it.
hv-srcs += hypervisor/pv/flags.c
hv-srcs += hypervisor/pv/desc_check.c
hv-srcs += hypervisor/pv/callback.c
hv-srcs += hypervisor/pv/iret.c
hv-srcs += hypervisor/pv/hypercalls.c
