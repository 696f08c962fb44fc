/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `create`: settings, configuration -> checks -> supervisor -> record -> domain -> console -> run. In this order, so
 * that everything that can be wrong is found before anything exists, what a killed builder leaves is found by the
 * record, and the console shows the first line. A failure at any step takes back the ones before it.
 *
 * `restore` is the same from the record on, with the configuration and the domain's contents from a saved guest's file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cmd_console.h"
#include "cli/config.h"
#include "cli/guest.h"
#include "cli/guest_devices.h"
#include "cli/output.h"
#include "cli/saved_config.h"
#include "cli/settings.h"
#include "cli/supervisor.h"
#include "cli/terminal.h"
#include "cli/userdata.h"

#define END_MS  500   /* between two looks whether the guest has ended */
#define LOCK_MS 10000 /* for whoever has the guest in hand whose name is wanted */

struct create {
    struct cli *cli;
    const struct cli_args *args;
    struct config config;
    struct guest_state gs;     /* locked, once it is recorded */
    struct ctl_stream *stream; /* `restore`: where the contents come from */
    struct saved_more more;    /* and what is told beside them */
    uint32_t domid;
    bool recorded;
    int console; /* descriptor, or -1 */
};

/* A signal in the middle of a build would leave half a domain behind: it is noted, and obeyed when that is tidied up.
 */
static volatile sig_atomic_t interrupted;

static void note_signal(int sig)
{
    interrupted = sig;
}

static const int held[] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction before[sizeof(held) / sizeof(held[0])];

