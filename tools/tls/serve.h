/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiver's end: a command for each connection that has the key. */
#ifndef TLS_SERVE_H
#define TLS_SERVE_H

#include "tls/tls.h"

#define HANDSHAKE_MS 10000

/* Permits, each a pipe with a byte in it (serve.c): of this connection, and of the only one that comes in. */
struct door {
    int own, only;
};

struct serve {
    int listener;
    const uint8_t *key;
    bool once; /* one connection that has the key, then the end */
    char *const *command;
    const struct door *door; /* set by serve() for each; NULL: whoever has the key comes in */
};

/* Does not return if not once. An exit code: the command's. */
int serve(const struct serve *s);
/* One connection, which is closed. *let_in: it had the key, and no other came first. */
int serve_one(const struct serve *s, int sock, const char *from, bool *let_in);
/* Says on standard error what a handshake came to. */
void say_refused(const char *whom, int error, const char *why);

#endif
