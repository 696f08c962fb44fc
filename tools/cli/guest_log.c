/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of the supervisor and its workers: one file for all guests, a line an event, the guest's name first. In the
 * foreground it is on standard error as well, or in systemd's journal, where a guest's lines are found by its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/guest.h"

#define LOG_MAX    (1 << 20)
#define LINE_BYTES 1200

const char *guest_log_dir = "/var/log/umbra";
const char *guest_log_journal = "/run/systemd/journal/socket";
static bool on;         /* something is said at all */
static int log_fd = -1; /* the file */

static void log_path(char path[256])
{
    snprintf(path, 256, "%s/supervisor.log", guest_log_dir);
}

/* It is opened again by its name: after it grew large, and in a worker, which has closed all that it inherited. */
static int open_file(void)
{
    char path[256], old[sizeof(path) + 4];
    struct stat st;

    mkdir(guest_log_dir, 0750);
    log_path(path);
    snprintf(old, sizeof(old), "%s.1", path);
    if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
        rename(path, old);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
}

void guest_log_on(void)
{
    on = true;
    log_fd = open_file();
}

int guest_log_open(void)
{
    int fd = open_file();

    if (fd < 0)
        return -errno;
    dup2(fd, STDERR_FILENO);
    close(fd);
    on = true;
    log_fd = STDERR_FILENO;
    return 0;
}

void guest_log_again(void)
{
    if (on && log_fd != STDERR_FILENO)
        log_fd = open_file();
}

void guest_log_trim(void)
{
    struct stat st;

    if (log_fd < 0 || fstat(log_fd, &st) || st.st_size <= LOG_MAX)
        return;
    if (log_fd == STDERR_FILENO) {
        guest_log_open();
        return;
    }
    close(log_fd);
    log_fd = open_file();
}

/* Is standard error the journal's? A variable may have been inherited by somebody who writes elsewhere. */
static bool has_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

/* A datagram of fields, a line each; the first bytes of the message are the guest's name. */
static bool tell_journal(const char *message, int name)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char text[LINE_BYTES + 256];
    int fd, n = snprintf(text, sizeof(text), "MESSAGE=%s\nPRIORITY=6\nSYSLOG_IDENTIFIER=umbra\n%s%.*s%s", message,
                         name ? "DOMAIN=" : "", name, message, name ? "\n" : "");
    ssize_t sent;

    if (!has_journal())
        return false;
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", guest_log_journal);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sent = fd < 0 ? -1 : sendto(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL, (void *)&to, sizeof(to));
    if (fd >= 0)
        close(fd);
    return sent == n;
}

/* One write a line: workers write to the same file. One that cannot be written stops nobody, and the next one may be.
 */
static void put(int fd, const char *line)
{
    ssize_t n = fd < 0 ? 0 : write(fd, line, strlen(line));

    (void)n;
}

static int put_time(char *line, size_t size)
{
    char stamp[32] = "";
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm))
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    return snprintf(line, size, "%s.%03ldZ ", stamp, now.tv_nsec / 1000000);
}

void guest_say(const char *name, const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list args;
    bool journal;
    int at, n;

    if (!on)
        return;
    at = put_time(line, sizeof(line));
    n = at + snprintf(line + at, CTL_NAME_MAX + 2, "%s%s", name, *name ? ": " : "");
    va_start(args, fmt);
    vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
    for (char *c = line; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    journal = log_fd != STDERR_FILENO && tell_journal(line + at, (int)strlen(name));
    strcat(line, "\n");
    if (!journal && log_fd != STDERR_FILENO)
        put(STDERR_FILENO, line);
    put(log_fd, line);
}

void guest_say_error(const char *name, const struct ctl_error *err)
{
    char text[800];

    ctl_error_format(err, text, sizeof(text));
    guest_say(name, "%s", text);
}
