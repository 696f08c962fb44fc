/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way to another host: a process whose standard input and output lead to `umbra migrate-receive` there; and the
 * other end of one of those ways, which waits for connections.
 */
#ifndef CLI_TRANSPORT_H
#define CLI_TRANSPORT_H

#include <sys/types.h>

#include "libctl/ctl.h"

#define TRANSPORT_SSH "ssh"
#define TRANSPORT_TCP "tcp" /* encrypted, with a key that both hosts have */

struct way {
    const char *how, *host; /* ssh; tcp, to HOST:PORT; or a command line, which has the host as $1 and $UMBRA_HOST */
    const char *key;        /* of tcp: the file that it is in */
    bool own;               /* not on a connection that ssh has already */
    bool no_watch, paused;  /* of ssh: what the receiver is told, as its own options */
};

struct transport {
    pid_t child;
    int to, from; /* `to` does not block */
};

int transport_open(struct transport *t, const struct way *way, struct ctl_error *err);
/* Both ways of each end; the processes are waited for, then killed. */
void transport_close(struct transport *list, unsigned n);
/*
 * Becomes what waits for tcp connections, and runs `umbra WORDS...` for each that has the key; WORDS ends with NULL.
 * Returns only if it cannot: -errno.
 */
int transport_listen(const char *where, const char *key, bool once, const char *const words[], struct ctl_error *err);

#endif
