/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest across its domains (see guest.h).
 *
 *   create:   building -> starting -> running        its builder died: building -> dying
 *   stopped:  running -> dying                       destroy
 *             running -> rebooting -> starting ...   restart
 *             running -> renaming -> rebooting ...   rename-restart
 *             running -> preserved                   preserve
 *   saved:    running -> saving -> dying             its saver died, or failed: saving -> running
 *   moved:    guest_move.h                           its mover died: migrating -> saving; incoming -> dying
 *   removed:  any -> dying -> no record
 *
 * Invariant: a step may be done again from its beginning. The guest's domains are found by their handle, which is its
 * uuid, so that a domain is found even if its builder was killed before it could write down its number.
 *
 * The console is drained before a domain goes because a guest's last words are still in its ring when it stops. A guest
 * may keep its ring full for ever: the time for that is bounded.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/io/console.h>

#include "cli/arrivals.h"
#include "cli/guest.h"
#include "cli/guest_devices.h"
#include "cli/lock.h"
#include "cli/userdata.h"

#define DRAIN_MS     2000 /* at most, for the console daemon to take what is in the ring */
#define GRACE_MS     200  /* and to pass it on */
#define POLL_MS      20
#define BUILD_TRIES  5 /* memory of the old domain may come back late */
#define KEEP_LOCK_MS 10000
#define TAKE_LOCK_MS 10000
#define TAIL_LINES   12
#define TAIL_BYTES   2049
#define FAST_SECONDS 10 /* a guest that lived shorter than this ... */
#define FAST_LIMIT   5  /* ... this often in a row is not restarted again */

enum { SETTLED, GO_ON }; /* what a step returns, or -errno */

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int64_t now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

int guest_lock(const uint8_t uuid[16], unsigned timeout_ms, struct ctl_error *err)
{
    int rc = lock_wait(lock_of_guest(uuid), timeout_ms);

    if (rc == -EAGAIN)
        ctl_error_set(err, rc, "lock the guest", NULL, "try again when it has finished", "process %d is at work on it",
                      (int)lock_holder(lock_of_guest(uuid)));
    else if (rc)
        ctl_error_set(err, rc, "lock the guest", lock_file, NULL, "the file cannot be locked");
    return rc;
}

void guest_unlock(const uint8_t uuid[16])
{
    lock_drop(lock_of_guest(uuid));
}

/* 0, or why a guest of this record is not to be saved or moved now. */
static int may_take(const struct guest_state *gs, const char *verb, struct ctl_error *err)
{
    if (gs->phase == GUEST_RUNNING || gs->phase == GUEST_SAVING)
        return 0;
    if (gs->phase == GUEST_HANDED_OVER)
        return ctl_error_set(err, -EBUSY, verb, gs->name, "umbra migrate-resolve", "it was handed over already");
    return ctl_error_set(err, -EBUSY, verb, gs->name, NULL,
                         "it is being built, moved, received, restarted or removed, or preserved");
}

int guest_can_sleep(struct ctl *ctl, const char *verb, const struct guest_state *gs, uint32_t domid,
                    struct ctl_error *err)
{
    int rc = may_take(gs, verb, err);

    if (rc >= 0)
        rc = guest_hears(gs, domid, verb, err);
    return rc < 0 ? rc : ctl_domain_can_suspend(ctl, domid, err);
}

int guest_take(struct ctl *ctl, const char *verb, uint32_t *domid, struct ctl_domain_info *info, struct guest_state *gs,
               struct ctl_error *err)
{
    uint8_t uuid[16];
    int rc = ctl_domain_info(ctl, *domid, info, err);

