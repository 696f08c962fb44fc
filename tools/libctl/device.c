// SPDX-License-Identifier: BSD-2-Clause
/*
 * Pairs of front and back end: their nodes, their coming and going, and looking at them.
 *
 *   attach   nodes, all at once -> the back end's driver takes it (InitWait) -> script -> the guest's driver connects
 *   detach   the back end is told to close -> the guest lets go (Closed) -> script -> no nodes
 *   force    the front end's nodes go at once, so that nobody waits for the guest
 *
 * Place: between disk.c and vif.c, which know what is in the nodes, and hotplug.c. Invariants: whatever is made is
 * found again by the back end's nodes, and those go last; nothing is taken from the front end's nodes but what is shown
 * to people; no wait is without an end, whatever the guest writes there.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>

#include "libctl/device.h"

#define ERRORS      "/local/domain/0/error/backend" /* where the control domain's kernel says what it failed with */
#define READY_MS    20000                           /* for the back end's driver to take a new device */
#define LET_GO_MS   10000                           /* for it to let go of one whose guest is not asked */
#define CLEAR_MS    2000                            /* for qemu to remove the nodes of one that it has let go of */
#define CLOSE_TRIES 8                               /* more than there are states that it goes through */
#define STEP_ATTACH "attach a device"
#define STEP_DETACH "detach a device"

/* A guest sees no difference between disks: its half has one name, and a number is one disk's. */
static const struct {
    const char *back, *front;
    enum ctl_device_kind kind;
} backs[DEVICE_BACKS] = {
    [DEVICE_VBD] = {"vbd", "vbd", CTL_DISK},
    [DEVICE_QDISK] = {"qdisk", "vbd", CTL_DISK},
    [DEVICE_VIF] = {"vif", "vif", CTL_VIF},
};

const char *device_back_name(enum device_back by)
{
    return backs[by].back;
}

enum ctl_device_kind device_kind(enum device_back by)
{
    return backs[by].kind;
}

void device_init(struct device *d, struct ctl *ctl, enum device_back by, uint32_t domid, uint32_t devid)
{
    *d = (struct device){.ctl = ctl, .kind = backs[by].kind, .by = by, .domid = domid, .devid = devid};
    ctl_path(d->front, "/local/domain/%u/device/%s/%u", domid, backs[by].front, devid);
    ctl_path(d->back, DEVICE_BACKENDS "/%s/%u/%u", backs[by].back, domid, devid);
    ctl_path(d->ours, "/libxl/%u/device/%s/%u", domid, backs[by].front, devid);
}

/* One that the domain has, whoever's it is. */
static bool find(struct device *d, struct ctl *ctl, enum ctl_device_kind kind, uint32_t domid, uint32_t devid)
{
    bool found = false;

    for (int by = DEVICE_BACKS - 1; by >= 0 && !found; by--) {
        if (backs[by].kind == kind) {
            char *state;

            device_init(d, ctl, (enum device_back)by, domid, devid);
            state = device_read(d, "state");
            found = state != NULL;
            free(state);
        }
    }
    return found;
}

int device_fail(const struct device *d, struct ctl_error *err, int code, const char *step, const char *hint,
                const char *fmt, ...)
{
    char object[96], message[CTL_TEXT_MAX], *name = d->kind == CTL_DISK ? device_read(d, "dev") : NULL;
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (d->kind == CTL_VIF) {
        snprintf(object, sizeof(object), "network interface %u of domain %u", d->devid, d->domid);
    } else {
        snprintf(object, sizeof(object), "disk %.20s%s%u%s of domain %u", name ? name : "", name ? " (" : "", d->devid,
                 name ? ")" : "", d->domid);
    }
    free(name);
    return ctl_error_set(err, code, step, object, hint, "%s", message);
}

char *device_read(const struct device *d, const char *node)
{
    char path[CTL_PATH_MAX];

    return ctl_path(path, "%s/%s", d->back, node) < 0 ? NULL : ctl_store_read(d->ctl, path, NULL);
}

/* 1: it is so; 0: not yet; or -errno. */
static int look(const struct device *d, const char *path, const char *value)
{
    struct ctl_error err = {0};
    char *now = ctl_store_read(d->ctl, path, &err), *state;
    int rc = now ? strcmp(now, value) == 0 : err.code == -ENOENT ? 0 : err.code;

    if (!now && rc == 0) {
        state = device_read(d, "state");
        rc = state ? 0 : -ENOENT;
        free(state);
    }
    free(now);
    return rc;
}

