// SPDX-License-Identifier: BSD-2-Clause
/*
 * References to frames.
 *
 * Why frames have types. A PV guest writes its own page tables and the hardware walks them, so the hypervisor has to
 * know that no entry reaches memory the guest may not have. It checks a table once, when the table is first used, and
 * then every change. That is only sound while the guest cannot change a checked table behind our back. Hence one rule,
 * from which all else follows: at any time a frame has one type, a count says how many uses of that type there are,
 * and the type can change only while the count is zero. A frame that is mapped writable has type WRITABLE; a frame in
 * use as a page table has type L1..L4; a page of descriptors that a GDT or LDT shows has type SEGDESC. A frame is
 * therefore never writable and a table at once. Read-only mappings take no typed reference, so a guest may read its
 * tables.
 *
 * Two counts. count_info counts general references: the frame stays allocated to its owner while there is one. The
 * owner's own is marked PGC_allocated. type_info holds type, flags and the number of typed references; each typed
 * reference comes together with a general one, so that a frame never changes hands while it has a type in use.
 *
 * Stale translations. Dropping the last use of a type does not empty any TLB. A CPU may still write through an old
 * WRITABLE translation, or still walk an old table. So the moment of the last drop is stamped (tlb_stamp), and before
 * the frame gets another type every CPU that may hold such a translation, and has not flushed since the stamp, is
 * flushed: the CPUs that run the owner, or all when another domain had the frame mapped writable (PGT_foreign). While
 * that flush is under way the frame is PGT_busy and others who want the new type wait. A frame on its way to another
 * owner passes through the heap, which flushes in the same manner.
 *
 * Who changes what. General references, and the types WRITABLE and SEGDESC, need no lock: both words are changed by
 * compare-and-swap only. The table types are changed under the owner's d->pv.pt_lock, in mm/pv/pt_type.c; to everybody
 * else a table under validation is simply a frame with a type in use.
 *
 * Deliberately not here: validation of tables (mm/pv), allocation (heap.c), tracking of cache attributes.
 */
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/heap.h>
#include <hv/stretch.h>
#include <hv/x86.h>

/* The first megabyte is treated as I/O memory, whatever the firmware says: nobody owns its frames. */
#define LOW_FRAMES 0x100

bool mfn_valid(mfn_t m)
{
    return m.n >= LOW_FRAMES && m.n < max_page && mfn_is_ram(m);
}

/* ---- general references ---- */

static bool try_get_page(struct page_info *pg, struct domain *d, uint64_t required)
{
    uint64_t x = READ_ONCE(pg->count_info);

    do {
        if (!(x & PGC_count_mask) || (x & PGC_count_mask) == PGC_count_mask || (x & required) != required)
            return false;
        if (READ_ONCE(pg->owner) != d)
            return false;
    } while (!__atomic_compare_exchange_n(&pg->count_info, &x, x + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));

    /* The frame may have been freed and given to someone else between the two looks at it. */
    if (likely(READ_ONCE(pg->owner) == d))
        return true;
    put_page(pg);
    return false;
}

bool get_page(struct page_info *pg, struct domain *d)
{
    return d && try_get_page(pg, d, PGC_allocated);
}

bool get_page_owned(struct page_info *pg, struct domain *d)
{
    return d && try_get_page(pg, d, 0);
}

struct page_info *get_page_from_mfn(mfn_t m, struct domain *d)
{
    struct page_info *pg;

    if (!mfn_valid(m))
        return NULL;
    pg = mfn_to_page(_mfn(array_index_nospec(m.n, max_page)));
    return get_page(pg, d) ? pg : NULL;
}

void get_page_again(struct page_info *pg)
{
    uint64_t old = __atomic_fetch_add(&pg->count_info, 1, __ATOMIC_SEQ_CST);

    BUG_ON(!(old & PGC_count_mask) || (old & PGC_count_mask) == PGC_count_mask);
}

/* A shared hypervisor page that nobody maps any more: its sharer may free it, so no CPU may still know it. */
static void retire_shared_page(struct page_info *pg)
{
    tlb_flush_mask(cpu_online_map);
    pg->type_info = 0;
    free_domain_page(pg);
}

void put_page(struct page_info *pg)
{
    uint64_t left = __atomic_sub_fetch(&pg->count_info, 1, __ATOMIC_SEQ_CST);

    ASSERT((left & PGC_count_mask) != PGC_count_mask);
    if (likely(left & PGC_count_mask))
        return;
    ASSERT(!(pg->type_info & (PGT_pinned | PGT_partial | PGT_busy)));
    if (left & PGC_hv_page)
        retire_shared_page(pg);
    else
        free_domain_page(pg);
}

