/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor: one process of the host that sees to it that guests which stopped, and guests left half-built or
 * half-removed, go on as their records and configurations say. It keeps nothing to itself: killed and started again, it
 * goes on from the records (guest_state.h).
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "cli/cli.h"

/* Starts it unless it runs; returns when it watches. 0 or -errno. */
int supervisor_start(struct ctl_error *err);
bool supervisor_runs(void);
/* Of main(), where a process that becomes the supervisor writes what it is: it is not the verb that started it, and is
 * not to be ended with that by whoever goes by what `ps` shows. */
void supervisor_arguments(int argc, char **argv);

#endif
