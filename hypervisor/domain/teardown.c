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
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/p2m.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>

#define FRAMES_PER_SLICE 64u

static int stop_vcpus(struct domain *d)
{
    struct vcpu *v;

    domain_pause(d);
    timer_kill(&d->sched.refill);
    watchdog_kill(d);
    for_each_vcpu (d, v)
        vcpu_kill_timers(v);
    return 0;
}

static int drop_vcpu_state(struct domain *d)
{
    struct vcpu *v;

    for (; d->teardown_next < d->max_vcpus; d->teardown_next++) {
        int rc;

        if (preempt_after_work())
            return -ERESTART;
        v = d->vcpu[d->teardown_next];
        if (!v)
            continue;
        v->runstate_guest = v->time_area_guest = 0;
        vcpu_unregister_info(v);
        if (is_hvm_vcpu(v))
            hvm_vcpu_stop(v);
        rc = pv_drop_base(v);
        if (rc)
            return rc;
        if (preempt_before_work(GDT_PAGES + LDT_PAGES))
            return -ERESTART;
        pv_drop_descriptors(v);
        stretch_work(GDT_PAGES + LDT_PAGES);
    }
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
    for (unsigned int n = 1; release_one_frame(d); n++) {
        stretch_work(1);
        if (n % FRAMES_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
    return 0;
}

/* The next in turn if it still has the owner's reference, or NULL. The guest may have given some up itself. */
static struct page_info *next_hv_page(struct domain *d)
{
    struct page_info *pg = NULL;

    spin_lock(&d->page_alloc_lock);
    if (!list_empty(&d->hv_page_list)) {
        pg = list_first(&d->hv_page_list, struct page_info, list);
        list_del(&pg->list);
        list_add_tail(&pg->list, &d->hv_page_list);
        if (!(pg->count_info & PGC_allocated))
            pg = NULL;
    }
    spin_unlock(&d->page_alloc_lock);
    return pg;
}

static unsigned int count_hv_pages(struct domain *d)
{
    const struct page_info *pg;
    unsigned int n = 0;

    spin_lock(&d->page_alloc_lock);
    list_for_each (pg, &d->hv_page_list, list)
        n++;
    spin_unlock(&d->page_alloc_lock);
    return n;
}

/* The list is turned once: pages leave it meanwhile, none comes. */
int release_hv_pages(struct domain *d)
{
    if (!d->teardown_next)
        d->teardown_next = count_hv_pages(d) + 1;
    while (d->teardown_next > 1) {
        struct page_info *pg = next_hv_page(d);

        if (pg)
            unshare_hv_page(pg);
        stretch_work(1);
        if (--d->teardown_next % FRAMES_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
    d->teardown_next = 0;
    return 0;
}

static int (*const steps[])(struct domain *) = {
    stop_vcpus,           evtchn_relinquish,   grant_relinquish_mappings, drop_vcpu_state,
    irq_relinquish,       logdirty_relinquish, shadow_relinquish,         p2m_relinquish,
    pv_relinquish_tables, release_frames,      release_hv_pages,          paging_pool_relinquish,
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
        hvm_drop_transfer(d);
    }
    for (; d->teardown_step < ARRAY_SIZE(steps); d->teardown_step++) {
        int rc;

        stretch_name(STRETCH_TEARDOWN, d->teardown_step);
        rc = preempt_after_work() ? -ERESTART : steps[d->teardown_step](d);
        if (rc)
            return rc;
        d->teardown_next = 0;
    }
    d->dying = DOM_DEAD;
    domain_put(d);
    send_global_virq(VIRQ_DOM_EXC);
    return 0;
}