int device_wait(const struct device *d, const char *node, const char *value, unsigned timeout_ms)
{
    struct xs_handle *store = ctl_store_handle(d->ctl, NULL);
    uint64_t until = ctl_deadline(timeout_ms);
    char path[CTL_PATH_MAX];
    int rc;

    if (!store) {
        return -ECONNREFUSED;
    }
    if (ctl_path(path, "%s/%s", d->back, node) < 0) {
        return -ENAMETOOLONG;
    }
    xs_watch(store, path, "device");
    while ((rc = look(d, path, value)) == 0) {
        rc = ctl_store_wait(d->ctl, until);
        if (rc < 0) {
            break;
        }
    }
    xs_unwatch(store, path, "device");
    return rc < 0 ? rc : 0;
}

/* --- nodes --- */

static bool there(struct xs_handle *store, xs_transaction_t t, const char *path)
{
    char *value = xs_read(store, t, path, NULL);
    bool found = value != NULL;

    free(value);
    return found;
}

/* A directory that `owner` owns and `reader`, if it is another, reads; what is made below it is like it. */
static int make(struct xs_handle *store, xs_transaction_t t, const char *dir, uint32_t owner, uint32_t reader)
{
    struct xs_permissions perms[2] = {{owner, XS_PERM_NONE}, {reader, XS_PERM_READ}};

    if (!xs_mkdir(store, t, dir) || !xs_set_permissions(store, t, dir, perms, owner == reader ? 1 : 2)) {
        return errno ? -errno : -EIO;
    }
    return 0;
}

static int put(struct xs_handle *store, xs_transaction_t t, const char *dir, const struct device_node *nodes)
{
    for (const struct device_node *n = nodes; n->name; n++) {
        char path[CTL_PATH_MAX];

        if (!n->value) {
            continue;
        }
        if (ctl_path(path, "%s/%s", dir, n->name) < 0) {
            return -ENAMETOOLONG;
        }
        if (!xs_write(store, t, path, n->value, strlen(n->value))) {
            return errno ? -errno : -EIO;
        }
    }
    return 0;
}

static int put_all(const struct device *d, xs_transaction_t t, const struct device_node *back,
                   const struct device_node *front)
{
    struct xs_handle *store = d->ctl->store;
    const struct device_node to_back[] = {{"backend", d->back}, {NULL, NULL}};
    const struct device_node to_front[] = {{"frontend", d->front}, {NULL, NULL}};
    const struct device_node *const lists[] = {to_back, front, to_front, back, to_front, to_back, back};
    const char *const dirs[] = {d->front, d->front, d->back, d->back, d->ours, d->ours, d->ours};
    char domain[CTL_PATH_MAX];
    int rc;

    ctl_path(domain, "/local/domain/%u", d->domid);
    if (!there(store, t, domain)) {
        return -ESRCH;
    }
    if (there(store, t, d->ours) || there(store, t, d->back)) {
        return -EEXIST;
    }
    xs_rm(store, t, d->front); /* what another back end has left */
    rc = make(store, t, d->front, d->domid, 0);
    rc = rc ? rc : make(store, t, d->back, 0, d->domid);
    rc = rc ? rc : make(store, t, d->ours, 0, 0);
    for (size_t i = 0; i < CTL_ARRAY(lists) && rc == 0; i++) {
        rc = put(store, t, dirs[i], lists[i]);
    }
    return rc;
}

static int make_nodes(const struct device *d, const struct device_node *back, const struct device_node *front)
{
    struct xs_handle *store = ctl_store_handle(d->ctl, NULL);
    int rc = store ? -EAGAIN : -ECONNREFUSED;

    for (int tries = 0; rc == -EAGAIN && tries < CTL_STORE_TRIES; tries++) {
        xs_transaction_t t = xs_transaction_start(store);

        if (t == XBT_NULL) {
            return -errno;
        }
        rc = put_all(d, t, back, front);
        if (!xs_transaction_end(store, t, rc < 0) && rc == 0) {
            rc = -errno;
        }
    }
    return rc;
}

/* The node and those above it that have nothing left, up to a number of them. */
static void remove_up(struct ctl *ctl, const char *path, int levels)
{
    char dir[CTL_PATH_MAX];

    ctl_store_remove(ctl, path, NULL);
    snprintf(dir, sizeof(dir), "%s", path);
    for (int i = 0; i < levels; i++) {
        *strrchr(dir, '/') = '\0';
        ctl_store_prune(ctl, dir);
    }
}

