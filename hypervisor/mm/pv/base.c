// SPDX-License-Identifier: BSD-2-Clause
/*
 * Base pointers: the L4 tables of a vCPU, one for its kernel and one for its user mode, each a typed reference. And
 * the walk that starts there: through validated tables only, in the guest's slots only, by the direct map.
 */
#include "pt.h"

unsigned long pv_cr3(const struct vcpu *v)
{
    mfn_t m = v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user;

    /* Without tables of its own the vCPU sees the hypervisor's only, and faults at once. */
    if (mfn_eq(m, INVALID_MFN))
        m = virt_to_mfn(idle_l4);
    return mfn_to_maddr(m).n;
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
static void show_m2p(const struct domain *d, mfn_t l4, bool to_user)
{
    bool hide = to_user && test_bit(VMASST_TYPE_m2p_strict, &d->vm_assist);
    uint64_t e = hide ? 0 : idle_l4[M2P_L4_SLOT].n;
    pte_t *slot;

    if (mfn_eq(l4, INVALID_MFN))
        return;
    slot = (pte_t *)mfn_to_virt(l4) + M2P_L4_SLOT;
    if (slot->n != e)
        WRITE_ONCE(slot->n, e);
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
static void reload(const struct vcpu *v, unsigned long old_cr3, bool changed)
{
    unsigned long cr3 = pv_cr3(v);

    if (v == current && (cr3 != old_cr3 || !changed))
        switch_cr3(cr3);
}

int pv_set_base(struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4)
{
    struct domain *d = v->domain;
    mfn_t old_kernel, old_user;
    unsigned long cr3;
    int rc, drained;

    spin_lock(&d->pv.pt_lock);
    pv_changed(d);
    cr3 = pv_cr3(v);
    rc = get_bases(v, kernel_l4, user_l4);
    if (!rc) {
        old_kernel = v->pv.l4_kernel;
        old_user = v->pv.l4_user;
        v->pv.l4_kernel = kernel_l4;
        v->pv.l4_user = user_l4;
        show_m2p(d, user_l4, true);
        show_m2p(d, kernel_l4, false);
        reload(v, cr3, !mfn_eq(old_kernel, kernel_l4) || !mfn_eq(old_user, user_l4));
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
    int rc;

    spin_lock(&d->pv.pt_lock);
    pv_changed(d);
    put_base(v->pv.l4_kernel, INVALID_MFN);
    put_base(v->pv.l4_user, INVALID_MFN);
    v->pv.l4_kernel = v->pv.l4_user = INVALID_MFN;
    rc = pv_drain_dead(d);
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
        m = pte_mfn(e);
    }
    return mfn_to_page(m);
}
