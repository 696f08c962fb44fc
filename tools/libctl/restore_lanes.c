// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pages of a guest that come on several connections (lanes.c): whichever has something is read, a piece at a time, and
 * a record is handled when it is whole, by one thread, as those of the stream are.
 *
 * Invariants: the others are read only between the first mark on the stream, which comes when all is known that pages
 * need, and its last record. One that has come to the end of its round is not read before all have, and the stream too:
 * what is sent again in a later round is written later. They are as hostile as the stream: pages, marks in their order
 * and one end are all they may have.
 */
#include <poll.h>
#include <string.h>

#include "libctl/restore.h"

/* May it be read? It has not come to the end of the round that the stream is in. */
static bool is_open(const struct ctl_restore *r, unsigned i)
{
    return r->rounds_begun && !r->lane[i].ended && r->lane[i].rounds == r->rounds;
}

static int check_round(struct ctl_restore *r, uint64_t want)
{
    uint64_t round;
    int rc = ctl_record_exact(r->s, sizeof(round));

    if (rc < 0) {
        return rc;
    }
    memcpy(&round, r->s->rec.body, sizeof(round));
    if (round != want) {
        return ctl_stream_fail(r->s, -EBADMSG, "the end of round %llu where that of round %llu belongs",
                               (unsigned long long)round, (unsigned long long)want);
    }
    return 0;
}

static int handle(struct ctl_restore *r, unsigned i)
{
    switch (r->s->rec.type) {
    case REC_PAGE_DATA:
        return ctl_restore_pages(r);
    case REC_ROUND:
        return check_round(r, ++r->lane[i].rounds);
    case REC_END:
        r->lane[i].ended = true;
        return ctl_record_exact(r->s, 0);
    default:
        return ctl_stream_fail(r->s, -EOPNOTSUPP, "it does not belong on a connection for pages");
    }
}

static int read_some(struct ctl_restore *r, unsigned i)
{
    struct ctl_stream *stream = r->s;
    int rc;

    r->s = stream->beside[i];
    rc = ctl_record_some(r->s);
    if (rc > 0) {
        rc = handle(r, i);
    }
    r->s = stream;
    return rc;
}

static int wait_any(struct ctl_restore *r, struct pollfd *p, bool with_stream)
{
    unsigned n = r->s->nr_beside;
    int ready;

    p[0] = (struct pollfd){.fd = with_stream ? r->s->fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < n; i++) {
        p[i + 1] = (struct pollfd){.fd = is_open(r, i) ? r->s->beside[i]->fd : -1, .events = POLLIN};
    }
    do {
        ready = poll(p, n + 1, r->s->patience_ms ? (int)r->s->patience_ms : -1);
    } while (ready < 0 && errno == EINTR);
    return ready ? 0 : ctl_stream_fail(r->s, -ETIMEDOUT, "nothing came for %u ms", r->s->patience_ms);
}

/* Some of what comes. 1: a record of the stream, which is asked for, is whole. */
static int turn(struct ctl_restore *r, bool with_stream)
{
    struct pollfd p[CTL_STREAMS_MAX];
    int rc = wait_any(r, p, with_stream);

    for (unsigned i = 0; i < r->s->nr_beside && rc == 0; i++) {
        rc = p[i + 1].revents ? read_some(r, i) : 0;
    }
    return rc == 0 && p[0].revents ? ctl_record_some(r->s) : rc;
}

int ctl_restore_next(struct ctl_restore *r)
{
    int rc = 0;

    if (!r->rounds_begun) {
        return ctl_record_read(r->s);
    }
    while (rc == 0) {
        rc = turn(r, true);
    }
    return rc < 0 ? rc : 0;
}

/* Until it has come to the end of the round, or of all. */
static int wait_for(struct ctl_restore *r, unsigned i, bool to_end)
{
    int rc = 0;

    while (rc == 0 && (to_end ? !r->lane[i].ended : r->lane[i].rounds == r->rounds)) {
        if (!is_open(r, i)) {
            struct ctl_stream *other = r->s->beside[i];

            return ctl_error_set(r->b->err, -EBADMSG, "handle the stream", other->name, NULL,
                                 "it is at the end of round %llu%s, and the stream at that of round %llu%s",
                                 (unsigned long long)r->lane[i].rounds, r->lane[i].ended ? ", the last" : "",
                                 (unsigned long long)r->rounds + !to_end, to_end ? ", the last" : "");
        }
        rc = turn(r, false);
    }
    return rc;
}

int ctl_restore_round(struct ctl_restore *r)
{
    int rc = check_round(r, r->rounds_begun ? r->rounds + 1 : 0);

    if (rc == 0 && (!r->static_end || !r->nr_pfns)) {
        rc = ctl_stream_fail(r->s, -EBADMSG, "rounds begin before it is known what pages there may be");
    }
    if (rc < 0 || !r->rounds_begun) {
        r->rounds_begun = rc == 0;
        return rc;
    }
    for (unsigned i = 0; i < r->s->nr_beside && rc == 0; i++) {
        rc = wait_for(r, i, false);
    }
    r->rounds++;
    return rc;
}

int ctl_restore_lanes_end(struct ctl_restore *r)
{
    int rc = 0;

    if (r->s->nr_beside && !r->rounds_begun) {
        return ctl_stream_fail(r->s, -EBADMSG, "no round has begun, of a guest that comes on %u connections",
                               r->s->nr_beside + 1);
    }
    for (unsigned i = 0; i < r->s->nr_beside && rc == 0; i++) {
        rc = wait_for(r, i, true);
    }
    return rc;
}

void ctl_restore_lanes_begin(struct ctl_restore *r)
{
    for (unsigned i = 0; i < r->s->nr_beside; i++) {
        r->s->beside[i]->err = r->s->err;
    }
}
