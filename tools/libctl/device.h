/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What disk.c and vif.c share: the life of a pair of front and back end in xenstore (device.c), and the scripts that
 * set a device up in the control domain (hotplug.c).
 *
 * Three places hold a device's nodes: its front end, which the guest owns and may fill with anything; its back end,
 * which the guest reads; and /libxl/N/device, which only we see. What is to be undone is read from the last two.
 */
#ifndef CTL_DEVICE_H
#define CTL_DEVICE_H

#include "libctl/internal.h"

/* Below a domain's nodes: the domain whose disks it shares, for the stock scripts as well as for us. */
#define CTL_TWIN_NODE "target"

struct device {
    struct ctl *ctl;
    enum ctl_device_kind kind;
    uint32_t domid, devid;
    char front[CTL_PATH_MAX], back[CTL_PATH_MAX], ours[CTL_PATH_MAX];
};

/* A node below a directory; a list of them ends with name NULL. value NULL: left out. */
struct device_node {
    const char *name, *value;
};

void device_init(struct device *d, struct ctl *ctl, enum ctl_device_kind kind, uint32_t domid, uint32_t devid);
/* All of a domain's, by the back ends' nodes, which no guest can write. */
typedef void device_each_fn(const struct device *d, void *ctx);
void device_for_each(struct ctl *ctl, uint32_t domid, device_each_fn *fn, void *ctx);
/* "vbd", "vif": as in xenstore. */
const char *device_kind_name(enum ctl_device_kind kind);
/* Fills *err about a device. Returns code. */
int device_fail(const struct device *d, struct ctl_error *err, int code, const char *step, const char *hint,
                const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* A node of the back end; a copy, or NULL. */
char *device_read(const struct device *d, const char *node);
/* Waits until a node of the back end has the value. 0, -ENOENT when the back end is gone, -ETIMEDOUT or another -errno.
 */
int device_wait(const struct device *d, const char *node, const char *value, unsigned timeout_ms);
/*
 * Makes the nodes, by which everybody sees that the domain has the device, and waits for the back end's driver; a
 * failure leaves nothing. -EEXIST: it has one of this number.
 */
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
/* Where flush.c finds block devices by their numbers; tests point it elsewhere. */
extern const char *flush_dir, *flush_nodes;
/* Could it be run? -errno, when *err says of the object that it cannot. */
int hotplug_check(const char *script, const char *step, const char *object, struct ctl_error *err);
/* The file of a script of that name; NULL: out of memory. */
char *hotplug_path(const char *script);

#endif
