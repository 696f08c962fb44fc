/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest between two hosts: the steps of its records on both of them. All are called with the guest's lock held.
 *
 *   here:   running -> migrating -> handed-over -> dying           moved
 *                      migrating, handed-over -> saving -> running  taken back
 *   there:  incoming -> starting -> running                         arrived
 *           incoming -> dying                                       given up
 *
 * Invariant: of the two domains at most one may run. Here it may until the record says handed-over, there from when the
 * record says starting; the first is written before the other host is told to go, the second after it was told.
 */
#ifndef CLI_GUEST_MOVE_H
#define CLI_GUEST_MOVE_H

#include "cli/guest.h"

/* The name under which a guest arrives. Long names lose their end. */
void guest_incoming_name(char out[CTL_NAME_MAX], const char *name);
/* Which move it is that begins now. */
int guest_name_move(struct guest_state *gs, struct ctl_error *err);
/* The nodes that other tools read a domain's name from. */
int guest_name_nodes(struct ctl *ctl, const uint8_t uuid[16], uint32_t domid, const char *name, struct ctl_error *err);
/*
 * 0, or -EEXIST: under the name that it would sleep by here, another sleeps that moved away and was not resolved. To be
 * asked before its pages are copied.
 */
int guest_may_leave(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err);
/* A sleeping guest is not let go on by anybody from here on; it has another name. */
int guest_hand_over(struct ctl *ctl, struct guest_state *gs, uint32_t domid, struct ctl_error *err);
/*
 * It goes on here, as if nothing had been; one that was handed over only if the record and its name say so first.
 * may_suspend: it was asked to, and is not known to have been let go on since; if it does, it is woken.
 */
int guest_take_back(struct ctl *ctl, struct guest_state *gs, uint32_t domid, bool may_suspend, struct ctl_error *err);
/* It gets its name and runs, or is left paused. */
int guest_arrive(struct ctl *ctl, struct guest_state *gs, uint32_t domid, bool paused, struct ctl_error *err);

#endif
