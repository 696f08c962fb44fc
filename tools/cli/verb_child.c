// SPDX-License-Identifier: BSD-2-Clause
/* See verb_child.h. */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lock.h"
#include "cli/verb_child.h"

pid_t verb_begin(const char *verb, const char *option, const char *a, const char *b)
{
    const char *argv[] = {"umbra", verb, option, a, b, NULL};
    int argc = b ? 5 : 4;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child != 0)
        return child;
    lock_forget(); /* and of the handle: a child opens its own */
    _exit(cli_main(argc, (char **)argv));
}

int verb_end(pid_t child)
{
    int status = -1;

    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

int verb_run(const char *verb, const char *option, const char *a, const char *b)
{
    return verb_end(verb_begin(verb, option, a, b));
}
