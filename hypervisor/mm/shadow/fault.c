// SPDX-License-Identifier: BSD-2-Clause
/*
 * A page fault. First, and without a lock, the guest's own tables are walked: a fault that is the guest's goes back to
 * it from there. Then, with the lock, the way down: each table on it is shadowed if it is not, protected, and its entry
 * looked at again, since it may have been stored to before it was protected. One fault makes all levels down to the
 * leaf.
 *
 * Whatever is not finished is left as it is and the access tried again: the next fault finds what this one has done. So
 * no fault works longer than one slice, however many mappings there are to be protected or pages to be freed.
 */
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

struct fill {
    struct shadow_vcpu *v;
    struct shadow *s;
    struct shadow_fault *f;
    struct guest_walk w;
    struct p2m_entry p2m; /* of w.gfn */
    struct shadow_page *way[GUEST_LEVELS + 1];
};

static bool is_store(const struct fill *c)
{
    return c->f->access & PFEC_W;
}

/* ---- what no entry can give ---- */

/*
 * Without WP, a supervisor's store to a read-only page of user mode. With SMAP an entry for it allows too much: the
 * supervisor needs no AC for that page then, until user mode uses it or WP is set. So the store is emulated if it can
 * be.
 */
static bool past_smap(const struct fill *c)
{
    const struct guest_paging *g = &c->v->paging;

    return !c->f->not_emulated && is_store(c) && !(c->f->access & PFEC_U) && g->fmt && !g->wp && g->smap &&
           (c->w.rights & PTE_US) && !(c->w.rights & PTE_RW);
}

/* The guest goes through the frame itself to reach this address. */
static bool on_its_own_way(const struct fill *c)
{
    const struct guest_fmt *fmt = c->v->paging.fmt;

    for (unsigned int level = fmt ? fmt->levels : 0; level && level >= c->w.level; level--)
        if (fmt->level[level].accessed && c->w.slot[level].n >> PAGE_SHIFT == c->w.gfn.n)
            return true;
    return false;
}

/* A supervisor's store to a table: is it not for us to see from now on? */
static bool leave_table(struct fill *c)
{
    struct shadow_page *sp = page_of_frame(c->s, c->p2m.mfn);

    if (c->f->access & PFEC_U)
        return false;
    if (c->v->reflected == (c->f->gpa.n & ~7ul)) /* the answer to a fault: more are to come, one by one */
        sp->stores = 0;
    return (sp->stores || !sp->parents) && table_unsync(c->s, c->p2m.mfn);
}

static enum shadow_result special(struct fill *c)
{
    bool ram = p2m_is_ram(c->p2m.type);

    c->f->table = false;
    c->f->gpa = _gpa((c->w.gfn.n << PAGE_SHIFT) | (c->f->linear & (PAGE_SIZE - 1)));
    if (p2m_refuses(c->p2m.type, is_store(c), c->f->access & PFEC_I))
        return SHADOW_MMIO;
    if (!is_store(c))
        return SHADOW_FIXED;
    if (c->p2m.type == P2M_LOGDIRTY || past_smap(c))
        return SHADOW_EMULATE;
    if (!ram || !is_protected(c->s, c->p2m.mfn) || leave_table(c))
        return SHADOW_FIXED;
    c->f->table = true;
    /* User mode does not store to page tables: it is none any more. */
    if ((c->f->access & PFEC_U) && !on_its_own_way(c) && table_unshadow(c->s, c->p2m.mfn) && !is_table(c->p2m.mfn))
        return SHADOW_FIXED;
    return SHADOW_EMULATE;
}

/* ---- the way down ---- */

static unsigned int index_at(const struct fill *c, unsigned int level)
{
    return (unsigned int)(c->f->linear >> (PAGE_SHIFT + 9 * (level - 1))) & (PT_ENTRIES - 1);
}

/* Does the guest have an entry of its own for this page's? */
static bool has_guest_entry(const struct fill *c, const struct shadow_page *sp)
{
    return has_table(sp) && c->v->paging.fmt;
}

/* Is it still what the walk found? */
static bool entry_stands(const struct fill *c, const struct shadow_page *sp)
{
    unsigned int level = sp->role.level, offset;

    if (!has_guest_entry(c, sp))
        return true;
    offset = (unsigned int)c->w.slot[level].n & (PAGE_SIZE - 1);
    return table_sync_entry(c->s, sp->table, offset) && table_entry(c->s, sp, offset).n == c->w.entry[level].n;
}

static uint64_t rights_below(const struct fill *c, const struct shadow_page *sp)
{
    if (sp->role.wp)
        return RIGHTS_ALL;
    return has_guest_entry(c, sp) ? rights_through(role_rights(sp->role), c->w.entry[sp->role.level], sp->role.nx)
                                  : role_rights(sp->role);
}

