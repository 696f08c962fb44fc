/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions between two hosts, by the way that guests take: instead of a stream, which begins with an X, a line of
 * JSON, and one back. `xl migrate-receive` takes such a line for a bad stream and ends, which is told as what it is.
 *
 *   state     what the other host knows of a guest that was handed over
 *   check     would a guest be taken (migrate_check.c)
 *   streams   how many connections may it come on; the answer leads to its stream (migrate_streams.c)
 *   join      this is another one of them (migrate_join.c)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arrivals.h"
#include "cli/handover.h"
#include "cli/migrate.h"

#define QUESTION  "umbra.migrate-question/1"
#define ANSWER    "umbra.migrate-answer/1"
#define LINE_SIZE (256u << 10)
#define WAIT_MS   60000

struct json_out *migrate_question(const char *what, const char *name, const uint8_t uuid[16])
{
    struct json_out *o = json_out_new(false);
    char id[CTL_UUID_TEXT];

    ctl_uuid_format(uuid, id);
    json_out_object(o, NULL);
    json_out_str(o, "schema", QUESTION);
    json_out_str(o, "ask", what);
    json_out_str(o, "name", name);
    json_out_str(o, "uuid", id);
    return o;
}

static struct json_value *parse_line(const char *line, const char *schema)
{
    struct json_value *v = json_parse(line, strlen(line), NULL, NULL);

    if (v && v->type == JSON_OBJECT && json_text(v, "schema") && strcmp(json_text(v, "schema"), schema) == 0)
        return v;
    json_free(v);
    return NULL;
}

/* --- asking --- */

static int read_answer(const char *line, struct json_value **answer, struct ctl_error *err)
{
    *answer = parse_line(line, ANSWER);
    return *answer ? 0 : ctl_error_set(err, -EPROTO, "ask the other side", NULL, NULL, "its answer is not understood");
}

int migrate_exchange(const struct transport *t, struct json_out *question, struct json_value **answer,
                     struct ctl_error *err)
{
    char *text = json_out_end(question), *line = calloc(1, LINE_SIZE);
    int rc = text && line ? handover_write(t->to, text, strlen(text), err) /* its last byte ends the line */
                          : ctl_error_set(err, -ENOMEM, "ask the other side", NULL, NULL, "out of memory");

    if (rc >= 0)
        rc = handover_line(t->from, line, LINE_SIZE, WAIT_MS, err);
    if (rc >= 0)
        rc = read_answer(line, answer, err);
    free(text);
    free(line);
    return rc;
}

int migrate_ask(const struct way *way, struct json_out *question, struct json_value **answer, struct ctl_error *err)
{
    struct transport t;
    int rc = transport_open(&t, way, err);

    if (rc < 0) {
        free(json_out_end(question));
        return rc;
    }
    rc = handover_expect(t.from, HANDOVER_BANNER, WAIT_MS, err);
    if (rc < 0)
        free(json_out_end(question));
    else
        rc = migrate_exchange(&t, question, answer, err);
    transport_close(&t, 1);
    return rc;
}

int migrate_ask_state(const struct way *way, const struct guest_state *gs, char state[32], struct ctl_error *err)
{
    struct json_out *o = migrate_question("state", gs->real, gs->uuid);
    struct json_value *answer;
    int rc;

    if (*gs->move)
        json_out_str(o, "move", gs->move);
    json_out_close(o);
    rc = migrate_ask(way, o, &answer, err);
    if (rc < 0)
        return rc;
    if (json_text(answer, "state"))
        snprintf(state, 32, "%s", json_text(answer, "state"));
    else
        rc = ctl_error_set(err, -EPROTO, "ask the other side", way->host, NULL, "%s",
                           json_text(answer, "message") ? json_text(answer, "message") : "its answer says nothing");
    json_free(answer);
    return rc;
}

/* --- answering --- */

struct asked {
    const char *name, *move; /* which move the asker has its guest asleep for; NULL: it does not say */
    uint8_t uuid[16];
};

/* The record that the asker itself has, if it asks its own host: nothing else sleeps for that move. */
static bool is_askers(const struct guest_state *gs, const struct asked *a)
{
    return gs->phase == GUEST_HANDED_OVER && a->move && *gs->move && strcmp(gs->move, a->move) == 0;
}

/*
 * By its uuid, whatever its state: a copy that is moved on from here runs here, or where it was moved to. On the host
 * that it comes from the uuid is the sleeping one's; there by its name.
 */