/* ---- types ---- */

static bool is_table_type(enum page_type t)
{
    return t >= PT_L1 && t <= PT_L4;
}

static bool change_type_info(struct page_info *pg, uint64_t *old, uint64_t new)
{
    return __atomic_compare_exchange_n(&pg->type_info, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void frame_flush_old_type(const struct page_info *pg, uint64_t old)
{
    const struct domain *d = pg->owner;
    cpumask_t mask;

    if (old >> PGT_type_shift == PT_NONE)
        return;
    mask = (old & PGT_foreign) || !d ? cpu_online_map : (cpumask_t){READ_ONCE(d->dirty_cpus.bits)};
    mask = tlb_filter(mask, pg->tlb_stamp);
    if (!cpumask_empty(mask))
        tlb_flush_mask(mask);
}

/* Who stores to a frame, or may from now on, need not say so to the log of stores: see <hv/logdirty.h>. */
static void note_store(const struct page_info *pg)
{
    if (pg->owner && READ_ONCE(pg->owner->logdirty.state) != LOGDIRTY_OFF)
        logdirty_mark_frame(pg->owner, page_to_mfn(pg));
}

/* Every descriptor of a page that cannot be written any more: 512 entries, once. */
static int check_segdesc_page(struct page_info *pg)
{
    uint64_t *desc = page_to_virt(pg);

    stretch_work(PAGE_SIZE / sizeof(*desc));
    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*desc); i++) {
        uint64_t v = READ_ONCE(desc[i]);

        if (!pv_check_descriptor(&v))
            return -EINVAL;
        if (v != desc[i]) {
            WRITE_ONCE(desc[i], v);
            note_store(pg);
        }
    }
    return 0;
}

/* The frame is busy and ours: flush, check, and open it for others, or give it up. */
static int settle_new_type(struct page_info *pg, enum page_type type, uint64_t old)
{
    int rc = 0;

    frame_flush_old_type(pg, old);
    if (type == PT_SEGDESC)
        rc = check_segdesc_page(pg);
    if (rc) {
        pg->tlb_stamp = tlb_now();
        __atomic_store_n(&pg->type_info, 0, __ATOMIC_RELEASE);
    } else
        __atomic_store_n(&pg->type_info, ((uint64_t)type << PGT_type_shift) | PGT_validated | 1, __ATOMIC_RELEASE);
    return rc;
}

/* WRITABLE and SEGDESC, without a lock. */
static int get_plain_type(struct page_info *pg, enum page_type type)
{
    uint64_t x = READ_ONCE(pg->type_info);

    for (;;) {
        bool same = x >> PGT_type_shift == type;
        uint64_t count = x & PGT_count_mask;

        if (x & PGT_busy) {
            if (!same)
                return -EINVAL;
            cpu_relax();
            /* Its holder may wait for this CPU to flush, and a fault on an LDT page comes here without interrupts. */
            if (!irqs_enabled())
                tlb_poll();
            x = READ_ONCE(pg->type_info);
            continue;
        }
        if (same && (x & PGT_validated)) {
            if (count == PGT_count_mask)
                return -EINVAL;
            if (change_type_info(pg, &x, x + 1))
                return 0;
            continue;
        }
        if (count || (x & PGT_partial))
            return -EINVAL;
        if (change_type_info(pg, &x, ((uint64_t)type << PGT_type_shift) | PGT_busy | 1))
            return settle_new_type(pg, type, x);
    }
}

