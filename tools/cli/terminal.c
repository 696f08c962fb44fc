/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's terminal (see terminal.h). The guest's side is a pseudo-terminal that xenconsoled serves; it hangs up
 * when the domain is gone, which the slave sees as end of file or EIO.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/terminal.h"

static struct termios saved;
static volatile sig_atomic_t is_raw;

int escape_parse(const char *text)
{
    size_t n = strlen(text);
    int c = (unsigned char)text[n ? n - 1 : 0];

    if (n == 1)
        return c;
    if (n != 2 || text[0] != '^')
        return -EINVAL;
    c = toupper(c);
    return c >= '@' && c <= '_' ? c - '@' : -EINVAL;
}

int terminal_open(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios t;

    if (fd < 0)
        return -errno;
    /* Raw, or the pseudo-terminal would echo the guest's output back to it as input. */
    if (tcgetattr(fd, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(fd, TCSANOW, &t);
    }
    return fd;
}

static void restore(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved); /* may be called from a signal handler */
    is_raw = 0;
}

static void on_signal(int sig)
{
    restore();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void make_raw(void)
{
    static const int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGSEGV, SIGABRT};
    struct sigaction action = {.sa_handler = on_signal};
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &saved))
        return;
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        sigaction(fatal[i], &action, NULL);
    atexit(restore);
    t = saved;
    cfmakeraw(&t);
    is_raw = 1;
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static int write_all(int fd, const char *s, size_t n)
{
    while (n) {
        ssize_t done = write(fd, s, n);

        if (done >= 0) {
            s += done;
            n -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};

            poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* One read from the guest to stdout. 1: go on, 0: the guest's side ended, -errno: our side did. */
static int pass_output(int guest)
{
    char buf[4096];
    ssize_t n = read(guest, buf, sizeof(buf));
    int rc;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 1;
    if (n <= 0)
        return 0;
    rc = write_all(STDOUT_FILENO, buf, (size_t)n);
    return rc ? rc : 1;
}

/* What the guest has not taken yet. */
struct input {
    char waiting[1 << 16];
    size_t n;
    bool typed; /* on a terminal, where the escape character may come at any time */
    bool escaped, ended;
};

/* As much as the guest takes now; to one that is gone nothing goes. */
static void push(struct input *in, int guest)
{
    ssize_t n = in->n ? write(guest, in->waiting, in->n) : 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    in->n -= n < 0 ? in->n : (size_t)n;
    memmove(in->waiting, in->waiting + (n < 0 ? 0 : n), in->n);
}

static void keep(struct input *in, const char *s, size_t n)
{
    size_t room = sizeof(in->waiting) - in->n;

    if (n > room)
        (void)!write(STDOUT_FILENO, "\a", 1); /* whether it is heard changes nothing */
    n = n < room ? n : room;
    memcpy(in->waiting + in->n, s, n);
    in->n += n;
}

/* One read from stdin. */
static void pass_input(struct input *in, int guest, int escape)
{
    char buf[512], *at;
    ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        in->ended = true;
        return;
    }
    at = memchr(buf, escape, (size_t)n);
    in->escaped = at != NULL;
    keep(in, buf, at ? (size_t)(at - buf) : (size_t)n);
    push(in, guest);
}

/* A file waits for the guest; who types is heard all the time. */
static bool listens(const struct input *in)
{
    return !in->ended && !in->escaped && (in->typed || in->n <= sizeof(in->waiting) / 2);
}

/* Who types the escape character wants to leave now. */
static bool leaves(const struct input *in)
{
    return in->escaped && (in->typed || !in->n);
}

static int pass(struct input *in, int guest, int escape)
{
    int rc = 1;

    while (rc > 0 && !leaves(in)) {
        struct pollfd p[2] = {{.fd = guest, .events = in->n ? POLLIN | POLLOUT : POLLIN},
                              {.fd = listens(in) ? STDIN_FILENO : -1, .events = POLLIN}};

        if (poll(p, 2, -1) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (p[0].revents & POLLOUT)
            push(in, guest);
        if (p[0].revents & ~POLLOUT)
            rc = pass_output(guest);
        if (rc > 0 && p[1].revents)
            pass_input(in, guest, escape);
    }
    return in->escaped ? 1 : rc;
}

int terminal_run(int guest, int escape)
{
    static struct input in;
    int rc;

    in = (struct input){.typed = isatty(STDIN_FILENO)};
    fcntl(guest, F_SETFL, fcntl(guest, F_GETFL) | O_NONBLOCK);
    make_raw();
    rc = pass(&in, guest, escape);
    restore();
    return rc;
}
