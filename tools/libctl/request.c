// SPDX-License-Identifier: BSD-2-Clause
/*
 * Asking a guest to stop, and waiting for domains to end.
 *
 * Place: the verbs shutdown, reboot, and whoever supervises. The protocol: the control domain writes a word to
 * control/shutdown, the guest's kernel empties the node when it takes the request. Invariant: a request that was not
 * taken is withdrawn, so that a guest does not act on it hours later.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

#define ASK_MS  200
#define REQUEST "/local/domain/%u/control/shutdown"

static const char *const words[] = {
    [CTL_REQUEST_POWEROFF] = "poweroff",
    [CTL_REQUEST_REBOOT] = "reboot",
    [CTL_REQUEST_SUSPEND] = "suspend",
    [CTL_REQUEST_HALT] = "halt",
};

/* 0 with a copy of the node's value, NULL without such a node; else it could not be asked for. */
static int read_node(struct ctl *ctl, uint32_t domid, const char *node, char **value, struct ctl_error *err)
{
    struct ctl_error why = {0};

    *value = ctl_store_read_domain(ctl, domid, node, &why);
    if (*value || why.code == -ENOENT) {
        return 0;
    }
    if (err) {
        *err = why;
    }
    return why.code;
}

/* A kernel that is up announces what it takes; one that boots has announced nothing yet. 1, 0 or -errno. */
static int announced(struct ctl *ctl, uint32_t domid, const char *word, struct ctl_error *err)
{
    char node[64] = "control/feature-";
    char *value;
    int rc;

    strncat(node, word, sizeof(node) - strlen(node) - 1);
    rc = read_node(ctl, domid, node, &value, err);
    rc = rc < 0 ? rc : value && strcmp(value, "1") == 0;
    free(value);
    return rc;
}

/* Still alive and able to answer? Fills *err when not. */
static int check_alive(struct ctl *ctl, uint32_t domid, const char *word, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    if (rc < 0) {
        return rc;
    }
    if (info.dying || info.shutdown) {
        return ctl_fail_domain(ctl, err, -ESRCH, CTL_AT(word, domid), "it has already shut down");
    }
    if (info.paused) {
        struct ctl_error where = {0};

        ctl_fail_domain(ctl, &where, -EBUSY, CTL_AT(word, domid), "%s", "");
        return ctl_error_set(err, -EBUSY, word, where.object, "unpause it first, or destroy it",
                             "it is paused and cannot take a request");
    }
    return 0;
}

int ctl_domain_takes(struct ctl *ctl, uint32_t domid, enum ctl_request what, struct ctl_error *err)
{
    const char *word = (unsigned)what < CTL_ARRAY(words) ? words[what] : NULL;
    int rc;

    if (!word || domid == 0) {
        return ctl_error_set(err, -EINVAL, "send a request", NULL, "domain 0 is shut down from inside",
                             "domain %u takes no such request", domid);
    }
    rc = check_alive(ctl, domid, word, err);
    if (rc < 0 || what != CTL_REQUEST_SUSPEND) {
        return rc;
    }
    rc = announced(ctl, domid, word, err);
    if (rc == 0) {
        struct ctl_error where = {0};

        rc = ctl_fail_domain(ctl, &where, -EOPNOTSUPP, CTL_AT(word, domid), "%s", "");
        ctl_error_set(err, rc, word, where.object, "if it is still booting, wait for that",
                      "its kernel has not announced that it can suspend");
    }
    return rc < 0 ? rc : 0;
}

struct waiting {
    uint64_t until;
    const struct ctl_wait *w;
    bool said; /* go_on has given up, or xenstored: *err has why */
};

/* Until something may have changed, or w->go_on is to be asked again. */
static int wait_some(struct ctl *ctl, struct waiting *s, struct ctl_error *err)
{
    uint64_t soon = ctl_deadline(ASK_MS);
    int rc = s->w->go_on ? s->w->go_on(s->w->ctx, err) : 0;

    if (rc < 0) {
        s->said = true;
        return rc;
    }
    if (!s->w->go_on || s->until <= soon) {
        return ctl_store_wait(ctl, s->until);
    }
    rc = ctl_store_wait(ctl, soon);
    return rc == -ETIMEDOUT ? 0 : rc;
}

/* Waits until the node no longer holds the word. */
static int wait_taken(struct ctl *ctl, uint32_t domid, const char *word, struct waiting *s, struct ctl_error *err)
{
    struct ctl_domain_info info;

    for (;;) {
        char *value;
        int rc = read_node(ctl, domid, "control/shutdown", &value, err);
        bool taken = rc == 0 && (!value || strcmp(value, word) != 0);

        free(value);
        /* A guest that went down meanwhile has answered well enough. */
        if (taken || ctl_domain_info(ctl, domid, &info, NULL) < 0 || info.shutdown || info.dying) {
            return 0;
        }
        s->said = rc < 0;
        rc = rc < 0 ? rc : wait_some(ctl, s, err);
        if (rc < 0) {
            return rc;
        }
    }
}

