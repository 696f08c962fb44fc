// SPDX-License-Identifier: BSD-2-Clause
/*
 * The whole removal of a domain: the hypervisor's part, xenstored's part, the nodes.
 *
 * Place: the verb destroy, and the unwinding of a failed build. Invariant: runs to its end whatever fails on the way,
 * but for the nodes by which others are found that could not be removed; reports the first failure. Devices go first: a
 * back end whose guest vanishes does not say when it has let go. The daemons let go of their mappings when xenstored
 * tells them; only then does the memory return.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libctl/internal.h"

/* How long the daemons and back ends get to let go of a dead domain's frames. */
#define LINGER_MS 5000
#define BACKENDS  "/local/domain/0/backend"

/* Removes the back ends' nodes for this domain: /local/domain/0/backend/KIND/N. */
static int remove_backends(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    char path[CTL_PATH_MAX];
    char **kinds;
    int count = ctl_store_list(ctl, BACKENDS, &kinds, err);
    int rc = count < 0 ? count : 0;

    for (int i = 0; i < count && rc == 0; i++) {
        if (ctl_path(path, BACKENDS "/%s/%u", kinds[i], domid) == 0) {
            rc = ctl_store_remove(ctl, path, err);
        }
        if (ctl_path(path, BACKENDS "/%s", kinds[i]) == 0) {
            ctl_store_prune(ctl, path);
        }
    }
    ctl_store_prune(ctl, BACKENDS);
    free(kinds);
    return rc;
}

/* The guest's node in /vm, which the domain's node names. */
static int remove_vm(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_error why = {0};
    char *vm = ctl_store_read_domain(ctl, domid, "vm", &why);
    int rc = vm || why.code == -ENOENT ? 0 : why.code;

    if (rc < 0 && err) {
        *err = why;
    }
    /* Only ever a node below /vm: the value was read from the store. */
    if (vm && strncmp(vm, "/vm/", 4) == 0 && vm[4]) {
        rc = ctl_store_remove(ctl, vm, err);
    }
    free(vm);
    return rc;
}

int ctl_domain_forget(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    char path[CTL_PATH_MAX];
    int rc;

    if (domid == 0) {
        return ctl_error_set(err, -EPERM, "remove nodes", "domain 0", NULL, "the control domain's nodes stay");
    }
    ctl_devices_end(ctl, domid, NULL);
    rc = remove_backends(ctl, domid, err);
    if (rc == 0) {
        rc = remove_vm(ctl, domid, err);
    }
    ctl_path(path, "/libxl/%u", domid);
    if (rc == 0) {
        rc = ctl_store_remove(ctl, path, err);
    }
    /* The last to go: while it is there, the others are found again if we could not do it, or are ended in between. */
    ctl_path(path, "/local/domain/%u", domid);
    if (rc == 0) {
        rc = ctl_store_remove(ctl, path, err);
    }
    ctl_store_prune(ctl, "/vm");
    ctl_store_prune(ctl, "/libxl");
    return rc;
}

/* Waits until the hypervisor has forgotten the domain: it then tells of the next one, or that there is none. */
static int wait_gone(struct ctl *ctl, uint32_t domid)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    uint64_t until = ctl_deadline(LINGER_MS);
    struct xen_domctl domctl;
    int rc;

    for (;;) {
        domctl = (struct xen_domctl){.cmd = XEN_DOMCTL_getdomaininfo, .domain = domid};
        rc = ctl_call_domctl(ctl, &domctl);
        if (rc == -ESRCH || (rc >= 0 && domctl.u.getdomaininfo.domain != domid)) {
            return 0;
        }
        if (rc < 0) {
            return rc;
        }
        if (ctl_now_ms() > until) {
            return -EBUSY;
        }
        nanosleep(&pause, NULL);
    }
}

/* "domain 0 (3 granted, 0 foreign frames), domain 5 (0 granted, 1 foreign frames)" for as many as fit. */
static void name_holders(struct ctl *ctl, uint32_t domid, char *out, size_t size)
{
    struct ctl_holder *list;
    struct ctl_holders sums;
    int count = ctl_domain_holders(ctl, domid, &sums, &list, NULL);
    size_t n = 0;

    snprintf(out, size, "others");
    for (int i = 0; i < count && n + 64 < size; i++) {
        n += snprintf(out + n, size - n, "%sdomain %u (", i ? ", " : "", list[i].domid);
        n += snprintf(out + n, size - n, "%llu granted, %llu foreign frames)", (unsigned long long)list[i].grants,
                      (unsigned long long)list[i].foreign);
    }
    if (count >= 0) {
        free(list);
    }
}

int ctl_domain_destroy(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    char object[64], holders[200];
    int killed, ended, removed, rc;

    if (domid == 0) {
        return ctl_error_set(err, -EPERM, "destroy", "domain 0", "power the machine off instead",
                             "the control domain cannot be destroyed");
    }
    snprintf(object, sizeof(object), "domain %u", domid);
    ctl_domain_pause(ctl, domid, NULL);
    ended = ctl_devices_end(ctl, domid, err);
    killed = ctl_domain_kill(ctl, domid, ended < 0 ? NULL : err);
    if (killed < 0 && killed != -ESRCH) {
        return killed;
    }
    ctl_store_release(ctl, domid, NULL);
    rc = killed < 0 ? killed : wait_gone(ctl, domid);
    removed = ctl_domain_forget(ctl, domid, killed < 0 || ended < 0 ? NULL : err);
    if (rc == -EBUSY) {
        name_holders(ctl, domid, holders, sizeof(holders));
        return ctl_error_set(
            err, rc, "destroy", object,
            "end the programs or back ends that map or were granted its frames; the rest goes by itself then",
            "it is dead, but its memory is still held by %s", holders);
    }
    if (rc < 0 && killed >= 0) {
        return ctl_error_set(err, rc, "destroy", object, "see with the list of guests whether it is still there",
                             "it is dead, but the hypervisor does not say whether it is gone: %s", strerror(-rc));
    }
    return rc < 0 ? rc : ended < 0 ? ended : removed;
}
