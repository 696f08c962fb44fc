# SPDX-License-Identifier: BSD-2-Clause
# Domains and vCPUs; the control domain's construction.
hv-srcs += hypervisor/domain/domain.c
hv-srcs += hypervisor/domain/vcpu.c
hv-srcs += hypervisor/domain/shared_info.c
hv-srcs += hypervisor/domain/pause.c
hv-srcs += hypervisor/domain/watchdog.c
hv-srcs += hypervisor/domain/teardown.c
hv-srcs += hypervisor/domain/holders.c
hv-srcs += hypervisor/domain/kernel_image.c
hv-srcs += hypervisor/domain/elf.c
hv-srcs += hypervisor/domain/xz.c
hv-srcs += hypervisor/domain/lzma.c
hv-srcs += hypervisor/domain/zstd.c
hv-srcs += hypervisor/domain/zstd_entropy.c
hv-srcs += hypervisor/domain/control_p2m.c
hv-srcs += hypervisor/domain/build_control.c
