// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names and numbers of virtual disks, by xen-vbd-interface(7): what a guest's driver makes of the number is the name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/ctl.h"

#define EXTENDED (1u << 28) /* numbers of what the older scheme has no room for */

/* "a" to "zz...": 0 and up; moves *s past it. */
static uint32_t letters(const char **s)
{
    uint32_t n = 0;

    for (; **s >= 'a' && **s <= 'z' && n < 1u << 20; ++*s) {
        n = n * 26 + (uint32_t)(**s - 'a') + 1;
    }
    return n - 1; /* none: a large number */
}

/* Kind by kind: first major number, disks, partitions, bits for a partition. */
static const struct scheme {
    const char *prefix;
    uint32_t major, major_of_third; /* IDE has two disks for each */
    uint32_t disks, parts;
    unsigned shift;
} schemes[] = {
    {"xvd", 202, 202, 16, 16, 4},
    {"sd", 8, 8, 16, 16, 4},
    {"hd", 3, 22, 4, 64, 6},
};

static int number(const struct scheme *s, uint32_t disk, uint32_t part, uint32_t *devid)
{
    if (disk < s->disks && part < s->parts) {
        bool third = s->major != s->major_of_third && disk >= 2;

        *devid = (third ? s->major_of_third : s->major) << 8 | (third ? disk - 2 : disk) << s->shift | part;
        return 0;
    }
    if (s == schemes && disk < 1u << 20 && part < 256) {
        *devid = EXTENDED | disk << 8 | part;
        return 0;
    }
    return -ERANGE;
}

int ctl_disk_number(const char *vdev, uint32_t *devid)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t n = strlen(schemes[i].prefix);
        const char *s = vdev + n;
        uint32_t disk;
        size_t digits;

        if (strncmp(vdev, schemes[i].prefix, n) != 0) {
            continue;
        }
        disk = letters(&s);
        digits = strspn(s, "0123456789");
        if (disk >= 1u << 20 || digits > 4 || s[digits] || *s == '0') {
            return -EINVAL;
        }
        return number(&schemes[i], disk, digits ? (uint32_t)strtoul(s, NULL, 10) : 0, devid);
    }
    return -EINVAL;
}
