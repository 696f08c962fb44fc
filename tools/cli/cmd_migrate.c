/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `migrate`: options, the guest's lock and record, then its way (migrate_send.c) and the sums.
 *
 * A signal does not end the process: it is noted, and the migration gives up in order.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/handover.h"
#include "cli/migrate.h"
#include "cli/settings.h"
#include "cli/supervisor.h"

#define SUSPEND_MS       60000
#define SUSPEND_LEAST_MS 1000
#define SUSPEND_MOST_MS  100000
#define TIMEOUT_MS       600000
#define LEAST_BANDWIDTH  (64u << 10)
#define LONGEST_MS       (7 * 86400000ull)

/* --- options --- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* A whole number and one of the units, of which the first is meant if none is there. 0 or -EINVAL. */
static int parse_amount(const char *text, const struct unit *units, uint64_t *amount)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9')
        return -EINVAL;
    for (const struct unit *u = units; u->name; u++) {
        if (strcmp(end, u->name) == 0 || (u == units && !*end)) {
            *amount = n * u->factor;
            return n && *amount / n != u->factor ? -EINVAL : 0;
        }
    }
    return -EINVAL;
}

const char *migrate_time(const char *text, unsigned *ms)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {0}};
    uint64_t amount;

    if (parse_amount(text, units, &amount) || amount > LONGEST_MS)
        return "is not a time: a number with ms, s, m or h, a week at most";
    *ms = (unsigned)amount;
    return NULL;
}

const char *migrate_bandwidth(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {0}};

    if (parse_amount(text, units, bytes) || *bytes < LEAST_BANDWIDTH || *bytes > INT64_MAX / 1000)
        return "is not a number of bytes a second, with K, M or G, 64K at least";
    return NULL;
}

static int parse_time(const struct cli *cli, const char *option, const char *text, unsigned *ms)
{
    const char *fault = text ? migrate_time(text, ms) : NULL;

    return fault ? cli_usage(cli, "--%s: \"%s\" %s", option, text, fault) : EXIT_OK;
}

/* The other side hears nothing meanwhile: an older one gives up after two minutes of that. */
static int parse_suspend(const struct cli *cli, const char *text, unsigned *ms)
{
    int rc = parse_time(cli, "suspend-timeout", text, ms);

    if (rc || (*ms >= SUSPEND_LEAST_MS && *ms <= SUSPEND_MOST_MS))
        return rc;
    return cli_usage(cli, "--suspend-timeout: \"%s\" is not a time from %ds to %ds", text, SUSPEND_LEAST_MS / 1000,
                     SUSPEND_MOST_MS / 1000);
}

static int parse_bandwidth(const struct cli *cli, const char *text, uint64_t *bytes)
{
    const char *fault = text ? migrate_bandwidth(text, bytes) : NULL;

    return fault ? cli_usage(cli, "--bandwidth: \"%s\" %s", text, fault) : EXIT_OK;
}

static int parse_force(const struct cli *cli, const char *text, bool *force)
{
    *force = text && strcmp(text, "force") == 0;
    if (!text || *force || strcmp(text, "cancel") == 0)
        return EXIT_OK;
    return cli_usage(cli, "--on-timeout: \"%s\" is neither cancel nor force", text);
}

static int parse_streams(const struct cli *cli, const char *text, unsigned *streams)
{
    static const struct unit units[] = {{"", 1}, {0}};
    uint64_t n = 1;

    if (text && (parse_amount(text, units, &n) || n < 1 || n > CTL_STREAMS_MAX))
        return cli_usage(cli, "--streams: \"%s\" is not a number of connections, 1 to %d", text, CTL_STREAMS_MAX);
    *streams = (unsigned)n;
    return EXIT_OK;
}

/* The key's file is noted by its whole path: `migrate-resolve` may be run elsewhere. */
static int parse_tcp(struct migration *m, const char *key)
{
    if (!key)
        return cli_usage(m->cli, "--transport tcp: needs --key FILE, with the key that both hosts have");
    if (!strchr(m->way.host, ':'))
        return cli_usage(m->cli, "%s: tcp needs HOST:PORT, where `umbra migrate-receive --listen` waits", m->way.host);
    if (!realpath(key, m->key))
        return cli_usage(m->cli, "--key: %s: %s", key, strerror(errno));
    m->way.key = m->key;
    return EXIT_OK;
}

