/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What test_shadow.c stands on: a translated domain on the real heap, pool and P2M, its memory once as it is and once
 * as it should be, vCPUs whose hardware is the oracle on the shadows, on CPUs of shadow_tlb.h.
 */
#ifndef TESTS_SHADOW_MODEL_H
#define TESTS_SHADOW_MODEL_H

#include "../../hypervisor/mm/shadow/internal.h"
#include "fake/fake.h"
#include "mmu_oracle.h"

#define VCPUS        3u
#define SMALL        512u /* guest frames with entries of 4 KiB, then as many in one of 2 MiB */
#define FRAMES       (2 * SMALL)
#define SIZE         (FRAMES * PAGE_SIZE)
#define TABLES       12u /* where most tables are: these frames, and the first ones of the 2 MiB */
#define LARGE_TABLES 3u
#define TLB_SIZE     16u
#define NO_CPU       (~0u)

struct test_vcpu {
    struct shadow_vcpu v;
    struct oracle_cpu guest, hw;
    unsigned int cpu; /* that runs it; or NO_CPU */
};

struct access {
    uint64_t linear;
    enum oracle_kind kind;
    bool user;
    enum shadow_result result; /* SHADOW_FIXED: hardware did it */
    uint64_t at;               /* guest physical, or machine if hardware did it */
    uint32_t error;
    unsigned int tries;
};

extern struct domain *d;
extern struct test_vcpu vcpu[VCPUS];
extern bool model_vtlb;      /* domains that are begun are in the reference mode */
extern bool model_alternate; /* every seventh of the random walk's is, and no other */

/* A domain with a pool of so many frames, all vCPUs unpaged; and its end, which looks for what is left. */
void model_begin(unsigned long pool);
void model_end(void);
/* The end alone, without a look at what there was: vCPUs have no roots any more. */
void model_free(void);
/* Some of the mechanisms that could be left out, chosen at random, are; windows grow (mm/shadow/ahead.c). */
void model_words(bool some, bool grow);
/* A vCPU's registers are what t->guest says now. */
void model_load(struct test_vcpu *t);
/* It executes INVLPG. */
void model_invlpg(struct test_vcpu *t, uint64_t linear);
/* The access until it is done, or is not hardware's; and whether the oracle agrees. */
void model_run(struct test_vcpu *t, struct access *a);
void model_check(struct test_vcpu *t, const struct access *a);
/* As an emulator or a hypercall stores. */
void model_store(uint64_t at, unsigned int bytes, uint64_t value);
/* As a hypercall stores more than that, and the vCPU that made it may run again. */
void model_overwrite(uint64_t at, unsigned int bytes, const uint8_t *src);
/* What hardware, or the hypervisor for a guest, has stored is what was meant to be stored. */
void model_take_over(void);
/* The first part of it: the store is done, and no vCPU may enter the guest before shadow_ready() says so. */
void model_overwrite_begins(uint64_t at, unsigned int bytes, const uint8_t *src);
/* Something else is about to store, has stored it. */
void model_will_store(uint64_t at, unsigned int bytes);
void model_wrote(uint64_t at, unsigned int bytes, uint64_t value);
mfn_t model_frame(uint64_t gfn);
/* The most units of work of a stretch that ended with a question whether to go on. */
extern uint32_t model_longest;
/* How often the paging lock was taken. */
extern unsigned long model_locks;
/* How many invariants the audit finds broken; and of a part: the tables on the way to an address, those of a guest
 * frame, the next one whose turn it is. */
unsigned int model_audit(void);
void model_look_at_way(const struct test_vcpu *t, uint64_t linear);
void model_look_at_table(uint64_t gfn);
void model_look_on(void);
/* A guest frame's type, or its machine frame, becomes another one. */
void model_retype(uint64_t gfn, enum p2m_type to);
void model_replace(uint64_t gfn);
void model_blow(void);
/* As shadow_give_up, until it is done. */
void model_give_up(struct test_vcpu *t, const struct cpu_user_regs *regs, uint64_t at);
/* The first so and so many allocations are granted, then so many refused (operations of the model try again). How many
 * have been, since the last call. */
unsigned int model_refuse(unsigned int first, unsigned int times);
/* Is an operation that gave this to be tried again? */
bool model_try_again(int rc);
extern unsigned int model_phys_bits; /* of the processor that model_begin gives to the guest */
/* Levels of the vCPU's tables, 0: none; an address of those that the walk uses; is a frame one of those for tables? */
unsigned int model_levels(const struct test_vcpu *t);
uint64_t model_linear(const struct test_vcpu *t);
bool model_is_table(uint64_t gfn);
/* shadow_insn.c: the vCPU, whose access has to be emulated, stores to that page by an instruction. False: its code has
 * no place. How many ended how. */
bool insn_store(struct test_vcpu *t, const struct access *a, uint64_t linear, uint64_t value);
extern unsigned long insn_results[EMULATE_RESULTS];
void model_random(unsigned long ops);
/* The same walk, on one domain: these bytes choose what happens. */
void model_bytes(const uint8_t *bytes, size_t n);

/* shadow_guest.c: paging of 4 levels through frames 4, 3, 2 and 1, each with entry 0; frame 1's entries are the test's.
 */
int shadow_begin_4(void **state);
int shadow_end(void **state);
/* shadow_ahead.c, shadow_unsync.c, shadow_part.c, shadow_shrink.c, shadow_apart.c, shadow_vtlb.c, shadow_order.c,
 * shadow_roots.c */
int shadow_ahead_tests(void);
int shadow_order_tests(void);
int shadow_roots_tests(void);
int shadow_apart_tests(void);
int shadow_unsync_tests(void);
int shadow_part_tests(void);
int shadow_shrink_tests(void);
int shadow_vtlb_tests(void);

#endif
