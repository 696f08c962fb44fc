/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounds the logs of guests' consoles (see console_logs.h). The console daemon logs whatever a guest prints, at some
 * hundred KiB a second at most, and opens its logs anew when it is sent a SIGHUP.
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
#include "cli/health.h"

#define SUFFIX  ".log"
#define LARGE   (4 << 20)
#define KEPT    4 /* as /etc/logrotate.d/umbra has it, where no supervisor runs */
#define EVERY_S 2

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
