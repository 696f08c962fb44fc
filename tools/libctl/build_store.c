// SPDX-License-Identifier: BSD-2-Clause
/*
 * The nodes of a new domain, as guests, stock daemons and stock tools expect them.
 *
 * Place: two of the builder's steps: the first takes the name and makes the tree in one transaction, the second adds
 * the rings and introduces the domain. Invariants: the guest owns only the nodes that it has to write; everything else
 * it can read at most; /libxl/N it cannot even read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libctl/build.h"

#define CONSOLE_LIMIT "1048576"
#define DOMAINS       "/local/domain"

enum who { GUEST_READS, GUEST_OWNS, GUEST_BARRED };

/* A transaction under way; the first failure sticks. */
struct tree {
    struct ctl_build *b;
    xs_transaction_t t;
    int rc;
    bool reading; /* is that what failed? */
    char failed[CTL_PATH_MAX];
};

static void tree_fail(struct tree *tree, const char *path, int rc)
{
    if (tree->rc == 0) {
        tree->rc = rc ? rc : -EIO;
        snprintf(tree->failed, sizeof(tree->failed), "%s", path);
    }
}

/* What is not there has been read all the same. */
static void read_fail(struct tree *tree, const char *path)
{
    if (errno != ENOENT) {
        tree->reading = true;
        tree_fail(tree, path, -errno);
    }
}

static void put(struct tree *tree, const char *dir, const char *node, const char *value)
{
    struct xs_handle *store = tree->b->ctl->store;
    char path[CTL_PATH_MAX];

    if (tree->rc == 0 &&
        (ctl_path(path, "%s/%s", dir, node) < 0 || !xs_write(store, tree->t, path, value, strlen(value)))) {
        tree_fail(tree, node, -errno);
    }
}

static void put_number(struct tree *tree, const char *dir, const char *node, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    put(tree, dir, node, text);
}

/* A node with rights of its own; those made below it inherit them. */
static void make(struct tree *tree, const char *path, enum who who)
{
    struct xs_handle *store = tree->b->ctl->store;
    struct xs_permissions perms[2] = {{0, XS_PERM_NONE}, {tree->b->domid, XS_PERM_READ}};

    if (who == GUEST_OWNS) {
        perms[0].id = tree->b->domid;
    }
    if (tree->rc == 0 && (!xs_mkdir(store, tree->t, path) ||
                          !xs_set_permissions(store, tree->t, path, perms, who == GUEST_READS ? 2 : 1))) {
        tree_fail(tree, path, -errno);
    }
}

static void make_below(struct tree *tree, const char *dir, const char *node, enum who who)
{
    char path[CTL_PATH_MAX];

    if (ctl_path(path, "%s/%s", dir, node) < 0) {
        tree_fail(tree, node, -ENAMETOOLONG);
        return;
    }
    make(tree, path, who);
}

/* Another domain's name must be another one. */
static void check_other(struct tree *tree, const char *id)
{
    char path[CTL_PATH_MAX], *name;

    if (strtoul(id, NULL, 10) == tree->b->domid || ctl_path(path, DOMAINS "/%s/name", id) < 0) {
        return;
    }
    name = xs_read(tree->b->ctl->store, tree->t, path, NULL);
    if (!name) {
        read_fail(tree, path);
    } else if (strcmp(name, tree->b->config->name) == 0) {
        tree_fail(tree, path, -EEXIST);
    }
    free(name);
}

/* Seen from inside the transaction, so that two builds cannot take the same name. */
static void check_name(struct tree *tree)
{
    unsigned count = 0;
    char **ids = xs_directory(tree->b->ctl->store, tree->t, DOMAINS, &count);

    if (!ids) {
        read_fail(tree, DOMAINS);
    }
    for (unsigned i = 0; ids && i < count && tree->rc == 0; i++) {
        check_other(tree, ids[i]);
    }
    free(ids);
}

static void domain_tree(struct tree *tree, const char *dom, const char *vm)
{
    static const char *const owned[] = {"control/shutdown",
                                        "control/feature-poweroff",
                                        "control/feature-reboot",
                                        "control/feature-suspend",
                                        "control/sysrq",
                                        "device/suspend/event-channel",
                                        "data",
                                        "drivers",
                                        "feature",
                                        "attr",
                                        "error"};
    static const char *const readable[] = {"cpu", "memory", "device", "control", "console", "store"};
    struct ctl_build *b = tree->b;

    make(tree, dom, GUEST_READS);
    put(tree, dom, "vm", vm);
    put(tree, dom, "name", b->config->name);
    put_number(tree, dom, "domid", b->domid);
    for (size_t i = 0; i < CTL_ARRAY(readable); i++) {
        make_below(tree, dom, readable[i], GUEST_READS);
    }
    for (size_t i = 0; i < CTL_ARRAY(owned); i++) {
        make_below(tree, dom, owned[i], GUEST_OWNS);
    }
    put(tree, dom, "control/platform-feature-multiprocessor-suspend", "1");
    put(tree, dom, "control/platform-feature-xs_reset_watches", "1");
    put_number(tree, dom, "memory/static-max", b->maxmem_kib);
    put_number(tree, dom, "memory/target", b->config->target_kib ? b->config->target_kib : b->config->memory_kib);
    put(tree, dom, "memory/videoram", "0");
    for (uint32_t i = 0; i < b->maxvcpus; i++) {
        char node[64];

        snprintf(node, sizeof(node), "cpu/%u/availability", i);
        put(tree, dom, node, i < b->vcpus ? "online" : "offline");
    }
}

