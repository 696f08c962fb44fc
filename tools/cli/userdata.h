/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configurations of guests where libxl looks for them: without its file "libxl-json" Debian's xl does not change
 * the memory of a guest (libxl's private files, /var/lib/xen/userdata-d.DOMID.UUID.libxl-json).
 *
 * Nothing of ours is read from there; a guest without it is whole.
 */
#ifndef CLI_USERDATA_H
#define CLI_USERDATA_H

#include "libctl/ctl.h"

extern const char *userdata_dir;

/*
 * Writes the file of a domain that was started, from the record of its guest, and removes those of the guest's earlier
 * domains. Without libxl's directory nothing happens; what fails is said, and costs the guest nothing.
 */
void userdata_put(struct ctl *ctl, uint32_t domid, const uint8_t uuid[16]);
/* Removes all files of this guest, whichever domain's they are; also those that xl has added. */
void userdata_remove(const uint8_t uuid[16]);

#endif
