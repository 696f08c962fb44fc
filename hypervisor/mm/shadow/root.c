// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where hardware starts. A guest of 4 levels has the shadow of its top table, which vCPUs and other loads of CR3 share.
 * Any other has four entries of PAE, which are the vCPU's own: those of a PAE guest come from its registers, those of a
 * 2-level guest are the four quarters of its directory, those of an unpaged guest map its physical memory.
 *
 * The life of all shadows of a domain begins and ends here too.
 */
#include <hv/heap.h>
#include <hv/sched.h>
#include "internal.h"

static union shadow_role root_role(const struct shadow_vcpu *v)
{
    const struct guest_paging *g = &v->paging;
    union shadow_role r = {
        .levels = g->fmt ? g->fmt->levels : 0,
        .level = g->fmt && g->fmt->levels == 4 ? 4 : 3,
        .direct = has_tlb(v),
        .wp = g->wp || !g->fmt,
        .nx = g->nx,
        .pse = g->pse,
    };

    if (!r.wp) {
        r.smep = g->smep;
        r.smap = g->smap;
    }
    role_set_rights(&r, RIGHTS_ALL);
    return r;
}

static void drop_root(struct shadow_vcpu *v)
{
    struct shadow_page *root = v->root;

    v->root = NULL;
    if (root && --root->roots == 0 && mfn_eq(root->table, INVALID_MFN)) {
        (void)page_free(v->s, root); /* of four entries; else it goes when its frames are wanted */
    }
}

/* Its table may have gone: then the vCPU needs another. */
static bool root_holds(const struct shadow_vcpu *v, union shadow_role role, const struct p2m_entry *top)
{
    const struct shadow_page *root = v->root;

    return root && root->role.n == role.n && mfn_eq(root->table, p2m_is_ram(top->type) ? top->mfn : INVALID_MFN);
}

/* The vCPU's root for a change of registers: one that is there, or a new one: 0, -ERESTART, -ENOMEM. */
static int make_root(struct shadow_vcpu *v, union shadow_role role, const struct p2m_entry *top, bool flushes)
{
    bool own = !p2m_is_ram(top->type); /* also if the guest means a table where there is no memory */
    struct shadow_page *found = own ? NULL : page_find(v->s, top->mfn, role), *root = found;
    int rc = 0;

    if (found && !flushes && !unsync_caught_up(v->s))
        return -ERESTART;
    if (!found)
        rc = own ? page_make(v->s, role, &root) : page_make_for(v->s, role, top->mfn, &root);
    if (rc)
        return rc;
    root->fresh |= !found && !own;
    drop_root(v); /* not before: a vCPU without a root cannot go on */
    v->root = root;
    root->roots++;
    if (flushes)
        v->loads[found ? SHADOW_LOAD_FOUND : SHADOW_LOAD_MADE]++;
    return 0;
}

/* flushes: what can be reached from it is compared next. */
static int take_root(struct shadow_vcpu *v, bool flushes)
{
    union shadow_role role = root_role(v);
    struct p2m_entry top = {.type = P2M_MMIO_DM};
    int rc = 0;

    if (role.level == 4 && !role.direct)
        top = p2m_lookup_locked(v->s->d, _gfn((v->paging.cr3 & PTE_ADDR) >> PAGE_SHIFT));
    if (!root_holds(v, role, &top))
        rc = make_root(v, role, &top, flushes);
    if (rc)
        return rc;
    if (!p2m_is_ram(top.type))
        return 0;
    if (!table_protect(v->s, top.mfn))
        return -ERESTART;
    if (v->root->fresh)
        tables_ahead(v->s, v->root);
    return 0;
}

int shadow_take_root(struct shadow_vcpu *v)
{
    return take_root(v, false);
}

/* Four entries of PAE were those of the old CR3; a TLB of the vCPU's own, all. */
static int reload(struct shadow_vcpu *v)
{
    struct shadow_page *root = v->root;

    if (root && (root->role.direct || (root->role.level == 3 && root->role.levels != 4)) && !page_clear(v->s, root))
        return -ERESTART;
    return take_root(v, true);
}

int shadow_set_paging(struct shadow_vcpu *v)
{
    int rc;

    v->apart = false;
    do {
        vcpu_lock(v, SHADOW_LOCK_LOAD);
        rc = reload(v);
        if (!rc)
            rc = unsync_flush(v);
        if (!rc)
            v->flush = 0;
        shadow_unlock(v->s);
    } while (rc == -ERESTART && !preempt_needed());
    v->loads[SHADOW_LOAD_ALL] += !rc;
    return rc;
}

maddr_t shadow_root(const struct shadow_vcpu *v)
{
    return mfn_to_maddr(page_mfn(v->root));
}

uint64_t shadow_losses(const struct shadow_vcpu *v)
{
    return READ_ONCE(v->s->losses);
}

void shadow_drop_root(struct shadow_vcpu *v)
{
    paging_lock(v->s->d);
    drop_root(v);
    paging_unlock(v->s->d);
}

