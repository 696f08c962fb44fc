/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which moves brought a guest here, also when nothing is left of it: a file that outlives the guest, xenstored and the
 * host's next start, and has the last 1024. By it the host that it came from, which has not heard how its move ended
 * and asks, can tell a guest that never came from one that ran here and is gone.
 *
 * A move is noted before the first of the guest's pages comes, and struck out only by whoever knows that the guest
 * never ran here: so one that is noted may have run, whatever happened meanwhile, and one that is not has not.
 */
#ifndef CLI_ARRIVALS_H
#define CLI_ARRIVALS_H

#include "cli/guest_state.h"

extern const char *arrivals_file; /* tests point it elsewhere */

/* Is it the name of a move, in hex? Names come from other hosts. */
bool arrivals_named(const char *move);
/* Can one be noted? 0 or -errno. */
int arrivals_ready(struct ctl_error *err);
/* The guest has this uuid here. 0, and it is on the disk; or -errno. */
int arrivals_note(const char *move, const uint8_t uuid[16], struct ctl_error *err);
/* It never ran here. What fails leaves it noted. */
void arrivals_strike(const char *move);
/* 1 and the uuid, 0: it is not noted, or -errno. */
int arrivals_find(const char *move, uint8_t uuid[16], struct ctl_error *err);

#endif