    if (rc < 0)
        return rc;
    memcpy(uuid, info->uuid, sizeof(uuid));
    rc = guest_lock(uuid, TAKE_LOCK_MS, err);
    if (rc < 0)
        return rc;
    rc = guest_state_get(ctl, uuid, gs, err);
    if (rc == -ENOENT)
        ctl_error_set(err, rc, verb, info->name, "use the tool that made it",
                      "its configuration is not known: umbra did not create it");
    if (rc >= 0)
        rc = may_take(gs, verb, err); /* it may have no domain else */
    if (rc >= 0 && gs->domid >= 0) {
        *domid = (uint32_t)gs->domid;
        rc = ctl_domain_info(ctl, *domid, info, err);
    }
    if (rc >= 0)
        rc = guest_can_sleep(ctl, verb, gs, *domid, err);
    if (rc < 0)
        guest_unlock(uuid);
    return rc;
}

void guest_show_console(struct ctl *ctl, uint32_t domid)
{
    char tail[TAIL_BYTES];

    if (ctl_console_tail(ctl, domid, tail, sizeof(tail), TAIL_LINES) == 0 && *tail)
        fprintf(stderr, "The last lines of its console:\n%s%s", tail, tail[strlen(tail) - 1] == '\n' ? "" : "\n");
}

static bool same(const uint8_t a[16], const uint8_t b[16])
{
    return memcmp(a, b, 16) == 0;
}

/* 1 and *info, 0 when it has none, or -errno. */
static int look(struct ctl *ctl, const struct guest_state *gs, struct ctl_domain_info *info, struct ctl_error *err)
{
    const struct ctl_domain_info *found;
    struct ctl_domain_info *list;
    int n = ctl_domain_scan(ctl, &list, err);

    if (n < 0)
        return n;
    found = guest_domain(list, n, gs->uuid);
    if (found)
        *info = *found;
    free(list);
    return found != NULL;
}

/* *gs says what is written: it keeps its phase on failure. */
static int put_phase(struct ctl *ctl, struct guest_state *gs, enum guest_phase phase, struct ctl_error *err)
{
    enum guest_phase before = gs->phase;
    int rc;

    gs->phase = phase;
    rc = guest_state_put(ctl, gs, err);
    if (rc < 0)
        gs->phase = before;
    return rc;
}

/* --- building and starting ------------------------------------------------------------------------------------------
 */

static int set_affinity(struct ctl *ctl, const struct config *c, uint32_t domid, struct ctl_error *err)
{
    struct ctl_affinity map = {0};
    int rc = 0;

    if (!c->cpus || config_cpu_map(c->cpus, map.hard))
        return 0;
    memset(map.soft, 0xff, sizeof(map.soft));
    for (uint32_t v = 0; v < (uint32_t)c->maxvcpus && rc >= 0; v++)
        rc = ctl_vcpu_set_affinity(ctl, domid, v, &map, err);
    if (rc < 0)
        ctl_error_field(err, "cpus");
    return rc;
}

/* Only what differs from what every domain starts with. */
static int set_share(struct ctl *ctl, const struct config *c, const struct guest_asked *asked, uint32_t domid,
                     struct ctl_error *err)
{
    struct ctl_sched sched = {.weight = (uint32_t)c->cpu_weight, .cap = (uint32_t)c->cap};
    int rc = 0;

    if (asked->share.weight)
        sched = asked->share;
    if (sched.weight != CONFIG_WEIGHT || sched.cap)
        rc = ctl_sched_set(ctl, domid, &sched, err);
    if (rc < 0)
        ctl_error_field(err, sched.cap ? "cap" : "cpu_weight");
    return rc;
}

struct ctl_domain_config guest_build_config(const struct config *c, const struct guest_asked *asked)
{
    struct ctl_domain_config build = config_build(c);
    uint64_t most = build.maxmem_kib ? build.maxmem_kib : build.memory_kib;

    if (asked->target_kib <= most)
        build.target_kib = asked->target_kib;
    if (asked->vcpus && asked->vcpus <= build.maxvcpus)
        build.vcpus = asked->vcpus;
    return build;
}

int guest_build(struct ctl *ctl, const struct config *c, const struct guest_origin *from, uint32_t *domid,
                struct ctl_error *err)
{
    struct ctl_domain_config build = guest_build_config(c, &from->asked);
    int rc = from->stream ? ctl_restore_domain(ctl, &build, from->stream, domid, err)
                          : ctl_build_domain(ctl, &build, domid, err);

