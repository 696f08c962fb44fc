/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame table: one struct page_info per frame of RAM. It carries the owner, a count of general references and a
 * type with a count of typed references. A frame has one type at a time while its type count is not zero; page tables
 * (L1..L4) and descriptor pages (SEGDESC) are never WRITABLE, which is what makes PV page tables safe.
 *
 *   - A general reference keeps the frame allocated to its owner. The owner's own reference is marked PGC_allocated.
 *   - A typed reference always comes with a general one (get_page_and_type).
 *   - The last general reference frees the frame: back to the heap, for the owner's account.
 *
 * Types of tables are given by mm/pv (pt_type.c); frame.c handles the rest. Both words are changed by compare-and-swap
 * only.
 */
#ifndef HV_FRAME_H
#define HV_FRAME_H

#include <hv/list.h>
#include <hv/page.h>

struct domain;

struct page_info {
    struct list_head list; /* heap free list, or d->page_list / d->hv_page_list (d->page_alloc_lock) */
    uint64_t count_info;
    uint64_t type_info;
    struct domain *owner; /* NULL: free or hypervisor-private */
    uint32_t tlb_stamp;   /* tlbflush_now() when the frame last lost a mapping that a TLB may still hold */
    uint8_t order;        /* heap: order of the free block that starts here */
    uint8_t heap_flags;   /* heap: PGH_* */
    union {
        uint16_t nr_validated; /* table pages, PGT_partial: entries [0, nr_validated) hold references */
        uint16_t nr_outside;   /* WRITABLE: typed references by others than the owner's entries; all ones: or more */
    };
    union {
        struct {              /* of a domain on shadows: mm/shadow (paging lock) */
            uint32_t rmap;    /* shadow leaves of 4 KiB that map the frame: entry_ref */
            uint32_t tables;  /* shadows of the guest table in it, the first one's number; of a shadow: its own */
            uint32_t rmap_2m; /* translated domains: leaves of 2 MiB that map it and the next 511 */
        } shadow;
        struct {                 /* PV table that lost its last typed reference: d->pv.dead_tables (pt_lock) */
            uint32_t shadows[2]; /* which it may still have */
            uint32_t next, prev; /* its neighbours in that list, by frame number; 0: none */
        } dead;
        uint64_t reserved[2]; /* small objects of the hypervisor's own: mm/objects.c */
    };
};
static_assert(sizeof(struct page_info) == 64, "frame table entries are one cache line");

#define PGC_allocated (1ull << 63) /* the owner's reference; whoever clears the bit drops it */
#define PGC_hv_page \
    (1ull << 62) /* hypervisor memory shared with the owner (shared_info, grant frames): not counted in tot_pages */
#define PGC_count_mask ((1ull << 48) - 1)

enum page_type {
    PT_NONE,
    PT_L1,
    PT_L2,
    PT_L3,
    PT_L4,
    PT_SEGDESC, /* GDT/LDT page: 512 checked descriptors */
    PT_WRITABLE,
};

#define PGT_type_shift 60
#define PGT_type_mask  (15ull << PGT_type_shift)
#define PGT_pinned     (1ull << 59) /* one type reference is held by the pin */
#define PGT_validated  (1ull << 58) /* contents checked for the type */
#define PGT_partial    (1ull << 57) /* table, count 0: entries [0, nr_validated) hold references; it holds itself */
#define PGT_busy       (1ull << 56) /* a CPU is giving the frame this type, or ending its last use, right now: wait */
#define PGT_foreign    (1ull << 55) /* was mapped writable by a domain that does not own it: any CPU may know it */
#define PGT_count_mask ((1ull << 48) - 1)

static inline enum page_type page_type(const struct page_info *pg)
{
    return (enum page_type)(READ_ONCE(pg->type_info) >> PGT_type_shift);
}

/* max_page: one past the highest RAM frame. Holes below it may have no frame table: mfn_valid is asked before an entry
 * is looked at. */
extern uint64_t max_page;
extern uint64_t total_pages; /* usable RAM frames */
#ifndef UMBRA_HOST
#define frame_table ((struct page_info *)FRAMETABLE_VIRT)
#else
extern struct page_info *frame_table;
#endif

