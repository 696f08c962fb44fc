# SPDX-License-Identifier: BSD-2-Clause
# Programs whose flags are the same share their objects: there is a folder for each set of flags.
space := $(subst x,,x x)
unit-dir = $(BUILD)/unit-objs/$(subst $(space),,$(subst =,.,$(subst /,.,$($(1)-cflags))))
define unit-objects
$(call unit-dir,$(1))/%.o: %.c Makefile Config.mk
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(UNIT_CFLAGS) $($(1)-cflags) -MMD -MP -c $$< -o $$@
endef
define unit-rule
$(BUILD)/unit/$(1): $$(patsubst %.c,$(call unit-dir,$(1))/%.o,$$($(1)-srcs)) Makefile Config.mk
	@mkdir -p $$(@D)
	$$(call say,UNIT,$$@)
	@printf '%s\n' $$(filter %.o,$$^) >$$@.objs
	$$(Q)$$(CC) $$(UNIT_CFLAGS) @$$@.objs -o $$@ -lcmocka $$($(1)-libs)
unit-dirs += $(call unit-dir,$(1))
endef
$(foreach u,$(units),$(if $(filter $(call unit-dir,$(u)),$(unit-dirs)),,$(eval $(call unit-objects,$(u))))\
                     $(eval $(call unit-rule,$(u))))
