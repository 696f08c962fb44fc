/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's way to another host: banner -> other connections, if it wants some -> configuration -> its pages and state
 * (libctl) -> "ready" -> the record says handed-over -> "go" -> report -> it is removed here, with its devices.
 *
 * Before the other host was told to go, whatever fails or is interrupted, the guest goes on here: the other host has
 * not heard the word, whole, and starts nothing without it. After that only its report says where the guest is; if none
 * comes, the guest sleeps on, and `migrate-resolve` is for the operator.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/handover.h"
#include "cli/migrate.h"
#include "cli/saved_config.h"

#define BANNER_MS 60000 /* a login may take a while */
#define READY_MS  60000
#define DEVICE_MS 60000 /* more for each device: its driver and its script there have their own time */
#define REPORT_MS 60000

uint64_t migrate_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int tick(void *ctx, const struct ctl_send_state *now, struct ctl_error *err)
{
    struct migration *m = ctx;

    migrate_show(m, now);
    return handover_cancelled ? ctl_error_set(err, -EINTR, "copy its memory", m->name, NULL, "interrupted") : 0;
}

/* Freed by the caller. NULL: the record has none. */
static int own_config(struct migration *m, char **config, struct ctl_error *err)
{
    if (!m->config)
        return guest_state_config(m->cli->ctl, m->info.uuid, config, err);
    *config = guest_config_as(m->config, m->info.name, m->info.uuid);
    return *config ? 0 : ctl_error_set(err, -ENOMEM, "migrate", m->name, NULL, "out of memory");
}

int migrate_config(struct migration *m, char **config, struct ctl_error *err)
{
    struct saved_more more;
    char *ours;
    int rc = saved_more_get(m->cli->ctl, &m->info, &more, err);

    if (rc >= 0)
        rc = own_config(m, &ours, err);
    if (rc < 0)
        return rc;
    if (m->config) /* which says those itself */
        more.asked = (struct guest_asked){.target_kib = more.asked.target_kib};
    snprintf(more.move, sizeof(more.move), "%s", m->gs.move);
    more.keep_domid = m->keep_domid;
    *config = ours ? saved_config_write(m->cli->ctl, &m->info, ours, &more) : NULL;
    free(ours);
    return *config ? 0
                   : ctl_error_set(err, -EINVAL, "migrate", m->name, NULL, "its record has no readable configuration");
}

static int write_config(struct migration *m, struct ctl_stream *stream, struct ctl_error *err)
{
    char *config;
    int rc = migrate_config(m, &config, err);

    if (rc < 0)
        return rc;
    rc = ctl_stream_write_config(stream, config, err);
    free(config);
    return rc;
}

static int send_guest(struct migration *m, struct ctl_error *err)
{
    struct ctl_stream *stream = ctl_stream_open(m->transport[0].to, m->way.host, err);
    int rc = -ENOMEM;

    if (stream) {
        ctl_stream_patience(stream, handover_stuck_ms);
        rc = write_config(m, stream, err);
    }
    if (rc >= 0)
        rc = migrate_streams_use(m, stream, err);
    m->send.tick = tick;
    m->send.ctx = m;
    if (rc >= 0)
        rc = ctl_domain_send(m->cli->ctl, m->domid, stream, &m->send, &m->state, err);
    ctl_stream_close(stream);
    return rc;
}

static unsigned ready_ms(const struct migration *m)
{
    static const enum ctl_device_kind kinds[] = {CTL_DISK, CTL_VIF};
    unsigned ms = READY_MS;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct ctl_device *list;
        int n = ctl_device_list(m->cli->ctl, m->domid, kinds[i], &list, NULL);

        ms += n > 0 ? (unsigned)n * DEVICE_MS : 0;
        free(list);
    }
    return ms;
}

static void tell(void *ctx)
{
    struct migration *m = ctx;

    migrate_show(m, &m->state);
}

/* All up to where the other host could start it. */
static int up_to_ready(struct migration *m, struct ctl_error *err)
{
    int rc = handover_expect(m->transport[0].from, HANDOVER_BANNER, BANNER_MS, err);

    if (rc >= 0)
        rc = migrate_streams_open(m, err);
    if (rc >= 0)
        rc = send_guest(m, err);
    handover_meanwhile(tell, m); /* not while somebody may be asked for a password */
    if (rc >= 0)
        rc = handover_expect(m->transport[0].from, HANDOVER_READY, ready_ms(m), err);
    if (rc >= 0)
        rc = guest_hand_over(m->cli->ctl, &m->gs, m->domid, err);
    return rc;
}

static int unresolved_error(const struct migration *m, struct ctl_error *err)
{
    return ctl_error_set(err, -EINPROGRESS, "hand over", m->way.host,
                         "ask with `umbra migrate-resolve`, then say --here or --there",
                         "the other host was told to go, and did not say whether %s runs; here it sleeps as %s",
                         m->gs.real, m->gs.name);
}

/* It was told to go. Returns 0: it runs there; -ECANCELED: it does not, and is ours again; else nothing is known. */
static int hear_report(struct migration *m, struct ctl_error *err)
{
    int from = m->transport[0].from;
    uint8_t status;
    int rc;

    handover_done = 1; /* it is too late for signals */
    rc = handover_expect(from, HANDOVER_REPORT, REPORT_MS, err);
    if (rc >= 0)
        rc = handover_status(from, &status, REPORT_MS, err);
    if (rc < 0)
        return rc;
    m->up_ms = migrate_now_ms();
    if (status == 0)
        return 0;
    rc = handover_expect(from, HANDOVER_GO, REPORT_MS, err);
    if (rc < 0)
        return rc;
    return ctl_error_set(err, -ECANCELED, "hand over", m->way.host, "see what it said, above or in its log",
                         "the other host could not start it (status %u) and gave it back", status);
}

static int hand_over(struct migration *m, bool *unresolved, struct ctl_error *err)
{
    int rc;

    if (handover_cancelled) /* the answer that it waited for may have come with the signal */
        return ctl_error_set(err, -EINTR, "hand over", m->way.host, NULL, "interrupted");
    rc = handover_say(m->transport[0].to, HANDOVER_GO, err);
    if (rc < 0)
        return rc;
    rc = hear_report(m, err);
    if (rc == 0 || rc == -ECANCELED)
        return rc;
    *unresolved = true;
    return unresolved_error(m, err);
}

static void take_back(struct migration *m, bool may_suspend)
{
    struct ctl_error err = {0};

    if (guest_take_back(m->cli->ctl, &m->gs, m->domid, may_suspend, &err) < 0)
        cli_fail(m->cli, m->name, &err, m->domid);
}

int migrate_send(struct migration *m, bool *unresolved, struct ctl_error *err)
{
    int rc = transport_open(m->transport, &m->way, err);

    *unresolved = false;
    m->opened = 1;
    if (rc >= 0)
        rc = up_to_ready(m, err);
    if (rc >= 0)
        rc = hand_over(m, unresolved, err);
    handover_meanwhile(NULL, NULL);
    m->ended_ms = migrate_now_ms();
    migrate_line_end(m);
    m->moved = rc >= 0;
    if (!m->moved && !*unresolved) /* before the transport, which may take its time to leave */
        take_back(m, m->state.stage == CTL_SEND_SUSPEND && m->state.asked);
    transport_close(m->transport, m->opened);
    if (m->moved)
        return guest_end(m->cli->ctl, &m->gs, err);
    if (m->state.stage == CTL_SEND_SUSPEND)
        guest_show_console(m->cli->ctl, m->domid);
    return rc;
}