/* One that the caller has us ignore (nohup) stays ignored. */
static void hold_signals(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        sigaction(held[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(held[i], &action, NULL);
    }
}

static void release_signals(void)
{
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
        sigaction(held[i], &before[i], NULL);
}

/* An operand is an override if it starts like KEY=; a file may be called that by writing ./ before it. */
static bool is_override(const char *operand)
{
    size_t n = strspn(operand, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-$");

    return n > 0 && operand[n + strspn(operand + n, " ")] == '=';
}

static int find_input(const struct create *cr, struct config_input *in)
{
    const struct cli_args *args = cr->args;
    int first = 0;

    in->file = args->value['f'];
    in->allow_unknown = args->value['U'] != NULL;
    if (!in->file && args->n > 0 && !is_override(args->operand[0]))
        in->file = args->operand[first++];
    if (!in->file)
        return cli_usage(cr->cli, "no configuration file is named");
    for (int i = first; i < args->n; i++) {
        if (!is_override(args->operand[i]))
            return cli_usage(cr->cli, "%s: not of the form KEY=VALUE", args->operand[i]);
    }
    in->overrides = args->operand + first;
    in->first = first + 1;
    in->n_overrides = (size_t)(args->n - first);
    return EXIT_OK;
}

/* What the file and the command line do not say, the host's settings do. */
static int load_config(struct create *cr, const struct config_input *in, struct diags *d)
{
    struct settings settings;
    int rc = settings_load(cr->cli, &settings);

    if (rc == EXIT_OK) {
        config_load(in, &cr->config, d);
        settings_for_guest(&settings, &cr->config, d);
    }
    settings_free(&settings);
    return rc;
}

static int read_config(struct create *cr)
{
    struct config_input in = {0};
    struct diags d = {0};
    int rc = find_input(cr, &in);

    d.strict = cr->args->value['s'] != NULL;
    if (rc == EXIT_OK)
        rc = load_config(cr, &in, &d);
    if (rc)
        return rc;
    config_check_keys(&cr->config, &d);
    /* A build judges the files' contents itself; unpacking a kernel twice is worth it only to show all errors. */
    if (cr->args->value['n'] || diags_failed(&d))
        config_check_build(&cr->config, &d);
    cli_show_reports(cr->cli, &d);
    rc = diags_failed(&d) ? EXIT_USAGE : EXIT_OK;
    diags_free(&d);
    return rc;
}

static int dry_run(struct create *cr)
{
    struct json_out *o = json_out_new(true);

    config_json(&cr->config, o, NULL);
    return cli_json(cr->cli, o);
}

/* Kernel and RAM disk must be found again when the guest is rebuilt, from another directory. */
static int make_absolute(char **path)
{
    char *absolute;

    if (!*path || **path == '/')
        return 0;
    absolute = realpath(*path, NULL);
    if (!absolute)
        return -errno;
    free(*path);
    *path = absolute;
    return 0;
}

/* What is fixed for all lives of the guest. */
static int prepare(struct create *cr, struct ctl_error *err)
{
    struct config_uuid *uuid = &cr->config.uuid;
    int rc = uuid->given ? 0 : ctl_uuid_random(uuid->bytes);

    if (rc < 0)
        return ctl_error_set(err, rc, "make a uuid", NULL, NULL, "no random numbers");
    uuid->given = true;
    rc = cr->stream ? 0 : make_absolute(&cr->config.kernel);
    if (!rc && !cr->stream)
        rc = make_absolute(&cr->config.ramdisk);
    if (rc)
        return ctl_error_set(err, rc, "find the files", NULL, NULL, "a path cannot be made absolute");
    rc = config_devices_fill(&cr->config.vifs);
    if (rc)
        return ctl_error_set(err, rc, "give network interfaces addresses", NULL, NULL,
                             "no memory, or no random numbers");
    cr->gs = (struct guest_state){.phase = GUEST_BUILDING, .domid = -1, .watched = !cr->args->value['e']};
    memcpy(cr->gs.uuid, uuid->bytes, sizeof(cr->gs.uuid));
    snprintf(cr->gs.name, sizeof(cr->gs.name), "%s", cr->config.name);
    return 0;
}

/*
 * The guest that has the name may be one that is done with, only not yet removed. True: it is gone now. One that comes,
 * or comes back, is not waited for.
 */
static bool name_freed(struct ctl *ctl, const struct guest_state *other)
{
    bool goes = other->phase == GUEST_RUNNING || other->phase == GUEST_DYING;
    struct guest_state now;

    if (guest_lock(other->uuid, goes ? LOCK_MS : 0, NULL) < 0)
        return false;
    guest_settle(ctl, other->uuid, NULL);
    guest_unlock(other->uuid);
    return guest_state_get(ctl, other->uuid, &now, NULL) == -ENOENT;
}

static int record(struct create *cr, struct ctl_error *err)
{
    struct json_out *o = json_out_new(false);
    struct guest_state other = {0};
    char *config;
    int rc = guest_lock(cr->gs.uuid, 0, err);

    config_json(&cr->config, o, NULL);
    config = json_out_end(o);
    if (rc == 0 && !config)
        rc = ctl_error_set(err, -ENOMEM, "write the configuration", NULL, NULL, "out of memory");
    if (rc == 0)
        rc = guest_state_add(cr->cli->ctl, &cr->gs, config, &other, err);
    if (rc == -EEXIST && *other.name && name_freed(cr->cli->ctl, &other)) {
        *err = (struct ctl_error){0};
        rc = guest_lock(cr->gs.uuid, 0, err); /* it may have been the same uuid: then its lock was ours */
        if (rc == 0)
            rc = guest_state_add(cr->cli->ctl, &cr->gs, config, NULL, err);
    }
    free(config);
    cr->recorded = rc == 0;
    return rc;
}

static int build(struct create *cr, struct ctl_error *err)
{
    const struct guest_origin from = {.stream = cr->stream, .twin = CTL_NO_TWIN, .asked = cr->more.asked};
    int rc = prepare(cr, err);

    if (rc == 0)
        rc = record(cr, err);
    if (rc == 0) /* before its memory is made or read */
        rc = guest_devices_check(cr->cli->ctl, &cr->config, CTL_NO_TWIN, err);
    if (rc == 0)
        rc = guest_build(cr->cli->ctl, &cr->config, &from, &cr->domid, err);
    if (rc == 0)
        cr->gs.domid = cr->domid;
    return rc;
}

/*
 * A build that failed at a key may have been refused for what a file contains: then that is a configuration error, with
 * all others of its kind, in its place in the file. Otherwise (memory that the host does not have) it is a failure.
 */
static int build_failed(struct create *cr, const struct ctl_error *err)
{
    struct diags d = {0};
    bool wrong;

    if (err->field[0] && !cr->stream) /* the files are not looked at when it is restored */
        config_check_build(&cr->config, &d);
    wrong = diags_failed(&d);
    if (wrong)
        cli_show_reports(cr->cli, &d);
    diags_free(&d);
    return wrong ? EXIT_USAGE : cli_fail(cr->cli, cr->config.name, err, CLI_NO_DOMAIN);
}

/* The console is there before the guest's first instruction. */
static int start(struct create *cr, struct ctl_error *err)
{
    int rc;

    if (cr->args->value['c'] && !interrupted) {
        cr->console = console_open(cr->cli->ctl, cr->domid, err);
        if (cr->console < 0)
            return cr->console;
    }
    if (interrupted)
        return ctl_error_set(err, -EINTR, "create", NULL, NULL, "interrupted; the guest is removed again");
    rc = guest_start(cr->cli->ctl, &cr->gs, cr->args->value['p'] != NULL, err);
    if (rc >= 0)
        userdata_put(cr->cli->ctl, cr->domid, cr->gs.uuid);
    return rc;
}

/* Why it has the paging mode that it has, if its configuration did not say. */
static const char *why(const struct create *cr, const struct ctl_domain_info *info)
{
    return cr->stream || cr->config.hap != CONFIG_NOT_SAID ? ""
           : info->hap                                     ? " (the host has it)"
                                                           : " (the host has no nested paging)";
}

static int report_created(const struct create *cr)
{
    struct ctl_domain_info info = {0};
    const char *paging = NULL;
    struct json_out *o;
    char uuid[CTL_UUID_TEXT];

    if (cr->args->value['q'] || cr->args->value['c'])
        return EXIT_OK;
    if (cr->config.type == CONFIG_PVH && ctl_domain_info(cr->cli->ctl, cr->domid, &info, NULL) >= 0)
        paging = paging_name(&info);
    if (!cr->cli->json) {
        printf("%s: %s as domain %u%s%s%s%s\n", cr->config.name, cr->stream ? "restored" : "created", cr->domid,
               paging ? ", with " : "", paging ? paging : "", paging ? " paging" : "", paging ? why(cr, &info) : "");
        return EXIT_OK;
    }
    ctl_uuid_format(cr->config.uuid.bytes, uuid);
    o = json_out_new(true);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.domain/1");
    json_out_uint(o, "domid", cr->domid);
    json_out_str(o, "name", cr->config.name);
    json_out_str(o, "uuid", uuid);
    json_out_str(o, "paging", paging);
    json_out_close(o);
    return cli_json(cr->cli, o);
}

/* -e: whoever calls sees to the guest. */
static int start_supervisor(struct create *cr)
{
    struct ctl_error err = {0};

    if (cr->args->value['e'] || supervisor_start(&err) >= 0)
        return EXIT_OK;
    return cli_fail(cr->cli, cr->config.name, &err, CLI_NO_DOMAIN);
}

/* Without xenstored the record cannot say that the guest goes: nobody would come back to its domain. */
static void take_back(struct create *cr)
{
    int rc = guest_end(cr->cli->ctl, &cr->gs, NULL);

    if (rc < 0 && rc != -EBUSY && cr->gs.domid >= 0)
        ctl_domain_destroy(cr->cli->ctl, cr->domid, NULL);
}

/* Has the guest stopped for good? It may have become another domain, or be kept as it is. Or -errno. */
static int ended(const struct create *cr, struct ctl_error *err)
{
    struct guest_state gs;
    int rc = guest_state_get(cr->cli->ctl, cr->gs.uuid, &gs, err);

    if (rc == -ENOENT)
        return 1;
    return rc < 0 ? rc : gs.phase == GUEST_PRESERVED || gs.phase == GUEST_HANDED_OVER || gs.phase == GUEST_UNKNOWN;
}

/* -F: the supervisor, which may have been killed, does what is to be done when the guest stops. */
static int wait_end(const struct create *cr)
{
    struct ctl_error err = {0};
    int rc;

    fflush(stdout);
    while ((rc = ended(cr, &err)) == 0 && (rc = supervisor_start(&err)) >= 0)
        nanosleep(&(struct timespec){.tv_nsec = END_MS * 1000000L}, NULL);
    return rc < 0 ? cli_fail(cr->cli, cr->config.name, &err, CLI_NO_DOMAIN) : EXIT_OK;
}

static int create(struct create *cr)
{
    struct ctl_error err = {0};
    int rc = EXIT_OK;

    if (start_supervisor(cr) || cli_open(cr->cli))
        return EXIT_FAILED;
    cli_log_mark(cr->cli);
    hold_signals();
    if (build(cr, &err) < 0)
        rc = build_failed(cr, &err);
    else if (start(cr, &err) < 0)
        rc = cli_fail(cr->cli, cr->config.name, &err, CLI_NO_DOMAIN);
    if (rc && cr->recorded)
        take_back(cr);
    guest_unlock(cr->gs.uuid);
    release_signals();
    if (rc)
        return rc;
    rc = cr->console >= 0 ? console_attach(cr->cli, cr->console, ESCAPE_DEFAULT) : report_created(cr);
    return rc == EXIT_OK && cr->args->value['F'] ? wait_end(cr) : rc;
}

int cmd_create(struct cli *cli, const struct cli_args *args)
{
    struct create cr = {.cli = cli, .args = args, .console = -1};
    int rc;

    if (args->value['F'] && args->value['e'])
        return cli_usage(cli, "-F: with -e nobody sees to the guest when it stops");
    rc = read_config(&cr);
    if (rc == EXIT_OK)
        rc = args->value['n'] ? dry_run(&cr) : create(&cr);
    config_free(&cr.config);
    return rc;
}

/* -d: to standard error, as xl does. */
static void show_config(struct create *cr)
{
    struct json_out *o = json_out_new(true);
    char *text;

    config_json(&cr->config, o, NULL);
    text = json_out_end(o);
    fputs(text ? text : "", stderr);
    free(text);
}

static int restore(struct create *cr, int fd)
{
    const char *file = cr->args->operand[0];
    struct ctl_error err = {0};
    char *text = NULL;
    int rc = -ENOMEM;

    cr->stream = ctl_stream_open(fd, file, &err);
    if (cr->stream)
        rc = ctl_stream_read_config(cr->stream, &text, &err);
    if (rc == 0)
        rc = saved_config_read(text, file, &cr->config, &cr->more, &err);
    free(text);
    if (rc >= 0 && cr->args->value['d'])
        show_config(cr);
    rc = rc < 0 ? cli_fail(cr->cli, file, &err, CLI_NO_DOMAIN) : create(cr);
    ctl_stream_close(cr->stream);
    return rc;
}

int cmd_restore(struct cli *cli, const struct cli_args *args)
{
    struct create cr = {.cli = cli, .args = args, .console = -1};
    int fd = open(args->operand[0], O_RDONLY | O_CLOEXEC), rc;
    struct ctl_error err = {0};

    if (fd < 0) {
        ctl_error_set(&err, -errno, "open the file", args->operand[0], NULL, "there is no saved guest to read");
        return cli_fail(cli, args->operand[0], &err, CLI_NO_DOMAIN);
    }
    rc = restore(&cr, fd);
    close(fd);
    config_free(&cr.config);
    return rc;
}
