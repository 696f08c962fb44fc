// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log of stores is turned on, read, cleared, turned off: in slices, while the domain runs.
 *
 * Turned on: first nodes for the bits of all memory there is, then the log itself, and then, frame after frame,
 * hardware's right to store to it goes. What was stored before that is over is in the copy, which the tool begins
 * later.
 *
 * Cleared: hardware's right to store to the frame goes first, then the bit. A store by a TLB that does not know yet
 * comes before the call is over, because a flush ends it, and so before the frame is copied. A frame that somebody else
 * may store to keeps its bit, and so does one with more writable mappings than a slice has room for. Whoever has
 * dropped his right since the last time may still have it in a TLB: then that flush is of all TLBs.
 *
 * Progress stands in the domain. A reading belongs to who began it: the call carries its token while it is restarted,
 * and whoever comes without it is told that there is one under way.
 */
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/guest_copy.h>
#include <hv/logdirty.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>
#include <hv/shadow.h>
#include <hv/x86.h>

#define WORD_BITS  64u
#define WORDS      32u  /* read in one slice */
#define WORD_WORK  256u /* room that a word is begun with: its frames, and three writable mappings each */
#define COVER_WORK (3 * STRETCH_FRAME)

bool logdirty_harvest;

static int parse_logdirty(const char *value)
{
    logdirty_harvest = !strcmp(value, "harvest");
    return logdirty_harvest || !strcmp(value, "protect") ? 0 : -EINVAL;
}
CMDLINE_CUSTOM("logdirty", parse_logdirty);

/* Paging lock held. */
static void set_state(struct domain *d, enum logdirty_state state)
{
    spin_lock(&d->logdirty.lock);
    WRITE_ONCE(d->logdirty.state, state);
    spin_unlock(&d->logdirty.lock);
    smp_mb(); /* who has not seen it has taken its reference already: is_held */
}

/* ---- who may store to a frame ---- */

/* By a right that is not an entry of the domain's own. The hypervisor's pages have such a reference for ever. */
static bool is_held(mfn_t m)
{
    uint64_t x = READ_ONCE(mfn_to_page(m)->type_info);

    return (x & PGT_count_mask) && x >> PGT_type_shift == PT_WRITABLE;
}

/* Hardware's right goes. False: not all of it. */
static bool stop_stores(struct domain *d, gfn_t gfn, mfn_t m)
{
    if (!d->hap)
        return shadow_stop_stores(d, m);
    p2m_stop_stores(d, gfn);
    return true;
}

/* Nobody can store by a right that he has dropped, but for those who drop theirs after this. */
static void flush_left_behind(struct domain *d)
{
    if (__atomic_exchange_n(&d->logdirty.left_behind, false, __ATOMIC_SEQ_CST))
        tlb_flush_mask(cpu_online_map);
}

/* Paging lock held. From here on everything is noticed. */
static void set_on(struct domain *d)
{
    d->logdirty.left_behind = true; /* for all that we know */
    flush_left_behind(d);
    set_state(d, LOGDIRTY_ON);
}

/* A frame's stores are noticed from now on, or its bit is set. */
static void watch_frame(struct domain *d, gfn_t gfn, mfn_t m)
{
    if (!stop_stores(d, gfn, m) || is_held(m))
        logdirty_mark(d, gfn, 0);
}

/* ---- on ---- */

/* From l->next on, while there is room in this stretch. */
static int cover_p2m(struct domain *d)
{
    struct logdirty *l = &d->logdirty;
    int rc = 0;

    while (!rc && l->next <= p2m_max_gfn(d)) {
        struct p2m_entry e = p2m_lookup_locked(d, _gfn(l->next));
        uint64_t span = 1ull << e.order;

        if (stretch_room() <= COVER_WORK)
            return -ERESTART;
        if (e.type != P2M_MMIO_DM) {
            rc = logdirty_cover(d, _gfn(l->next));
            span = LOGDIRTY_PER_NODE;
            stretch_work(COVER_WORK);
        }
        l->next = (l->next | (span - 1)) + 1;
        stretch_work(1);
    }
    return rc;
}

