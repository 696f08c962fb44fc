// SPDX-License-Identifier: BSD-2-Clause
/*
 * Teardown of a dying domain's tables. The base pointers are gone by now, so what still keeps tables in use is pins
 * and validations that were preempted and never taken up again. Every frame is looked at once: the list is turned, head
 * to tail, as often as there are frames. No table can come into use meanwhile (pv_get_table_type), so one turn is all.
 */
#include <hv/sched.h>
#include <hv/stretch.h>
#include "pt.h"

#define FRAMES_PER_SLICE 64

/* NULL: a frame that is just being freed, or none. */
struct page_info *pv_next_frame(struct domain *d)
{
    struct page_info *pg = NULL;

    spin_lock(&d->page_alloc_lock);
    if (!list_empty(&d->page_list)) {
        pg = list_first(&d->page_list, struct page_info, list);
        list_del(&pg->list);
        list_add_tail(&pg->list, &d->page_list);
        if (!get_page_owned(pg, d))
            pg = NULL;
    }
    spin_unlock(&d->page_alloc_lock);
    return pg;
}

static void let_go(struct page_info *pg)
{
    if (pg->type_info & PGT_pinned) {
        __atomic_fetch_and(&pg->type_info, ~PGT_pinned, __ATOMIC_SEQ_CST);
        put_page_and_type(pg);
    } else
        pv_abandon_partial(pg);
}

/* pt_lock held. */
static int relinquish_slice(struct domain *d)
{
    if (!d->pv.relinquish_left)
        d->pv.relinquish_left = READ_ONCE(d->tot_pages) + 1;
    if (preempt_after_work())
        return -ERESTART;
    while (d->pv.relinquish_left > 1) {
        struct page_info *pg = pv_next_frame(d);

        stretch_work(1);
        if (pg) {
            let_go(pg);
            put_page(pg);
        }
        if (--d->pv.relinquish_left % FRAMES_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
    return pv_drain_dead(d);
}

int pv_relinquish_tables(struct domain *d)
{
    int rc;

    spin_lock(&d->pv.pt_lock);
    rc = pv_audit_cancel(d);
    if (!rc)
        rc = pv_drain_dead(d);
    if (!rc)
        rc = relinquish_slice(d);
    spin_unlock(&d->pv.pt_lock);
    return rc;
}
