/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to event/. Locks, outermost first:
 *
 *   e->lock        (RANK_EVENT) allocation and binding: every change of a channel's state is made under it; closing an
 *                  interdomain channel takes the lock of both domains. Never taken in interrupt context.
 *   channel->lock  (RANK_EVENT_PORT, irqsave) held in addition while the state changes, and alone by senders, which
 *                  come from any context. The two ends of an interdomain channel change with both channel locks held,
 *                  so a sender that holds its own end may use the other.
 *   e->queue_lock  (RANK_EVENT_QUEUE, irqsave) the FIFO ABI's pages, queue tails and the per-channel queue fields.
 *
 * Buckets are only ever added while the domain lives, so that a lookup needs no lock.
 */
#ifndef EVENT_INTERNAL_H
#define EVENT_INTERNAL_H

#include <hv/event.h>

#define CHANNELS_PER_BUCKET 64u
#define BUCKETS_PER_GROUP   64u
#define CHANNELS_PER_GROUP  (CHANNELS_PER_BUCKET * BUCKETS_PER_GROUP)
#define NR_GROUPS           (EVTCHN_FIFO_NR_CHANNELS / CHANNELS_PER_GROUP)

/* Physical interrupts that can be bound: GSIs, and MSIs above them. */
#define EVTCHN_NR_PIRQS 1024u

enum channel_state {
    CHANNEL_FREE,
    CHANNEL_RESERVED, /* port 0 */
    CHANNEL_UNBOUND,
    CHANNEL_INTERDOMAIN,
    CHANNEL_PIRQ,
    CHANNEL_VIRQ,
    CHANNEL_IPI,
};

struct channel {
    spinlock_t lock;
    uint32_t port;
    uint8_t state;
    uint8_t priority;      /* FIFO: queue for the next time it is raised */
    bool pending;          /* FIFO, queue_lock: raised before the event array reached the port */
    uint8_t last_priority; /* FIFO, queue_lock: the queue it was last put on */
    uint16_t last_vcpu;    /* likewise */
    uint16_t notify_vcpu;  /* always the number of an existing vCPU, or 0 */
    domid_t remote_id;     /* unbound: who may bind */
    uint32_t number;       /* virq, pirq, or the port at the remote end */
    struct domain *remote; /* interdomain: alive, because it closes its channels before it goes */
};

struct bucket {
    uint64_t free; /* bit set: may be allocated */
    struct channel channel[CHANNELS_PER_BUCKET];
};

struct group {
    uint64_t has_free; /* bit set: the bucket has a free channel */
    struct bucket *bucket[BUCKETS_PER_GROUP];
};

/* One of the two ABIs by which a domain learns what is pending. */
struct event_ops {
    unsigned int (*max_ports)(const struct domain *d);
    /* Sets the port pending and tells v unless it is masked. The caller holds the channel's lock or its peer's. */
    void (*raise)(struct vcpu *v, struct channel *ch);
    void (*clear)(struct domain *d, struct channel *ch);
    void (*unmask)(struct domain *d, struct channel *ch);
    bool (*is_pending)(struct domain *d, const struct channel *ch);
    bool (*is_masked)(struct domain *d, const struct channel *ch);
    bool (*is_busy)(struct domain *d, const struct channel *ch); /* the guest still has it queued: not to be reused */
    int (*set_priority)(struct domain *d, struct channel *ch, unsigned int priority); /* NULL: no priorities */
};

#define FIFO_WORDS_PER_PAGE  (PAGE_SIZE / sizeof(event_word_t))
#define FIFO_MAX_ARRAY_PAGES (EVTCHN_FIFO_NR_CHANNELS / FIFO_WORDS_PER_PAGE)

struct evtchn_fifo {
    unsigned int nr_pages;
    unsigned int raise_next; /* e->lock: ports below it, of those in the array, no longer wait for it */
    event_word_t *page[FIFO_MAX_ARRAY_PAGES];      /* general and WRITABLE reference each */
    struct page_info *control_page[MAX_VIRT_CPUS]; /* likewise */
};

struct evtchn_domain {
    spinlock_t lock;
    const struct event_ops *ops;
    unsigned int max_port;   /* highest port the domain may have */
    unsigned int nr_ports;   /* ports below it have a struct channel; grows */
    unsigned int nr_active;  /* channels neither free nor reserved */
    unsigned int reset_next; /* EVTCHNOP_reset: where to go on */
    unsigned int close_next; /* teardown: likewise */
    bool closed;             /* teardown has begun: nothing is allocated any more */
    struct group *group[NR_GROUPS];
    uint32_t *pirq_port; /* [EVTCHN_NR_PIRQS], allocated with the first binding; 0: not bound */
    spinlock_t queue_lock;
    struct evtchn_fifo *fifo;     /* queue_lock; NULL: 2-level */
    struct evtchn_fifo *old_fifo; /* e->lock: no longer used, references to be dropped */
};

