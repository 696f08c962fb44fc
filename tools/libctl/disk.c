// SPDX-License-Identifier: BSD-2-Clause
/*
 * Disks of guests: the nodes that the kernel's back end and the script `block` expect, as libxl writes them. Contents
 * are raw: a block device, or a file, which the script puts on a loop device.
 *
 * Place: between ctl.h and device.c. Whether another guest has the disk is asked here for files and block devices,
 * before the script asks it again: the script compares numbers of devices that losetup prints in another base, and
 * misses a file whose file system's number has other digits in base 16.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libctl/device.h"

#define STEP     "attach a disk"
#define SCRIPT   "block"
#define BACKENDS "/local/domain/0/backend/vbd"

/* --- may it be used? --- */

/* Who asks for a disk: a domain, or one that is still to come. */
struct claim {
    struct ctl *ctl;
    const struct ctl_disk *disk;
    int64_t domid; /* or CTL_NO_TWIN: to come */
    int64_t twin;  /* that it takes over from, or CTL_NO_TWIN */
    uint32_t devid;
};

static int refuse(const struct claim *c, int code, const char *hint, const char *what, struct ctl_error *err)
{
    char object[64];

    snprintf(object, sizeof(object), c->domid < 0 ? "disk %.20s" : "disk %.20s of domain %u", c->disk->vdev,
             (uint32_t)c->domid);
    return ctl_error_set(err, code, STEP, object, hint, "%s %s", c->disk->target, what);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode)) {
        return a->st_rdev == b->st_rdev;
    }
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A guest that is rebuilt on this host shares its disks with itself, as one that is moved to it does with its twin. */
static bool same_guest(const struct claim *c, uint32_t other)
{
    char *vm = c->domid < 0 ? NULL : ctl_store_read_domain(c->ctl, (uint32_t)c->domid, "vm", NULL);
    char *its = ctl_store_read_domain(c->ctl, other, "vm", NULL);
    bool same = other != c->domid && (other == c->twin || (vm && its && strcmp(vm, its) == 0));

    free(vm);
    free(its);
    return same;
}

/* Does another guest's device have the file in a way that excludes ours? */
static bool excludes(const struct claim *c, const struct device *other, const struct stat *ours)
{
    char *params = device_read(other, "params"), *mode = device_read(other, "mode");
    bool written = !c->disk->readonly || !mode || strcmp(mode, "r") != 0;
    struct stat st;
    bool found = written && params && *params == '/' && !same_guest(c, other->domid) && stat(params, &st) == 0 &&
                 same_file(&st, ours);

    free(params);
    free(mode);
    return found;
}

/* The domain that has it, or -1. */
static int64_t user_of(const struct claim *c, const struct stat *st)
{
    char **domains, **names;
    int n = ctl_store_list(c->ctl, BACKENDS, &domains, NULL);
    int64_t found = -1;

    for (int i = 0; i < n && found < 0; i++) {
        uint32_t domid = (uint32_t)strtoul(domains[i], NULL, 10);
        char path[CTL_PATH_MAX];
        int m;

        ctl_path(path, BACKENDS "/%u", domid);
        m = ctl_store_list(c->ctl, path, &names, NULL);
        for (int j = 0; j < m && found < 0; j++) {
            struct device other;

            device_init(&other, c->ctl, CTL_DISK, domid, (uint32_t)strtoul(names[j], NULL, 10));
            if (domid != c->domid || other.devid != c->devid) {
                found = excludes(c, &other, st) ? (int64_t)domid : -1;
            }
        }
        free(names);
    }
    free(domains);
    return found;
}

