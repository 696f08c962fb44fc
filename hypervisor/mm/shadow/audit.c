// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every shadow entry against what it was made from. Numbers are those of docs/invariants.md. One page at a time, with
 * the lock: what is found is true whatever the guest does meanwhile.
 */
#include <hv/sched.h>
#include "internal.h"

struct look {
    struct shadow *s;
    const struct shadow_page *sp;
    struct guest_paging g;
    struct audit_log *log;
    unsigned int index;
};

static void broken(struct look *l, const char *rule, const char *what)
{
    audit_note(l->log, l->s->d,
               &(struct audit_found){rule, what, has_table(l->sp) ? get_gpfn_from_mfn(l->sp->table) : l->sp->base.n,
                                     l->sp->entry[l->index].n, l->index});
}

/* The guest's entry behind this one. */
static gpte_t guest_entry(const struct look *l)
{
    const struct shadow_page *sp = l->sp;
    unsigned int n = l->index;

    if (sp->role.levels == 2)
        n = (sp->role.quadrant * PT_ENTRIES + n) / sp->role.level;
    return table_entry(l->s, sp, n * l->g.fmt->entry_bytes);
}

static void look_at_links(struct look *l)
{
    const struct shadow *s = l->s;
    entry_ref r = ref_of(l->sp, l->index);
    const struct entry_link *link = &l->sp->link[l->index];

    if (!link->next || ref_page(s, link->next)->link[link->next % PT_ENTRIES].prev != r ||
        ref_page(s, link->prev)->link[link->prev % PT_ENTRIES].next != r)
        broken(l, "H2", "not a member of a list");
}

/* Rights beyond those that the guest's entry gives here. */
static bool excess(spte_t e, uint64_t rights)
{
    return (e.n & ~rights & RIGHTS_ALL) || (rights & ~e.n & PTE_NX);
}

/*
 * Is the protection of a table complete, if it has one? That may take several stretches, between which the guest runs,
 * and an audit may come; before that nothing leads to a shadow of it, and none has an entry.
 */
static bool in_force(const struct shadow *s, mfn_t table)
{
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table)
        if (page_by_id(s, id)->parents || page_by_id(s, id)->used)
            return !is_unsynced(s, table);
    return false;
}

/* A round that makes clean what counted as dirty as a whole is the one time when a leaf may be late. */
static bool unlogged(const struct look *l, gfn_t gfn)
{
    const struct logdirty *log = &l->s->d->logdirty;

    return log->state == LOGDIRTY_ON && !log->round.all && logdirty_is_clean(l->s->d, gfn);
}

static void look_at_leaf(struct look *l)
{
    const struct shadow_page *sp = l->sp;
    unsigned int order = 9 * (sp->role.level - 1);
    spte_t e = sp->entry[l->index];
    uint64_t rights = role_rights(sp->role);
    struct p2m_entry p;
    gfn_t gfn;

    if (has_table(sp)) {
        gpte_t ge = guest_entry(l);

        gfn = guest_entry_gfn(&l->g, sp->role.level, ge);
        if (sp->role.levels == 2 && sp->role.level == 2)
            gfn.n += (l->index & 1) * REGION_FRAMES;
        rights = rights_through(rights, ge, sp->role.nx);
        if (!(ge.n & PTE_P) || !(ge.n & PTE_A) || ((e.n & PTE_RW) && !(ge.n & PTE_D)))
            broken(l, "H1", "leaf of an entry that is not there, not accessed or not dirty");
    } else if (is_tlb(sp)) { /* of an entry of then, but the P2M of now */
        if (e.n & SPTE_BORROWED)
            return;
        gfn = _gfn(get_gpfn_from_mfn(spte_mfn(e)));
    } else {
        gfn = _gfn(sp->base.n + ((uint64_t)l->index << order));
    }
    p = p2m_lookup_locked(l->s->d, gfn);
    if (!mfn_eq(p.mfn, spte_mfn(e)))
        broken(l, "H1", "leaf of another frame than the P2M has");
    if (sp->role.wp && excess(e, rights))
        broken(l, "H1", "leaf with rights that the guest does not give");
    if ((e.n & PTE_RW) && p.type != P2M_RAM_RW && p.type != P2M_GRANT_RW && p.type != P2M_FOREIGN &&
        p.type != P2M_MMIO_DIRECT)
        broken(l, "H1", "writable leaf of memory that is not");
    if (sp->role.level == 1 && p2m_is_ram(p.type) && (e.n & PTE_RW) && in_force(l->s, p.mfn))
        broken(l, "H3", "writable leaf of a shadowed table");
    if (p2m_is_ram(p.type) && (e.n & PTE_RW) && unlogged(l, gfn))
        broken(l, "L1", "writable leaf of memory that is clean");
}

