# SPDX-License-Identifier: BSD-2-Clause
# The processor as a 64-bit PV guest sees it.
hv-srcs += hypervisor/pv/flags.c
hv-srcs += hypervisor/pv/desc_check.c
hv-srcs += hypervisor/pv/callback.c
hv-srcs += hypervisor/pv/iret.c
hv-srcs += hypervisor/pv/hypercalls.c
hv-srcs += hypervisor/pv/walk.c
hv-srcs += hypervisor/pv/perdomain.c
hv-srcs += hypervisor/pv/desc.c
hv-srcs += hypervisor/pv/desc_load.c
hv-srcs += hypervisor/pv/switch.c
hv-srcs += hypervisor/pv/context.c
hv-srcs += hypervisor/pv/domain.c
hv-srcs += hypervisor/pv/emul_priv.c
hv-srcs += hypervisor/pv/emul_io.c
hv-srcs += hypervisor/pv/msr.c
hv-srcs += hypervisor/pv/cpuid.c
