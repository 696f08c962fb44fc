// SPDX-License-Identifier: BSD-2-Clause
/*
 * The way to another host with an accident on it: passes bytes between its own ends and `umbra migrate-receive`.
 *
 *   relay early    the receiver is killed when some of the guest's memory has passed
 *   relay ready    it is killed when it says that the guest is complete, which nobody hears
 *   relay go       the connection ends in front of the permission to go on
 *   relay report   it ends in front of the report of a guest that runs
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EARLY (8u << 20)
#define TAIL  64

static const char *where;
static pid_t child;
static int to, from;

/* One direction: what has passed, and the end of it, since a word may come in two pieces. */
struct way {
    const char *accident, *word;
    size_t passed, kept;
    char buf[TAIL + 65536];
};

static void start(void)
{
    int in[2], out[2];

    if (pipe(in) || pipe(out))
        exit(1);
    child = fork();
    if (child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execlp("umbra", "umbra", "migrate-receive", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to = in[1];
    from = out[0];
}

static void accident(int kill_it)
{
    if (kill_it)
        kill(child, SIGKILL);
    close(to);
    close(from);
    close(0);
    close(1);
    waitpid(child, NULL, 0);
    exit(1);
}

static int pass(struct way *w, int in, int out)
{
    ssize_t n = read(in, w->buf + w->kept, sizeof(w->buf) - w->kept);
    size_t all;

    if (n <= 0)
        return 0;
    all = w->kept + (size_t)n;
    if (strcmp(where, "early") == 0 && in == 0 && (w->passed += (size_t)n) > EARLY)
        accident(1);
    if (strcmp(where, w->accident) == 0 && memmem(w->buf, all, w->word, strlen(w->word)))
        accident(in != 0 && strcmp(where, "ready") == 0);
    if (write(out, w->buf + w->kept, (size_t)n) != n)
        return 0;
    w->kept = all < TAIL ? all : TAIL;
    memmove(w->buf, w->buf + all - w->kept, w->kept);
    return 1;
}

int main(int argc, char **argv)
{
    static struct way there = {.accident = "go", .word = "domain is yours"};
    static struct way back = {.accident = "ready", .word = "domain received"};

    if (argc != 2)
        return 2;
    where = argv[1];
    if (strcmp(where, "report") == 0)
        back = (struct way){.accident = "report", .word = "my copy unpause"};
    signal(SIGPIPE, SIG_IGN);
    start();
    for (int open = 1; open;) {
        struct pollfd p[2] = {{.fd = from, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

        poll(p, 2, -1);
        if (p[0].revents)
            open = pass(&back, from, 1);
        else if (p[1].revents)
            open = pass(&there, 0, to);
    }
    close(to);
    close(from);
    close(1);
    waitpid(child, NULL, 0);
    return 0;
}
