// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pages of a guest on several connections: each takes whole records, and as many of them as it can.
 *
 * Place: between save_pages.c, which maps and copies the guest's memory, and the connections; behind each of these is a
 * process that encrypts, which is what several are for. So one thread is enough: a record waits in a buffer of its
 * connection, and whichever can take something gets it.
 *
 * Invariants: the stream itself is the first connection, and what is written to it at any time is a stream. A round
 * ends on all connections: all that was put is written, then a mark on each of the others, then one on the stream. The
 * reader goes on with none of them before it has seen the mark on all, so that a page of this round cannot come after
 * one of the next. Within a round no page comes twice. A connection that fails is the end of all.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libctl/live.h"

#define WAIT_MS 200
#define PIECE   (256u << 10) /* written between two looks at the pace */

struct lane {
    struct ctl_stream *s;
    struct {
        uint32_t type, length;
        struct page_header h;
        uint64_t words[PAGE_BATCH];
    } head;
    uint8_t *pages;
    size_t head_size, size, at; /* the record's, header included; so much is written */
    uint64_t moved_ms;          /* when it took something last */
};

struct ctl_lanes {
    unsigned n, last;
    struct lane lane[CTL_STREAMS_MAX];
};

static bool is_busy(const struct lane *l)
{
    return l->at < l->size;
}

/* --- writing --- */

static int write_some(struct lane *l)
{
    bool in_head = l->at < l->head_size;
    const uint8_t *from = in_head ? (const uint8_t *)&l->head + l->at : l->pages + (l->at - l->head_size);
    size_t left = (in_head ? l->head_size : l->size) - l->at;
    ssize_t n = ctl_stream_write_some(l->s, from, left < PIECE ? left : PIECE);

    if (n <= 0) {
        return (int)n;
    }
    l->at += (size_t)n;
    l->moved_ms = ctl_now_ms();
    return ctl_stream_pace(l->s, (size_t)n);
}

static int check_patience(const struct lane *l)
{
    if (!is_busy(l) || !l->s->patience_ms || ctl_now_ms() - l->moved_ms < l->s->patience_ms) {
        return 0;
    }
    return ctl_error_set(l->s->err, -ETIMEDOUT, "write the stream", l->s->name, "look at the connection",
                         "nothing was taken for %u ms, after %llu bytes", l->s->patience_ms,
                         (unsigned long long)l->s->offset);
}

static int serve(struct lane *l, short events)
{
    if (events && is_busy(l)) {
        return write_some(l);
    }
    if (events) {
        return ctl_error_set(l->s->err, -EPIPE, "write the stream", l->s->name, NULL, "it ended after %llu bytes",
                             (unsigned long long)l->s->offset);
    }
    return check_patience(l);
}

/* Whichever can take something gets it; or a while passes. One that has nothing to take is looked at for its end. */
static int turn(struct ctl_lanes *lanes)
{
    struct pollfd p[CTL_STREAMS_MAX] = {0};
    int rc;

    for (unsigned i = 0; i < lanes->n; i++) {
        p[i].fd = lanes->lane[i].s->fd;
        p[i].events = is_busy(&lanes->lane[i]) ? POLLOUT : 0;
    }
    if (poll(p, lanes->n, WAIT_MS) < 0) {
        memset(p, 0, sizeof(p)); /* a signal: nothing is known */
    }
    rc = ctl_stream_pace(lanes->lane[0].s, 0);
    for (unsigned i = 0; i < lanes->n && rc == 0; i++) {
        rc = serve(&lanes->lane[i], p[i].revents);
    }
    return rc;
}

static int write_all(struct ctl_lanes *lanes)
{
    int rc = 0;

    for (unsigned i = 0; i < lanes->n && rc == 0;) {
        if (is_busy(&lanes->lane[i])) {
            rc = turn(lanes);
        } else {
            i++;
        }
    }
    return rc;
}

/* --- records --- */

