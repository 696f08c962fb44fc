// SPDX-License-Identifier: BSD-2-Clause
/*
 * Runs a command that creates a guest again and again, each time with something else made to fail, and says how each
 * run ended. All in one process: under emulation it is the starting of programs that takes long.
 *
 *   attempts alloc|call FIRST LAST STEP NAME COMMAND [ARGUMENT...]
 *
 * In run N the N-th allocation of the hypervisor for a hypercall fails, or the N-th call of the command, into which the
 * library that FAULTS names is loaded (faults.c). A line for each:
 *
 *   run N STATUS HIT DOMAINS TEXT
 *
 * HIT is 1 if anything was made to fail; DOMAINS how many there are besides the control domain and dying ones; TEXT
 * what was said on standard error, with bars for newlines. A guest NAME that is there then is destroyed. The first run
 * that nothing failed in is the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xencall.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>

#include "libctl/ctl.h"
#include "umbra/umbra_op.h"

#define TEXT 4096

static xencall_handle *calls;
static struct ctl *ctl;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "attempts: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* Returns how many allocations were left to go before the one that was to fail. */
static unsigned arm(unsigned n)
{
    static struct umbra_op *op;

    if (!op)
        op = xencall_alloc_buffer(calls, sizeof(*op));
    must(op != NULL, "buffer");
    memset(op, 0, sizeof(*op));
    op->cmd = UMBRA_OP_alloc_fault;
    op->interface_version = UMBRA_OP_INTERFACE_VERSION;
    op->u.alloc_fault.n = n;
    must(xencall1(calls, __HYPERVISOR_umbra_op, (uintptr_t)op) == 0, "alloc_fault");
    return op->u.alloc_fault.n;
}

static int run(char *const argv[], char *text)
{
    posix_spawn_file_actions_t actions;
    size_t n = 0;
    ssize_t got;
    int ends[2], status;
    pid_t pid;

    must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    must(posix_spawn_file_actions_init(&actions) == 0, "actions");
    must(posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO) == 0, "actions");
    must(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0, "spawn");
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while ((got = read(ends[0], text + n, TEXT - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    must(waitpid(pid, &status, 0) == pid, "wait");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static unsigned domains(void)
{
    struct ctl_domain_info *list;
    unsigned live = 0;
    int n = ctl_domain_scan(ctl, &list, NULL);

    must(n > 0, "list");
    for (int i = 0; i < n; i++)
        live += list[i].domid != 0 && !list[i].dying;
    free(list);
    return live;
}

/* False: nothing was made to fail. */
static bool attempt(bool alloc, unsigned n, char *name, char *const argv[])
{
    char text[TEXT], number[16], said[TEXT];
    bool hit;
    int status;

    if (alloc) {
        arm(n);
    } else {
        snprintf(number, sizeof(number), "%u", n);
        setenv("LD_PRELOAD", getenv("FAULTS"), 1);
        setenv("FAULT_AT", number, 1);
    }
    status = run(argv, text);
    unsetenv("LD_PRELOAD");
    hit = alloc ? arm(0) == 0 : strncmp(text, "fault ", 6) == 0 || strstr(text, "\nfault ");
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = '|';
    printf("run %u %d %d %u %s\n", n, status, hit, domains(), text);
    if (domains())
        printf("destroyed %d\n", run((char *[]){"umbra", "destroy", name, NULL}, said));
    return hit;
}

int main(int argc, char **argv)
{
    bool alloc = argc > 6 && strcmp(argv[1], "alloc") == 0;

    if (!alloc && (argc < 7 || strcmp(argv[1], "call") != 0 || !getenv("FAULTS"))) {
        fprintf(stderr, "usage: [FAULTS=LIBRARY] attempts alloc|call FIRST LAST STEP NAME COMMAND...\n");
        return 2;
    }
    calls = xencall_open(NULL, 0);
    ctl = ctl_open(NULL);
    must(calls && ctl, "open");
    for (unsigned n = (unsigned)atoi(argv[2]); n <= (unsigned)atoi(argv[3]); n += (unsigned)atoi(argv[4]))
        if (!attempt(alloc, n, argv[5], argv + 6))
            break;
    return 0;
}