static int cover_slice(struct domain *d)
{
    struct logdirty *l = &d->logdirty;
    int rc = d->identity ? logdirty_pv_cover(d, &l->next) : cover_p2m(d);

    if (rc)
        return rc;
    l->next = 0;
    l->all = false;
    l->harvest = d->identity || logdirty_harvest;
    l->fault_count = l->dirty_count = 0;
    set_state(d, LOGDIRTY_STARTING);
    return -ERESTART;
}

static int watch_slice(struct domain *d)
{
    struct logdirty *l = &d->logdirty;

    while (l->next <= p2m_max_gfn(d)) {
        struct p2m_entry e = p2m_lookup_locked(d, _gfn(l->next));

        if (!stretch_room())
            return -ERESTART;
        stretch_work(1);
        if (p2m_is_ram(e.type)) {
            watch_frame(d, _gfn(l->next), e.mfn);
            l->next++;
        } else
            l->next = (l->next | ((1ull << e.order) - 1)) + 1;
    }
    if (!d->hap)
        shadow_flush(d->shadow);
    set_on(d);
    return 0;
}

/* Nodes go back to the pool, as many as there is room for. True: all are there. */
static bool release(struct domain *d)
{
    struct logdirty *l = &d->logdirty;

    memset(l->top, 0, sizeof(l->top)); /* nobody looks while the state is what it is */
    while (!list_empty(&l->frames)) {
        struct page_info *pg = list_first(&l->frames, struct page_info, list);

        if (!stretch_room())
            return false;
        list_del(&pg->list);
        paging_pool_free(d, PAGING_LOGDIRTY, pg);
        stretch_work(1);
    }
    l->round = (struct logdirty_round){0};
    l->next = l->limit = 0;
    l->harvest = false;
    set_state(d, LOGDIRTY_OFF);
    return true;
}

/* ---- off ---- */

/* Entries of nested paging are writable again, and large where they can be. */
static int restore_types(struct domain *d)
{
    struct p2m_retype r = {.n = p2m_max_gfn(d) + 1, .from = P2M_LOGDIRTY, .to = P2M_RAM_RW, .done = d->logdirty.next};
    int rc = r.done < r.n ? p2m_change_type(d, &r) : 0;

    d->logdirty.next = r.done;
    return rc;
}

/* The state, and whether there is anything to do. */
static bool begin_end(struct domain *d)
{
    bool any;

    paging_lock(d);
    any = d->logdirty.state != LOGDIRTY_OFF;
    if (any && d->logdirty.state != LOGDIRTY_ENDING) {
        set_state(d, LOGDIRTY_ENDING);
        d->logdirty.next = 0;
    }
    paging_unlock(d);
    return any;
}

static int release_all(struct domain *d)
{
    bool done;

    do {
        paging_lock(d);
        done = release(d);
        paging_unlock(d);
    } while (!done && !preempt_needed());
    return done ? 0 : -ERESTART;
}

/* A PV domain has no pool before its stores are logged, nor after that, unless somebody chose its size. */
static int give_back_pool(struct domain *d)
{
    bool stays = !d->identity || !d->paging_pool || d->pv.pool_chosen;

    return !stays && paging_pool_resize(d, 0) == -ERESTART ? -ERESTART : 0;
}

int logdirty_disable(struct domain *d)
{
    int rc = 0;

    if (d->dying)
        return -EINVAL;
    if (!d->p2m)
        return 0;
    if (begin_end(d)) {
        rc = d->identity ? shadow_pv_stop(d) : d->hap ? restore_types(d) : 0;
        rc = rc ? rc : release_all(d);
    }
    return rc ? rc : give_back_pool(d);
}

int logdirty_relinquish(struct domain *d)
{
    return d->p2m && begin_end(d) ? release_all(d) : 0;
}

/* ---- on, from the outside ---- */