/* What the option says, or else the setting; NULL: neither does. */
static const char *said(const char *option, const struct settings *s, const char *setting)
{
    return option ? option : settings_text(s, setting);
}

/* xl's -s: a command in the place of ssh, for the shell, which may end in #; an empty one: HOST is the command. */
static int parse_ssh(struct migration *m, const char *ssh)
{
    int n = snprintf(m->command, sizeof(m->command), "%s \"$1\" umbra migrate-receive%s%s", ssh,
                     m->way.no_watch ? " -e" : "", m->way.paused ? " -p" : "");

    if (n >= (int)sizeof(m->command))
        return cli_usage(m->cli, "--ssh: the command is too long");
    m->way.how = *ssh ? m->command : "eval \"$1\"";
    return EXIT_OK;
}

/* What the receiver can be told only by who starts it. */
static int check_told(const struct migration *m)
{
    if ((!m->way.no_watch && !m->way.paused) || strcmp(m->way.how, TRANSPORT_SSH) == 0)
        return EXIT_OK;
    return cli_usage(m->cli, "--%s: `umbra migrate-receive` on the other host takes it with this transport",
                     m->way.no_watch ? "no-watch" : "paused");
}

static int parse_transport(struct migration *m, const struct cli_args *args, const struct settings *s)
{
    const char *how = said(args->value['T'], s, "migrate.transport"), *key = args->value['k'];

    m->way.no_watch = args->value['e'] != NULL;
    m->way.paused = args->value['p'] != NULL;
    if (args->value['s'] && (args->value['T'] || key))
        return cli_usage(m->cli, "--ssh: it is a way of its own, without --transport and --key");
    if (args->value['s'])
        return parse_ssh(m, args->value['s']);
    m->way.how = how ? how : TRANSPORT_SSH;
    if (check_told(m))
        return EXIT_USAGE;
    if (strcmp(m->way.how, TRANSPORT_TCP) == 0)
        return parse_tcp(m, said(key, s, "migrate.key"));
    if (key)
        return cli_usage(m->cli, "--key: only --transport tcp has one");
    return *m->way.how ? EXIT_OK : cli_usage(m->cli, "--transport: an empty command");
}

static int parse(struct migration *m, const struct cli_args *args, const struct settings *s)
{
    const char *downtime = said(args->value['d'], s, "migrate.max_downtime");
    const struct cli *cli = m->cli;
    int rc = parse_transport(m, args, s);

    m->keep_domid = args->value['D'] != NULL;
    m->send = (struct ctl_send){.live = !args->value['S'], .timeout_ms = TIMEOUT_MS, .suspend_ms = SUSPEND_MS};
    if (!rc && *m->way.host == '-')
        rc = cli_usage(cli, "%s: not a host", m->way.host);
    if (!rc)
        rc = parse_time(cli, "max-downtime", downtime ? downtime : MIGRATE_DOWNTIME, &m->send.max_downtime_ms);
    if (!rc)
        rc = parse_time(cli, "timeout", args->value['t'], &m->send.timeout_ms);
    if (!rc)
        rc = parse_suspend(cli, args->value['w'], &m->send.suspend_ms);
    if (!rc)
        rc = parse_force(cli, args->value['o'], &m->send.force);
    if (!rc)
        rc = parse_bandwidth(cli, said(args->value['b'], s, "migrate.bandwidth"), &m->send.bandwidth);
    if (!rc)
        rc = parse_streams(cli, args->value['N'], &m->streams);
    if (!rc && args->value['S'] && (args->value['d'] || args->value['o'] || args->value['t']))
        rc =
            cli_usage(cli, "--non-live: there are no rounds that --max-downtime, --timeout and --on-timeout could end");
    return rc;
}

/* --- the configuration --- */