/*
 * The stock script finds the place for the MTU by the interface's name, as it is without vifname: with "lan0" it makes
 * a domain lan0 with a device lan0. A name that leads to a number is that domain's affair.
 */
static void remove_stray_mtu(const struct device *d)
{
    char path[CTL_PATH_MAX], *name = d->by == DEVICE_VIF ? device_read(d, "vifname") : NULL;
    const char *from = name && strncmp(name, "vif", 3) == 0 ? name + 3 : name;
    const char *last = name ? strrchr(from, '.') : NULL, *first = name ? strchr(from, '.') : NULL;
    size_t domain = !name ? 0 : last ? (size_t)(last - from) : strlen(from);

    if (name && strspn(from, "0123456789") < domain &&
        ctl_path(path, "/local/domain/%.*s/device/vif/%s/mtu", (int)domain, from, first ? first + 1 : from) == 0) {
        remove_up(d->ctl, path, 4);
    }
    free(name);
}

/*
 * By the back end's nodes all others are found: they go last. What the kernel has said about a device that failed is of
 * no use without it, and would be one node more in its domain for each guest that writes garbage.
 */
static void remove_nodes(const struct device *d)
{
    char errors[CTL_PATH_MAX];

    ctl_path(errors, ERRORS "/%s/%u/%u", backs[d->by].back, d->domid, d->devid);
    remove_stray_mtu(d);
    remove_up(d->ctl, d->front, 1);
    remove_up(d->ctl, d->ours, 2);
    remove_up(d->ctl, errors, 4);
    remove_up(d->ctl, d->back, 3);
}

/* --- going --- */

/* 1: it is told now, or has closed; 0: its state changed meanwhile, and it was not; or -errno. */
static int tell_back(const struct device *d)
{
    char state[CTL_PATH_MAX], online[CTL_PATH_MAX], closing[4], *now = device_read(d, "state"), *then;
    /* What was removed meanwhile is not to come back. */
    struct ctl_store_change changes[] = {{online, "0", "1"}, {state, closing, now}};
    int rc;

    ctl_path(state, "%s/state", d->back);
    ctl_path(online, "%s/online", d->back);
    snprintf(closing, sizeof(closing), "%d", XenbusStateClosing);
    if (!now || atoi(now) == XenbusStateClosed) {
        free(now);
        return 1;
    }
    rc = ctl_store_change(d->ctl, changes, 2, NULL);
    then = rc < 0 ? NULL : device_read(d, "state");
    if (rc == 0) {
        rc = !then || atoi(then) == XenbusStateClosing || atoi(then) == XenbusStateClosed;
    }
    free(then);
    free(now);
    return rc;
}

/* The back end's driver goes on meanwhile, if it has not heard yet: a device that was just connecting is told again. */
static void close_back(const struct device *d)
{
    for (int tries = 0; tries < CLOSE_TRIES && tell_back(d) == 0; tries++) {
        continue;
    }
}

/* By a process that lives and has taken it: else nobody says that it has let go. */
static bool is_served(const struct device *d)
{
    char *taken = d->by == DEVICE_QDISK && ctl_disks_process(d->domid) ? device_read(d, "hotplug-status") : NULL;
    bool served = taken != NULL;

    free(taken);
    return served;
}

static int wait_closed(const struct device *d, unsigned timeout_ms)
{
    char closed[4];
    int rc;

    if (d->by == DEVICE_QDISK && !is_served(d)) {
        return 0;
    }
    snprintf(closed, sizeof(closed), "%d", XenbusStateClosed);
    rc = device_wait(d, "state", closed, timeout_ms);
    return rc == -ENOENT ? 0 : rc;
}

/*
 * The guest is not asked: its nodes go, and then the back end lets go by itself. In this order: the back end says that
 * it has only if it finds then that it was told to close. Ours go before, if it is qemu that removes those of the back
 * end, by which they would be found.
 */
static void abandon(const struct device *d)
{
    bool its = d->by == DEVICE_QDISK;

    if (its) {
        remove_up(d->ctl, d->ours, 2);
    }
    close_back(d);
    remove_up(d->ctl, d->front, its ? 1 : 0);
}

/*
 * The script's part, and the nodes, whatever the script says. qemu removes its half of them, having written to it once
 * more: what is removed before would come back.
 */
static int finish(const struct device *d, struct ctl_error *err)
{
    int rc = hotplug_run(d, false, err);

    if (is_served(d)) {
        device_wait(d, "state", "removed", CLEAR_MS);
    }
    remove_nodes(d);
    return rc;
}

