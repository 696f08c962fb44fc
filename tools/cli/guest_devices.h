/* SPDX-License-Identifier: BSD-2-Clause */
/* The devices of a guest's configuration, for a domain that has been made, or that is still to come. */
#ifndef CLI_GUEST_DEVICES_H
#define CLI_GUEST_DEVICES_H

#include "cli/config.h"

/* Would each be there for a domain of this host? twin: as of ctl_disk_check(). -errno of the first that is not. */
int guest_devices_check(struct ctl *ctl, const struct config *c, int64_t twin, struct ctl_error *err);
/* May a guest with them come from another host while it runs? -EOPNOTSUPP: not with this disk. */
int guest_devices_movable(const struct config *c, struct ctl_error *err);
/* Attaches them. twin: the domain that this one takes over from, which has to be asleep, or CTL_NO_TWIN. */
int guest_devices_attach(struct ctl *ctl, const struct config *c, uint32_t domid, int64_t twin, struct ctl_error *err);

#endif
