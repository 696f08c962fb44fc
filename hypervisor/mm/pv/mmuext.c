// SPDX-License-Identifier: BSD-2-Clause
/*
 * mmuext_op: pins, base pointers, flushes, the LDT, clearing and copying of frames. A batch like mmu_update's, one
 * operation at a time; each may be preempted, keeps its progress in the pages, and is then simply repeated.
 */
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include "pt.h"

/* ---- pins: a typed and a general reference held in the guest's name, marked PGT_pinned ---- */

/* pt_lock held, and a general reference, which the pin takes over. */
static int pin_locked(struct page_info *pg, enum page_type type)
{
    int rc = get_page_type(pg, type);

    if (rc)
        return rc;
    if (!(__atomic_fetch_or(&pg->type_info, PGT_pinned, __ATOMIC_SEQ_CST) & PGT_pinned))
        return 0;
    put_page_type(pg);
    return -EINVAL;
}

static int unpin_locked(struct page_info *pg)
{
    if (!(__atomic_fetch_and(&pg->type_info, ~PGT_pinned, __ATOMIC_SEQ_CST) & PGT_pinned))
        return -EINVAL;
    put_page_and_type(pg);
    return 0;
}

static int pin(struct domain *d, mfn_t m, enum page_type type)
{
    struct page_info *pg = get_page_from_mfn(m, d);
    int rc;

    if (!pg)
        return -EINVAL;
    spin_lock(&d->pv.pt_lock);
    rc = pin_locked(pg, type);
    spin_unlock(&d->pv.pt_lock);
    if (rc)
        put_page(pg);
    return rc;
}

int pv_pin_l4(struct domain *d, mfn_t m)
{
    return pin(d, m, PT_L4);
}

/* The owner may have given the frame up: then the pin is what still holds it. */
static int unpin(struct domain *d, mfn_t m)
{
    struct page_info *pg;
    int rc;

    if (!mfn_valid(m))
        return -EINVAL;
    pg = mfn_to_page(_mfn(array_index_nospec(m.n, max_page)));
    if (!get_page_owned(pg, d))
        return -EINVAL;
    spin_lock(&d->pv.pt_lock);
    rc = unpin_locked(pg);
    spin_unlock(&d->pv.pt_lock);
    put_page(pg);
    return rc;
}

/* ---- base pointers of the calling vCPU ---- */

static int new_base(mfn_t m)
{
    return mfn_eq(m, INVALID_MFN) ? -EINVAL : pv_set_base(current, m, current->pv.l4_user);
}

/* Frame 0 takes the user tables away. */
static int new_user_base(mfn_t m)
{
    return pv_set_base(current, current->pv.l4_kernel, m.n ? m : INVALID_MFN);
}

/* ---- flushes ---- */

static int flush_all(bool one, unsigned long linear)
{
    pv_flush((cpumask_t){READ_ONCE(current->domain->dirty_cpus.bits)}, one, linear);
    return 0;
}

static int flush_multi(const struct mmuext_op *op, bool one)
{
    cpumask_t mask;

    if (pv_vcpumask(op->arg2.vcpumask.p, &mask))
        return -EINVAL;
    pv_flush(mask, one, op->arg1.linear_addr);
    return 0;
}

static int flush_op(const struct mmuext_op *op)
{
    bool one = op->cmd == MMUEXT_INVLPG_LOCAL || op->cmd == MMUEXT_INVLPG_MULTI || op->cmd == MMUEXT_INVLPG_ALL;

    if (one && !guest_range_ok(op->arg1.linear_addr, 1))
        return 0;
    switch (op->cmd) {
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        pv_flush(cpumask_of(smp_processor_id()), one, op->arg1.linear_addr);
        return 0;
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
        return flush_multi(op, one);
    default:
        return flush_all(one, op->arg1.linear_addr);
    }
}

static void write_back_caches(void *unused)
{
    __asm__ __volatile__("wbinvd" ::: "memory");
}

static int flush_cache(bool everywhere)
{
    if (!current->domain->is_control)
        return -EACCES;
    if (everywhere)
        call_on_cpus(cpu_online_map, write_back_caches, NULL);
    else
        write_back_caches(NULL);
    return 0;
}

/* ---- the rest ---- */

static int clear_frame(struct domain *d, mfn_t m)
{
    struct page_info *pg = get_page_from_mfn(m, d);
    int rc;

    if (!pg)
        return -EINVAL;
    rc = get_page_type(pg, PT_WRITABLE);
    if (!rc) {
        memset(page_to_virt(pg), 0, PAGE_SIZE);
        stretch_work(STRETCH_FRAME);
        put_page_type(pg);
    }
    put_page(pg);
    return rc;
}

