/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A background process for one guest that does what on_poweroff, on_reboot and on_crash say when the guest stops. It
 * keeps the guest's state file (guest_state.h) and writes a log; nothing else depends on it living.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/config.h"

extern const char *watch_log_dir; /* tests point it elsewhere */

/* A paused guest by the configuration, its vCPUs where "cpus" wants them. A failure leaves nothing. */
int guest_build(struct ctl *ctl, const struct config *c, uint32_t *domid, struct ctl_error *err);
/*
 * Starts the watcher of a guest that is still paused, and returns when it watches. c->uuid must be set. The caller's
 * handle is closed in the child only; paths in c are made absolute.
 */
int watch_start(struct config *c, struct ctl *ctl, uint32_t domid, struct ctl_error *err);

#endif