/* One that has nothing to write, in turn; or NULL. */
static struct lane *idle(struct ctl_lanes *lanes)
{
    for (unsigned i = 1; i <= lanes->n; i++) {
        unsigned at = (lanes->last + i) % lanes->n;

        if (!is_busy(&lanes->lane[at])) {
            lanes->last = at;
            return &lanes->lane[at];
        }
    }
    return NULL;
}

static void fill(struct lane *l, const struct ctl_pages *p)
{
    uint8_t *pages = l->pages;
    size_t words = p->n * sizeof(*p->words), data = (size_t)p->nr_data << CTL_PAGE_SHIFT;

    l->head.type = REC_PAGE_DATA;
    l->head.length = (uint32_t)(sizeof(l->head.h) + words + data);
    l->head.h = (struct page_header){.count = p->n};
    memcpy(l->head.words, p->words, words);
    l->head_size = offsetof(struct lane, head.words) - offsetof(struct lane, head) + words;
    l->size = l->head_size + data; /* a multiple of 8 */
    l->at = 0;
    l->moved_ms = ctl_now_ms();
    l->pages = *p->pages;
    *p->pages = pages;
}

int ctl_lanes_put(struct ctl_save *v, const struct ctl_pages *p)
{
    struct ctl_lanes *lanes = v->live->lanes;
    struct lane *l;
    int rc = 0;

    while (!(l = idle(lanes)) && rc == 0) {
        rc = turn(lanes);
    }
    if (rc < 0) {
        return rc;
    }
    fill(l, p);
    return write_some(l);
}

static int mark(struct ctl_save *v, uint32_t type, const void *body, size_t size)
{
    struct ctl_lanes *lanes = v->live->lanes;
    int rc = write_all(lanes);

    for (unsigned i = 1; i < lanes->n && rc == 0; i++) {
        rc = ctl_record_write(lanes->lane[i].s, type, (struct ctl_piece){body, size}, (struct ctl_piece){0});
    }
    return rc;
}

int ctl_lanes_round(struct ctl_save *v, uint64_t round)
{
    int rc = v->live->lanes ? mark(v, REC_ROUND, &round, sizeof(round)) : 0;

    return rc == 0 && v->live->lanes ? ctl_save_put(v, REC_ROUND, &round, sizeof(round)) : rc;
}

int ctl_lanes_end(struct ctl_save *v)
{
    return v->live->lanes ? mark(v, REC_END, NULL, 0) : 0;
}

/* --- all of it --- */

static int add(struct ctl_lanes *lanes, struct ctl_stream *s, const struct ctl_stream *first)
{
    struct lane *l = &lanes->lane[lanes->n++];

    l->s = s;
    s->err = first->err;
    s->pace = first->pace;
    s->pace_ctx = first->pace_ctx;
    s->patience_ms = first->patience_ms;
    l->pages = malloc((size_t)PAGE_BATCH << CTL_PAGE_SHIFT);
    return l->pages ? 0 : -ENOMEM;
}

int ctl_lanes_open(struct ctl_save *v)
{
    uint64_t none = 0;
    int rc;

    if (v->s->nr_beside == 0) {
        return 0;
    }
    v->live->lanes = calloc(1, sizeof(*v->live->lanes));
    rc = v->live->lanes ? add(v->live->lanes, v->s, v->s) : -ENOMEM;
    for (unsigned i = 0; i < v->s->nr_beside && rc == 0; i++) {
        rc = add(v->live->lanes, v->s->beside[i], v->s);
    }
    if (rc < 0) {
        return ctl_error_set(v->err, rc, "send its memory", v->info.name, NULL, "no memory for %u connections",
                             v->s->nr_beside + 1);
    }
    return ctl_save_put(v, REC_ROUND, &none, sizeof(none)); /* from here on the others may be read */
}

void ctl_lanes_close(struct ctl_save *v)
{
    struct ctl_lanes *lanes = v->live->lanes;

    for (unsigned i = 0; lanes && i < lanes->n; i++) {
        free(lanes->lane[i].pages);
        lanes->lane[i].s->pace = NULL;
    }
    free(lanes);
    v->live->lanes = NULL;
}
