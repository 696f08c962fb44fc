// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest is sent while it runs: rounds, when they end, and the last one.
 *
 * Flow: the log of stores is turned on -> round 0: all pages -> what was stored to meanwhile, read and cleared, is the
 * next round -> ... -> few enough are left: the guest is suspended, the log is read for the last time, the rest is
 * sent.
 *
 * Why no page is missed: the log is cleared first, and pages are read after that. A store before the clearing is in
 * what is read; one after it is in the log again. A page that is left out because the log has it already stays in the
 * log. One that cannot be read as it is, because the guest changes it under our hands, is put off.
 *
 * Deliberately not here: how pages become records (save_pages.c); what a guest is that has been sent (the caller's).
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/live.h"

#define STALLED_ROUNDS 3
#define PEEKS          32   /* at the log, in a round */
#define PEEK_PAGES     1024 /* and no more often than after so many pages */
#define PAGE_COST      (CTL_PAGE_SIZE + 8)

/* --- the log --- */

static size_t words_of(const struct ctl_save *v)
{
    return (v->nr_pfns + 63) / 64;
}

static int shadow_op(struct ctl *ctl, uint32_t domid, struct xen_domctl_shadow_op arg)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_shadow_op, .domain = (domid_t)domid, .u.shadow_op = arg};

    return ctl_call_domctl(ctl, &op);
}

int ctl_log_off(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    int rc = shadow_op(ctl, domid, (struct xen_domctl_shadow_op){.op = XEN_DOMCTL_SHADOW_OP_OFF});

    /* A domain without one says so in its own way. */
    if (rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOSYS) {
        return 0;
    }
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("end the log of stores", domid), "the hypervisor refused");
    }
    return 0;
}

static int log_on(struct ctl_save *v)
{
    const struct xen_domctl_shadow_op on = {.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY};
    uint32_t domid = v->info.domid;
    int rc = shadow_op(v->ctl, domid, on);

    if (rc == -EINVAL && ctl_log_off(v->ctl, domid, NULL) == 0) {
        rc = shadow_op(v->ctl, domid, on); /* what someone left who was killed */
    }
    if (rc >= 0) {
        v->live->logging = true;
        return 0;
    }
    if (rc == -ENOMEM) {
        return ctl_error_set(v->err, rc, "log the guest's stores", v->info.name,
                             "give it more shadow_memory, or use --non-live", "its pool has no room for the log");
    }
    return ctl_error_set(v->err, rc == -EINVAL || rc == -ENOSYS ? -EOPNOTSUPP : rc, "log the guest's stores",
                         v->info.name, "use --non-live, or save and restore it", "the hypervisor does not do it");
}

static int read_log(struct ctl_save *v, uint32_t cmd, uint32_t mode)
{
    struct xen_domctl_shadow_op arg = {.op = cmd, .mode = mode, .pages = v->nr_pfns};
    int rc;

    set_xen_guest_handle(arg.dirty_bitmap, (uint8_t *)v->live->log);
    rc = shadow_op(v->ctl, v->info.domid, arg);
    if (rc < 0) {
        return ctl_fail_domain(v->ctl, v->err, rc, CTL_AT("read the log of stores", v->info.domid),
                               "the hypervisor refused");
    }
    return 0;
}

static uint64_t count(const uint64_t *set, size_t words)
{
    uint64_t n = 0;

    for (size_t i = 0; i < words; i++) {
        n += (unsigned)__builtin_popcountll(set[i]);
    }
    return n;
}

/* --- one round --- */

static bool take(uint64_t *set, uint64_t pfn)
{
    bool is_set = set[pfn / 64] >> pfn % 64 & 1;

    set[pfn / 64] &= ~(1ull << pfn % 64);
    return is_set;
}

bool ctl_live_take(struct ctl_live *l, uint64_t pfn)
{
    return take(l->set, pfn) || l->empty[pfn / 64] >> pfn % 64 & 1;
}