    if (rc < 0)
        return rc;
    rc = set_affinity(ctl, c, *domid, err);
    if (rc >= 0)
        rc = set_share(ctl, c, &from->asked, *domid, err);
    if (rc >= 0)
        rc = guest_devices_attach(ctl, c, *domid, from->twin, err);
    if (rc < 0)
        ctl_domain_destroy(ctl, *domid, NULL);
    return rc < 0 ? rc : 0;
}

/* A domain that runs already was let go by someone who was killed before they could say so. */
static int step_start(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = look(ctl, gs, &info, err);

    if (rc < 0)
        return rc;
    if (rc && info.paused)
        rc = ctl_domain_unpause(ctl, info.domid, err);
    if (rc < 0)
        return rc;
    rc = put_phase(ctl, gs, GUEST_RUNNING, err);
    return rc < 0 ? rc : GO_ON;
}

static bool runs(struct ctl *ctl, const struct guest_state *gs)
{
    struct ctl_domain_info info;

    return gs->domid >= 0 && ctl_domain_info(ctl, (uint32_t)gs->domid, &info, NULL) >= 0 && !info.paused;
}

/* Once it runs it has started, even if that could not be written down: the record then says starting. */
int guest_start(struct ctl *ctl, struct guest_state *gs, bool paused, struct ctl_error *err)
{
    int rc;

    gs->started = now_seconds();
    rc = put_phase(ctl, gs, paused ? GUEST_RUNNING : GUEST_STARTING, err);
    if (rc >= 0 && !paused)
        rc = step_start(ctl, gs, err);
    return rc < 0 && (paused || !runs(ctl, gs)) ? rc : 0;
}

/* --- removing -------------------------------------------------------------------------------------------------------
 */

static bool ring_empty(const volatile struct xencons_interface *ring)
{
    return ring->out_cons == ring->out_prod;
}

void guest_drain_console(struct ctl *ctl, const struct guest_state *gs, uint32_t domid)
{
    const volatile struct xencons_interface *ring;
    char path[64], *ref;
    uint64_t frame;

    snprintf(path, sizeof(path), "/local/domain/%u/console/ring-ref", domid);
    ref = ctl_store_read(ctl, path, NULL);
    if (!ref)
        return;
    frame = strtoull(ref, NULL, 10);
    free(ref);
    ring = ctl_foreign_map(ctl, domid, PROT_READ, &frame, 1, NULL);
    if (!ring)
        return;
    for (int ms = 0; ms < DRAIN_MS && !ring_empty(ring); ms += POLL_MS)
        nap(POLL_MS);
    if (!ring_empty(ring))
        guest_say(gs->name, "the console daemon leaves output of domain %u unread", domid);
    ctl_foreign_unmap(ctl, (void *)(uintptr_t)ring, 1);
    nap(GRACE_MS);
}

/* Nodes of the guest's last domain, which is gone: whoever removed it was killed before it came to them. */
static int remove_nodes(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err)
{
    char path[64], ours[64], id[CTL_UUID_TEXT], *vm;
    struct ctl_error why = {0};
    int rc;

    ctl_uuid_format(gs->uuid, id);
    snprintf(ours, sizeof(ours), "/vm/%s", id);
    snprintf(path, sizeof(path), "/local/domain/%u/vm", (uint32_t)gs->domid);
    vm = ctl_store_read(ctl, path, &why);
    rc = vm || why.code == -ENOENT ? 0 : why.code;
    if (rc < 0 && err)
        *err = why;
    if (vm && strcmp(vm, ours) == 0)
        rc = ctl_domain_forget(ctl, (uint32_t)gs->domid, err);
    free(vm);
    return rc;
}

