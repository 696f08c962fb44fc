/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GNTTABOP_set_version. The table is emptied, but for the reserved entries, which the tools filled in and others may
 * have mapped: those are said anew in the other format. No other entry may be in use.
 *
 * A large table is emptied in slices. From the first to the last one next_version is set, and grant_pin refuses all but
 * the reserved entries, as it will when they are empty; GNTST_eagain would make a user in the control domain wait for a
 * guest that may never go on. The old version is in force until the end. Frame 0 is emptied last, in the same step in
 * which its reserved entries change. The other grants of a guest that does not go on with the call are refused until it
 * does, or asks for the version in force; then those that are gone stay gone.
 *
 * Status frames are not given back with version 2: they are counted in the domain's limit, and the guest may have them
 * mapped.
 */
#include <hv/frame.h>
#include <hv/stretch.h>
#include "internal.h"

#define CLEARED_PER_SLICE 31u /* with the first one and 32 status frames at the end: 64 */
#define RESERVED          GNTTAB_NR_RESERVED_ENTRIES

/* A reserved entry between two formats. */
struct reserved {
    uint32_t word; /* flags without "in use", domid; 0: grants nothing */
    uint64_t frame;
    uint16_t start, length;
};

/* The guest may be writing the entry: each field is read once. */
static struct reserved read_reserved(const struct entry *e)
{
    struct reserved r = {.word = READ_ONCE(*e->word) & ~(uint32_t)(GTF_reading | GTF_writing), .length = PAGE_SIZE};
    unsigned int type = r.word & GTF_type_mask;

    if (e->v1) {
        r.frame = READ_ONCE(e->v1->frame);
    } else {
        r.frame = READ_ONCE(e->v2->full_page.frame);
        r.start = READ_ONCE(e->v2->sub_page.page_off);
        r.length = READ_ONCE(e->v2->sub_page.length);
    }
    if (type != GTF_permit_access && (type != GTF_transitive || e->v1))
        r.word = 0;
    return r;
}

/* Version 1 has neither sub-pages nor transitive grants nor large frame numbers. */
static bool fits_v1(const struct reserved *r)
{
    return (r->word & GTF_type_mask) != GTF_transitive && !(r->word & GTF_sub_page) && r->frame == (uint32_t)r->frame;
}

/* t->lock held. 0, or -ERANGE: one cannot be said in the version. */
static int read_all(const struct grant_table *t, unsigned int version, struct reserved out[RESERVED])
{
    for (grant_ref_t ref = 0; ref < RESERVED; ref++) {
        struct entry e;

        out[ref] = (struct reserved){0};
        if (grant_find_entry(t, ref, &e))
            out[ref] = read_reserved(&e);
        if (version == 1 && out[ref].word && !fits_v1(&out[ref]))
            return -ERANGE;
    }
    return 0;
}

/* Into an entry that is all zeroes. */
static void write_reserved(const struct entry *e, const struct reserved *r)
{
    if (r->word && e->v1) {
        e->v1->frame = (uint32_t)r->frame;
    } else if (r->word) {
        e->v2->full_page.frame = r->frame;
        if (r->word & GTF_sub_page) {
            e->v2->sub_page.page_off = r->start;
            e->v2->sub_page.length = r->length;
        }
    }
    __atomic_store_n(e->word, r->word, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(e->use, grant_use_bits(e->active), __ATOMIC_SEQ_CST);
}

/* t->lock held, all frames but the first are empty. */
static int finish(struct domain *d, unsigned int version)
{
    struct grant_table *t = d->grant;
    struct reserved kept[RESERVED];
    int rc = read_all(t, version, kept);

    if (rc)
        return rc;
    memset(t->shared[0], 0, PAGE_SIZE);
    for (unsigned int i = 0; version == 2 && i < t->nr_status; i++)
        memset(t->status[i], 0, PAGE_SIZE);
    stretch_work((1 + (version == 2 ? t->nr_status : 0)) * STRETCH_FRAME);
    t->version = (uint8_t)version;
    for (grant_ref_t ref = 0; ref < RESERVED; ref++) {
        struct entry e;

        if (grant_find_entry(t, ref, &e))
            write_reserved(&e, &kept[ref]);
    }
    return 0;
}

/* t->lock held. What would make the change fail, before anything is lost. */
static int begin(struct domain *d, unsigned int version)
{
    struct grant_table *t = d->grant;
    struct reserved kept[RESERVED];
    int rc;

    if (t->nr_used)
        return -EBUSY;
    rc = read_all(t, version, kept);
    if (!rc && version == 2)
        rc = grant_add_status(d, t->nr_frames);
    if (rc)
        return rc;
    t->next_version = (uint8_t)version;
    t->next_clear = 1;
    return 0;
}

/* t->lock held. */
static int change(struct domain *d, unsigned int version)
{
    struct grant_table *t = d->grant;
    int rc = t->next_version == version ? 0 : begin(d, version);

    if (rc)
        return rc;
    for (unsigned int n = 0; t->next_clear < t->nr_frames; n++) {
        if (n == CLEARED_PER_SLICE)
            return -ERESTART;
        memset(t->shared[t->next_clear++], 0, PAGE_SIZE);
        stretch_work(STRETCH_FRAME);
    }
    rc = finish(d, version);
    t->next_version = 0;
    return rc;
}

unsigned int grant_version(struct domain *d)
{
    return READ_ONCE(d->grant->version);
}

int grant_set_version(struct domain *d, unsigned int version)
{
    struct grant_table *t = d->grant;
    int rc = 0;

    if (version != 1 && version != 2)
        return -EINVAL;
    if (version > t->max_version)
        return -ENOSYS;
    spin_lock(&t->lock);
    if (t->version != version)
        rc = change(d, version);
    else
        t->next_version = 0;
    spin_unlock(&t->lock);
    return rc;
}