bool ctl_live_take_empty(struct ctl_live *l, uint64_t pfn)
{
    return take(l->empty, pfn);
}

void ctl_live_sent(struct ctl_live *l, uint64_t word, bool zero)
{
    l->type[word & PAGE_PFN_MASK] = (uint8_t)(word >> PAGE_TYPE_SHIFT);
    l->now->pages++;
    l->now->sent[l->now->rounds - 1]++;
    l->now->zero_pages += zero;
}

void ctl_live_put_off(struct ctl_live *l, uint64_t pfn)
{
    l->put_off[pfn / 64] |= 1ull << pfn % 64;
}

static void mark(struct ctl_live *l, uint64_t pfn)
{
    l->set[pfn / 64] |= 1ull << pfn % 64;
}

void ctl_live_compare(struct ctl_live *l, uint64_t word)
{
    if (l->type[word & PAGE_PFN_MASK] != word >> PAGE_TYPE_SHIFT) {
        mark(l, word & PAGE_PFN_MASK);
    }
}

static bool out_of_time(const struct ctl_live *l)
{
    return l->how->timeout_ms && ctl_now_ms() - l->now->began_ms >= l->how->timeout_ms;
}

/* What is in the log already is left for the next round. */
static int skip_stored(struct ctl_save *v)
{
    struct ctl_live *l = v->live;
    int rc = read_log(v, XEN_DOMCTL_SHADOW_OP_PEEK, 0);

    for (size_t i = 0; i < words_of(v) && rc == 0; i++) {
        uint64_t both = l->set[i] & l->log[i];

        l->now->skipped_pages += (unsigned)__builtin_popcountll(both);
        l->set[i] &= ~both;
        l->empty[i] |= l->now->rounds == 1 ? both : 0;
    }
    return rc;
}

int ctl_live_next(struct ctl_save *v)
{
    struct ctl_live *l = v->live;
    uint64_t at = l->round_bits - count(l->set, words_of(v)), step = l->round_bits / PEEKS;

    l->now->round_at = l->now->rounds == 1 ? l->now->pages + l->now->skipped_pages : at;
    if (l->now->stage != CTL_SEND_LIVE) {
        return 0;
    }
    if (out_of_time(l)) {
        return 1;
    }
    if (at - l->peeked_at < (step > PEEK_PAGES ? step : PEEK_PAGES)) {
        return 0;
    }
    l->peeked_at = at;
    return skip_stored(v);
}

static int send_round(struct ctl_save *v)
{
    struct ctl_live *l = v->live;
    int rc;

    memset(l->empty, 0, words_of(v) * sizeof(*l->empty)); /* a round that was left early leaves some */
    l->now->rounds++;
    l->round_bits = count(l->set, words_of(v));
    l->now->round_pages = l->now->rounds == 1 ? l->now->guest_pages : l->round_bits; /* not those it has no memory at */
    l->now->round_at = l->peeked_at = 0;
    ctl_pace_round(l, true);
    rc = ctl_save_pages(v);
    if (rc >= 0) {
        rc = ctl_lanes_round(v, l->now->rounds);
    }
    ctl_pace_round(l, false);
    return rc;
}

/* --- when they end --- */

/* What was stored to since the log was cleared, which is in no round yet, and what of this round is left. */
static int look(struct ctl_save *v, uint64_t took_ms)
{
    struct ctl_live *l = v->live;
    struct ctl_send_state *now = l->now;
    uint64_t before = now->dirty_pages, stored;
    int rc = read_log(v, XEN_DOMCTL_SHADOW_OP_PEEK, 0);

    if (rc < 0) {
        return rc;
    }
    stored = count(l->log, words_of(v));
    for (size_t i = 0; i < words_of(v); i++) {
        l->log[i] |= l->put_off[i] | l->set[i];
    }
    now->dirty_pages = count(l->log, words_of(v));
    now->dirty_rate = stored * 1000 / (took_ms ? took_ms : 1);
    now->estimate_ms = !now->dirty_pages ? 0 : now->rate ? now->dirty_pages * PAGE_COST * 1000 / now->rate : UINT64_MAX;
    l->stalled = now->rounds > 1 && now->dirty_pages * 10 > before * 9 ? l->stalled + 1 : 0;
    return 0;
}

