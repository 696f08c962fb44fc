/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stand-in for libxenstore (fake_xs.c): one store in the test's memory, in which changes are seen at once. Hooks are
 * the others that use it: the back end's driver, the guest, another tool.
 */
#ifndef FAKE_XS_H
#define FAKE_XS_H

#include <stdbool.h>

/* Empties the store, and takes the hooks away. */
void xs_fake_reset(void);
/* The value, or NULL. */
const char *xs_fake_get(const char *path);
void xs_fake_set(const char *path, const char *value);
void xs_fake_remove(const char *path);
/* Nodes whose path has this in it. */
int xs_fake_count(const char *part);

/* Asked before each call that reads or changes something, or ends a transaction, by its name: does it fail? With errno
 * set. Or NULL. */
extern bool (*xs_fake_fails)(const char *name);
/* Every transaction meets somebody else's change: it is to be tried again. How many were begun. */
extern bool xs_fake_conflicts;
extern int xs_fake_begun;
/* What the daemon was last told of a domain. */
extern struct xs_fake_introduced {
    unsigned domid, port;
    unsigned long frame;
} xs_fake_introduced;
/* Called after each change that the code under test makes; and before each of its transactions. Or NULL. */
extern void (*xs_fake_changed)(const char *path);
extern void (*xs_fake_begins)(void);

#endif