static const struct guest_state *find(const struct guest_state *list, int n, const struct asked *a)
{
    bool from_here = false;

    for (int i = 0; i < n; i++) {
        if (memcmp(list[i].uuid, a->uuid, 16) != 0)
            continue;
        if (!is_askers(&list[i], a))
            return &list[i];
        from_here = true;
    }
    for (int i = 0; i < n && from_here; i++) {
        if (!is_askers(&list[i], a) && (strcmp(list[i].name, a->name) == 0 || strcmp(list[i].real, a->name) == 0))
            return &list[i];
    }
    return NULL;
}

static int state_by_uuid(struct cli *cli, const struct asked *a, const char **state, struct ctl_error *err)
{
    const struct guest_state *found;
    struct guest_state *list;
    int n = guest_state_list(cli->ctl, &list, err);

    if (n < 0)
        return n;
    found = find(list, n, a);
    *state = found ? guest_phase_name(found->phase) : "absent";
    free(list);
    return 0;
}

/* Of a move that brought it here it is known what uuid it got, and that it came at all. */
static int state_of(struct cli *cli, const struct asked *a, const char **state, struct ctl_error *err)
{
    struct guest_state gs;
    uint8_t uuid[16];
    int rc = arrivals_named(a->move) ? arrivals_find(a->move, uuid, err) : 0;

    if (rc <= 0)
        return rc < 0 ? rc : state_by_uuid(cli, a, state, err);
    rc = guest_state_get(cli->ctl, uuid, &gs, err);
    *state = rc == 0 ? guest_phase_name(gs.phase) : "gone";
    return rc == -ENOENT ? 0 : rc;
}

static void answer_state(struct cli *cli, const struct json_value *question, struct json_out *o)
{
    struct asked a = {.name = json_text(question, "name"), .move = json_text(question, "move")};
    const char *id = json_text(question, "uuid"), *state;
    struct ctl_error err = {0};

    if (!a.name || !id || ctl_uuid_parse(id, a.uuid))
        json_out_str(o, "message", "the question names no guest");
    else if (state_of(cli, &a, &state, &err) < 0)
        json_out_str(o, "message", err.message);
    else
        json_out_str(o, "state", state);
}

static int read_question(int in, struct json_value **question, struct ctl_error *err)
{
    char *line = calloc(1, LINE_SIZE);
    int rc = line ? 0 : ctl_error_set(err, -ENOMEM, "answer", NULL, NULL, "out of memory");

    if (rc == 0) {
        line[0] = '{';
        rc = handover_line(in, line + 1, LINE_SIZE - 1, WAIT_MS, err);
    }
    *question = rc < 0 ? NULL : parse_line(line, QUESTION);
    free(line);
    return rc;
}

bool migrate_says_ok(const struct json_value *answer)
{
    const struct json_value *v = json_member(answer, "ok");

    return v && v->type == JSON_BOOL && v->boolean;
}

struct json_out *migrate_answer_new(void)
{
    struct json_out *o = json_out_new(false);

    json_out_object(o, NULL);
    json_out_str(o, "schema", ANSWER);
    return o;
}

int migrate_answer_say(int out, struct json_out *o, struct ctl_error *err)
{
    char *text;
    int rc;

    json_out_close(o);
    text = json_out_end(o);
    rc = text ? handover_write(out, text, strlen(text), err)
              : ctl_error_set(err, -ENOMEM, "answer", NULL, NULL, "out of memory");
    free(text);
    return rc;
}

static int answer(struct cli *cli, const char *what, const struct json_value *question, int out, struct ctl_error *err)
{
    struct json_out *o = migrate_answer_new();

    if (strcmp(what, "state") == 0)
        answer_state(cli, question, o);
    else if (strcmp(what, "check") == 0)
        migrate_answer_check(cli, question, o);
    else
        json_out_str(o, "message", "the question is not understood");
    return migrate_answer_say(out, o, err);
}

int migrate_answer(struct cli *cli, int in, int out, unsigned *streams)
{
    struct json_value *question;
    struct ctl_error err = {0};
    const char *what;
    int rc = read_question(in, &question, &err);

    what = json_text(question, "ask") ? json_text(question, "ask") : "";
    if (rc >= 0 && strcmp(what, "streams") == 0)
        *streams = migrate_streams_of(question);
    else if (rc >= 0 && strcmp(what, "join") == 0)
        rc = migrate_join(question, in, out, &err);
    else if (rc >= 0)
        rc = answer(cli, what, question, out, &err);
    json_free(question);
    return rc < 0 ? cli_fail(cli, NULL, &err, CLI_NO_DOMAIN) : EXIT_OK;
}
