/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is seen of a migration: one line on a terminal, an object a second with --json, the record's line that
 * `migrate-status` reads, and the sums at the end.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/migrate.h"

#define LINE_MS 200
#define NOTE_MS 1000
#define MIB     (1024.0 * 1024)

static const char *const stages[] = {"begin", "live", "suspend", "rest", "done"};

static unsigned percent_of(const struct ctl_send_state *now)
{
    uint64_t percent = now->round_pages ? now->round_at * 100 / now->round_pages : 100;

    if (now->stage == CTL_SEND_DONE) /* what was left out was not counted */
        percent = 100;
    return percent < 100 ? (unsigned)percent : 100; /* a guest may have got memory since it was counted */
}

static char *object(const struct migration *m, const struct ctl_send_state *now)
{
    struct json_out *o = json_out_new(false);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.migrate-progress/1");
    json_out_str(o, "name", m->name);
    json_out_str(o, "host", m->way.host);
    json_out_str(o, "transport", m->way.how);
    if (m->way.key)
        json_out_str(o, "key", m->way.key);
    json_out_uint(o, "streams", m->streams);
    json_out_str(o, "stage", stages[now->stage]);
    json_out_uint(o, "guest_pages", now->guest_pages);
    json_out_uint(o, "round", now->rounds ? now->rounds - 1 : 0);
    json_out_uint(o, "round_pages", now->round_pages);
    json_out_uint(o, "percent", percent_of(now));
    json_out_uint(o, "pages", now->pages);
    json_out_uint(o, "bytes", now->bytes);
    json_out_uint(o, "bytes_per_second", now->rate);
    json_out_uint(o, "dirty_pages", now->dirty_pages);
    json_out_uint(o, "dirty_pages_per_second", now->dirty_rate);
    if (now->estimate_ms == UINT64_MAX)
        json_out_null(o, "estimated_downtime_ms");
    else
        json_out_uint(o, "estimated_downtime_ms", now->estimate_ms);
    json_out_uint(o, "elapsed_ms", migrate_now_ms() - m->began_ms);
    json_out_close(o);
    return json_out_end(o);
}

/* Would it be written at once? A reader that is slow, or a terminal that is stopped, must not hold the guest up. */
static bool takes(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLOUT);
}

/* What does not fit is left out: a line that goes on in the next one cannot be written over. */
static void show_line(struct migration *m, const struct ctl_send_state *now)
{
    struct winsize size;
    char line[512];
    int n = snprintf(line, sizeof(line), "%s: %s %u: %3u %%, %.1f MiB/s, %llu pages/s dirtied", m->name,
                     now->stage == CTL_SEND_LIVE ? "round" : stages[now->stage], now->rounds ? now->rounds - 1 : 0,
                     percent_of(now), (double)now->rate / MIB, (unsigned long long)now->dirty_rate);

    if (now->rounds > 1 && now->stage < CTL_SEND_DONE && now->estimate_ms != UINT64_MAX && n > 0 &&
        (size_t)n < sizeof(line))
        snprintf(line + n, sizeof(line) - (size_t)n, ", %llu ms of downtime left",
                 (unsigned long long)now->estimate_ms);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && size.ws_col <= sizeof(line))
        line[size.ws_col - 1] = '\0';
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    m->line_open = true;
}

void migrate_line_end(struct migration *m)
{
    if (m->line_open)
        fputc('\n', stderr);
    m->line_open = false;
}

/* A guest that runs again soon is not made to wait for a note of how far it is. */
static bool just_asleep(const struct migration *m, const struct ctl_send_state *now, uint64_t ms)
{
    return m->send.live && now->stage >= CTL_SEND_REST && ms - now->asleep_ms < NOTE_MS;
}

void migrate_show(struct migration *m, const struct ctl_send_state *now)
{
    uint64_t ms = migrate_now_ms();
    char *text;

    if (!m->cli->json && ms - m->shown_ms >= LINE_MS && isatty(STDERR_FILENO) && takes(STDERR_FILENO)) {
        m->shown_ms = ms;
        show_line(m, now);
    }
    if (ms - m->noted_ms < NOTE_MS || just_asleep(m, now, ms))
        return;
    m->noted_ms = ms;
    text = object(m, now);
    if (text && m->cli->json && takes(STDOUT_FILENO)) {
        fputs(text, stdout);
        fflush(stdout);
    }
    if (text)
        guest_state_put_move(m->cli->ctl, m->gs.uuid, text, NULL); /* for others to look at; nothing hangs on it */
    free(text);
}

/* --- the end --- */

static uint64_t between(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0;
}

static int report_json(const struct migration *m)
{
    const struct ctl_send_state *s = &m->state;
    struct json_out *o = json_out_new(false);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.migrate/1");
    json_out_str(o, "name", m->name);
    json_out_str(o, "host", m->way.host);
    json_out_bool(o, "live", m->send.live);
    json_out_uint(o, "streams", m->streams);
    json_out_uint(o, "total_ms", between(m->began_ms, m->ended_ms));
    json_out_uint(o, "downtime_ms", between(s->asleep_ms, m->up_ms));
    json_out_uint(o, "suspend_ms", between(s->asked_ms, s->asleep_ms));
    json_out_uint(o, "guest_pages", s->guest_pages);
    json_out_uint(o, "pages", s->pages);
    json_out_uint(o, "zero_pages", s->zero_pages);
    json_out_uint(o, "skipped_pages", s->skipped_pages);
    json_out_uint(o, "bytes", s->bytes);
    json_out_array(o, "rounds");
    for (unsigned i = 0; i < s->rounds; i++)
        json_out_uint(o, NULL, s->sent[i]);
    json_out_close(o);
    json_out_close(o);
    return cli_json(m->cli, o);
}

int migrate_report(const struct migration *m)
{
    const struct ctl_send_state *s = &m->state;
    char streams[32];

    if (m->cli->json)
        return report_json(m);
    migrate_streams_text(m->streams, streams);
    printf("%s: moved to %s in %.1f s%s%s: %u rounds, %llu pages, %llu of them zero, %.1f MiB; down for %llu ms, after "
           "%llu ms to fall asleep\n",
           m->name, m->way.host, (double)between(m->began_ms, m->ended_ms) / 1000, m->streams > 1 ? ", on " : "",
           m->streams > 1 ? streams : "", s->rounds, (unsigned long long)s->pages, (unsigned long long)s->zero_pages,
           (double)s->bytes / MIB, (unsigned long long)between(s->asleep_ms, m->up_ms),
           (unsigned long long)between(s->asked_ms, s->asleep_ms));
    return EXIT_OK;
}

/* --- of another process --- */

static unsigned long long number(const struct json_value *move, const char *key)
{
    const struct json_value *v = json_member(move, key);
    int64_t n;

    return v && json_int(v, &n) == 0 && n >= 0 ? (unsigned long long)n : 0;
}

void migrate_print_move(const char *name, const struct json_value *move, FILE *f)
{
    const char *host = json_text(move, "host"), *stage = json_text(move, "stage");

    fprintf(f, "%s: to %s, %s, round %llu: %llu %%, %.1f MiB/s, %llu pages/s dirtied, %llu pages sent\n", name,
            host ? host : "?", stage ? stage : "?", number(move, "round"), number(move, "percent"),
            (double)number(move, "bytes_per_second") / MIB, number(move, "dirty_pages_per_second"),
            number(move, "pages"));
}
