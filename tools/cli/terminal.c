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

/* One read from stdin to the guest. *escaped: the escape character came; *ended: no more input. */
static void pass_input(int guest, int escape, bool *escaped, bool *ended)
{
    char buf[512], *at;
    ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        *ended = true;
        return;
    }
    at = memchr(buf, escape, (size_t)n);
    *escaped = at != NULL;
    write_all(guest, buf, at ? (size_t)(at - buf) : (size_t)n);
}

static int pass(int guest, int escape)
{
    bool escaped = false, ended = false;
    int rc = 1;

    while (rc > 0 && !escaped) {
        struct pollfd p[2] = {{.fd = guest, .events = POLLIN}, {.fd = ended ? -1 : STDIN_FILENO, .events = POLLIN}};

        if (poll(p, 2, -1) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (p[0].revents)
            rc = pass_output(guest);
        if (rc > 0 && p[1].revents)
            pass_input(guest, escape, &escaped, &ended);
    }
    return escaped ? 1 : rc;
}

int terminal_run(int guest, int escape)
{
    int rc;

    make_raw();
    rc = pass(guest, escape);
    restore();
    return rc;
}
