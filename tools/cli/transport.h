/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way to another host: a process whose standard input and output lead to `umbra migrate-receive` there.
 */
#ifndef CLI_TRANSPORT_H
#define CLI_TRANSPORT_H

#include <sys/types.h>

#include "libctl/ctl.h"

#define TRANSPORT_SSH "ssh"

struct transport {
    pid_t child;
    int to, from; /* `to` does not block */
};

/* ssh, or a command line for the shell, which has the host as $1 and $UMBRA_HOST. */
int transport_open(struct transport *t, const char *how, const char *host, struct ctl_error *err);
/* Both ways end; the process is waited for, then killed. */
void transport_close(struct transport *t);

#endif
