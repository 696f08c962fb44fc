/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mapping side: a domain's handles for what it has mapped from others. Chunks of mappings are added as they are
 * needed, up to the domain's limit; free handles form a list inside them. A handle names a mapping from
 * maptrack_commit on; between reserve and unreserve exactly one caller works on it.
 */
#include <hv/heap.h>
#include <hv/sched.h>
#include "internal.h"

#define RELEASES_PER_SLICE 64u
#define COUNTED_PER_SLICE  512u

/* map_lock held, handle < nr_handles. */
static struct mapping *mapping_at(const struct grant_table *t, unsigned int handle)
{
    return &t->track[handle / MAPPINGS_PER_CHUNK][handle % MAPPINGS_PER_CHUNK];
}

/* map_lock held. Adds a chunk of free handles. */
static bool add_chunk(struct grant_table *t)
{
    unsigned int first = t->nr_handles, chunk = first / MAPPINGS_PER_CHUNK;
    struct mapping *m;

    if (!t->track)
        t->track = hv_new_array(struct mapping *, t->max_handles / MAPPINGS_PER_CHUNK + 1);
    m = t->track ? hv_new_array(struct mapping, MAPPINGS_PER_CHUNK) : NULL;
    if (!m)
        return false;
    t->track[chunk] = m;
    t->nr_handles = first + MAPPINGS_PER_CHUNK;
    for (unsigned int i = MAPPINGS_PER_CHUNK; i-- > 0;) {
        m[i].ref = t->free_handle;
        t->free_handle = first + i;
    }
    return true;
}

unsigned int maptrack_alloc(struct grant_table *t)
{
    unsigned int handle = NO_HANDLE;

    spin_lock(&t->map_lock);
    if (t->in_use < t->max_handles && (t->free_handle != NO_HANDLE || add_chunk(t))) {
        handle = t->free_handle;
        t->free_handle = mapping_at(t, handle)->ref;
        t->in_use++;
    }
    spin_unlock(&t->map_lock);
    return handle;
}

/* map_lock held. */
static void free_locked(struct grant_table *t, unsigned int handle)
{
    struct mapping *m = mapping_at(t, handle);

    m->granter = NULL;
    m->flags = 0;
    m->busy = false;
    m->ref = t->free_handle;
    t->free_handle = handle;
    t->in_use--;
}

void maptrack_free(struct grant_table *t, unsigned int handle)
{
    spin_lock(&t->map_lock);
    free_locked(t, handle);
    spin_unlock(&t->map_lock);
}

void maptrack_commit(struct grant_table *t, unsigned int handle, const struct mapping *m)
{
    spin_lock(&t->map_lock);
    *mapping_at(t, handle) = *m;
    spin_unlock(&t->map_lock);
}

bool maptrack_reserve(struct grant_table *t, unsigned int handle, struct mapping *out)
{
    bool found = false;

    spin_lock(&t->map_lock);
    if (handle < t->nr_handles) {
        struct mapping *m = mapping_at(t, (unsigned int)array_index_nospec(handle, t->nr_handles));

        found = m->flags && !m->busy;
        if (found) {
            m->busy = true;
            *out = *m;
        }
    }
    spin_unlock(&t->map_lock);
    return found;
}

bool maptrack_unreserve(struct grant_table *t, unsigned int handle, unsigned int gone)
{
    struct mapping *m;
    bool freed;

    spin_lock(&t->map_lock);
    m = mapping_at(t, handle);
    m->flags &= (uint8_t)~gone;
    m->busy = false;
    freed = !(m->flags & (GNTMAP_host_map | GNTMAP_device_map));
    if (freed)
        free_locked(t, handle);
    spin_unlock(&t->map_lock);
    return freed;
}

unsigned int grant_count_mappings(struct domain *mapper, const struct domain *granter, unsigned int handle,
                                  unsigned int *host, unsigned int *device)
{
    struct grant_table *t = mapper->grant;
    unsigned int end;

    spin_lock(&t->map_lock);
    end = MIN(t->nr_handles, handle + MIN(COUNTED_PER_SLICE, ~handle));
    for (; handle < end; handle++) {
        const struct mapping *m = mapping_at(t, (unsigned int)array_index_nospec(handle, t->nr_handles));

        if (m->granter != granter)
            continue;
        *host += !!(m->flags & GNTMAP_host_map);
        *device += !!(m->flags & GNTMAP_device_map);
    }
    end = handle < t->nr_handles ? handle : 0;
    spin_unlock(&t->map_lock);
    return end;
}

/* Without the lock: only the domain itself, and its teardown, change its handles. */
bool grant_host_mapping(const struct domain *d, unsigned int handle, mfn_t *frame)
{
    const struct grant_table *t = d->grant;

    *frame = INVALID_MFN;
    if (!t || handle >= READ_ONCE(t->nr_handles))
        return false;
    if (mapping_at(t, handle)->flags & GNTMAP_host_map)
        *frame = _mfn(mapping_at(t, handle)->frame);
    return true;
}

/*
 * The references of host mappings belong to the entries of d's page tables, which teardown devalidates later: only
 * device uses have one here.
 */
static void release_one(struct domain *d, unsigned int handle)
{
    struct grant_table *t = d->grant;
    struct mapping m;

    grant_begin(d);
    if (!maptrack_reserve(t, handle, &m)) {
        grant_end(d);
        return;
    }
    grant_begin(m.granter);
    if (m.flags & GNTMAP_device_map)
        grant_drop_page(m.frame, !(m.flags & GNTMAP_readonly));
    grant_unpin(m.granter, m.ref, grant_kinds(m.flags, m.flags));
    maptrack_unreserve(t, handle, GNTMAP_host_map | GNTMAP_device_map);
    grant_end(d);
    grant_end(m.granter);
    domain_put(m.granter);
}

int grant_relinquish_mappings(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return 0;
    spin_lock(&t->lock);
    t->closed = true;
    spin_unlock(&t->lock);
    while (t->relinquish_next < t->nr_handles) {
        release_one(d, t->relinquish_next++);
        stretch_work(1);
        if (t->relinquish_next % RELEASES_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
    return 0;
}