/* ---- life ---- */

int shadow_init(struct domain *d, const struct guest_cpu *cpu)
{
    struct shadow *s = hv_new(struct shadow);

    if (!s)
        return -ENOMEM;
    s->d = d;
    s->cpu = *cpu;
    s->vtlb = shadow_vtlb() && !d->identity;
    for (unsigned int i = 0; i < MAX_UNSYNCED; i++)
        s->unsynced[i].table = INVALID_MFN;
    list_init(&s->unused);
    list_init(&s->lru);
    d->shadow = s;
    return 0;
}

/* PV tables are made to hold still: else one could say what its shadows are just about to. */
static void lock_all(struct domain *d)
{
    if (d->identity)
        spin_lock(&d->pv.pt_lock);
    paging_lock(d);
}

static void unlock_all(struct domain *d)
{
    paging_unlock(d);
    if (d->identity)
        spin_unlock(&d->pv.pt_lock);
}

int shadow_lock(struct domain *d)
{
    int rc;

    if (!d->p2m)
        return -EOPNOTSUPP;
    lock_all(d);
    rc = d->dying ? -EBUSY : d->shadow ? 0 : -EOPNOTSUPP;
    if (rc)
        unlock_all(d);
    return rc;
}

void shadow_unlock(struct shadow *s)
{
    s->count.longest = MAX(s->count.longest, this_cpu(stretch_now).work);
    unlock_all(s->d);
}

/* A root only loses its entries. False: in a new stretch. */
static bool blow_one(struct shadow *s, struct shadow_page *sp, struct list_head *detached)
{
    if (!room() || (sp->entry && !(sp->roots ? page_clear(s, sp) : page_detach(s, sp))))
        return false;
    if (sp->entry && !sp->roots) {
        list_del(&sp->lru);
        list_add(&sp->lru, detached);
    }
    stretch_work(MIN(room(), 1u));
    return true;
}

/* By number, since vCPUs that are in the middle of a fault change the order of use: each page that there was at the
 * beginning comes once. One flush for all pages of a stretch. -ERESTART: in a new stretch. */
int shadows_blow(struct shadow *s)
{
    uint32_t begun = work_begun();
    struct list_head detached;
    bool goes_on = true;

    list_init(&detached);
    if (!s->blow)
        s->blow = MAX(s->nr_ids, 1u);
    for (; s->blow > 1 && goes_on; s->blow -= goes_on)
        goes_on = blow_one(s, page_by_id(s, s->blow - 1), &detached);
    shadow_flush(s);
    while (!list_empty(&detached))
        page_return(s, list_first(&detached, struct shadow_page, lru));
    work_done(s, WORK_BLOW, begun);
    if (!goes_on)
        return -ERESTART;
    s->blow = 0;
    s->count.blows++;
    WRITE_ONCE(s->behind, false);
    return 0;
}

int shadow_blow(struct domain *d)
{
    int rc;

    do {
        rc = shadow_lock(d);
        if (rc)
            return rc;
        rc = shadows_blow(d->shadow);
        shadow_unlock(d->shadow);
    } while (rc == -ERESTART && !preempt_needed());
    return rc;
}

bool shadow_ready(const struct shadow_vcpu *v)
{
    return !shadow_behind(v) || shadow_blow(v->s->d) != -ERESTART;
}

bool shadow_behind(const struct shadow_vcpu *v)
{
    return READ_ONCE(v->s->behind);
}

/* Frames that a list of pointers names. */
static void return_frames(struct shadow *s, void **frame, unsigned int n)
{
    for (unsigned int i = 0; i < n && room(); i++) {
        if (!frame[i])
            continue;
        paging_pool_free(s->d, PAGING_SHADOW, virt_to_page(frame[i]));
        frame[i] = NULL;
        stretch_work(1);
    }
}

static bool free_all(struct shadow *s)
{
    while (!list_empty(&s->lru)) {
        struct shadow_page *sp = list_entry(s->lru.prev, struct shadow_page, lru);

        ASSERT(!sp->roots);
        if (!room() || !page_free(s, sp))
            return false;
        stretch_work(MIN(room(), 1u));
    }
    return_frames(s, (void **)s->block, SHADOW_BLOCKS);
    return_frames(s, (void **)s->region, REGION_PAGES);
    return room();
}

int shadow_relinquish(struct domain *d)
{
    struct shadow *s = d->shadow;
    uint32_t begun;
    bool done;

    if (!s)
        return 0;
    do {
        begun = work_begun();
        lock_all(d); /* who holds it may not have seen that the domain is dying */
        if (d->identity)
            pv_drop_roots(s);
        done = free_all(s);
        work_done(s, WORK_DESTROY, begun);
        if (done)
            d->shadow = NULL;
        unlock_all(d);
    } while (!done && !preempt_needed());
    if (!done)
        return -ERESTART;
    hv_free(s);
    return 0;
}