int ctl_device_detach(struct ctl *ctl, uint32_t domid, enum ctl_device_kind kind, uint32_t devid,
                      const struct ctl_detach *how, struct ctl_error *err)
{
    struct device d;
    int rc;

    if (!find(&d, ctl, kind, domid, devid)) {
        return device_fail(&d, err, -ENOENT, STEP_DETACH, NULL, "the domain has no such device");
    }
    if (how->force) {
        abandon(&d);
    } else {
        close_back(&d);
    }
    rc = wait_closed(&d, how->force ? LET_GO_MS : how->timeout_ms);
    if (rc < 0 && !how->force) {
        return device_fail(&d, err, rc == -ETIMEDOUT ? -EBUSY : rc, STEP_DETACH,
                           "have the guest stop using it and detach it again, or detach it with --force",
                           "the guest has been asked to let go of it, and still uses it");
    }
    rc = finish(&d, err);
    if (d.by == DEVICE_QDISK) {
        qemu_end_idle(ctl, domid);
    }
    return rc;
}

/* --- coming --- */

static int not_taken(const struct device *d, int rc, struct ctl_error *err)
{
    char hint[96];

    snprintf(hint, sizeof(hint), "is the module xen-%s loaded in the control domain?",
             d->kind == CTL_DISK ? "blkback" : "netback");
    return device_fail(d, err, rc, STEP_ATTACH, hint, "the back end's driver does not take it");
}

void device_undo(const struct device *d)
{
    abandon(d);
    wait_closed(d, LET_GO_MS);
    finish(d, NULL);
}

int device_nodes(const struct device *d, const struct device_node *back, const struct device_node *front,
                 struct ctl_error *err)
{
    int rc = make_nodes(d, back, front);

    if (rc == -EEXIST) {
        return device_fail(d, err, rc, STEP_ATTACH, NULL, "the domain has such a device already");
    }
    return rc < 0 ? device_fail(d, err, rc, STEP_ATTACH, NULL, "its nodes cannot be made") : 0;
}

int device_make(const struct device *d, const struct device_node *back, const struct device_node *front,
                struct ctl_error *err)
{
    char ready[4];
    int rc = device_nodes(d, back, front, err);

    if (rc < 0) {
        return rc;
    }
    snprintf(ready, sizeof(ready), "%d", XenbusStateInitWait);
    rc = device_wait(d, "state", ready, READY_MS);
    if (rc < 0) {
        not_taken(d, rc, err);
        device_undo(d);
    }
    return rc;
}

int device_begin(const struct device *d, struct ctl_error *err)
{
    int rc = hotplug_run(d, true, err);

    if (rc < 0) {
        device_undo(d);
    }
    return rc;
}

/* --- all of a domain's --- */

void device_for_each(struct ctl *ctl, uint32_t domid, device_each_fn *fn, void *ctx)
{
    for (int by = 0; by < DEVICE_BACKS; by++) {
        char path[CTL_PATH_MAX], **names;
        int n;

        ctl_path(path, DEVICE_BACKENDS "/%s/%u", backs[by].back, domid);
        n = ctl_store_list(ctl, path, &names, NULL);
        for (int i = 0; i < n; i++) {
            struct device d;

            device_init(&d, ctl, (enum device_back)by, domid, (uint32_t)strtoul(names[i], NULL, 10));
            fn(&d, ctx);
        }
        free(names);
    }
}

static void each_abandon(const struct device *d, void *ctx)
{
    (void)ctx;
    abandon(d);
}

struct ending {
    uint64_t until;
    int rc;
    struct ctl_error *err;
};

static void each_finish(const struct device *d, void *ctx)
{
    struct ending *e = ctx;
    uint64_t now = ctl_now_ms();
    int rc;

    wait_closed(d, now < e->until ? (unsigned)(e->until - now) : 0);
    rc = finish(d, e->rc < 0 ? NULL : e->err);
    e->rc = e->rc < 0 ? e->rc : rc;
}

int ctl_devices_end(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ending e = {.until = ctl_deadline(LET_GO_MS), .err = err};

    device_for_each(ctl, domid, each_abandon, NULL);
    device_for_each(ctl, domid, each_finish, &e);
    qemu_end(ctl, domid);
    return e.rc;
}

