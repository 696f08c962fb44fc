// SPDX-License-Identifier: BSD-2-Clause
/*
 * The bits of <hv/logdirty.h>: a radix tree by guest frame number whose nodes are frames of the paging pool. Three
 * levels of pointers lead to frames of 32768 bits each. Nodes are made where the P2M has entries and where it gets some
 * while the log is on, never by a store: so to set a bit is a walk of three steps under a leaf lock, and cannot fail
 * for want of memory. Where there is no node all the same, because the pool had no frame left when the P2M changed,
 * everything counts as dirty: the tool copies too much, never too little. The same where a PV guest has named numbers
 * far apart for as long as a stretch may take.
 *
 * Deliberately not here: who has to be kept from storing unnoticed (mm/logdirty_op.c, mm/shadow, mm/p2m).
 */
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/logdirty.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <hv/stretch.h>

#define WORD_BITS   64u
#define NODE_LEVELS 3u /* of pointers, the top one in struct logdirty */
#define LEAF_SHIFT  15u
static_assert(1ul << LEAF_SHIFT == LOGDIRTY_PER_NODE, "a leaf is a frame of bits");
static_assert((uint64_t)LOGDIRTY_TOP << (LEAF_SHIFT + 9 * (NODE_LEVELS - 1)) == P2M_GFNS, "the tree covers all gfns");

void logdirty_init(struct logdirty *l)
{
    spin_lock_init(&l->lock, RANK_LEAF);
    list_init(&l->frames);
}

static bool logs(const struct logdirty *l)
{
    return READ_ONCE(l->state) >= LOGDIRTY_STARTING;
}

/* Where the pointer of a level stands that leads towards gfn; NULL: not even that is there. */
static uint64_t **slot_of(struct logdirty *l, gfn_t gfn, unsigned int level)
{
    uint64_t **slot = &l->top[(gfn.n >> (LEAF_SHIFT + 9 * (NODE_LEVELS - 1))) % LOGDIRTY_TOP];

    for (unsigned int at = NODE_LEVELS; at > level; at--) {
        if (!*slot)
            return NULL;
        slot = (uint64_t **)*slot + ((gfn.n >> (LEAF_SHIFT + 9 * (at - 2))) & (PT_ENTRIES - 1));
    }
    return slot;
}

/* Lock held. The word with gfn's bit, or NULL. */
static uint64_t *word_of(struct logdirty *l, gfn_t gfn)
{
    uint64_t **slot = slot_of(l, gfn, 1);

    return slot && *slot ? *slot + (gfn.n & (LOGDIRTY_PER_NODE - 1)) / WORD_BITS : NULL;
}

int logdirty_cover(struct domain *d, gfn_t gfn)
{
    struct logdirty *l = &d->logdirty;

    if (d->identity)
        l->limit = MAX(l->limit, gfn.n + 1);
    for (unsigned int level = NODE_LEVELS; level; level--) {
        uint64_t **slot = slot_of(l, gfn, level); /* the paging lock keeps nodes where they are */
        struct page_info *pg = NULL;

        if (*slot)
            continue;
        if (!d->identity || stretch_room() >= LOGDIRTY_COVER_WORK)
            pg = paging_pool_alloc(d, PAGING_LOGDIRTY, false);
        if (!pg)
            return -ENOMEM;
        spin_lock(&l->lock);
        list_add(&pg->list, &l->frames);
        *slot = page_to_virt(pg);
        spin_unlock(&l->lock);
    }
    return 0;
}

/* Lock held: n bits of a word from gfn's on. How many were not set. */
static unsigned int set_bits(struct logdirty *l, gfn_t gfn, unsigned int n)
{
    uint64_t *word = word_of(l, gfn), mask = (n == WORD_BITS ? ~0ull : (1ull << n) - 1) << gfn.n % WORD_BITS;
    unsigned int fresh = 0;

    if (!word) {
        l->all = true;
        return 0;
    }
    for (uint64_t left = mask & ~*word; left; left &= left - 1)
        fresh++;
    *word |= mask;
    return fresh;
}

static void mark(struct domain *d, gfn_t gfn, unsigned int order, unsigned int faults)
{
    struct logdirty *l = &d->logdirty;
    uint64_t n = 1ull << order;

    if (!logs(l) || gfn.n >= P2M_GFNS)
        return;
    gfn.n &= ~(n - 1);
    spin_lock(&l->lock);
    if (logs(l)) {
        unsigned int new = 0;

        for (uint64_t i = 0; i < n; i += WORD_BITS)
            new += set_bits(l, _gfn(gfn.n + i), (unsigned int)MIN(n, (uint64_t)WORD_BITS));
        l->dirty_count += new;
        l->fault_count += new ? faults : 0;
    }
    spin_unlock(&l->lock);
}

void logdirty_mark(struct domain *d, gfn_t gfn, unsigned int order)
{
    mark(d, gfn, order, 0);
}

void logdirty_fault(struct domain *d, gfn_t gfn, unsigned int order)
{
    mark(d, gfn, order, 1);
}

void logdirty_mark_frame(struct domain *d, mfn_t m)
{
    mark(d, _gfn(get_gpfn_from_mfn(m)), 0, 0); /* it has none: a change will give it one, and set that one's bit */
}

bool logdirty_is_clean(struct domain *d, gfn_t gfn)
{
    struct logdirty *l = &d->logdirty;
    uint64_t *word;
    bool clean;

    if (!logs(l) || gfn.n >= P2M_GFNS)
        return false;
    spin_lock(&l->lock);
    word = word_of(l, gfn);
    clean = logs(l) && !l->harvest && !l->all && !(word && (*word >> gfn.n % WORD_BITS & 1));
    spin_unlock(&l->lock);
    return clean;
}

void logdirty_changed(struct domain *d, gfn_t gfn, unsigned int order)
{
    struct logdirty *l = &d->logdirty;

    if (l->state == LOGDIRTY_OFF || l->state == LOGDIRTY_ENDING)
        return;
    for (uint64_t i = 0; i < 1ull << order; i += LOGDIRTY_PER_NODE)
        (void)logdirty_cover(d, _gfn(gfn.n + i));
    mark(d, gfn, order, 0);
}

uint64_t logdirty_word(struct domain *d, gfn_t gfn)
{
    const uint64_t *word;
    uint64_t bits;

    spin_lock(&d->logdirty.lock);
    word = word_of(&d->logdirty, gfn);
    bits = word ? *word : 0;
    spin_unlock(&d->logdirty.lock);
    return bits;
}

void logdirty_clear(struct domain *d, gfn_t gfn)
{
    uint64_t *word;

    spin_lock(&d->logdirty.lock);
    word = word_of(&d->logdirty, gfn);
    if (word)
        *word &= ~(1ull << gfn.n % WORD_BITS);
    spin_unlock(&d->logdirty.lock);
}