static union shadow_role role_below(const struct fill *c, const struct shadow_page *sp)
{
    unsigned int level = sp->role.level - 1, quadrant = 0;
    bool direct = sp->role.direct || !sp->role.levels || c->w.level > level;
    union shadow_role r = sp->role;

    if (r.levels == 2 && !direct)
        quadrant = (unsigned int)(c->f->linear >> (level == 2 ? 30 : 21)) & (level == 2 ? 3 : 1);
    r.level = level;
    r.direct = direct;
    r.quadrant = quadrant;
    role_set_rights(&r, rights_below(c, sp));
    return r;
}

/* First frame of what an entry of this level maps. */
static gfn_t first_gfn(const struct fill *c, unsigned int level)
{
    return _gfn(c->w.gfn.n & ~((1ul << (9 * (level - 1))) - 1));
}

/* A page that maps a part of guest physical memory: 0, -ERESTART, -ENOMEM. */
static int direct_below(const struct fill *c, union shadow_role role, const struct shadow_page *now,
                        struct shadow_page **out)
{
    gfn_t base = has_tlb(c->v) ? _gfn(~0ull) : first_gfn(c, role.level + 1);
    int rc = 0;

    if (now && now->role.n == role.n && now->base.n == base.n) {
        *out = (struct shadow_page *)now;
        return 0;
    }
    rc = page_make(c->s, role, out);
    if (!rc)
        (*out)->base = base;
    return rc;
}

/* A table has too many shadows: the oldest that this fault does not need is to go. */
static struct shadow_page *one_too_many(const struct shadow *s, mfn_t table)
{
    struct shadow_page *oldest = NULL;
    unsigned int n = 0;

    for (uint32_t id = mfn_to_page(table)->shadow.tables; id; id = page_by_id(s, id)->next_of_table, n++)
        if (!page_by_id(s, id)->roots && !page_by_id(s, id)->busy)
            oldest = page_by_id(s, id);
    return n < MAX_SHADOWS ? NULL : oldest;
}

/* The shadow of a guest table, protected: 0, -ERESTART, -ENOMEM; -ENXIO: no memory is there. */
static int shadow_of(struct shadow *s, gfn_t gfn, union shadow_role role, struct shadow_page **out)
{
    struct p2m_entry e = p2m_lookup_locked(s->d, gfn);
    struct shadow_page *old;
    int rc;

    if (!p2m_is_ram(e.type))
        return -ENXIO;
    *out = page_find(s, e.mfn, role);
    if (!*out) {
        old = one_too_many(s, e.mfn);
        if (old) {
            (void)page_free(s, old);
            return -ERESTART;
        }
        rc = page_make_for(s, role, e.mfn, out);
        if (rc)
            return rc;
    }
    return !is_protected(s, e.mfn) || table_protect(s, e.mfn) ? 0 : -ERESTART;
}

/*
 * It has gone since the walk; or the walk has read ones there, which are an entry like any other where 2 levels leave
 * no bit reserved. There is no table to follow, so the vCPU stands apart, and has what it read until it flushes.
 */
static int not_there(const struct fill *c, unsigned int level)
{
    if (c->v->paging.fmt == &guest_fmt_2 && c->w.entry[level].n == ~0u) {
        c->v->apart = true;
        c->s->count.apart++;
    }
    return -ERESTART;
}

/* The page that the entry of sp should lead to, and does then. */
static int step_down(struct fill *c, struct shadow_page *sp, struct shadow_page **out)
{
    unsigned int level = sp->role.level, index = index_at(c, level);
    union shadow_role role = role_below(c, sp);
    spte_t now = sp->entry[index];
    struct shadow_page *child =
        spte_present(now) && !spte_is_leaf(now, level) ? page_of_frame(c->s, spte_mfn(now)) : NULL;
    int rc;

    if (role.direct)
        rc = direct_below(c, role, child, out);
    else
        rc = shadow_of(c->s, _gfn(c->w.slot[role.level].n >> PAGE_SHIFT), role, out);
    if (rc)
        return rc == -ENXIO ? not_there(c, role.level) : rc;
    if (!entry_stands(c, *out)) /* first of all: what a table out of sync had for the address is not to be used */
        return -ERESTART;
    if (*out != child && (*out)->used && !unsync_caught_up(c->s))
        return -ERESTART;
    spte_set(c->s, sp, index, spte_table(sp->role, c->w.entry[level], page_mfn(*out)));
    return 0;
}

static bool logs_stores(const struct fill *c)
{
    return c->s->d->logdirty.state != LOGDIRTY_OFF;
}

