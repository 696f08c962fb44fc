/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs for migrations that are under way, or have stopped half-way: `migrate-status`, `migrate-abort`,
 * `migrate-resolve`.
 *
 * A guest that was handed over sleeps here under another name, and is found by its own. Which of its two copies may run
 * is never guessed: the operator says it, and what the other host answers must not speak against it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/diag.h"
#include "cli/lock.h"
#include "cli/migrate.h"

#define LOCK_MS 1000

/*
 * How well a record answers to a name, 0 if not at all. Where a guest sleeps that had it, another may have it now:
 * its copy, if it was moved from a host to itself. Then the one is meant whose move is under way, or has stopped.
 */
static int match(const struct guest_state *gs, const char *name)
{
    bool sleeps = gs->phase == GUEST_HANDED_OVER;

    if (strcmp(gs->name, name) == 0)
        return sleeps || gs->phase == GUEST_MIGRATING || gs->phase == GUEST_INCOMING ? 3 : 1;
    return sleeps && strcmp(gs->real, name) == 0 ? 2 : 0;
}

/* By its present name or the one that it had. */
static int find_guest(struct cli *cli, const char *name, struct guest_state *gs)
{
    struct ctl_error err = {0};
    struct guest_state *list;
    int n, best = 0;

    if (cli_open(cli))
        return EXIT_FAILED;
    n = guest_state_list(cli->ctl, &list, &err);
    if (n < 0)
        return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
    for (int i = 0; i < n; i++) {
        if (match(&list[i], name) > best) {
            *gs = list[i];
            best = match(gs, name);
        }
    }
    free(list);
    if (best)
        return EXIT_OK;
    ctl_error_set(&err, -ENOENT, "find the guest", NULL, NULL, "there is no guest of this name");
    return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
}

/* What a record says of a move, for people; a lock that is free means that nobody is at it. */
static const char *move_state(const struct guest_state *gs)
{
    bool busy = lock_holder(lock_of_guest(gs->uuid)) != 0;

    if (gs->phase == GUEST_HANDED_OVER)
        return busy ? "handed-over" : "unresolved";
    if (gs->phase == GUEST_MIGRATING || gs->phase == GUEST_INCOMING)
        return guest_phase_name(gs->phase);
    return "none";
}

static struct json_value *read_move(struct cli *cli, const struct guest_state *gs)
{
    struct json_value *v = NULL;
    char *text = NULL;

    if (guest_state_move(cli->ctl, gs->uuid, &text, NULL) == 0 && text)
        v = json_parse(text, strlen(text), NULL, NULL);
    free(text);
    return v;
}

/* --- migrate-status --- */

int cmd_migrate_status(struct cli *cli, const struct cli_args *args)
{
    struct json_value *move;
    struct guest_state gs;
    struct json_out *o;
    int rc = find_guest(cli, args->operand[0], &gs);

    if (rc)
        return rc;
    move = read_move(cli, &gs);
    if (cli->json) {
        o = json_out_new(true);
        json_out_object(o, NULL);
        json_out_str(o, "schema", "umbra.migrate-status/1");
        json_out_str(o, "name", *gs.real ? gs.real : gs.name);
        json_out_str(o, "state", move_state(&gs));
        if (move)
            json_out_copy(o, "progress", move);
        else
            json_out_null(o, "progress");
        json_out_close(o);
        rc = cli_json(cli, o);
    } else {
        printf("%s: %s\n", *gs.real ? gs.real : gs.name,
               strcmp(move_state(&gs), "none") == 0 ? "is not being migrated" : move_state(&gs));
        if (move)
            migrate_print_move(*gs.real ? gs.real : gs.name, move, stdout);
    }
    json_free(move);
    return rc;
}

/* --- migrate-abort --- */

/* Whoever migrates it gives up in order when told to end, as by Control-C. */
int cmd_migrate_abort(struct cli *cli, const struct cli_args *args)
{
    const char *name = args->operand[0];
    struct ctl_error err = {0};
    struct guest_state gs;
    pid_t holder;
    int rc = find_guest(cli, name, &gs);

    if (rc)
        return rc;
    holder = lock_holder(lock_of_guest(gs.uuid));
    if (gs.phase == GUEST_HANDED_OVER) {
        ctl_error_set(&err, -EBUSY, "abort", name, "umbra migrate-resolve",
                      "the other host was told to go, or is about to be; it is too late");
    } else if (gs.phase != GUEST_MIGRATING || !holder) {
        ctl_error_set(&err, -ESRCH, "abort", name, NULL, "it is not being migrated");
    } else if (kill(holder, SIGTERM) == 0) {
        return EXIT_OK;
    } else {
        ctl_error_set(&err, -errno, "abort", name, NULL, "process %d cannot be told to give up", (int)holder);
    }
    return cli_fail(cli, name, &err, CLI_NO_DOMAIN);
}

/* --- migrate-resolve --- */

struct resolve {
    struct cli *cli;
    const char *name;
    bool to_here, to_there, force;
    struct guest_state gs; /* locked */
    char there[32];        /* what the other host says; empty: it could not be asked */
    struct ctl_error why;  /* it could not */
};