static inline struct page_info *mfn_to_page(mfn_t m)
{
    return &frame_table[m.n];
}

static inline mfn_t page_to_mfn(const struct page_info *pg)
{
    return _mfn((uint64_t)(pg - frame_table));
}

static inline void *page_to_virt(const struct page_info *pg)
{
    return mfn_to_virt(page_to_mfn(pg));
}

static inline struct page_info *virt_to_page(const void *p)
{
    return mfn_to_page(virt_to_mfn(p));
}

/* RAM with a frame-table entry; everything else is MMIO or nothing. Safe for any number. */
bool mfn_valid(mfn_t m);

/* General reference iff d owns the frame and it is allocated; false otherwise, nothing changed. */
bool get_page(struct page_info *pg, struct domain *d);
/* The same for a frame that its owner may have given up already (teardown, audit). */
bool get_page_owned(struct page_info *pg, struct domain *d);
/* mfn_valid and get_page in one; NULL when refused. Safe for any guest-supplied number. */
struct page_info *get_page_from_mfn(mfn_t m, struct domain *d);
/* One more reference to a frame on which the caller already holds one. */
void get_page_again(struct page_info *pg);
/* Drops a general reference; the last one frees the frame. Takes d->page_alloc_lock and the heap lock. */
void put_page(struct page_info *pg);

/*
 * Typed reference, by a caller that holds a general one. Returns 0; -EINVAL when the contents or the present type
 * forbid it, for the entry of a table also -EPERM or -EBUSY (pt_update); -ERESTART when preempted in validation of a
 * table (call again, progress is kept in the page). Contention is waited for. PT_WRITABLE and PT_SEGDESC never return
 * -ERESTART. For the table types the caller holds the owner's d->pv.pt_lock. PT_NONE is no type to ask for: a reader
 * needs a general reference only.
 */
int get_page_type(struct page_info *pg, enum page_type type);
/*
 * Drops a typed reference; never fails, takes bounded time. A table that loses its last one is queued in
 * d->pv.dead_tables; whoever holds pt_lock drains that list (pv_drain_dead) before it returns to a guest.
 */
void put_page_type(struct page_info *pg);
/*
 * The same of type WRITABLE for an L1 entry of the owner's. Of what is stored through that the log of stores hears from
 * shadows; of who has such a reference by another right it thinks that he stores when he takes it and when he drops it.
 */
int get_own_writable(struct page_info *pg);
void put_own_writable(struct page_info *pg);
/* Of a PV domain's frame: may somebody store to it in another way than by the domain's own entries? */
bool frame_is_held_outside(const struct page_info *pg);
/* General and typed reference together; for WRITABLE and SEGDESC these cannot be preempted. */
int get_page_and_type(struct page_info *pg, struct domain *d, enum page_type type);
void put_page_and_type(struct page_info *pg);
/* Before a frame is used as another type: flushes CPUs that may hold translations from its old one (type_info old). */
void frame_flush_old_type(const struct page_info *pg, uint64_t old);

/*
 * Gives a hypervisor page to d as PGC_hv_page, so that d may map it: writable, or read-only. Either way the frame can
 * never become a table. The first such page holds a reference to the domain, the last one drops it.
 */
void share_hv_page_with_guest(struct page_info *pg, struct domain *d, bool writable);
/*
 * Ends the sharing: drops PGC_allocated and its reference, once. False: others still map the page. The memory stays
 * the sharer's, who frees it with the domain: a page that is still mapped keeps the domain.
 */
bool unshare_hv_page(struct page_info *pg);

/* M2P: what a guest reads at RO_M2P_VIRT_START. */
#define INVALID_M2P_ENTRY (~0ul)
void set_gpfn_from_mfn(mfn_t m, unsigned long pfn);
unsigned long get_gpfn_from_mfn(mfn_t m);
/* First frame of the 2 MiB piece of the table that lies at an address of the writable view; INVALID_MFN: a hole. */
mfn_t m2p_frame(unsigned long rw_address);

#endif