/* Its number is written down first: if we are killed then, its nodes are found by it. */
static int remove_domain(struct ctl *ctl, struct guest_state *gs, const struct ctl_domain_info *d,
                         struct ctl_error *err)
{
    int rc = 0;

    if (!d->dying && gs->domid != d->domid) {
        gs->domid = d->domid;
        rc = guest_state_put(ctl, gs, err);
    }
    if (!d->dying && d->shutdown)
        guest_drain_console(ctl, gs, d->domid);
    if (rc >= 0)
        rc = ctl_domain_destroy(ctl, d->domid, err);
    return rc == -ESRCH ? 0 : rc;
}

/* All domains that have the guest's handle, and what is left of the last. -EBUSY: dead, but not gone. */
static int remove_domains(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int n = ctl_domain_scan(ctl, &list, err), rc = 0;
    bool exists = false;

    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        exists |= list[i].domid == gs->domid;
        if (same(list[i].uuid, gs->uuid)) {
            int one = remove_domain(ctl, gs, &list[i], rc ? NULL : err);

            rc = rc ? rc : one;
        }
    }
    free(list);
    if (!exists && gs->domid > 0 && !rc)
        rc = remove_nodes(ctl, gs, err);
    return rc < 0 ? rc : 0;
}

/*
 * What is incoming never ran. By a record that says dying nobody can tell, and it may be another process that comes to
 * the end of this: so the move is struck out first.
 */
int guest_end(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    int rc;

    if (gs->phase == GUEST_INCOMING && *gs->move)
        arrivals_strike(gs->move);
    rc = put_phase(ctl, gs, GUEST_DYING, err);
    if (rc >= 0)
        rc = remove_domains(ctl, gs, err);
    if (rc < 0)
        return rc;
    userdata_remove(gs->uuid);
    return guest_state_remove(ctl, gs->uuid, err);
}

/* By a record that says starting its guest is let run: before the move is struck out it has to say incoming. */
int guest_give_up(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    int rc = *gs->move ? put_phase(ctl, gs, GUEST_INCOMING, err) : 0;

    return rc < 0 ? rc : guest_end(ctl, gs, err);
}

/* --- what the configuration says -------------------------------------------------------------------------------------
 */

static int config_fault(const struct guest_state *gs, int code, const char *message, struct ctl_error *err)
{
    return ctl_error_set(err, code, "read the configuration", gs->name, NULL, "%s", message);
}

static int parse_config(const struct guest_state *gs, char *text, struct config *c, struct ctl_error *err)
{
    struct config_input in = {.file = "record", .text = text};
    struct diags d = {0};
    int rc = 0;

    config_load(&in, c, &d);
    if (d.out_of_memory)
        rc = config_fault(gs, -ENOMEM, "out of memory", err);
    else if (diags_failed(&d))
        rc = config_fault(gs, -EINVAL, d.n && d.list[0].message ? d.list[0].message : "it is damaged", err);
    diags_free(&d);
    return rc;
}

int guest_config(struct ctl *ctl, const struct guest_state *gs, struct config *c, struct ctl_error *err)
{
    char *text;
    int rc = guest_state_config(ctl, gs->uuid, &text, err);

    memset(c, 0, sizeof(*c));
    if (rc < 0)
        return rc;
    rc = text ? parse_config(gs, text, c, err) : config_fault(gs, -EINVAL, "the record has none", err);
    free(text);
    if (rc < 0)
        return rc;
    free(c->name);
    c->name = strdup(gs->name);
    memcpy(c->uuid.bytes, gs->uuid, sizeof(gs->uuid));
    c->uuid.given = true;
    return c->name ? 0 : config_fault(gs, -ENOMEM, "out of memory", err);
}

static int build_again(struct ctl *ctl, struct guest_state *gs, const struct config *c, struct ctl_error *err)
{
    const struct guest_origin kernel = {.twin = CTL_NO_TWIN};
    uint32_t domid;
    int rc = -ENOMEM;

    for (int i = 0; i < BUILD_TRIES && rc == -ENOMEM; i++) {
        if (i)
            nap(1000);
        rc = guest_build(ctl, c, &kernel, &domid, err);
    }
    if (rc == 0)
        gs->domid = domid;
    return rc;
}

