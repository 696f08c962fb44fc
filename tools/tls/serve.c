/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process for each connection: handshake within its time, then the command, with the connection as its standard input
 * and output. So a silent peer keeps nobody waiting, and what the network sends is looked at by a process that does
 * nothing else. Before the handshake is done no command is started.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tls/net.h"
#include "tls/relay.h"
#include "tls/serve.h"

#define MOST_AT_ONCE 32
#define REAP_MS      2000
#define BREATH_MS    100 /* after a connection that could not be taken: descriptors or memory are short */
#define NOT_LET_IN   125 /* what a process that serves one says of it */

void say_refused(const char *whom, int error, const char *why)
{
    if (error == -ETIMEDOUT)
        fprintf(stderr, "umbra-tls: %s: does not shake hands within %d s\n", whom, HANDSHAKE_MS / 1000);
    else if (error == -EACCES)
        fprintf(stderr, "umbra-tls: %s: refused: the key is not the same on both hosts (%s)\n", whom, why);
    else
        fprintf(stderr, "umbra-tls: %s: ended before the keys were compared (%s)\n", whom, why);
}

/* --- one connection --- */

static void become(const struct serve *s, const int to[2], const int from[2])
{
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    execvp(s->command[0], s->command);
    fprintf(stderr, "umbra-tls: %s: cannot be started: %s\n", s->command[0], strerror(errno));
    _exit(127);
}

/* The command, with a pipe to it and one from it. */
static pid_t start(const struct serve *s, struct relay *r)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    pid_t child = -1;

    fflush(NULL);
    if (pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0)
        child = fork();
    if (child == 0)
        become(s, to, from);
    for (int end = 0; end < 2; end++) {
        int *theirs = end ? &from[1] : &to[0], *ours = end ? &from[0] : &to[1];

        if (*theirs >= 0)
            close(*theirs);
        if (child < 0 && *ours >= 0)
            close(*ours);
    }
    r->in = from[0];
    r->out = to[1];
    return child;
}

static int status_of(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return 127;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int pass_on(const struct serve *s, struct tls *tls, int sock, const char *from)
{
    struct relay r = {.tls = tls, .sock = sock};
    pid_t child = start(s, &r);
    int rc, status;

    if (child < 0) {
        fprintf(stderr, "umbra-tls: %s: no process can be made for it: %s\n", from, strerror(errno));
        return 1;
    }
    rc = relay_run(&r);
    if (rc < 0)
        fprintf(stderr, "umbra-tls: %s: the connection was cut: %s\n", from, tls_why(tls));
    status = status_of(child);
    fprintf(stderr, "umbra-tls: %s: done, status %d\n", from, status);
    return rc < 0 && status == 0 ? 1 : status;
}

int serve_one(const struct serve *s, int sock, const char *from, bool *let_in)
{
    struct tls *tls = tls_new(sock, true, s->key);
    int rc = tls ? tls_handshake(tls, HANDSHAKE_MS) : -ENOMEM;

    *let_in = rc == 0;
    if (rc < 0) {
        say_refused(from, rc, tls ? tls_why(tls) : "no memory");
        rc = 1;
    } else {
        fprintf(stderr, "umbra-tls: %s: has the key\n", from);
        rc = pass_on(s, tls, sock, from);
    }
    tls_free(tls);
    close(sock);
    return rc;
}

/* --- all of them --- */

static void serve_in_child(const struct serve *s, int sock, const char *from)
{
    bool let_in;
    int rc;

    close(s->listener);
    rc = serve_one(s, sock, from, &let_in);
    fflush(NULL);
    _exit(let_in ? rc : NOT_LET_IN);
}

/* A connection's process, or -1: there is none now. */
static pid_t take_one(const struct serve *s)
{
    struct pollfd p = {.fd = s->listener, .events = POLLIN};
    char from[NET_NAME_SIZE];
    pid_t child;
    int sock;

    poll(&p, 1, REAP_MS);
    sock = net_accept(s->listener, from);
    if (sock < 0 && sock != -EAGAIN) /* it goes on waiting, and poll says so at once */
        nanosleep(&(struct timespec){.tv_nsec = BREATH_MS * 1000000L}, NULL);
    if (sock < 0)
        return -1;
    fflush(NULL);
    child = fork();
    if (child == 0)
        serve_in_child(s, sock, from);
    if (child < 0)
        fprintf(stderr, "umbra-tls: %s: no process can be made for it: %s\n", from, strerror(errno));
    close(sock);
    return child;
}

int serve(const struct serve *s)
{
    int running = 0, status;
    pid_t child;

    for (;;) {
        child = take_one(s);
        running += child > 0;
        if (s->once && child > 0) {
            status = status_of(child);
            running--;
            if (status != NOT_LET_IN)
                return status;
        }
        while (running > 0 && waitpid(-1, NULL, running >= MOST_AT_ONCE ? 0 : WNOHANG) > 0)
            running--;
    }
}
