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
 *
 * A device that does not answer holds whoever flushes it, and no signal ends that. So a process of its own does it,
 * which is left behind when nobody wants to wait any more.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libctl/device.h"

#define STEP    "flush a disk"
#define IDLE_MS 30000
#define POLL_MS 2
#define LOOKS   3 /* a request may be between the guest's ring and the device */
#define TELL_MS 100

const char *flush_dir = "/sys/dev/block", *flush_nodes = "/dev/block";
unsigned flush_early_ms = 30000; /* for all disks of a guest that runs: later they are flushed in any case */

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
    uint64_t until;
    int (*go_on)(void *ctx, struct ctl_error *err);
    void *ctx;
    struct ctl_error *err;
    int rc;
};

static bool gives_up(struct flushing *f)
{
    f->rc = f->go_on ? f->go_on(f->ctx, f->err) : 0;
    return f->rc < 0;
}

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
        if (gives_up(f)) {
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

/* Of a loop device this takes in the file behind it. Without a number: everything. */
static int flush_device(const char *path, const char *number)
{
    int fd = number ? open_device(path, number) : -1, rc = 0;

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

/* It holds nothing of ours open: locks, and connections that whoever is at the other end waits for the end of. */
static pid_t begin(const char *path, const char *number)
{
    pid_t child = fork();

    if (child == 0) {
        close_range(0, ~0u, 0);
        _exit(-flush_device(path, number));
    }
    return child;
}

/* 0: it has ended, with this status; 1: it is not to be waited for any more, or f->until is over. */
static int wait_end(struct flushing *f, pid_t child, int *status)
{
    struct pollfd end = {.fd = pidfd_open(child, 0), .events = POLLIN};
    int rc = 0;
    pid_t got;

    do {
        poll(&end, 1, TELL_MS);
        got = waitpid(child, status, WNOHANG);
        if (got == 0 && (gives_up(f) || ctl_now_ms() >= f->until)) {
            kill(child, SIGKILL);
            rc = 1;
        }
    } while (got == 0 && rc == 0);
    if (got < 0) {
        *status = -1; /* nobody knows */
    }
    if (end.fd >= 0) {
        close(end.fd);
    }
    return rc;
}

/* The same in a process of its own, if that can be had. 1: it is not waited for. */
static int flush_apart(struct flushing *f, const char *path, const char *number)
{
    pid_t child = begin(path, number);
    int status = -1;

    if (child > 0 && wait_end(f, child, &status)) {
        return 1;
    }
    return WIFEXITED(status) && status >= 0 ? -WEXITSTATUS(status) : flush_device(path, number);
}

static int flush_one(const struct device *d, struct flushing *f)
{
    char *hex = device_read(d, "physical-device"), *path = device_read(d, "physical-device-path");
    char number[24];
    int rc = 0;

    if (decimal(hex, number)) {
        rc = f->asleep ? wait_idle(f, number) : 0;
        rc = rc ? rc : flush_apart(f, path, number);
    } else if (f->asleep) {
        rc = flush_apart(f, NULL, NULL);
    }
    free(path);
    free(hex);
    if (rc > 0 || !f->asleep) {
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

    if (f->rc == 0 && mode && strcmp(mode, "r") != 0 && ctl_now_ms() < f->until && !gives_up(f)) {
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
    struct flushing f = {.asleep = true, .until = UINT64_MAX, .go_on = go_on, .ctx = ctx, .err = err};

    device_for_each(ctl, domid, each_flush, &f);
    return f.rc;
}

int ctl_disks_flush_early(struct ctl *ctl, uint32_t domid, int (*go_on)(void *ctx, struct ctl_error *err), void *ctx,
                          struct ctl_error *err)
{
    struct flushing f = {.until = ctl_deadline(flush_early_ms), .go_on = go_on, .ctx = ctx, .err = err};

    device_for_each(ctl, domid, each_flush, &f);
    return f.rc;
}
