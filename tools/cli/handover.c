/* SPDX-License-Identifier: BSD-2-Clause */
/* Words between two hosts (see handover.h). They have fixed lengths; all but the banner end with a NUL. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/handover.h"

#define LONGEST 64
#define STEP    "hand over"

unsigned handover_stuck_ms = 120000, handover_silence_ms = 300000;
volatile sig_atomic_t handover_cancelled, handover_done;

static struct {
    void (*tell)(void *ctx);
    void *ctx;
} meanwhile;

static const struct word {
    const char *text;
    size_t size;
    const char *what;
} words[] = {
#define WORD(text, extra, what)                \
    {                                          \
        text, sizeof(text) - 1 + (extra), what \
    }
    [HANDOVER_BANNER] = WORD("xl migration receiver ready, send binary domain data.\n", 0, "its banner"),
    [HANDOVER_READY] = WORD("domain received, ready to unpause", 1, "that the guest is complete"),
    [HANDOVER_GO] = WORD("domain is yours, you are cleared to unpause", 1, "the permission to go on"),
    [HANDOVER_REPORT] = WORD("my copy unpause results are as follows", 1, "whether the guest runs"),
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void handover_meanwhile(void (*tell)(void *ctx), void *ctx)
{
    meanwhile.tell = tell;
    meanwhile.ctx = ctx;
}

/* 0: there is something to do with it; or -errno. */
static int wait_for(int fd, short events, uint64_t until, struct ctl_error *err)
{
    while (handover_done || !handover_cancelled) {
        struct pollfd p = {.fd = fd, .events = events};
        uint64_t now = now_ms(), left = until > now ? until - now : 0;
        int n = poll(&p, 1, left < 250 ? (int)left : 250); /* a signal may come just before it waits */

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return ctl_error_set(err, -errno, STEP, NULL, NULL, "the connection fails");
        if (!left)
            return ctl_error_set(err, -ETIMEDOUT, STEP, NULL, NULL, "the other side does not answer");
        if (meanwhile.tell)
            meanwhile.tell(meanwhile.ctx);
    }
    return ctl_error_set(err, -EINTR, STEP, NULL, NULL, "interrupted");
}

int handover_write(int fd, const void *data, size_t size, struct ctl_error *err)
{
    const char *p = data;
    uint64_t until = now_ms() + handover_stuck_ms;

    while (size) {
        ssize_t n = write(fd, p, size);

        if (n < 0 && errno == EAGAIN) {
            int rc = wait_for(fd, POLLOUT, until, err);

            if (rc < 0)
                return rc;
        } else if (n < 0 && errno != EINTR) {
            return ctl_error_set(err, -errno, STEP, NULL, NULL, "the other side does not listen any more");
        }
        p += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int handover_say(int fd, enum handover what, struct ctl_error *err)
{
    return handover_write(fd, words[what].text, words[what].size, err);
}

static int read_all(int fd, char *to, size_t size, unsigned timeout_ms, struct ctl_error *err)
{
    uint64_t until = now_ms() + timeout_ms;

    for (size_t got = 0; got < size;) {
        int rc = wait_for(fd, POLLIN, until, err);
        ssize_t n = rc < 0 ? rc : read(fd, to + got, size - got);

        if (rc < 0)
            return rc;
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return ctl_error_set(err, -EPIPE, STEP, NULL, "see what it said, above or in its log",
                                 "the other side ended after saying \"%.*s\"", (int)got, to);
        got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int handover_expect(int fd, enum handover what, unsigned timeout_ms, struct ctl_error *err)
{
    char said[LONGEST + 1] = "";
    int rc = read_all(fd, said, words[what].size, timeout_ms, err);

    if (rc == 0 && memcmp(said, words[what].text, words[what].size) != 0)
        rc = ctl_error_set(err, -EPROTO, STEP, NULL, "a login script there may print something",
                           "the other side did not say %s but \"%s\"", words[what].what, said);
    return rc;
}

int handover_status(int fd, uint8_t *status, unsigned timeout_ms, struct ctl_error *err)
{
    return read_all(fd, (char *)status, 1, timeout_ms, err);
}

int handover_line(int fd, char *line, size_t size, unsigned timeout_ms, struct ctl_error *err)
{
    uint64_t until = now_ms() + timeout_ms;

    for (size_t got = 0; got < size;) {
        int rc = wait_for(fd, POLLIN, until, err);
        ssize_t n = rc < 0 ? rc : read(fd, line + got, 1);

        if (rc < 0)
            return rc;
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            break;
        if (n == 1 && line[got] == '\n') {
            line[got] = '\0';
            return 0;
        }
        got += n > 0;
    }
    return ctl_error_set(err, -EPROTO, "ask the other side", NULL, "it may be another tool than umbra, or an older one",
                         "it does not answer questions");
}
