/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets by name: ADDRESS:PORT, an IPv6 address in brackets. All of them close on exec, and do not block. */
#ifndef TLS_NET_H
#define TLS_NET_H

#include <stddef.h>

#define NET_NAME_SIZE 96

/* Before any socket is made: none becomes one of the three files that are read from and printed to. */
void net_fill_standard_files(void);
/* A socket, or -errno; why then says more. What is listened at is an address, not a name, which may have several. */
int net_listen(const char *where, char *why, size_t size);
int net_connect(const char *where, unsigned timeout_ms, char *why, size_t size);
/* The next connection, and whose it is. -EAGAIN: there is none. */
int net_accept(int listener, char from[NET_NAME_SIZE]);
/* The address of this end. */
void net_name(int sock, char name[NET_NAME_SIZE]);

#endif