/* What is left of the last time goes first; then the pool. */
static int prepare_pv(struct domain *d)
{
    int rc = d->logdirty.state == LOGDIRTY_ENDING ? logdirty_disable(d) : 0;

    return rc ? rc : logdirty_pv_pool(d);
}

/* The log is on: shadows for the guest to run on. */
static int start_pv(struct domain *d)
{
    int rc = shadow_pv_start(d);

    if (rc)
        return rc;
    paging_lock(d);
    set_on(d);
    paging_unlock(d);
    return 0;
}

static int enable_slice(struct domain *d)
{
    switch (d->logdirty.state) {
    case LOGDIRTY_OFF:
        set_state(d, LOGDIRTY_COVERING);
        return cover_slice(d);
    case LOGDIRTY_COVERING:
        return cover_slice(d);
    case LOGDIRTY_STARTING:
        return d->identity ? 0 : watch_slice(d);
    case LOGDIRTY_ENDING: /* what is left of the last time goes first */
        (void)release(d);
        return -ERESTART;
    default:
        return -EINVAL;
    }
}

int logdirty_enable(struct domain *d)
{
    bool pv = !paging_mode_translate(d);
    int rc = d->dying ? -EINVAL : pv ? prepare_pv(d) : 0;

    if (rc)
        return rc;
    do {
        paging_lock(d);
        rc = enable_slice(d);
        paging_unlock(d);
    } while (rc == -ERESTART && !preempt_needed());
    if (!rc && pv)
        rc = start_pv(d);
    if (rc == -ENOMEM)
        (void)logdirty_disable(d); /* what is not released in this slice goes with the next call */
    return rc;
}

/* ---- reading ---- */

/* Will the next store be noticed? */
static bool may_clear(struct domain *d, gfn_t gfn, mfn_t m)
{
    return (d->logdirty.harvest && !d->hap) || stop_stores(d, gfn, m);
}

/* Paging lock held. */
static void clean_frame(struct domain *d, gfn_t gfn)
{
    struct p2m_entry e = {.type = P2M_MMIO_DM};
    bool ram, keep;

    if (!d->identity) /* else those that others may store to are found when the bits are read again */
        e = p2m_lookup_locked(d, gfn);
    ram = p2m_is_ram(e.type);
    keep = ram && (is_held(e.mfn) || !may_clear(d, gfn, e.mfn));
    if (!keep) {
        logdirty_clear(d, gfn);
        smp_mb(); /* who takes a reference now sets the bit after this; who had it before is seen */
        keep = ram && is_held(e.mfn);
    }
    if (keep)
        logdirty_mark(d, gfn, 0);
}

/* Paging lock held. The bits of a word; they are cleared, but for those beyond mask. */
static uint64_t read_word(struct domain *d, gfn_t gfn, uint64_t mask)
{
    const struct logdirty_round *round = &d->logdirty.round;
    uint64_t bits = (logdirty_word(d, gfn) | (round->all ? ~0ull : 0)) & mask, dirty = round->clean ? bits : 0;

    stretch_work(1);
    for (uint64_t left = dirty; left; left &= left - 1) /* before mappings take all the room that there is */
        stretch_work(1);
    for (uint64_t left = dirty; left; left &= left - 1)
        clean_frame(d, _gfn(gfn.n + (unsigned int)__builtin_ctzll(left)));
    return bits;
}

/* Paging lock held. How many words. */
static unsigned int read_words(struct domain *d, uint64_t pages, uint64_t *words)
{
    struct logdirty_round *round = &d->logdirty.round;
    unsigned int n = 0;

    for (; n < WORDS && round->next < pages && stretch_room() >= WORD_WORK; n++) {
        uint64_t left = pages - round->next, mask = left < WORD_BITS ? (1ull << left) - 1 : ~0ull;

        words[n] = read_word(d, _gfn(round->next), mask);
        round->next += WORD_BITS;
    }
    return n;
}

static uint32_t tokens = 1; /* of the last round of any domain (RANK_DOMCTL) */

