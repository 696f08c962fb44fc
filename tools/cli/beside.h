/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that are installed with this one, in the same directory. */
#ifndef CLI_BESIDE_H
#define CLI_BESIDE_H

#include <limits.h>

/* The path that a program of that name has if it stands where this one does, which is not looked at. 0 or -errno. */
int beside(const char *name, char path[PATH_MAX]);

#endif
