// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which shadow entry a guest's entry makes. Pure; all that is decided about rights is decided here.
 */
#include "spte.h"

spte_t spte_table(union shadow_role parent, gpte_t e, mfn_t child)
{
    uint64_t flags = PTE_P;

    if (parent.level == 2 || parent.levels == 4) /* not a PAE root */
        flags |= PTE_A | (parent.wp && !parent.direct ? rights_through(RIGHTS_ALL, e, parent.nx) : RIGHTS_ALL);
    return _spte((child.n << PAGE_SHIFT) | flags);
}

static bool may_write(const struct spte_leaf *l)
{
    return l->dirty && (l->p2m.type == P2M_RAM_RW || l->p2m.type == P2M_GRANT_RW || l->p2m.type == P2M_FOREIGN ||
                        l->p2m.type == P2M_MMIO_DIRECT);
}

/*
 * Without WP a supervisor's store goes through a read-only entry. Hardware runs with WP set, so the entry is writable:
 * at once for a supervisor's page, which nobody else reaches; for a user page only after a store, and then user mode
 * is locked out until it faults. SMEP must go on to forbid execution there.
 */
static uint64_t without_wp(const struct spte_leaf *l)
{
    uint64_t rights = l->rights;

    if (rights & PTE_RW)
        return rights;
    if (!(rights & PTE_US))
        return rights | PTE_RW;
    if (!l->store)
        return rights;
    return ((rights | PTE_RW) & ~PTE_US) | (l->role.smep ? PTE_NX : 0);
}

spte_t spte_leaf(const struct spte_leaf *l)
{
    uint64_t e = l->role.wp ? l->rights : without_wp(l);

    if (l->p2m.type == P2M_MMIO_DM)
        return _spte(0);
    if (!may_write(l))
        e &= ~PTE_RW;
    if (l->watched && (e & PTE_RW))
        e ^= PTE_RW | SPTE_HELD;
    if (!p2m_is_ram(l->p2m.type))
        e |= SPTE_BORROWED;
    if (p2m_is_borrowed(l->p2m.type))
        e |= PTE_NX;
    if (l->p2m.type == P2M_MMIO_DIRECT)
        e |= PTE_NX | PTE_PCD;
    if (l->role.level > 1)
        e |= PTE_PSE;
    if (!l->harvested || !(e & PTE_RW) || !p2m_is_ram(l->p2m.type))
        e |= PTE_D;
    return _spte((l->p2m.mfn.n << PAGE_SHIFT) | PTE_P | PTE_A | e);
}
