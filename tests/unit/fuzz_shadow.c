// SPDX-License-Identifier: BSD-2-Clause
/*
 * The random walk of test_shadow.c for a fuzzer: the input's first byte chooses the domain and its disturbances, the
 * others the operations, their arguments, and when allocations fail. A check that fails ends the process, which is what
 * a fuzzer looks for.
 */
#include "shadow_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    model_alternate = true;
    model_bytes(data, size);
    return 0;
}
