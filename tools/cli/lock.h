/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is at work: locks between the processes of this host that act on guests. The kernel drops a process's locks when
 * it ends, however it ends, so a lock that is free means that nobody is in the middle of anything.
 */
#ifndef CLI_LOCK_H
#define CLI_LOCK_H

#include <stdint.h>
#include <sys/types.h>

#define LOCK_SUPERVISOR 0 /* held by the supervisor while it lives */
#define LOCK_NAMES      1 /* held while a name is looked for and taken */
#define LOCK_STOPPING \
    (((off_t)1 << 62) + 2) /* held while the guests are stopped: none is started again; behind all of theirs */
#define LOCK_STARTING \
    (((off_t)1 << 62) + 3) /* held while guests are started with the host: the last of them is still to be stopped */

extern const char *lock_file; /* tests point it elsewhere */

/* The lock of one guest. */
off_t lock_of_guest(const uint8_t uuid[16]);
/* 0; -EAGAIN: another process holds it; or another -errno. */
int lock_try(off_t lock);
/* Waits for it, up to timeout_ms. 0, -EAGAIN or another -errno. */
int lock_wait(off_t lock, unsigned timeout_ms);
void lock_drop(off_t lock);
/* The other process that holds it; 0: none, or this one. */
pid_t lock_holder(off_t lock);
/* In a child just forked: the parent's locks are not its own. */
void lock_forget(void);

#endif
