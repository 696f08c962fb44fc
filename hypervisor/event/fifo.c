/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The FIFO ABI: an array of event words in guest frames, and per vCPU a control block with the heads of 16 queues. The
 * hypervisor appends, the guest consumes.
 *
 * The guest may write anything into these frames. What the hypervisor believes is kept on its side: the tails, the
 * queue a port was last put on, and the number of array pages. A link in guest memory is written, never followed. The
 * one wait for the guest, for a tail word that it is just unlinking, is bounded. The frames stay referenced as
 * WRITABLE until the FIFO is disabled, so that they cannot become page tables.
 */
#include <hv/frame.h>
#include <hv/heap.h>
#include <hv/p2m.h>
#include <hv/sched.h>
#include "internal.h"

#define WORD_PENDING (1u << EVTCHN_FIFO_PENDING)
#define WORD_MASKED  (1u << EVTCHN_FIFO_MASKED)
#define WORD_LINKED  (1u << EVTCHN_FIFO_LINKED)
#define WORD_BUSY    (1u << EVTCHN_FIFO_BUSY)

#define LINK_TRIES        4u
#define DROPPED_PER_SLICE 64u
#define PORTS_PER_SLICE   512u

/* What raising a port asks to be done once the queue lock is free. */
struct aftermath {
    bool upcall, pollers;
};

/*
 * NULL: beyond the array. The caller holds the queue lock, e->lock, or the lock of a channel in use: pages are only
 * added, and go when no channel is in use.
 */
static event_word_t *word_of(const struct domain *d, unsigned int port)
{
    const struct evtchn_fifo *f = READ_ONCE(d->evtchn->fifo);
    unsigned long page = port / FIFO_WORDS_PER_PAGE;

    if (!f || page >= READ_ONCE(f->nr_pages))
        return NULL;
    smp_rmb();
    page = array_index_nospec(page, FIFO_MAX_ARRAY_PAGES);
    return f->page[page] + port % FIFO_WORDS_PER_PAGE;
}

