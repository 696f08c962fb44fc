/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An entry of a shadow table, which hardware walks.
 *
 *   bits        meaning
 *   P RW US NX  as hardware has them: of a leaf what the guest's entry, the P2M and protection allow together
 *   A, D        always set, so that hardware never changes an entry; but D of a writable leaf of RAM is hardware's
 *               while it is harvested (harvest.c)
 *   PSE         a leaf of 2 MiB, in a table of level 2
 *   HELD        leaf: read-only only because stores to its frame are to be noticed, above all because a table is in it
 *   BORROWED    leaf: another domain's memory, or the device's; not in the reverse map of its frame
 *   FIXED       in the root of a PV vCPU: the hypervisor's own, which leads to no shadow and is in no list
 *   PCD         device memory; RAM is write-back whatever the guest says
 *   G, PWT      never: roots are switched without a flush of global entries
 *
 * The four entries of a PAE root are P and an address only. An entry without P is 0.
 */
#ifndef MM_SHADOW_SPTE_H
#define MM_SHADOW_SPTE_H

#include <hv/p2m.h>
#include <hv/guest_fmt.h>

BOXED(spte_t, _spte, spte_x)

#define SPTE_BORROWED (1ull << 9)
#define SPTE_HELD     (1ull << 10)
#define SPTE_FIXED    (1ull << 11)
static_assert(((SPTE_BORROWED | SPTE_HELD | SPTE_FIXED) & ~PTE_AVAIL) == 0,
              "bits that hardware ignores in each format");

/* Rights of a translation as far as it is known: PTE_RW, PTE_US, PTE_NX. */
#define RIGHTS_ALL  (PTE_RW | PTE_US)
#define RIGHTS_MASK (PTE_RW | PTE_US | PTE_NX)

/*
 * What a shadow table was made for, beside its frame: two with the same frame and role are one.
 *
 * With CR0.WP the rights of each level stand in the shadow of that level, as in the guest. Without it a leaf may need
 * more rights than the levels above it give, so these give all and the leaf has what is left: then the table depends on
 * what leads to it (access).
 */
union shadow_role {
    struct {
        uint32_t level : 3;    /* of the shadow */
        uint32_t levels : 3;   /* of the guest's format; 0: paging is off */
        uint32_t quadrant : 2; /* which part of a table of 1024 entries */
        uint32_t direct : 1;   /* no guest table: a part of a large page, or of guest physical memory */
        uint32_t wp : 1, nx : 1, pse : 1;
        uint32_t smep : 1, smap : 1;     /* without WP only */
        uint32_t rw : 1, us : 1, xd : 1; /* rights that lead here: all with WP, but for direct ones */
    };
    uint32_t n;
};

static inline uint64_t role_rights(union shadow_role r)
{
    return (r.rw ? PTE_RW : 0) | (r.us ? PTE_US : 0) | (r.xd ? PTE_NX : 0);
}

static inline void role_set_rights(union shadow_role *r, uint64_t rights)
{
    r->rw = !!(rights & PTE_RW);
    r->us = !!(rights & PTE_US);
    r->xd = !!(rights & PTE_NX);
}

/* Rights after one more entry on the way. */
static inline uint64_t rights_through(uint64_t rights, gpte_t e, bool nx)
{
    return (rights & e.n & RIGHTS_ALL) | (nx ? (rights | e.n) & PTE_NX : 0);
}

/* Is it one that was made from a guest's? */
static inline bool spte_present(spte_t e)
{
    return (e.n & (PTE_P | SPTE_FIXED)) == PTE_P;
}

static inline mfn_t spte_mfn(spte_t e)
{
    return _mfn((e.n & PTE_ADDR) >> PAGE_SHIFT);
}

static inline bool spte_is_leaf(spte_t e, unsigned int level)
{
    return level == 1 || (e.n & PTE_PSE);
}

/* Of a table that the guest's entry e names, or of direct ones below the large page that it maps. */
spte_t spte_table(union shadow_role parent, gpte_t e, mfn_t child);

struct spte_leaf {
    union shadow_role role; /* of the table that it stands in */
    uint64_t rights;        /* of the translation: all levels without WP, else those that this entry has to give */
    bool dirty;             /* the guest's D is set */
    bool store;             /* made for a supervisor's store: without WP, a read-only page of user mode becomes his */
    bool watched;   /* stores are to be noticed: a shadowed table is in it, or it is clean while they are logged */
    bool harvested; /* D is to be hardware's */
    struct p2m_entry p2m;
};
/* An entry of role.level; 0 if the P2M has no memory there. */
spte_t spte_leaf(const struct spte_leaf *l);

#endif