static int remove_for_good(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    int rc = guest_end(ctl, gs, err);

    if (rc >= 0)
        guest_say(gs->name, "domain %lld is removed", (long long)gs->domid);
    return rc < 0 ? rc : SETTLED;
}

static int give_up(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    guest_say_error(gs->name, err);
    guest_say(gs->name, "it could not be started again, and is removed");
    return guest_end(ctl, gs, err);
}

/* While all guests are asked to stop, for the host goes down, one that would come back is where it is to be. */
static bool host_stops(const struct guest_state *gs)
{
    if (!lock_holder(LOCK_STOPPING))
        return false;
    guest_say(gs->name, "all guests are being stopped: it is not started again");
    return true;
}

/*
 * The guest's old domain goes, a new one comes. One that cannot be built is given up; not one whose builder was told to
 * end, or that meets an error when it is read or let go: the record says what is left to do.
 */
static int step_restart(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct config c;
    bool passes;
    int rc;

    if (host_stops(gs))
        return remove_for_good(ctl, gs, err);
    rc = remove_domains(ctl, gs, err);
    if (rc == -EBUSY)
        guest_say_error(gs->name, err); /* it goes when they let go; the guest need not wait for that */
    else if (rc < 0)
        return rc;
    rc = guest_config(ctl, gs, &c, err);
    passes = rc != -EINVAL;
    if (rc == 0) {
        rc = build_again(ctl, gs, &c, err);
        passes = rc == -EINTR;
    }
    config_free(&c);
    if (rc < 0)
        return passes ? rc : give_up(ctl, gs, err);
    if (host_stops(gs))
        return remove_for_good(ctl, gs, err); /* it never ran */
    rc = guest_start(ctl, gs, false, err);
    if (rc < 0)
        return rc;
    userdata_put(ctl, (uint32_t)gs->domid, gs->uuid);
    guest_say(gs->name, "started again as domain %lld", (long long)gs->domid);
    return GO_ON;
}

/* Under its own name; one that is not understood is kept as it is. */
static int keep_config(struct ctl *ctl, const struct guest_state *gs, const struct guest_state *kept,
                       struct ctl_error *err)
{
    char *config, *own;
    int rc = guest_state_config(ctl, gs->uuid, &config, err);

    if (rc < 0)
        return rc;
    own = config ? guest_config_as(config, kept->name, kept->uuid) : NULL;
    rc = guest_state_add(ctl, kept, own ? own : config ? config : "", NULL, err);
    free(own);
    free(config);
    return rc;
}

/* The guest that the stopped domain becomes. Its name says when it stopped. */
static int keep_as(struct ctl *ctl, const struct guest_state *gs, uint32_t domid, struct guest_state *kept,
                   struct ctl_error *err)
{
    char stamp[24];
    time_t now = time(NULL);
    struct tm tm;
    int rc;

    rc = guest_state_get(ctl, gs->kept, kept, err);
    if (rc != -ENOENT && (rc < 0 || kept->phase != GUEST_PARTIAL))
        return rc;
    *kept = (struct guest_state){.phase = GUEST_PRESERVED, .domid = domid, .watched = true, .started = gs->started};
    memcpy(kept->uuid, gs->kept, sizeof(kept->uuid));
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    snprintf(kept->name, sizeof(kept->name), "%.*s-%s", (int)(CTL_NAME_MAX - 2 - strlen(stamp)), gs->name, stamp);
    return keep_config(ctl, gs, kept, err);
}

