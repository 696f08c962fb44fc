# SPDX-License-Identifier: BSD-2-Clause
# Guests that make hypercalls at random, in reading order: a grammar and a loop, which both share, and what each has.
# tests/lab/test_random_calls.py runs them, tests/unit/test_fuzz.c the grammar on the host.
fuzz-srcs := tests/guests/fuzz/grammar.c tests/guests/fuzz/values.c tests/guests/fuzz/run.c
fuzz-pv    = $(patsubst %,$(BUILD)/guest-objs/%.o,$(basename $(fuzz-srcs)) tests/guests/fuzz/pv)
fuzz-hvm   = $(patsubst %,$(BUILD)/guest-objs/fuzz/%.o,$(basename $(fuzz-srcs) tests/guests/fuzz/hvm.c \
                 tests/guests/fuzz/narrow.S)) \
             $(patsubst %,$(BUILD)/guest-objs/hvm64/%.o,$(filter-out %/suite,$(basename $(hvm-lib))))
guests    += fuzz/pv fuzz/hvm

define fuzz-rules
$(BUILD)/guest-objs/fuzz/%.o: %.c Makefile Config.mk tests/guests/fuzz/objs.mk
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(call hvm-flags,hvm64) -MMD -MP -c $$< -o $$@
$(BUILD)/guest-objs/fuzz/%.o: %.S Makefile Config.mk tests/guests/fuzz/objs.mk
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(call hvm-flags,hvm64) -D__ASSEMBLY__ -MMD -MP -c $$< -o $$@
$(BUILD)/guests/fuzz/pv: $(fuzz-pv) $(guest-objs) tests/guests/lib/guest.lds
$(BUILD)/guests/fuzz/hvm: $(fuzz-hvm) tests/guests/hvm/lib/guest.lds
$(BUILD)/guests/fuzz/pv $(BUILD)/guests/fuzz/hvm:
	@mkdir -p $$(@D)
	$$(call say,GUEST,$$@)
	$$(Q)$$(LD) -static -s -z noexecstack --no-warn-rwx-segments -T $$(filter %.lds,$$^) $$(filter %.o,$$^) -o $$@
endef
