# SPDX-License-Identifier: BSD-2-Clause
# Umbra's one Makefile. Folders list sources in objs.mk files (a line per file, in reading order), which append to:
#   hv-srcs       hypervisor sources (.c, .S)                       -> build/umbra.elf, build/umbra.gz
#   ctl-srcs      tools/libctl sources                              -> build/libctl.a
#   cli-srcs      tools/cli sources                                 -> build/umbra
#   tls-srcs, xml-srcs  tools/tls and tools/xml sources             -> build/umbra-tls, build/umbra-xml
#   units         names of host test programs; for each NAME:
#                 NAME-srcs (sources), NAME-cflags, NAME-libs       -> build/unit/NAME (ASan, UBSan)
#   guests        names of test guests, guest-srcs: what they share; hvm-tests: tests/guests/hvm -> build/guests
include Config.mk

$(foreach folder,hv ctl cli tls xml,$(eval $(folder)-srcs :=))
units    :=
guests   :=
guest-srcs :=
ctl-libs := -lxencall -lxenforeignmemory -lxenevtchn -lxengnttab -lxenstore -lxentoollog -lz -llzma -lzstd -llz4
cli-libs := -lyajl -lncurses -ltinfo

include $(wildcard hypervisor/*/objs.mk hypervisor/*/*/objs.mk tools/*/objs.mk tests/*/objs.mk tests/*/*/objs.mk)

Q := $(if $(filter 0,$(V)),@)
say = @$(if $(filter 0,$(V)),printf '  %-7s %s\n' $(1) $(2),:)

.PHONY: all hypervisor release tools unit check demo lint deps image iso clean debug-run bench meta model nightly
all: hypervisor tools
hypervisor: $(BUILD)/umbra.gz
# As a package has it, beside the one with assertions that the tests run on.
release:
	$(Q)$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/release DEBUG=0 hypervisor
tools: $(BUILD)/umbra $(BUILD)/umbra-tls $(BUILD)/umbra-xml

# --- hypervisor ---------------------------------------------------------------------------------------------------
hv-objs := $(patsubst %,$(BUILD)/hv/%.o,$(basename $(hv-srcs)))

$(BUILD)/hv/%.o: %.c Makefile Config.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/hv/%.o: %.S $(BUILD)/asm-offsets.h Makefile Config.mk
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(HV_CFLAGS) -D__ASSEMBLY__ -I$(BUILD) -MMD -MP -c $< -o $@

$(BUILD)/asm-offsets.h: hypervisor/x86/asm_offsets.c Makefile Config.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -g,$(HV_CFLAGS)) -MMD -MT $@ -MF $@.d -S $< -o $@.s
	$(Q)sed -n 's/^.*->\([A-Za-z0-9_]*\) \$$*\(-\{0,1\}[0-9]*\).*$$/#define \1 \2/p' $@.s > $@

# The symbol table for backtraces is linked in: first link, names extracted, second link with the table.
HV_LD := $(CC) -nostdlib -static -no-pie -Wl,--build-id=sha1 -Wl,-z,max-page-size=0x1000 -Wl,-z,noexecstack \
         -Wl,--no-warn-rwx-segments -T hypervisor/umbra.lds
$(BUILD)/umbra.elf: $(hv-objs) hypervisor/umbra.lds hypervisor/symbols.sh
	$(call say,LD,$@)
	$(Q)sh hypervisor/symbols.sh /dev/null > $(BUILD)/syms0.S
	$(Q)$(CC) -c $(BUILD)/syms0.S -o $(BUILD)/syms0.o
	$(Q)$(HV_LD) $(hv-objs) $(BUILD)/syms0.o -o $(BUILD)/umbra.pass1
	$(Q)nm -n $(BUILD)/umbra.pass1 | sh hypervisor/symbols.sh > $(BUILD)/syms1.S
	$(Q)$(CC) -c $(BUILD)/syms1.S -o $(BUILD)/syms1.o
	$(Q)$(HV_LD) $(hv-objs) $(BUILD)/syms1.o -o $@

$(BUILD)/umbra.gz: $(BUILD)/umbra.elf
	$(Q)strip -o $(BUILD)/umbra.stripped $<
	$(Q)gzip -9nc $(BUILD)/umbra.stripped > $@

