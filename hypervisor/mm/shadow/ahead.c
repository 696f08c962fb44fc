// SPDX-License-Identifier: BSD-2-Clause
/*
 * Entries that no fault has asked for yet. With a leaf come its neighbours in an aligned window, as far as the guest
 * has accessed them; the entries of a top table that is new lead to what shadows there are. Either is worth a fault
 * for each entry that is used, and costs a look at each that is not.
 *
 * A window that grows suits a table all of which is used: each fault that it needed all the same says so. Whether that
 * is worth what it costs others only a measurement can tell (docs/measurements.md), so it is not the default.
 */
#include <hv/boot.h>
#include "internal.h"

#define AHEAD    8u               /* entries of a table that are made together */
#define TOP_WORK (PT_ENTRIES / 8) /* to look at the entries of a top table, most of which are not present */

bool opt_shadow_ahead = true;
bool opt_shadow_ahead_grows;
CMDLINE_RUNTIME("shadow_ahead", PARAM_BOOL, opt_shadow_ahead);
CMDLINE_RUNTIME("shadow_ahead_grows", PARAM_BOOL, opt_shadow_ahead_grows);

/* How many entries: a power of two. */
static unsigned int window(struct shadow_page *sp)
{
    static const uint16_t growing[] = {2 * AHEAD, 2 * AHEAD, 8 * AHEAD, 8 * AHEAD, PT_ENTRIES};
    unsigned int n = growing[sp->faults];

    if (sp->faults + 1u < ARRAY_SIZE(growing))
        sp->faults++;
    return opt_shadow_ahead_grows ? n : AHEAD;
}

void table_ahead(struct shadow *s, struct shadow_page *sp, unsigned int index)
{
    unsigned int n = window(sp), first = index & ~(n - 1), offset;
    struct guest_paging g;

    if (!opt_shadow_ahead)
        return;
    role_paging(s, sp->role, &g);
    offset = (sp->role.quadrant * PT_ENTRIES + first) * g.fmt->entry_bytes;
    for (unsigned int i = first; i < first + n && room(); i++, offset += g.fmt->entry_bytes) {
        stretch_work(1);
        if (spte_present(sp->entry[i]))
            continue;
        if (!table_sync_entry(s, sp->table, offset))
            return;
        entry_update(s, sp, &g, i, table_entry(s, sp, offset));
    }
}

/* The shadow that the entry of a top table leads to, if there is one already. */
static void lead(struct shadow *s, struct shadow_page *top, const struct guest_paging *g, unsigned int index, gpte_t e)
{
    union shadow_role role = top->role;
    struct shadow_page *child;
    struct p2m_entry p;

    if (!entry_usable(g, role.level, e, false))
        return;
    stretch_work(1);
    p = p2m_lookup_locked(s->d, guest_entry_gfn(g, role.level, e));
    role.level--;
    role_set_rights(&role, role.wp ? RIGHTS_ALL : rights_through(role_rights(role), e, g->nx));
    child = p2m_is_ram(p.type) ? page_find(s, p.mfn, role) : NULL;
    if (child && table_protect(s, p.mfn))
        spte_set(s, top, index, spte_table(top->role, e, page_mfn(child)));
}

void tables_ahead(struct shadow *s, struct shadow_page *top)
{
    struct guest_paging g;

    if (!opt_shadow_ahead || !unsync_caught_up(s) || room() < TOP_WORK)
        return;
    top->fresh = false;
    stretch_work(TOP_WORK);
    role_paging(s, top->role, &g);
    for (unsigned int i = 0; i < PT_ENTRIES && room(); i++) {
        gpte_t e = table_entry(s, top, i * g.fmt->entry_bytes);

        if ((e.n & PTE_P) && !spte_present(top->entry[i]))
            lead(s, top, &g, i, e);
    }
}
