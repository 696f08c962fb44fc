/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that act on a guest that exists: pause, unpause, shutdown, reboot, destroy. Domain 0 is refused by all.
 *
 * With -w, shutdown and reboot wait for the consequence as well: until the supervisor has done what the
 * configuration says (on_poweroff, on_reboot), so that memory has come back, or the guest runs again, when they return.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/spare.h"
#include "cli/supervisor.h"

#define REQUEST_TIMEOUT_MS 10000
#define POLL_MS            50
#define SETTLE_MS          120000 /* for whoever is at work on the guest */

typedef int control_fn(struct ctl *ctl, uint32_t domid, struct ctl_error *err);

static int control(struct cli *cli, const struct cli_args *args, control_fn *fn)
{
    struct ctl_error err = {0};
    uint32_t domid;

    if (cli_guest(cli, args->operand[0], &domid))
        return EXIT_FAILED;
    if (fn(cli->ctl, domid, &err) < 0)
        return cli_fail(cli, args->operand[0], &err, domid);
    return EXIT_OK;
}

int cmd_pause(struct cli *cli, const struct cli_args *args)
{
    return control(cli, args, ctl_domain_pause);
}

/*
 * A guest on its way here may still run where it comes from, and one that was handed over may run there: nobody but who
 * moves it says when it may here. Without xenstored the copy of its record has to say which it is.
 */
static int unpause(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_info info;
    struct guest_state gs;
    int rc = ctl_domain_info(ctl, domid, &info, err);
    bool known;

    if (rc < 0)
        return rc;
    rc = guest_state_get(ctl, info.uuid, &gs, err);
    known = rc == 0 || spare_get(info.uuid, &gs) == 0;
    if (!known && rc != -ENOENT)
        return rc;
    if (known && (gs.phase == GUEST_BUILDING || gs.phase == GUEST_INCOMING || gs.phase == GUEST_HANDED_OVER))
        return ctl_error_set(err, -EBUSY, "unpause", NULL, NULL, "it may not run: its record says %s",
                             guest_phase_name(gs.phase));
    return ctl_domain_unpause(ctl, domid, err);
}