/* 1: the guest is to be suspended now; 0: another round. */
static int decide(struct ctl_save *v)
{
    const struct ctl_live *l = v->live;
    const struct ctl_send_state *now = l->now;
    bool over = now->rounds >= CTL_SEND_ROUNDS || out_of_time(l);

    if (now->estimate_ms <= l->how->max_downtime_ms || (l->how->force && (over || l->stalled >= STALLED_ROUNDS))) {
        return 1;
    }
    if (!over) {
        return 0;
    }
    return ctl_error_set(v->err, -ETIME, "copy its memory", v->info.name,
                         "let it do less, allow a longer downtime or time, or force it",
                         "after %u rounds %llu pages are left, which would take %llu ms, and %llu more come a second",
                         now->rounds, (unsigned long long)now->dirty_pages, (unsigned long long)now->estimate_ms,
                         (unsigned long long)now->dirty_rate);
}

/* The next round: what the log had, what was put off, and what is left of this round. */
static int take_log(struct ctl_save *v, uint32_t mode)
{
    struct ctl_live *l = v->live;
    int rc = read_log(v, XEN_DOMCTL_SHADOW_OP_CLEAN, mode);

    for (size_t i = 0; i < words_of(v) && rc == 0; i++) {
        l->set[i] |= l->log[i] | l->put_off[i];
        l->put_off[i] = 0;
    }
    return rc;
}

/* For whoever waits meanwhile. */
static int go_on(void *ctx, struct ctl_error *err)
{
    return ctl_pace_tick(ctx, err);
}

static int live_rounds(struct ctl_save *v)
{
    int rc = log_on(v);

    while (rc == 0) {
        uint64_t began = ctl_now_ms();

        rc = send_round(v);
        if (rc == 0) {
            rc = ctl_disks_flush_early(v->ctl, v->info.domid, go_on, v->live, v->err);
        }
        if (rc == 0) { /* what it stored to meanwhile is counted */
            rc = look(v, ctl_now_ms() - began);
        }
        if (rc == 0) {
            rc = decide(v);
        }
        if (rc == 0) {
            rc = take_log(v, 0);
        }
    }
    return rc < 0 ? rc : 0;
}

/* --- sleep --- */

static int sleep_now(struct ctl_save *v)
{
    struct ctl_live *l = v->live;
    int rc;

    l->now->stage = CTL_SEND_SUSPEND;
    l->now->asked_ms = ctl_now_ms();
    rc = l->how->tick ? l->how->tick(l->how->ctx, l->now, v->err) : 0;
    if (rc == 0) {
        rc = ctl_domain_suspend(v->ctl, v->info.domid,
                                &(struct ctl_wait){.timeout_ms = l->how->suspend_ms, .go_on = go_on, .ctx = l},
                                &l->now->asked, v->err);
    }
    if (rc < 0) {
        return rc;
    }
    l->now->asleep_ms = ctl_now_ms();
    l->now->stage = CTL_SEND_REST;
    return ctl_domain_info(v->ctl, v->info.domid, &v->info, v->err);
}

static int map_changed(struct ctl_save *v)
{
    return ctl_error_set(v->err, -EAGAIN, "read the guest's memory map", v->info.name, "try again",
                         "it changed while it was sent: memory was given back or added");
}

/* A PV guest's list of its frames may have changed while it ran; but not where it lies, which is in the stream. */
static int compare_lists(struct ctl_save *v, const struct ctl_save *before)
{
    bool same = v->nr_pfns == before->nr_pfns;

    for (uint64_t i = 0; i < v->nr_p2m && same; i++) {
        same = ctl_save_pfn(v, v->p2m_frames[i]) == ctl_save_pfn(before, before->p2m_frames[i]);
    }
    for (uint64_t pfn = 0; pfn < v->nr_pfns && same; pfn++) {
        same = v->p2m[pfn] != NO_FRAME || !ctl_live_was_sent(v->live, pfn);
        if (v->p2m[pfn] != before->p2m[pfn]) {
            mark(v->live, pfn);
        }
    }
    return same ? 0 : map_changed(v);
}

