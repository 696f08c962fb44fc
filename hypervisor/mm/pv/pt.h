/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside mm/pv: the one route by which an entry of a PV guest's table changes.
 *
 *   pt_check   const, no effects: entry -> struct pt_plan, or -errno
 *   pt_acquire references for what the new entry will name; may fail or be preempted, then nothing is held
 *   pt_commit  void: stores the entry;  pt_release  void: drops the references of the entry that was there
 *
 * pt_update does all of them. All is called with the pt_lock of the domain that owns the tables.
 */
#ifndef MM_PV_PT_H
#define MM_PV_PT_H

#include <hv/domain.h>
#include <hv/x86.h>

enum pt_plan_kind {
    PLAN_EMPTY, /* not present: nothing to hold */
    PLAN_MMIO,  /* not RAM: nothing to hold */
    PLAN_FRAME,
};

struct pt_plan {
    pte_t entry; /* as it will stand in the table */
    enum pt_plan_kind kind;
    enum page_type type;  /* PLAN_FRAME: typed reference to take; PT_NONE: general only */
    struct domain *owner; /* PLAN_FRAME: who must own the frame */
};

/*
 * pg_owner: who owns the frames that L1 entries may name; pt_owner itself unless a privileged caller said otherwise,
 * dom_io for I/O memory only. Level 1-4.
 */
int pt_check(struct domain *pt_owner, struct domain *pg_owner, unsigned int level, pte_t entry, struct pt_plan *plan);
int pt_acquire(const struct pt_plan *plan, const struct domain *pt_owner);
/* Of an entry of pt_owner's. */
void pt_release(const struct domain *pt_owner, unsigned int level, pte_t entry);
/* Stores new and returns what was there; keep: bits of the old entry that are carried over (PTE_A, PTE_D). With this,
 * the log of stores knows of it and shadows have followed. */
pte_t pt_commit(pte_t *slot, pte_t new, uint64_t keep);
/* Stores new if the entry is exactly old. */
bool pt_commit_if(pte_t *slot, pte_t old, pte_t new);

struct pt_request {
    struct domain *pt_owner, *pg_owner;
    struct page_info *table; /* a validated table of pt_owner on which the caller holds a reference */
    unsigned int index;
    pte_t entry;
    bool by_mfn;           /* frames of a translated pg_owner are named by machine frame all the same */
    uint64_t keep;         /* see pt_commit */
    const pte_t *expected; /* not NULL: -EAGAIN unless this is the present entry */
};
/*
 * 0; -EINVAL; -EPERM no permission; -EBUSY an L1 entry's frame is another's or cannot be writable; -EAGAIN; -ERESTART.
 * Afterwards the caller drains dead tables.
 */
int pt_update(const struct pt_request *r);

/* Is the frame a table of the given level in use? */
static inline bool pt_is_live(const struct page_info *pg, unsigned int level)
{
    uint64_t x = READ_ONCE(pg->type_info);

    return x >> PGT_type_shift == level && (x & PGT_validated);
}

static inline pte_t *pt_slot(const struct page_info *table, unsigned int index)
{
    return (pte_t *)page_to_virt(table) + index;
}

static inline pte_t pt_read(const pte_t *slot)
{
    return _pte(READ_ONCE(slot->n));
}

static inline bool pt_is_hv_slot(unsigned int level, unsigned int index)
{
    return level == 4 && index >= HYPERVISOR_L4_FIRST && index <= HYPERVISOR_L4_LAST;
}

/* The frames of d, one after the other in an order that lasts: the next one with a reference, or NULL. As many calls as
 * there are frames name each, whatever is freed or allocated meanwhile, unless somebody else calls too. */
struct page_info *pv_next_frame(struct domain *d);
/* The L1 table that maps a guest linear address in v's present mode; NULL: there is none. */
struct page_info *pt_walk(const struct vcpu *v, unsigned long linear);

/* Is a partial table among the dead ones? pt_lock held. */
bool pt_is_queued(const struct page_info *pg);
/* pt_type.c, for teardown: a partly validated table that nobody will go on with joins the dead ones. */
void pv_abandon_partial(struct page_info *pg);

/*
 * The domain that a hypercall names besides the caller: DOMID_SELF, DOMID_IO, and for the control domain any other.
 * Held until domain_put. 0, -ESRCH or -EPERM.
 */
int pv_named_domain(domid_t id, struct domain **out);
/*
 * May a domain have page tables that hypercalls change? 0; -EPERM: the hypervisor's own have none; -EINVAL: those of a
 * translated domain are its memory, which it stores to itself: what was validated as a table would not stay one.
 */
int pv_check_table_owner(const struct domain *d);

/* Top bit of a batch's count: the call is being restarted, its success count goes on. */
#define BATCH_RESTARTED 0x80000000u

struct pv_batch {
    unsigned int count; /* requests left */
    unsigned int done;  /* by this and the preempted calls before */
    unsigned int *pdone;
};
/* Reads the encoding of the count and the former success count. 0 or -EFAULT. */
int pv_batch_begin(struct pv_batch *b, unsigned long count, unsigned long pdone);
/* Writes the success count back; rc, or -EFAULT when that fails. */
long pv_batch_end(const struct pv_batch *b, long rc);

/* Flush of the caller's address space, by kind and mask of vCPUs. */
void pv_flush(cpumask_t mask, bool one, unsigned long linear);
/* Physical CPUs on which the caller's domain's vCPUs of a guest bitmap run now. 0 or -EFAULT. */
int pv_vcpumask(const void *guest_mask, cpumask_t *mask);

#endif
