// SPDX-License-Identifier: BSD-2-Clause
/*
 * Brings to the disk what a guest that sleeps has written: its back ends have nothing under way any more, and nothing
 * of it is left in a cache of this host.
 *
 * Place: the last step of the saver before the stream ends (save.c). Whoever reads the end of the stream may open the
 * same disk from another host, or after a power cut: a write that came late would go over newer ones, and one that was
 * only in memory would be missing under a guest that remembers it. The back ends stay as they are, since the guest may
 * go on. Which device a back end has, the script has written down; a disk whose script has not has everything flushed.
 * qemu has more than the kernel in memory, and is told to write it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libctl/device.h"

#define STEP    "flush a disk"
#define IDLE_MS 30000
#define POLL_MS 2
#define LOOKS   3 /* a request may be between the guest's ring and the device */

const char *flush_dir = "/sys/dev/block", *flush_nodes = "/dev/block";

/* Reads and writes that the device has under way; 0 too if the kernel does not say. */
static unsigned long under_way(const char *path)
{
    unsigned long reads = 0, writes = 0;
    FILE *f = fopen(path, "re");

    if (f && fscanf(f, "%lu %lu", &reads, &writes) != 2) {
        reads = writes = 0;
    }
    if (f) {
        fclose(f);
    }
    return reads + writes;
}

struct flushing {
    bool asleep;
    int (*go_on)(void *ctx, struct ctl_error *err);
    void *ctx;
    struct ctl_error *err;
    int rc;
};

/* 1: it is not to be waited for any more. */
static int wait_idle(struct flushing *f, const char *number)
{
    const struct timespec breath = {.tv_nsec = POLL_MS * 1000000L};
    uint64_t until = ctl_deadline(IDLE_MS);
    char path[CTL_PATH_MAX];

    ctl_path(path, "%s/%s/inflight", flush_dir, number);
    for (int idle = 0; idle < LOOKS;) {
        idle = under_way(path) ? 0 : idle + 1;
        if (!idle && ctl_now_ms() > until) {
            return -ETIMEDOUT;
        }
        f->rc = f->go_on ? f->go_on(f->ctx, f->err) : 0;
        if (f->rc < 0) {
            return 1;
        }
        nanosleep(&breath, NULL);
    }
    return 0;
}

/* "fd:3", in hexadecimal as the scripts write it, as "253:3". */
static bool decimal(const char *hex, char out[24])
{
    unsigned major, minor;
    char rest;

    if (!hex || sscanf(hex, "%x:%x%c", &major, &minor, &rest) != 2) {
        return false;
    }
    snprintf(out, 24, "%u:%u", major, minor);
    return true;
}

static int open_device(const char *path, const char *number)
{
    char node[CTL_PATH_MAX];
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

    if (fd < 0 && ctl_path(node, "%s/%s", flush_nodes, number) == 0) {
        fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    return fd;
}

/* Of a loop device this takes in the file behind it. */
static int flush_device(const char *path, const char *number)
{
    int fd = open_device(path, number), rc = 0;

    if (fd < 0) {
        sync();
        return 0;
    }
    if (fsync(fd) && errno != EINVAL && errno != EROFS) {
        rc = -errno;
    }
    close(fd);
    return rc;
}

static int flush_one(const struct device *d, struct flushing *f)
{
    char *hex = device_read(d, "physical-device"), *path = device_read(d, "physical-device-path");
    char number[24];
    int rc = 0;

    if (decimal(hex, number)) {
        rc = f->asleep ? wait_idle(f, number) : 0;
        rc = rc ? rc : flush_device(path, number);
    } else if (f->asleep) {
        sync();
    }
    free(path);
    free(hex);
    if (rc > 0) {
        return f->rc;
    }
    if (rc == -ETIMEDOUT) {
        return device_fail(d, f->err, rc, STEP, "is its storage still there?", "requests are under way for %d s",
                           IDLE_MS / 1000);
    }
    return rc < 0 ? device_fail(d, f->err, rc, STEP, NULL, "what was written to it may not be on the disk") : 0;
}

static void each_flush(const struct device *d, void *ctx)
{
    struct flushing *f = ctx;
    char *mode = d->kind == CTL_DISK ? device_read(d, "mode") : NULL;

    if (f->rc == 0 && mode && strcmp(mode, "r") != 0) {
        if (d->by != DEVICE_QDISK) {
            f->rc = flush_one(d, f);
        } else if (f->asleep && ctl_disks_process(d->domid)) {
            f->rc = qemu_flush(d, f->err);
        }
    }
    free(mode);
}

int ctl_disks_flush(struct ctl *ctl, uint32_t domid, int (*go_on)(void *ctx, struct ctl_error *err), void *ctx,
                    struct ctl_error *err)
{
    struct flushing f = {.asleep = true, .go_on = go_on, .ctx = ctx, .err = err};

    device_for_each(ctl, domid, each_flush, &f);
    return f.rc;
}

void ctl_disks_flush_early(struct ctl *ctl, uint32_t domid)
{
    struct flushing f = {0};

    device_for_each(ctl, domid, each_flush, &f);
}
