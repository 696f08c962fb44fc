# SPDX-License-Identifier: BSD-2-Clause
# Guests that are hostile as one half of a device, in reading order: front ends of the control domain's back ends, and a
# back end of another guest's. They share a library besides that of all test guests. tests/lab/test_hostile_devices.py
# runs them.
device-lib := $(addprefix tests/guests/device/lib/,store.c front.c disk.c net.c back.c)

device-guests += disk_indices
device-guests += disk_requests
device-guests += disk_revoke
device-guests += disk_storm
device-guests += nodes
device-guests += net_indices
device-guests += net_requests
device-guests += net_revoke
device-guests += back_disk
device-guests += back_net

# One that is not hostile, but takes a request to power off: for tests of whoever asks (tests/lab/test_kill.py).
polite-guests := obeys

guests        += $(device-guests:%=device/%) $(polite-guests:%=device/%)

define device-rules
$(patsubst %,$(BUILD)/guests/device/%,$(device-guests) $(polite-guests)): \
$(patsubst %.c,$(BUILD)/guest-objs/%.o,$(device-lib))
endef

# On the host: a program for each of them.
define device-unit
units += test_device_$(1)
test_device_$(1)-srcs   := tests/unit/test_device_guests.c $(patsubst %,tests/unit/device_%.c,world store peers) \
                           tests/guests/device/$(1).c $(device-lib) tests/guests/lib/format.c
test_device_$(1)-cflags := -Itests/unit -Itests/guests/lib -D__XEN_INTERFACE_VERSION__=__XEN_LATEST_INTERFACE_VERSION__
endef
$(foreach guest,$(device-guests),$(eval $(call device-unit,$(guest))))
