/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest prints as much as it likes: its console's log is moved aside when it has grown large, and some of these are
 * kept. The supervisor sees to it, for the guests of other tools as well.
 */
#ifndef CLI_CONSOLE_LOGS_H
#define CLI_CONSOLE_LOGS_H

extern const char *console_logs_dir; /* tests point it elsewhere */

/* To be called now and then; looks at most every other second. */
void console_logs_trim(void);

#endif