/* While there is a reference the type stays what it is, and so does the meaning of the count. */
static void count_outside(struct page_info *pg, int by)
{
    uint16_t n = READ_ONCE(pg->nr_outside);

    while (n != UINT16_MAX && !__atomic_compare_exchange_n(&pg->nr_outside, &n, (uint16_t)(n + by), false,
                                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

/* The processor, too, stores to descriptors. */
int get_page_type(struct page_info *pg, enum page_type type)
{
    int rc;

    if (is_table_type(type))
        return pv_get_table_type(pg, type);
    if (type != PT_WRITABLE && type != PT_SEGDESC)
        return -EINVAL;
    rc = get_plain_type(pg, type);
    if (!rc && type == PT_WRITABLE)
        count_outside(pg, 1);
    if (!rc)
        note_store(pg);
    return rc;
}

int get_own_writable(struct page_info *pg)
{
    return get_plain_type(pg, PT_WRITABLE);
}

bool frame_is_held_outside(const struct page_info *pg)
{
    uint64_t x = READ_ONCE(pg->type_info);
    enum page_type type = (enum page_type)(x >> PGT_type_shift);

    return (x & PGT_count_mask) && (type == PT_SEGDESC || (type == PT_WRITABLE && READ_ONCE(pg->nr_outside)));
}

/*
 * WRITABLE and SEGDESC stay what they are until another type is wanted: a page of descriptors that nobody uses cannot
 * be written either, so it need not be checked again, and a call that was preempted between two pages goes on.
 *
 * The last use ends in two steps, busy in between. Were the stamp taken before a single step, others could come and go
 * unnoticed meanwhile - the word would be the same again - and what they leave in TLBs would be younger than the stamp.
 */
static void put_plain_type(struct page_info *pg)
{
    uint64_t x = READ_ONCE(pg->type_info);
    bool last;

    do {
        ASSERT((x & PGT_count_mask) && !(x & PGT_busy));
        last = (x & PGT_count_mask) == 1;
    } while (!change_type_info(pg, &x, last ? x | PGT_busy : x - 1));
    if (last) {
        pg->tlb_stamp = tlb_now();
        __atomic_store_n(&pg->type_info, x - 1, __ATOMIC_RELEASE);
    }
}

/*
 * The TLB of whoever had the reference may let him store until it is flushed, which a reading of the log does at its
 * end if it is told to. It is told before the bit is set: a reading that takes the bit away flushes.
 */
static void note_drop(const struct page_info *pg)
{
    if (pg->owner && READ_ONCE(pg->owner->logdirty.state) != LOGDIRTY_OFF)
        __atomic_store_n(&pg->owner->logdirty.left_behind, true, __ATOMIC_SEQ_CST);
    note_store(pg);
}

void put_page_type(struct page_info *pg)
{
    if (is_table_type(page_type(pg))) {
        pv_put_table_type(pg);
        return;
    }
    note_drop(pg);
    if (page_type(pg) == PT_WRITABLE)
        count_outside(pg, -1);
    put_plain_type(pg);
}

void put_own_writable(struct page_info *pg)
{
    put_plain_type(pg);
}

int get_page_and_type(struct page_info *pg, struct domain *d, enum page_type type)
{
    int rc;

    if (!get_page(pg, d))
        return -EINVAL;
    rc = get_page_type(pg, type);
    if (rc)
        put_page(pg);
    return rc;
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

/* ---- hypervisor pages that a guest may map ---- */

void share_hv_page_with_guest(struct page_info *pg, struct domain *d, bool writable)
{
    bool first;

    set_gpfn_from_mfn(page_to_mfn(pg), INVALID_M2P_ENTRY);
    /* The typed reference is never dropped while the page is shared: the type is fixed. */
    pg->type_info = ((uint64_t)(writable ? PT_WRITABLE : PT_NONE) << PGT_type_shift) | PGT_validated | 1;
    pg->reserved[0] = pg->reserved[1] = 0; /* in a P2M it is memory like the domain's own: not shadowed */
    pg->owner = d;
    spin_lock(&d->page_alloc_lock);
    first = list_empty(&d->hv_page_list);
    list_add_tail(&pg->list, &d->hv_page_list);
    if (first)
        domain_hold(d);
    __atomic_store_n(&pg->count_info, PGC_allocated | PGC_hv_page | 1, __ATOMIC_RELEASE);
    spin_unlock(&d->page_alloc_lock);
}

bool unshare_hv_page(struct page_info *pg)
{
    uint64_t x = __atomic_fetch_and(&pg->count_info, ~PGC_allocated, __ATOMIC_SEQ_CST);
    bool last = (x & PGC_allocated) && (x & PGC_count_mask) == 1;

    if (x & PGC_allocated)
        put_page(pg);
    return last;
}

/* ---- M2P ---- */

#ifndef UMBRA_HOST
#define m2p_table ((unsigned long *)RW_M2P_VIRT_START)
#else
extern unsigned long *m2p_table;
#endif

void set_gpfn_from_mfn(mfn_t m, unsigned long pfn)
{
    if (mfn_valid(m))
        WRITE_ONCE(m2p_table[m.n], pfn);
}

unsigned long get_gpfn_from_mfn(mfn_t m)
{
    return mfn_valid(m) ? READ_ONCE(m2p_table[array_index_nospec(m.n, max_page)]) : INVALID_M2P_ENTRY;
}
