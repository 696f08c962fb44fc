/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process that is the way to another host (see transport.h). What it says on standard error the user sees: it is
 * the other host's tool that tells there what is wrong.
 *
 * A cable that is cut is noticed by umbra-tls, and by ssh itself, which asks the other side whether it is there when
 * nothing comes.
 *
 * Control-C means us alone: the other end then hears of it in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/beside.h"
#include "cli/transport.h"

#define LEAVE_MS    5000
#define POLL_MS     20
#define TLS_PROGRAM "umbra-tls"
#define MOST_WORDS  8

static void run_ssh(const struct way *way)
{
    const char *words[12] = {"ssh", "-oServerAliveInterval=15", "-oServerAliveCountMax=3"};
    unsigned n = 3;

    if (way->own)
        words[n++] = "-oControlPath=none";
    words[n++] = "--";
    words[n++] = way->host;
    words[n++] = "umbra";
    words[n++] = "migrate-receive";
    if (way->no_watch)
        words[n++] = "-e";
    if (way->paused)
        words[n++] = "-p";
    execvp("ssh", (char *const *)words);
}

static void run(const struct way *way)
{
    char tls[PATH_MAX];

    setenv("UMBRA_HOST", way->host, 1);
    if (strcmp(way->how, TRANSPORT_SSH) == 0)
        run_ssh(way);
    else if (strcmp(way->how, TRANSPORT_TCP) != 0)
        execl("/bin/sh", "sh", "-c", way->how, "sh", way->host, (char *)NULL);
    else if (beside(TLS_PROGRAM, tls) == 0)
        execl(tls, TLS_PROGRAM, "connect", way->host, way->key ? way->key : "", (char *)NULL);
    perror("umbra: the transport cannot be started");
    _exit(127);
}

static void become(const int to[2], const int from[2], const struct way *way)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    run(way);
}

int transport_open(struct transport *t, const struct way *way, struct ctl_error *err)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1}, rc = 0;

    *t = (struct transport){.child = -1, .to = -1, .from = -1};
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        rc = -errno;
    fflush(NULL);
    t->child = rc ? -1 : fork();
    if (t->child == 0)
        become(to, from, way);
    if (!rc && t->child < 0)
        rc = -errno;
    if (to[0] >= 0)
        close(to[0]);
    if (from[1] >= 0)
        close(from[1]);
    t->to = to[1];
    t->from = from[0];
    if (rc == 0) {
        fcntl(t->to, F_SETFL, O_NONBLOCK);
        return 0;
    }
    transport_close(t, 1);
    return ctl_error_set(err, rc, "start the transport", way->host, NULL, "no pipes or no process can be made");
}

static bool has_ended(pid_t child)
{
    pid_t done = waitpid(child, NULL, WNOHANG);

    return done == child || (done < 0 && errno != EINTR);
}

static void kill_child(pid_t child)
{
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* The time is for all of them together. */
static void end_child(pid_t child, int *ms)
{
    for (; *ms < LEAVE_MS; *ms += POLL_MS) {
        if (has_ended(child))
            return;
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    if (!has_ended(child))
        kill_child(child);
}

static void hang_up(struct transport *t)
{
    if (t->to >= 0)
        close(t->to);
    if (t->from >= 0)
        close(t->from);
}

void transport_close(struct transport *list, unsigned n)
{
    int ms = 0;

    for (unsigned i = 0; i < n; i++)
        hang_up(&list[i]);
    for (unsigned i = 0; i < n; i++) {
        if (list[i].child > 0)
            end_child(list[i].child, &ms);
        list[i] = (struct transport){.child = -1, .to = -1, .from = -1};
    }
}

/* --- the other end --- */

int transport_listen(const char *where, const char *key, bool once, const char *const words[], struct ctl_error *err)
{
    char tls[PATH_MAX], umbra[PATH_MAX];
    const char *argv[5 + MOST_WORDS + 1] = {TLS_PROGRAM, once ? "once" : "listen", where, key, umbra};
    int rc = beside(TLS_PROGRAM, tls), n = 5;
    ssize_t length = readlink("/proc/self/exe", umbra, sizeof(umbra) - 1);

    if (rc == 0 && length < 0)
        rc = -errno;
    for (size_t i = 0; rc == 0 && words[i]; i++)
        argv[n++] = words[i];
    if (rc == 0) {
        umbra[length] = '\0';
        execv(tls, (char *const *)argv);
        rc = -errno;
    }
    return ctl_error_set(err, rc, "listen", where, "it comes with umbra, and has to stand beside it",
                         TLS_PROGRAM " cannot be started: %s", strerror(-rc));
}
