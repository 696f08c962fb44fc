/* SPDX-License-Identifier: BSD-2-Clause */
/* Verbs that another verb runs, each in a process of its own, so that one that fails, or is killed, takes nobody along.
 */
#ifndef CLI_VERB_CHILD_H
#define CLI_VERB_CHILD_H

#include <sys/types.h>

/* `umbra VERB OPTION A [B]` with this process's output; b: or NULL. Its process, for verb_end(); -1: there is none. */
pid_t verb_begin(const char *verb, const char *option, const char *a, const char *b);
/* Waits for it. Its exit status; EXIT_FAILED if it was killed, or there was none. */
int verb_end(pid_t child);
int verb_run(const char *verb, const char *option, const char *a, const char *b);

#endif