/* What is not in the log: how far its memory goes; of a PV guest the list of frames, and what is a page table. */
static int look_again(struct ctl_save *v)
{
    struct ctl_save before = *v;
    int rc;

    if (v->info.hvm) {
        rc = ctl_save_hvm_open(v);
        return rc == 0 && v->nr_pfns != before.nr_pfns ? map_changed(v) : rc;
    }
    v->shared = NULL;
    v->p2m = v->p2m_frames = NULL;
    v->back = (struct ctl_back){0};
    rc = ctl_save_open(v);
    if (rc == 0) {
        rc = compare_lists(v, &before);
    }
    ctl_save_close(&before);
    return rc == 0 ? ctl_save_types(v) : rc;
}

static int last_log(struct ctl_save *v)
{
    int rc = sleep_now(v);

    if (rc == 0) {
        rc = take_log(v, XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL);
    }
    return rc == 0 ? look_again(v) : rc;
}

int ctl_live_pages(struct ctl_save *v)
{
    struct ctl_live *l = v->live;
    size_t words = words_of(v);
    int rc;

    l->type = malloc(v->nr_pfns);
    l->set = calloc(words, sizeof(*l->set));
    l->empty = calloc(words, sizeof(*l->empty));
    l->put_off = calloc(words, sizeof(*l->put_off));
    l->log = ctl_buffer_get(v->ctl, words * sizeof(*l->log));
    if (!l->set || !l->empty || !l->put_off || !l->log || !l->type) {
        return ctl_error_set(v->err, -ENOMEM, "copy its memory", v->info.name, NULL, "no memory for lists of pages");
    }
    memset(l->type, CTL_NOT_SENT, v->nr_pfns);
    for (uint64_t pfn = 0; pfn < v->nr_pfns; pfn++) {
        mark(l, pfn);
    }
    l->now->guest_pages = v->info.memory_kib * 1024 / CTL_PAGE_SIZE;
    l->now->stage = l->how->live ? CTL_SEND_LIVE : CTL_SEND_REST;
    rc = ctl_lanes_open(v);
    if (rc == 0 && l->how->live) {
        rc = live_rounds(v);
    }
    if (rc == 0 && l->logging) {
        rc = last_log(v);
    }
    if (rc == 0) {
        rc = send_round(v);
    }
    return rc == 0 ? ctl_lanes_end(v) : rc;
}

static void release(struct ctl_save *v)
{
    free(v->live->set);
    free(v->live->empty);
    free(v->live->put_off);
    free(v->live->type);
    ctl_lanes_close(v);
    ctl_buffer_put(v->ctl, v->live->log);
}

int ctl_domain_send(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, const struct ctl_send *how,
                    struct ctl_send_state *state, struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct ctl_live live = {.how = how, .now = state};
    struct ctl_save v = {.ctl = ctl, .s = s, .err = err ? err : &own, .live = &live};
    int rc;

    *state = (struct ctl_send_state){.began_ms = ctl_now_ms()};
    s->err = v.err;
    s->names = NULL;
    ctl_pace_begin(&live, s);
    rc = ctl_domain_info(ctl, domid, &v.info, v.err);
    if (rc == 0 && !how->live) {
        rc = sleep_now(&v);
    }
    if (rc == 0) {
        rc = ctl_save_guest(&v);
    }
    release(&v);
    ctl_pace_end(s);
    if (rc < 0) {
        ctl_log_off(ctl, domid, NULL);
        ctl_domain_go_on(ctl, domid, NULL);
        return rc;
    }
    state->stage = CTL_SEND_DONE;
    state->done_ms = ctl_now_ms();
    return 0;
}
