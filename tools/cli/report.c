/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How failures are shown: the whole of what libctl knows on one line, the hint on the next, then what the hypervisor
 * itself logged about it. Also the two things nearly every verb starts with: opening the handle, finding a domain.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/diag.h"
#include "cli/guest_state.h"

#define LOG_LINES 5
#define POLL_MS   100
#define REBOOT_MS 60000 /* how long a guest that reboots is waited for */

static const char *verb(const struct cli *cli)
{
    return cli->command ? cli->command->name : "umbra";
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    va_end(args);
    fprintf(stderr, "umbra: %s: ", verb(cli));
    put_clean(stderr, text ? text : "out of memory");
    fprintf(stderr, "\nhint: `umbra help %s` shows how it is used\n", verb(cli));
    free(text);
    return EXIT_USAGE;
}

/* --- the hypervisor's log -------------------------------------------------------------------------------------------
 */

bool log_line_about(const char *line, size_t len, uint32_t domid)
{
    static const char *const forms[] = {"d%u", "dom%u", "Dom%u", "domain %u", "Domain %u"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char word[32];
        size_t n = (size_t)snprintf(word, sizeof(word), forms[i], domid);

        for (const char *at = line; at + n <= line + len; at++) {
            bool starts =
                at == line || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", at[-1]);

            if (starts && memcmp(at, word, n) == 0 && (at + n == line + len || !strchr("0123456789", at[n])))
                return true;
        }
    }
    return false;
}

/* Where the log goes on after what it held at the mark; its start if that has been overwritten. */
static const char *since_mark(const char *log, const char *mark)
{
    size_t n = mark ? strlen(mark) : 0;
    const char *tail = mark + (n > 200 ? n - 200 : 0), *at = log, *last = NULL;

    if (n == 0)
        return log;
    while ((at = strstr(at, tail)) != NULL) {
        last = at;
        at++;
    }
    return last ? last + strlen(tail) : log;
}

