/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `save`: the file is opened -> the record says "saving" -> the guest is suspended -> it is written -> the file gets
 * its name -> the guest is removed, or goes on.
 *
 * In this order, because whatever goes wrong before the file has its name, the guest goes on as if nothing had been;
 * the supervisor sees to that if this process is killed, by the record. The file is complete, and on the disk, when it
 * has its name. (`restore` is `create` from another source: cmd_create.c.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/json.h"
#include "cli/partial.h"
#include "cli/saved_config.h"

#define SUSPEND_MS  60000
#define MAX_SECONDS 86400

struct save {
    struct cli *cli;
    const struct cli_args *args;
    const char *name, *file;
    char *partial;
    int fd;
    unsigned timeout_ms;
    uint32_t domid;
    struct ctl_domain_info info;
    struct guest_state gs; /* locked */
    uint64_t bytes;
};

static int parse_timeout(struct save *s)
{
    const char *text = s->args->value['t'];
    unsigned long seconds;
    char *end;

    s->timeout_ms = SUSPEND_MS;
    if (!text)
        return EXIT_OK;
    seconds = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || seconds == 0 || seconds > MAX_SECONDS)
        return cli_usage(s->cli, "-t: \"%s\" is not a number of seconds from 1 to %d", text, MAX_SECONDS);
    s->timeout_ms = (unsigned)seconds * 1000;
    return EXIT_OK;
}

/* --- the record --- */

static int put_phase(struct save *s, enum guest_phase phase, struct ctl_error *err)
{
    s->gs.phase = phase;
    return guest_state_put(s->cli->ctl, &s->gs, err);
}

/* --- the file --- */

static int file_failed(const struct save *s, const char *what, struct ctl_error *err)
{
    int code = -errno;

    return ctl_error_set(err, code, what, s->file, code == -ENOSPC ? "make room, or choose another place" : NULL,
                         "the guest is not saved");
}

/* A guest whose file may not be there after a power cut is not let go of; one that goes on has left no file behind. */
static int name_file(struct save *s, struct ctl_error *err)
{
    const char *step;

    return partial_finish(s->fd, &s->partial, s->file, &s->bytes, &step) ? 0 : file_failed(s, step, err);
}

static int write_stream(struct save *s, struct ctl_error *err)
{
    struct ctl_stream *stream = ctl_stream_open(s->fd, s->file, err);
    char *ours = NULL, *config = NULL;
    struct saved_more more;
    int rc = stream ? saved_more_get(s->cli->ctl, &s->info, &more, err) : -ENOMEM;

    if (rc >= 0)
        rc = guest_state_config(s->cli->ctl, s->gs.uuid, &ours, err);
    if (rc >= 0) {
        more.keep_domid = s->args->value['D'] != NULL;
        config = ours ? saved_config_write(s->cli->ctl, &s->info, ours, &more) : NULL;
        rc = config ? ctl_stream_write_config(stream, config, err)
                    : ctl_error_set(err, -EINVAL, "save", s->name, NULL, "its record has no readable configuration");
    }
    if (rc >= 0)
        rc = ctl_domain_save(s->cli->ctl, s->domid, stream, err);
    free(config);
    free(ours);
    ctl_stream_close(stream);
    return rc;
}

/* --- the steps --- */

/* The guest goes on. One that sleeps, or may still come to that, stays marked, so that the supervisor wakes it then. */
static void undo(struct save *s, bool may_suspend)
{
    struct ctl_error err = {0};
    int rc = ctl_domain_go_on(s->cli->ctl, s->domid, &err);

    if (rc < 0)
        cli_fail(s->cli, s->name, &err, s->domid);
    else if (!may_suspend)
        put_phase(s, GUEST_RUNNING, NULL);
}

