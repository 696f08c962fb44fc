/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `console`: attach to a guest that exists. `create -c` uses console_attach() before the guest first runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cmd_console.h"
#include "cli/console_logs.h"
#include "cli/terminal.h"

#define TTY_TIMEOUT_MS 10000
#define LINES_DEFAULT  20

int console_open(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    char *path;
    int fd, rc = ctl_console_tty(ctl, domid, TTY_TIMEOUT_MS, &path, err);

    if (rc < 0)
        return rc;
    fd = terminal_open(path);
    if (fd < 0)
        ctl_error_set(err, fd, "open the console", path, "is xenconsoled running?", "the terminal cannot be opened");
    free(path);
    return fd;
}

int console_attach(struct cli *cli, int fd, int escape)
{
    int rc;

    fflush(stdout);
    rc = terminal_run(fd, escape);
    close(fd);
    if (rc == 1 && isatty(STDOUT_FILENO))
        fputs("\n", stdout); /* the guest's last line is likely to be its prompt */
    if (rc < 0 && cli->verbose)
        fprintf(stderr, "umbra: %s: the terminal ended: %s\n", cli->command->name, strerror(-rc));
    return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

/* Of the log, 0 to 9999; or -EINVAL. */
static int lines_parse(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits && digits < 5 && !text[digits] ? atoi(text) : -EINVAL;
}

static int check_options(struct cli *cli, const struct cli_args *args, int *escape, int *lines)
{
    const char *type = args->value['t'], *num = args->value['n'];

    *lines = args->value['l'] ? lines_parse(args->value['l']) : LINES_DEFAULT;
    *escape = args->value['e'] ? escape_parse(args->value['e']) : ESCAPE_DEFAULT;
    if (type && strcmp(type, "pv") != 0 && strcmp(type, "serial") != 0)
        return cli_usage(cli, "-t %s: the types are pv and serial", type);
    if (type && strcmp(type, "serial") == 0)
        return cli_usage(cli, "-t serial: PV guests have no serial console; use -t pv");
    if (num && strcmp(num, "0") != 0)
        return cli_usage(cli, "-n %s: only console 0 exists", num);
    if (*escape < 0)
        return cli_usage(cli, "-e %s: not a character; write ^] or x", args->value['e']);
    if (*lines < 0)
        return cli_usage(cli, "-l %s: not a number of lines, 0 to 9999", args->value['l']);
    return EXIT_OK;
}

/* Where the guest stands, on a terminal: the console itself begins with what it says next. */
static void show_log(struct cli *cli, uint32_t domid, int lines)
{
    char *name;

    if (!isatty(STDOUT_FILENO) || ctl_domain_name(cli->ctl, domid, &name, NULL) < 0)
        return;
    console_logs_show(stdout, name, (unsigned)lines);
    free(name);
}

int cmd_console(struct cli *cli, const struct cli_args *args)
{
    struct ctl_error err = {0};
    uint32_t domid;
    int escape, lines, fd, rc = check_options(cli, args, &escape, &lines);

    if (rc)
        return rc;
    if (cli_domain(cli, args->operand[0], &domid))
        return EXIT_FAILED;
    if (domid == 0) {
        ctl_error_set(&err, -EINVAL, "console", NULL, NULL, "domain 0's console is the host's own");
        return cli_fail(cli, args->operand[0], &err, CLI_NO_DOMAIN);
    }
    fd = console_open(cli->ctl, domid, &err);
    if (fd < 0)
        return cli_fail(cli, args->operand[0], &err, domid);
    show_log(cli, domid, lines);
    return console_attach(cli, fd, escape);
}
