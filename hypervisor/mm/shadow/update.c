// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest table is stored to: what was made from the entries concerned comes before. A leaf is made anew, which
 * saves the fault that the guest's next access would take; an entry that names a table goes unless it still names the
 * same, and comes back with the next fault.
 */
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

#define FLOOD 3u /* stores to a table that nobody walks through: it is one no more, or its end has come */

void role_paging(const struct shadow *s, union shadow_role role, struct guest_paging *g)
{
    uint64_t cr4 = role.levels == 2 ? (role.pse ? CR4_PSE : 0) : CR4_PAE;

    *g = (struct guest_paging){0};
    guest_paging_set(g, &s->cpu, CR0_PE | (role.levels ? CR0_PG : 0) | (role.wp ? CR0_WP : 0),
                     cr4 | (role.smep ? CR4_SMEP : 0) | (role.smap ? CR4_SMAP : 0),
                     (role.levels == 4 ? EFER_LMA : 0) | (role.nx ? EFER_NXE : 0));
}

bool entry_usable(const struct guest_paging *g, unsigned int level, gpte_t e, bool page)
{
    return (e.n & PTE_P) && (e.n & PTE_A) && !(e.n & (page ? g->reserved_page : g->reserved_table)[level]);
}

static spte_t made_leaf(struct shadow *s, const struct shadow_page *sp, const struct guest_paging *g, gpte_t e)
{
    gfn_t gfn = guest_entry_gfn(g, 1, e);
    struct spte_leaf l = {.role = sp->role, .dirty = e.n & PTE_D};

    if (!entry_usable(g, 1, e, true))
        return _spte(0);
    l.rights = rights_through(role_rights(sp->role), e, g->nx);
    l.p2m = p2m_lookup_locked(s->d, gfn);
    l.watched = is_watched(s, gfn, &l.p2m);
    l.harvested = s->d->logdirty.harvest;
    return spte_leaf(&l);
}

/* What is left of an entry that names a table. */
static spte_t kept_table(const struct shadow *s, const struct shadow_page *sp, const struct guest_paging *g, gpte_t e,
                         spte_t old)
{
    unsigned int level = sp->role.level;
    const struct shadow_page *child;
    mfn_t table;

    if (!spte_present(old) || spte_is_leaf(old, level) || !entry_usable(g, level, e, false) ||
        guest_maps_page(g, level, e))
        return _spte(0);
    child = page_of_frame(s, spte_mfn(old));
    table = p2m_lookup_locked(s->d, guest_entry_gfn(g, level, e)).mfn;
    if (child->role.direct || !mfn_eq(child->table, table))
        return _spte(0);
    if (!sp->role.wp && role_rights(child->role) != rights_through(role_rights(sp->role), e, g->nx))
        return _spte(0);
    return spte_table(sp->role, e, spte_mfn(old));
}

static void update_table(struct shadow *s, struct shadow_page *sp, const struct guest_paging *g, unsigned int index,
                         gpte_t e)
{
    spte_t old = sp->entry[index];
    struct shadow_page *child;

    spte_set(s, sp, index, kept_table(s, sp, g, e, old));
    if (!spte_present(old) || spte_is_leaf(old, sp->role.level))
        return;
    child = page_of_frame(s, spte_mfn(old));
    if (!child->parents && has_table(child) && !child->roots)
        page_orphan(s, child);
    s->shrunk |= !spte_present(sp->entry[index]);
}

void entry_update(struct shadow *s, struct shadow_page *sp, const struct guest_paging *g, unsigned int index, gpte_t e)
{
    if (sp->role.level == 1)
        spte_set(s, sp, index, made_leaf(s, sp, g, e));
    else
        update_table(s, sp, g, index, e);
}

/* Entry n of the guest's table: none, one or two of the shadow's. */
static void update(struct shadow *s, struct shadow_page *sp, const struct guest_paging *g, unsigned int n)
{
    unsigned int quadrant = 0, first = n, count = 1;
    gpte_t e = table_entry(s, sp, n * g->fmt->entry_bytes);

    if (sp->role.levels == 2) {
        count = sp->role.level; /* one of level 2 covers 4 MiB */
        quadrant = n * count / PT_ENTRIES;
        first = n * count % PT_ENTRIES;
    }
    for (unsigned int i = 0; i < count && quadrant == sp->role.quadrant; i++)
        entry_update(s, sp, g, first + i, e);
}

/* Before its table is protected a shadow gets no entry: the guest might store to the table after that, unseen. */
static void follow(struct shadow *s, struct shadow_page *sp, unsigned int offset, unsigned int bytes)
{
    struct guest_paging g;

    if (sp->open && !sp->unsynced)
        return;
    role_paging(s, sp->role, &g);
    for (unsigned int n = offset / g.fmt->entry_bytes; n <= (offset + bytes - 1) / g.fmt->entry_bytes; n++)
        update(s, sp, &g, n);
}

void table_follow(struct shadow *s, mfn_t table, unsigned int offset, unsigned int bytes)
{
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table) {
        follow(s, page_by_id(s, id), offset, bytes);
        stretch_work(bytes / sizeof(uint32_t)); /* at most */
    }
}

/*
 * To follow each byte of a page takes as long as 16 tables of 512 entries take, and who stores, a hypercall, cannot
 * stop half-way. So all vCPUs leave the guest, it stores, and nobody enters the guest until all shadows have gone: in
 * as many stretches as that takes.
 */
void table_overwritten(struct shadow *s, mfn_t table)
{
    if (is_unsynced(s, table)) {
        table_stored(s, table);
        return;
    }
    s->count.stores++;
    s->blow = 0; /* one under way may have been where this table's shadows are not any more */
    WRITE_ONCE(s->behind, true);
    has_lost(s);
    shadow_flush(s); /* whoever is in the guest comes out for it, and waits for the lock */
}

/* Nobody stores to an entry like that: to two at once, or to a small part that is not where its flags are. */
static bool is_no_entry(const struct shadow_page *sp, unsigned int offset, unsigned int bytes)
{
    unsigned int size = sp->role.levels == 2 ? 4 : 8, at = offset % size;

    return at + bytes > size || (bytes < 4 && (at || bytes > 1));
}

void table_written(struct shadow *s, mfn_t table, unsigned int offset, unsigned int bytes)
{
    bool no_table = false;

    if (is_unsynced(s, table)) {
        table_stored(s, table);
        return;
    }
    s->count.stores++;
    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table) {
        struct shadow_page *sp = page_by_id(s, id);

        follow(s, sp, offset, bytes);
        stretch_work(STORE_EACH);
        no_table |= ++sp->stores > FLOOD || is_no_entry(sp, offset, bytes);
    }
    if (no_table)
        (void)table_unshadow(s, table); /* what is left goes with the next store */
    pages_retire(s);
}
