/* SPDX-License-Identifier: BSD-2-Clause */
/* Where programs are that belong to this one (see beside.h). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/beside.h"

int beside(const char *name, char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *slash;

    if (n < 0)
        return -errno;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(slash + 1, name);
    return 0;
}