static void look_at_table(struct look *l)
{
    const struct shadow_page *sp = l->sp, *child = page_of_frame(l->s, spte_mfn(sp->entry[l->index]));
    gpte_t e;

    if (!child->parents || child->role.level != sp->role.level - 1 ||
        !mfn_eq(page_mfn(child), spte_mfn(sp->entry[l->index])))
        broken(l, "H2", "entry that names no table of the level below");
    if (!has_table(sp) || sp->role.level > l->g.fmt->levels)
        return;
    e = guest_entry(l);
    if (!(e.n & PTE_P) || !(e.n & PTE_A) || child->role.direct != guest_maps_page(&l->g, sp->role.level, e))
        broken(l, "H1", "table of an entry that is not there or not accessed");
    if (!child->role.direct &&
        !mfn_eq(child->table, p2m_lookup_locked(l->s->d, guest_entry_gfn(&l->g, sp->role.level, e)).mfn))
        broken(l, "H1", "entry for another table than the guest's names");
    if (sp->role.wp && excess(sp->entry[l->index], rights_through(RIGHTS_ALL, e, sp->role.nx)))
        broken(l, "H1", "entry with rights that the guest does not give");
}

/* The hypervisor's part of a PV vCPU's root: as in the guest's own table. */
static void look_at_fixed(struct look *l)
{
    for (unsigned int i = HYPERVISOR_L4_FIRST; has_table(l->sp) && i <= HYPERVISOR_L4_LAST; i++)
        if ((l->sp->entry[i].n & ~SPTE_FIXED) != table_entry(l->s, l->sp, i * sizeof(pte_t)).n)
            broken(l, "H1", "a slot of the hypervisor is not its own");
}

/* Leaves of 2 MiB that cover the table: listed in their first frame. */
static void look_for_cover(struct look *l)
{
    mfn_t first = _mfn(l->sp->table.n & ~(uint64_t)(REGION_FRAMES - 1));

    if (in_force(l->s, l->sp->table) && mfn_valid(first) && mfn_to_page(first)->owner == l->s->d &&
        mfn_to_page(first)->shadow.rmap_2m)
        broken(l, "H3", "a leaf of 2 MiB covers a shadowed table");
}

static void look_at_page(struct look *l)
{
    unsigned int used = 0;

    role_paging(l->s, l->sp->role, &l->g);
    for (l->index = 0; l->index < PT_ENTRIES; l->index++) {
        spte_t e = l->sp->entry[l->index];

        if (!spte_present(e))
            continue;
        used++;
        look_at_links(l);
        if (spte_is_leaf(e, l->sp->role.level))
            look_at_leaf(l);
        else
            look_at_table(l);
    }
    l->index = 0;
    if (l->s->d->identity && l->sp->role.level == GUEST_LEVELS)
        look_at_fixed(l);
    if (used != l->sp->used)
        broken(l, "H2", "wrong number of entries");
    if (has_table(l->sp) && !is_table(l->sp->table))
        broken(l, "H3", "shadow of a frame that is no table");
    if (has_table(l->sp))
        look_for_cover(l);
    if (has_table(l->sp) && is_unsynced(l->s, l->sp->table) && (l->sp->role.level != 1 || !l->sp->unsynced))
        broken(l, "H5", "table out of sync with a shadow that does not know");
}

/* Frames of the pool that are out for shadows, and all of them. */
static void look_at_pool(const struct shadow *s, struct audit_log *log)
{
    struct paging_pool *pool = s->d->paging_pool;
    unsigned long frames = 2ul * s->pages + s->nr_ids / PAGES_PER_BLOCK;
    bool sum;

    frames += s->nr_unsynced;
    for (unsigned int i = 0; i < REGION_PAGES; i++)
        frames += s->region[i] != NULL;
    spin_lock(&pool->lock);
    sum = pool->size == pool->free + pool->used[PAGING_P2M] + pool->used[PAGING_SHADOW] + pool->used[PAGING_LOGDIRTY];
    spin_unlock(&pool->lock);
    if (!sum)
        audit_note(log, s->d, &(struct audit_found){.rule = "M1", .what = "the pool's frames do not add up"});
    if (frames != pool->used[PAGING_SHADOW])
        audit_note(log, s->d, &(struct audit_found){.rule = "H4", .what = "frames that no shadow is made of"});
}

static int audit(struct shadow *s, struct shadow_audit *a)
{
    if (s->behind && shadows_blow(s))
        return -ERESTART;
    for (; a->next < s->nr_ids; a->next++) {
        struct look l = {.s = s,
                         .log = &a->broken,
                         .sp = page_by_id(s, (uint32_t)array_index_nospec(a->next, s->nr_ids))};

        if (!a->next || !l.sp->entry)
            continue;
        if (room() < PT_ENTRIES)
            return -ERESTART;
        look_at_page(&l);
        stretch_work(PT_ENTRIES);
        a->tables++;
        a->entries += l.sp->used;
    }
    if (room() < REGION_PAGES / 8)
        return -ERESTART;
    look_at_pool(s, &a->broken);
    stretch_work(REGION_PAGES / 8);
    return 0;
}

int shadow_audit(struct domain *d, struct shadow_audit *a)
{
    int rc;

    do {
        rc = shadow_lock(d);
        if (rc)
            return rc;
        rc = audit(d->shadow, a);
        shadow_unlock(d->shadow);
    } while (rc == -ERESTART && !preempt_needed());
    return rc;
}
