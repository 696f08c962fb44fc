/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake host's devices (fake_ctl.h): a list, on which those of a domain are as long as it is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_ctl.h"

static struct fake_device *find(uint32_t domid, enum ctl_device_kind kind, uint32_t devid)
{
    for (int i = 0; i < fake->n_devices; i++) {
        struct fake_device *d = &fake->devices[i];

        if (d->domid == domid && d->kind == kind && d->device.devid == devid)
            return d;
    }
    return NULL;
}

/* The host does not have what is called that; or another domain has the disk, which is not the twin. */
int ctl_disk_check(struct ctl *ctl, const struct ctl_disk *disk, int64_t twin, struct ctl_error *err)
{
    (void)ctl;
    if (*fake->missing && strcmp(fake->missing, disk->target) == 0)
        return ctl_error_set(err, -ENOENT, "attach a disk", "disk xvda", NULL, "%s cannot be found", disk->target);
    for (int i = 0; i < fake->n_devices; i++) {
        struct fake_device *d = &fake->devices[i];

        if (d->kind == CTL_DISK && d->domid != twin && strcmp(d->device.target, disk->target) == 0)
            return ctl_error_set(err, -EBUSY, "attach a disk", "disk xvda", NULL, "%s is in use by domain %u",
                                 disk->target, d->domid);
    }
    return 0;
}

int ctl_vif_check(const struct ctl_vif *vif, struct ctl_error *err)
{
    if (*fake->missing && strcmp(fake->missing, vif->bridge) == 0)
        return ctl_error_set(err, -ENODEV, "attach", "network interface 0", NULL, "there is no bridge %s", vif->bridge);
    return 0;
}

/* The one that the test has set. */
int ctl_disks_process(uint32_t domid)
{
    return fake->server.domid == domid ? fake->server.pid : 0;
}

bool ctl_disks_unserved(struct ctl *ctl, uint32_t domid)
{
    (void)ctl;
    return fake->server.domid == domid && fake->server.pid == 0;
}

void ctl_disks_log_trim(uint32_t domid, size_t most)
{
    (void)domid;
    (void)most;
}

static const char *twin_node(uint32_t domid, char path[64])
{
    snprintf(path, 64, "/local/domain/%u/target", domid);
    return path;
}

int ctl_domain_set_twin(struct ctl *ctl, uint32_t domid, int64_t twin, struct ctl_error *err)
{
    char path[64], value[16];

    snprintf(value, sizeof(value), "%lld", (long long)twin);
    return twin < 0 ? ctl_store_remove(ctl, twin_node(domid, path), err)
                    : ctl_store_write(ctl, twin_node(domid, path), value, err);
}

static int add(uint32_t domid, enum ctl_device_kind kind, const struct ctl_device *device, struct ctl_error *err)
{
    fake_count();
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);

        fake->inherited += flags >= 0 && !(flags & FD_CLOEXEC);
    }
    if (fake->attach_fails)
        return ctl_error_set(err, fake->attach_fails, "run the script", "a device", NULL, "the script says no");
    if (find(domid, kind, device->devid))
        return ctl_error_set(err, -EEXIST, "attach a device", "a device", NULL, "the domain has such a device already");
    if (fake->n_devices == FAKE_DEVICES)
        return ctl_error_set(err, -ENOSPC, "attach a device", "a device", NULL, "the fake is full");
    fake->devices[fake->n_devices++] = (struct fake_device){.domid = domid, .kind = kind, .device = *device};
    return 0;
}

int ctl_disk_attach(struct ctl *ctl, uint32_t domid, const struct ctl_disk *disk, struct ctl_error *err)
{
    struct ctl_device d = {.state = 4, .readonly = disk->readonly, .channel = -1, .ring = -1, .rx_ring = -1};
    static const char *const formats[] = {"raw", "qcow", "qcow2", "vhd", "qed"};
    char path[64];

    ctl_disk_number(disk->vdev, &d.devid);
    snprintf(d.vdev, sizeof(d.vdev), "%s", disk->vdev);
    snprintf(d.target, sizeof(d.target), "%s", disk->target);
    snprintf(d.back, sizeof(d.back), "/back/%s/%u/%u", disk->qemu ? "qdisk" : "vbd", domid, d.devid);
    snprintf(d.format, sizeof(d.format), "%s", formats[disk->format]);
    d.process = disk->qemu ? 1234 : -1;
    if (ctl_disk_check(ctl, disk, fake_node(twin_node(domid, path)) ? atol(fake_node(path)) : -1, err) < 0)
        return err->code;
    return add(domid, CTL_DISK, &d, err);
}

int ctl_vif_attach(struct ctl *ctl, uint32_t domid, const struct ctl_vif *vif, struct ctl_error *err)
{
    struct ctl_device d = {.devid = vif->devid, .state = 4, .channel = 9, .ring = 10, .rx_ring = 11};
    const uint8_t *m = vif->mac;

    (void)ctl;
    snprintf(d.mac, sizeof(d.mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    snprintf(d.bridge, sizeof(d.bridge), "%s", vif->bridge);
    snprintf(d.script, sizeof(d.script), "%s", vif->script ? vif->script : "");
    snprintf(d.back, sizeof(d.back), "/back/vif/%u/%u", domid, d.devid);
    return add(domid, CTL_VIF, &d, err);
}

static void drop(struct fake_device *d)
{
    *d = fake->devices[--fake->n_devices];
}

int ctl_device_detach(struct ctl *ctl, uint32_t domid, enum ctl_device_kind kind, uint32_t devid,
                      const struct ctl_detach *how, struct ctl_error *err)
{
    struct fake_device *d = find(domid, kind, devid);

    (void)ctl;
    fake_count();
    if (!d)
        return ctl_error_set(err, -ENOENT, "detach a device", "a device", NULL, "the domain has no such device");
    if (fake->detach_fails && !how->force)
        return ctl_error_set(err, fake->detach_fails, "detach a device", "a device", NULL, "the guest still uses it");
    drop(d);
    return 0;
}

void fake_no_devices(uint32_t domid)
{
    for (int i = fake->n_devices - 1; i >= 0; i--) {
        if (fake->devices[i].domid == domid)
            drop(&fake->devices[i]);
    }
}

int ctl_devices_end(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    (void)ctl;
    (void)err;
    fake_count();
    fake_no_devices(domid);
    return 0;
}

int ctl_device_list(struct ctl *ctl, uint32_t domid, enum ctl_device_kind kind, struct ctl_device **list,
                    struct ctl_error *err)
{
    int n = 0;

    (void)ctl;
    (void)err;
    *list = calloc(FAKE_DEVICES, sizeof(**list));
    for (int i = 0; i < fake->n_devices; i++) {
        if (fake->devices[i].domid == domid && fake->devices[i].kind == kind)
            (*list)[n++] = fake->devices[i].device;
    }
    return n;
}
