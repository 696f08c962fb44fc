# SPDX-License-Identifier: BSD-2-Clause
# Targets for tests that take their time.
.PHONY: shadow-hour fuzz-shadow fuzz-restore

# The random walk on shadows with one seed after the other.
MINUTES ?= 60
shadow-hour: $(BUILD)/unit/test_shadow_walk
	$(Q)UMBRA_MINUTES=$(MINUTES) python3 tests/run --model --build $(BUILD) --filter test_random.Shadow

# libFuzzer goes on with the inputs that it has found before.
FUZZ_SECONDS ?= 600
fuzz-shadow: $(BUILD)/unit/shadow.fuzz
	$(Q)python3 tests/model/shadow_seeds.py $(BUILD)/fuzz/corpus
	$(Q)$< -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -len_control=0 -print_final_stats=1 \
	    -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus

fuzz-restore: $(BUILD)/unit/restore.fuzz
	$(Q)python3 tests/model/restore_seeds.py $(BUILD)/fuzz/restore
	$(Q)$< -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -len_control=0 -print_final_stats=1 \
	    -artifact_prefix=$(BUILD)/fuzz/restore- $(BUILD)/fuzz/restore
