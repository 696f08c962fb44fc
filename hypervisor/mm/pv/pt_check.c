// SPDX-License-Identifier: BSD-2-Clause
/*
 * CHECK: may this entry stand in a table of this level, and what has to be held for it? Decides from the entry and
 * from facts that do not change (which frames are RAM, permissions); takes no reference and changes nothing. Who owns
 * a frame, and its type, are settled by pt_acquire.
 *
 * The 64-bit ABI. Guest kernel and user mode both run in ring 3, so the US bit is forced on at every level; the guest
 * keeps the modes apart by two L4 tables. The G bit is taken out of L1 entries: the hypervisor switches between the
 * two by loading CR3 and counts that as a flush. Entries that are not present may hold anything.
 *
 * Deliberately not here: superpages for guests (PSE is refused; bit 7 of an L1 entry is PAT), protection of hosts with
 * the L1TF flaw from the addresses in entries that are not present.
 */
#include "pt.h"

/* Bits that are reserved or have no meaning the hypervisor could vouch for in L2, L3 and L4 entries. */
#define UPPER_REFUSED (PTE_PWT | PTE_PCD | PTE_PSE | PTE_G)
#define CACHE_ATTRS   (PTE_PWT | PTE_PCD | PTE_PAT)

static bool bad_nx(pte_t e)
{
    return (e.n & PTE_NX) && !cpu_features.nx;
}

static int check_upper(struct domain *pt_owner, unsigned int level, pte_t e, struct pt_plan *plan)
{
    if ((e.n & UPPER_REFUSED) || bad_nx(e) || !mfn_valid(pte_mfn(e)))
        return -EINVAL;
    plan->kind = PLAN_FRAME;
    plan->type = (enum page_type)(level - 1);
    plan->owner = pt_owner;
    plan->entry = _pte(e.n | PTE_US);
    return 0;
}

/* The domain that gets the access must have the permission, and so must the one in whose name it is asked for. */
static int check_mmio(const struct domain *pt_owner, const struct domain *pg_owner, pte_t e)
{
    mfn_t m = pte_mfn(e);

    if (m.n >> (cpu_features.phys_bits - PAGE_SHIFT) || !iomem_permitted(pt_owner, m))
        return -EPERM;
    if (pg_owner != pt_owner && pg_owner != dom_io && !iomem_permitted(pg_owner, m))
        return -EPERM;
    return 0;
}

static int check_l1(struct domain *pt_owner, struct domain *pg_owner, pte_t e, struct pt_plan *plan)
{
    if (bad_nx(e))
        return -EINVAL;
    if ((e.n & CACHE_ATTRS) && !pt_owner->is_control)
        return -EINVAL;
    plan->entry = _pte((e.n | PTE_US) & ~PTE_G);
    if (!mfn_valid(pte_mfn(e))) {
        plan->kind = PLAN_MMIO;
        return check_mmio(pt_owner, pg_owner, e);
    }
    if (pg_owner == dom_xen && (e.n & PTE_RW))
        return -EPERM;
    plan->kind = PLAN_FRAME;
    plan->type = (e.n & PTE_RW) ? PT_WRITABLE : PT_NONE;
    plan->owner = pg_owner;
    return 0;
}

int pt_check(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t entry, struct pt_plan *plan)
{
    *plan = (struct pt_plan){.entry = entry, .kind = PLAN_EMPTY, .type = PT_NONE};
    if (!(entry.n & PTE_P))
        return 0;
    if (level == 1)
        return check_l1(pt_owner, pg_owner, entry, plan);
    /* Tables are never shared between domains. */
    return pg_owner == pt_owner ? check_upper(pt_owner, level, entry, plan) : -EPERM;
}
