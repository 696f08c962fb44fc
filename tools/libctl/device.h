/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What disk.c and vif.c share: the life of a pair of front and back end in xenstore (device.c), the scripts that set a
 * device up in the control domain (hotplug.c), and the program that is a disk's back end in the kernel's stead
 * (qemu.c).
 *
 * Three places hold a device's nodes: its front end, which the guest owns and may fill with anything; its back end,
 * which the guest reads; and /libxl/N/device, which only we see. What is to be undone is read from the last two.
 */
#ifndef CTL_DEVICE_H
#define CTL_DEVICE_H

#include <string.h>
#include <sys/types.h>

#include "libctl/internal.h"

/* Below a domain's nodes: the domain whose disks it shares, for the stock scripts as well as for us. */
#define CTL_TWIN_NODE "target"

/* Whose back end it is: of the kernel, by the names of their drivers, or of a program. */
enum device_back { DEVICE_VBD, DEVICE_QDISK, DEVICE_VIF, DEVICE_BACKS };

struct device {
    struct ctl *ctl;
    enum ctl_device_kind kind;
    enum device_back by;
    uint32_t domid, devid;
    char front[CTL_PATH_MAX], back[CTL_PATH_MAX], ours[CTL_PATH_MAX];
};

/* A node below a directory; a list of them ends with name NULL. value NULL: left out. */
struct device_node {
    const char *name, *value;
};

void device_init(struct device *d, struct ctl *ctl, enum device_back by, uint32_t domid, uint32_t devid);
/* All of a domain's, by the back ends' nodes, which no guest can write. */
typedef void device_each_fn(const struct device *d, void *ctx);
void device_for_each(struct ctl *ctl, uint32_t domid, device_each_fn *fn, void *ctx);
/* "vbd", "qdisk", "vif": as in xenstore, where the control domain's back ends are below DEVICE_BACKENDS. */
#define DEVICE_BACKENDS "/local/domain/0/backend"
const char *device_back_name(enum device_back by);
enum ctl_device_kind device_kind(enum device_back by);
/* Fills *err about a device. Returns code. */
int device_fail(const struct device *d, struct ctl_error *err, int code, const char *step, const char *hint,
                const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* A node of the back end; a copy, or NULL. */
char *device_read(const struct device *d, const char *node);
/* Waits until a node of the back end has the value. 0, -ENOENT when the back end is gone, -ETIMEDOUT or another -errno.
 */
int device_wait(const struct device *d, const char *node, const char *value, unsigned timeout_ms);
/* Makes the nodes, by which everybody sees that the domain has the device. -EEXIST: it has one of this number. */
int device_nodes(const struct device *d, const struct device_node *back, const struct device_node *front,
                 struct ctl_error *err);
/* The same, and waits for the back end's driver; a failure leaves nothing. */
int device_make(const struct device *d, const struct device_node *back, const struct device_node *front,
                struct ctl_error *err);
/* Then runs the script ("script" of back); a failure leaves nothing. */
int device_begin(const struct device *d, struct ctl_error *err);
/* Or takes it all back. */
void device_undo(const struct device *d);

/* Where scripts are that are named without a slash, and the locks of those that run; tests point them elsewhere. */
extern const char *hotplug_scripts, *hotplug_locks;
extern unsigned hotplug_script_ms; /* that a script may take; tests make it less */
/* Runs the device's script for its coming or going; what it says when it fails is in *err. */
int hotplug_run(const struct device *d, bool comes, struct ctl_error *err);

/* --- words.c: what a script or program said last, made printable, as far as it fits an error's message --- */

#define WORDS 150

struct words {
    char text[WORDS + 1];
};

/* Appends n bytes, and forgets what is too old. */
void words_keep(struct words *w, const char *bytes, size_t n);
/* What is there to read now from a descriptor that does not block; of one that never stops, some. False at its end. */
bool words_hear(struct words *w, int fd);
/* A log's length, 0 if there is none; and the last words of what was added behind `from`. */
off_t words_log_end(const char *path);
void words_of_log(struct words *w, const char *path, off_t from);

/* --- qemu.c: one process for each domain, whose disks it serves --- */

/* The program; where the logs of its processes are; the list of the group of processes that each is to be in; how long
 * they may take to begin and to end. Tests change them. */
extern const char *qemu_program, *qemu_logs, *qemu_group;
extern unsigned qemu_begin_ms, qemu_end_ms;
/* Could it be run? -errno, when *err says of the object that it cannot. */
int qemu_check(const char *step, const char *object, struct ctl_error *err);
/* The domain's process runs when this returns; *said: how long its log was before it hears of the device. */
int qemu_start(const struct device *d, off_t *said, struct ctl_error *err);
/* Waits until it has taken the device, whose nodes are there. */
int qemu_wait_taken(const struct device *d, off_t said, struct ctl_error *err);
/* All that it was given to write is in its files: for a domain that sleeps, or soon will. */
int qemu_flush(const struct device *d, struct ctl_error *err);
/* It ends, having closed its files. None is no error. */
void qemu_end(struct ctl *ctl, uint32_t domid);
/* The same if it has no disk to serve. */
void qemu_end_idle(struct ctl *ctl, uint32_t domid);

/* --- disk_image.c --- */

/* "raw", ...: as in the parameters of a disk that qemu serves, where it begins those of a raw one as "aio". */
const char *disk_format_name(enum ctl_disk_format format);
/* Does the file begin, or end, as such an image does? -EMEDIUMTYPE: it does, and keeps its contents in another file
 * that it names; another -errno: it cannot be read. */
int disk_image_is(const char *path, enum ctl_disk_format format);

/* Where flush.c finds block devices by their numbers; tests point it elsewhere. */
extern const char *flush_dir, *flush_nodes;
extern unsigned flush_early_ms;
/* Could it be run? -errno, when *err says of the object that it cannot. */
int hotplug_check(const char *script, const char *step, const char *object, struct ctl_error *err);
/* Behind a path of which a message shows 180 bytes: it has room for what is wrong with it, too. */
static inline const char *path_cut(const char *path)
{
    return strlen(path) > 180 ? "..." : "";
}
/* The file of a script of that name; NULL: out of memory. */
char *hotplug_path(const char *script);

#endif
