# SPDX-License-Identifier: BSD-2-Clause
# Into a system, and into Debian packages.
#   make install [DESTDIR=...] [PREFIX=/usr/local]    what install.sh lists; into DESTDIR, to be used without it
#   make deb                                          build/deb/*.deb, and what lintian says of them
#   make check-deb                                    installs and removes them in a Debian 12 of its own (root, net)
#   make host-disk                                    the disk of a Debian 12 for the lab (root, net)
#   make check-installed                              installs them on such a disk, and starts it with and without Umbra
PREFIX     := /usr/local
BOOTDIR    := /boot
SYSCONFDIR := /etc
UNITDIR    = $(PREFIX)/lib/systemd/system
DOCDIR     = $(PREFIX)/share/doc/umbra
MANDIR     = $(PREFIX)/share/man
BASHDIR    = $(PREFIX)/share/bash-completion/completions
ZSHDIR     = $(PREFIX)/share/zsh/site-functions
# Empty: the program keeps its symbols, for a packager who separates them.
STRIP      := -s

.PHONY: install deb check-deb host-disk check-installed
install: export BUILD := $(BUILD)
install: export VERSION := $(VERSION)
install: export DESTDIR := $(DESTDIR)
install: export PREFIX := $(PREFIX)
install: export BOOTDIR := $(BOOTDIR)
install: export SYSCONFDIR := $(SYSCONFDIR)
install: export UNITDIR := $(UNITDIR)
install: export DOCDIR := $(DOCDIR)
install: export MANDIR := $(MANDIR)
install: export BASHDIR := $(BASHDIR)
install: export ZSHDIR := $(ZSHDIR)
install: export STRIP := $(STRIP)
install: hypervisor tools $(BUILD)/guest-1.schema.json $(BUILD)/completion.bash $(BUILD)/completion.zsh
	$(Q)sh tools/package/install.sh

$(BUILD)/guest-1.schema.json: $(BUILD)/umbra
	$(Q)$(BUILD)/umbra config schema > $@.new && mv $@.new $@
$(BUILD)/completion.%: $(BUILD)/umbra
	$(Q)$(BUILD)/umbra completion $* > $@.new && mv $@.new $@

deb:
	$(Q)sh tools/image/deps.sh packages.txt packages-deb.txt
	$(Q)sh tools/package/deb.sh $(BUILD) $(VERSION)
check-deb: deb
	$(Q)python3 tests/run --deb --build $(BUILD)

host-disk:
	$(Q)sh tools/image/deps.sh packages-deb.txt
	$(Q)sh tools/image/host-disk.sh $(BUILD)
check-installed: deb host-disk
	$(Q)$(MAKE) --no-print-directory image
	$(Q)UMBRA_LONG=1 python3 tests/run --lab --filter 'test_installed|test_libvirt' --build $(BUILD)
