/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets for the relay. The other host is believed dead when for NET_DEAD_MS it acknowledges nothing: neither data
 * (TCP_USER_TIMEOUT) nor, while there is none, the probes that begin after a third of that.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/net.h"

#define NET_DEAD_MS 60000
#define PROBES      4
#define BACKLOG     16

void net_fill_standard_files(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

struct place {
    char host[NET_NAME_SIZE], port[8];
};

/* HOST:PORT, [HOST]:PORT. */
static int split(const char *where, struct place *p)
{
    const char *colon = strrchr(where, ':');
    size_t length = colon ? (size_t)(colon - where) : 0;
    bool brackets = length > 2 && where[0] == '[' && colon[-1] == ']';

    if (brackets) {
        where++;
        length -= 2;
    }
    if (!length || length >= sizeof(p->host) || (!brackets && memchr(where, ':', length)))
        return -EINVAL;
    if (strlen(colon + 1) > 5 || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        atoi(colon + 1) > 65535)
        return -EINVAL;
    if (*where == '*') /* the C library takes it for all interfaces */
        return -EINVAL;
    memcpy(p->host, where, length);
    p->host[length] = '\0';
    snprintf(p->port, sizeof(p->port), "%s", colon + 1);
    return 0;
}

static int look_up(const char *where, int flags, struct addrinfo **list, char *why, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct place p;
    int rc = split(where, &p);

    if (rc) {
        snprintf(why, size, "is not ADDRESS:PORT, or [ADDRESS]:PORT");
        return rc;
    }
    rc = getaddrinfo(p.host, p.port, &hints, list);
    if (rc == 0)
        return 0;
    snprintf(why, size, "%s", rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return -EADDRNOTAVAIL;
}

static int set_options(int sock)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, NET_DEAD_MS / 1000 / 3},
        {IPPROTO_TCP, TCP_KEEPINTVL, NET_DEAD_MS / 1000 * 2 / 3 / PROBES},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, NET_DEAD_MS},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (setsockopt(sock, options[i].level, options[i].name, &options[i].value, sizeof(int)))
            return -errno;
    }
    return 0;
}

static int open_socket(const struct addrinfo *a)
{
    int sock = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);

    return sock < 0 ? -errno : sock;
}

/* --- listening --- */

static int listen_at(const struct addrinfo *a)
{
    int sock = open_socket(a), on = 1, rc = 0;

    if (sock < 0)
        return sock;
    if (setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) || bind(sock, a->ai_addr, a->ai_addrlen) ||
        listen(sock, BACKLOG))
        rc = -errno;
    if (rc == 0)
        return sock;
    close(sock);
    return rc;
}

int net_listen(const char *where, char *why, size_t size)
{
    struct addrinfo *list;
    int rc = look_up(where, AI_NUMERICHOST, &list, why, size);

    if (rc)
        return rc;
    rc = listen_at(list);
    freeaddrinfo(list);
    if (rc < 0)
        snprintf(why, size, "%s", strerror(-rc));
    return rc;
}

static void name_of(const struct sockaddr *sa, socklen_t length, char name[NET_NAME_SIZE])
{
    char host[64], port[8];

    if (getnameinfo(sa, length, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(name, NET_NAME_SIZE, "?");
    else
        snprintf(name, NET_NAME_SIZE, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

int net_accept(int listener, char from[NET_NAME_SIZE])
{
    struct sockaddr_storage sa = {0};
    socklen_t length = sizeof(sa);
    int sock = accept4(listener, (struct sockaddr *)&sa, &length, SOCK_CLOEXEC | SOCK_NONBLOCK), rc;

    if (sock < 0)
        return -errno;
    name_of((const struct sockaddr *)&sa, length, from);
    rc = set_options(sock);
    if (rc == 0)
        return sock;
    close(sock);
    return rc;
}

void net_name(int sock, char name[NET_NAME_SIZE])
{
    struct sockaddr_storage sa = {0};
    socklen_t length = sizeof(sa);

    if (getsockname(sock, (struct sockaddr *)&sa, &length))
        snprintf(name, NET_NAME_SIZE, "?");
    else
        name_of((const struct sockaddr *)&sa, length, name);
}

/* --- connecting --- */

static int finish(int sock, unsigned timeout_ms)
{
    struct pollfd p = {.fd = sock, .events = POLLOUT};
    int error = 0, n;
    socklen_t length = sizeof(error);

    do
        n = poll(&p, 1, (int)timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return -ETIMEDOUT;
    return getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &length) ? -errno : -error;
}

static int connect_to(const struct addrinfo *a, unsigned timeout_ms)
{
    int sock = open_socket(a), rc;

    if (sock < 0)
        return sock;
    rc = set_options(sock);
    if (rc == 0 && connect(sock, a->ai_addr, a->ai_addrlen))
        rc = errno == EINPROGRESS ? finish(sock, timeout_ms) : -errno;
    if (rc == 0)
        return sock;
    close(sock);
    return rc;
}

int net_connect(const char *where, unsigned timeout_ms, char *why, size_t size)
{
    struct addrinfo *list;
    int rc = look_up(where, 0, &list, why, size), sock = -EADDRNOTAVAIL;

    if (rc)
        return rc;
    for (const struct addrinfo *a = list; a && sock < 0; a = a->ai_next)
        sock = connect_to(a, timeout_ms);
    freeaddrinfo(list);
    if (sock < 0)
        snprintf(why, size, "%s", strerror(-sock));
    return sock;
}
