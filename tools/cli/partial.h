/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that have their name only when they are whole: until then they are NAME.partial. */
#ifndef CLI_PARTIAL_H
#define CLI_PARTIAL_H

#include <sys/types.h>

#include "libctl/ctl.h"

/*
 * Opens NAME.partial, empty, for reading and writing, of this mode and no other. *partial is its name, to be freed in
 * every case. A descriptor, closed on exec; or -errno: -EBUSY, another process is writing it; -EPERM, it is a link, or
 * somebody else's.
 */
int partial_open(const char *file, mode_t mode, char **partial, struct ctl_error *err);
/* A directory, and those above it, where there are none. 0 or -errno. */
int partial_directories(const char *path);

#endif
