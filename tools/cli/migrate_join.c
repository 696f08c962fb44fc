/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several connections for a guest's pages, at the receiver. ssh, or umbra-tls, starts a process for each. That of the
 * first one answers with a place and a secret, made for this move, and waits at that place for the others. Each of
 * them was let in by its transport as the first one was; it gives the first its connection, with the secret that its
 * sender has told, and from then on only stays, since its transport ends when it does.
 *
 * The place is a socket without a file, which is gone with its process. Anybody on this host can see and try it: who
 * is not of the same user is not listened to, and who has not the secret gets nothing, and harms nothing. When all are
 * there it is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/migrate.h"

#define STEP    "open a connection"
#define JOIN_MS 60000 /* a login may take a while */
#define LATE_MS 5000  /* both are here */
#define PLACE   "umbra-move-%.32s"

/* With no name in the file system: the name begins with a NUL. */
static socklen_t address_of(const char *place, struct sockaddr_un *a)
{
    int n;

    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, PLACE, place);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* A connection, with the secret or the answer to it. */
struct parcel {
    struct iovec io;
    struct msghdr m;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
};

static void wrap(struct parcel *p, void *text, size_t size)
{
    memset(p, 0, sizeof(*p));
    p->io = (struct iovec){text, size};
    p->m = (struct msghdr){
        .msg_iov = &p->io, .msg_iovlen = 1, .msg_control = &p->control, .msg_controllen = sizeof(p->control)};
}

