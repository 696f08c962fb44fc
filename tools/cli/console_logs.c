/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounds the logs of guests' consoles, and shows the end of one (see console_logs.h). The daemon logs whatever a guest
 * prints, at some hundred KiB a second at most, and opens its logs anew when it is sent a SIGHUP.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/console_logs.h"
#include "cli/diag.h"
#include "cli/health.h"

#define SUFFIX  ".log"
#define LARGE   (4 << 20)
#define KEPT    4 /* as /etc/logrotate.d/umbra has it, where no supervisor runs */
#define EVERY_S 2
#define TAIL    16384

const char *console_logs_dir = "/var/log/xen/console";

static bool is_large(int dir, const char *name)
{
    size_t n = strlen(name), end = strlen(SUFFIX);
    struct stat st;

    return n > end && strcmp(name + n - end, SUFFIX) == 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && st.st_size > LARGE;
}

/* The oldest one is written over. */
static void move_aside(int dir, const char *name)
{
    char from[300], to[300];

    for (int i = KEPT; i > 0; i--) {
        snprintf(from, sizeof(from), i > 1 ? "%s.%d" : "%s", name, i - 1);
        snprintf(to, sizeof(to), "%s.%d", name, i);
        renameat(dir, from, dir, to);
    }
}

static bool trim(DIR *dir)
{
    const struct dirent *entry;
    bool moved = false;

    while ((entry = readdir(dir)) != NULL) {
        if (!is_large(dirfd(dir), entry->d_name))
            continue;
        move_aside(dirfd(dir), entry->d_name);
        moved = true;
    }
    return moved;
}

void console_logs_trim(void)
{
    static time_t next;
    struct timespec now;
    pid_t daemon;
    DIR *dir;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec < next)
        return;
    next = now.tv_sec + EVERY_S;
    daemon = health_console();
    dir = daemon > 0 ? opendir(console_logs_dir) : NULL; /* without it nothing is written */
    if (!dir)
        return;
    if (trim(dir))
        kill(daemon, SIGHUP);
    closedir(dir);
}

/* The file's end as a string; empty if it is no regular file, or none. */
static void read_end(const char *path, char text[TAIL + 1])
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    ssize_t n = 0;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = pread(fd, text, TAIL, st.st_size > TAIL ? st.st_size - TAIL : 0);
    if (fd >= 0)
        close(fd);
    n = n > 0 ? n : 0;
    for (char *c = text; c < text + n; c++)
        *c = *c ? *c : '?';
    text[n] = '\0';
}

static char *last_lines(char *text, unsigned lines)
{
    char *at = text + strlen(text);

    if (at > text && at[-1] == '\n')
        at--;
    for (; at > text; at--)
        if (at[-1] == '\n' && --lines == 0)
            break;
    return at;
}

void console_logs_show(FILE *f, const char *name, unsigned lines)
{
    char path[300], text[TAIL + 1];

    if (!lines || strchr(name, '/'))
        return;
    snprintf(path, sizeof(path), "%s/guest-%s" SUFFIX, console_logs_dir, name);
    read_end(path, text);
    if (!*text)
        return;
    fputs("--- the end of ", f);
    put_clean(f, path);
    fputs(":\n", f);
    put_clean_lines(f, last_lines(text, lines));
    fputs("--- the console itself:\n", f);
}
