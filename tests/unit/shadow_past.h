/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest's tables held before. A processor may go on with a translation that its tables do not hold any more,
 * until it flushes: one is right if each entry on the way had the value that was used at some time since the vCPU's
 * last flush. It is a TLB's, so it stores nothing: the entries had A, and D if the access is a store.
 */
#ifndef TESTS_SHADOW_PAST_H
#define TESTS_SHADOW_PAST_H

#include "shadow_model.h"

/* Translations that were explained by an old value. */
extern unsigned long past_old;
/* INVLPGs that shadows answered by themselves. */
extern unsigned long past_invlpgs;

void past_begin(void);
/* bytes of the guest's memory, at most 8, are about to change; now gives 8 aligned ones as they are. */
void past_note(uint64_t at, unsigned int bytes, const void *(*now)(uint64_t at));
/* The vCPU has flushed its TLB; it has to, since more has changed since than is remembered. */
void past_flushed(const struct test_vcpu *t);
/* Or of one address. */
void past_invlpg(const struct test_vcpu *t, uint64_t linear);
/* An address to access: where INVLPG was about, or elsewhere in the same table, or any. */
uint64_t past_linear(const struct test_vcpu *t);
bool past_is_long(const struct test_vcpu *t);
/* Does its hardware go by a TLB of the vCPU's own? One that stands apart goes on with the shadows of tables until a
 * fault has taken another root. */
bool past_on_tlb(const struct test_vcpu *t);
/* Did hardware do the access by what the guest's tables say, or said since the vCPU's last flush where it may not see
 * what they say now? */
bool past_had(const struct test_vcpu *t, const struct access *a);

#endif