static void ask_there(struct resolve *r)
{
    struct json_value *move = read_move(r->cli, &r->gs);
    struct way way = {.how = json_text(move, "transport"),
                      .host = json_text(move, "host"),
                      .key = json_text(move, "key")};

    signal(SIGPIPE, SIG_IGN);
    if (way.how && way.host)
        migrate_ask_state(&way, &r->gs, r->there, &r->why);
    else
        ctl_error_set(&r->why, -ENOENT, "ask the other host", NULL, NULL, "it is not written down which it was");
    json_free(move);
}

static int say_what_is_known(const struct resolve *r)
{
    struct json_out *o;

    if (r->cli->json) {
        o = json_out_new(true);
        json_out_object(o, NULL);
        json_out_str(o, "schema", "umbra.migrate-resolve/1");
        json_out_str(o, "name", r->gs.real);
        json_out_str(o, "sleeps_as", r->gs.name);
        json_out_str(o, "there", *r->there ? r->there : NULL);
        json_out_str(o, "message", *r->there ? NULL : r->why.message);
        json_out_close(o);
        return cli_json(r->cli, o);
    }
    printf("%s: here it sleeps as %s; it was handed over, and whether it arrived was not heard\n", r->gs.real,
           r->gs.name);
    printf("%s: the other host %s: ", r->gs.real, *r->there ? "says" : "cannot be asked");
    put_clean(stdout, *r->there ? r->there : r->why.message);
    putchar('\n');
    return EXIT_OK;
}

static bool says(const struct resolve *r, const char *state)
{
    return strcmp(r->there, state) == 0;
}

static int is_stale(const struct resolve *r, struct ctl_error *err)
{
    return ctl_error_set(
        err, -ESTALE, "resolve", r->name,
        "say --there, which removes it; or --here --force, if it has no disk that counts",
        "it came to the other host, may have run there, and is gone: what sleeps here is older than its disks");
}

/* An answer that speaks against what was said is the end of it; no answer leaves it to whoever says so. */
static int check_answer(const struct resolve *r, struct ctl_error *err)
{
    if (!*r->there)
        return 0;
    if (says(r, "incoming") || says(r, "dying"))
        return ctl_error_set(err, -EAGAIN, "resolve", r->name,
                             "ask again: within five minutes it runs there, or is gone",
                             "the other host is still at work on it: %s", r->there);
    if (r->to_here && says(r, "gone"))
        return r->force ? 0 : is_stale(r, err);
    if (r->to_here && !says(r, "absent"))
        return ctl_error_set(err, -EEXIST, "resolve", r->name, "say --there, or destroy it there first",
                             "the other host has it: %s", r->there);
    if (r->to_there && says(r, "absent"))
        return ctl_error_set(err, -ENOENT, "resolve", r->name, "say --here", "the other host does not have it: %s",
                             r->there);
    return 0;
}

static int act(struct resolve *r, struct ctl_error *err)
{
    int rc = check_answer(r, err);

    if (rc < 0)
        return rc;
    if (r->to_there)
        return guest_end(r->cli->ctl, &r->gs, err);
    return guest_take_back(r->cli->ctl, &r->gs, (uint32_t)r->gs.domid, false, err);
}

static int resolve_locked(struct resolve *r)
{
    struct ctl_error err = {0};
    int rc = guest_state_get(r->cli->ctl, r->gs.uuid, &r->gs, &err);

    if (rc >= 0 && r->gs.phase != GUEST_HANDED_OVER)
        rc = ctl_error_set(&err, -EINVAL, "resolve", r->name, NULL, "there is nothing to resolve: its record says %s",
                           guest_phase_name(r->gs.phase));
    if (rc >= 0)
        ask_there(r);
    if (rc >= 0 && !r->to_here && !r->to_there)
        return say_what_is_known(r);
    if (rc >= 0)
        rc = act(r, &err);
    return rc < 0 ? cli_fail(r->cli, r->name, &err, CLI_NO_DOMAIN) : EXIT_OK;
}

int cmd_migrate_resolve(struct cli *cli, const struct cli_args *args)
{
    struct resolve r = {.cli = cli, .name = args->operand[0]};
    struct ctl_error err = {0};
    int rc;

    r.to_here = args->value['H'] != NULL;
    r.to_there = args->value['T'] != NULL;
    r.force = args->value['f'] != NULL;
    if (r.to_here && r.to_there)
        return cli_usage(cli, "--here and --there: it can run in one place");
    if (r.force && !r.to_here)
        return cli_usage(cli, "--force goes with --here");
    rc = find_guest(cli, r.name, &r.gs);
    if (rc)
        return rc;
    if (guest_lock(r.gs.uuid, LOCK_MS, &err) < 0)
        return cli_fail(cli, r.name, &err, CLI_NO_DOMAIN);
    rc = resolve_locked(&r);
    guest_unlock(r.gs.uuid);
    return rc;
}
