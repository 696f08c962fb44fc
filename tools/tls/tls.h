/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection, encrypted, with a key that both ends have: TLS 1.3, a pre-shared key and a fresh exchange of keys,
 * and nothing else. The library that does it is known to tls.c alone.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TLS_KEY_SIZE 32

struct tls;

/* On a socket, which is the caller's and does not block from now on. NULL: no memory. */
struct tls *tls_new(int sock, bool server, const uint8_t key[TLS_KEY_SIZE]);
void tls_free(struct tls *t);
/* 0; -EACCES: the other end has not the key, or is none of ours; -ETIMEDOUT; -EPIPE: it went away. */
int tls_handshake(struct tls *t, unsigned timeout_ms);
/*
 * Bytes; -EAGAIN: when the socket is ready. tls_read: 0, the other end says that it is at its end, which nobody else
 * can say for it; -EPIPE: the connection ended otherwise. tls_write after -EAGAIN: the same bytes again.
 */
ssize_t tls_read(struct tls *t, void *to, size_t size);
ssize_t tls_write(struct tls *t, const void *from, size_t size);
/* Says that here is the end. 0, or -errno as above. */
int tls_end(struct tls *t);
/* What the library says of the last error, for people. */
const char *tls_why(const struct tls *t);

#endif
