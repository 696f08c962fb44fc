/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spinlocks with ranks. A CPU may take a lock only while every lock it holds has a lower rank (debug builds
 * check it); two locks of one rank are taken with spin_lock_nested on the second, lower address first. The ranks stand
 * below, in the order in which they nest.
 *
 * A lock that is taken in interrupt context anywhere is taken with the _irqsave form everywhere.
 */
#ifndef HV_SPINLOCK_H
#define HV_SPINLOCK_H

#include <hv/lib.h>

/* Outermost first. */
enum lock_rank {
    RANK_DOMCTL = 1,  /* one control operation at a time: domain creation, destruction, parameters */
    RANK_DOMAIN_LIFE, /* d->life_lock: pause counts, shutdown, vCPU bring-up */
    RANK_GRANT_MAP,   /* maptrack tables */
    RANK_GRANT,       /* d->grant->lock */
    RANK_EVENT,       /* d->evtchn->lock: channel binding */
    RANK_PIRQ,        /* d->irq lock */
    RANK_PT,          /* d->pv.pt_lock: PV page-table validation and updates */
    RANK_P2M,         /* d->p2m: what guest frames stand for */
    RANK_PAGING_POOL, /* d->paging_pool: free frames for P2M tables, shadows, the log of stores */
    RANK_PAGE_ALLOC,  /* d->page_alloc_lock: page list and totals */
    RANK_DOMLIST,     /* list of domains */
    RANK_OBJECTS,     /* hv_alloc size classes */
    RANK_HEAP,        /* buddy heap */
    RANK_MAP,         /* hypervisor page tables */
    RANK_EVENT_VIRQ,  /* who handles the global VIRQs */
    RANK_EVENT_PORT,  /* one channel's state, against senders */
    RANK_EVENT_QUEUE, /* FIFO event queues */
    RANK_IRQ_DESC,    /* irq_desc[].lock */
    RANK_SCHED,       /* run queues */
    RANK_TIMER,       /* per-CPU timers */
    RANK_TLB,         /* shoot-down and cross calls */
    RANK_CONSOLE,     /* console ring and output */
    RANK_LEAF,        /* takes nothing inside */
};

typedef struct spinlock {
    uint32_t head, tail;
    uint16_t rank;
    uint16_t holder; /* CPU + 1, debug builds */
} spinlock_t;

#define SPINLOCK_INIT(r) \
    {                    \
        0, 0, (r), 0     \
    }
static inline void spin_lock_init(spinlock_t *l, enum lock_rank r)
{
    *l = (spinlock_t)SPINLOCK_INIT((uint16_t)r);
}

void spin_lock(spinlock_t *l);
void spin_lock_nested(spinlock_t *l);
bool spin_trylock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
unsigned long spin_lock_irqsave(spinlock_t *l);
void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags);
bool spin_is_locked(const spinlock_t *l);
/* At boot, with one CPU: do processors that wait for a lock queue for it? Not on virtual ones; boot word spinlocks. */
void spin_locks_init(bool virtualised);
/* May a lock of that rank be taken with what this CPU holds? Debug builds know. */
bool spin_may_take(uint16_t rank);
#if DEBUG
extern bool lock_checks_enabled; /* set once per-CPU data exists; cleared by panic */
#endif

#endif
