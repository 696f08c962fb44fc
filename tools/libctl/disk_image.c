// SPDX-License-Identifier: BSD-2-Clause
/*
 * Formats of disk images, as far as it takes to tell them apart: what each begins with, or ends with.
 *
 * Place: asked by disk.c before qemu opens the file, whose own refusal would come late and in its log. The rest of the
 * file is qemu's business, and so is what it is based on. Facts are those of QEMU's docs/interop/qcow2.txt and
 * qed_spec.txt, and of the Virtual Hard Disk Image Format Specification.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "libctl/device.h"

#define FOOTER 512 /* bytes at a VHD's end; one that grows has a copy of them at its beginning */

static const struct {
    const char *name;
    const char *magic;          /* of 4 bytes; NULL: see what is done with VHD */
    uint32_t version, versions; /* big-endian behind it: the first, and how many; 0: not looked at */
} formats[] = {
    [CTL_RAW] = {"raw", NULL, 0, 0}, [CTL_QCOW] = {"qcow", "QFI\xfb", 1, 1}, [CTL_QCOW2] = {"qcow2", "QFI\xfb", 2, 2},
    [CTL_VHD] = {"vhd", NULL, 0, 0}, [CTL_QED] = {"qed", "QED", 0, 0},
};

const char *disk_format_name(enum ctl_disk_format format)
{
    return formats[format].name;
}

static bool has_cookie(int fd, off_t at)
{
    char cookie[8];

    return pread(fd, cookie, sizeof(cookie), at) == (ssize_t)sizeof(cookie) && memcmp(cookie, "conectix", 8) == 0;
}

static bool is_vhd(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);

    return has_cookie(fd, 0) || (end >= FOOTER && has_cookie(fd, end - FOOTER));
}

/* 1, 0 or -errno. */
static int begins_as(int fd, enum ctl_disk_format format)
{
    uint32_t head[2];
    ssize_t n = pread(fd, head, sizeof(head), 0);

    if (n < 0) {
        return -errno;
    }
    if (n != (ssize_t)sizeof(head) || memcmp(&head[0], formats[format].magic, 4) != 0) {
        return 0;
    }
    return !formats[format].versions || be32toh(head[1]) - formats[format].version < formats[format].versions;
}

/* Bit 2 of the incompatible features, from version 3: what it contains is in another file, which it names. */
static bool is_elsewhere(int fd)
{
    uint32_t version;
    uint64_t features;

    return pread(fd, &version, sizeof(version), 4) == (ssize_t)sizeof(version) && be32toh(version) >= 3 &&
           pread(fd, &features, sizeof(features), 72) == (ssize_t)sizeof(features) && (be64toh(features) & 4);
}

int disk_image_is(const char *path, enum ctl_disk_format format)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

    if (fd < 0) {
        return -errno;
    }
    rc = format == CTL_VHD ? is_vhd(fd) : begins_as(fd, format);
    if (rc == 1 && format == CTL_QCOW2 && is_elsewhere(fd)) {
        rc = -EMEDIUMTYPE; /* else whoever made it chooses what qemu opens, and nobody has asked who uses that */
    }
    close(fd);
    return rc;
}
