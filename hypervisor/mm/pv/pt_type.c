// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables coming into use and going out of it. All under the owner's pt_lock.
 *
 *                     get: all entries checked                       put of the last reference
 *   (other type, 0) ---------------------------> (Ln, 1.., validated) ------------------------+
 *          ^    \  preempted                        ^                                         |
 *          |     +--> (Ln, 0, partial) -------------+ get again                               v
 *          |                  | an entry was refused, or nobody goes on                 (Ln, 0, partial)
 *          |                  +-----------------------------------------------------> on d->pv.dead_tables
 *          +------------------------------------------------------------- drained: entries released
 *
 * A partial table has no typed reference, so nobody uses it, and the hardware cannot reach it. It keeps its type, so
 * nobody can write to it, and what its entries [0, nr_validated) refer to stays exactly known. It holds one general
 * reference to itself. Recursion goes down only in validation, at most four levels: the type of a table's children is
 * its own type less one, which also refuses tables that name themselves. Devalidation does not recurse: a child that
 * loses its last reference joins the list.
 *
 * Bounds: preemption is looked for before and after each child of an upper level and before each dead table, if
 * anything was done since the last look; an L1 table is checked or released in one go. So at most 512 entries lie
 * between two looks, and each slice makes progress.
 *
 * Deliberately not here: tables shared between domains, linear (recursive) page tables.
 */
#include <hv/sched.h>
#include <hv/shadow.h>
#include <hv/stretch.h>
#include "pt.h"

#define PT_WORD(type, rest) (((uint64_t)(type) << PGT_type_shift) | (rest))

static void assert_locked(const struct page_info *pg)
{
    ASSERT(spin_is_locked(&pg->owner->pv.pt_lock));
}

static void set_type_word(struct page_info *pg, uint64_t word)
{
    __atomic_store_n(&pg->type_info, word, __ATOMIC_SEQ_CST);
}

void pv_pt_domain_init(struct domain *d)
{
    spin_lock_init(&d->pv.pt_lock, RANK_PT);
    d->pv.dead_tables = 0;
    d->pv.drain_preempted = false;
    d->pv.relinquish_left = 0;
    d->pv.audit = NULL;
}

void pv_init_l4_slots(pte_t *l4, struct domain *d)
{
    for (unsigned int i = HYPERVISOR_L4_FIRST; i <= HYPERVISOR_L4_LAST; i++)
        l4[i] = i == PERDOMAIN_L4_SLOT ? pte_make(d->pv.perdomain_l3, PTE_P | PTE_RW | PTE_A | PTE_D) : idle_l4[i];
}

/* ---- the list of dead tables ---- */

static struct page_info *neighbour(uint32_t frame)
{
    return mfn_to_page(_mfn(frame));
}

bool pt_is_queued(const struct page_info *pg)
{
    return pg->dead.prev || pg->owner->pv.dead_tables == page_to_mfn(pg).n;
}

static void make_dead(struct page_info *pg)
{
    uint32_t *first = &pg->owner->pv.dead_tables, self = (uint32_t)page_to_mfn(pg).n;

    pg->dead.next = *first;
    if (*first)
        neighbour(*first)->dead.prev = self;
    *first = self;
}

static void unqueue(struct page_info *pg)
{
    if (!pt_is_queued(pg))
        return;
    if (pg->dead.prev)
        neighbour(pg->dead.prev)->dead.next = pg->dead.next;
    else
        pg->owner->pv.dead_tables = pg->dead.next;
    if (pg->dead.next)
        neighbour(pg->dead.next)->dead.prev = pg->dead.prev;
    pg->dead.next = pg->dead.prev = 0;
}

/* ---- going out of use ---- */

/* The table keeps its type without a typed reference; the general reference to itself is taken first. */
static void make_partial(struct page_info *pg, unsigned int nr)
{
    get_page_again(pg);
    pg->nr_validated = (uint16_t)nr;
    pg->tlb_stamp = tlb_now();
    pg->dead.next = pg->dead.prev = 0;
    set_type_word(pg, PT_WORD(page_type(pg), PGT_partial));
}

void pv_put_table_type(struct page_info *pg)
{
    uint64_t x = READ_ONCE(pg->type_info);

    assert_locked(pg);
    ASSERT(x & PGT_count_mask);
    pv_changed(pg->owner);
    if ((x & PGT_count_mask) > 1) {
        set_type_word(pg, x - 1);
        return;
    }
    ASSERT(!(x & PGT_pinned));
    make_partial(pg, PT_ENTRIES);
    make_dead(pg);
}

void pv_abandon_partial(struct page_info *pg)
{
    assert_locked(pg);
    if ((pg->type_info & PGT_partial) && !pt_is_queued(pg))
        make_dead(pg);
}

/* One table's worth of work. Children that die are queued before it, so they are next. */
static void drain_table(struct page_info *pg)
{
    unsigned int level = page_type(pg);

    unqueue(pg);
    pv_changed(pg->owner);
    stretch_work(MAX(pg->nr_validated, 1u)); /* an empty one is work too: there may be many */
    while (pg->nr_validated > 0) {
        unsigned int i = --pg->nr_validated;

        if (!pt_is_hv_slot(level, i))
            pt_release(pg->owner, level, pt_read(pt_slot(pg, i)));
    }
    set_type_word(pg, PT_WORD(level, 0));
    put_page(pg);
}

