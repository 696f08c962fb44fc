/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `bug-info`: all that a report of a fault wants, as one text: versions, the host, its domains, the ends of logs, and
 * the guests' configurations. What one part cannot find out is said in its place, and the others follow. What guests
 * say on their consoles is left out, and so are values that look like secrets.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cmd_bug_info.h"
#include "cli/config.h"
#include "cli/diag.h"
#include "cli/guest.h"

#define LOG_LINES   200
#define OTHER_LINES 50
#define TAIL_BYTES  65536
#define HIDDEN      "(hidden)"

static void heading(const char *what)
{
    fflush(stderr);
    printf("\n==== %s\n", what);
    fflush(stdout);
}

/* The last lines of a text. */
static const char *tail(const char *text, int lines)
{
    const char *at = text + strlen(text);

    while (at > text && (lines > 0 || at[-1] != '\n')) {
        at--;
        lines -= at > text && at[-1] == '\n';
    }
    return at;
}

/* --- secrets -------------------------------------------------------------------------------------------------------
 */

static bool is_word(char c)
{
    return c && !isspace((unsigned char)c) && !strchr("\",:=", c);
}

/* Does the name before an = or : suggest that nobody is to see what follows? */
static bool is_secret(const char *name, size_t n)
{
    static const char *const words[] = {"pass", "secret", "token", "key", "psk", "credential"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i]);

        for (size_t at = 0; at + length <= n; at++) {
            if (strncasecmp(name + at, words[i], length) == 0)
                return true;
        }
    }
    return false;
}

/* What stands between a name and its value: =, or : with blanks behind it; as JSON has it, with the name's quote. */
static size_t separator(const char *text)
{
    size_t n = *text == '"' && text[1] == ':';

    if (*text == '=')
        return 1;
    return text[n] == ':' ? n + 1 + strspn(text + n + 1, " \t") : 0;
}

/* A value ends with its quote, which within JSON has a backslash before it; without one with a blank or a quote; in any
 * case with the line. */
static size_t value_length(const char *text)
{
    bool within = strncmp(text, "\\\"", 2) == 0;
    const char quote = within ? '"' : *text == '"' || *text == '\'' ? *text : '\0';
    size_t n = within ? 2 : quote ? 1 : 0;

    for (; text[n] && text[n] != '\n'; n++) {
        if (within && strncmp(text + n, "\\\"", 2) == 0)
            return n + 2;
        if (text[n] == '"' && quote != '"')
            return n;
        if (!within && quote && text[n] == quote)
            return n + 1;
        if (!quote && isspace((unsigned char)text[n]))
            return n;
        n += !within && text[n] == '\\' && text[n + 1] == '"';
    }
    return n;
}

/* Others' texts, made harmless for a terminal. */
static void put_text(FILE *f, const char *text, size_t n)
{
    char *copy = strndup(text, n);

    for (char *at = copy; at && *at;) {
        size_t harmless = strcspn(at, "\n\t");
        char end = at[harmless];

        at[harmless] = '\0';
        put_clean(f, at);
        if (end)
            fputc(end, f);
        at += harmless + (end != '\0');
    }
    free(copy);
}

void bug_info_put(FILE *f, const char *text)
{
    while (*text) {
        size_t n = 0, between;

        while (is_word(text[n]))
            n++;
        between = n ? separator(text + n) : 0;
        if (between && is_secret(text, n)) {
            put_text(f, text, n + between);
            fputs(HIDDEN, f);
            text += n + between + value_length(text + n + between);
            continue;
        }
        n += text[n] ? 1 : 0;
        put_text(f, text, n);
        text += n;
    }
}

/* --- parts ---------------------------------------------------------------------------------------------------------
 */

static void put_file_tail(const char *path, int lines)
{
    FILE *f = fopen(path, "re");
    char *text = calloc(1, TAIL_BYTES + 1);
    size_t n = 0;

    if (f && text) {
        if (fseek(f, -TAIL_BYTES, SEEK_END))
            rewind(f); /* it is shorter */
        n = fread(text, 1, TAIL_BYTES, f);
    }
    if (n)
        bug_info_put(stdout, tail(text, lines));
    else
        puts(f ? "(empty)" : "(there is none)");
    if (f)
        fclose(f);
    free(text);
}

static void put_versions(void)
{
    struct utsname u;

    puts("umbra " UMBRA_VERSION);
    if (uname(&u) == 0)
        printf("%s %s %s %s\n", u.sysname, u.release, u.version, u.machine);
    put_file_tail("/etc/os-release", OTHER_LINES);
}

static void put_log(struct cli *cli)
{
    struct ctl_error err = {0};
    char *text;

    if (ctl_host_log(cli->ctl, false, &text, &err) < 0) {
        cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
        return;
    }
    bug_info_put(stdout, tail(text, LOG_LINES));
    free(text);
}

static void put_configs(struct cli *cli)
{
    struct guest_state *list = NULL;
    struct ctl_error err = {0};
    int n = guest_state_list(cli->ctl, &list, &err);

    if (n < 0)
        cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
    for (int i = 0; i < n; i++) {
        char *config = NULL;

        printf("-- ");
        put_clean(stdout, list[i].name);
        printf(", %s, domain %lld\n", guest_phase_name(list[i].phase), (long long)list[i].domid);
        if (guest_state_config(cli->ctl, list[i].uuid, &config, NULL) == 0 && config)
            bug_info_put(stdout, config);
        putchar('\n');
        free(config);
    }
    free(list);
}

static void run_verb(struct cli *cli, const char *name, int (*run)(struct cli *, const struct cli_args *))
{
    const struct cli_args none = {0};

    heading(name);
    run(cli, &none);
    fflush(stdout);
}

int cmd_bug_info(struct cli *cli, const struct cli_args *args)
{
    char path[256];
    int errors;

    if (cli->json)
        return cli_usage(cli, "it is a text for people; info, list and dmesg have JSON");
    fflush(stdout);
    errors = dup(STDERR_FILENO);
    dup2(STDOUT_FILENO, STDERR_FILENO); /* what a part cannot tell, it says in its place */
    heading("versions");
    put_versions();
    if (cli_open(cli) == EXIT_OK) {
        run_verb(cli, "info", cmd_info);
        run_verb(cli, "list", cmd_list);
        run_verb(cli, "vcpu-list", cmd_vcpu_list);
        heading("guests and their configurations");
        put_configs(cli);
        heading("the hypervisor's log, its end");
        put_log(cli);
    }
    heading("the supervisor's log, its end");
    snprintf(path, sizeof(path), "%s/supervisor.log", guest_log_dir);
    put_file_tail(path, OTHER_LINES);
    heading("/var/log/xen/xen-hotplug.log, its end");
    put_file_tail("/var/log/xen/xen-hotplug.log", OTHER_LINES);
    heading("/proc/meminfo");
    put_file_tail("/proc/meminfo", LOG_LINES);
    fflush(NULL);
    dup2(errors, STDERR_FILENO);
    close(errors);
    return EXIT_OK;
}
