// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files named in a configuration: opened, measured, read.
 *
 * Place: start of every build. Reads into memory rather than mapping the file, since a mapped file that is cut short
 * while in use would kill the process. Invariant: never more than the limit is read, whatever the file claims.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libctl/image.h"

int ctl_file_open(const char *path, uint64_t *size, struct ctl_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return ctl_error_set(err, -errno, "open a file", path, errno == ENOENT ? "check the path" : NULL,
                             "it cannot be read");
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return ctl_error_set(err, -EINVAL, "open a file", path, "name a regular file", "it is not a file");
    }
    *size = st.st_size;
    return fd;
}

int ctl_file_load(int fd, const char *path, void *buffer, uint64_t size, struct ctl_error *err)
{
    uint64_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)buffer + done, size - done, done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return ctl_error_set(err, -errno, "read a file", path, NULL, "reading failed at byte %llu",
                                 (unsigned long long)done);
        }
        if (n == 0) {
            return ctl_error_set(err, -EIO, "read a file", path, "try again when nobody writes it",
                                 "it became shorter while it was read");
        }
        done += n;
    }
    return 0;
}

int ctl_file_fill(const char *path, void *buffer, uint64_t size, struct ctl_error *err)
{
    uint64_t now;
    int fd = size ? ctl_file_open(path, &now, err) : 0, rc;

    if (!size || fd < 0) {
        return fd;
    }
    rc = ctl_file_load(fd, path, buffer, size, err);
    close(fd);
    return rc;
}

int ctl_file_read(const char *path, uint64_t limit, struct ctl_bytes *out, struct ctl_error *err)
{
    uint64_t size = 0;
    int fd = ctl_file_open(path, &size, err), rc;

    if (fd < 0) {
        return fd;
    }
    if (size == 0 || size > limit) {
        close(fd);
        return ctl_error_set(err, size ? -EFBIG : -EINVAL, "read a file", path, NULL,
                             size ? "it is larger than %llu MiB" : "it is empty", (unsigned long long)(limit >> 20));
    }
    out->size = size;
    out->data = malloc(size);
    rc = out->data ? ctl_file_load(fd, path, out->data, size, err)
                   : ctl_error_set(err, -ENOMEM, "read a file", path, NULL, "no memory for its contents");
    close(fd);
    if (rc < 0) {
        ctl_bytes_free(out);
    }
    return rc;
}

void ctl_bytes_free(struct ctl_bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}
