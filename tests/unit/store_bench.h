/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests of tools/libctl begin with that work on a store in memory (fake_xs.h): a handle, an error, and what the
 * library stands on when no hypervisor is asked.
 */
#ifndef STORE_BENCH_H
#define STORE_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "libctl/internal.h"

/* For the calls under test. */
extern struct ctl *const ctl;
extern struct ctl_error err;

/* An empty store whose changes `driver` hears of, or nobody (NULL); no error yet. */
void bench_fresh(void (*driver)(const char *path));
/* Is the node there, with this value? */
bool is(const char *path, const char *value);
/* Writes a file of n bytes anew; fails the test if it cannot. */
void put_bytes(const char *name, const void *bytes, size_t n);

#endif