/* Whether the files are there is the other host's to say, and from which directory they are looked for nobody's. */
static int check_config(const struct migration *m, const struct config *c, const char *file)
{
    if ((c->type == CONFIG_PVH) != m->info.hvm)
        return cli_usage(m->cli, "%s: type: the guest is %s one", file, m->info.hvm ? "a pvh" : "a pv");
    if (*c->kernel != '/' || (c->ramdisk && *c->ramdisk != '/'))
        return cli_usage(m->cli, "%s: %s: write it with its whole path on the other host", file,
                         *c->kernel != '/' ? "kernel" : "ramdisk");
    return EXIT_OK;
}

/* xl's -C. Name and uuid stay the guest's. */
static int read_config(struct migration *m, const char *file, const struct settings *s)
{
    struct config_input in = {.file = file};
    struct json_out *o = json_out_new(false);
    struct diags d = {0};
    struct config c;
    int rc;

    config_load(&in, &c, &d);
    settings_for_guest(s, &c, &d);
    config_check_required(&c, &d);
    config_check_fit(&c, &d);
    memcpy(c.uuid.bytes, m->info.uuid, sizeof(m->info.uuid));
    c.uuid.given = true;
    if (!diags_failed(&d))
        d.out_of_memory |= config_devices_fill(&c.vifs) != 0;
    config_json(&c, o, NULL);
    m->config = json_out_end(o);
    d.out_of_memory |= !m->config;
    cli_show_reports(m->cli, &d);
    rc = diags_failed(&d) ? EXIT_USAGE : check_config(m, &c, file);
    diags_free(&d);
    config_free(&c);
    return rc;
}

/* --- the guest --- */

static void note_signal(int sig)
{
    handover_cancelled = 1;
}

static void hold_signals(void)
{
    static const int held[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART}, before;

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        sigaction(held[i], NULL, &before);
        if (before.sa_handler != SIG_IGN)
            sigaction(held[i], &action, NULL);
    }
}

static int migrate_locked(struct migration *m)
{
    struct ctl_error err = {0};
    bool unresolved;
    int rc;

    rc = guest_may_leave(m->cli->ctl, &m->gs, &err);
    m->gs.phase = GUEST_MIGRATING;
    if (rc >= 0)
        rc = guest_name_move(&m->gs, &err);
    if (rc >= 0)
        rc = guest_state_put(m->cli->ctl, &m->gs, &err);
    if (rc >= 0) {
        migrate_show(m, &m->state);
        rc = migrate_send(m, &unresolved, &err);
    }
    if (m->moved)
        migrate_report(m);
    return rc < 0 ? cli_fail(m->cli, m->name, &err, m->domid) : EXIT_OK;
}

static int take_and_send(struct migration *m)
{
    struct ctl_error err = {0};
    int rc;

    /* If we are killed, it is the supervisor that ends what we began. */
    if (supervisor_start(&err) < 0 || guest_take(m->cli->ctl, "migrate", &m->domid, &m->info, &m->gs, &err) < 0)
        return cli_fail(m->cli, m->name, &err, m->domid);
    m->began_ms = migrate_now_ms();
    snprintf(m->guest, sizeof(m->guest), "%s", m->gs.name); /* which changes on the way */
    m->name = m->guest;
    hold_signals();
    rc = migrate_locked(m);
    guest_unlock(m->info.uuid);
    return rc;
}

static int migrate(struct cli *cli, const struct cli_args *args, const struct settings *s)
{
    struct migration m = {.cli = cli, .name = args->operand[0], .way.host = args->operand[1]};
    const char *file = args->value['C'];
    struct ctl_error err = {0};
    int rc = parse(&m, args, s);

    if (rc)
        return rc;
    if (cli_guest(cli, m.name, &m.domid))
        return EXIT_FAILED;
    if (ctl_domain_info(cli->ctl, m.domid, &m.info, &err) < 0)
        return cli_fail(cli, m.name, &err, m.domid);
    if (file)
        rc = read_config(&m, file, s);
    if (rc == EXIT_OK)
        rc = args->value['n'] ? migrate_check(&m) : take_and_send(&m);
    free(m.config);
    return rc;
}

int cmd_migrate(struct cli *cli, const struct cli_args *args)
{
    struct settings settings;
    int rc = settings_load(cli, &settings);

    if (rc == EXIT_OK)
        rc = migrate(cli, args, &settings);
    settings_free(&settings);
    return rc;
}