/* A stopped domain changes hands: its nodes, then its handle. */
static int hand_over(struct ctl *ctl, const struct guest_state *kept, uint32_t domid, struct ctl_error *err)
{
    char dom[64], vm[64], path[96], id[CTL_UUID_TEXT];
    int rc;

    ctl_uuid_format(kept->uuid, id);
    snprintf(vm, sizeof(vm), "/vm/%s", id);
    snprintf(dom, sizeof(dom), "/local/domain/%u", domid);
    snprintf(path, sizeof(path), "%s/uuid", vm);
    rc = ctl_store_write_domain(ctl, domid, path, id, err);
    snprintf(path, sizeof(path), "%s/name", vm);
    rc = rc < 0 ? rc : ctl_store_write_domain(ctl, domid, path, kept->name, err);
    snprintf(path, sizeof(path), "%s/name", dom);
    rc = rc < 0 ? rc : ctl_store_write_domain(ctl, domid, path, kept->name, err);
    snprintf(path, sizeof(path), "%s/vm", dom);
    rc = rc < 0 ? rc : ctl_store_write_domain(ctl, domid, path, vm, err);
    return rc < 0 ? rc : ctl_domain_set_uuid(ctl, domid, kept->uuid, err);
}

/* Both are locked: a record without a domain would be taken for one that is gone. */
static int keep(struct ctl *ctl, const struct guest_state *gs, uint32_t domid, struct ctl_error *err)
{
    struct guest_state kept;
    int rc = guest_lock(gs->kept, KEEP_LOCK_MS, err);

    if (rc < 0)
        return rc;
    rc = keep_as(ctl, gs, domid, &kept, err);
    if (rc >= 0)
        rc = hand_over(ctl, &kept, domid, err);
    if (rc >= 0)
        rc = ctl_devices_end(ctl, domid, err); /* the guest's next domain is to have them */
    guest_unlock(gs->kept);
    if (rc >= 0)
        guest_say(gs->name, "domain %u is kept as %s", domid, kept.name);
    return rc;
}

static int step_rename(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = look(ctl, gs, &info, err);

    if (rc > 0)
        rc = keep(ctl, gs, info.domid, err);
    if (rc >= 0)
        rc = put_phase(ctl, gs, GUEST_REBOOTING, err);
    return rc < 0 ? rc : GO_ON;
}

/* A guest that stops again and again is not restarted for ever. */
static bool too_fast(struct guest_state *gs)
{
    gs->short_lives = now_seconds() - gs->started < FAST_SECONDS ? gs->short_lives + 1 : 0;
    if (gs->short_lives < FAST_LIMIT)
        return false;
    guest_say(gs->name, "it lived less than %d seconds %d times in a row: not restarted", FAST_SECONDS,
              (int)gs->short_lives);
    return true;
}

static int act(struct ctl *ctl, struct guest_state *gs, enum ctl_action action, struct ctl_error *err)
{
    enum guest_phase phase = GUEST_REBOOTING;
    int rc;

    if (action == CTL_ACTION_PRESERVE) {
        guest_say(gs->name, "domain %lld is preserved", (long long)gs->domid);
        rc = put_phase(ctl, gs, GUEST_PRESERVED, err);
        return rc < 0 ? rc : SETTLED;
    }
    if (action == CTL_ACTION_DESTROY || too_fast(gs))
        return remove_for_good(ctl, gs, err);
    if (action == CTL_ACTION_RENAME_RESTART) {
        phase = GUEST_RENAMING;
        if (ctl_uuid_random(gs->kept) < 0)
            return ctl_error_set(err, -EIO, "make a uuid", gs->name, NULL, "no random numbers");
    }
    rc = put_phase(ctl, gs, phase, err);
    return rc < 0 ? rc : GO_ON;
}

static int action_for(const struct config *c, unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return c->on_poweroff;
    case SHUTDOWN_reboot:
        return c->on_reboot;
    case SHUTDOWN_watchdog:
        return c->on_watchdog;
    default:
        return c->on_crash;
    }
}

