/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `config import-xml FILE` and `config export-xml FILE`: the program umbra-xml does it (tools/xml); its output, reports
 * and exit codes are ours. It is a program of its own because of what its library needs, so it may not be there.
 */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/beside.h"
#include "cli/config_actions.h"

#define PROGRAM    "umbra-xml"
#define NOT_LOADED 127 /* the exit code of a program whose libraries are missing */

static int failed(struct cli *cli, int code, const char *hint, const char *what)
{
    struct ctl_error err = {0};

    ctl_error_set(&err, code, "run " PROGRAM, NULL, hint, "%s", what);
    return cli_fail(cli, NULL, &err, CLI_NO_DOMAIN);
}

static int finished(struct cli *cli, pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return failed(cli, -errno, NULL, "its end cannot be waited for");
    }
    if (!WIFEXITED(status))
        return failed(cli, -ECHILD, NULL, "it was killed");
    if (WEXITSTATUS(status) == NOT_LOADED)
        return failed(cli, -ENOENT, "install libxml2", "a library that it needs is missing");
    return WEXITSTATUS(status);
}

int config_xml(struct cli *cli, const struct cli_args *args)
{
    const char *argv[8] = {PROGRAM, args->operand[0]};
    char path[PATH_MAX];
    int n = 2, rc = -beside(PROGRAM, path);
    pid_t child = -1;

    if (args->value['s'])
        argv[n++] = "--strict";
    if (args->value['U'] && strcmp(args->operand[0], "export-xml") == 0)
        argv[n++] = "--allow-unknown";
    if (cli->json)
        argv[n++] = "--json";
    argv[n++] = "--";
    argv[n] = args->operand[1];
    fflush(NULL);
    if (rc == 0)
        rc = posix_spawn(&child, path, NULL, NULL, (char *const *)argv, environ);
    if (rc == ENOENT)
        return failed(cli, -rc, "it is installed beside umbra, and needs libxml2", PROGRAM " is not installed");
    return rc ? failed(cli, -rc, NULL, "it cannot be started") : finished(cli, child);
}
