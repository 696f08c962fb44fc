/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of the supervisor and its workers: one file for all guests, a line an event, the guest's name first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/guest.h"

#define LOG_MAX (1 << 20)

const char *guest_log_dir = "/var/log/umbra";
static bool on, in_file;

void guest_log_on(void)
{
    on = true;
}

int guest_log_open(void)
{
    char path[256], old[sizeof(path) + 4];
    struct stat st;
    int fd;

    mkdir(guest_log_dir, 0750);
    snprintf(path, sizeof(path), "%s/supervisor.log", guest_log_dir);
    snprintf(old, sizeof(old), "%s.1", path);
    if (stat(path, &st) == 0 && st.st_size > LOG_MAX)
        rename(path, old);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    dup2(fd, STDERR_FILENO);
    close(fd);
    on = in_file = true;
    return 0;
}

void guest_log_trim(void)
{
    struct stat st;

    if (in_file && fstat(STDERR_FILENO, &st) == 0 && st.st_size > LOG_MAX)
        guest_log_open();
}

/* One write a line: workers write to the same file. */
void guest_say(const char *name, const char *fmt, ...)
{
    char line[1200], stamp[32] = "";
    struct timespec now;
    struct tm tm;
    va_list args;
    int n;

    if (!on)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm))
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    n = snprintf(line, sizeof(line), "%s.%03ldZ %s%s", stamp, now.tv_nsec / 1000000, name, *name ? ": " : "");
    va_start(args, fmt);
    vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, args);
    va_end(args);
    for (char *c = line; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    strcat(line, "\n");
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return; /* a log that cannot be written stops nobody, and may be written again later */
}

void guest_say_error(const char *name, const struct ctl_error *err)
{
    char text[800];

    ctl_error_format(err, text, sizeof(text));
    guest_say(name, "%s", text);
}
