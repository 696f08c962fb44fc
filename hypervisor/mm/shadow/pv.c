// SPDX-License-Identifier: BSD-2-Clause
/*
 * PV domains on shadows, for as long as stores to their memory are logged. The guest's tables are hardware's own, and
 * their D bits are the guest's; so hardware runs on copies of them, in which D is ours (harvest.c). Guest frame numbers
 * are machine frame numbers, and an entry has been checked before it stands in a table: what a shadow says is what the
 * guest's entry says, without what its A and D do not give yet.
 *
 * Much that other guests need is not needed here. Nobody stores to a PV table but mm/pv, which tells each store
 * (shadow_pv_stored) with the lock of the tables held, and before it lets go of what the old entry named; and it tells
 * when a table goes out of use, before that lets go of what its entries name (shadow_pv_end). So a shadow never leads
 * to a frame that its guest holds no reference on, tables need no protection, and stale TLB entries are those that
 * hardware has of PV tables too: guests flush theirs, and frame.c flushes before a frame becomes something else.
 *
 * Roots are not shared: each vCPU has two, one for each of its modes, from the pool when the log is turned on. So the
 * load of a base pointer needs no memory and cannot fail. They have the hypervisor's entries from the start.
 *
 * All of it is done with pt_lock and, inside it, the paging lock.
 */
#include <hv/sched.h>
#include <hv/x86.h>
#include "internal.h"

#define TOP      4u
#define AHEAD    8u               /* entries of a table that are made together */
#define TOP_WORK (PT_ENTRIES / 8) /* to look at the entries of a top table, most of which are not present */
#define HV_SLOTS (HYPERVISOR_L4_LAST - HYPERVISOR_L4_FIRST + 1u)

/* What the guest's tables say about an address. */
struct way {
    uint64_t linear;
    uint32_t access; /* PFEC_W, PFEC_I */
    pte_t *slot[TOP + 1];
    pte_t entry[TOP + 1]; /* with A, and D for a store */
};

static union shadow_role role_of(unsigned int level)
{
    union shadow_role r = {.level = level, .levels = TOP, .wp = true, .nx = cpu_features.nx};

    role_set_rights(&r, RIGHTS_ALL);
    return r;
}

/* ---- entries ---- */

/* Of an L1 entry. What is not the domain's own memory is nothing to its log. */
static spte_t leaf_of(const struct domain *d, pte_t e)
{
    bool own = mfn_valid(pte_mfn(e)) && mfn_to_page(pte_mfn(e))->owner == d;
    uint64_t flags = PTE_P | PTE_A | (e.n & RIGHTS_MASK);

    if (!(e.n & PTE_P) || !(e.n & PTE_A))
        return _spte(0);
    if (!(e.n & PTE_D))
        flags &= ~PTE_RW;
    if (!own)
        flags |= SPTE_BORROWED;
    if (!own || !(flags & PTE_RW))
        flags |= PTE_D;
    return _spte((e.n & PTE_ADDR) | flags);
}

/* Of an entry of an upper level, if there is a shadow of the table that it names. */
static spte_t table_of(const struct shadow *s, const struct shadow_page *sp, pte_t e)
{
    const struct shadow_page *child;

    if (!(e.n & PTE_P) || !(e.n & PTE_A))
        return _spte(0);
    child = page_find(s, pte_mfn(e), role_of(sp->role.level - 1));
    return child ? spte_table(sp->role, _gpte(e.n), page_mfn(child)) : _spte(0);
}

static bool is_fixed(const struct shadow_page *sp, unsigned int index)
{
    return sp->role.level == TOP && index >= HYPERVISOR_L4_FIRST && index <= HYPERVISOR_L4_LAST;
}

/* Of the hypervisor's slots: as it stands in the guest's table. */
static void set_fixed(struct shadow_page *root, unsigned int index, pte_t e)
{
    WRITE_ONCE(root->entry[index].n, e.n & PTE_P ? e.n | SPTE_FIXED : 0);
}

static void follow(struct shadow *s, struct shadow_page *sp, unsigned int index, pte_t e)
{
    if (is_fixed(sp, index))
        set_fixed(sp, index, e);
    else
        spte_set(s, sp, index, sp->role.level == 1 ? leaf_of(s->d, e) : table_of(s, sp, e));
}

void shadow_pv_stored(struct domain *d, const pte_t *slot)
{
    const struct page_info *table = virt_to_page(slot);
    unsigned int index = (unsigned int)((uintptr_t)slot % PAGE_SIZE / sizeof(*slot));
    struct shadow *s = d->shadow;

    if (!table->shadow.tables)
        return;
    paging_lock(d);
    s->count.stores++;
    for (uint32_t id = table->shadow.tables; id; id = page_by_id(s, id)->next_of_table) {
        follow(s, page_by_id(s, id), index, _pte(READ_ONCE(slot->n)));
        stretch_work(1);
    }
    paging_unlock(d);
}

bool shadow_pv_end(struct domain *d, mfn_t table)
{
    struct shadow *s = d->shadow;
    bool done;

    if (!is_table(table))
        return true;
    paging_lock(d);
    done = table_end(s, table);
    paging_unlock(d);
    return done;
}

