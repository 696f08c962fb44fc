// SPDX-License-Identifier: BSD-2-Clause
/*
 * What shadows there are, for control tools: page by page, entry by entry. A position is the number of a page and, from
 * its 0 for the page itself, that of an entry; it says nothing of what stands there by the time it is used.
 */
#include <hv/sched.h>
#include <umbra/umbra_op.h>
#include "internal.h"

#define POSITIONS 1024u /* of a page */

static uint64_t gfn_of_frame(mfn_t m)
{
    return mfn_valid(m) ? get_gpfn_from_mfn(m) : UMBRA_SHADOW_none;
}

static void tell_page(const struct shadow_page *sp, struct umbra_shadow_record *r)
{
    union shadow_role role = sp->role;

    r->index = UMBRA_SHADOW_table;
    r->gfn = role.direct ? sp->base.n : has_table(sp) ? gfn_of_frame(sp->table) : UMBRA_SHADOW_none;
    r->entry = page_mfn(sp).n;
    r->flags = (uint16_t)((role.direct ? UMBRA_SHADOW_direct : 0) | (role.wp ? UMBRA_SHADOW_wp : 0) |
                          (role.nx ? UMBRA_SHADOW_nx : 0) | (role.smep ? UMBRA_SHADOW_smep : 0) |
                          (role.smap ? UMBRA_SHADOW_smap : 0) | (role.rw ? UMBRA_SHADOW_write : 0) |
                          (role.us ? UMBRA_SHADOW_user : 0) | (role.xd ? UMBRA_SHADOW_noexec : 0));
    r->quadrant = role.quadrant;
    r->roots = sp->roots;
    r->used = sp->used;
}

static void tell_entry(const struct shadow *s, const struct shadow_page *sp, unsigned int index,
                       struct umbra_shadow_record *r)
{
    spte_t e = sp->entry[index];
    bool leaf = spte_is_leaf(e, sp->role.level);

    r->index = (uint16_t)index;
    r->entry = e.n;
    r->child = leaf ? 0 : page_of_frame(s, spte_mfn(e))->id;
    r->gfn = leaf && !(e.n & SPTE_BORROWED) ? gfn_of_frame(spte_mfn(e)) : UMBRA_SHADOW_none;
}

/* What stands at a position of a page; false: nothing. */
static bool tell(const struct shadow *s, const struct shadow_page *sp, unsigned int at, struct umbra_shadow_record *r)
{
    if (at && !spte_present(sp->entry[at - 1]))
        return false;
    *r = (struct umbra_shadow_record){.shadow = sp->id, .level = sp->role.level, .format = sp->role.levels};
    if (at)
        tell_entry(s, sp, at - 1, r);
    else
        tell_page(sp, r);
    return true;
}

static unsigned int dump(struct shadow *s, uint64_t *position, struct umbra_shadow_record *out, unsigned int max)
{
    unsigned int n = 0;

    for (unsigned int looked = 0; n < max && looked < PT_ENTRIES && *position / POSITIONS < s->nr_ids; looked++) {
        uint64_t id = array_index_nospec(*position / POSITIONS, s->nr_ids), at = *position % POSITIONS;
        const struct shadow_page *sp = page_by_id(s, (uint32_t)id);

        if (!id || !sp->entry || at > PT_ENTRIES) {
            *position = (id + 1) * POSITIONS;
            continue;
        }
        n += tell(s, sp, (unsigned int)array_index_nospec(at, PT_ENTRIES + 1), out + n);
        ++*position;
    }
    if (*position / POSITIONS >= s->nr_ids)
        *position = UMBRA_SHADOW_end;
    return n;
}

int shadow_dump(struct domain *d, uint64_t *position, struct umbra_shadow_record *out, unsigned int max)
{
    int rc = shadow_lock(d);

    if (rc)
        return rc;
    rc = (int)dump(d->shadow, position, out, max);
    stretch_work(PT_ENTRIES);
    shadow_unlock(d->shadow);
    return rc;
}
