/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that are not whole yet (see partial.h). The directory may be one where others write, as /tmp is: what stands
 * there already under the name is used only if it is a file of ours with no second name, and it gets the mode that it
 * is to have before anything is in it. The lock goes with the open file: two that write under one name at once would
 * make one file of two.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/partial.h"

#define STEP "open the file"

/* Whoever had the lock before may have given the file its name: then it is whole, and not ours to empty. */
static bool is_named(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

static int check(int fd, const char *path, mode_t mode, struct ctl_error *err)
{
    struct stat st;

    if (flock(fd, LOCK_EX | LOCK_NB) || !is_named(fd, path))
        return ctl_error_set(err, -EBUSY, STEP, path, "wait for it, or choose another name",
                             "another process is writing it");
    if (fstat(fd, &st))
        return ctl_error_set(err, -errno, STEP, path, NULL, "it cannot be looked at");
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
        return ctl_error_set(err, -EPERM, STEP, path, "remove it, or choose another place",
                             "it is there already, and is no file of ours alone");
    if (fchmod(fd, mode) || ftruncate(fd, 0))
        return ctl_error_set(err, -errno, STEP, path, NULL, "it cannot be emptied");
    return fd;
}

int partial_open(const char *file, mode_t mode, char **partial, struct ctl_error *err)
{
    int fd, rc;

    if (asprintf(partial, "%s.partial", file) < 0) {
        *partial = NULL;
        return ctl_error_set(err, -ENOMEM, STEP, file, NULL, "out of memory");
    }
    fd = open(*partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
    if (fd < 0 && errno == ELOOP)
        return ctl_error_set(err, -EPERM, STEP, *partial, "remove it, or choose another place", "it is a link");
    if (fd < 0)
        return ctl_error_set(err, -errno, STEP, *partial, NULL, "it cannot be opened");
    rc = check(fd, *partial, mode, err);
    if (rc < 0)
        close(fd);
    return rc;
}

int partial_sync_names(const char *file)
{
    const char *slash = strrchr(file, '/');
    char directory[PATH_MAX];
    int fd, rc;

    snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = fsync(fd) ? -errno : 0;
    close(fd);
    return rc;
}

bool partial_finish(int fd, char **partial, const char *file, uint64_t *bytes, const char **step)
{
    struct stat st;
    int rc;

    *step = "write the file to the disk";
    if (fsync(fd) || fstat(fd, &st))
        return false;
    *step = "give the file its name";
    if (rename(*partial, file))
        return false;
    free(*partial);
    *partial = NULL;
    *step = "write the file's name to the disk";
    rc = partial_sync_names(file);
    if (rc < 0) {
        unlink(file);
        errno = -rc;
        return false;
    }
    *bytes = (uint64_t)st.st_size;
    return true;
}

int partial_directories(const char *path)
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof(copy), "%s/", path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}