/* ---- roots ---- */

static void attach(struct shadow_page *sp, mfn_t table)
{
    struct page_info *pg = mfn_to_page(table);

    sp->table = table;
    sp->next_of_table = pg->shadow.tables;
    pg->shadow.tables = sp->id;
}

/* What else there is in the hypervisor's slots is the same in all tables of the domain. */
static void fill_fixed(struct domain *d, struct shadow_page *root)
{
    pte_t l4[HYPERVISOR_L4_LAST + 1];

    pv_init_l4_slots(l4, d);
    for (unsigned int i = HYPERVISOR_L4_FIRST; i <= HYPERVISOR_L4_LAST; i++)
        set_fixed(root, i, l4[i]);
    stretch_work(HV_SLOTS);
}

/* Entries lead to what shadows there are: a new address space has its kernel in common with others. */
static void lead_all(struct shadow *s, struct shadow_page *root)
{
    const pte_t *l4 = mfn_to_virt(root->table);

    if (room() < TOP_WORK)
        return;
    stretch_work(TOP_WORK);
    for (unsigned int i = 0; i < PT_ENTRIES && room(); i++) {
        pte_t e = _pte(READ_ONCE(l4[i].n));

        if (!(e.n & PTE_P) || is_fixed(root, i))
            continue;
        follow(s, root, i, e);
        stretch_work(1);
    }
}

/* Both locks held. */
static void set_base(struct shadow *s, struct shadow_page *root, mfn_t base)
{
    const pte_t *shown = mfn_eq(base, INVALID_MFN) ? idle_l4 : mfn_to_virt(base);

    set_fixed(root, M2P_L4_SLOT, shown[M2P_L4_SLOT]); /* not always shown */
    if (mfn_eq(root->table, base))
        return;
    if (has_table(root))
        page_forget(s, root);
    if (mfn_eq(base, INVALID_MFN))
        return;
    attach(root, base);
    lead_all(s, root);
}

bool shadow_pv_leave(struct vcpu *v, unsigned int mode, mfn_t base)
{
    struct shadow_page *root = v->pv.root[mode].page;
    bool done;

    if (!root || mfn_eq(root->table, base))
        return true;
    paging_lock(v->domain);
    done = page_clear(v->domain->shadow, root);
    paging_unlock(v->domain);
    return done;
}

void shadow_pv_enter(struct vcpu *v, unsigned int mode, mfn_t base)
{
    struct shadow_page *root = v->pv.root[mode].page;

    if (!root)
        return;
    paging_lock(v->domain);
    set_base(v->domain->shadow, root, base);
    paging_unlock(v->domain);
}

/* ---- a page fault ---- */

/* The way to the address if the guest's tables allow the access; else false, and *present if there is a page. */
static bool find_way(const struct vcpu *v, struct way *w, bool *present)
{
    mfn_t m = v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user;
    uint64_t allow = PTE_RW, deny = 0;

    *present = false;
    if (mfn_eq(m, INVALID_MFN))
        return false;
    for (unsigned int level = TOP; level; level--) {
        w->slot[level] = (pte_t *)mfn_to_virt(m) + pt_index(w->linear, level);
        w->entry[level] = _pte(READ_ONCE(w->slot[level]->n));
        if (!(w->entry[level].n & PTE_P))
            return false;
        allow &= w->entry[level].n;
        deny |= w->entry[level].n & PTE_NX;
        m = pte_mfn_nospec(w->entry[level]);
    }
    *present = true;
    return (!(w->access & PFEC_W) || allow) && (!(w->access & PFEC_I) || !deny);
}

/* As hardware does in the guest's tables when it walks them. */
static void set_accessed(struct domain *d, struct way *w)
{
    for (unsigned int level = TOP; level; level--) {
        uint64_t bits = PTE_A | (level == 1 && (w->access & PFEC_W) ? PTE_D : 0);

        if ((w->entry[level].n & bits) == bits)
            continue;
        __atomic_fetch_or(&w->slot[level]->n, bits, __ATOMIC_SEQ_CST);
        logdirty_mark_frame(d, virt_to_mfn(w->slot[level]));
        w->entry[level].n |= bits;
    }
}

/* The shadow of the table that sp's entry names: 0, -ERESTART, -ENOMEM. */
static int step_down(struct shadow *s, struct shadow_page *sp, const struct way *w, struct shadow_page **out)
{
    unsigned int level = sp->role.level;
    pte_t e = w->entry[level];
    int rc = 0;

    *out = page_find(s, pte_mfn(e), role_of(level - 1));
    if (!*out) {
        rc = page_make(s, role_of(level - 1), out);
        if (rc)
            return rc;
        attach(*out, pte_mfn(e));
    }
    follow(s, sp, (unsigned int)pt_index(w->linear, level), e);
    return 0;
}

