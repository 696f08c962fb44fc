// SPDX-License-Identifier: BSD-2-Clause
/*
 * Base pointers: the L4 tables of a vCPU, one for its kernel and one for its user mode, each a typed reference. And
 * the walk that starts there: through validated tables only, in the guest's slots only, by the direct map.
 *
 * On shadows hardware starts elsewhere, at a root for each mode of each vCPU, and the roots follow here.
 */
#include <hv/shadow.h>
#include "pt.h"

mfn_t pv_base(const struct vcpu *v)
{
    mfn_t m = v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user;

    /* Without tables of its own the vCPU sees the hypervisor's only, and faults at once. */
    return mfn_eq(m, INVALID_MFN) ? virt_to_mfn(idle_l4) : m;
}

unsigned long pv_cr3(const struct vcpu *v)
{
    unsigned long root = v->pv.root[v->pv.kernel_mode].cr3;

    return root ? root : mfn_to_maddr(pv_base(v)).n;
}

/* The reference for a new base; what v has already is kept as it is. */
static int get_base(struct domain *d, mfn_t old, mfn_t new)
{
    struct page_info *pg;
    int rc;

    if (mfn_eq(old, new) || mfn_eq(new, INVALID_MFN))
        return 0;
    pg = get_page_from_mfn(new, d);
    if (!pg)
        return -EINVAL;
    rc = get_page_type(pg, PT_L4);
    if (rc)
        put_page(pg);
    return rc;
}

/*
 * With VMASST_TYPE_m2p_strict user mode does not see the M2P: its L4 shows the table while it is a kernel's base only.
 * A table that serves both modes is as it was last set.
 */
static void show_m2p(struct domain *d, mfn_t l4, bool to_user)
{
    bool hide = to_user && test_bit(VMASST_TYPE_m2p_strict, &d->vm_assist);
    uint64_t e = hide ? 0 : idle_l4[M2P_L4_SLOT].n;
    pte_t *slot;

    if (mfn_eq(l4, INVALID_MFN))
        return;
    slot = (pte_t *)mfn_to_virt(l4) + M2P_L4_SLOT;
    if (slot->n == e)
        return;
    WRITE_ONCE(slot->n, e);
    logdirty_mark_frame(d, l4);
    if (d->shadow)
        shadow_pv_stored(d, slot);
}

/* Drops the base that was replaced by another. */
static void put_base(mfn_t gone, mfn_t other)
{
    if (!mfn_eq(gone, other) && !mfn_eq(gone, INVALID_MFN))
        put_page_and_type(mfn_to_page(gone));
}

/* References for both, or none. */
static int get_bases(const struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4)
{
    int rc = get_base(v->domain, v->pv.l4_kernel, kernel_l4);

    if (rc)
        return rc;
    rc = get_base(v->domain, v->pv.l4_user, user_l4);
    if (rc)
        put_base(kernel_l4, v->pv.l4_kernel);
    return rc;
}

/*
 * A running vCPU leaves its old tables before they are let go. A guest that sets the same base again wants a flush; one
 * that only changes the base of the other mode needs nothing now.
 */
static void reload(const struct vcpu *v, mfn_t old_base, bool changed)
{
    if (v == current && (!mfn_eq(pv_base(v), old_base) || !changed))
        switch_cr3(pv_cr3(v));
}

/* pt_lock held. Shadows of the old tables' entries go first: that can take more than one stretch. */
static bool leave_shadows(struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4)
{
    return !v->domain->shadow || (shadow_pv_leave(v, 1, kernel_l4) && shadow_pv_leave(v, 0, user_l4));
}

static void enter_shadows(struct vcpu *v)
{
    if (!v->domain->shadow)
        return;
    shadow_pv_enter(v, 1, v->pv.l4_kernel);
    shadow_pv_enter(v, 0, v->pv.l4_user);
}

int pv_set_base(struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4)
{
    struct domain *d = v->domain;
    mfn_t old_kernel, old_user, base;
    int rc, drained;

    spin_lock(&d->pv.pt_lock);
    pv_changed(d);
    base = pv_base(v);
    rc = leave_shadows(v, kernel_l4, user_l4) ? get_bases(v, kernel_l4, user_l4) : -ERESTART;
    if (!rc) {
        old_kernel = v->pv.l4_kernel;
        old_user = v->pv.l4_user;
        v->pv.l4_kernel = kernel_l4;
        v->pv.l4_user = user_l4;
        show_m2p(d, user_l4, true);
        show_m2p(d, kernel_l4, false);
        enter_shadows(v);
        reload(v, base, !mfn_eq(old_kernel, kernel_l4) || !mfn_eq(old_user, user_l4));
        put_base(old_kernel, kernel_l4);
        put_base(old_user, user_l4);
    }
    drained = pv_drain_dead(d);
    spin_unlock(&d->pv.pt_lock);
    return rc ? rc : drained;
}

int pv_drop_base(struct vcpu *v)
{
    struct domain *d = v->domain;
    int rc = -ERESTART;

    spin_lock(&d->pv.pt_lock);
    pv_changed(d);
    if (leave_shadows(v, INVALID_MFN, INVALID_MFN)) {
        put_base(v->pv.l4_kernel, INVALID_MFN);
        put_base(v->pv.l4_user, INVALID_MFN);
        v->pv.l4_kernel = v->pv.l4_user = INVALID_MFN;
        enter_shadows(v);
        rc = pv_drain_dead(d);
    }
    spin_unlock(&d->pv.pt_lock);
    return rc;
}

struct page_info *pt_walk(const struct vcpu *v, unsigned long linear)
{
    mfn_t m = v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user;

    if (mfn_eq(m, INVALID_MFN) || !guest_range_ok(linear, 1))
        return NULL;
    for (unsigned int level = 4; level > 1; level--) {
        pte_t e = pt_read((pte_t *)mfn_to_virt(m) + pt_index(linear, level));

        if (!(e.n & PTE_P))
            return NULL;
        m = pte_mfn_nospec(e);
    }
    return mfn_to_page(m);
}
