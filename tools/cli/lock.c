/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on bytes of one file (see lock.h): POSIX record locks, which belong to a process and are not inherited. The
 * file is opened once and never closed, because closing any descriptor of it would drop all locks of the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/lock.h"

#define POLL_MS 20

const char *lock_file = "/run/umbra/lock";
static int lock_fd = -1;

off_t lock_of_guest(const uint8_t uuid[16])
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: two guests in one place would only wait for each other */

    for (int i = 0; i < 16; i++)
        hash = (hash ^ uuid[i]) * 1099511628211u;
    return (off_t)(hash >> 2) + 2;
}

static int open_file(void)
{
    char directory[256];
    char *slash;

    if (lock_fd >= 0)
        return 0;
    snprintf(directory, sizeof(directory), "%s", lock_file);
    slash = strrchr(directory, '/');
    if (slash) {
        *slash = '\0';
        mkdir(directory, 0755);
    }
    lock_fd = open(lock_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return lock_fd < 0 ? -errno : 0;
}

int lock_try(off_t lock)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lock, .l_len = 1};
    int rc = open_file();

    if (rc || fcntl(lock_fd, F_SETLK, &range) == 0)
        return rc;
    return errno == EACCES ? -EAGAIN : -errno;
}

int lock_wait(off_t lock, unsigned timeout_ms)
{
    int rc;

    for (unsigned ms = 0; (rc = lock_try(lock)) == -EAGAIN && ms < timeout_ms; ms += POLL_MS)
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    return rc;
}

void lock_drop(off_t lock)
{
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = lock, .l_len = 1};

    if (lock_fd >= 0)
        fcntl(lock_fd, F_SETLK, &range);
}

pid_t lock_holder(off_t lock)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lock, .l_len = 1};

    if (open_file() || fcntl(lock_fd, F_GETLK, &range) || range.l_type == F_UNLCK)
        return 0;
    return range.l_pid;
}

void lock_forget(void)
{
    if (lock_fd >= 0)
        close(lock_fd);
    lock_fd = -1;
}
