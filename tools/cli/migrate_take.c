/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May a guest come to this host? It is asked when its configuration is there, before its first page, and by
 * `migrate --check`: of both the answer is made here, so that the second does not promise what the first refuses.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/guest_devices.h"
#include "cli/migrate.h"

/* Is this the guest that comes? One that is asked for is to leave yet, if it is of this host (may_take in guest.c). */
static bool leaves(const struct guest_state *gs, bool is_asked)
{
    return gs->phase == GUEST_MIGRATING || (is_asked && (gs->phase == GUEST_RUNNING || gs->phase == GUEST_SAVING));
}

static int uuid_taken(const struct guest_state *gs, struct ctl_error *err)
{
    char id[CTL_UUID_TEXT];

    ctl_uuid_format(gs->uuid, id);
    return ctl_error_set(err, -EEXIST, "take the uuid", NULL, "if it is another guest, destroy that one first",
                         "uuid %s: a guest of this uuid exists, %s (%s)", id, gs->name, guest_phase_name(gs->phase));
}

/*
 * Does the guest come from this host? One that was handed over earlier may come back while it is still to be told
 * where it runs: until that is settled its copy here keeps its disks. Returns 1, 0 or -errno: the uuid is another's.
 */
static int comes_from_here(struct ctl *ctl, const struct config *c, bool is_asked, int64_t *twin, struct ctl_error *err)
{
    struct guest_state gs;
    int rc = c->uuid.given ? guest_state_get(ctl, c->uuid.bytes, &gs, err) : -ENOENT;

    if (rc == -ENOENT || (rc == 0 && gs.phase == GUEST_PARTIAL))
        return 0;
    if (rc < 0)
        return rc;
    if (leaves(&gs, is_asked))
        *twin = gs.domid;
    else if (gs.phase != GUEST_HANDED_OVER)
        return uuid_taken(&gs, err);
    return 1;
}

/* The name that it will have. One that comes from here still has it. */
static int check_name(struct ctl *ctl, const char *name, struct ctl_error *err)
{
    struct ctl_error own = {0};
    int rc = guest_names_lock(err);

    if (rc)
        return rc;
    rc = guest_name_free(ctl, name, &own);
    guest_names_unlock();
    return rc < 0 ? ctl_error_set(err, rc, own.step, NULL, own.hint, "name %s: %s", name, own.message) : rc;
}

static int name_guest(struct config *c, bool from_here, struct guest_state *gs, struct ctl_error *err)
{
    if ((from_here || !c->uuid.given) && ctl_uuid_random(c->uuid.bytes) < 0)
        return ctl_error_set(err, -EIO, "make a uuid", NULL, NULL, "no random numbers");
    c->uuid.given = true;
    *gs = (struct guest_state){.phase = GUEST_INCOMING, .domid = -1};
    memcpy(gs->uuid, c->uuid.bytes, sizeof(gs->uuid));
    snprintf(gs->real, sizeof(gs->real), "%s", c->name);
    guest_incoming_name(gs->name, c->name);
    return 0;
}

/* Of those that it may run on, this host has one at least. */
static int check_cpus(struct ctl *ctl, const struct config *c, struct ctl_error *err)
{
    uint8_t map[CONFIG_MAX_CPUS / 8];
    struct ctl_host_info host;
    int rc;

    if (!c->cpus || config_cpu_map(c->cpus, map))
        return 0;
    rc = ctl_host_info(ctl, &host, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i <= host.max_cpu_id && i < CONFIG_MAX_CPUS; i++) {
        if (map[i / 8] >> i % 8 & 1)
            return 0;
    }
    return ctl_error_set(err, -EINVAL, "bind it to CPUs", NULL, NULL, "cpus %s: this host has CPUs 0 to %u", c->cpus,
                         host.max_cpu_id);
}

int migrate_may_come(struct ctl *ctl, struct config *c, bool is_asked, struct taking *taking, struct ctl_error *err)
{
    int from_here, rc;

    taking->twin = CTL_NO_TWIN;
    rc = from_here = comes_from_here(ctl, c, is_asked, &taking->twin, err);
    if (rc == 0)
        rc = check_name(ctl, c->name, err);
    if (rc >= 0)
        rc = check_cpus(ctl, c, err);
    if (rc >= 0)
        rc = guest_devices_movable(c, err);
    if (rc >= 0)
        rc = guest_devices_check(ctl, c, taking->twin, err);
    return rc < 0 ? rc : name_guest(c, from_here, &taking->gs, err);
}
