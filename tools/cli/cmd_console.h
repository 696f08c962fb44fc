/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `create -c` shares with `console`.
 */
#ifndef CLI_CMD_CONSOLE_H
#define CLI_CMD_CONSOLE_H

#include "cli/cli.h"

/* Waits for the guest's terminal and opens it: a descriptor or -errno. */
int console_open(struct ctl *ctl, uint32_t domid, struct ctl_error *err);
/* Runs the terminal and closes it. Returns an exit code. */
int console_attach(struct cli *cli, int fd, int escape);

#endif
