// SPDX-License-Identifier: BSD-2-Clause
/*
 * Network interfaces of guests: the nodes that the kernel's back end and the scripts vif-* expect, as libxl writes
 * them.
 *
 * Place: between ctl.h and device.c. Nothing is set up here in the control domain's network: that is the script's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libctl/device.h"

#define STEP    "attach a network interface"
#define SCRIPT  "vif-bridge"
#define NETWORK "/sys/class/net"

static int attach(const struct device *d, const struct ctl_vif *vif, const char *script, struct ctl_error *err)
{
    const char *trusted = vif->untrusted ? "0" : "1";
    char domid[16], devid[16], mac[18], mtu[16], rate[40];
    const struct device_node back[] = {
        {"frontend-id", domid},
        {"online", "1"},
        {"state", "1"},
        {"script", script},
        {"mac", mac},
        {"trusted", trusted},
        {"bridge", vif->bridge},
        {"gatewaydev", vif->gatewaydev},
        {"ip", vif->ip},
        {"vifname", vif->vifname},
        {"mtu", vif->mtu ? mtu : NULL},
        {"rate", vif->rate_bytes ? rate : NULL},
        {"handle", devid},
        {"type", "vif"},
        {NULL, NULL},
    };
    const struct device_node front[] = {
        {"backend-id", "0"},  {"state", "1"}, {"handle", devid}, {"mac", mac}, {"mtu", vif->mtu ? mtu : NULL},
        {"trusted", trusted}, {NULL, NULL},
    };
    const uint8_t *m = vif->mac;
    int rc;

    snprintf(domid, sizeof(domid), "%u", d->domid);
    snprintf(devid, sizeof(devid), "%u", d->devid);
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    snprintf(mtu, sizeof(mtu), "%u", vif->mtu);
    snprintf(rate, sizeof(rate), "%llu,%u", (unsigned long long)vif->rate_bytes, vif->rate_usecs);
    rc = device_make(d, back, front, err);
    return rc < 0 ? rc : device_begin(d, err);
}

/* As the script vif-bridge finds it: a bridge called eth0 is also called xenbr0. */
static bool has_bridge(const char *bridge)
{
    char path[96];

    snprintf(path, sizeof(path), NETWORK "/%.40s", bridge);
    if (access(path, F_OK) == 0) {
        return true;
    }
    snprintf(path, sizeof(path), NETWORK "/eth%.40s/bridge", strncmp(bridge, "xenbr", 5) == 0 ? bridge + 5 : "-");
    return access(path, F_OK) == 0;
}

int ctl_vif_check(const struct ctl_vif *vif, struct ctl_error *err)
{
    const char *script = vif->script ? vif->script : SCRIPT, *slash = strrchr(script, '/');
    char object[64];
    int rc;

    snprintf(object, sizeof(object), "network interface %u", vif->devid);
    rc = hotplug_check(script, STEP, object, err);
    if (rc < 0 || !vif->bridge || strcmp(slash ? slash + 1 : script, SCRIPT) != 0 || has_bridge(vif->bridge)) {
        return rc;
    }
    return ctl_error_set(err, -ENODEV, STEP, object, "make it, or name another one: `ip link show type bridge`",
                         "there is no bridge %s", vif->bridge);
}

int ctl_vif_attach(struct ctl *ctl, uint32_t domid, const struct ctl_vif *vif, struct ctl_error *err)
{
    char *script = hotplug_path(vif->script ? vif->script : SCRIPT);
    struct device d;
    int rc;

    if (!script) {
        return ctl_error_set(err, -ENOMEM, STEP, NULL, NULL, "out of memory");
    }
    device_init(&d, ctl, DEVICE_VIF, domid, vif->devid);
    rc = attach(&d, vif, script, err);
    free(script);
    return rc;
}
