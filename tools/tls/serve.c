/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process for each connection: handshake within its time, then the command, with the connection as its standard input
 * and output. So a silent peer keeps nobody waiting, and what the network sends is looked at by a process that does
 * nothing else. Before the handshake is done no command is started.
 *
 * Those that have not shown the key yet are limited apart from those that have: who fills the first kind up with
 * silence only drives out its own. Permits decide who is which: a byte in a pipe, which one process alone can read.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tls/net.h"
#include "tls/relay.h"
#include "tls/serve.h"

#define MOST_AT_ONCE 32 /* of each of the two kinds */
#define REAP_MS      2000
#define ONCE_MS      100 /* the same when the end of one is the end of all */
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

static int code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int status_of(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return 127;
    }
    return code_of(status);
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

static bool take_permit(int permit)
{
    char byte;

    return read(permit, &byte, 1) == 1;
}

/* May one that has the key come in? */
static bool is_welcome(const struct serve *s, const char *from)
{
    if (!s->door || (take_permit(s->door->own) && (!s->once || take_permit(s->door->only))))
        return true;
    fprintf(stderr, "umbra-tls: %s: has the key, but another connection came first\n", from);
    return false;
}

int serve_one(const struct serve *s, int sock, const char *from, bool *let_in)
{
    struct tls *tls = tls_new(sock, true, s->key);
    int rc = tls ? tls_handshake(tls, HANDSHAKE_MS) : -ENOMEM;

    *let_in = rc == 0 && is_welcome(s, from);
    if (rc < 0)
        say_refused(from, rc, tls ? tls_why(tls) : "no memory");
    if (!*let_in) {
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

/* Processes of connections that have not shown the key yet, the oldest first; and how many serve one that has. */
struct crowd {
    struct {
        pid_t pid;
        int permit;
    } waiting[MOST_AT_ONCE];
    int n, served;
    int only; /* the permit of the one that comes in, if it is one */
};

/* -1: no descriptors. */
static int new_permit(void)
{
    int p[2];

    if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
        return -1;
    if (write(p[1], "", 1) != 1) {
        close(p[0]);
        p[0] = -1;
    }
    close(p[1]);
    return p[0];
}

static bool is_taken(int permit)
{
    int left = 1;

    return ioctl(permit, FIONREAD, &left) == 0 && left == 0;
}

static void forget(struct crowd *c, int i)
{
    close(c->waiting[i].permit);
    c->n--;
    memmove(&c->waiting[i], &c->waiting[i + 1], (size_t)(c->n - i) * sizeof(c->waiting[0]));
}

/* The oldest of those goes that have not just shown the key. False: all have. */
static bool make_room(struct crowd *c)
{
    for (int i = 0; c->n == MOST_AT_ONCE && i < c->n; i++) {
        if (take_permit(c->waiting[i].permit)) {
            kill(c->waiting[i].pid, SIGKILL);
            status_of(c->waiting[i].pid);
            forget(c, i);
        }
    }
    return c->n < MOST_AT_ONCE;
}

static void serve_in_child(const struct serve *s, int sock, const char *from, const struct door *door)
{
    struct serve mine = *s;
    bool let_in;
    int rc;

    close(s->listener);
    mine.door = door;
    rc = serve_one(&mine, sock, from, &let_in);
    fflush(NULL);
    _exit(!let_in ? NOT_LET_IN : rc == NOT_LET_IN ? 1 : rc);
}

/* A process for it, if there can be one. */
static void add(const struct serve *s, struct crowd *c, int sock, const char *from)
{
    const struct door door = {.own = new_permit(), .only = c->only};
    pid_t child = -1;

    fflush(NULL);
    if (!make_room(c))
        errno = EAGAIN;
    else if (door.own >= 0)
        child = fork();
    if (child == 0)
        serve_in_child(s, sock, from, &door);
    if (child > 0) {
        c->waiting[c->n].pid = child;
        c->waiting[c->n++].permit = door.own;
        return;
    }
    fprintf(stderr, "umbra-tls: %s: no process can be made for it: %s\n", from, strerror(errno));
    if (door.own >= 0)
        close(door.own);
}

static void take_one(const struct serve *s, struct crowd *c)
{
    struct pollfd p = {.fd = s->listener, .events = POLLIN};
    char from[NET_NAME_SIZE];
    int sock;

    poll(&p, 1, s->once ? ONCE_MS : REAP_MS);
    sock = net_accept(s->listener, from);
    if (sock < 0 && sock != -EAGAIN) /* it goes on waiting, and poll says so at once */
        nanosleep(&(struct timespec){.tv_nsec = BREATH_MS * 1000000L}, NULL);
    if (sock < 0)
        return;
    add(s, c, sock, from);
    close(sock);
}

/* Those that have shown the key since are of the other kind now. */
static void look(struct crowd *c)
{
    for (int i = 0; i < c->n;) {
        if (!is_taken(c->waiting[i].permit)) {
            i++;
            continue;
        }
        c->served++;
        forget(c, i);
    }
}

static void reap(struct crowd *c)
{
    pid_t child;
    int i;

    while ((child = waitpid(-1, NULL, c->served >= MOST_AT_ONCE ? 0 : WNOHANG)) > 0) {
        for (i = 0; i < c->n && c->waiting[i].pid != child; i++)
            continue;
        if (i < c->n)
            forget(c, i);
        else
            c->served--;
    }
}

/* The exit code of the only one that came in, when it has ended; -1: none has come. */
static int wait_only(struct crowd *c)
{
    for (int i = 0; i < c->n;) {
        pid_t child = c->waiting[i].pid;
        bool taken = is_taken(c->waiting[i].permit);
        int status, rc;

        if (waitpid(child, &status, taken ? 0 : WNOHANG) != child) {
            i++;
            continue;
        }
        rc = code_of(status);
        taken |= is_taken(c->waiting[i].permit);
        forget(c, i);
        if (taken && rc != NOT_LET_IN)
            return rc;
    }
    return -1;
}

static int serve_only(const struct serve *s, struct crowd *c)
{
    int rc = -1;

    c->only = new_permit();
    if (c->only < 0) {
        fprintf(stderr, "umbra-tls: no pipe: %s\n", strerror(errno));
        return 1;
    }
    while (rc < 0) {
        take_one(s, c);
        rc = wait_only(c);
    }
    for (int i = 0; i < c->n; i++)
        kill(c->waiting[i].pid, SIGKILL);
    return rc;
}

int serve(const struct serve *s)
{
    struct crowd c = {.only = -1};

    if (s->once)
        return serve_only(s, &c);
    for (;;) {
        take_one(s, &c);
        look(&c);
        reap(&c);
    }
}
