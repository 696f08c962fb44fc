// SPDX-License-Identifier: BSD-2-Clause
/*
 * Nodes of xenstore, introduction of domains, and waiting for changes.
 *
 * Place: the only file besides build_store.c that talks to xenstored. Invariant: what a guest wrote is only ever a
 * string here, terminated and of bounded length. One connection per handle; watches set here are taken away by the
 * function that set them.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libctl/internal.h"

int ctl_path(char path[CTL_PATH_MAX], const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(path, CTL_PATH_MAX, fmt, args);
    va_end(args);
    return n < 0 || n >= CTL_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* What the library says of a connection without another end. A call that waits meanwhile gets EINVAL, as does one that
 * xenstored does not understand; the next one tells. */
static bool is_lost(struct ctl *ctl, int code)
{
    if (code == -EINVAL) {
        char *value = xs_read(ctl->store, XBT_NULL, "/", NULL);

        code = value ? 0 : -errno;
        free(value);
    }
    return code == -EBADF || code == -EPIPE || code == -ECONNRESET;
}

int ctl_store_fail(struct ctl *ctl, struct ctl_error *err, int code, const char *step, const char *path)
{
    code = code ? code : -EIO;
    if (is_lost(ctl, code)) {
        return ctl_error_set(err, -ECONNREFUSED, step, path, "it has ended meanwhile: start it again",
                             "xenstored does not answer");
    }
    return ctl_error_set(err, code, step, path, code == -EACCES ? ctl_hint(code) : NULL,
                         code == -ENOENT   ? "the node does not exist"
                         : code == -EAGAIN ? "others, a guest perhaps, write to it all the time"
                                           : "xenstored refused");
}

char *ctl_store_read(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);
    unsigned length;
    char *value;

    if (!store) {
        return NULL;
    }
    value = xs_read(store, XBT_NULL, path, &length);
    if (!value) {
        ctl_store_fail(ctl, err, -errno, "read from xenstore", path);
    }
    return value;
}

int ctl_store_answers(struct ctl *ctl, struct ctl_error *err)
{
    struct ctl_error why = {0};
    char *value = ctl_store_read(ctl, "/", &why);
    bool answers = value || why.code == -ENOENT;

    free(value);
    if (!answers && err) {
        *err = why;
    }
    return answers ? 0 : why.code;
}

char *ctl_store_read_domain(struct ctl *ctl, uint32_t domid, const char *node, struct ctl_error *err)
{
    char path[CTL_PATH_MAX];

    if (ctl_path(path, "/local/domain/%u/%s", domid, node) < 0) {
        return NULL;
    }
    return ctl_store_read(ctl, path, err);
}

int ctl_store_write(struct ctl *ctl, const char *path, const char *value, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);

    if (!store) {
        return -ECONNREFUSED;
    }
    if (!xs_write(store, XBT_NULL, path, value, strlen(value))) {
        return ctl_store_fail(ctl, err, -errno, "write to xenstore", path);
    }
    return 0;
}

static int write_if_known(struct xs_handle *store, xs_transaction_t t, uint32_t domid, const char *path,
                          const char *value)
{
    char domain[CTL_PATH_MAX];
    char *known;

    ctl_path(domain, "/local/domain/%u", domid);
    known = xs_read(store, t, domain, NULL);
    if (!known) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    free(known);
    return xs_write(store, t, path, value, strlen(value)) ? 0 : -errno;
}

int ctl_store_write_domain(struct ctl *ctl, uint32_t domid, const char *path, const char *value, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);
    int rc = -EAGAIN;

    if (!store) {
        return -ECONNREFUSED;
    }
    for (int tries = 0; rc == -EAGAIN && tries < CTL_STORE_TRIES; tries++) {
        xs_transaction_t t = xs_transaction_start(store);

        if (t == XBT_NULL) {
            return ctl_store_fail(ctl, err, -errno, "write to xenstore", path);
        }
        rc = write_if_known(store, t, domid, path, value);
        if (!xs_transaction_end(store, t, rc < 0) && rc == 0) {
            rc = -errno;
        }
    }
    if (rc == -ESRCH) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("write to xenstore", domid), "it is dying, or gone");
    }
    return rc < 0 ? ctl_store_fail(ctl, err, rc, "write to xenstore", path) : 0;
}

static int change_node(struct xs_handle *store, xs_transaction_t t, const struct ctl_store_change *c)
{
    if (c->only_if) {
        char *now = xs_read(store, t, c->path, NULL);
        int rc = now || errno == ENOENT ? 0 : -errno;
        bool same = now && strcmp(now, c->only_if) == 0;

        free(now);
        if (!same) {
            return rc;
        }
    }
    if (c->value) {
        return xs_write(store, t, c->path, c->value, strlen(c->value)) ? 0 : -errno;
    }
    return xs_rm(store, t, c->path) || errno == ENOENT ? 0 : -errno;
}