static int check_target(const struct claim *c, struct ctl_error *err)
{
    const struct ctl_disk *disk = c->disk;
    char what[64];
    struct stat st;
    int64_t user;

    if (disk->script) {
        return 0; /* only the script knows what it means */
    }
    if (stat(disk->target, &st)) {
        return refuse(c, -errno, NULL, "cannot be found", err);
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return refuse(c, -EINVAL, NULL, "is neither a file nor a block device", err);
    }
    if (S_ISREG(st.st_mode) && st.st_size < 512) {
        return refuse(c, -EINVAL, "make it as large as the disk is to be: truncate -s 10G FILE",
                      "is shorter than a sector", err);
    }
    if (access(disk->target, disk->readonly ? R_OK : R_OK | W_OK)) {
        return refuse(c, -errno, NULL, disk->readonly ? "cannot be read" : "cannot be written to", err);
    }
    user = user_of(c, &st);
    if (user >= 0) {
        snprintf(what, sizeof(what), "is in use by domain %u", (uint32_t)user);
        return refuse(c, -EBUSY, "a disk that one of them may write to cannot be shared", what, err);
    }
    return 0;
}

int ctl_disk_check(struct ctl *ctl, const struct ctl_disk *disk, int64_t twin, struct ctl_error *err)
{
    struct claim c = {.ctl = ctl, .disk = disk, .domid = CTL_NO_TWIN, .twin = twin};
    char object[64];
    int rc;

    snprintf(object, sizeof(object), "disk %.20s", disk->vdev);
    rc = hotplug_check(disk->script ? disk->script : SCRIPT, STEP, object, err);
    return rc < 0 ? rc : check_target(&c, err);
}

/* --- coming --- */

static struct claim claim_of(const struct device *d, const struct ctl_disk *disk)
{
    char *twin = ctl_store_read_domain(d->ctl, d->domid, CTL_TWIN_NODE, NULL);
    struct claim c = {.ctl = d->ctl, .disk = disk, .domid = d->domid, .devid = d->devid};

    c.twin = twin ? (int64_t)strtoul(twin, NULL, 10) : CTL_NO_TWIN;
    free(twin);
    return c;
}

static int attach(const struct device *d, const struct claim *c, const char *script, struct ctl_error *err)
{
    const struct ctl_disk *disk = c->disk;
    const char *trusted = disk->untrusted ? "0" : "1";
    char domid[16], devid[16];
    const struct device_node back[] = {
        {"frontend-id", domid},
        {"online", "1"},
        {"removable", "0"},
        {"bootable", "1"},
        {"state", "1"},
        {"dev", disk->vdev},
        {"type", "phy"},
        {"mode", disk->readonly ? "r" : "w"},
        {"device-type", "disk"},
        {"trusted", trusted},
        {"discard-enable", disk->no_discard || disk->readonly ? "0" : "1"},
        {"params", disk->target},
        {"script", script},
        {"direct-io-safe", disk->direct_io_safe ? "1" : NULL},
        {NULL, NULL},
    };
    const struct device_node front[] = {
        {"backend-id", "0"},     {"state", "1"},       {"virtual-device", devid},
        {"device-type", "disk"}, {"trusted", trusted}, {NULL, NULL},
    };

    int rc;

    snprintf(domid, sizeof(domid), "%u", d->domid);
    snprintf(devid, sizeof(devid), "%u", d->devid);
    rc = device_make(d, back, front, err);
    if (rc < 0) {
        return rc;
    }
    /* Of two that ask for a disk at once each sees the other's nodes now: one of them gives up, or both. */
    rc = check_target(c, err);
    if (rc < 0) {
        device_undo(d);
        return rc;
    }
    return device_begin(d, err);
}

int ctl_disk_attach(struct ctl *ctl, uint32_t domid, const struct ctl_disk *disk, struct ctl_error *err)
{
    struct device d;
    struct claim c;
    uint32_t devid;
    char *script;
    int rc = ctl_disk_number(disk->vdev, &devid);

    if (rc < 0) {
        return ctl_error_set(err, rc, STEP, disk->vdev, NULL, "there is no virtual disk of that name");
    }
    device_init(&d, ctl, CTL_DISK, domid, devid);
    c = claim_of(&d, disk);
    rc = check_target(&c, err);
    if (rc < 0) {
        return rc;
    }
    script = hotplug_path(disk->script ? disk->script : SCRIPT);
    if (!script) {
        return ctl_error_set(err, -ENOMEM, STEP, disk->vdev, NULL, "out of memory");
    }
    rc = attach(&d, &c, script, err);
    free(script);
    return rc;
}
