# SPDX-License-Identifier: BSD-2-Clause
# Into a system.
#   make install [DESTDIR=...] [PREFIX=/usr/local]    what install.sh lists; into DESTDIR, to be used without it
PREFIX     := /usr/local
BOOTDIR    := /boot
SYSCONFDIR := /etc
UNITDIR    = $(PREFIX)/lib/systemd/system
DOCDIR     = $(PREFIX)/share/doc/umbra
# Empty: the program keeps its symbols, for a packager who separates them.
STRIP      := -s

.PHONY: install
install: export BUILD := $(BUILD)
install: export VERSION := $(VERSION)
install: export DESTDIR := $(DESTDIR)
install: export PREFIX := $(PREFIX)
install: export BOOTDIR := $(BOOTDIR)
install: export SYSCONFDIR := $(SYSCONFDIR)
install: export UNITDIR := $(UNITDIR)
install: export DOCDIR := $(DOCDIR)
install: export STRIP := $(STRIP)
install: hypervisor tools $(BUILD)/guest-1.schema.json
	$(Q)sh tools/package/install.sh

$(BUILD)/guest-1.schema.json: $(BUILD)/umbra
	$(Q)$(BUILD)/umbra config schema > $@.new && mv $@.new $@
