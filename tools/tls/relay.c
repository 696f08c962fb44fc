/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two ways of a connection in one loop, a buffer for each. Nothing blocks but poll. A way ends with a word, which
 * the other end says encrypted; a connection that ends without it was cut, by whomever, and that is an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tls/relay.h"

#define BUFFER_SIZE 65536
#define LEAVE_MS    5000

struct buffer {
    size_t at, end;
    char data[BUFFER_SIZE];
};

struct ways {
    struct relay *r;
    struct buffer up, down; /* to the other end, and from it */
    bool in_ended, out_gone, said_end, heard_end;
    uint64_t ended_ms; /* when we had said all */
    int failed;        /* nothing can be sent any more; what has come is passed on all the same */
};

enum { IN, OUT, SOCK, FDS };

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_empty(const struct buffer *b)
{
    return b->at == b->end;
}

static void put(struct buffer *b, size_t n)
{
    b->at = 0;
    b->end = n;
}

static bool would_block(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* --- to the other end; each step returns 0, -EAGAIN: nothing more now, or another -errno --- */

static int read_ours(struct ways *w)
{
    ssize_t n = read(w->r->in, w->up.data, BUFFER_SIZE);

    if (would_block(n))
        return -EAGAIN;
    w->in_ended = n <= 0;
    put(&w->up, n > 0 ? (size_t)n : 0);
    return 0;
}

static int send_up(struct ways *w)
{
    ssize_t n;

    if (is_empty(&w->up)) {
        if (!w->in_ended)
            return read_ours(w);
        if (w->said_end)
            return -EAGAIN;
        n = tls_end(w->r->tls);
        w->said_end = n >= 0;
        w->ended_ms = now_ms();
        return (int)n;
    }
    n = tls_write(w->r->tls, w->up.data + w->up.at, w->up.end - w->up.at);
    w->up.at += n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : 0;
}

/* --- from the other end --- */

static void close_out(struct ways *w)
{
    if (w->r->out >= 0)
        close(w->r->out);
    w->r->out = -1;
}

static int write_ours(struct ways *w)
{
    ssize_t n = w->out_gone ? (ssize_t)(w->down.end - w->down.at)
                            : write(w->r->out, w->down.data + w->down.at, w->down.end - w->down.at);

    if (would_block(n))
        return -EAGAIN;
    w->out_gone |= n < 0;
    w->down.at += n > 0 ? (size_t)n : 0;
    return 0;
}

static int take_down(struct ways *w)
{
    ssize_t n;

    if (!is_empty(&w->down))
        return write_ours(w);
    if (w->heard_end)
        return -EAGAIN;
    n = tls_read(w->r->tls, w->down.data, BUFFER_SIZE);
    if (n < 0)
        return (int)n;
    put(&w->down, (size_t)n);
    w->heard_end = n == 0;
    if (w->heard_end)
        close_out(w);
    return 0;
}

/* --- both --- */

static bool is_done(const struct ways *w)
{
    if (w->heard_end && is_empty(&w->down) && (w->said_end || w->r->follows))
        return true;
    /* The connection stays for what is on its way: a reset would take it back. */
    return w->said_end && !w->r->follows && now_ms() - w->ended_ms >= LEAVE_MS;
}

static void wait_any(const struct ways *w)
{
    bool up_waits = is_empty(&w->up) && !w->in_ended, down_waits = !is_empty(&w->down) && !w->out_gone;
    struct pollfd p[FDS] = {
        [IN] = {.fd = up_waits ? w->r->in : -1, .events = POLLIN},
        [OUT] = {.fd = down_waits ? w->r->out : -1, .events = POLLOUT},
        [SOCK] = {.fd = w->r->sock},
    };

    if (!up_waits && !w->said_end)
        p[SOCK].events |= POLLOUT;
    if (is_empty(&w->down) && !w->heard_end)
        p[SOCK].events |= POLLIN;
    if (!p[SOCK].events)
        p[SOCK].fd = -1; /* its errors are seen when it is used */
    poll(p, FDS, w->said_end ? LEAVE_MS : -1);
}

static void cannot_send(struct ways *w, int error)
{
    w->failed = error;
    w->in_ended = w->said_end = true;
    w->ended_ms = now_ms();
    put(&w->up, 0);
}

static int run(struct ways *w)
{
    while (!is_done(w)) {
        int up = send_up(w), down = take_down(w);

        if (down < 0 && down != -EAGAIN)
            return down;
        if (up < 0 && up != -EAGAIN)
            cannot_send(w, up);
        if (up == -EAGAIN && down == -EAGAIN && !is_done(w))
            wait_any(w);
    }
    if (!w->said_end)
        tls_end(w->r->tls);
    return w->failed;
}

int relay_run(struct relay *r)
{
    struct ways *w = calloc(1, sizeof(*w));
    int rc = -ENOMEM;

    if (w) {
        w->r = r;
        fcntl(r->in, F_SETFL, fcntl(r->in, F_GETFL) | O_NONBLOCK);
        fcntl(r->out, F_SETFL, fcntl(r->out, F_GETFL) | O_NONBLOCK);
        rc = run(w);
        close_out(w);
        explicit_bzero(w, sizeof(*w));
    }
    free(w);
    close(r->in);
    r->in = -1;
    return rc;
}
