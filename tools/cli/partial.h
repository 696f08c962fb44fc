/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that have their name only when they are whole: until then they are NAME.partial. */
#ifndef CLI_PARTIAL_H
#define CLI_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libctl/ctl.h"

/*
 * Opens NAME.partial, empty, for reading and writing, of this mode and no other. *partial is its name, to be freed in
 * every case. A descriptor, closed on exec; or -errno: -EBUSY, another process is writing it; -EPERM, it is a link, or
 * somebody else's.
 */
int partial_open(const char *file, mode_t mode, char **partial, struct ctl_error *err);
/*
 * The file is whole: it gets its name, and *partial is freed. When that has succeeded, all of it is on the disk, and
 * its size is *bytes. Otherwise there is no such file, or the older one still; false, with errno, and *step is what
 * could not be done.
 */
bool partial_finish(int fd, char **partial, const char *file, uint64_t *bytes, const char **step);
/* The names in the directory of the file are on the disk, as after rename(). 0 or -errno. */
int partial_sync_names(const char *file);
/* A directory, and those above it, where there are none. 0 or -errno. */
int partial_directories(const char *path);

#endif
