# SPDX-License-Identifier: BSD-2-Clause
# Guests on hardware virtualisation, in reading order; all of them are one image, which is built four times.
# tests/lab/test_hvm_guests.py runs it.
hvm-formats := hvm32 hvm32pse hvm32pae hvm64
hvm-lib := $(addprefix tests/guests/hvm/lib/,start.S suite.c main.c trap.c table.c predict.c form.c mode.S \
           second.S smp.c) tests/guests/lib/format.c tests/guests/lib/string.c

hvm-tests += access
hvm-tests += quadrants
hvm-tests += large_pages
hvm-tests += recursive
hvm-tests += invlpg
hvm-tests += store_forms
hvm-tests += completed
hvm-tests += status_word
hvm-tests += crossing
hvm-tests += crossing_faults
hvm-tests += self_modify
hvm-tests += one_page
hvm-tests += floods
hvm-tests += modes
hvm-tests += hypercalls
hvm-tests += pointers
hvm-tests += shared
hvm-tests += grants
hvm-tests += smp_shootdown
hvm-tests += smp_tables
hvm-tests += smp_seen
hvm-tests += smp_cr3

hvm-flags = $(filter-out -mcmodel=kernel,$(GUEST_CFLAGS)) -Itests/guests/hvm/lib $(hvm-flags-$(1))
hvm-flags-hvm32    := -m32 -mregparm=3 -DLEVELS=2 -DPSE=0
hvm-flags-hvm32pse := -m32 -mregparm=3 -DLEVELS=2 -DPSE=1
hvm-flags-hvm32pae := -m32 -mregparm=3 -DLEVELS=3 -DPSE=1
hvm-flags-hvm64    := -DLEVELS=4 -DPSE=1
hvm-objs = $(patsubst %,$(BUILD)/guest-objs/$(1)/%.o,$(basename $(hvm-lib)) $(hvm-tests:%=tests/guests/hvm/%))

# Names of a guest are its own but for guest_main, which gets its name. A linker of 32 bits writes what the domain
# builder does not take; its segments are put into a file of 64.
define hvm-rules
$(BUILD)/guest-objs/$(1)/%.o: %.c Makefile Config.mk tests/guests/hvm/objs.mk
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(call hvm-flags,$(1)) -D'GUESTS=$$(foreach t,$$(hvm-tests),G($$(t)))' -MMD -MP -c $$< -o $$@
	$$(Q)$$(if $$(findstring /lib/,$$<),,$$(OBJCOPY) --redefine-sym guest_main=guest_$$(basename $$(<F)) \
	    --keep-global-symbol=guest_$$(basename $$(<F)) $$@)
$(BUILD)/guest-objs/$(1)/%.o: %.S Makefile Config.mk tests/guests/hvm/objs.mk
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(call hvm-flags,$(1)) -D__ASSEMBLY__ -MMD -MP -c $$< -o $$@
$(BUILD)/guests/hvm/$(1): $$(call hvm-objs,$(1)) tests/guests/hvm/lib/guest.lds
	@mkdir -p $$(@D)
	$$(call say,GUEST,$$@)
	$$(Q)$$(LD) -m $(if $(filter hvm64,$(1)),elf_x86_64,elf_i386) -static -s -z noexecstack --no-warn-rwx-segments \
	    -T tests/guests/hvm/lib/guest.lds $$(filter %.o,$$^) -o $$@
	$$(Q)$(if $(filter hvm64,$(1)),,$(OBJCOPY) -O elf64-x86-64 $$@)
endef