/* Empties the node unless the guest has taken the request in the meantime. Returns 1 when it was withdrawn, 0 when not,
 * or -errno; a guest that writes to it all the time is taken at its word. */
static int withdraw(struct ctl *ctl, uint32_t domid, const char *word, struct ctl_error *err)
{
    char path[CTL_PATH_MAX];

    ctl_path(path, REQUEST, domid);
    for (int tries = 0; tries < CTL_STORE_TRIES; tries++) {
        xs_transaction_t t = xs_transaction_start(ctl->store);
        char *value = xs_read(ctl->store, t, path, NULL);
        bool pending = value && strcmp(value, word) == 0;
        int code = value || errno == ENOENT ? 0 : -errno;

        if (pending && !xs_write(ctl->store, t, path, "", 0)) {
            code = -errno;
        }
        free(value);
        if (!xs_transaction_end(ctl->store, t, !pending || code < 0)) {
            code = -errno;
        }
        if (code != -EAGAIN) {
            return code < 0 ? ctl_store_fail(ctl, err, code, "withdraw the request", path) : pending;
        }
    }
    return 0;
}

static int not_taken(struct ctl *ctl, uint32_t domid, const char *word, int code, struct ctl_error *err)
{
    const char *hint = announced(ctl, domid, word, NULL) > 0
                           ? "the guest hangs or is paused; look at its console, or destroy it"
                           : "its kernel has not announced that it takes requests: it is still booting, or cannot";
    struct ctl_error where = {0};

    ctl_fail_domain(ctl, &where, code, CTL_AT(word, domid), "%s", "");
    return ctl_error_set(err, code, word, where.object, hint,
                         "the guest did not take the request in time; it was withdrawn");
}

/* Taken, in the last moment perhaps; or withdrawn. */
static int wait_answer(struct ctl *ctl, uint32_t domid, const char *word, struct waiting *s, struct ctl_error *err)
{
    int rc = wait_taken(ctl, domid, word, s, err), withdrawn;

    if (rc == 0) {
        return 0;
    }
    withdrawn = withdraw(ctl, domid, word, err);
    if (withdrawn <= 0) {
        return withdrawn;
    }
    return s->said ? rc : not_taken(ctl, domid, word, rc, err);
}

int ctl_request_within(struct ctl *ctl, uint32_t domid, enum ctl_request what, const struct ctl_wait *w,
                       struct ctl_error *err)
{
    struct waiting s = {.until = ctl_deadline(w->timeout_ms), .w = w};
    char path[CTL_PATH_MAX];
    const char *word;
    int rc = ctl_domain_takes(ctl, domid, what, err);

    if (rc < 0) {
        return rc;
    }
    word = words[what];
    ctl_path(path, REQUEST, domid);
    if (!ctl_store_handle(ctl, err)) {
        return -ECONNREFUSED;
    }
    xs_watch(ctl->store, path, "request");
    rc = ctl_store_write_domain(ctl, domid, path, word, err);
    if (rc == 0) {
        rc = wait_answer(ctl, domid, word, &s, err);
    }
    xs_unwatch(ctl->store, path, "request");
    return rc;
}

int ctl_domain_request(struct ctl *ctl, uint32_t domid, enum ctl_request what, unsigned timeout_ms,
                       struct ctl_error *err)
{
    return ctl_request_within(ctl, domid, what, &(struct ctl_wait){.timeout_ms = timeout_ms}, err);
}

/* Looks once. 1 when the domain has ended, 0 when it runs, or -errno. */
static int look(struct ctl *ctl, uint32_t domid, struct ctl_domain_end *end, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    memset(end, 0, sizeof(*end));
    if (rc == -ESRCH || (rc == 0 && info.dying)) {
        end->gone = true;
        return 1;
    }
    if (rc < 0) {
        return rc;
    }
    end->reason = info.shutdown_reason;
    return info.shutdown ? 1 : 0;
}

int ctl_wait_within(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, struct ctl_domain_end *end,
                    struct ctl_error *err)
{
    struct waiting s = {.until = ctl_deadline(w->timeout_ms), .w = w};
    int rc;

    if (!ctl_store_handle(ctl, err)) {
        return -ECONNREFUSED;
    }
    xs_watch(ctl->store, "@releaseDomain", "wait");
    while ((rc = look(ctl, domid, end, err)) == 0) {
        rc = wait_some(ctl, &s, err);
        if (rc < 0 && !s.said) {
            ctl_fail_domain(ctl, err, rc, CTL_AT("wait for the end", domid),
                            rc == -ETIMEDOUT ? "it still runs" : "waiting failed");
        }
        if (rc < 0) {
            break;
        }
    }
    xs_unwatch(ctl->store, "@releaseDomain", "wait");
    return rc < 0 ? rc : 0;
}

int ctl_domain_wait(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, struct ctl_domain_end *end,
                    struct ctl_error *err)
{
    return ctl_wait_within(ctl, domid, &(struct ctl_wait){.timeout_ms = timeout_ms}, end, err);
}