static uint32_t word_set(event_word_t *word, uint32_t bits)
{
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

static uint32_t word_clear(event_word_t *word, uint32_t bits)
{
    return __atomic_fetch_and(word, ~bits, __ATOMIC_SEQ_CST);
}

/* One attempt to put port behind the tail. 1: done; 0: the guest has taken the tail off its queue; -1: it interfered.
 */
static int try_link(event_word_t *tail, uint32_t port)
{
    uint32_t old = READ_ONCE(*tail);

    if (!(old & WORD_LINKED))
        return 0;
    return __atomic_compare_exchange_n(tail, &old, (old & ~(WORD_BUSY | EVTCHN_FIFO_LINK_MASK)) | port, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
               ? 1
               : -1;
}

/*
 * True: port follows the tail (or the guest broke the rules and has itself to blame); false: the queue is empty. The
 * guest leaves a word alone while BUSY is set.
 */
static bool link_behind(event_word_t *tail, uint32_t port)
{
    int rc = try_link(tail, port);

    if (rc >= 0)
        return rc;
    word_set(tail, WORD_BUSY);
    for (unsigned int i = 0; i < LINK_TRIES; i++) {
        rc = try_link(tail, port);
        if (rc > 0)
            return true; /* storing the link cleared BUSY */
        if (rc == 0)
            break;
        cpu_relax();
    }
    word_clear(tail, WORD_BUSY);
    return rc != 0;
}

/* queue_lock held; the port is pending, not masked and now LINKED. Returns whether v is to be told. */
static bool enqueue(struct vcpu *v, struct channel *ch)
{
    struct domain *d = v->domain;
    struct evtchn_vcpu *ev = v->evtchn;
    struct vcpu *last = domain_vcpu(d, ch->last_vcpu);
    unsigned int q = READ_ONCE(ch->priority) % EVTCHN_FIFO_MAX_QUEUES;
    event_word_t *tail;

    /* The end of its old queue that the guest has consumed is no longer a place to append to. */
    if (last && last->evtchn->tail[ch->last_priority] == ch->port)
        last->evtchn->tail[ch->last_priority] = 0;
    tail = ev->tail[q] ? word_of(d, ev->tail[q]) : NULL;
    ch->last_vcpu = (uint16_t)v->vcpu_id;
    ch->last_priority = (uint8_t)q;
    ev->tail[q] = ch->port;
    if (tail && link_behind(tail, ch->port))
        return false;
    WRITE_ONCE(ev->control->head[q], ch->port);
    return !(__atomic_fetch_or(&ev->control->ready, 1u << q, __ATOMIC_SEQ_CST) & (1u << q));
}

/* queue_lock held. */
static struct aftermath set_pending(struct vcpu *v, struct channel *ch)
{
    event_word_t *word = word_of(v->domain, ch->port);
    struct aftermath a = {false, false};

    if (!word) {
        ch->pending = true; /* raised when the array reaches it */
        return a;
    }
    a.pollers = !(word_set(word, WORD_PENDING) & WORD_PENDING);
    if ((READ_ONCE(*word) & (WORD_MASKED | WORD_LINKED)) || !v->evtchn->control)
        return a;
    if (!(word_set(word, WORD_LINKED) & WORD_LINKED))
        a.upcall = enqueue(v, ch);
    return a;
}

static void fifo_raise(struct vcpu *v, struct channel *ch)
{
    spinlock_t *lock = &v->domain->evtchn->queue_lock;
    unsigned long flags = spin_lock_irqsave(lock);
    struct aftermath a = set_pending(v, ch);

    spin_unlock_irqrestore(lock, flags);
    if (a.upcall)
        vcpu_mark_events_pending(v);
    if (a.pollers)
        wake_pollers(v->domain, ch->port);
}

/* Raised before the array reached the port: after the switch to this ABI, or under the one before. */
static bool waits(const struct domain *d, const struct channel *ch)
{
    return READ_ONCE(ch->pending) ||
           (ch->port < two_level_ports(d) && test_bit(ch->port, d->shared_info->evtchn_pending));
}

static void wait_no_more(struct domain *d, struct channel *ch)
{
    ch->pending = false;
    if (ch->port < two_level_ports(d))
        clear_bit(ch->port, d->shared_info->evtchn_pending);
}

/* A port still queued stays LINKED; the guest finds it not pending and drops it. */
static void fifo_clear(struct domain *d, struct channel *ch)
{
    unsigned long flags = spin_lock_irqsave(&d->evtchn->queue_lock);
    event_word_t *word = word_of(d, ch->port);

    wait_no_more(d, ch);
    if (word)
        word_clear(word, WORD_PENDING);
    spin_unlock_irqrestore(&d->evtchn->queue_lock, flags);
}

static void fifo_unmask(struct domain *d, struct channel *ch)
{
    event_word_t *word = word_of(d, ch->port);

    if (!word)
        return;
    if (word_clear(word, WORD_MASKED) & WORD_PENDING)
        channel_raise(d, ch);
}

/* The word of a port, for callers without the channel's lock; a port beyond the array counts as masked. */
static uint32_t read_word(struct domain *d, const struct channel *ch)
{
    unsigned long flags = spin_lock_irqsave(&d->evtchn->queue_lock);
    const event_word_t *word = word_of(d, ch->port);
    uint32_t w = word ? READ_ONCE(*word) : WORD_MASKED | (waits(d, ch) ? WORD_PENDING : 0);

    spin_unlock_irqrestore(&d->evtchn->queue_lock, flags);
    return w;
}

static bool fifo_is_pending(struct domain *d, const struct channel *ch)
{
    return read_word(d, ch) & WORD_PENDING;
}

static bool fifo_is_masked(struct domain *d, const struct channel *ch)
{
    return read_word(d, ch) & WORD_MASKED;
}

static bool fifo_is_busy(struct domain *d, const struct channel *ch)
{
    const event_word_t *word = word_of(d, ch->port);

    return word && (READ_ONCE(*word) & WORD_LINKED);
}

static int fifo_set_priority(struct domain *d, struct channel *ch, unsigned int priority)
{
    if (priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -EINVAL;
    /* Takes effect the next time the port is queued. */
    WRITE_ONCE(ch->priority, (uint8_t)priority);
    return 0;
}

static unsigned int fifo_ports(const struct domain *d)
{
    return EVTCHN_FIFO_NR_CHANNELS;
}

const struct event_ops fifo_ops = {
    .max_ports = fifo_ports,
    .raise = fifo_raise,
    .clear = fifo_clear,
    .unmask = fifo_unmask,
    .is_pending = fifo_is_pending,
    .is_masked = fifo_is_masked,
    .is_busy = fifo_is_busy,
    .set_priority = fifo_set_priority,
};

/* e->lock held. Events pending under the 2-level ABI stay there until the array reaches their ports. */
static void switch_to_fifo(struct domain *d, struct evtchn_fifo *f)
{
    struct evtchn_domain *e = d->evtchn;

    WRITE_ONCE(e->fifo, f);
    WRITE_ONCE(e->ops, &fifo_ops);
}

/* e->lock held. */
static int init_control_locked(struct domain *d, struct vcpu *v, struct page_info *pg, unsigned int offset)
{
    struct evtchn_domain *e = d->evtchn;
    struct evtchn_fifo *f = e->fifo;
    unsigned long flags;

    if (e->closed || v->evtchn->control)
        return -EINVAL;
    if (e->old_fifo)
        return -EAGAIN; /* a reset has not finished yet */
    if (!f) {
        f = hv_new(struct evtchn_fifo);
        if (!f)
            return -ENOMEM;
    }
    flags = spin_lock_irqsave(&e->queue_lock);
    f->control_page[v->vcpu_id] = pg;
    memset(v->evtchn->tail, 0, sizeof(v->evtchn->tail));
    v->evtchn->control = (struct evtchn_fifo_control_block *)((char *)page_to_virt(pg) + offset);
    if (!e->fifo)
        switch_to_fifo(d, f);
    spin_unlock_irqrestore(&e->queue_lock, flags);
    return 0;
}

int fifo_init_control(struct domain *d, unsigned int vcpu, uint64_t gfn, unsigned int offset)
{
    struct vcpu *v = domain_vcpu(d, vcpu);
    struct page_info *pg;
    int rc;

    if (!v)
        return -ENOENT;
    if (offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || (offset & 7))
        return -EINVAL;
    pg = get_writable_page(d, _gfn(gfn));
    if (!pg)
        return -EINVAL;
    spin_lock(&d->evtchn->lock);
    rc = init_control_locked(d, v, pg, offset);
    spin_unlock(&d->evtchn->lock);
    if (rc)
        put_page_and_type(pg);
    return rc;
}

static unsigned int end_of_array(const struct evtchn_fifo *f)
{
    return f->nr_pages * (unsigned int)FIFO_WORDS_PER_PAGE;
}

/* e->lock held. Raises, of the ports that the array has reached, some that were waiting for it. True: no more are left.
 */
static bool raise_waiting(struct domain *d, struct evtchn_fifo *f)
{
    unsigned int end = MIN(end_of_array(f), d->evtchn->nr_ports);

    for (unsigned int n = 0; f->raise_next < end; n++, f->raise_next++) {
        struct channel *ch = channel_lookup(d, f->raise_next);
        unsigned long flags;

        if (n == PORTS_PER_SLICE)
            return false;
        stretch_work(1);
        if (!waits(d, ch))
            continue;
        flags = spin_lock_irqsave(&ch->lock);
        wait_no_more(d, ch);
        if (channel_usable(ch))
            channel_raise(d, ch);
        spin_unlock_irqrestore(&ch->lock, flags);
    }
    f->raise_next = end_of_array(f);
    return true;
}

/* e->lock held. */
static void add_page(struct domain *d, struct evtchn_fifo *f, struct page_info *pg)
{
    unsigned long flags = spin_lock_irqsave(&d->evtchn->queue_lock);

    f->page[f->nr_pages] = page_to_virt(pg);
    smp_wmb();
    WRITE_ONCE(f->nr_pages, f->nr_pages + 1);
    spin_unlock_irqrestore(&d->evtchn->queue_lock, flags);
}

/*
 * e->lock held. A page is added when the ports of those before have all been raised; a call that restarts finds its
 * page as the last one, unless the guest adds another meanwhile: then it is added again. *added: the references of pg
 * now belong to the array.
 */
static int expand_array_locked(struct domain *d, struct page_info *pg, bool *added)
{
    struct evtchn_domain *e = d->evtchn;
    struct evtchn_fifo *f = e->fifo;

    if (!f || e->closed)
        return -EOPNOTSUPP;
    if (f->raise_next == end_of_array(f)) {
        if (f->nr_pages == FIFO_MAX_ARRAY_PAGES)
            return -ENOSPC;
        add_page(d, f, pg);
        *added = true;
    }
    return raise_waiting(d, f) && f->page[f->nr_pages - 1] == page_to_virt(pg) ? 0 : -ERESTART;
}

int fifo_expand_array(struct domain *d, uint64_t gfn)
{
    struct page_info *pg;
    bool added = false;
    int rc;

    if (!READ_ONCE(d->evtchn->fifo))
        return -EOPNOTSUPP;
    pg = get_writable_page(d, _gfn(gfn));
    if (!pg)
        return -EINVAL;
    spin_lock(&d->evtchn->lock);
    rc = expand_array_locked(d, pg, &added);
    spin_unlock(&d->evtchn->lock);
    if (!added)
        put_page_and_type(pg);
    return rc;
}

void fifo_disable(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    unsigned long flags;
    struct vcpu *v;

    if (!e->fifo || e->old_fifo)
        return;
    flags = spin_lock_irqsave(&e->queue_lock);
    WRITE_ONCE(e->ops, &two_level_ops);
    e->old_fifo = e->fifo;
    WRITE_ONCE(e->fifo, NULL);
    for_each_vcpu (d, v)
        v->evtchn->control = NULL;
    spin_unlock_irqrestore(&e->queue_lock, flags);
}

/* Takes one frame out of the disabled FIFO; NULL: it is empty. e->lock held. */
static struct page_info *next_old_frame(struct evtchn_fifo *f)
{
    if (f->nr_pages)
        return virt_to_page(f->page[--f->nr_pages]);
    for (unsigned int i = 0; i < MAX_VIRT_CPUS; i++)
        if (f->control_page[i]) {
            struct page_info *pg = f->control_page[i];

            f->control_page[i] = NULL;
            return pg;
        }
    return NULL;
}

int fifo_drop_old(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    unsigned int dropped = 0;

    for (;;) {
        struct page_info *pg = NULL;

        spin_lock(&e->lock);
        if (e->old_fifo) {
            pg = next_old_frame(e->old_fifo);
            if (!pg) {
                hv_free(e->old_fifo);
                e->old_fifo = NULL;
            }
        }
        spin_unlock(&e->lock);
        if (!pg)
            return 0;
        put_page_and_type(pg);
        stretch_work(1);
        if (++dropped % DROPPED_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
}
