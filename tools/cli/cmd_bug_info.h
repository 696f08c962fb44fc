/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verb bug-info prints of others' texts. */
#ifndef CLI_CMD_BUG_INFO_H
#define CLI_CMD_BUG_INFO_H

#include <stdio.h>

/* The text, with the values of words like "password=..." left out. */
void bug_info_put(FILE *f, const char *text);

#endif
