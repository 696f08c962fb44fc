/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of stores, beside everything that shadow_model.h does: a tool that copies the domain's memory while it runs.
 * In slices between the guest's accesses the log is turned on, read, cleared and turned off. Whenever no reading is
 * under way, every frame that differs from the copy has its bit set. Others take and drop the right to store to a frame
 * meanwhile, and use it.
 */
#ifndef TESTS_SHADOW_LOG_H
#define TESTS_SHADOW_LOG_H

#include "shadow_model.h"

/* A domain has begun; it is about to end. */
void log_begin(void);
void log_end(void);
/* Something of all that, now and then. */
void log_step(void);
/* What was counted since the last call, on the console; with so many operations it must have been something. */
void log_tell(unsigned long ops);

#endif
