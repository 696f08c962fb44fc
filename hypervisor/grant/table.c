/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The granting side: the frames shared with the guest, and the active entries that count uses. grant_pin and
 * grant_unpin set and clear GTF_reading and GTF_writing; otherwise only a change of version writes them.
 *
 * The guest changes shared entries while they are examined. In version 1 flags and domid are judged and claimed by one
 * compare-and-swap with few retries, in version 2 they are judged again after the claim. What the entry grants is read
 * once, after the claim, and kept in the active entry. Whether the granter owns that frame is for the caller to check,
 * by taking references.
 */
#include <hv/frame.h>
#include <hv/heap.h>
#include <hv/p2m.h>
#include <hv/sched.h>
#include "internal.h"

#define CLAIM_TRIES    5u
#define GROW_PER_SLICE 12u /* frames, each with four of active entries; and their status frames */
#define PIN_LIMIT      0x7fffu

struct request {
    struct domain *granter;
    domid_t user;
    bool write;
    enum grant_use use;
};

static enum grant_kind kind_of(uint32_t word)
{
    if ((word & GTF_type_mask) == GTF_transitive)
        return GRANT_TRANSITIVE;
    return word & GTF_sub_page ? GRANT_SUB_PAGE : GRANT_PAGE;
}

static bool serves(enum grant_kind kind, enum grant_use use)
{
    return kind == GRANT_PAGE || use == USE_COPY || (kind == GRANT_SUB_PAGE && use == USE_THROUGH);
}

/* Does an entry whose first word is this permit the use? */
static bool permits(const struct entry *e, uint32_t word, const struct request *r)
{
    unsigned int type = word & GTF_type_mask;

    if (type != GTF_permit_access && (type != GTF_transitive || e->v1))
        return false;
    return serves(kind_of(word), r->use) && word >> 16 == r->user && !(r->write && (word & GTF_readonly));
}

/* Takes back the bits that no counted use wants. */
static void clear_unused(const struct entry *e)
{
    uint16_t clear = (GTF_reading | GTF_writing) & (uint16_t)~grant_use_bits(e->active);

    if (clear)
        __atomic_fetch_and(e->use, (uint16_t)~clear, __ATOMIC_SEQ_CST);
}

