// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which tables out of sync a flush is about: those that the vCPU can reach from its root. The tables of other address
 * spaces wait until their root is loaded; before a shadow comes to stand in another tree, all are compared
 * (unsync_caught_up). What has several entries that name it somewhere on its way counts as reached by all.
 */
#include <hv/boot.h>
#include "internal.h"

bool opt_shadow_reach = true;
CMDLINE_RUNTIME("shadow_reach", PARAM_BOOL, opt_shadow_reach);

bool page_has_one_parent(const struct shadow *s, const struct shadow_page *sp)
{
    entry_ref r = sp->parents;

    return r && ref_page(s, r)->link[r % PT_ENTRIES].next == r;
}

bool table_in_reach(const struct shadow_vcpu *v, mfn_t table)
{
    const struct shadow_page *sp = page_of_frame(v->s, table);

    if (!opt_shadow_reach || sp->next_of_table)
        return true;
    while (page_has_one_parent(v->s, sp))
        sp = ref_page(v->s, sp->parents);
    return sp->parents || sp == v->root;
}
