/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemons without which guests run, but cannot be worked with: is each of them there? */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include <sys/types.h>

#include "cli/cli.h"

enum health_store {
    HEALTH_RUNS,
    HEALTH_GONE,     /* it does not answer */
    HEALTH_FORGOT,   /* it was started again, and no supervisor has told it of the guests yet */
    HEALTH_RESTORED, /* it was, and has: those that ran hear no request (spare.h) */
};

struct health {
    enum health_store store;
    pid_t supervisor; /* 0: none runs */
    pid_t console;    /* health_console() */
};

extern const char *health_console_file; /* where the console daemon wrote its number; tests point it elsewhere */

/* The console daemon's number; 0: it has ended; -1: not known. */
pid_t health_console(void);
/* Looks at them; asks xenstored one question or two. */
struct health health_look(struct ctl *ctl);
/* In a word or two, for `info`. */
const char *health_store_name(enum health_store store);
/*
 * What is wrong, and what to do, a line each on standard error. `watched`: some guest counts on the supervisor.
 * Says nothing when all is well.
 */
void health_tell(const struct health *h, bool watched);

#endif
