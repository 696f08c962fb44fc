/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way to another host, which is this one: a process that is `migrate-receive`, and one in between that passes bytes
 * on and can cut the connection after any of them (fake_ctl.h). How "stock": the other side takes no questions;
 * "first-stock", "first-old": so it is on the first connection alone, or it knows few of them there; "once": it is told
 * to take one connection. "old": it is of a version that asked and answered less; the question is left in the
 * file "question". "rude-state", "rude-message": its answer has orders for a terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lock.h"
#include "cli/transport.h"
#include "fake_ctl.h"

#define OPEN_FILES 64

#define BANNER  "xl migration receiver ready, send binary domain data.\n"
#define ANSWER  "{\"schema\":\"umbra.migrate-answer/1\","
#define UNKNOWN ANSWER "\"message\":\"the question is not understood\"}\n"
#define RUDE    "\"\\u001b]0;ours\\u0007\"}\n"

static void close_others(int one, int other)
{
    for (int fd = STDERR_FILENO + 1; fd < OPEN_FILES; fd++) {
        if (fd != one && fd != other)
            close(fd);
    }
}

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(1);
}

static void stock(void)
{
    char first;

    say(BANNER);
    _exit(read(STDIN_FILENO, &first, 1) != 1);
}

static void answer(const char *line, const char *keep)
{
    FILE *f = fopen(keep, "w");
    char c = 0;

    say(BANNER);
    while (f && c != '\n' && read(STDIN_FILENO, &c, 1) == 1)
        fputc(c, f);
    if (!f || fclose(f))
        _exit(1);
    say(line);
    _exit(0);
}

static void receiver(const char *how, int in, int out)
{
    char *argv[] = {"umbra", "migrate-receive", "-e", "-1", NULL};
    int rc;

    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    close_others(-1, -1);
    if (!freopen("err.there", "a", stderr))
        _exit(99);
    if (strcmp(how, "stock") == 0 || (strcmp(how, "first-stock") == 0 && fake->opened == 1))
        stock();
    if (strcmp(how, "first-old") == 0 && fake->opened == 1)
        answer(UNKNOWN, "/dev/null");
    if (strcmp(how, "old") == 0)
        answer(ANSWER "\"ok\":true}\n", "question");
    if (strcmp(how, "rude-state") == 0)
        answer(ANSWER "\"state\":" RUDE, "/dev/null");
    if (strcmp(how, "rude-message") == 0)
        answer(ANSWER "\"message\":" RUDE, "/dev/null");
    rc = cli_main(strcmp(how, "once") == 0 ? 4 : 3, argv);
    fflush(NULL);
    _exit(rc);
}

/* Passes on what there is, up to the limit. False: the end of it, or of the connection. */
static bool pass(int from, int to, long *seen, long limit)
{
    char buf[4096];
    size_t room = limit < 0 || limit - *seen > (long)sizeof(buf) ? sizeof(buf) : (size_t)(limit - *seen);
    ssize_t n = room ? read(from, buf, room) : 0;

    if (n <= 0 || write(to, buf, (size_t)n) != n)
        return false;
    *seen += n;
    return *seen != limit;
}

static void relay(const char *how, int from_us, int to_us)
{
    bool meant = !fake->cut_which || fake->cut_which == fake->opened;
    long cut_to = meant ? fake->cut_to : -1, cut_back = meant ? fake->cut_back : -1, others[2] = {0};
    long *seen_to = meant ? &fake->seen_to : &others[0], *seen_back = meant ? &fake->seen_back : &others[1];
    int to[2], from[2];
    pid_t child;

    signal(SIGPIPE, SIG_IGN);
    lock_forget();
    close_others(from_us, to_us); /* other connections do not stay open by this */
    if (pipe(to) || pipe(from))
        _exit(1);
    *seen_to = *seen_back = 0;
    child = fork();
    if (child == 0)
        receiver(how, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    for (bool open = cut_to && cut_back; open;) {
        struct pollfd p[2] = {{.fd = from_us, .events = POLLIN}, {.fd = from[0], .events = POLLIN}};

        poll(p, 2, -1);
        if (p[1].revents && *seen_back == fake->late_at)
            usleep(fake->late_ms * 1000);
        if (p[1].revents)
            open = pass(from[0], to_us, seen_back, cut_back);
        else if (p[0].revents)
            open = pass(from_us, to[1], seen_to, cut_to);
        if (meant && fake->signal_at && *seen_to >= fake->signal_at) {
            fake->signal_at = 0; /* once: later on the sender may not be our parent any more */
            kill(getppid(), SIGTERM);
        }
    }
    close(to[1]);
    close(from[0]);
    close(from_us);
    close(to_us);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

int transport_open(struct transport *t, const struct way *way, struct ctl_error *err)
{
    int to[2], from[2];

    *t = (struct transport){.child = -1, .to = -1, .from = -1};
    if (strcmp(way->host, "nowhere") == 0)
        return ctl_error_set(err, -ECHILD, "start the transport", way->host, NULL, "no process can be made");
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        return -errno;
    fake->opened++;
    t->child = fork();
    if (t->child == 0)
        relay(way->how, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    t->to = to[1];
    t->from = from[0];
    fcntl(t->to, F_SETFL, O_NONBLOCK);
    return 0;
}

void transport_close(struct transport *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        close(list[i].to);
        close(list[i].from);
    }
    for (unsigned i = 0; i < n; i++) {
        while (list[i].child > 0 && waitpid(list[i].child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

int transport_listen(const char *where, const char *key, bool once, const char *const words[], struct ctl_error *err)
{
    return ctl_error_set(err, -ENOENT, "listen", where, NULL, "%s %s with %s cannot", once ? "once" : "always",
                         words[1], key);
}
