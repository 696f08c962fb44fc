# SPDX-License-Identifier: BSD-2-Clause
# Targets for tests that take their time.
.PHONY: shadow-hour

# The random walk on shadows with one seed after the other.
MINUTES ?= 60
shadow-hour: $(BUILD)/unit/test_shadow_walk
	$(Q)UMBRA_MINUTES=$(MINUTES) python3 tests/run --model --build $(BUILD) --filter test_random.Shadow
