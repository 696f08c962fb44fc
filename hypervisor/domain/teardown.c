/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Teardown: a list of restartable steps, each of which releases one kind of resource in bounded slices.
 * d->teardown_step remembers where a preempted call goes on. Frames that others still map stay with the dying domain
 * until they are unmapped.
 */
#include <hv/domain.h>
#include <hv/event.h>
#include <hv/grant.h>
#include <hv/heap.h>
#include <hv/irq.h>
#include <hv/sched.h>

static int stop_vcpus(struct domain *d)
{
    struct vcpu *v;

    domain_pause(d);
    for_each_vcpu (d, v) {
        timer_kill(&v->poll_timer);
        timer_kill(&v->singleshot_timer);
        timer_kill(&v->periodic_timer);
    }
    return 0;
}

static bool holds_frames(const struct vcpu *v)
{
    return !mfn_eq(v->vcpu_info_mfn, INVALID_MFN) || !mfn_eq(v->pv.l4_kernel, INVALID_MFN) ||
           !mfn_eq(v->pv.l4_user, INVALID_MFN);
}

/* Descriptor frames are let go before the tables, so a vCPU without tables has none of them either. */
static int drop_vcpu_state(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v) {
        int rc;

        v->runstate_guest = v->time_area_guest = 0;
        if (!holds_frames(v))
            continue;
        vcpu_unregister_info(v);
        pv_drop_descriptors(v);
        rc = pv_drop_base(v);
        if (!rc && preempt_needed())
            rc = -ERESTART;
        if (rc)
            return rc;
    }
    return 0;
}

static int release_irqs(struct domain *d)
{
    irq_domain_free(d);
    return 0;
}

/* The owner's reference of one frame; the frame moves aside so that each is looked at once. */
static bool release_one_frame(struct domain *d)
{
    struct page_info *pg = NULL;
    bool had_owner_ref = false;

    spin_lock(&d->page_alloc_lock);
    if (!list_empty(&d->page_list)) {
        pg = list_first(&d->page_list, struct page_info, list);
        list_del(&pg->list);
        list_add(&pg->list, &d->relinquished);
        had_owner_ref = __atomic_fetch_and(&pg->count_info, ~PGC_allocated, __ATOMIC_SEQ_CST) & PGC_allocated;
    }
    spin_unlock(&d->page_alloc_lock);
    if (had_owner_ref)
        put_page(pg);
    return pg != NULL;
}

static int release_frames(struct domain *d)
{
    for (unsigned int n = 0; release_one_frame(d); n++)
        if (n % 64 == 63 && preempt_needed())
            return -ERESTART;
    return 0;
}

int release_hv_pages(struct domain *d)
{
    for (unsigned int n = 1;; n++) {
        struct page_info *pg = NULL;

        spin_lock(&d->page_alloc_lock);
        list_for_each (pg, &d->hv_page_list, list)
            if (pg->count_info & PGC_allocated)
                break;
        if (&pg->list == &d->hv_page_list)
            pg = NULL;
        spin_unlock(&d->page_alloc_lock);
        if (!pg)
            return 0;
        unshare_hv_page(pg);
        if (n % 64 == 0 && preempt_needed())
            return -ERESTART;
    }
}

static int (*const steps[])(struct domain *) = {
    stop_vcpus,           evtchn_relinquish, grant_relinquish_mappings, drop_vcpu_state, release_irqs,
    pv_relinquish_tables, release_frames,    release_hv_pages,
};

int domain_kill(struct domain *d)
{
    if (d->dying == DOM_DEAD)
        return 0;
    if (d->dying == DOM_ALIVE) {
        /* Allocation checks the flag under this lock: no frame is added once it is set. */
        spin_lock(&d->page_alloc_lock);
        d->dying = DOM_DYING;
        spin_unlock(&d->page_alloc_lock);
        domain_unclaim_pages(d);
        drop_fresh_pages(d);
    }
    for (; d->teardown_step < ARRAY_SIZE(steps); d->teardown_step++) {
        int rc = steps[d->teardown_step](d);

        if (rc)
            return rc;
    }
    d->dying = DOM_DEAD;
    domain_put(d);
    send_global_virq(VIRQ_DOM_EXC);
    return 0;
}
