/* SPDX-License-Identifier: BSD-2-Clause */
/* A slow and obvious model of PV page typing: recounts all references from scratch, and foretells what an update does.
 */
#ifndef TESTS_PV_MODEL_H
#define TESTS_PV_MODEL_H

#include "fake/fake.h"

#define MODEL_DOMAINS 4

/* References that the test itself holds, by frame (offset from FAKE_RAM_START). */
extern uint32_t held_general[FAKE_FRAMES], held_typed[FAKE_FRAMES];
/* How many entries of the frame may the domain have by grants? */
extern unsigned int granted[MODEL_DOMAINS][FAKE_FRAMES];

/* Only these indices of tables ever hold anything. */
extern const uint16_t model_index[];
extern const unsigned int model_indices;

void model_reset(void);
/* Compares the frame table, the tables and the TLBs with docs/invariants.md; aborts with a message when one is broken.
 */
void model_check(struct domain *const *domains, unsigned int n);
/* Partial or dead tables about: foretelling is off. */
bool model_unsettled(const struct domain *d);
/* Partial tables that are not dead: only preempted calls have them. */
bool model_orphans(const struct domain *d);

/* Will the entry be accepted in a table of that level? */
bool model_accepts(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t e);
/* Will the entry replace old? */
bool model_accepts_update(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t old, pte_t e);
/* Will the frame get the type? */
bool model_accepts_type(struct domain *d, mfn_t m, enum page_type type);
bool model_descriptor_ok(uint64_t desc);
/* As it will stand in the table. */
pte_t model_adjust(unsigned int level, pte_t e);

#endif