static void set_patience(int sock)
{
    const struct timeval t = {.tv_sec = LATE_MS / 1000};

    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

/* --- the first one --- */

static int make_secret(char *text, size_t bytes)
{
    uint8_t raw[MIGRATE_TOKEN];

    if (getrandom(raw, bytes, 0) != (ssize_t)bytes)
        return -EIO;
    for (size_t i = 0; i < bytes; i++)
        sprintf(text + 2 * i, "%02x", raw[i]);
    return 0;
}

static int open_place(struct gathering *g, char place[33])
{
    struct sockaddr_un a;
    socklen_t size;
    int rc = make_secret(place, 16);

    if (rc == 0)
        rc = make_secret(g->token, MIGRATE_TOKEN);
    if (rc)
        return rc;
    size = address_of(place, &a);
    g->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (g->listener < 0 || bind(g->listener, (struct sockaddr *)&a, size) || listen(g->listener, CTL_STREAMS_MAX))
        return -errno;
    return 0;
}

/* It takes as long wherever it differs. */
static bool is_secret(const struct gathering *g, const char *said, ssize_t size)
{
    uint8_t differs = size != sizeof(g->token);

    for (size_t i = 0; i < sizeof(g->token) && size == sizeof(g->token); i++)
        differs |= (uint8_t)(said[i] ^ g->token[i]);
    return !differs;
}

/* The connection that came with the secret, or -1. */
static int unwrap(const struct gathering *g, int sock)
{
    char said[sizeof(g->token) + 1];
    struct parcel p;
    struct cmsghdr *c;
    ssize_t n;
    int fd = -1;

    wrap(&p, said, sizeof(said));
    n = recvmsg(sock, &p.m, MSG_CMSG_CLOEXEC);
    c = n > 0 ? CMSG_FIRSTHDR(&p.m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (fd >= 0 && !is_secret(g, said, n)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_ours(int sock)
{
    struct ucred who;
    socklen_t size = sizeof(who);

    return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == geteuid();
}

/* Whoever is there next; one that is nobody of ours is sent away. */
static void take_next(struct gathering *g)
{
    int sock = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC), fd;
    uint8_t taken;

    if (sock < 0)
        return;
    set_patience(sock);
    fd = is_ours(sock) ? unwrap(g, sock) : -1;
    taken = fd >= 0;
    if (send(sock, &taken, sizeof(taken), MSG_NOSIGNAL) != sizeof(taken) || fd < 0) {
        if (fd >= 0)
            close(fd);
        close(sock);
        return;
    }
    g->other[g->n].keeper = sock;
    g->other[g->n++].in = fd;
}

static int wait_all(struct gathering *g, unsigned others, int in, struct ctl_error *err)
{
    while (g->n < others) {
        struct pollfd p[2] = {{.fd = g->listener, .events = POLLIN}, {.fd = in, .events = POLLIN}};
        int n = poll(p, 2, JOIN_MS);

        if (n == 0 || p[1].revents)
            return ctl_error_set(err, n ? -EPIPE : -ETIMEDOUT, STEP, NULL, NULL,
                                 "the sender %s before connection %u of %u was there", n ? "went on" : "waits",
                                 g->n + 2, others + 1);
        if (n > 0)
            take_next(g);
    }
    close(g->listener);
    g->listener = -1;
    return 0;
}

int migrate_gather(struct gathering *g, unsigned streams, int in, int out, struct ctl_error *err)
{
    struct json_out *o = migrate_answer_new();
    char place[33] = "";
    int rc = streams > 1 ? open_place(g, place) : 0;

    json_out_uint(o, "streams", streams);
    if (streams > 1) {
        json_out_str(o, "place", place);
        json_out_str(o, "token", g->token);
    }
    if (rc < 0) {
        json_out_close(o);
        free(json_out_end(o));
        return ctl_error_set(err, rc, STEP, NULL, NULL, "no place can be made where the others come");
    }
    rc = migrate_answer_say(out, o, err);
    return rc < 0 ? rc : wait_all(g, streams - 1, in, err);
}

void migrate_scatter(struct gathering *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        close(g->other[i].in);
        close(g->other[i].keeper);
    }
    if (g->listener >= 0)
        close(g->listener);
    g->n = 0;
    g->listener = -1;
}

/* --- another one --- */

static int find_first(const struct json_value *question, struct ctl_error *err)
{
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), rc;
    const char *place = json_text(question, "place");
    struct sockaddr_un a;
    socklen_t size = address_of(place ? place : "", &a);

    if (sock >= 0 && connect(sock, (struct sockaddr *)&a, size) == 0)
        return sock;
    rc = -errno;
    if (sock >= 0)
        close(sock);
    return ctl_error_set(err, rc, STEP, NULL, NULL, "no guest waits for this connection");
}

static int give(int sock, const char *token, int in, struct ctl_error *err)
{
    char text[2 * MIGRATE_TOKEN + 1];
    struct parcel p;
    struct cmsghdr *c;
    uint8_t taken = 0;

    snprintf(text, sizeof(text), "%s", token ? token : "");
    wrap(&p, text, sizeof(text));
    c = CMSG_FIRSTHDR(&p.m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &in, sizeof(in));
    set_patience(sock);
    if (sendmsg(sock, &p.m, MSG_NOSIGNAL) < 0 || recv(sock, &taken, sizeof(taken), 0) != sizeof(taken) || !taken)
        return ctl_error_set(err, -EACCES, STEP, NULL, NULL, "it is not one of the move that it says");
    return 0;
}

/* It is the first one's now: its end is seen there alone. */
static void let_go_of(int in)
{
    int none = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (none >= 0) {
        dup2(none, in);
        close(none);
    }
}

static void stay(int sock)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};

    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
}

int migrate_join(const struct json_value *question, int in, int out, struct ctl_error *err)
{
    struct json_out *o = migrate_answer_new();
    int sock = find_first(question, err), rc, said;

    rc = sock < 0 ? sock : give(sock, json_text(question, "token"), in, err);
    if (rc >= 0)
        let_go_of(in);
    json_out_bool(o, "ok", rc >= 0);
    if (rc < 0)
        json_out_str(o, "message", err->message);
    said = migrate_answer_say(out, o, rc < 0 ? NULL : err);
    if (rc >= 0 && said >= 0)
        stay(sock);
    if (sock >= 0)
        close(sock);
    return rc < 0 ? rc : said;
}
