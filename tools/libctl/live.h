/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A domain that is sent while it runs: what the saver asks while it goes through the guest's pages. Internal to libctl.
 */
#ifndef CTL_LIVE_H
#define CTL_LIVE_H

#include "libctl/save.h"

#define CTL_NOT_SENT 0xff

struct ctl_live {
    const struct ctl_send *how;
    struct ctl_send_state *now;
    uint64_t *set;       /* pages to send in this round */
    uint64_t *empty;     /* pages that are named in the first round for their memory, and come later */
    uint64_t *put_off;   /* those that could not be read as they were, for the next */
    uint8_t *type;       /* with which each was sent last; PAGE_ALLOC: it was named; CTL_NOT_SENT */
    uint64_t *log;       /* locked: what the hypervisor answered last */
    uint64_t round_bits; /* in `set` when the round began */
    uint64_t peeked_at;  /* place in the round at which it was asked */
    bool logging;
    unsigned stalled;        /* rounds in a row that brought it no nearer */
    struct ctl_lanes *lanes; /* NULL: there is one connection */
    struct ctl_pace {
        uint64_t began_ms, bytes; /* of the measurement under way */
        bool measured;            /* it is not the first */
        bool in_round;
        uint64_t paused_ms; /* when the last round ended */
        uint64_t filled_ms;
        int64_t tokens; /* bytes that may be sent now */
        uint64_t ticked_ms;
    } pace;
};

/* Is the page to be sent in this round? From here on it is not any more. */
bool ctl_live_take(struct ctl_live *l, uint64_t pfn);
static inline bool ctl_live_wants_none(const struct ctl_live *l, uint64_t first_of_64)
{
    return !(l->set[first_of_64 / 64] | l->empty[first_of_64 / 64]);
}
/* Is it only named, so that memory for whole ranges is made in one piece? From here on it is not any more. */
bool ctl_live_take_empty(struct ctl_live *l, uint64_t pfn);
/* Its contents are in the stream, with this type; or it is named there; or it has to wait for a later round. */
void ctl_live_sent(struct ctl_live *l, uint64_t word, bool zero);
static inline void ctl_live_named(struct ctl_live *l, uint64_t pfn)
{
    l->type[pfn] = PAGE_ALLOC;
}
void ctl_live_put_off(struct ctl_live *l, uint64_t pfn);
/* Does the other side have memory there? */
static inline bool ctl_live_was_sent(const struct ctl_live *l, uint64_t pfn)
{
    return l->type[pfn] != CTL_NOT_SENT;
}
/* A page that was sent with another type is to be sent. */
void ctl_live_compare(struct ctl_live *l, uint64_t word);
/* save_pages.c: that of all pages, which a PV guest has. */
int ctl_save_types(struct ctl_save *v);
/* Between two batches. Negative: give up; 1: leave the rest of the round for later. */
int ctl_live_next(struct ctl_save *v);
/* All rounds, sleep, and the last one; in place of ctl_save_pages(). */
int ctl_live_pages(struct ctl_save *v);

/*
 * lanes.c: pages go on several connections, if the stream has others beside it. Between two calls nothing is written;
 * records of other kinds go on the stream itself, before the first round or after the end of the last one.
 */
int ctl_lanes_open(struct ctl_save *v);
/* Those that v->live->lanes is, or NULL. */
void ctl_lanes_close(struct ctl_save *v);
/* A PAGE_DATA record of n pages with their types, and the contents of nr_data; *pages becomes another buffer. */
struct ctl_pages {
    const uint64_t *words;
    unsigned n, nr_data;
    uint8_t **pages;
};
int ctl_lanes_put(struct ctl_save *v, const struct ctl_pages *p);
/* All that was put is written, with the mark of the end of round `round`; or of all. Without lanes nothing is. */
int ctl_lanes_round(struct ctl_save *v, uint64_t round);
int ctl_lanes_end(struct ctl_save *v);

/* pace.c: of the stream. ctx: the struct ctl_live. */
void ctl_pace_begin(struct ctl_live *l, struct ctl_stream *s);
void ctl_pace_end(struct ctl_stream *s);
/* A round begins, or ends: the rate is that of rounds. */
void ctl_pace_round(struct ctl_live *l, bool begins);
/* For whoever waits: calls the tick, if it is time for that. */
int ctl_pace_tick(struct ctl_live *l, struct ctl_error *err);

#endif
