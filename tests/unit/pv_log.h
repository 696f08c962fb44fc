/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest of test_pv_random runs on shadows now and then, and its memory is copied meanwhile, as a migration does it:
 * a frame that differs from the copy must be in the log.
 */
#ifndef TESTS_PV_LOG_H
#define TESTS_PV_LOG_H

#include "pv_random.h"

/* An episode begins; its end, before the domains die. */
void log_begin(bool wanted);
void log_end(void);
/* Something of what tools do: turn the log on, read it, turn it off, throw shadows away, check them. */
void log_step(void);
/* Shadows give nothing that the guest's tables do not. */
void log_check(void);
void log_tell(unsigned long ops);
/* An access of v's, its faults answered as the hypervisor does. */
struct fake_access guest_mmu(struct vcpu *v, unsigned long linear, bool write);

#endif