int cmd_unpause(struct cli *cli, const struct cli_args *args)
{
    return control(cli, args, unpause);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

/*
 * The record of a guest, by what the caller wrote or by the handle of the domain of that name. -ENOENT: it has none, or
 * the domain is an old one that others hold, while the guest lives on in another.
 */
static int find_record(struct ctl *ctl, const char *operand, struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info info;
    uint32_t domid;
    int rc;

    if (ctl_domain_find(ctl, operand, &domid, NULL) < 0 || ctl_domain_info(ctl, domid, &info, NULL) < 0)
        return guest_state_find(ctl, operand, gs, err);
    rc = domid ? guest_state_get(ctl, info.uuid, gs, err) : -ENOENT;
    if (rc == 0 && info.dying && gs->domid != domid)
        return -ENOENT;
    return rc;
}

/* Somebody may be building, restarting or removing it: what they leave is removed. */
static int end_guest(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err)
{
    int rc = guest_lock(gs->uuid, SETTLE_MS, err);

    if (rc < 0)
        return rc;
    rc = guest_state_get(ctl, gs->uuid, gs, err);
    if (rc == 0)
        rc = guest_end(ctl, gs, err);
    guest_unlock(gs->uuid);
    return rc == -ENOENT ? 0 : rc;
}

int cmd_destroy(struct cli *cli, const struct cli_args *args)
{
    const char *operand = args->operand[0];
    struct ctl_error err = {0};
    struct guest_state gs;
    int rc;

    if (cli_open(cli))
        return EXIT_FAILED;
    rc = find_record(cli->ctl, operand, &gs, &err);
    if (rc == -ENOENT)
        return control(cli, args, ctl_domain_destroy);
    if (rc < 0)
        return cli_fail(cli, operand, &err, CLI_NO_DOMAIN);
    if (end_guest(cli->ctl, &gs, &err) < 0)
        return cli_fail(cli, operand, &err, gs.domid >= 0 ? (uint32_t)gs.domid : CLI_NO_DOMAIN);
    return EXIT_OK;
}

/* --- shutdown and reboot --------------------------------------------------------------------------------------------
 */

struct stop {
    struct cli *cli;
    const char *subject;
    enum ctl_request what;
    bool wait;
    uint32_t domid;
    uint8_t uuid[16];
};

/* Has the consequence come? Or -errno. */
static int settled(const struct stop *s, struct ctl_error *err)
{
    struct ctl_domain_info info;
    struct guest_state gs;
    int rc = guest_state_get(s->cli->ctl, s->uuid, &gs, err);

    if (rc == -ENOENT) /* nobody keeps it: what there is now is what remains */
        return ctl_domain_info(s->cli->ctl, s->domid, &info, NULL) < 0 || !info.dying;
    if (rc < 0)
        return rc;
    if (gs.phase == GUEST_RUNNING || gs.phase == GUEST_SAVING || gs.phase == GUEST_MIGRATING)
        return gs.domid != s->domid || !gs.watched;
    return gs.phase == GUEST_PRESERVED || gs.phase == GUEST_HANDED_OVER || gs.phase == GUEST_UNKNOWN;
}

static int wait_settled(const struct stop *s)
{
    struct ctl_error err = {0};

    for (int ms = 0; ms < SETTLE_MS; ms += POLL_MS) {
        int rc = settled(s, &err);

        if (rc > 0)
            return EXIT_OK;
        if (rc < 0 || supervisor_start(&err) < 0)
            return cli_fail(s->cli, s->subject, &err, s->domid);
        nap();
    }
    ctl_error_set(&err, -ETIMEDOUT, "wait for the supervisor", NULL,
                  "see /var/log/umbra/supervisor.log, and `umbra list`", "the guest has stopped but is still there");
    return cli_fail(s->cli, s->subject, &err, s->domid);
}

static int wait_end(const struct stop *s)
{
    struct ctl_domain_end end;
    struct ctl_error err = {0};

    if (ctl_domain_wait(s->cli->ctl, s->domid, CTL_WAIT_FOREVER, &end, &err) < 0 && err.code != -ESRCH)
        return cli_fail(s->cli, s->subject, &err, s->domid);
    return wait_settled(s);
}

/* A guest that stops needs the supervisor: it may have been killed. */
static int ensure_supervised(const struct stop *s, struct ctl_error *err)
{
    struct guest_state gs;
    int rc = guest_state_get(s->cli->ctl, s->uuid, &gs, err);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    rc = gs.watched ? supervisor_start(err) : 0;
    return rc < 0 ? rc : guest_hears(&gs, s->domid, s->cli->command->name, err);
}

static int request(struct stop *s)
{
    struct ctl_domain_info info;
    struct ctl_error err = {0};
    int rc = ctl_domain_info(s->cli->ctl, s->domid, &info, &err);

    if (rc >= 0) {
        memcpy(s->uuid, info.uuid, sizeof(s->uuid));
        rc = ensure_supervised(s, &err);
    }
    if (rc >= 0)
        rc = ctl_domain_request(s->cli->ctl, s->domid, s->what, REQUEST_TIMEOUT_MS, &err);
    return rc < 0 ? cli_fail(s->cli, s->subject, &err, s->domid) : EXIT_OK;
}

/* Asks all of them before it waits for any. */
static int stop_all(struct stop *stops, int n)
{
    int rc = EXIT_OK;

    for (int i = 0; i < n; i++) {
        if (request(&stops[i])) {
            rc = EXIT_FAILED;
            stops[i].wait = false;
        }
    }
    for (int i = 0; i < n; i++) {
        if (stops[i].wait && wait_end(&stops[i]))
            rc = EXIT_FAILED;
    }
    return rc;
}

static int stop_every(const struct stop *model)
{
    struct ctl_domain_info *list;
    struct ctl_error err = {0};
    struct stop *stops;
    int n, found = 0, rc;

    if (cli_open(model->cli))
        return EXIT_FAILED;
    n = ctl_domain_list(model->cli->ctl, &list, &err);
    if (n < 0)
        return cli_fail(model->cli, NULL, &err, CLI_NO_DOMAIN);
    stops = calloc((size_t)n + 1, sizeof(*stops));
    for (int i = 0; stops && i < n; i++) {
        if (list[i].domid == 0 || list[i].dying || list[i].shutdown)
            continue;
        stops[found] = *model;
        stops[found].domid = list[i].domid;
        stops[found++].subject = list[i].name;
    }
    rc = stops ? stop_all(stops, found) : EXIT_FAILED;
    free(stops);
    free(list);
    return rc;
}

static int stop_named(const struct stop *model, const struct cli_args *args)
{
    struct stop *stops = calloc((size_t)args->n, sizeof(*stops));
    int rc = stops ? EXIT_OK : EXIT_FAILED;

    for (int i = 0; i < args->n && !rc; i++) {
        stops[i] = *model;
        stops[i].subject = args->operand[i];
        rc = cli_guest(model->cli, args->operand[i], &stops[i].domid);
    }
    if (!rc)
        rc = stop_all(stops, args->n);
    free(stops);
    return rc;
}

static int stop(struct cli *cli, const struct cli_args *args, enum ctl_request what)
{
    struct stop model = {.cli = cli, .what = what, .wait = args->value['w'] != NULL};
    bool all = args->value['a'] != NULL;

    if (all && args->n)
        return cli_usage(cli, "-a takes no domain");
    if (!all && !args->n)
        return cli_usage(cli, "an operand is missing: %s", cli->command->usage);
    return all ? stop_every(&model) : stop_named(&model, args);
}

int cmd_shutdown(struct cli *cli, const struct cli_args *args)
{
    return stop(cli, args, CTL_REQUEST_POWEROFF);
}

int cmd_reboot(struct cli *cli, const struct cli_args *args)
{
    return stop(cli, args, CTL_REQUEST_REBOOT);
}
