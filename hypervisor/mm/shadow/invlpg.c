// SPDX-License-Identifier: BSD-2-Clause
/*
 * INVLPG, which exits while a table is out of sync. It is about one address, so one entry is compared with the guest's
 * and made anew if it differs: the next access takes no fault. Upper levels are in sync.
 *
 * A shadow that does not lead to the address now may do so later, and has its entries from before. So the time is
 * noted (s->partial), and an old shadow is linked into a tree again only when all tables out of sync have been compared
 * since then (unsync_caught_up).
 *
 * Deliberately not here: the processor's own TLB (hvm/exit.c).
 */
#include <hv/boot.h>
#include "internal.h"

bool opt_shadow_invlpg = true;
CMDLINE_RUNTIME("shadow_invlpg", PARAM_BOOL, opt_shadow_invlpg);

static unsigned int index_of(uint64_t linear, unsigned int level)
{
    return (unsigned int)(linear >> (PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1);
}

/* The table of the last level that hardware finds for the address; NULL: none. */
static struct shadow_page *last_table(const struct shadow_vcpu *v, uint64_t linear)
{
    struct shadow_page *sp = v->root;

    while (sp && sp->role.level > 1) {
        spte_t e = sp->entry[index_of(linear, sp->role.level)];

        sp = spte_present(e) && !spte_is_leaf(e, sp->role.level) ? page_of_frame(v->s, spte_mfn(e)) : NULL;
    }
    return sp;
}

static bool sync_address(const struct shadow_vcpu *v, uint64_t linear)
{
    const struct shadow_page *sp = last_table(v, linear);
    unsigned int n;

    if (!sp || !has_table(sp))
        return true;
    n = sp->role.quadrant * PT_ENTRIES + index_of(linear, 1);
    return table_sync_entry(v->s, sp->table, n * (sp->role.levels == 2 ? 4 : 8));
}

bool shadow_invlpg(struct shadow_vcpu *v, uint64_t linear)
{
    struct shadow *s = v->s;
    bool done;

    if (!opt_shadow_invlpg || has_tlb(v))
        return false;
    vcpu_lock(v, SHADOW_LOCK_INVLPG);
    done = sync_address(v, linear);
    if (done)
        s->partial = ++s->clock;
    shadow_unlock(s);
    return done;
}