/* The last LOG_LINES lines that matter, as pointers into log. Returns their number. */
static int pick_lines(char *log, uint32_t domid, char *picked[LOG_LINES])
{
    int n = 0;

    for (char *line = strtok(log, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        if (domid != CLI_NO_DOMAIN && !log_line_about(line, strlen(line), domid))
            continue;
        if (n == LOG_LINES)
            memmove(picked, picked + 1, (LOG_LINES - 1) * sizeof(*picked));
        else
            n++;
        picked[n - 1] = line;
    }
    return n;
}

void cli_log_mark(struct cli *cli)
{
    free(cli->log_mark);
    cli->log_mark = NULL;
    if (cli->ctl && ctl_host_log(cli->ctl, false, &cli->log_mark, NULL) < 0)
        cli->log_mark = NULL;
}

/* *text holds what the lines point into. */
static int log_lines(struct cli *cli, uint32_t domid, char **text, char *picked[LOG_LINES])
{
    *text = NULL;
    if (!cli->ctl || (domid == CLI_NO_DOMAIN && !cli->log_mark))
        return 0;
    if (ctl_host_log(cli->ctl, false, text, NULL) < 0) {
        *text = NULL;
        return 0;
    }
    return pick_lines(domid == CLI_NO_DOMAIN ? (char *)since_mark(*text, cli->log_mark) : *text, domid, picked);
}

/* --- failures -------------------------------------------------------------------------------------------------------
 */

static void fail_json(const struct cli *cli, const char *subject, const struct ctl_error *err, char **lines, int n)
{
    struct json_out *o = json_out_new(true);
    char *text;

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.error/1");
    json_out_str(o, "verb", verb(cli));
    json_out_str(o, "subject", subject);
    json_out_str(o, "step", err->step);
    json_out_str(o, "object", err->object);
    json_out_str(o, "field", err->field[0] ? err->field : NULL);
    json_out_str(o, "message", err->message);
    json_out_int(o, "errno", -err->code);
    json_out_str(o, "hint", err->hint[0] ? err->hint : NULL);
    json_out_array(o, "hypervisor_log");
    for (int i = 0; i < n; i++)
        json_out_str(o, NULL, lines[i]);
    json_out_close(o);
    json_out_close(o);
    text = json_out_end(o);
    fputs(text ? text : "{}\n", stderr);
    free(text);
}

static void put_part(const char *s)
{
    if (!s || !*s)
        return;
    put_clean(stderr, s);
    fputs(": ", stderr);
}

static void fail_text(const struct cli *cli, const char *subject, const struct ctl_error *err)
{
    const char *reason = err->code ? strerror(-err->code) : "unknown error";

    fprintf(stderr, "umbra: %s: ", verb(cli));
    put_part(subject);
    put_part(err->step);
    if (!subject || strcmp(subject, err->object) != 0)
        put_part(err->object);
    put_clean(stderr, err->message[0] ? err->message : reason);
    if (err->message[0] && !strstr(err->message, reason))
        fprintf(stderr, " (%s)", reason);
    fputc('\n', stderr);
    if (err->hint[0]) {
        fputs("hint: ", stderr);
        put_clean(stderr, err->hint);
        fputc('\n', stderr);
    }
}

int cli_fail(struct cli *cli, const char *subject, const struct ctl_error *err, uint32_t domid)
{
    char *log, *lines[LOG_LINES];
    int n = log_lines(cli, domid, &log, lines);

    fflush(stdout);
    if (cli->json) {
        fail_json(cli, subject, err, lines, n);
    } else {
        fail_text(cli, subject, err);
        for (int i = 0; i < n; i++) {
            fputs("hypervisor: ", stderr);
            put_clean(stderr, lines[i]);
            fputc('\n', stderr);
        }
    }
    free(log);
    return EXIT_FAILED;
}

int cli_open(struct cli *cli)
{
    struct ctl_error err = {0};

    if (!cli->ctl)
        cli->ctl = ctl_open(&err);
    return cli->ctl ? EXIT_OK : cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
}

static bool between_lives(struct ctl *ctl, const char *name_or_id)
{
    struct guest_state gs;

    return guest_state_find(ctl, name_or_id, &gs, NULL) == 0 &&
           (gs.phase == GUEST_RENAMING || gs.phase == GUEST_REBOOTING || gs.phase == GUEST_STARTING);
}

/* A domain that others hold has lost its nodes; the guest's record still knows its name. */
static bool find_dying(struct ctl *ctl, const char *name_or_id, uint32_t *domid)
{
    struct ctl_domain_info *list;
    struct guest_state gs;
    bool found = false;
    int n;

    if (guest_state_find(ctl, name_or_id, &gs, NULL) < 0 || (n = ctl_domain_scan(ctl, &list, NULL)) < 0)
        return false;
    for (int i = 0; i < n && !found; i++) {
        found = memcmp(list[i].uuid, gs.uuid, sizeof(gs.uuid)) == 0;
        *domid = found ? list[i].domid : *domid;
    }
    free(list);
    return found;
}

int cli_domain(struct cli *cli, const char *name_or_id, uint32_t *domid)
{
    struct ctl_error err = {0};

    if (cli_open(cli))
        return EXIT_FAILED;
    /* A guest between two lives has no domain for a moment. By number it is another domain afterwards: not found. */
    for (int ms = 0; ms < REBOOT_MS && between_lives(cli->ctl, name_or_id); ms += POLL_MS)
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    if (ctl_domain_find(cli->ctl, name_or_id, domid, &err) < 0 && !find_dying(cli->ctl, name_or_id, domid))
        return cli_fail(cli, name_or_id, &err, CLI_NO_DOMAIN);
    return EXIT_OK;
}

int cli_guest(struct cli *cli, const char *name_or_id, uint32_t *domid)
{
    struct ctl_error err = {0};

    if (cli_domain(cli, name_or_id, domid))
        return EXIT_FAILED;
    if (*domid != 0)
        return EXIT_OK;
    ctl_error_set(&err, -EPERM, verb(cli), NULL, "to stop the host, shut the control domain down from inside",
                  "domain 0 is the control domain");
    return cli_fail(cli, name_or_id, &err, CLI_NO_DOMAIN);
}

int cli_hears(struct cli *cli, const char *subject, uint32_t domid)
{
    struct ctl_domain_info info;
    struct ctl_error err = {0};
    struct guest_state gs;

    if (ctl_domain_info(cli->ctl, domid, &info, NULL) < 0 || guest_state_get(cli->ctl, info.uuid, &gs, NULL) < 0)
        return EXIT_OK; /* the verb will find out what is wrong */
    return guest_hears(&gs, domid, verb(cli), &err) < 0 ? cli_fail(cli, subject, &err, CLI_NO_DOMAIN) : EXIT_OK;
}

int cli_json(struct cli *cli, struct json_out *o)
{
    struct ctl_error err = {0};
    char *text = json_out_end(o);

    if (!text) {
        ctl_error_set(&err, -ENOMEM, "write JSON", NULL, NULL, "the document could not be made");
        return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    }
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

void cli_show_reports(const struct cli *cli, struct diags *d)
{
    diags_show(d, cli->json);
}
