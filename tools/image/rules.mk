# SPDX-License-Identifier: BSD-2-Clause
# What the tests of a night and of devices need besides the image: kernels and emulators; a disk with a Debian on it;
# one with the stock qemu; what
# reads core files.
.PHONY: nightly-deps debian-disk qemu-disk crash-symbols
nightly-deps: deps
	$(Q)sh tools/image/deps.sh packages-nightly.txt
	$(Q)$(MAKE) --no-print-directory image
	$(Q)sh tools/image/nightly.sh $(BUILD)
debian-disk:
	$(Q)sh tools/image/deps.sh packages.txt packages-debian.txt && sh tools/image/debian/build.sh $(BUILD)
qemu-disk:
	$(Q)sh tools/image/deps.sh packages.txt packages-debian.txt && sh tools/image/qemu-xen.sh $(BUILD)
crash-symbols: image
	$(Q)sh tools/image/crash.sh $(BUILD)
