/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guests' records once more, outside xenstore, which forgets everything when its daemon dies. The supervisor keeps
 * a copy of each, below a directory that the host's next start empties; one that finds a xenstored which knows nothing
 * of any supervisor puts them back, and makes the nodes of the domains that ran on meanwhile anew (libctl/readmit.c).
 *
 * What cannot be made anew are watches: neither guests nor the control domain's kernel set theirs again. So such a
 * domain takes no request, which its record says (`deaf`), and no device is attached before the host is started again,
 * which SPARE_MARK says.
 */
#ifndef CLI_SPARE_H
#define CLI_SPARE_H

#include "cli/guest.h"

/* There since a xenstored of this host that was started again was told of the guests; its value: how many. */
#define SPARE_MARK "/umbra/restored"

extern const char *spare_dir; /* tests point it elsewhere */

/* The record as it is now, with configuration and rings; of one that is gone, the copy goes. What fails is said. */
void spare_keep(struct ctl *ctl, const uint8_t uuid[16]);
/* The same for all that have a copy: of some the record may have gone while no supervisor looked. */
void spare_keep_all(struct ctl *ctl);
/* The record as it was copied last, when xenstore cannot be asked. 0 or -ENOENT. */
int spare_get(const uint8_t uuid[16], struct guest_state *gs);
/* Of a back end that did not take a device in time: after a xenstored that was started again, the hint says that. */
void spare_hint(struct ctl *ctl, int rc, struct ctl_error *err);
/* Are there copies? */
bool spare_any(void);
/*
 * Puts all of them into a xenstored that has none of them. May be done again from its beginning. Returns how many, or
 * -errno: xenstored does not take them. One that cannot be read is said and left out.
 */
int spare_restore(struct ctl *ctl, struct ctl_error *err);

#endif