static const char *action_name(enum ctl_action action)
{
    static const char *const names[] = {"destroy", "restart", "preserve", "rename-restart"};

    return (unsigned)action < CTL_ARRAY(names) ? names[action] : names[0];
}

static void vm_tree(struct tree *tree, const char *vm, const char *uuid)
{
    const struct ctl_domain_config *config = tree->b->config;

    make(tree, vm, GUEST_READS);
    put(tree, vm, "uuid", uuid);
    put(tree, vm, "name", config->name);
    put_number(tree, vm, "start_time", time(NULL));
    put(tree, vm, "image/ostype", "linux");
    put(tree, vm, "image/kernel", config->kernel ? config->kernel : "");
    if (config->ramdisk) {
        put(tree, vm, "image/ramdisk", config->ramdisk);
    }
    put(tree, vm, "image/cmdline", config->cmdline ? config->cmdline : "");
    put(tree, vm, "on_poweroff", action_name(config->on_poweroff));
    put(tree, vm, "on_reboot", action_name(config->on_reboot));
    put(tree, vm, "on_crash", action_name(config->on_crash));
    put(tree, vm, "on_watchdog", action_name(config->on_watchdog));
}

static void whole_tree(struct tree *tree)
{
    char dom[64], vm[64], libxl[64], uuid[CTL_UUID_TEXT];
    struct xs_handle *store = tree->b->ctl->store;

    ctl_uuid_format(tree->b->uuid, uuid);
    snprintf(dom, sizeof(dom), "/local/domain/%u", tree->b->domid);
    snprintf(vm, sizeof(vm), "/vm/%s", uuid);
    snprintf(libxl, sizeof(libxl), "/libxl/%u", tree->b->domid);
    if (!tree->b->config->name_taken) {
        check_name(tree);
    }
    /* What an earlier domain of this id may have left. */
    if (tree->rc == 0) {
        xs_rm(store, tree->t, dom);
        xs_rm(store, tree->t, libxl);
    }
    vm_tree(tree, vm, uuid);
    domain_tree(tree, dom, vm);
    make(tree, libxl, GUEST_BARRED);
    put(tree, libxl, "type", tree->b->config->type == CTL_PVH ? "pvh" : "pv");
}

static int tree_error(struct tree *tree)
{
    struct ctl_build *b = tree->b;

    if (tree->rc == -EEXIST) {
        ctl_error_set(b->err, tree->rc, "take the name", b->config->name,
                      "choose another name, or destroy that domain first", "another domain has that name (%s)",
                      tree->failed);
        ctl_error_field(b->err, "name");
        return tree->rc;
    }
    return ctl_store_fail(b->ctl, b->err, tree->rc, tree->reading ? "read from xenstore" : "write to xenstore",
                          tree->failed);
}

/* Runs `fill` in a transaction, again whenever somebody else's came between. */
static int in_transaction(struct ctl_build *b, void (*fill)(struct tree *tree))
{
    struct xs_handle *store = ctl_store_handle(b->ctl, b->err);
    struct tree tree;

    if (!store) {
        return -ECONNREFUSED;
    }
    for (;;) {
        tree = (struct tree){.b = b};
        tree.t = xs_transaction_start(store);
        if (tree.t == XBT_NULL) {
            tree_fail(&tree, "transaction", -errno);
            return tree_error(&tree);
        }
        fill(&tree);
        if (tree.rc < 0) {
            xs_transaction_end(store, tree.t, true);
            return tree_error(&tree);
        }
        if (xs_transaction_end(store, tree.t, false)) {
            return 0;
        }
        if (errno != EAGAIN) {
            tree_fail(&tree, "transaction", -errno);
            return tree_error(&tree);
        }
    }
}

int ctl_build_nodes(struct ctl_build *b)
{
    return in_transaction(b, whole_tree);
}

static void ring_tree(struct tree *tree)
{
    struct ctl_build *b = tree->b;
    char dom[64];

    snprintf(dom, sizeof(dom), "/local/domain/%u", b->domid);
    put_number(tree, dom, "store/port", b->store_port);
    put_number(tree, dom, "store/ring-ref", b->store_frame);
    put_number(tree, dom, "console/backend-id", 0);
    put(tree, dom, "console/limit", CONSOLE_LIMIT);
    put(tree, dom, "console/type", "xenconsoled");
    put(tree, dom, "console/output", "pty");
    put(tree, dom, "console/tty", "");
    put_number(tree, dom, "console/port", b->console_port);
    put_number(tree, dom, "console/ring-ref", b->console_frame);
    if (b->stream) {
        put(tree, dom, "control/feature-suspend", "1"); /* a kernel says so when it boots, and this one has shown it */
    }
}

int ctl_build_introduce(struct ctl_build *b)
{
    int rc = in_transaction(b, ring_tree);

    if (rc < 0) {
        return rc;
    }
    return ctl_store_introduce(b->ctl, b->domid, b->store_frame, b->store_port, b->err);
}
