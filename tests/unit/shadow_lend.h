/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of another domain, which the guest of shadow_model.h has in place of its own here and there: by grants, or by
 * right of control. It is data: hardware neither fetches code there nor finds page tables.
 */
#ifndef TESTS_SHADOW_LEND_H
#define TESTS_SHADOW_LEND_H

#include "shadow_model.h"

extern unsigned long lend_accesses; /* that hardware did */

/* The lender has nothing in the guest yet; has it all back, and is without memory. */
void lend_begin(struct domain *lender);
void lend_end(void);
/* A frame is lent, or the guest gets one of its own again. */
void lend_or_return(uint64_t gfn, bool table);
bool lend_has(uint64_t gfn);
/* Addresses of guest memory that read as ones for who looks for a table there. */
bool lend_hides(uint64_t address);
/* What the frame is to the guest; INVALID_M2P_ENTRY: nothing. */
uint64_t lend_gfn_of(mfn_t m);
/* Hardware may store to it. */
bool lend_may_store(mfn_t m);

#endif
