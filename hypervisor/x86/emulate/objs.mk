# SPDX-License-Identifier: BSD-2-Clause
hv-srcs += hypervisor/x86/emulate/opcodes.c
hv-srcs += hypervisor/x86/emulate/decode.c
hv-srcs += hypervisor/x86/emulate/compute.c
hv-srcs += hypervisor/x86/emulate/modify.c
hv-srcs += hypervisor/x86/emulate/string.c
hv-srcs += hypervisor/x86/emulate/load.c
