/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes between an encrypted connection and a pair of file descriptors. */
#ifndef TLS_RELAY_H
#define TLS_RELAY_H

#include "tls/tls.h"

struct relay {
    struct tls *tls;
    int sock;
    int in, out;  /* what is read from in goes to the other end, what comes from there to out. Both are closed */
    bool follows; /* when the other end is at its end, so are we: nobody there reads any more */
};

/*
 * Until both ends have said that they are at their end; or, if ours is and nobody takes what comes, a while after.
 * 0, or -errno: the connection was cut, and what came of the stream may lack its end.
 */
int relay_run(struct relay *r);

#endif
