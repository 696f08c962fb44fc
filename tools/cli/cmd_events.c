/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `events`: tells what happens to domains and guests, a line or a JSON object for each event, until it is ended.
 *
 * Xenstore's watches say when to look: domains that come, stop or go, and the guests' records. Pausing tells nobody, so
 * it looks twice a second in any case. A look is one hypercall; names and records are read when a watch fired, or a
 * domain is new.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/diag.h"
#include "cli/events.h"
#include "cli/output.h"

#define WATCHED "/umbra/guest"
#define LOOK_MS 500

struct stream {
    struct cli *cli;
    struct event_view view;
    long told;
    bool records_changed;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void time_text(char out[32])
{
    struct timespec now;
    struct tm tm;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    snprintf(out + n, 32 - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* --- telling -------------------------------------------------------------------------------------------------------
 */

static void tell_json(const struct event *e, const char *when)
{
    struct json_out *o = json_out_new(false);
    char uuid[CTL_UUID_TEXT], *text;

    ctl_uuid_format(e->uuid, uuid);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.event/1");
    json_out_str(o, "time", when);
    json_out_str(o, "event", e->what);
    if (e->domid == EVENT_NO_DOMAIN)
        json_out_null(o, "domid");
    else
        json_out_uint(o, "domid", e->domid);
    json_out_str(o, "name", e->name);
    json_out_str(o, "uuid", uuid);
    json_out_str(o, "detail", e->detail);
    json_out_close(o);
    text = json_out_end(o);
    fputs(text ? text : "{}\n", stdout);
    free(text);
}

static void tell(void *ctx, const struct event *e)
{
    struct stream *s = ctx;
    char when[32];

    time_text(when);
    s->told++;
    if (s->cli->json) {
        tell_json(e, when);
    } else {
        printf("%s ", when);
        put_clean(stdout, *e->name ? e->name : "(unnamed)");
        if (e->domid != EVENT_NO_DOMAIN)
            printf(" (%u)", e->domid);
        printf(": %s", e->what);
        if (e->detail) {
            fputs(": ", stdout);
            put_clean(stdout, e->detail);
        }
        putchar('\n');
    }
    fflush(stdout);
}

static void tell_present(struct stream *s)
{
    for (int i = 0; i < s->view.n; i++) {
        const struct event_domain *d = &s->view.domains[i];

        tell(s, &(struct event){"present", d->domid, d->name, d->uuid, d->reason});
    }
}

/* --- looking -------------------------------------------------------------------------------------------------------
 */

static void free_view(struct event_view *v)
{
    free(v->domains);
    free(v->guests);
    *v = (struct event_view){0};
}

static const struct event_domain *known(const struct event_view *v, uint32_t domid)
{
    for (int i = 0; i < v->n; i++) {
        if (v->domains[i].domid == domid)
            return &v->domains[i];
    }
    return NULL;
}

/* A domain that is going has lost its name: it keeps the one that was known. */
static void name_domain(struct stream *s, struct event_domain *d)
{
    const struct event_domain *before = known(&s->view, d->domid);
    char *name = NULL;

    if (before)
        memcpy(d->name, before->name, sizeof(d->name));
    if ((!before || s->records_changed || !*d->name) && ctl_domain_name(s->cli->ctl, d->domid, &name, NULL) >= 0)
        snprintf(d->name, sizeof(d->name), "%s", name);
    free(name);
}

static int look_at_domains(struct stream *s, struct event_view *v, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int n = ctl_domain_scan(s->cli->ctl, &list, err);

    if (n < 0)
        return n;
    v->domains = calloc((size_t)n + 1, sizeof(*v->domains));
    for (; v->domains && v->n < n; v->n++) {
        const struct ctl_domain_info *info = &list[v->n];
        struct event_domain *d = &v->domains[v->n];

        d->domid = info->domid;
        memcpy(d->uuid, info->uuid, sizeof(d->uuid));
        d->paused = info->paused;
        d->dying = info->dying;
        d->reason = shutdown_reason(info);
        name_domain(s, d);
    }
    free(list);
    return v->domains ? 0 : ctl_error_set(err, -ENOMEM, "list the domains", NULL, NULL, "out of memory");
}

static int look_at_guests(struct stream *s, struct event_view *v, struct ctl_error *err)
{
    struct guest_state *list = NULL;
    int n = guest_state_list(s->cli->ctl, &list, err);

    if (n < 0)
        return n;
    v->guests = calloc((size_t)n + 1, sizeof(*v->guests));
    for (; v->guests && v->n_guests < n; v->n_guests++) {
        struct event_guest *g = &v->guests[v->n_guests];

        memcpy(g->uuid, list[v->n_guests].uuid, sizeof(g->uuid));
        memcpy(g->name, list[v->n_guests].name, sizeof(g->name));
        g->phase = list[v->n_guests].phase;
    }
    free(list);
    return v->guests ? 0 : ctl_error_set(err, -ENOMEM, "list the guests", NULL, NULL, "out of memory");
}

/* The view afterwards is the new one. The first look is only to know what there is. */
static int look(struct stream *s, bool first, struct ctl_error *err)
{
    struct event_view now = {0};
    int rc = look_at_domains(s, &now, err);

    if (rc == 0 && s->records_changed)
        rc = look_at_guests(s, &now, err);
    if (rc < 0) {
        free_view(&now);
        return rc;
    }
    if (!first) {
        events_domains(&s->view, &now, tell, s);
        if (s->records_changed)
            events_guests(&s->view, &now, tell, s);
    }
    if (!s->records_changed) {
        now.guests = s->view.guests;
        now.n_guests = s->view.n_guests;
        s->view.guests = NULL;
    }
    free_view(&s->view);
    s->view = now;
    s->records_changed = false;
    return 0;
}

static void drain(struct stream *s)
{
    char *path;

    while ((path = ctl_store_event(s->cli->ctl)) != NULL)
        free(path);
    s->records_changed = true;
}

/* The descriptor of the watches is a pipe of the library's own, and tells nothing when xenstored dies. A connection
 * that broke stays broken, so that one that was started again meanwhile is not taken for the one that knew our watches.
 */
static int ask_store(struct stream *s, struct ctl_error *err)
{
    struct ctl_error why = {0};
    char *value = ctl_store_read(s->cli->ctl, WATCHED, &why);
    bool answered = value || why.code == -ENOENT;

    free(value);
    if (answered)
        return 0;
    *err = why;
    return why.code;
}

/* Until something may have happened, or for `ms`. */
static void wait_for_news(struct stream *s, uint64_t ms)
{
    struct pollfd fd = {.fd = ctl_store_fd(s->cli->ctl), .events = POLLIN};

    if (poll(&fd, 1, (int)ms) > 0)
        drain(s);
}

static int watch(struct stream *s, struct ctl_error *err)
{
    static const char *const paths[] = {"@introduceDomain", "@releaseDomain", WATCHED};
    int rc = 0;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && rc >= 0; i++)
        rc = ctl_store_watch(s->cli->ctl, paths[i], err);
    return rc;
}

/* --- the verb ------------------------------------------------------------------------------------------------------
 */

static int follow(struct stream *s, const struct cli_args *args, uint64_t until, struct ctl_error *err)
{
    bool once = args->value['1'] != NULL;
    int rc = watch(s, err);

    s->records_changed = true;
    if (rc >= 0)
        rc = look(s, true, err);
    if (rc >= 0 && args->value['p'])
        tell_present(s);
    s->told = 0;
    while (rc >= 0 && !(once && s->told)) {
        uint64_t now = now_ms();

        if (now >= until)
            return once ? ctl_error_set(err, -ETIMEDOUT, "wait for an event", NULL, NULL, "nothing happened") : 0;
        wait_for_news(s, until - now < LOOK_MS ? until - now : LOOK_MS);
        rc = ask_store(s, err);
        if (rc >= 0)
            rc = look(s, false, err);
    }
    return rc;
}

static int parse_timeout(const struct cli *cli, const char *text, uint64_t *until)
{
    unsigned long seconds;
    char *end;

    *until = UINT64_MAX;
    if (!text)
        return EXIT_OK;
    seconds = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || seconds > 31536000)
        return cli_usage(cli, "--timeout %s: not a number of seconds, up to 31536000", text);
    *until = now_ms() + seconds * 1000;
    return EXIT_OK;
}

int cmd_events(struct cli *cli, const struct cli_args *args)
{
    struct stream s = {.cli = cli};
    struct ctl_error err = {0};
    uint64_t until;
    int rc = parse_timeout(cli, args->value['t'], &until);

    if (rc)
        return rc;
    if (cli_open(cli))
        return EXIT_FAILED;
    rc = follow(&s, args, until, &err);
    free_view(&s.view);
    return rc < 0 ? cli_fail(cli, NULL, &err, CLI_NO_DOMAIN) : EXIT_OK;
}
