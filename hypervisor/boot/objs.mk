# SPDX-License-Identifier: BSD-2-Clause
hv-srcs += hypervisor/boot/head.S
hv-srcs += hypervisor/boot/setup.c
hv-srcs += hypervisor/boot/multiboot2.c
hv-srcs += hypervisor/boot/cmdline.c
hv-srcs += hypervisor/boot/memmap.c
hv-srcs += hypervisor/boot/smp.c
hv-srcs += hypervisor/boot/trampoline.S