static int take(struct save *s, struct ctl_error *err)
{
    bool asked;
    int rc = put_phase(s, GUEST_SAVING, err);

    if (rc < 0)
        return rc;
    rc = ctl_domain_suspend(s->cli->ctl, s->domid, &(struct ctl_wait){.timeout_ms = s->timeout_ms}, &asked, err);
    if (rc < 0) {
        guest_show_console(s->cli->ctl, s->domid);
        undo(s, asked);
        return rc;
    }
    guest_drain_console(s->cli->ctl, &s->gs, s->domid); /* what is left in the ring would be said twice */
    rc = write_stream(s, err);
    if (rc >= 0)
        rc = name_file(s, err);
    if (rc < 0)
        undo(s, false);
    return rc;
}

/* The file is whole, and the guest where it was to be. What its record says of that, nobody relies on. */
static int saved_all_the_same(const struct save *s, struct ctl_error *err)
{
    snprintf(err->hint, sizeof(err->hint), "it is saved all the same; the supervisor sees to the rest");
    cli_fail(s->cli, s->name, err, CLI_NO_DOMAIN);
    return 0;
}

/* From here on the file is the guest: its domain goes, whether xenstored can be told or not. */
static int end(struct save *s, struct ctl_error *err)
{
    int rc = guest_end(s->cli->ctl, &s->gs, err), there;
    struct ctl_domain_info info;

    if (rc >= 0)
        return rc;
    ctl_domain_destroy(s->cli->ctl, s->domid, NULL);
    there = ctl_domain_info(s->cli->ctl, s->domid, &info, NULL);
    return there == -ESRCH || (there >= 0 && info.dying) ? saved_all_the_same(s, err) : rc;
}

static int let_go(struct save *s, struct ctl_error *err)
{
    bool paused = s->args->value['p'] != NULL;
    int rc;

    if (!paused && !s->args->value['c'])
        return end(s, err);
    rc = paused ? ctl_domain_pause(s->cli->ctl, s->domid, err) : 0;
    if (rc >= 0)
        rc = ctl_domain_go_on(s->cli->ctl, s->domid, err);
    if (rc >= 0 && put_phase(s, GUEST_RUNNING, err) < 0)
        rc = saved_all_the_same(s, err);
    return rc;
}

static int report(const struct save *s)
{
    struct json_out *o;

    if (!s->cli->json) {
        printf("%s: saved to %s, %llu MiB\n", s->gs.name, s->file,
               (unsigned long long)(s->bytes + (1 << 20) - 1) >> 20);
        return EXIT_OK;
    }
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.save/1");
    json_out_str(o, "name", s->gs.name);
    json_out_str(o, "file", s->file);
    json_out_uint(o, "bytes", s->bytes);
    json_out_close(o);
    return cli_json(s->cli, o);
}

static int save_locked(struct save *s)
{
    struct ctl_error err = {0};
    int rc = s->fd = partial_open(s->file, 0600, &s->partial, &err);

    if (rc >= 0)
        rc = take(s, &err);
    if (rc >= 0)
        rc = let_go(s, &err);
    if (s->fd >= 0 && s->partial)
        unlink(s->partial); /* while it is locked */
    if (s->fd >= 0)
        close(s->fd);
    free(s->partial);
    return rc < 0 ? cli_fail(s->cli, s->name, &err, s->domid) : report(s);
}

int cmd_save(struct cli *cli, const struct cli_args *args)
{
    struct save s = {.cli = cli, .args = args, .name = args->operand[0], .file = args->operand[1], .fd = -1};
    struct ctl_error err = {0};
    int rc;

    if (args->value['c'] && args->value['p'])
        return cli_usage(cli, "-c and -p say different things");
    if (parse_timeout(&s))
        return EXIT_USAGE;
    if (cli_guest(cli, s.name, &s.domid))
        return EXIT_FAILED;
    if (guest_take(cli->ctl, "save", &s.domid, &s.info, &s.gs, &err) < 0)
        return cli_fail(cli, s.name, &err, s.domid);
    rc = save_locked(&s);
    guest_unlock(s.info.uuid);
    return rc;
}
