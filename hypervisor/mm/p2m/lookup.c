// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a gfn stands for: by value, or as a frame with a reference. The reference is taken without the lock, which all
 * vCPUs of a guest would wait for at each step of each walk through its tables: the entry is looked at again when it is
 * held, and then it still keeps the frame from being freed. So nobody gets hold of a frame that its domain has given
 * up.
 */
#include "internal.h"

void paging_lock(struct domain *d)
{
    p2m_lock(d->p2m);
}

void paging_unlock(struct domain *d)
{
    p2m_unlock(d->p2m);
}

bool paging_is_locked(const struct domain *d)
{
    return spin_is_locked(&d->p2m->lock);
}

/* Of a PV domain. That it may have the frame is known where it has an entry for it. */
static struct p2m_entry look_up_identity(const struct domain *d, mfn_t m)
{
    struct p2m_entry r = {m, P2M_MMIO_DIRECT, 0};

    if (mfn_valid(m))
        r.type = mfn_to_page(_mfn(array_index_nospec(m.n, max_page)))->owner == d ? P2M_RAM_RW : P2M_FOREIGN;
    return r;
}

struct p2m_entry p2m_lookup_locked(struct domain *d, gfn_t gfn)
{
    struct p2m_entry r = {INVALID_MFN, P2M_MMIO_DM, 0};
    unsigned int level;
    npte_t e;

    if (gfn.n >= P2M_GFNS)
        return r;
    if (d->identity)
        return look_up_identity(d, _mfn(gfn.n));
    e = p2m_find(d->p2m, gfn, &level);
    r.order = level_order(level);
    r.type = npte_type(e);
    if (e.n)
        r.mfn = mfn_add(npte_mfn(e), gfn.n & ((1ul << r.order) - 1));
    return r;
}

struct p2m_entry p2m_lookup(struct domain *d, gfn_t gfn)
{
    struct p2m_entry r;

    p2m_lock(d->p2m);
    r = p2m_lookup_locked(d, gfn);
    p2m_unlock(d->p2m);
    return r;
}

/* Of a leaf. A borrowed frame cannot change hands while it has one, because that holds a reference too. */
static struct page_info *get_frame(struct domain *d, mfn_t m, enum p2m_type type)
{
    struct page_info *pg;

    if (p2m_is_ram(type))
        return get_page_from_mfn(m, d);
    if (!p2m_is_borrowed(type) || !mfn_valid(m))
        return NULL;
    pg = mfn_to_page(_mfn(array_index_nospec(m.n, max_page)));
    return get_page_owned(pg, READ_ONCE(pg->owner)) ? pg : NULL;
}

static struct page_info *look(struct domain *d, gfn_t gfn, enum p2m_type *type, npte_t *e)
{
    unsigned int level;

    *e = p2m_find(d->p2m, gfn, &level);
    *type = npte_type(*e);
    return get_frame(d, mfn_add(npte_mfn(*e), gfn.n & ((1ul << level_order(level)) - 1)), *type);
}

/* As it was at a moment during the call, or false: ask again with the lock. */
static bool look_without_lock(struct domain *d, gfn_t gfn, enum p2m_type *type, struct page_info **pg)
{
    uint64_t freed = READ_ONCE(d->p2m->freed);
    unsigned int level;
    npte_t e;

    smp_rmb();
    *pg = look(d, gfn, type, &e);
    smp_mb(); /* the reference is there before the entry is looked at again */
    if (p2m_find(d->p2m, gfn, &level).n == e.n) {
        smp_rmb();
        if (READ_ONCE(d->p2m->freed) == freed)
            return true;
    }
    if (*pg)
        put_page(*pg);
    return false;
}

struct page_info *p2m_get_page(struct domain *d, gfn_t gfn, enum p2m_type *type)
{
    struct page_info *pg = NULL;
    npte_t e;

    *type = P2M_MMIO_DM;
    if (gfn.n >= P2M_GFNS)
        return NULL;
    if (look_without_lock(d, gfn, type, &pg))
        return pg;
    p2m_lock(d->p2m);
    pg = look(d, gfn, type, &e);
    p2m_unlock(d->p2m);
    return pg;
}

struct page_info *get_page_from_gfn(struct domain *d, gfn_t gfn, enum p2m_type *type)
{
    struct page_info *pg;

    if (paging_mode_translate(d))
        return p2m_get_page(d, gfn, type);
    pg = get_page_from_mfn(_mfn(gfn.n), d);
    *type = pg ? P2M_RAM_RW : P2M_MMIO_DM;
    return pg;
}

struct page_info *get_writable_page(struct domain *d, gfn_t gfn)
{
    enum p2m_type type;
    struct page_info *pg = get_page_from_gfn(d, gfn, &type);

    if (!pg)
        return NULL;
    if ((type == P2M_RAM_RW || type == P2M_LOGDIRTY) && !get_page_type(pg, PT_WRITABLE))
        return pg;
    put_page(pg);
    return NULL;
}

uint64_t p2m_max_gfn(const struct domain *d)
{
    uint64_t limit = READ_ONCE(d->p2m->limit);

    return limit ? limit - 1 : 0;
}

mfn_t p2m_root(const struct domain *d)
{
    return page_to_mfn(d->p2m->root);
}
