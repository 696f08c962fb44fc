# SPDX-License-Identifier: BSD-2-Clause
# Toolchain and the few switches of the build. Override on the make command line.

VERSION := 0.1
CC      := gcc
CLANG   := clang
OBJCOPY := objcopy
# DEBUG=1: lock ranks, assertions and local audits are compiled in. Packages and measurements have 0.
DEBUG   ?= 1
V       ?= 0

BUILD := build
# One name for one place: dependencies are kept by the names of files.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))

# Of the hypervisor and the tools.
OPTIMIZE := -O2

WARN := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wno-unused-parameter -Wundef

HV_CFLAGS := -std=gnu11 $(OPTIMIZE) -g -ffreestanding -fno-builtin-printf -fPIE -fvisibility=hidden -mno-red-zone \
             -mgeneral-regs-only -mcmodel=small -fno-stack-protector -fno-asynchronous-unwind-tables \
             -fno-strict-aliasing -fno-common -fno-jump-tables -fno-omit-frame-pointer \
             -Ihypervisor/include -D__XEN_TOOLS__ -DUMBRA_VERSION='"$(VERSION)"' -DDEBUG=$(DEBUG) $(WARN)

GUEST_CFLAGS := -std=gnu11 -Os -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=kernel \
                -fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -fno-jump-tables \
                -Itests/guests/lib -D__XEN_INTERFACE_VERSION__=__XEN_LATEST_INTERFACE_VERSION__ $(WARN)

# TOOL_MORE, TOOL_LDFLAGS: a packager's own.
TOOL_CFLAGS := -std=gnu11 $(OPTIMIZE) -g -Itools -Ihypervisor/include -D_GNU_SOURCE -DUMBRA_VERSION='"$(VERSION)"' \
               $(WARN) $(TOOL_MORE)

# What makes host programs find errors when they run.
UNIT_CHECKS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_CFLAGS := -std=gnu11 $(UNIT_CHECKS) -D_GNU_SOURCE -DUMBRA_VERSION='"$(VERSION)"' -DDEBUG=1 $(WARN)