/* Paging lock held. A first call begins a round, others go on with theirs. */
static int take_round(struct domain *d, struct logdirty_read *r)
{
    struct logdirty *l = &d->logdirty;
    struct logdirty_round *round = &l->round;

    if (d->dying || l->state == LOGDIRTY_OFF)
        return -EINVAL;
    if (l->state != LOGDIRTY_ON)
        return -EBUSY;
    if (round->token)
        return round->token == r->token && round->clean == r->clean ? 0 : -EBUSY;
    tokens += 0x61c88646; /* even: never 0 */
    *round = (struct logdirty_round){.token = tokens, .clean = r->clean};
    r->token = round->token;
    return 0;
}

static bool harvest(struct domain *d, uint64_t *next)
{
    return d->hap ? p2m_harvest(d, next) : shadow_harvest(d, next);
}

/* Paging lock held. What is known elsewhere goes into the bits; false: not all of it yet. */
static bool gather(struct domain *d)
{
    struct logdirty_round *round = &d->logdirty.round;

    if (!round->harvested && d->logdirty.harvest && !harvest(d, &round->next))
        return false;
    round->harvested = true;
    return !d->identity || !logdirty_pv_held(d, &round->left);
}

static uint64_t max_gfn(const struct domain *d)
{
    return !d->identity ? p2m_max_gfn(d) : d->logdirty.limit ? d->logdirty.limit - 1 : 0;
}

/* Paging lock held. These are to be read from the first one on; false: not yet. */
static bool begin_reading(struct domain *d, const struct logdirty_read *r)
{
    struct logdirty *l = &d->logdirty;
    struct logdirty_round *round = &l->round;

    if (round->reading)
        return true;
    if (!gather(d))
        return false;
    round->reading = true;
    round->next = 0;
    spin_lock(&l->lock);
    round->all = l->all;
    round->fault_count = l->fault_count;
    round->dirty_count = l->dirty_count;
    if (r->clean) {
        l->fault_count = l->dirty_count = 0;
        l->all = l->all && r->pages <= max_gfn(d);
    }
    spin_unlock(&l->lock);
    return true;
}

static int copy_words(const struct logdirty_read *r, uint64_t first, const uint64_t *words, unsigned int n)
{
    uint64_t bytes = MIN((uint64_t)n * sizeof(*words), (r->pages - first + 7) / 8);

    return r->bitmap && n ? copy_to_guest(r->bitmap + first / 8, (const uint8_t *)words, bytes) : 0;
}

/* What was cleared may not be known to anybody. */
static void end_round(struct domain *d, bool lost)
{
    struct logdirty *l = &d->logdirty;

    paging_lock(d);
    spin_lock(&l->lock);
    l->round = (struct logdirty_round){0};
    l->all |= lost;
    spin_unlock(&l->lock);
    paging_unlock(d);
}

/* -ERESTART: there is more to do. */
static int read_slice(struct domain *d, struct logdirty_read *r)
{
    struct logdirty_round *round = &d->logdirty.round;
    uint64_t words[WORDS], first = 0;
    unsigned int n = 0;
    int rc;

    paging_lock(d);
    rc = take_round(d, r);
    if (!rc && !begin_reading(d, r))
        rc = -ERESTART;
    if (!rc) {
        first = round->next;
        n = read_words(d, r->pages, words);
        if (round->next >= r->pages && !d->hap)
            shadow_flush(d->shadow);
        if (round->next >= r->pages)
            flush_left_behind(d);
    }
    paging_unlock(d);
    if (rc)
        return rc;
    rc = copy_words(r, first, words, n);
    if (!rc && first + (uint64_t)n * WORD_BITS < r->pages)
        return -ERESTART;
    r->fault_count = round->fault_count;
    r->dirty_count = round->dirty_count;
    end_round(d, rc && r->clean);
    return rc;
}

int logdirty_read(struct domain *d, struct logdirty_read *r)
{
    int rc;

    if (!d->p2m)
        return -EINVAL;
    r->pages = MIN(r->pages, P2M_GFNS);
    do
        rc = read_slice(d, r);
    while (rc == -ERESTART && !preempt_needed());
    return rc;
}
