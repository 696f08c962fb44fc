/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds a domain: a destroyed domain stays on the list as long as others have references to its frames, and its
 * owner wants to know who. Nothing records that by domain, so it is searched for: first every domain's grant mappings,
 * then every frame of the machine - the domain's own ones are counted, and L1 tables of others are read for entries
 * that name one. Slow and rare, cut into slices of at most 512 handles or entries, or 64 frames.
 *
 * All state is in the caller's position: the phase in the top half's highest bit, then domain and handle, or frame. A
 * position that no call gave out is a place like any other. Nothing is held between calls.
 */
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/grant.h>
#include <hv/sched.h>
#include <umbra/umbra_op.h>

#define IN_FRAMES        (1ull << 63)
#define FRAMES_PER_SLICE 64u

static void add_row(struct umbra_op_holders *h, const struct umbra_op_holder *found)
{
    unsigned int i = 0;

    if (!found->host_grants && !found->device_grants && !found->entries)
        return;
    while (i < h->nr_rows && h->row[i].domain != found->domain)
        i++;
    if (i == h->nr_rows)
        h->row[h->nr_rows++] = (struct umbra_op_holder){.domain = found->domain};
    h->row[i].host_grants += found->host_grants;
    h->row[i].device_grants += found->device_grants;
    h->row[i].entries += found->entries;
}

/* Up to 512 handles of one domain. */
static void search_mappings(const struct domain *d, struct umbra_op_holders *h)
{
    struct domain *mapper = domain_get_next((domid_t)(h->position >> 32));
    struct umbra_op_holder found = {0};
    unsigned int handle = 0;

    if (!mapper) {
        h->position = IN_FRAMES;
        return;
    }
    found.domain = mapper->id;
    if (mapper->id == (domid_t)(h->position >> 32))
        handle = (unsigned int)h->position;
    if (mapper != d && mapper->grant) {
        handle = grant_count_mappings(mapper, d, handle, &found.host_grants, &found.device_grants);
        stretch_work(STRETCH_BOUND);
    } else {
        handle = 0;
    }
    add_row(h, &found);
    h->position = (handle ? (uint64_t)mapper->id : mapper->id + 1ull) << 32 | handle;
    domain_put(mapper);
}

static void count_frame(const struct page_info *pg, struct umbra_op_holders *h)
{
    uint64_t count = READ_ONCE(pg->count_info);

    if (count & PGC_hv_page)
        h->shared_frames++;
    else
        h->frames++;
    h->references += (count & PGC_count_mask) - !!(count & PGC_allocated);
}

/* The table may change its type while it is read: what is read is only counted. */
static void search_table(const struct domain *d, struct page_info *table, struct domain *owner,
                         struct umbra_op_holders *h)
{
    struct umbra_op_holder found = {0};
    const pte_t *entry = page_to_virt(table);

    if (!get_page_owned(table, owner))
        return;
    found.domain = owner->id;
    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        pte_t e = _pte(READ_ONCE(entry[i].n));

        if ((e.n & PTE_P) && mfn_valid(pte_mfn(e)))
            found.entries += mfn_to_page(_mfn(array_index_nospec(pte_mfn(e).n, max_page)))->owner == d;
    }
    put_page(table);
    stretch_work(PT_ENTRIES - 1); /* and one for its frame */
    add_row(h, &found);
}

/* Up to 64 frames, or one table of another domain. */
static void search_frames(struct domain *d, struct umbra_op_holders *h)
{
    uint64_t mfn = h->position & ~IN_FRAMES;

    for (unsigned int n = 0; n < FRAMES_PER_SLICE && mfn < max_page; n++, mfn++) {
        mfn_t m = _mfn(array_index_nospec(mfn, max_page));
        struct page_info *pg = mfn_to_page(m);
        struct domain *owner = mfn_valid(m) ? READ_ONCE(pg->owner) : NULL;

        if (owner == d) {
            count_frame(pg, h);
        } else if (owner && page_type(pg) == PT_L1) {
            if (n) /* a slice of its own */
                break;
            search_table(d, pg, owner, h);
            n = FRAMES_PER_SLICE;
        }
        stretch_work(1);
    }
    h->position = mfn < max_page ? mfn | IN_FRAMES : UMBRA_HOLDERS_end;
}

void domain_find_holders(struct domain *d, struct umbra_op_holders *h)
{
    *h = (struct umbra_op_holders){.position = h->position};
    do {
        if (h->position & IN_FRAMES)
            search_frames(d, h);
        else
            search_mappings(d, h);
    } while (h->position != UMBRA_HOLDERS_end && h->nr_rows < UMBRA_HOLDERS_slice && !preempt_needed());
}
