// SPDX-License-Identifier: BSD-2-Clause
/*
 * mmu_update: a batch of entry stores by machine address, and of M2P changes. The domain argument has two halves: whose
 * tables are changed (high, plus one; 0: the caller's) and whose frames L1 entries may name (low).
 *
 * An address that lies in a frame which is no table in use is a plain store of eight bytes, if the frame can be
 * WRITABLE: guests build tables by this call before they pin them.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include "pt.h"

struct mmu_context {
    struct domain *pt_owner, *pg_owner;
};

static int store_plain(struct page_info *pg, unsigned int index, uint64_t value)
{
    int rc = get_page_type(pg, PT_WRITABLE);

    if (rc)
        return rc;
    WRITE_ONCE(pt_slot(pg, index)->n, value);
    put_page_type(pg);
    return 0;
}

/* pt_lock held. */
static int store_entry(const struct mmu_context *c, uint64_t addr, uint64_t value, unsigned int cmd)
{
    struct page_info *pg = get_page_from_mfn(maddr_to_mfn(_maddr(addr)), c->pt_owner);
    unsigned int level, index = (addr & ~PAGE_MASK) / sizeof(pte_t);
    int rc;

    if (!pg)
        return -EINVAL;
    level = page_type(pg);
    if (level >= PT_L1 && level <= PT_L4 && pt_is_live(pg, level))
        rc = pt_update(&(struct pt_request){
            .pt_owner = c->pt_owner,
            .pg_owner = c->pg_owner,
            .table = pg,
            .index = index,
            .entry = _pte(value),
            .by_mfn = cmd == MMU_PT_UPDATE_NO_TRANSLATE,
            .keep = cmd == MMU_PT_UPDATE_PRESERVE_AD ? PTE_A | PTE_D : 0,
        });
    else
        rc = store_plain(pg, index, value);
    put_page(pg);
    return rc;
}

static int store_m2p(const struct mmu_context *c, uint64_t addr, uint64_t pfn)
{
    mfn_t m = maddr_to_mfn(_maddr(addr));
    struct page_info *pg = get_page_from_mfn(m, c->pg_owner);

    if (!pg)
        return -EINVAL;
    if (!paging_mode_translate(c->pg_owner)) /* else the P2M keeps it */
        logdirty_set_gpfn(c->pg_owner, m, pfn);
    put_page(pg);
    return paging_mode_translate(c->pg_owner) ? -EINVAL : 0;
}

static int one_request(const struct mmu_context *c, const struct mmu_update *u)
{
    uint64_t addr = u->ptr & ~7ull;

    switch (u->ptr & 7) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_NO_TRANSLATE:
    case MMU_PT_UPDATE_PRESERVE_AD:
        return store_entry(c, addr, u->val, u->ptr & 7);
    case MMU_MACHPHYS_UPDATE:
        return store_m2p(c, addr, u->val);
    default:
        return -ENOSYS;
    }
}

/*
 * n requests of one copied slice; *i is set to the number done. Dead tables come first, whoever left them, and after
 * each request, so that the next one finds their frames free for any use. 0, -errno or -ERESTART.
 */
static int run_slice(const struct mmu_context *c, const struct mmu_update *u, unsigned int n, unsigned int *i)
{
    int rc = pv_drain_dead(c->pt_owner);

    if (!rc && preempt_after_work())
        rc = -ERESTART;
    for (*i = 0; !rc && *i < n;) {
        uint32_t before = stretch_request();
        int drained;

        rc = one_request(c, &u[*i]);
        if (!rc)
            ++*i;
        drained = pv_drain_dead(c->pt_owner);
        if (!rc)
            rc = drained;
        if (!rc)
            stretch_request_done(before);
        if (!rc && *i < n && preempt_needed())
            rc = -ERESTART;
    }
    return rc;
}

static int run_batch(const struct mmu_context *c, struct pv_batch *b, struct mmu_update **ureqs)
{
    struct mmu_update u[GUEST_BATCH];
    int rc;

    do {
        unsigned int n = MIN(b->count, GUEST_BATCH), i;

        if (n && copy_from_guest(u, *ureqs, n))
            return -EFAULT;
        spin_lock(&c->pt_owner->pv.pt_lock);
        rc = run_slice(c, u, n, &i);
        spin_unlock(&c->pt_owner->pv.pt_lock);
        b->count -= i;
        b->done += i;
        *ureqs += i;
        if (!rc && b->count && preempt_needed())
            rc = -ERESTART;
    } while (!rc && b->count);
    return rc;
}

static int find_domains(struct mmu_context *c, uint32_t arg)
{
    int rc = pv_named_domain(arg >> 16 ? (domid_t)((arg >> 16) - 1) : (domid_t)DOMID_SELF, &c->pt_owner);

    if (rc)
        return rc;
    rc = pv_check_table_owner(c->pt_owner);
    if (!rc)
        rc = pv_named_domain((domid_t)arg, &c->pg_owner);
    if (rc)
        domain_put(c->pt_owner);
    return rc;
}

/* Arguments: requests, count, pointer to the success count (or 0), domains. */
long do_mmu_update(struct hcall *hc)
{
    struct mmu_update *ureqs = guest_ptr(struct mmu_update, hc->arg[0]);
    struct mmu_context c;
    struct pv_batch b;
    int rc = pv_batch_begin(&b, hc->arg[1], hc->arg[2]);

    if (rc)
        return rc;
    rc = find_domains(&c, (uint32_t)hc->arg[3]);
    if (rc)
        return rc;
    rc = run_batch(&c, &b, &ureqs);
    domain_put(c.pg_owner);
    domain_put(c.pt_owner);
    if (pv_batch_end(&b, 0))
        return -EFAULT;
    if (rc != -ERESTART)
        return rc;
    hc->arg[0] = (unsigned long)ureqs;
    hc->arg[1] = b.count | BATCH_RESTARTED;
    return hypercall_restart(hc);
}