# --- tools --------------------------------------------------------------------------------------------------------
$(BUILD)/tools/%.o: %.c Makefile Config.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(TOOL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/libctl.a: $(patsubst %.c,$(BUILD)/tools/%.o,$(ctl-srcs))
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/umbra: $(patsubst %.c,$(BUILD)/tools/%.o,$(cli-srcs)) $(BUILD)/libctl.a
	$(call say,LD,$@)
	$(Q)$(CC) $(TOOL_LDFLAGS) -o $@ $^ $(ctl-libs) $(cli-libs)

define program-of-its-own
$(BUILD)/umbra-$(1): $(patsubst %.c,$(BUILD)/tools/%.o,$($(1)-srcs))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(TOOL_LDFLAGS) -o $$@ $$^ $($(1)-libs)
endef
$(foreach name,tls xml,$(eval $(call program-of-its-own,$(name))))

# --- test guests: one source each, and the library ------------------------------------------------------------------
$(BUILD)/guest-objs/%.o: %.c Makefile Config.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(if $(findstring /lib/,$<),,-DGUEST_NAME='"$(basename $(<F))"') -MMD -MP -c $< -o $@
$(BUILD)/guest-objs/%.o: %.S Makefile Config.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@
guest-objs := $(patsubst %,$(BUILD)/guest-objs/%.o,$(basename $(guest-srcs)))
$(BUILD)/guests/%: $(BUILD)/guest-objs/tests/guests/%.o $(guest-objs) tests/guests/lib/guest.lds
	@mkdir -p $(@D)
	$(call say,GUEST,$@)
	$(Q)$(LD) -static -s -z noexecstack --no-warn-rwx-segments -T tests/guests/lib/guest.lds $(filter %.o,$^) -o $@
# Objects are kept: make would take them for steps on the way and delete them.
.SECONDARY:
$(foreach f,$(hvm-formats),$(eval $(call hvm-rules,$(f))))
$(eval $(fuzz-rules))
$(eval $(device-rules))
.PHONY: guests
all: guests
guests: $(patsubst %,$(BUILD)/guests/%,$(guests) $(hvm-formats:%=hvm/%))

# --- host tests ---------------------------------------------------------------------------------------------------
include tests/unit/rules.mk
unit-programs: $(patsubst %,$(BUILD)/unit/%,$(units))
unit: unit-programs
	$(Q)python3 tests/run --unit --jobs 2 --build $(BUILD)
meta:
	$(Q)python3 tests/run --meta --build $(BUILD)

# The random walk's objects are compiled once more, with faults in them.
model: export UMBRA_UNIT_CC = $(CC) $(UNIT_CFLAGS) $(test_pv_random-cflags)
model: unit-programs
	$(Q)python3 tests/run --model --build $(BUILD)
include tests/model/rules.mk

# --- whole-system targets -----------------------------------------------------------------------------------------
deps:
	$(Q)sh tools/image/deps.sh
image: all
	$(Q)sh tools/image/build.sh $(BUILD)
demo: deps
	$(Q)$(MAKE) --no-print-directory all image
	$(Q)python3 tests/lab/demo --build $(BUILD) $(if $(filter 1,$(INTERACTIVE)),--interactive)
check: export UMBRA_UNIT_CC = $(CC) $(UNIT_CFLAGS) $(test_pv_random-cflags)
check: deps
	$(Q)$(MAKE) --no-print-directory -j2 all unit-programs release
	$(Q)$(MAKE) --no-print-directory image
	$(Q)python3 tests/run --all --jobs 2 --build $(BUILD)
include tools/image/rules.mk
nightly: nightly-deps
	$(Q)python3 tests/matrix/run --build $(BUILD)
bench: deps
	$(Q)$(MAKE) --no-print-directory all image release
	$(Q)python3 tests/bench/run --build $(BUILD)
debug-run: all image
	$(Q)python3 tests/lab/lab debug --build $(BUILD)
lint:
	$(Q)sh tests/meta/lint.sh
include tools/package/rules.mk
clean:
	rm -rf $(BUILD)

# Not those of a system's files, and grub.d is none at all.
-include $(shell find $(BUILD) -path $(BUILD)/cache -prune -o -path $(BUILD)/deb -prune -o \
                               -type f -name '*.d' -print 2>/dev/null)
