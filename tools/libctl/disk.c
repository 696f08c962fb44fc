// SPDX-License-Identifier: BSD-2-Clause
/*
 * Disks of guests: the nodes that the kernel's back end and the script `block` expect, as libxl writes them, or those
 * that qemu does. For the kernel contents are raw: a block device, or a file, which the script puts on a loop device.
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

#define STEP   "attach a disk"
#define SCRIPT "block"

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
    return ctl_error_set(err, code, STEP, object, hint, "%.180s%s %s", c->disk->target, path_cut(c->disk->target),
                         what);
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

/* The file that a device is made of: its parameters, for qemu behind the format; *params is freed. */
static const char *file_of(const struct device *d, char **params)
{
    char *colon = NULL;

    *params = device_read(d, "params");
    if (*params && d->by == DEVICE_QDISK) {
        colon = strchr(*params, ':');
    }
    return colon ? colon + 1 : *params;
}

/* Does another guest's device have the file in a way that excludes ours? */
static bool excludes(const struct claim *c, const struct device *other, const struct stat *ours)
{
    char *params, *mode = device_read(other, "mode");
    const char *file = file_of(other, &params);
    bool written = !c->disk->readonly || !mode || strcmp(mode, "r") != 0;
    struct stat st;
    bool found =
        written && file && *file == '/' && !same_guest(c, other->domid) && stat(file, &st) == 0 && same_file(&st, ours);

    free(params);
    free(mode);
    return found;
}

/* 1: one of a domain's disks, by this kind of back end, does; 0: none; or -errno. */
static int domain_excludes(const struct claim *c, enum device_back by, uint32_t domid, const struct stat *st,
                           struct ctl_error *err)
{
    char path[CTL_PATH_MAX], **names;
    bool found = false;
    int n;

    ctl_path(path, DEVICE_BACKENDS "/%s/%u", device_back_name(by), domid);
    n = ctl_store_list(c->ctl, path, &names, err);
    for (int i = 0; i < n && !found; i++) {
        struct device other;

        device_init(&other, c->ctl, by, domid, (uint32_t)strtoul(names[i], NULL, 10));
        if (domid != c->domid || other.devid != c->devid) {
            found = excludes(c, &other, st);
        }
    }
    free(names);
    return n < 0 ? n : found;
}

/* The same of all domains: *user is the one that has it. */
static int back_excludes(const struct claim *c, enum device_back by, const struct stat *st, uint32_t *user,
                         struct ctl_error *err)
{
    char path[CTL_PATH_MAX], **domains;
    int n, rc;

    ctl_path(path, DEVICE_BACKENDS "/%s", device_back_name(by));
    n = ctl_store_list(c->ctl, path, &domains, err);
    rc = n < 0 ? n : 0;
    for (int i = 0; i < n && rc == 0; i++) {
        *user = (uint32_t)strtoul(domains[i], NULL, 10);
        rc = domain_excludes(c, by, *user, st, err);
    }
    free(domains);
    return rc;
}

/* Who cannot be asked has not said that nobody has it. */
static int check_users(const struct claim *c, const struct stat *st, struct ctl_error *err)
{
    uint32_t user = 0;
    char what[64];
    int rc = 0;

    for (int by = 0; by < DEVICE_BACKS && rc == 0; by++) {
        if (device_kind((enum device_back)by) == CTL_DISK) {
            rc = back_excludes(c, (enum device_back)by, st, &user, err);
        }
    }
    if (rc > 0) {
        snprintf(what, sizeof(what), "is in use by domain %u", user);
        return refuse(c, -EBUSY, "a disk that one of them may write to cannot be shared", what, err);
    }
    return rc;
}

static int check_format(const struct claim *c, struct ctl_error *err)
{
    const struct ctl_disk *disk = c->disk;
    int rc = disk->format == CTL_RAW ? 1 : disk_image_is(disk->target, disk->format);
    char what[64];

    if (rc == -EMEDIUMTYPE) {
        return refuse(c, -EINVAL, "`qemu-img convert` makes one file of it",
                      "keeps its contents in another file, which it names", err);
    }
    if (rc < 0) {
        return refuse(c, rc, NULL, "cannot be read", err);
    }
    snprintf(what, sizeof(what), "is not an image of format %s", disk_format_name(disk->format));
    return rc ? 0 : refuse(c, -EINVAL, "`qemu-img info FILE` says what it is; `qemu-img create` makes one", what, err);
}

