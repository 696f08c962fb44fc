// SPDX-License-Identifier: BSD-2-Clause
/*
 * The reference mode, shadow=vtlb: the minimal recipe. A vCPU's shadows are a TLB in software and nothing else. It
 * begins empty; a fault walks the guest's tables and inserts what they say; INVLPG and every load of CR0, CR3, CR4 or
 * EFER empties it. The guest's tables are memory like any other: none is protected, no store to one is noticed, and
 * vCPUs share nothing. So an entry says what the guest's tables said at some time since the vCPU's last flush, as one
 * of hardware's TLB does; the P2M is followed at once in this mode too.
 *
 * All is done by the code of the other mode, for which these are pages without a table of the guest's (role.direct):
 * nobody finds them but through the entry that names them. Upper levels give all rights; a leaf has those of the walk
 * as a whole. To empty the TLB is to empty the root: what hung there is the first to be reused, page by page
 * (unlink_entry), so that the work of one flush does not depend on how much was in it.
 *
 * Obviously right, and slow: it is what the other mode is compared with.
 */
#include <hv/boot.h>
#include <hv/lib.h>
#include "internal.h"

static bool wanted;

static int parse_shadow(const char *value)
{
    wanted = !strcmp(value, "vtlb");
    return wanted ? 0 : -EINVAL;
}
CMDLINE_CUSTOM("shadow", parse_shadow);

bool shadow_vtlb(void)
{
    return wanted;
}

/* A fault takes with it what the TLB has for the address: AMD64 manual volume 2, section 5.5.2. */
void vtlb_fault(struct shadow_vcpu *v, uint64_t linear)
{
    struct shadow *s = v->s;
    struct shadow_page *sp;

    vcpu_lock(v, SHADOW_LOCK_REFLECT);
    for (sp = v->root; sp;) {
        unsigned int level = sp->role.level, index = (linear >> (PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1);
        spte_t e = sp->entry[index];

        if (!spte_present(e))
            break;
        if (spte_is_leaf(e, level)) {
            spte_set(s, sp, index, _spte(0));
            shadow_flush(s);
            break;
        }
        sp = page_of_frame(s, spte_mfn(e));
    }
    shadow_unlock(s);
}