static int on_stop(struct ctl *ctl, struct guest_state *gs, unsigned reason, struct ctl_error *err)
{
    static const char *const names[] = {"powered off", "rebooted", "suspended", "crashed",
                                        "was bitten by its watchdog"};
    struct config c;
    int action, rc = guest_config(ctl, gs, &c, err);

    if (rc < 0 && rc != -EINVAL) {
        config_free(&c);
        return rc;
    }
    guest_say(gs->name, "domain %lld %s", (long long)gs->domid,
              reason < 5 ? names[reason] : "stopped for an unknown reason");
    action = action_for(&c, reason);
    if (rc < 0) {
        guest_say_error(gs->name, err);
        action = CTL_ACTION_PRESERVE; /* whoever can repair it decides */
    }
    config_free(&c);
    return act(ctl, gs, (enum ctl_action)action, err);
}

static int step_running(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = look(ctl, gs, &info, err);

    if (rc < 0)
        return rc;
    if (rc == 0) {
        guest_say(gs->name, "domain %lld is gone", (long long)gs->domid);
        return guest_end(ctl, gs, err);
    }
    /* A suspended guest is the matter of whoever asked for that. */
    if (gs->phase != GUEST_RUNNING || !gs->watched || !info.shutdown || info.shutdown_reason == SHUTDOWN_suspend)
        return SETTLED;
    gs->domid = info.domid;
    return on_stop(ctl, gs, info.shutdown_reason, err);
}

/* Whoever was saving it is gone, or gave up waiting: it goes on if it has suspended, and else it still may. */
static int step_saving(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = look(ctl, gs, &info, err);

    if (rc > 0 && !info.shutdown)
        return SETTLED;
    if (rc > 0 && info.shutdown_reason == SHUTDOWN_suspend) {
        guest_say(gs->name, "domain %u suspended, and nobody saves it: it goes on", info.domid);
        rc = ctl_domain_go_on(ctl, info.domid, err);
    }
    if (rc >= 0)
        rc = put_phase(ctl, gs, GUEST_RUNNING, err);
    return rc < 0 ? rc : GO_ON;
}

/* Whoever was moving it is gone before it was handed over. It may have been asked to suspend. */
static int step_migrating(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = look(ctl, gs, &info, err);

    if (rc > 0) {
        guest_say(gs->name, "nobody moves domain %u any more: it stays", info.domid);
        rc = ctl_log_off(ctl, info.domid, err);
    }
    if (rc >= 0)
        rc = guest_state_put_move(ctl, gs->uuid, NULL, err);
    if (rc >= 0)
        rc = put_phase(ctl, gs, GUEST_SAVING, err);
    return rc < 0 ? rc : GO_ON;
}

static int give_up_half(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    guest_say(gs->name, "whoever %s it was ended before it was complete: it is removed",
              gs->phase == GUEST_INCOMING ? "received" : "built");
    return guest_give_up(ctl, gs, err);
}

static int step(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    switch (gs->phase) {
    case GUEST_UNKNOWN:
        return SETTLED;
    case GUEST_PARTIAL:
        return guest_state_remove(ctl, gs->uuid, err);
    case GUEST_BUILDING:
    case GUEST_INCOMING:
        return give_up_half(ctl, gs, err);
    case GUEST_STARTING:
        return step_start(ctl, gs, err);
    case GUEST_RENAMING:
        return step_rename(ctl, gs, err);
    case GUEST_REBOOTING:
        return step_restart(ctl, gs, err);
    case GUEST_SAVING:
        return step_saving(ctl, gs, err);
    case GUEST_MIGRATING:
        return step_migrating(ctl, gs, err);
    case GUEST_RUNNING:
    case GUEST_PRESERVED:
    case GUEST_HANDED_OVER:
        return step_running(ctl, gs, err);
    default:
        return guest_end(ctl, gs, err);
    }
}

int guest_settle(struct ctl *ctl, const uint8_t uuid[16], struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct guest_state gs;
    int rc;

    err = err ? err : &own; /* steps tell the log what is in it */
    rc = guest_state_get(ctl, uuid, &gs, err);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    for (rc = GO_ON; rc == GO_ON;)
        rc = step(ctl, &gs, err);
    return rc;
}
