/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of `migrate` share: a guest on the fake host (guest_world.h), which moves from there to there, by
 * fake_transport.c; and what has to be so after whatever happened: one copy that runs.
 */
#ifndef MOVE_WORLD_H
#define MOVE_WORLD_H

#include "guest_world.h"

#define MOVE "migrate -T relay web2 localhost"

extern char disk[80]; /* the guest's */

/* A guest with a disk and a network interface. */
void created(void **state);
/* As umbra(), and all that came of it has ended. */
int run(const char *line);
/* Guests that run. */
int running(void);
/* Of the guest, if there is one. */
struct guest_state the_record(void);
void settle_all(void);
/* One record, one domain, which runs under its name; nothing of a migration is left. */
void one_guest(bool here);
/* After whatever happened, and when all that hung on it is over. Returns whether it was unresolved. */
bool check(int rc);
int move_setup(void **state);
int move_teardown(void **state);

#endif
