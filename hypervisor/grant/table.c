/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The granting side: the frames shared with the guest, and the active entries that count uses. grant_pin and
 * grant_unpin are the only places that set and clear GTF_reading and GTF_writing.
 *
 * The guest changes shared entries while they are examined. Flags and domid are judged and claimed by one
 * compare-and-swap with few retries; the frame is read once, after the claim, and kept in the active entry. Whether the
 * granter owns that frame is for the caller to check, by taking references.
 */
#include <hv/frame.h>
#include <hv/heap.h>
#include "internal.h"

#define CLAIM_TRIES    5u
#define GROW_PER_SLICE 64u
#define PIN_LIMIT      0x7fffu

static unsigned int pins_of(const struct active *a, unsigned int kinds)
{
    unsigned int sum = 0;

    for (unsigned int i = 0; i < NR_PINS; i++)
        if (kinds & (1u << i))
            sum |= a->pin[i];
    return sum;
}

/* The shared entry's first word: flags in the low half, domid in the high half. */
static uint32_t *entry_word(grant_entry_v1_t *e)
{
    return (uint32_t *)(void *)e;
}

/* Marks the entry as used by user if it permits that. */
static int16_t claim(grant_entry_v1_t *e, domid_t user, bool write, bool for_map)
{
    uint32_t *word = entry_word(e), old = READ_ONCE(*word);
    uint32_t mask = GTF_type_mask | (for_map ? GTF_sub_page : 0);
    uint32_t add = GTF_reading | (write ? GTF_writing : 0);

    for (unsigned int i = 0; i < CLAIM_TRIES; i++) {
        if ((old & mask) != GTF_permit_access || old >> 16 != user || (write && (old & GTF_readonly)))
            return GNTST_general_error;
        if (__atomic_compare_exchange_n(word, &old, old | add, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return GNTST_okay;
    }
    return GNTST_general_error; /* the guest keeps changing it */
}

/* t->lock held. False: no such reference. */
static bool find_entry(struct grant_table *t, grant_ref_t ref, grant_entry_v1_t **e, struct active **a)
{
    unsigned int nr = t->nr_frames * GRANTS_PER_FRAME;

    if (ref >= nr)
        return false;
    ref = (grant_ref_t)array_index_nospec(ref, nr);
    *e = &t->shared[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];
    *a = &t->active[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];
    return true;
}

/* t->lock held. */
static int16_t pin_locked(struct grant_table *t, grant_ref_t ref, domid_t user, unsigned int kinds, bool for_map,
                          uint32_t *frame)
{
    bool write = kinds & PIN_WRITES, pinned;
    grant_entry_v1_t *e;
    struct active *a;

    if (!find_entry(t, ref, &e, &a))
        return GNTST_bad_gntref;
    pinned = pins_of(a, ~0u) != 0;
    if (pinned && a->domid != user)
        return GNTST_general_error;
    for (unsigned int i = 0; i < NR_PINS; i++)
        if ((kinds & (1u << i)) && a->pin[i] >= PIN_LIMIT)
            return GNTST_general_error;
    if (!pinned || (write && !pins_of(a, PIN_WRITES))) {
        int16_t status = claim(e, user, write, for_map);

        if (status != GNTST_okay)
            return status;
    }
    if (!pinned) {
        a->domid = user;
        a->frame = READ_ONCE(e->frame);
    }
    for (unsigned int i = 0; i < NR_PINS; i++)
        a->pin[i] = (uint16_t)(a->pin[i] + ((kinds >> i) & 1));
    *frame = a->frame;
    return GNTST_okay;
}

int16_t grant_pin(struct domain *granter, grant_ref_t ref, domid_t user, unsigned int kinds, bool for_map,
                  uint32_t *frame)
{
    struct grant_table *t = granter->grant;
    int16_t status;

    spin_lock(&t->lock);
    status = pin_locked(t, ref, user, kinds, for_map, frame);
    spin_unlock(&t->lock);
    return status;
}

void grant_unpin(struct domain *granter, grant_ref_t ref, unsigned int kinds)
{
    struct grant_table *t = granter->grant;
    grant_entry_v1_t *e;
    struct active *a;

    spin_lock(&t->lock);
    if (find_entry(t, ref, &e, &a)) {
        uint16_t clear = 0;

        for (unsigned int i = 0; i < NR_PINS; i++)
            a->pin[i] = (uint16_t)(a->pin[i] - ((kinds >> i) & 1));
        if ((kinds & PIN_WRITES) && !pins_of(a, PIN_WRITES))
            clear |= GTF_writing;
        if (!pins_of(a, ~0u))
            clear |= GTF_reading;
        if (clear)
            __atomic_fetch_and(&e->flags, (uint16_t)~clear, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&t->lock);
}

int16_t grant_swap(struct domain *d, grant_ref_t ra, grant_ref_t rb)
{
    struct grant_table *t = d->grant;
    grant_entry_v1_t *ea, *eb, tmp;
    struct active *aa, *ab;
    int16_t status = GNTST_okay;

    spin_lock(&t->lock);
    if (!find_entry(t, ra, &ea, &aa) || !find_entry(t, rb, &eb, &ab)) {
        status = GNTST_bad_gntref;
    } else if (ea == eb) {
        status = GNTST_okay;
    } else if (pins_of(aa, ~0u) || pins_of(ab, ~0u)) {
        status = GNTST_eagain;
    } else {
        tmp = *ea;
        *ea = *eb;
        *eb = tmp;
    }
    spin_unlock(&t->lock);
    return status;
}

/* t->lock held. */
static int add_frame(struct domain *d, struct grant_table *t)
{
    struct active *active = hv_new_array(struct active, GRANTS_PER_FRAME);
    struct page_info *pg = active ? alloc_hv_pages(0, MEMF_ZERO) : NULL;

    if (!pg) {
        hv_free(active);
        return -ENOMEM;
    }
    share_hv_page_with_guest(pg, d, true);
    t->shared[t->nr_frames] = page_to_virt(pg);
    t->active[t->nr_frames] = active;
    t->nr_frames++;
    return 0;
}

int grant_grow(struct domain *d, unsigned int nr)
{
    struct grant_table *t = d->grant;
    int rc = nr > t->max_frames ? -EINVAL : 0;

    spin_lock(&t->lock);
    for (unsigned int added = 0; !rc && t->nr_frames < nr; added++) {
        if (t->closed)
            rc = -EINVAL;
        else if (added == GROW_PER_SLICE)
            rc = -ERESTART;
        else
            rc = add_frame(d, t);
    }
    spin_unlock(&t->lock);
    return rc;
}

int grant_get_frame(struct domain *d, unsigned long idx, mfn_t *mfn)
{
    struct grant_table *t = d->grant;
    int rc;

    if (!t || idx >= t->max_frames)
        return -EINVAL;
    do {
        rc = grant_grow(d, (unsigned int)idx + 1);
    } while (rc == -ERESTART); /* at most MAX_GRANT_FRAMES / GROW_PER_SLICE times */
    if (!rc)
        *mfn = virt_to_mfn(t->shared[array_index_nospec(idx, t->max_frames)]);
    return rc;
}

unsigned int grant_nr_frames(struct domain *d)
{
    return d->grant ? READ_ONCE(d->grant->nr_frames) : 0;
}

int grant_domain_init(struct domain *d, unsigned int max_frames, unsigned int max_maptrack)
{
    struct grant_table *t;

    if (max_frames == ~0u)
        max_frames = DFLT_GRANT_FRAMES;
    if (max_maptrack == ~0u)
        max_maptrack = DFLT_TRACK_FRAMES;
    if (max_frames == 0 || max_frames > MAX_GRANT_FRAMES || max_maptrack > MAX_TRACK_FRAMES)
        return -EINVAL;
    t = hv_new(struct grant_table);
    if (!t)
        return -ENOMEM;
    spin_lock_init(&t->lock, RANK_GRANT);
    spin_lock_init(&t->map_lock, RANK_GRANT_MAP);
    t->max_frames = max_frames;
    t->max_handles = max_maptrack * HANDLES_PER_FRAME;
    t->free_handle = NO_HANDLE;
    d->grant = t;
    t->shared = hv_new_array(grant_entry_v1_t *, max_frames);
    t->active = hv_new_array(struct active *, max_frames);
    /* The domain's creator frees what there is when this fails. */
    return t->shared && t->active ? grant_grow(d, 1) : -ENOMEM;
}

void grant_domain_free(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return;
    for (unsigned int i = 0; i < t->nr_frames; i++) {
        free_hv_mem(t->shared[i], 0);
        hv_free(t->active[i]);
    }
    for (unsigned int i = 0; i < t->nr_handles / MAPPINGS_PER_CHUNK; i++)
        hv_free(t->track[i]);
    hv_free(t->track);
    hv_free(t->shared);
    hv_free(t->active);
    hv_free(t);
    d->grant = NULL;
}

void grant_dump_domain(struct domain *d)
{
    struct grant_table *t = d->grant;

    printk("Grants of domain %u: %u of %u frames, %u mappings of others' frames (limit %u)\n", d->id, t->nr_frames,
           t->max_frames, t->in_use, t->max_handles);
    for (unsigned int ref = 0; ref < t->nr_frames * GRANTS_PER_FRAME; ref++) {
        const struct active *a = &t->active[ref / GRANTS_PER_FRAME][ref % GRANTS_PER_FRAME];

        if (pins_of(a, ~0u))
            printk("  %5u frame %x to domain %u: host r%u w%u device r%u w%u\n", ref, a->frame, a->domid, a->pin[0],
                   a->pin[1], a->pin[2], a->pin[3]);
    }
}

void grant_dump(void)
{
    struct domain *d = domain_get_next(0);

    while (d) {
        domid_t next = (domid_t)(d->id + 1);

        if (d->grant)
            grant_dump_domain(d);
        domain_put(d);
        d = domain_get_next(next);
    }
}