static int check_target(const struct claim *c, struct ctl_error *err)
{
    const struct ctl_disk *disk = c->disk;
    struct stat st;
    int rc;

    if (disk->script) {
        return 0; /* only the script knows what it means */
    }
    if (disk->qemu && disk->readonly) { /* 7.2 opens the file so, and its contents for writing, and then fails */
        return refuse(c, -EOPNOTSUPP, "let the guest write to it, or make it a raw one, which the kernel serves",
                      "cannot be served read-only by Debian 12's qemu", err);
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
    rc = check_users(c, &st, err);
    return rc < 0 ? rc : check_format(c, err);
}

/* What connects it can be run. */
static int check_program(const struct ctl_disk *disk, struct ctl_error *err)
{
    char object[64];

    snprintf(object, sizeof(object), "disk %.20s", disk->vdev);
    return disk->qemu ? qemu_check(STEP, object, err)
                      : hotplug_check(disk->script ? disk->script : SCRIPT, STEP, object, err);
}

int ctl_disk_check(struct ctl *ctl, const struct ctl_disk *disk, int64_t twin, struct ctl_error *err)
{
    struct claim c = {.ctl = ctl, .disk = disk, .domid = CTL_NO_TWIN, .twin = twin};
    int rc = check_program(disk, err);

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

/* What a disk's two halves are told of it, without what connects it. */
struct nodes {
    const char *type, *params, *script; /* no script: NULL */
};

/* Its nodes, and for the kernel the wait for it. */
static int make(const struct device *d, const struct ctl_disk *disk, const struct nodes *n, struct ctl_error *err)
{
    const char *trusted = disk->untrusted ? "0" : "1";
    char domid[16], devid[16];
    const struct device_node back[] = {
        {"frontend-id", domid},
        {"online", "1"},
        {"removable", "0"},
        {"bootable", "1"},
        {"state", "1"},
        {"dev", disk->vdev},
        {"type", n->type},
        {"mode", disk->readonly ? "r" : "w"},
        {"device-type", "disk"},
        {"trusted", trusted},
        {"discard-enable", disk->no_discard || disk->readonly ? "0" : "1"},
        {"params", n->params},
        {"script", n->script},
        {"direct-io-safe", disk->direct_io_safe ? "1" : NULL},
        {NULL, NULL},
    };
    const struct device_node front[] = {
        {"backend-id", "0"},     {"state", "1"},       {"virtual-device", devid},
        {"device-type", "disk"}, {"trusted", trusted}, {NULL, NULL},
    };

    snprintf(domid, sizeof(domid), "%u", d->domid);
    snprintf(devid, sizeof(devid), "%u", d->devid);
    return (d->by == DEVICE_QDISK ? device_nodes : device_make)(d, back, front, err);
}

/* Of two that ask for a disk at once each sees the other's nodes now: one of them gives up, or both. */
static int check_again(const struct device *d, const struct claim *c, struct ctl_error *err)
{
    int rc = check_target(c, err);

    if (rc < 0) {
        device_undo(d);
    }
    return rc;
}

static int attach_kernel(const struct device *d, const struct claim *c, struct ctl_error *err)
{
    const struct ctl_disk *disk = c->disk;
    char *script = hotplug_path(disk->script ? disk->script : SCRIPT);
    const struct nodes n = {.type = "phy", .params = disk->target, .script = script};
    int rc;

    if (!script) {
        return ctl_error_set(err, -ENOMEM, STEP, disk->vdev, NULL, "out of memory");
    }
    rc = make(d, disk, &n, err);
    rc = rc < 0 ? rc : check_again(d, c, err);
    free(script);
    return rc < 0 ? rc : device_begin(d, err);
}

/* qemu opens the file when it sees the nodes. */
static int make_served(const struct device *d, const struct claim *c, off_t said, struct ctl_error *err)
{
    const struct ctl_disk *disk = c->disk;
    char params[CTL_PATH_MAX + 16];
    const struct nodes n = {.type = "qdisk", .params = params};
    int rc;

    snprintf(params, sizeof(params), "%s:%s", disk->format == CTL_RAW ? "aio" : disk_format_name(disk->format),
             disk->target);
    rc = make(d, disk, &n, err);
    rc = rc < 0 ? rc : check_again(d, c, err);
    if (rc < 0) {
        return rc;
    }
    rc = qemu_wait_taken(d, said, err);
    if (rc < 0) {
        device_undo(d);
    }
    return rc;
}

static int attach_qemu(const struct device *d, const struct claim *c, struct ctl_error *err)
{
    off_t said;
    int rc = qemu_start(d, &said, err);

    rc = rc < 0 ? rc : make_served(d, c, said, err);
    if (rc < 0) {
        qemu_end_idle(d->ctl, d->domid);
    }
    return rc;
}

int ctl_disk_attach(struct ctl *ctl, uint32_t domid, const struct ctl_disk *disk, struct ctl_error *err)
{
    struct device d;
    struct claim c;
    uint32_t devid;
    int rc = ctl_disk_number(disk->vdev, &devid);

    if (rc < 0) {
        return ctl_error_set(err, rc, STEP, disk->vdev, NULL, "there is no virtual disk of that name");
    }
    device_init(&d, ctl, disk->qemu ? DEVICE_QDISK : DEVICE_VBD, domid, devid);
    c = claim_of(&d, disk);
    rc = disk->qemu ? check_program(disk, err) : 0; /* a missing package is told before anything about the file */
    rc = rc < 0 ? rc : check_target(&c, err);
    return rc < 0 ? rc : (disk->qemu ? attach_qemu : attach_kernel)(&d, &c, err);
}
