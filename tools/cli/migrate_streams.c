/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several connections for a guest's pages, at the sender: on the first one, instead of the stream, a question how many
 * the other host takes; its answer has a secret, by which each of the others says whose it is (migrate_join.c); then,
 * on the first, the stream. With one connection nothing of this is said.
 *
 * How a guest is copied is no reason for it to stay: a receiver that takes fewer, or knows only one, which `xl` is and
 * an older umbra, gets it on these, and that is told. But what cannot be opened of those that were agreed ends the
 * move, before anything has been copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/handover.h"
#include "cli/migrate.h"

#define BANNER_MS 60000

unsigned migrate_streams_of(const struct json_value *object)
{
    const struct json_value *v = json_member(object, "streams");
    int64_t n;

    if (!v || json_int(v, &n) || n < 1)
        return 1;
    return n < CTL_STREAMS_MAX ? (unsigned)n : CTL_STREAMS_MAX;
}

void migrate_streams_text(unsigned n, char text[32])
{
    if (n == 1)
        strcpy(text, "one connection");
    else
        snprintf(text, 32, "%u connections", n);
}

/* --- how many --- */

/* A receiver that does not know the question ends with it. */
static int begin_anew(struct migration *m, struct ctl_error *err)
{
    int rc;

    transport_close(m->transport, 1);
    *err = (struct ctl_error){0};
    rc = transport_open(m->transport, &m->way, err);
    return rc < 0 ? rc : handover_expect(m->transport[0].from, HANDOVER_BANNER, BANNER_MS, err);
}

static int ask(struct migration *m, struct json_value **answer, struct ctl_error *err)
{
    struct json_out *question = migrate_question("streams", m->name, m->gs.uuid);
    int rc;

    json_out_uint(question, "streams", m->streams);
    json_out_close(question);
    rc = migrate_exchange(m->transport, question, answer, err);
    if (rc >= 0 && json_member(*answer, "streams"))
        return 0;
    if (rc >= 0) {
        json_free(*answer);
        *answer = NULL;
    }
    return rc >= 0 || rc == -EPROTO ? begin_anew(m, err) : rc;
}

static void agree(struct migration *m, const struct json_value *answer)
{
    unsigned n = answer ? migrate_streams_of(answer) : 1;
    char text[32];

    if (n >= m->streams)
        return;
    m->streams = n;
    migrate_streams_text(n, text);
    migrate_line_end(m);
    fprintf(stderr, "umbra: %s: %s takes it on %s: that is used\n", m->name, m->way.host, text);
}

/* --- the others --- */

static int join(struct migration *m, const struct transport *t, const struct json_value *agreed, struct ctl_error *err)
{
    struct json_out *question = migrate_question("join", m->name, m->gs.uuid);
    struct json_value *answer;
    int rc;

    json_out_str(question, "place", json_text(agreed, "place"));
    json_out_str(question, "token", json_text(agreed, "token"));
    json_out_close(question);
    rc = migrate_exchange(t, question, &answer, err);
    if (rc < 0)
        return rc;
    if (!migrate_says_ok(answer))
        rc = ctl_error_set(err, -EPERM, "open a connection", NULL, NULL, "%s",
                           json_text(answer, "message") ? json_text(answer, "message") : "its answer says nothing");
    json_free(answer);
    return rc;
}

static int open_other(struct migration *m, unsigned i, const struct json_value *agreed, struct ctl_error *err)
{
    struct transport *t = &m->transport[i];
    struct way way = m->way;
    int rc;

    way.own = true;
    rc = transport_open(t, &way, err);
    if (rc >= 0) {
        m->opened = i + 1;
        rc = handover_expect(t->from, HANDOVER_BANNER, BANNER_MS, err);
    }
    if (rc >= 0)
        rc = join(m, t, agreed, err);
    if (rc < 0)
        snprintf(err->object, sizeof(err->object), "%s, connection %u of %u", m->way.host, i + 1, m->streams);
    return rc;
}

int migrate_streams_open(struct migration *m, struct ctl_error *err)
{
    struct json_value *answer = NULL;
    int rc = m->streams > 1 ? ask(m, &answer, err) : 0;

    if (rc >= 0)
        agree(m, answer);
    for (unsigned i = 1; i < m->streams && rc >= 0; i++)
        rc = handover_cancelled ? ctl_error_set(err, -EINTR, "open a connection", m->way.host, NULL, "interrupted")
                                : open_other(m, i, answer, err);
    json_free(answer);
    return rc;
}

int migrate_streams_use(struct migration *m, struct ctl_stream *stream, struct ctl_error *err)
{
    char name[CTL_OBJECT_MAX];
    int rc = 0;

    for (unsigned i = 1; i < m->streams && rc >= 0; i++) {
        snprintf(name, sizeof(name), "%.60s, connection %u of %u", m->way.host, i + 1, m->streams);
        rc = ctl_stream_beside(stream, m->transport[i].to, name, err);
    }
    return rc;
}