static int drain(struct domain *d)
{
    while (d->pv.dead_tables) {
        struct page_info *pg = neighbour(d->pv.dead_tables);

        if (preempt_after_work())
            return -ERESTART;
        if (d->shadow && !shadow_pv_end(d, page_to_mfn(pg))) /* before what it refers to is let go */
            return -ERESTART;
        drain_table(pg);
    }
    return 0;
}

int pv_drain_dead(struct domain *d)
{
    int rc;

    ASSERT(spin_is_locked(&d->pv.pt_lock));
    rc = drain(d);
    d->pv.drain_preempted = rc;
    return rc;
}

/* ---- coming into use ---- */

/* One entry of a table under validation: checked, its references taken, and made to look as the ABI wants it. */
static int validate_entry(struct domain *d, unsigned int level, pte_t *slot)
{
    pte_t e = pt_read(slot);
    struct pt_plan plan;
    int rc;

    rc = pt_check(d, d, level, e, &plan);
    if (!rc)
        rc = pt_acquire(&plan, d);
    if (!rc && plan.entry.n != e.n) {
        WRITE_ONCE(slot->n, plan.entry.n);
        logdirty_mark_frame(d, virt_to_mfn(slot));
    }
    return rc;
}

/* A child may be a table's worth of work: preemption is looked for on both sides of it. */
static int validate_slot(struct page_info *pg, unsigned int level, unsigned int i)
{
    int rc;

    if (level > 1 && preempt_after_work())
        return -ERESTART;
    rc = validate_entry(pg->owner, level, pt_slot(pg, i));
    if (rc)
        return rc;
    pg->nr_validated = (uint16_t)(i + 1);
    return level > 1 && preempt_after_work() ? -ERESTART : 0;
}

/* From pg->nr_validated on; 0, -ERESTART, or an entry's error as of pt_update. nr_validated says how far it came. */
static int validate(struct page_info *pg, unsigned int level)
{
    for (unsigned int i = pg->nr_validated; i < PT_ENTRIES; i++) {
        pg->nr_validated = (uint16_t)i;
        if (!pt_is_hv_slot(level, i) && (pt_read(pt_slot(pg, i)).n & PTE_P)) {
            int rc = validate_slot(pg, level, i);

            if (rc)
                return rc;
        }
        stretch_work(1);
    }
    pg->nr_validated = PT_ENTRIES;
    return 0;
}

/* The frame has the type and count 1, not yet validated: nobody else can use it for anything. */
static int promote(struct page_info *pg, enum page_type type)
{
    int rc = validate(pg, type);

    if (rc) {
        make_partial(pg, pg->nr_validated);
        if (rc != -ERESTART)
            make_dead(pg);
        return rc;
    }
    if (type == PT_L4) {
        pv_init_l4_slots(pt_slot(pg, 0), pg->owner);
        logdirty_mark_frame(pg->owner, page_to_mfn(pg));
    }
    set_type_word(pg, PT_WORD(type, PGT_validated | 1));
    return 0;
}

/* Takes up a partial table of the same type where it was left. */
static int resume(struct page_info *pg, enum page_type type)
{
    int rc;

    unqueue(pg);
    set_type_word(pg, PT_WORD(type, 1));
    rc = promote(pg, type);
    /* The reference of the partial state; the caller's keeps the frame. */
    put_page(pg);
    return rc;
}

/* A frame without a use becomes a table: by compare-and-swap, as another CPU may be taking it for WRITABLE. */
static int promote_fresh(struct page_info *pg, enum page_type type, uint64_t old)
{
    uint64_t x = old;

    if (!__atomic_compare_exchange_n(&pg->type_info, &x, PT_WORD(type, 1), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return -EINVAL;
    frame_flush_old_type(pg, old);
    pg->nr_validated = 0;
    return promote(pg, type);
}

int pv_get_table_type(struct page_info *pg, enum page_type type)
{
    uint64_t x = READ_ONCE(pg->type_info);

    assert_locked(pg);
    /* Teardown relies on it: once it has had the lock, no table comes into use any more. */
    if (READ_ONCE(pg->owner->dying))
        return -EINVAL;
    pv_changed(pg->owner);
    if (x & PGT_partial) {
        if (x >> PGT_type_shift == type)
            return resume(pg, type);
        /*
         * It has to be undone before the frame can be anything else; not here: what it refers to may be the very table
         * whose entry the caller is about to change. The restarted call begins with the dead tables.
         */
        pv_abandon_partial(pg);
        return -ERESTART;
    }
    if (!(x & PGT_count_mask))
        return promote_fresh(pg, type, x);
    if (x >> PGT_type_shift != type || !(x & PGT_validated) || (x & PGT_count_mask) == PGT_count_mask)
        return -EINVAL;
    set_type_word(pg, x + 1);
    return 0;
}
