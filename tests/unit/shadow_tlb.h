/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processors of shadow_model.h: each has a TLB and pointers to tables that it walked through, and keeps all of it
 * until it is flushed, itself. vCPUs come and go on them as context_switch has it: a CPU is in dirty_cpus before a vCPU
 * runs there, and until it has flushed after the domain's last one.
 */
#ifndef TESTS_SHADOW_TLB_H
#define TESTS_SHADOW_TLB_H

#include "shadow_model.h"

#define MODEL_CPUS 3u
#define WALKED     ~0ull /* page of an entry that was found through a pointer to a table */

struct tlb_entry {
    bool valid, user;
    enum oracle_kind kind;
    uint64_t page; /* linear */
    mfn_t mfn;
};

extern unsigned long tlb_stores, tlb_flushes, tlb_found; /* what was kept under a root, and was checked, at its load */

/* Nothing is cached, and vCPU n runs on CPU n. */
void tlb_begin(void);
/* A vCPU that does not run gets a CPU; it gets another one, or none. */
void tlb_run_somewhere(struct test_vcpu *t);
void tlb_move(struct test_vcpu *t);
/* The guest flushes. */
void tlb_forget(const struct test_vcpu *t);
/* It has loaded control registers, and hardware's are set. What was kept of the root is there again unless an entry has
 * lost a right since, and is what the guest's tables say. */
void tlb_load(struct test_vcpu *t);
/* INVLPG: what it has of one page, and its pointers to tables. */
void tlb_forget_page(const struct test_vcpu *t, uint64_t linear);
/* What hardware did stays: the translation, and one of the tables on its way. */
void tlb_remember(const struct test_vcpu *t, const struct access *a);
/* Through a pointer to a table hardware finds, without the tables above it, what it may keep as well; false: there was
 * nothing. */
bool tlb_walk_on(void);
/* An entry that stores go through, of any CPU; false: the one that was looked at is none. */
bool tlb_writable(struct access *a);
/* No CPU can do more than it may. */
void tlb_check(void);
/* Is the frame in none of them? */
bool tlb_knows(mfn_t m);

#endif