static int copy_frame(struct domain *d, mfn_t to, mfn_t from)
{
    struct page_info *src = get_page_from_mfn(from, d), *dst;
    int rc = -EINVAL;

    if (!src)
        return -EINVAL;
    dst = get_page_from_mfn(to, d);
    if (dst) {
        rc = get_page_type(dst, PT_WRITABLE);
        if (!rc) {
            memcpy(page_to_virt(dst), page_to_virt(src), PAGE_SIZE);
            stretch_work(STRETCH_FRAME);
            put_page_type(dst);
        }
        put_page(dst);
    }
    put_page(src);
    return rc;
}

/* Operations on the caller itself, whatever domain was named. */
static int self_op(const struct mmuext_op *op)
{
    switch (op->cmd) {
    case MMUEXT_NEW_BASEPTR:
        return new_base(_mfn(op->arg1.mfn));
    case MMUEXT_NEW_USER_BASEPTR:
        return new_user_base(_mfn(op->arg1.mfn));
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        return flush_op(op);
    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return flush_cache(op->cmd == MMUEXT_FLUSH_CACHE_GLOBAL);
    case MMUEXT_SET_LDT:
        return pv_set_ldt(current, op->arg1.linear_addr, op->arg2.nr_ents);
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}

static int one_op(struct domain *d, const struct mmuext_op *op)
{
    stretch_name(__HYPERVISOR_mmuext_op, op->cmd);
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin(d, _mfn(op->arg1.mfn), PT_L1 + (op->cmd - MMUEXT_PIN_L1_TABLE));
    case MMUEXT_UNPIN_TABLE:
        return unpin(d, _mfn(op->arg1.mfn));
    case MMUEXT_CLEAR_PAGE:
        return clear_frame(d, _mfn(op->arg1.mfn));
    case MMUEXT_COPY_PAGE:
        return copy_frame(d, _mfn(op->arg1.mfn), _mfn(op->arg2.src_mfn));
    default:
        return d == current->domain ? self_op(op) : -EPERM;
    }
}

static int drain(struct domain *d)
{
    int rc;

    spin_lock(&d->pv.pt_lock);
    rc = pv_drain_dead(d);
    spin_unlock(&d->pv.pt_lock);
    return rc;
}

/* n operations of one copied slice; *i is set to the number done. See run_slice in mmu_update.c. */
static int run_slice(struct domain *d, const struct mmuext_op *op, unsigned int n, unsigned int *i)
{
    int rc = drain(d);

    if (!rc && preempt_after_work())
        rc = -ERESTART;
    for (*i = 0; !rc && *i < n;) {
        uint32_t before = stretch_request();
        int drained;

        rc = one_op(d, &op[*i]);
        if (!rc)
            ++*i;
        drained = drain(d);
        if (!rc)
            rc = drained;
        if (!rc)
            stretch_request_done(before);
        if (!rc && *i < n && preempt_needed())
            rc = -ERESTART;
    }
    return rc;
}

static int run_batch(struct domain *d, struct pv_batch *b, struct mmuext_op **uops)
{
    struct mmuext_op op[GUEST_BATCH];
    int rc;

    do {
        unsigned int n = MIN(b->count, GUEST_BATCH), i;

        if (n && copy_from_guest(op, *uops, n))
            return -EFAULT;
        rc = run_slice(d, op, n, &i);
        b->count -= i;
        b->done += i;
        *uops += i;
        if (!rc && b->count && preempt_needed())
            rc = -ERESTART;
    } while (!rc && b->count);
    return rc;
}

/* Arguments: operations, count, pointer to the success count (or 0), domain whose frames are meant. */
long do_mmuext_op(struct hcall *hc)
{
    struct mmuext_op *uops = guest_ptr(struct mmuext_op, hc->arg[0]);
    struct domain *d;
    struct pv_batch b;
    int rc = pv_batch_begin(&b, hc->arg[1], hc->arg[2]);

    if (rc)
        return rc;
    rc = pv_named_domain((domid_t)hc->arg[3], &d);
    if (rc)
        return rc;
    rc = pv_check_table_owner(d);
    if (!rc)
        rc = run_batch(d, &b, &uops);
    domain_put(d);
    if (pv_batch_end(&b, 0))
        return -EFAULT;
    if (rc != -ERESTART)
        return rc;
    hc->arg[0] = (unsigned long)uops;
    hc->arg[1] = b.count | BATCH_RESTARTED;
    return hypercall_restart(hc);
}
