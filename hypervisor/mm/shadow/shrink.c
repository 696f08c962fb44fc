// SPDX-License-Identifier: BSD-2-Clause
/*
 * The end of an address space. A guest takes it apart from the last level up: it empties the tables there, takes these
 * out of the tables above them one by one, then those out of the next, and would come back here for each. So when an
 * entry of an upper level goes, tables beside it that are out of sync are looked at too: an empty one is no table any
 * more. An upper table through which nothing goes is none either, and neither is the one above it if that was its last:
 * stores to them cost nothing then.
 *
 * It changes nothing for the guest, since an empty shadow gives nothing: the fault that makes one anew would come
 * anyway.
 */
#include <hv/boot.h>
#include "internal.h"

bool opt_shadow_shrink = true;
CMDLINE_RUNTIME("shadow_shrink", PARAM_BOOL, opt_shadow_shrink);

/* An empty shadow with one entry that names it, and without one from now on. */
static void unlink_page(struct shadow *s, struct shadow_page *sp)
{
    spte_set(s, ref_page(s, sp->parents), sp->parents % PT_ENTRIES, _spte(0));
    page_orphan(s, sp);
    stretch_work(1);
}

/* Roots have no parents. */
static bool is_useless(const struct shadow *s, const struct shadow_page *sp)
{
    return !sp->used && page_has_one_parent(s, sp);
}

/* Tables out of sync that sp leads to. */
static void look_beside(struct shadow *s, const struct shadow_page *sp)
{
    for (unsigned int i = 0; i < MAX_UNSYNCED && s->nr_unsynced; i++) {
        struct shadow_page *child;

        if (mfn_eq(s->unsynced[i].table, INVALID_MFN))
            continue;
        child = page_of_frame(s, s->unsynced[i].table);
        if (!page_has_one_parent(s, child) || ref_page(s, child->parents) != sp)
            continue;
        if (!unsync_compare(s, i) || !room())
            return;
        if (is_useless(s, child))
            unlink_page(s, child);
    }
}

static void shrink(struct shadow *s, struct shadow_page *sp)
{
    look_beside(s, sp);
    while (room() && is_useless(s, sp)) {
        struct shadow_page *above = ref_page(s, sp->parents);

        unlink_page(s, sp);
        sp = above;
    }
}

void table_shrunk(struct shadow *s, mfn_t table)
{
    if (!s->shrunk || !opt_shadow_shrink || !is_table(table))
        return;
    s->shrunk = false;
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        if (page_by_id(s, id)->role.level > 1)
            shrink(s, page_by_id(s, id));
    pages_retire(s);
}
