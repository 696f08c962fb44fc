/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest of 4 levels for tests of single rules: tables in frames 4, 3, 2 and 1, each with entry 0. */
#ifndef TESTS_SHADOW_GUEST_H
#define TESTS_SHADOW_GUEST_H

#include "shadow_tlb.h"

#define CPU   (&vcpu[0])
#define ALL   (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)
#define PAGED (CR0_PE | CR0_PG | CR0_WP)

/* A test with it (shadow_model.h); the guest with a pool of another size. */
#define SHADOW_TEST(f) cmocka_unit_test_setup_teardown(f, shadow_begin_4, shadow_end)
void guest_4(unsigned long pool);

/* An entry of frame 1, which maps a page of the first 2 MiB. */
void map(unsigned int index, uint64_t gfn, uint64_t flags);
/* An access of CPU with all checks; of another vCPU. */
struct access go(uint64_t linear, enum oracle_kind kind, bool user);
struct access go_on(struct test_vcpu *t, uint64_t linear, enum oracle_kind kind, bool user);
/* The entry of hardware's tables that maps a linear address, or 0. */
uint64_t leaf(uint64_t linear, unsigned int *level);

/* CPU executes the bytes of a string, in a frame that entry 50 maps. */
#define CODE 400ul
enum emulate_result execute(struct emul *e, struct cpu_user_regs *regs, const char *code, unsigned int n);
#define EXECUTE(e, regs, code) execute(e, regs, code, sizeof(code) - 1)

#endif
