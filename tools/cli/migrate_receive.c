/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `migrate-receive`: the other end of `migrate`, and of `xl migrate`: banner -> configuration -> record -> domain from
 * the stream, paused, with its devices -> "ready" -> "go" -> the record says starting, it runs -> report.
 *
 * Standard input and output are the connection. Killed at any moment: up to "go" the record says incoming, and what
 * there is is removed; after that it says starting, and the guest is let go. A guest that comes to the host that it is
 * on gets a new uuid, since a record is named by it. With --listen it is another program that waits, and runs this for
 * each connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/arrivals.h"
#include "cli/handover.h"
#include "cli/migrate.h"
#include "cli/saved_config.h"
#include "cli/settings.h"
#include "cli/supervisor.h"
#include "cli/userdata.h"

#define GO_MS  300000
#define SENDER "the other host"

struct receive {
    struct cli *cli;
    const struct cli_args *args;
    int out;
    struct ctl_stream *stream;
    struct config config;
    struct saved_more more;
    struct guest_state gs; /* locked, once it is recorded */
    bool recorded;
    uint32_t domid;
    int64_t twin; /* the guest's domain on this host, which it comes from, or CTL_NO_TWIN */
};

/* What is printed by mistake must not become part of an answer. */
static int take_output(void)
{
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (out >= 0)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    return out;
}

static int read_config(struct receive *r, struct ctl_error *err)
{
    char *text = NULL;
    int rc = ctl_stream_read_config(r->stream, &text, err);

    if (rc >= 0)
        rc = saved_config_read(text, SENDER, &r->config, &r->more, err);
    free(text);
    return rc;
}

/* --- the record --- */

static char *config_text(const struct config *c)
{
    struct json_out *o = json_out_new(false);

    config_json(c, o, NULL);
    return json_out_end(o);
}

static int record(struct receive *r, struct ctl_error *err)
{
    struct taking taking;
    char *text = NULL;
    int rc = migrate_may_come(r->cli->ctl, &r->config, false, &taking, err); /* before all of its memory has come */

    if (rc >= 0) {
        r->twin = taking.twin;
        r->gs = taking.gs;
        r->gs.watched = !r->args->value['e'];
        snprintf(r->gs.move, sizeof(r->gs.move), "%s", r->more.move);
    }
    if (rc >= 0)
        rc = guest_lock(r->gs.uuid, 0, err);
    if (rc < 0)
        return rc;
    text = config_text(&r->config);
    rc = text ? guest_state_add(r->cli->ctl, &r->gs, text, NULL, err)
              : ctl_error_set(err, -ENOMEM, "write the configuration", NULL, NULL, "out of memory");
    free(text);
    r->recorded = rc >= 0;
    if (r->recorded && *r->gs.move)
        rc = arrivals_note(r->gs.move, r->gs.uuid, err);
    return rc;
}

static int build(struct receive *r, struct ctl_error *err)
{
    const struct guest_origin from = {.stream = r->stream, .twin = r->twin, .asked = r->more.asked};
    char *name = strdup(r->gs.name);
    int rc;

    if (!name)
        return ctl_error_set(err, -ENOMEM, "receive", NULL, NULL, "out of memory");
    free(r->config.name);
    r->config.name = name;
    rc = guest_build(r->cli->ctl, &r->config, &from, &r->domid, err);
    if (rc == 0)
        r->gs.domid = r->domid;
    return rc;
}

/* --- the hand-over --- */

/* Up to here nobody lets the guest run, and nobody may: whatever fails, it is removed. */
static int up_to_go(struct receive *r, struct ctl_error *err)
{
    int rc = read_config(r, err);

    if (rc >= 0)
        rc = record(r, err);
    if (rc >= 0)
        rc = build(r, err);
    if (rc >= 0)
        rc = handover_say(r->out, HANDOVER_READY, err);
    return rc < 0 ? rc : handover_expect(STDIN_FILENO, HANDOVER_GO, GO_MS, err);
}

static int report(struct receive *r, uint8_t status, struct ctl_error *err)
{
    int rc = handover_say(r->out, HANDOVER_REPORT, err);

    return rc < 0 ? rc : handover_write(r->out, &status, sizeof(status), err);
}

/* It is given back only when nothing of it is left that could run. */
static void give_back(struct receive *r, bool told)
{
    struct ctl_error err = {0};
    int rc = told ? report(r, 1, &err) : 0;

    if (r->recorded && guest_give_up(r->cli->ctl, &r->gs, &err) < 0)
        cli_fail(r->cli, r->gs.real, &err, CLI_NO_DOMAIN);
    else if (told && rc >= 0)
        handover_say(r->out, HANDOVER_GO, NULL);
}

