// SPDX-License-Identifier: BSD-2-Clause
/*
 * How fast a guest is sent: the limit, a bucket of a tenth of a second, and the measured rate, over a second or more of
 * rounds: what is done between two of them says nothing about the connection.
 *
 * Place: called by the stream before it writes. The limit is for a guest that runs: one that sleeps is not made to wait
 * longer. What waits here, or for the other side, still calls the tick, so that it can be ended.
 */
#include <time.h>

#include "libctl/live.h"

#define TICK_MS    200
#define MEASURE_MS 1000
#define NAP_MS     50

static int tick(struct ctl_live *l, uint64_t now, struct ctl_error *err)
{
    if (now - l->pace.ticked_ms < TICK_MS) {
        return 0;
    }
    l->pace.ticked_ms = now;
    return l->how->tick ? l->how->tick(l->how->ctx, l->now, err) : 0;
}

int ctl_pace_tick(struct ctl_live *l, struct ctl_error *err)
{
    return tick(l, ctl_now_ms(), err);
}

static void measure(struct ctl_live *l, uint64_t now)
{
    struct ctl_pace *p = &l->pace;
    uint64_t took = now - p->began_ms;

    if (!p->in_round) {
        return;
    }
    if (took && (took >= MEASURE_MS || !p->measured)) {
        l->now->rate = p->bytes * 1000 / took;
    }
    if (took >= MEASURE_MS) {
        p->measured = true;
        p->began_ms = now;
        p->bytes = 0;
    }
}

static void fill(struct ctl_live *l, uint64_t now)
{
    struct ctl_pace *p = &l->pace;
    uint64_t most = l->how->bandwidth / 10;

    p->tokens += (int64_t)((now - p->filled_ms) * l->how->bandwidth / 1000);
    p->tokens = p->tokens > (int64_t)most ? (int64_t)most : p->tokens;
    p->filled_ms = now;
}

/* May more be sent? */
static bool may_send(struct ctl_live *l, uint64_t now)
{
    if (!l->how->bandwidth || l->now->stage > CTL_SEND_LIVE) {
        return true;
    }
    fill(l, now);
    return l->pace.tokens > 0;
}

static int pace(void *ctx, size_t bytes, struct ctl_error *err)
{
    struct ctl_live *l = ctx;

    for (;;) {
        uint64_t now = ctl_now_ms();
        int rc = tick(l, now, err);

        measure(l, now);
        if (rc < 0 || may_send(l, now)) {
            l->pace.tokens -= (int64_t)bytes;
            l->pace.bytes += l->pace.in_round ? bytes : 0;
            l->now->bytes += bytes;
            return rc;
        }
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
    }
}

void ctl_pace_begin(struct ctl_live *l, struct ctl_stream *s)
{
    uint64_t now = ctl_now_ms();

    l->pace = (struct ctl_pace){.began_ms = now, .paused_ms = now, .filled_ms = now, .ticked_ms = now};
    s->pace = pace;
    s->pace_ctx = l;
}

void ctl_pace_round(struct ctl_live *l, bool begins)
{
    struct ctl_pace *p = &l->pace;
    uint64_t now = ctl_now_ms();

    if (begins) {
        p->began_ms += now - p->paused_ms;
    } else {
        p->paused_ms = now;
    }
    p->in_round = begins;
}

void ctl_pace_end(struct ctl_stream *s)
{
    s->pace = NULL;
    s->pace_ctx = NULL;
}