/* The leaf, and those of its neighbours that the guest has accessed. */
static void set_leaves(struct shadow *s, struct shadow_page *sp, const struct way *w)
{
    unsigned int index = (unsigned int)pt_index(w->linear, 1), first = index & ~(AHEAD - 1);
    const pte_t *l1 = mfn_to_virt(sp->table);

    for (unsigned int i = first; i < first + AHEAD; i++)
        if (i == index || !spte_present(sp->entry[i]))
            follow(s, sp, i, i == index ? w->entry[1] : _pte(READ_ONCE(l1[i].n)));
    stretch_work(AHEAD);
}

static int fill(struct shadow *s, struct shadow_page *root, const struct way *w)
{
    struct shadow_page *way[TOP + 1] = {[TOP] = root};
    unsigned int level;
    int rc = 0;

    for (level = TOP; level > 1 && !rc; level--) {
        way[level]->busy = true;
        list_del(&way[level]->lru);
        list_add(&way[level]->lru, &s->lru);
        rc = step_down(s, way[level], w, &way[level - 1]);
    }
    if (!rc)
        set_leaves(s, way[1], w);
    while (++level <= TOP)
        way[level]->busy = false;
    return rc;
}

enum shadow_result shadow_pv_fault(struct vcpu *v, uint64_t linear, uint32_t *error)
{
    struct domain *d = v->domain;
    struct way w = {.linear = linear, .access = *error & (PFEC_W | PFEC_I)};
    uint32_t begun = work_begun();
    bool allowed, present;
    int rc = 0;

    if (*error & ~(PFEC_P | PFEC_W | PFEC_U | PFEC_I)) /* for which shadows give no reason */
        return SHADOW_REFLECT;
    if (!guest_range_ok(linear, 1)) /* the hypervisor's slots are in a root as in the guest's table */
        return SHADOW_REFLECT;
    spin_lock(&d->pv.pt_lock);
    allowed = find_way(v, &w, &present);
    if (allowed) {
        set_accessed(d, &w);
        paging_lock(d);
        rc = fill(d->shadow, v->pv.root[v->pv.kernel_mode].page, &w);
        work_done(d->shadow, WORK_FAULT, begun);
        paging_unlock(d);
    }
    spin_unlock(&d->pv.pt_lock);
    if (allowed)
        return rc == -ENOMEM ? SHADOW_NOMEM : SHADOW_FIXED;
    *error = (*error & ~PFEC_P) | (present ? PFEC_P : 0);
    return SHADOW_REFLECT;
}

/* ---- on and off ---- */

#define OTHER_FRAMES 32u /* descriptors, the log's bits */
#define ROOT_FRAMES  4u  /* of a vCPU */
#define WAYS         12u /* pages of shadows that one instruction may need: itself, its stack, two operands */

unsigned long shadow_pv_least(const struct domain *d)
{
    return OTHER_FRAMES + d->max_vcpus * (ROOT_FRAMES + 2ul * WAYS);
}

static int make_root(struct shadow *s, struct vcpu *v, unsigned int mode)
{
    struct pv_root *root = &v->pv.root[mode];
    int rc;

    if (root->page)
        return 0;
    rc = page_make(s, role_of(TOP), &root->page);
    if (rc) {
        root->page = NULL;
        return rc;
    }
    root->page->roots = 1;
    fill_fixed(s->d, root->page);
    set_base(s, root->page, mode ? v->pv.l4_kernel : v->pv.l4_user);
    return 0;
}

/* Both locks held. */
static int start_slice(struct domain *d)
{
    const struct guest_cpu cpu = {.phys_bits = cpu_features.phys_bits, .nx = cpu_features.nx};
    struct vcpu *v;
    int rc = d->shadow ? 0 : shadow_init(d, &cpu);

    for_each_vcpu (d, v)
        for (unsigned int mode = 0; mode < 2 && !rc; mode++)
            rc = make_root(d->shadow, v, mode);
    return rc;
}

/* All vCPUs go over at once, and for no longer than that takes them. */
static void switch_all(struct domain *d, bool on)
{
    struct vcpu *v;

    domain_pause(d);
    for_each_vcpu (d, v)
        for (unsigned int mode = 0; mode < 2; mode++)
            v->pv.root[mode].cr3 = on ? mfn_to_maddr(page_mfn(v->pv.root[mode].page)).n : 0;
    domain_unpause(d);
}

int shadow_pv_start(struct domain *d)
{
    int rc;

    do {
        spin_lock(&d->pv.pt_lock);
        paging_lock(d);
        rc = start_slice(d);
        paging_unlock(d);
        spin_unlock(&d->pv.pt_lock);
    } while (rc == -ERESTART && !preempt_needed());
    if (!rc)
        switch_all(d, true);
    return rc;
}

void pv_drop_roots(struct shadow *s)
{
    struct vcpu *v;

    for_each_vcpu (s->d, v)
        for (unsigned int mode = 0; mode < 2; mode++)
            if (v->pv.root[mode].page) {
                v->pv.root[mode].page->roots = 0;
                v->pv.root[mode].page = NULL;
            }
}

static bool has_roots(const struct domain *d)
{
    const struct vcpu *v;

    for_each_vcpu (d, v)
        if (v->pv.root[0].page)
            return true;
    return false;
}

int shadow_pv_stop(struct domain *d)
{
    if (has_roots(d))
        switch_all(d, false);
    return shadow_relinquish(d);
}