int ctl_domain_set_twin(struct ctl *ctl, uint32_t domid, int64_t twin, struct ctl_error *err)
{
    char path[CTL_PATH_MAX], value[16];

    ctl_path(path, "/local/domain/%u/" CTL_TWIN_NODE, domid);
    if (twin == CTL_NO_TWIN) {
        return ctl_store_remove(ctl, path, err);
    }
    snprintf(value, sizeof(value), "%u", (uint32_t)twin);
    return ctl_store_write_domain(ctl, domid, path, value, err);
}

/* --- looking --- */

static void copy_node(const char *dir, struct ctl *ctl, const char *node, char *to, size_t size)
{
    char path[CTL_PATH_MAX], *value = NULL;

    if (ctl_path(path, "%s/%s", dir, node) == 0) {
        value = ctl_store_read(ctl, path, NULL);
    }
    snprintf(to, size, "%s", value ? value : "");
    free(value);
}

/* A number in a node; -1: there is none. */
static int64_t number_of(const char *dir, struct ctl *ctl, const char *node)
{
    char text[24];

    copy_node(dir, ctl, node, text, sizeof(text));
    return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 16 ? (int64_t)strtoull(text, NULL, 10)
                                                                                    : -1;
}

/* A program is told the format as well. */
static void split_params(const struct device *d, struct ctl_device *out)
{
    char *params = device_read(d, "params"), *colon = params && d->by == DEVICE_QDISK ? strchr(params, ':') : NULL;

    if (colon) {
        *colon = '\0';
    }
    snprintf(out->target, sizeof(out->target), "%s", colon ? colon + 1 : params ? params : "");
    snprintf(out->format, sizeof(out->format), "%s", colon && strcmp(params, "aio") != 0 ? params : "raw");
    free(params);
}

static void look_at(const struct device *d, struct ctl_device *out)
{
    char mode[8];

    *out = (struct ctl_device){.devid = d->devid, .state = number_of(d->back, d->ctl, "state"), .process = -1};
    if (d->by == DEVICE_QDISK) {
        out->process = ctl_disks_process(d->domid);
    }
    copy_node(d->back, d->ctl, "script", out->script, sizeof(out->script));
    copy_node(d->back, d->ctl, "dev", out->vdev, sizeof(out->vdev));
    split_params(d, out);
    copy_node(d->back, d->ctl, "mode", mode, sizeof(mode));
    out->readonly = strcmp(mode, "r") == 0;
    copy_node(d->back, d->ctl, "mac", out->mac, sizeof(out->mac));
    copy_node(d->back, d->ctl, "bridge", out->bridge, sizeof(out->bridge));
    copy_node(d->back, d->ctl, "vifname", out->vifname, sizeof(out->vifname));
    snprintf(out->back, sizeof(out->back), "%.95s", d->back);
    out->channel = number_of(d->front, d->ctl, "event-channel");
    out->ring = number_of(d->front, d->ctl, d->kind == CTL_DISK ? "ring-ref" : "tx-ring-ref");
    out->rx_ring = number_of(d->front, d->ctl, "rx-ring-ref");
}

/* Appends those of one kind of back end to a list of n. Returns how many it has then. */
static int list_back(struct ctl *ctl, uint32_t domid, enum device_back by, int n, struct ctl_device **list,
                     struct ctl_error *err)
{
    char path[CTL_PATH_MAX], **names;
    struct ctl_device *longer;
    int more;

    ctl_path(path, DEVICE_BACKENDS "/%s/%u", backs[by].back, domid);
    more = ctl_store_list(ctl, path, &names, err);
    longer = more > 0 ? realloc(*list, (size_t)(n + more) * sizeof(*longer)) : *list;
    if (more > 0 && !longer) {
        more = ctl_error_set(err, -ENOMEM, "list devices", NULL, NULL, "out of memory");
    } else {
        *list = longer;
    }
    for (int i = 0; i < more; i++) {
        struct device d;

        device_init(&d, ctl, by, domid, (uint32_t)strtoul(names[i], NULL, 10));
        look_at(&d, &longer[n + i]);
    }
    free(names);
    return more < 0 ? more : n + more;
}

int ctl_device_list(struct ctl *ctl, uint32_t domid, enum ctl_device_kind kind, struct ctl_device **list,
                    struct ctl_error *err)
{
    int n = 0;

    *list = NULL;
    for (int by = 0; by < DEVICE_BACKS && n >= 0; by++) {
        if (backs[by].kind == kind) {
            n = list_back(ctl, domid, (enum device_back)by, n, list, err);
        }
    }
    if (n < 0) {
        free(*list);
        *list = NULL;
    }
    return n;
}