struct evtchn_vcpu {
    uint32_t virq_port[NR_VIRQS]; /* written under e->lock, read by senders, who check the channel; 0: not bound */
    struct evtchn_fifo_control_block *control; /* queue_lock */
    uint32_t tail[EVTCHN_FIFO_MAX_QUEUES];     /* queue_lock; 0: empty */
    s_time_t self_sent;                        /* when it last sent itself an IPI; its own */
    unsigned int self_row;                     /* how many came soon after another; its own */
    unsigned int self_port;                    /* of one that waits for v->self_timer; 0: none. The channel's lock. */
};

/* channel.c */
struct channel *channel_lookup(const struct domain *d, unsigned int port); /* NULL: no such port. Speculation-safe. */
void event_lock_pair(struct domain *a, struct domain *b);
void event_unlock_pair(struct domain *a, struct domain *b);
/* e->lock held. Finds a port to allocate, which stays free until channel_take. 0, -EINVAL (dying), -ENOSPC, -ENOMEM,
 * -EBUSY (the guest holds every free port queued). */
int channel_find_free(struct domain *d, struct channel **out);
/* e->lock and the channel's lock held. */
void channel_take(struct domain *d, struct channel *ch, enum channel_state state, unsigned int notify_vcpu);
void channel_release(struct domain *d, struct channel *ch);
/* e->lock held: the two locks of an interdomain channel's ends. */
unsigned long channel_lock_pair(struct channel *a, struct channel *b);
void channel_unlock_pair(struct channel *a, struct channel *b, unsigned long flags);

static inline bool channel_usable(const struct channel *ch)
{
    return READ_ONCE(ch->state) > CHANNEL_RESERVED;
}

/* bind.c: each returns 0 and *port, or -errno with nothing changed. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote_id, evtchn_port_t *port);
int evtchn_bind_interdomain(struct domain *d, struct domain *remote, evtchn_port_t remote_port, evtchn_port_t *port);
int evtchn_bind_virq(struct domain *d, unsigned int virq, unsigned int vcpu, evtchn_port_t *port);
int evtchn_bind_ipi(struct domain *d, unsigned int vcpu, evtchn_port_t *port);
int evtchn_bind_pirq(struct domain *d, unsigned int pirq, unsigned int flags, evtchn_port_t *port);
int evtchn_bind_vcpu(struct domain *d, evtchn_port_t port, unsigned int vcpu);

/* close.c: 0, -EINVAL, or -ERESTART when the other end kept changing. */
int evtchn_close(struct domain *d, evtchn_port_t port);
int evtchn_reset(struct domain *d);

/* send.c */
int evtchn_unmask(struct domain *d, evtchn_port_t port);
void channel_raise(struct domain *d, struct channel *ch);
/* The port became pending: ends SCHEDOP_poll of the vCPUs that wait for it. */
void wake_pollers(struct domain *d, unsigned int port);

/* self.c; the channel's lock is held. An IPI of v, the current vCPU, to itself: true: it comes later. */
bool self_event_waits(struct vcpu *v, const struct channel *ch);
/* The channel, for IPIs, is closed: one that waits does not come. */
void self_event_cancel(struct domain *d, const struct channel *ch);

/* virq.c */
bool virq_is_global(unsigned int virq);
void virq_drop_handler(struct domain *d);

/* two_level.c, fifo.c */
extern const struct event_ops two_level_ops, fifo_ops;
/* How many ports the 2-level ABI has for d; behind them its pending bits end. */
unsigned int two_level_ports(const struct domain *d);
/* v's selector says that there is something everywhere. */
void two_level_select_all(struct vcpu *v);
int fifo_init_control(struct domain *d, unsigned int vcpu, uint64_t gfn, unsigned int offset);
int fifo_expand_array(struct domain *d, uint64_t gfn);
/* e->lock held, no channel in use: back to the 2-level ABI. */
void fifo_disable(struct domain *d);
/* Drops the references of a disabled FIFO, a slice at a time: 0 or -ERESTART. */
int fifo_drop_old(struct domain *d);

#endif
