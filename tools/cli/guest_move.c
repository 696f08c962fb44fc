/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps of a guest's records while it is moved (see guest_move.h). The names are xl's, which other tools know.
 *
 * A record changes with its name in one transaction. Where the domain's nodes are changed as well, it is before the
 * record says that the guest may run, and after it says that it may not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/guest_move.h"

#define INCOMING "--incoming"
#define AWAY     "--migratedaway"

static void add_suffix(char out[CTL_NAME_MAX], const char *name, const char *suffix)
{
    snprintf(out, CTL_NAME_MAX, "%.*s%s", (int)(CTL_NAME_MAX - 1 - strlen(suffix)), name, suffix);
}

void guest_incoming_name(char out[CTL_NAME_MAX], const char *name)
{
    add_suffix(out, name, INCOMING);
}

int guest_name_move(struct guest_state *gs, struct ctl_error *err)
{
    uint8_t bytes[GUEST_MOVE_BYTES];

    if (ctl_uuid_random(bytes) < 0)
        return ctl_error_set(err, -EIO, "name the move", gs->name, NULL, "no random numbers");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(gs->move + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int guest_name_nodes(struct ctl *ctl, const uint8_t uuid[16], uint32_t domid, const char *name, struct ctl_error *err)
{
    char path[96], id[CTL_UUID_TEXT];
    int rc;

    ctl_uuid_format(uuid, id);
    snprintf(path, sizeof(path), "/vm/%s/name", id);
    rc = ctl_store_write_domain(ctl, domid, path, name, err);
    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    return rc < 0 ? rc : ctl_store_write_domain(ctl, domid, path, name, err);
}

/* State and name, together or not at all; *gs stays as it was on failure. */
static int change(struct ctl *ctl, struct guest_state *gs, enum guest_phase phase, const char *name,
                  struct ctl_error *err)
{
    struct guest_state next = *gs;
    int rc = guest_names_lock(err);

    if (rc)
        return rc;
    next.phase = phase;
    rc = guest_name_free_moved(ctl, name, err);
    if (rc >= 0)
        rc = guest_state_rename(ctl, &next, name, err);
    guest_names_unlock();
    if (rc >= 0)
        *gs = next;
    return rc < 0 ? rc : 0;
}

static int put_phase(struct ctl *ctl, struct guest_state *gs, enum guest_phase phase, struct ctl_error *err)
{
    gs->phase = phase;
    return guest_state_put(ctl, gs, err);
}

int guest_may_leave(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err)
{
    char name[CTL_NAME_MAX];
    int rc = guest_names_lock(err);

    if (rc)
        return rc;
    add_suffix(name, gs->name, AWAY);
    rc = guest_name_free_moved(ctl, name, err);
    guest_names_unlock();
    if (rc != -EEXIST)
        return rc;
    return ctl_error_set(err, rc, "move", gs->name, "`umbra migrate-resolve` it first",
                         "it would sleep here as %s until it runs there, and another guest has that name", name);
}

int guest_hand_over(struct ctl *ctl, struct guest_state *gs, uint32_t domid, struct ctl_error *err)
{
    char name[CTL_NAME_MAX];
    int rc;

    snprintf(gs->real, sizeof(gs->real), "%s", gs->name);
    add_suffix(name, gs->name, AWAY);
    rc = change(ctl, gs, GUEST_HANDED_OVER, name, err);
    return rc < 0 ? rc : guest_name_nodes(ctl, gs->uuid, domid, name, err);
}

/* The record first, so that whoever finds it after us lets the guest go on as well. */
static int reclaim(struct ctl *ctl, struct guest_state *gs, uint32_t domid, struct ctl_error *err)
{
    char name[CTL_NAME_MAX];
    int rc;

    if (gs->phase != GUEST_HANDED_OVER)
        return 0;
    snprintf(name, sizeof(name), "%s", gs->real);
    rc = change(ctl, gs, GUEST_MIGRATING, name, err);
    return rc < 0 ? rc : guest_name_nodes(ctl, gs->uuid, domid, name, err);
}

int guest_take_back(struct ctl *ctl, struct guest_state *gs, uint32_t domid, bool may_suspend, struct ctl_error *err)
{
    int rc = reclaim(ctl, gs, domid, err), step;

    if (rc < 0)
        return rc;
    rc = ctl_log_off(ctl, domid, err);
    step = put_phase(ctl, gs, GUEST_SAVING, rc < 0 ? NULL : err);
    rc = rc < 0 ? rc : step;
    step = ctl_domain_go_on(ctl, domid, rc < 0 ? NULL : err);
    rc = rc < 0 ? rc : step;
    if (rc >= 0 && !may_suspend)
        rc = put_phase(ctl, gs, GUEST_RUNNING, err);
    guest_state_put_move(ctl, gs->uuid, NULL, NULL);
    return rc < 0 ? rc : 0;
}

int guest_arrive(struct ctl *ctl, struct guest_state *gs, uint32_t domid, bool paused, struct ctl_error *err)
{
    char name[CTL_NAME_MAX];
    int rc;

    snprintf(name, sizeof(name), "%s", gs->real);
    rc = guest_name_nodes(ctl, gs->uuid, domid, name, err);
    if (rc >= 0)
        rc = change(ctl, gs, paused ? GUEST_RUNNING : GUEST_STARTING, name, err);
    if (rc >= 0)
        rc = guest_start(ctl, gs, paused, err);
    return rc < 0 ? rc : 0;
}