static bool is_parted(const struct fill *c, const struct shadow_page *sp)
{
    spte_t now = sp->entry[index_at(c, sp->role.level)];

    return spte_present(now) && !spte_is_leaf(now, sp->role.level);
}

/*
 * While stores are logged a large leaf is read-only. A range that was parted for a store stays so: one leaf for a read
 * would take the right of that store away, and an instruction that does both would not get on.
 */
static bool leaf_here(const struct fill *c, const struct shadow_page *sp)
{
    const uint16_t *tables = region_tables(c->s, c->w.gfn);

    if (sp->role.level == 1)
        return true;
    if (sp->role.level != 2 || (c->v->paging.fmt && c->w.level < 2) || c->p2m.order < P2M_ORDER_2M)
        return false;
    if (logs_stores(c) && (is_store(c) || is_parted(c, sp)))
        return false;
    return c->w.gfn.n / REGION_FRAMES / REGIONS_PER_PAGE < REGION_PAGES && (!tables || !*tables);
}

static void set_leaf(struct fill *c, struct shadow_page *sp)
{
    unsigned int level = sp->role.level;
    struct spte_leaf l = {.role = sp->role, .p2m = c->p2m};

    l.rights = has_tlb(c->v)            ? c->w.rights
               : has_guest_entry(c, sp) ? rights_through(role_rights(sp->role), c->w.entry[level], sp->role.nx)
                                        : role_rights(sp->role);
    l.dirty = !c->v->paging.fmt || (c->w.entry[c->w.level].n & PTE_D);
    l.store = is_store(c) && !(c->f->access & PFEC_U);
    l.harvested = c->s->d->logdirty.harvest;
    if (is_store(c) && p2m_is_ram(c->p2m.type) && !l.harvested)
        logdirty_fault(c->s->d, c->w.gfn, 0);
    l.watched = level == 1 ? is_watched(c->s, c->w.gfn, &c->p2m) : logs_stores(c);
    l.p2m.mfn.n -= c->w.gfn.n - first_gfn(c, level).n;
    spte_set(c->s, sp, index_at(c, level), spte_leaf(&l));
}

static void on_the_way(struct fill *c, struct shadow_page *sp)
{
    c->way[sp->role.level] = sp;
    sp->busy = true;
    sp->stores = 0;
    list_del(&sp->lru);
    list_add(&sp->lru, &c->s->lru);
}

static int go_down(struct fill *c)
{
    struct shadow_page *sp = c->v->root;
    int rc;

    if (!entry_stands(c, sp))
        return -ERESTART;
    for (;;) {
        on_the_way(c, sp);
        if (leaf_here(c, sp)) {
            set_leaf(c, sp);
            if (sp->role.level == 1 && has_guest_entry(c, sp))
                table_ahead(c->s, sp, index_at(c, 1));
            return 0;
        }
        rc = step_down(c, sp, &sp);
        if (rc)
            return rc;
    }
}

static enum shadow_result fill(struct fill *c)
{
    enum shadow_result r;
    int rc;

    rc = shadow_take_root(c->v);
    if (rc)
        return rc == -ENOMEM ? SHADOW_NOMEM : SHADOW_FIXED;
    c->p2m = p2m_lookup_locked(c->s->d, c->w.gfn);
    r = special(c);
    if (r != SHADOW_FIXED)
        return r;
    rc = go_down(c);
    for (unsigned int level = 1; level <= GUEST_LEVELS; level++)
        if (c->way[level])
            c->way[level]->busy = false;
    return rc == -ENOMEM ? SHADOW_NOMEM : SHADOW_FIXED;
}

static enum shadow_result handle(struct shadow_vcpu *v, struct shadow_fault *f)
{
    struct guest_mem mem = shadow_mem(v->s->d);
    struct fill c = {.v = v, .s = v->s, .f = f};
    uint32_t begun = work_begun();
    enum shadow_result r;

    c.w = (struct guest_walk){.linear = f->linear, .access = f->access, .smap_exempt = f->smap_exempt};
    switch (guest_walk(&v->paging, &mem, &c.w)) {
    case WALK_FAULT:
        f->error = c.w.error;
        shadow_reflect(v, &c.w);
        return SHADOW_REFLECT;
    case WALK_RETRY:
        return SHADOW_FIXED;
    case WALK_OK:
        break;
    }
    vcpu_lock(v, SHADOW_LOCK_FAULT);
    r = fill(&c);
    work_done(v->s, WORK_FAULT, begun);
    shadow_unlock(v->s);
    return r;
}

enum shadow_result shadow_fault(struct shadow_vcpu *v, struct shadow_fault *f)
{
    enum shadow_result r = handle(v, f);

    v->faults[r]++;
    return r;
}