int ctl_store_change(struct ctl *ctl, const struct ctl_store_change *changes, unsigned n, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);
    int rc = -EAGAIN;

    if (!store) {
        return -ECONNREFUSED;
    }
    for (int tries = 0; rc == -EAGAIN && tries < CTL_STORE_TRIES; tries++) {
        xs_transaction_t t = xs_transaction_start(store);

        if (t == XBT_NULL) {
            return ctl_store_fail(ctl, err, -errno, "write to xenstore", changes->path);
        }
        rc = 0;
        for (unsigned i = 0; i < n && rc == 0; i++) {
            rc = change_node(store, t, &changes[i]);
        }
        if (!xs_transaction_end(store, t, rc < 0) && rc == 0) {
            rc = -errno;
        }
    }
    return rc < 0 ? ctl_store_fail(ctl, err, rc, "write to xenstore", changes->path) : 0;
}

int ctl_store_remove(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);

    if (!store) {
        return -ECONNREFUSED;
    }
    if (!xs_rm(store, XBT_NULL, path) && errno != ENOENT) {
        return ctl_store_fail(ctl, err, -errno, "remove from xenstore", path);
    }
    return 0;
}

void ctl_store_prune(struct ctl *ctl, const char *path)
{
    struct xs_handle *store = ctl_store_handle(ctl, NULL);
    bool again = store != NULL;

    for (int tries = 0; again && tries < CTL_STORE_TRIES; tries++) {
        xs_transaction_t t = xs_transaction_start(store);
        unsigned count = 1;

        if (t == XBT_NULL) {
            return;
        }
        free(xs_directory(store, t, path, &count));
        if (count == 0) {
            xs_rm(store, t, path);
        }
        again = !xs_transaction_end(store, t, count != 0) && errno == EAGAIN;
    }
}

int ctl_store_list(struct ctl *ctl, const char *path, char ***names, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);
    unsigned count = 0;

    *names = NULL;
    if (!store) {
        return -ECONNREFUSED;
    }
    *names = xs_directory(store, XBT_NULL, path, &count);
    if (!*names && errno != ENOENT) {
        return ctl_store_fail(ctl, err, -errno, "list in xenstore", path);
    }
    return *names ? (int)count : 0;
}

int ctl_store_introduce(struct ctl *ctl, uint32_t domid, uint64_t ring_frame, uint32_t port, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);

    if (!store) {
        return -ECONNREFUSED;
    }
    if (!xs_introduce_domain(store, domid, ring_frame, port)) {
        return ctl_fail_domain(ctl, err, -errno, CTL_AT("introduce to xenstore", domid),
                               "xenstored could not use the domain's ring");
    }
    return 0;
}

int ctl_store_release(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);

    if (!store) {
        return -ECONNREFUSED;
    }
    if (!xs_release_domain(store, domid)) {
        return ctl_fail_domain(ctl, err, -errno, CTL_AT("release in xenstore", domid),
                               "xenstored does not know the domain");
    }
    return 0;
}

int ctl_store_watch(struct ctl *ctl, const char *path, struct ctl_error *err)
{
    struct xs_handle *store = ctl_store_handle(ctl, err);

    if (!store) {
        return -ECONNREFUSED;
    }
    if (!xs_watch(store, path, path)) {
        return ctl_store_fail(ctl, err, -errno, "watch in xenstore", path);
    }
    return 0;
}

int ctl_store_fd(struct ctl *ctl)
{
    return ctl->store ? xs_fileno(ctl->store) : -1;
}

char *ctl_store_event(struct ctl *ctl)
{
    char **event = ctl->store ? xs_check_watch(ctl->store) : NULL;
    char *path = event ? strdup(event[XS_WATCH_PATH]) : NULL;

    free(event);
    return path;
}

uint64_t ctl_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

uint64_t ctl_deadline(unsigned timeout_ms)
{
    return timeout_ms == CTL_WAIT_FOREVER ? UINT64_MAX : ctl_now_ms() + timeout_ms;
}

/* Takes all events that have arrived. */
static void drain(struct xs_handle *store)
{
    char **event;

    while ((event = xs_check_watch(store))) {
        free(event);
    }
}

int ctl_store_wait(struct ctl *ctl, uint64_t until_ms)
{
    struct xs_handle *store = ctl_store_handle(ctl, NULL);
    uint64_t now = ctl_now_ms(), left = now < until_ms ? until_ms - now : 0;
    struct pollfd fd = {.events = POLLIN};
    int rc;

    if (!store) {
        return -ECONNREFUSED;
    }
    if (!left) {
        return -ETIMEDOUT;
    }
    /* A second at most: a domain's death may be seen by looking before xenstored tells. */
    fd.fd = xs_fileno(store);
    rc = poll(&fd, 1, left < 1000 ? (int)left : 1000);
    if (rc < 0 && errno != EINTR) { /* a signal that somebody handles: whoever waits looks again */
        return -errno;
    }
    if (rc > 0) {
        drain(store);
    }
    return 0;
}