static int receive(struct receive *r)
{
    struct ctl_error err = {0};
    bool told = false;
    int rc = up_to_go(r, &err);

    if (rc >= 0) {
        told = true;
        rc = guest_arrive(r->cli->ctl, &r->gs, r->domid, r->args->value['p'] != NULL, &err);
    }
    if (rc >= 0) {
        rc = report(r, 0, &err);
        userdata_put(r->cli->ctl, r->domid, r->gs.uuid); /* the sender need not wait for that */
    } else {
        give_back(r, told);
    }
    if (r->recorded)
        guest_unlock(r->gs.uuid);
    return rc < 0 ? cli_fail(r->cli, r->config.name, &err, CLI_NO_DOMAIN) : EXIT_OK;
}

/* --- the connection --- */

static int open_stream(struct receive *r, struct ctl_error *err)
{
    r->stream = ctl_stream_open(STDIN_FILENO, SENDER, err);
    if (!r->stream)
        return -ENOMEM;
    ctl_stream_patience(r->stream, handover_silence_ms);
    return 0;
}

static int add_others(struct receive *r, const struct gathering *g, struct ctl_error *err)
{
    char name[64];
    int rc = 0;

    for (unsigned i = 0; i < g->n && rc == 0; i++) {
        snprintf(name, sizeof(name), "%s, connection %u of %u", SENDER, i + 2, g->n + 1);
        rc = ctl_stream_beside(r->stream, g->other[i].in, name, err);
    }
    return rc;
}

/* It comes on several connections, of which this is the first; the stream begins after the answer. */
static int receive_several(struct receive *r, unsigned streams)
{
    struct gathering g = {.listener = -1};
    struct ctl_error err = {0};
    int rc = migrate_gather(&g, r->args->value['1'] ? 1 : streams, STDIN_FILENO, r->out, &err);

    ctl_stream_close(r->stream);
    r->stream = NULL;
    if (rc >= 0)
        rc = open_stream(r, &err);
    if (rc >= 0)
        rc = add_others(r, &g, &err);
    rc = rc < 0 ? cli_fail(r->cli, SENDER, &err, CLI_NO_DOMAIN) : receive(r);
    migrate_scatter(&g);
    return rc;
}

/* A question begins as no guest's stream does. */
static int receive_or_answer(struct receive *r)
{
    unsigned streams = 0;
    struct ctl_error err = {0};
    uint8_t first;
    int rc = handover_say(r->out, HANDOVER_BANNER, &err);

    if (rc >= 0)
        rc = open_stream(r, &err);
    if (rc < 0 || ctl_stream_first(r->stream, &first, &err) < 0)
        rc = cli_fail(r->cli, SENDER, &err, CLI_NO_DOMAIN);
    else
        rc = first == '{' ? migrate_answer(r->cli, STDIN_FILENO, r->out, &streams) : receive(r);
    if (streams)
        rc = receive_several(r, streams);
    ctl_stream_close(r->stream);
    return rc;
}

/* --- the verb --- */

/* Each connection is another process's standard input and output. */
static int wait_for_hosts(struct cli *cli, const struct cli_args *args, const char *key)
{
    const char *words[5] = {"migrate-receive"}, *where = args->value['L'];
    struct ctl_error err = {0};
    int n = 1;

    if (!where || !key)
        return cli_usage(cli, where ? "--listen: needs --key FILE, with the key that both hosts have"
                                    : "--key goes with --listen");
    if (args->value['p'])
        words[n++] = "-p";
    if (args->value['e'])
        words[n++] = "-e";
    if (args->value['1'])
        words[n++] = "-1"; /* the others would not be let in */
    transport_listen(where, key, args->value['1'] != NULL, words, &err);
    return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
}

static int receive_here(struct cli *cli, const struct cli_args *args)
{
    struct receive r = {.cli = cli, .args = args, .out = take_output(), .twin = CTL_NO_TWIN};
    struct ctl_error err = {0};
    int rc = EXIT_FAILED;

    signal(SIGPIPE, SIG_IGN);
    if (!args->value['e'] && supervisor_start(&err) < 0)
        cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    else if (cli_open(cli) == EXIT_OK)
        rc = receive_or_answer(&r);
    config_free(&r.config);
    close(r.out);
    return rc;
}

int cmd_migrate_receive(struct cli *cli, const struct cli_args *args)
{
    struct settings settings;
    const char *key = args->value['k'];
    int rc;

    if (!args->value['L'] && !key)
        return receive_here(cli, args); /* the other host's configuration is all there is to it */
    rc = settings_load(cli, &settings);
    if (rc == EXIT_OK)
        rc = wait_for_hosts(cli, args, key ? key : settings_text(&settings, "migrate.key"));
    settings_free(&settings);
    return rc;
}