/* Version 1: flags and marks are one word. */
static bool claim_v1(const struct entry *e, const struct request *r, uint32_t add, uint32_t *word)
{
    *word = READ_ONCE(*e->word);
    for (unsigned int i = 0; i < CLAIM_TRIES; i++) {
        if (!permits(e, *word, r))
            return false;
        if (__atomic_compare_exchange_n(e->word, word, *word | add, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
    }
    return false; /* the guest keeps changing it */
}

/* Version 2: the marks are elsewhere. Set them, then look again: the guest that revokes an entry clears it first and
 * looks at the marks then, so one of the two sees the other. */
static bool claim_v2(const struct entry *e, const struct request *r, uint16_t add, uint32_t *word)
{
    *word = READ_ONCE(*e->word);
    if (!permits(e, *word, r))
        return false;
    __atomic_fetch_or(e->use, add, __ATOMIC_SEQ_CST);
    *word = __atomic_load_n(e->word, __ATOMIC_SEQ_CST);
    if (permits(e, *word, r))
        return true;
    clear_unused(e);
    return false;
}

/* What the entry grants; the guest may be writing it, so each field is read once. */
static struct granted read_entry(const struct entry *e, uint32_t word)
{
    struct granted g = {.kind = (uint8_t)kind_of(word), .length = PAGE_SIZE, .domid = (domid_t)(word >> 16)};

    if (e->v1) {
        g.frame = READ_ONCE(e->v1->frame);
    } else if (g.kind == GRANT_TRANSITIVE) {
        g.trans_domid = READ_ONCE(e->v2->transitive.trans_domid);
        g.trans_ref = READ_ONCE(e->v2->transitive.gref);
    } else {
        g.frame = READ_ONCE(e->v2->full_page.frame);
    }
    if (e->v2 && g.kind == GRANT_SUB_PAGE) {
        g.start = READ_ONCE(e->v2->sub_page.page_off);
        g.length = READ_ONCE(e->v2->sub_page.length);
    }
    return g;
}

void grant_find_frame(struct domain *d, struct granted *g)
{
    if (paging_mode_translate(d) && g->kind != GRANT_TRANSITIVE)
        g->frame = p2m_lookup(d, _gfn(g->frame)).mfn.n;
}

/* t->lock held. Marks the entry in use; the first use fixes what it grants. */
static int16_t claim(const struct entry *e, const struct request *r)
{
    uint16_t add = GTF_reading | (r->write ? GTF_writing : 0);
    bool first = !grant_pins(e->active, ~0u);
    uint32_t word;

    if (!(e->v1 ? claim_v1(e, r, add, &word) : claim_v2(e, r, add, &word)))
        return GNTST_general_error;
    if (!first && kind_of(word) != e->active->what.kind) {
        clear_unused(e);
        return GNTST_general_error;
    }
    if (first) {
        e->active->what = read_entry(e, word);
        grant_find_frame(r->granter, &e->active->what);
    }
    return GNTST_okay;
}

/* May the entry, which has uses already, have this one too? */
static bool may_join(const struct active *a, const struct request *r, unsigned int kinds)
{
    for (unsigned int i = 0; i < NR_PINS; i++)
        if ((kinds & (1u << i)) && a->pin[i] >= PIN_LIMIT)
            return false;
    return a->what.domid == r->user && serves((enum grant_kind)a->what.kind, r->use);
}

/* t->lock held. */
static int16_t pin_locked(struct grant_table *t, grant_ref_t ref, unsigned int kinds, const struct request *r,
                          struct granted *what)
{
    struct entry e;
    bool pinned;

    if (!grant_find_entry(t, ref, &e))
        return GNTST_bad_gntref;
    if (t->next_version && ref >= GNTTAB_NR_RESERVED_ENTRIES)
        return GNTST_general_error;
    pinned = grant_pins(e.active, ~0u);
    if (pinned && !may_join(e.active, r, kinds))
        return GNTST_general_error;
    if (!pinned || (r->write && !grant_pins(e.active, PIN_WRITES))) {
        int16_t status = claim(&e, r);

        if (status != GNTST_okay)
            return status;
    }
    if (!pinned && ref >= GNTTAB_NR_RESERVED_ENTRIES)
        t->nr_used++;
    for (unsigned int i = 0; i < NR_PINS; i++)
        e.active->pin[i] = (uint16_t)(e.active->pin[i] + ((kinds >> i) & 1));
    *what = e.active->what;
    return GNTST_okay;
}

int16_t grant_pin(struct domain *granter, grant_ref_t ref, domid_t user, unsigned int kinds, enum grant_use use,
                  struct granted *what)
{
    struct request r = {.granter = granter, .user = user, .write = kinds & PIN_WRITES, .use = use};
    struct grant_table *t = granter->grant;
    int16_t status;

    spin_lock(&t->lock);
    status = pin_locked(t, ref, kinds, &r, what);
    spin_unlock(&t->lock);
    return status;
}

void grant_unpin(struct domain *granter, grant_ref_t ref, unsigned int kinds)
{
    struct grant_table *t = granter->grant;
    struct entry e;

    spin_lock(&t->lock);
    if (grant_find_entry(t, ref, &e)) {
        for (unsigned int i = 0; i < NR_PINS; i++)
            e.active->pin[i] = (uint16_t)(e.active->pin[i] - ((kinds >> i) & 1));
        if (!grant_pins(e.active, ~0u) && ref >= GNTTAB_NR_RESERVED_ENTRIES)
            t->nr_used--;
        clear_unused(&e);
    }
    spin_unlock(&t->lock);
}

/* t->lock held; neither is in use. */
static void swap_entries(const struct entry *a, const struct entry *b)
{
    if (a->v1) {
        grant_entry_v1_t tmp = *a->v1;

        *a->v1 = *b->v1;
        *b->v1 = tmp;
    } else {
        grant_entry_v2_t tmp = *a->v2;

        *a->v2 = *b->v2;
        *b->v2 = tmp;
    }
}

int16_t grant_swap(struct domain *d, grant_ref_t ra, grant_ref_t rb)
{
    struct grant_table *t = d->grant;
    int16_t status = GNTST_okay;
    struct entry a, b;

    spin_lock(&t->lock);
    if (!grant_find_entry(t, ra, &a) || !grant_find_entry(t, rb, &b))
        status = GNTST_bad_gntref;
    else if (t->next_version || (ra != rb && (grant_pins(a.active, ~0u) || grant_pins(b.active, ~0u))))
        status = GNTST_eagain;
    else if (ra != rb)
        swap_entries(&a, &b);
    spin_unlock(&t->lock);
    return status;
}

int grant_add_status(struct domain *d, unsigned int nr)
{
    struct grant_table *t = d->grant;

    while (t->nr_status * FRAMES_PER_STATUS < nr) {
        struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

        if (!pg)
            return -ENOMEM;
        stretch_work(STRETCH_FRAME);
        share_hv_page_with_guest(pg, d, true);
        t->status[t->nr_status++] = page_to_virt(pg);
    }
    return 0;
}

/* t->lock held. */
static int add_frame(struct domain *d, struct grant_table *t)
{
    int rc = t->version == 2 || t->next_version == 2 ? grant_add_status(d, t->nr_frames + 1) : 0;
    struct active *active = rc ? NULL : hv_new_array(struct active, V1_PER_FRAME);
    struct page_info *pg = active ? alloc_hv_pages(0, MEMF_ZERO) : NULL;

    if (!pg) {
        hv_free(active);
        return -ENOMEM;
    }
    stretch_work(5 * STRETCH_FRAME);
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
    rc = grant_grow(d, (unsigned int)idx + 1);
    if (!rc)
        *mfn = virt_to_mfn(t->shared[array_index_nospec(idx, t->max_frames)]);
    return rc;
}

int grant_get_status_frame(struct domain *d, unsigned long idx, mfn_t *mfn)
{
    struct grant_table *t = d->grant;
    int rc;

    if (!t || idx >= MAX_GRANT_FRAMES || idx * FRAMES_PER_STATUS >= t->max_frames || READ_ONCE(t->version) != 2)
        return -EINVAL;
    rc = grant_grow(d, (unsigned int)idx * FRAMES_PER_STATUS + 1);
    spin_lock(&t->lock);
    if (!rc && idx >= t->nr_status)
        rc = -EINVAL; /* the version has changed meanwhile */
    if (!rc)
        *mfn = virt_to_mfn(t->status[array_index_nospec(idx, t->nr_status)]);
    spin_unlock(&t->lock);
    return rc;
}

unsigned int grant_nr_frames(struct domain *d)
{
    return d->grant ? READ_ONCE(d->grant->nr_frames) : 0;
}

unsigned int grant_nr_status_frames(struct domain *d)
{
    struct grant_table *t = d->grant;
    unsigned int nr;

    spin_lock(&t->lock);
    nr = t->version == 2 ? t->nr_status : 0;
    spin_unlock(&t->lock);
    return nr;
}

unsigned int grant_max_frames(const struct domain *d)
{
    return d->grant ? d->grant->max_frames : 0;
}

unsigned int grant_max_status_frames(const struct domain *d)
{
    const struct grant_table *t = d->grant;

    return t && t->max_version == 2 ? (t->max_frames + FRAMES_PER_STATUS - 1) / FRAMES_PER_STATUS : 0;
}

/* The arrays; the domain's creator frees what there is when this fails. */
static int alloc_arrays(struct grant_table *t)
{
    t->shared = hv_new_array(void *, t->max_frames);
    t->active = hv_new_array(struct active *, t->max_frames);
    t->status = hv_new_array(grant_status_t *, (t->max_frames + FRAMES_PER_STATUS - 1) / FRAMES_PER_STATUS);
    return t->shared && t->active && t->status ? 0 : -ENOMEM;
}

int grant_domain_init(struct domain *d, unsigned int max_frames, unsigned int max_maptrack, uint32_t opts)
{
    unsigned int max_version = XEN_DOMCTL_GRANT_version(opts);
    struct grant_table *t;
    int rc;

    if (max_frames == ~0u)
        max_frames = DFLT_GRANT_FRAMES;
    if (max_maptrack == ~0u)
        max_maptrack = DFLT_TRACK_FRAMES;
    if (max_frames == 0 || max_frames > MAX_GRANT_FRAMES || max_maptrack > MAX_TRACK_FRAMES)
        return -EINVAL;
    if (opts != max_version || max_version < 1 || max_version > 2)
        return -EINVAL;
    t = hv_new(struct grant_table);
    if (!t)
        return -ENOMEM;
    spin_lock_init(&t->lock, RANK_GRANT);
    spin_lock_init(&t->map_lock, RANK_GRANT_MAP);
    t->version = 1;
    t->max_version = (uint8_t)max_version;
    t->max_frames = max_frames;
    t->max_handles = max_maptrack * HANDLES_PER_FRAME;
    t->free_handle = NO_HANDLE;
    d->grant = t;
    rc = alloc_arrays(t);
    return rc ? rc : grant_grow(d, 1);
}

int grant_domain_free(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return 0;
    for (; t->nr_frames; stretch_work(1)) {
        if (preempt_before_work(1))
            return -ERESTART;
        t->nr_frames--;
        free_hv_mem(t->shared[t->nr_frames], 0);
        hv_free(t->active[t->nr_frames]);
    }
    for (; t->nr_handles; stretch_work(1)) {
        if (preempt_before_work(1))
            return -ERESTART;
        t->nr_handles -= MAPPINGS_PER_CHUNK;
        hv_free(t->track[t->nr_handles / MAPPINGS_PER_CHUNK]);
    }
    for (unsigned int i = 0; i < t->nr_status; i++)
        free_hv_mem(t->status[i], 0);
    hv_free(t->track);
    hv_free(t->shared);
    hv_free(t->active);
    hv_free(t->status);
    hv_free(t);
    d->grant = NULL;
    return 0;
}
