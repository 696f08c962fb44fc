/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices of a guest's configuration (see guest_devices.h).
 *
 * A guest that is moved to the host that it is on has two domains for a while, with the same disks. Of these the one
 * that it comes from sleeps and has nothing under way (libctl/flush.c), and the other does not run before it is told:
 * so the second may have what the first has. It is looked whether that is so, since what came is a stranger's word.
 */
#include <errno.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "cli/guest_devices.h"
#include "cli/spare.h"

int guest_devices_check(struct ctl *ctl, const struct config *c, int64_t twin, struct ctl_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < c->disks.n && rc >= 0; i++) {
        struct ctl_disk disk = spec_disk(&c->disks.list[i]);

        rc = ctl_disk_check(ctl, &disk, twin, err);
    }
    for (size_t i = 0; i < c->vifs.n && rc >= 0; i++) {
        struct ctl_vif vif = spec_vif(&c->vifs.list[i]);

        rc = ctl_vif_check(&vif, err);
    }
    return rc;
}

/*
 * qemu holds parts of an image in memory, and the one here would open it while the one there has it open. That what
 * the other one writes last came out whole, nobody could be told.
 */
int guest_devices_movable(const struct config *c, struct ctl_error *err)
{
    for (size_t i = 0; i < c->disks.n; i++) {
        struct ctl_disk disk = spec_disk(&c->disks.list[i]);
        char object[64];

        if (!disk.qemu)
            continue;
        snprintf(object, sizeof(object), "disk %.20s", disk.vdev);
        return ctl_error_set(err, -EOPNOTSUPP, "move a guest", object,
                             "save the guest and restore it on the other host, or shut it down",
                             "qemu serves it, and cannot have it open on two hosts");
    }
    return 0;
}

static int attach_all(struct ctl *ctl, const struct config *c, uint32_t domid, struct ctl_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < c->disks.n && rc >= 0; i++) {
        struct ctl_disk disk = spec_disk(&c->disks.list[i]);

        rc = ctl_disk_attach(ctl, domid, &disk, err);
    }
    for (size_t i = 0; i < c->vifs.n && rc >= 0; i++) {
        struct ctl_vif vif = spec_vif(&c->vifs.list[i]);

        rc = ctl_vif_attach(ctl, domid, &vif, err);
    }
    return rc;
}

static int check_asleep(struct ctl *ctl, uint32_t twin, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, twin, &info, err);

    if (rc < 0 || (info.shutdown && info.shutdown_reason == SHUTDOWN_suspend && !info.dying))
        return rc;
    return ctl_error_set(err, -EBUSY, "take over its disks", info.name, NULL, "domain %u is not asleep", twin);
}

int guest_devices_attach(struct ctl *ctl, const struct config *c, uint32_t domid, int64_t twin, struct ctl_error *err)
{
    bool shares = twin != CTL_NO_TWIN && c->disks.n;
    int rc = shares ? check_asleep(ctl, (uint32_t)twin, err) : 0;

    if (rc >= 0 && shares)
        rc = ctl_domain_set_twin(ctl, domid, twin, err);
    if (rc >= 0) {
        rc = attach_all(ctl, c, domid, err);
        spare_hint(ctl, rc, err);
    }
    if (rc >= 0 && shares)
        rc = ctl_domain_set_twin(ctl, domid, CTL_NO_TWIN, err);
    return rc;
}
