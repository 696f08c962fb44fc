/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest prints as much as it likes: its console's log is moved aside when it has grown large, and some of these are
 * kept. The supervisor sees to it, for the guests of other tools as well. `console` shows the end of one.
 */
#ifndef CLI_CONSOLE_LOGS_H
#define CLI_CONSOLE_LOGS_H

#include <stdio.h>

extern const char *console_logs_dir; /* tests point it elsewhere */

/* To be called now and then; looks at most every other second. */
void console_logs_trim(void);
/* The last lines of a guest's log, of its last 16 KiB, and where they are from; nothing if there is none. */
void console_logs_show(FILE *f, const char *name, unsigned lines);

#endif
