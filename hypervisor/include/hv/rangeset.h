/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of numbers kept as sorted, disjoint, inclusive ranges: permissions for frames, ports and interrupts. At most 512
 * ranges each. */
#ifndef HV_RANGESET_H
#define HV_RANGESET_H

#include <hv/lib.h>

struct rangeset;

struct rangeset *rangeset_new(void);
void rangeset_free(struct rangeset *r);
/* Inclusive bounds. 0, -EINVAL (start > end) or -ENOMEM, then unchanged. */
int rangeset_add(struct rangeset *r, uint64_t start, uint64_t end);
int rangeset_remove(struct rangeset *r, uint64_t start, uint64_t end);
bool rangeset_contains(const struct rangeset *r, uint64_t start, uint64_t end);

#endif
