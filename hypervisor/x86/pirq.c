/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical interrupts of guests: the map from a domain's pirq numbers to interrupts, binding to event channels, and the
 * account of who has to finish a level interrupt.
 *
 * Flow: PHYSDEVOP_map_pirq -> pirq_map; EVTCHNOP_bind_pirq -> pirq_guest_bind: the interrupt is routed and unmasked;
 * do_irq -> pirq_deliver -> send_pirq; PHYSDEVOP_eoi -> pirq_guest_eoi. Locks: d->irq->lock (RANK_PIRQ), inside it the
 * descriptor's. Delivery runs without either; who takes a guest off an interrupt waits for deliveries under way.
 */
#include <hv/event.h>
#include <hv/heap.h>
#include <hv/irq_desc.h>
#include <hv/sched.h>

#define NO_IRQ     (-1)
#define RESERVED   (-2) /* PHYSDEVOP_get_free_pirq */
#define PIRQ_LIMIT 1024u

#define UNMAPS_PER_SLICE 64u

struct irq_domain {
    spinlock_t lock;
    int16_t *irq; /* [nr_irqs], allocated with the first mapping; by pirq */
    struct page_info *eoi_page;
    void *eoi_map; /* in the guest's page: written, never read */
};

int irq_domain_init(struct domain *d)
{
    d->irq = hv_new(struct irq_domain);
    if (!d->irq)
        return -ENOMEM;
    spin_lock_init(&d->irq->lock, RANK_PIRQ);
    return 0;
}

static int lookup(const struct irq_domain *m, unsigned int pirq)
{
    const int16_t *table = READ_ONCE(m->irq);

    if (!table || pirq >= nr_irqs)
        return NO_IRQ;
    return READ_ONCE(table[array_index_nospec(pirq, nr_irqs)]);
}

static struct irq_desc *pirq_desc(const struct domain *d, unsigned int pirq)
{
    int irq = d->irq ? lookup(d->irq, pirq) : NO_IRQ;

    return irq >= 0 ? irq_to_desc((unsigned int)irq) : NULL;
}

int pirq_to_irq(struct domain *d, unsigned int pirq)
{
    int irq = d->irq ? lookup(d->irq, pirq) : NO_IRQ;

    return irq >= 0 ? irq : -EINVAL;
}

/* ---- the page of bits ---- */

static void eoi_map_update(struct irq_domain *m, unsigned int pirq, bool needs_eoi)
{
    if (!m->eoi_map)
        return;
    if (needs_eoi)
        set_bit(pirq, m->eoi_map);
    else
        clear_bit(pirq, m->eoi_map);
}

int pirq_set_eoi_map(struct domain *d, mfn_t mfn)
{
    struct irq_domain *m = d->irq;
    struct page_info *pg;
    int rc = 0;

    if (!m)
        return -EINVAL;
    if (!mfn_valid(mfn))
        return -EINVAL;
    pg = mfn_to_page(_mfn(array_index_nospec(mfn.n, max_page)));
    if (get_page_and_type(pg, d, PT_WRITABLE) != 0)
        return -EINVAL;
    spin_lock(&m->lock);
    if (m->eoi_page) {
        rc = -EBUSY;
    } else {
        m->eoi_page = pg;
        m->eoi_map = page_to_virt(pg);
        for (unsigned int pirq = 0; pirq < nr_irqs; pirq++) {
            const struct irq_desc *desc = pirq_desc(d, pirq);

            eoi_map_update(m, pirq, desc && desc->kind == IRQ_LEVEL);
        }
    }
    spin_unlock(&m->lock);
    if (rc)
        put_page_and_type(pg);
    return rc;
}

bool pirq_needs_eoi(struct domain *d, unsigned int pirq)
{
    const struct irq_desc *desc = pirq_desc(d, pirq);

    /* A guest that does not look at the page of bits must do it always. */
    return !d->irq->eoi_map || (desc && desc->kind == IRQ_LEVEL);
}

bool pirq_shared(struct domain *d, unsigned int pirq)
{
    const struct irq_desc *desc = pirq_desc(d, pirq);

    return desc && READ_ONCE(desc->nr_guests) > 1;
}

/* ---- mapping ---- */

/* m->lock held. */
static int table_alloc(struct irq_domain *m)
{
    int16_t *table;

    if (m->irq)
        return 0;
    table = hv_new_array(int16_t, nr_irqs);
    if (!table)
        return -ENOMEM;
    for (unsigned int i = 0; i < nr_irqs; i++)
        table[i] = NO_IRQ;
    smp_wmb();
    WRITE_ONCE(m->irq, table);
    return 0;
}

static bool run_is_free(const struct irq_domain *m, unsigned int first, unsigned int count)
{
    for (unsigned int i = first; i < first + count; i++)
        if (i >= nr_irqs || m->irq[i] != NO_IRQ)
            return false;
    return true;
}

/* The number itself when it is free, so that pirqs and interrupts agree in the usual case; else the first free run. */
static int choose_pirq(const struct irq_domain *m, unsigned int irq, unsigned int count)
{
    if (run_is_free(m, irq, count))
        return (int)irq;
    for (unsigned int first = nr_irqs_gsi; first + count <= nr_irqs; first++)
        if (run_is_free(m, first, count))
            return (int)first;
    return -ENOSPC;
}

static int find_irq(const struct irq_domain *m, unsigned int irq)
{
    for (unsigned int i = 0; i < nr_irqs; i++)
        if (m->irq[i] == (int)irq)
            return (int)i;
    return -ENOENT;
}

/* CHECK: where the mapping goes; m->lock held. */
static int place_pirq(const struct irq_domain *m, int pirq, unsigned int irq, unsigned int count)
{
    int have = find_irq(m, irq);

    if (have >= 0)
        return pirq < 0 || pirq == have ? have : -EEXIST;
    if (pirq < 0)
        return choose_pirq(m, irq, count);
    if ((unsigned int)pirq >= nr_irqs)
        return -EINVAL;
    for (unsigned int i = (unsigned int)pirq; i < (unsigned int)pirq + count; i++)
        if (i >= nr_irqs || (m->irq[i] != NO_IRQ && m->irq[i] != RESERVED))
            return -EBUSY;
    return pirq;
}

int pirq_map(struct domain *d, int pirq, unsigned int irq, unsigned int count)
{
    struct irq_domain *m = d->irq;
    int rc;

    if (!m)
        return -EINVAL;
    spin_lock(&m->lock);
    rc = d->dying ? -ESRCH : table_alloc(m);
    if (!rc)
        rc = place_pirq(m, pirq, irq, count);
    if (rc >= 0)
        for (unsigned int i = 0; i < count; i++)
            WRITE_ONCE(m->irq[(unsigned int)rc + i], (int16_t)(irq + i));
    spin_unlock(&m->lock);
    return rc;
}

int pirq_reserve(struct domain *d)
{
    struct irq_domain *m = d->irq;
    int rc;

    if (!m)
        return -EINVAL;
    spin_lock(&m->lock);
    rc = table_alloc(m);
    if (!rc)
        rc = choose_pirq(m, nr_irqs_gsi, 1);
    if (rc >= 0)
        m->irq[rc] = RESERVED;
    spin_unlock(&m->lock);
    return rc;
}

/* ---- binding ---- */

static struct irq_guest *find_guest(struct irq_desc *desc, const struct domain *d, unsigned int pirq)
{
    for (unsigned int i = 0; i < desc->nr_guests; i++)
        if (desc->guest[i].d == d && desc->guest[i].pirq == pirq)
            return &desc->guest[i];
    return NULL;
}

/* CHECK; lock of desc held. */
static int may_bind(struct irq_desc *desc, const struct domain *d, unsigned int pirq, bool share)
{
    if (desc->kind == IRQ_UNUSED)
        return -EINVAL;
    if (desc->fn)
        return -EBUSY;
    if (desc->nr_guests && (!share || !desc->shareable || desc->nr_guests == IRQ_MAX_GUESTS))
        return -EBUSY;
    return find_guest(desc, d, pirq) ? -EEXIST : 0;
}

/* COMMIT; lock of desc held, the vector is there. */
static void add_guest(struct irq_desc *desc, const struct vcpu *v, unsigned int pirq, bool share)
{
    desc->guest[desc->nr_guests++] = (struct irq_guest){.d = v->domain, .pirq = (uint16_t)pirq};
    if (desc->nr_guests > 1)
        return;
    desc->shareable = share;
    desc->in_flight = 0;
    irq_retarget(desc, v->processor);
    irq_unmask(desc);
}

static int bind_desc(struct irq_desc *desc, const struct vcpu *v, unsigned int pirq, bool share)
{
    unsigned long flags = spin_lock_irqsave(&desc->lock);
    int rc = may_bind(desc, v->domain, pirq, share);

    if (!rc && !desc->vector)
        rc = irq_assign_vectors(desc->irq, 1);
    if (!rc)
        add_guest(desc, v, pirq, share);
    spin_unlock_irqrestore(&desc->lock, flags);
    return rc;
}

int pirq_guest_bind(struct vcpu *v, unsigned int pirq, bool share)
{
    struct domain *d = v->domain;
    struct irq_desc *desc;
    int rc = -EINVAL;

    if (!d->irq)
        return -EINVAL;
    spin_lock(&d->irq->lock);
    desc = pirq_desc(d, pirq);
    if (desc) {
        rc = bind_desc(desc, v, pirq, share);
        if (!rc)
            eoi_map_update(d->irq, pirq, desc->kind == IRQ_LEVEL);
    }
    spin_unlock(&d->irq->lock);
    return rc;
}

/* A guest has finished or is gone; the last one lets the next interrupt come. Lock of desc held. */
static void finish(struct irq_desc *desc, struct irq_guest *g)
{
    if (!g->awaits_eoi)
        return;
    g->awaits_eoi = false;
    if (--desc->in_flight == 0)
        irq_unmask(desc);
}

static void unbind_desc(struct irq_desc *desc, const struct domain *d, unsigned int pirq)
{
    unsigned long flags = spin_lock_irqsave(&desc->lock);
    struct irq_guest *g = find_guest(desc, d, pirq);

    if (g) {
        finish(desc, g);
        *g = desc->guest[--desc->nr_guests];
        if (desc->nr_guests == 0)
            irq_mask(desc);
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    irq_wait_delivered(desc);
}

void pirq_guest_unbind(struct domain *d, unsigned int pirq)
{
    struct irq_desc *desc;

    if (!d->irq)
        return;
    spin_lock(&d->irq->lock);
    desc = pirq_desc(d, pirq);
    if (desc) {
        unbind_desc(desc, d, pirq);
        eoi_map_update(d->irq, pirq, false);
    }
    spin_unlock(&d->irq->lock);
}

void pirq_guest_eoi(struct domain *d, unsigned int pirq)
{
    struct irq_desc *desc = pirq_desc(d, pirq);
    struct irq_guest *g;
    unsigned long flags;

    if (!desc)
        return;
    flags = spin_lock_irqsave(&desc->lock);
    g = find_guest(desc, d, pirq);
    if (g)
        finish(desc, g);
    spin_unlock_irqrestore(&desc->lock, flags);
}

void pirq_set_affinity(struct domain *d, unsigned int pirq, const struct vcpu *v)
{
    struct irq_desc *desc = pirq_desc(d, pirq);
    unsigned long flags;

    if (!desc)
        return;
    flags = spin_lock_irqsave(&desc->lock);
    if (desc->nr_guests == 1 && find_guest(desc, d, pirq) && desc->cpu != v->processor)
        irq_retarget(desc, v->processor);
    spin_unlock_irqrestore(&desc->lock, flags);
}

void pirq_deliver(const struct irq_guest *guest, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        send_pirq(guest[i].d, guest[i].pirq);
}

/* ---- unmapping ---- */

/* Takes count mappings away; returns the interrupt of the first, or -EINVAL. m->lock held. */
static int take_out(struct domain *d, unsigned int pirq, unsigned int *count)
{
    struct irq_domain *m = d->irq;
    int irq = lookup(m, pirq);
    const struct msi_desc *msi;

    if (irq < 0) {
        if (irq == RESERVED)
            m->irq[pirq] = NO_IRQ;
        return irq == RESERVED ? -ENOENT : -EINVAL;
    }
    msi = irq_to_desc((unsigned int)irq)->msi;
    if (msi && !msi->is_msix && msi->entry != 0)
        return -EINVAL;
    *count = msi && !msi->is_msix ? msi->count : 1;
    for (unsigned int i = pirq; i < pirq + *count && i < nr_irqs; i++) {
        unbind_desc(irq_to_desc((unsigned int)irq + i - pirq), d, i);
        eoi_map_update(m, i, false);
        WRITE_ONCE(m->irq[i], NO_IRQ);
    }
    return irq;
}

int pirq_unmap(struct domain *d, unsigned int pirq)
{
    unsigned int count = 0;
    int irq;

    if (!d->irq)
        return -EINVAL;
    spin_lock(&d->irq->lock);
    irq = take_out(d, pirq, &count);
    spin_unlock(&d->irq->lock);
    if (irq == -ENOENT)
        return 0;
    if (irq < 0)
        return irq;
    if (irq_to_desc((unsigned int)irq)->msi)
        msi_teardown((unsigned int)irq);
    return 0;
}

/* Tools may still look the domain up afterwards: the memory goes with the last reference. */
int irq_relinquish(struct domain *d)
{
    struct irq_domain *m = d->irq;

    if (!m)
        return 0;
    while (d->teardown_next < nr_irqs) {
        pirq_unmap(d, d->teardown_next);
        stretch_work(1);
        if (++d->teardown_next % UNMAPS_PER_SLICE == 0 && preempt_needed())
            return -ERESTART;
    }
    spin_lock(&m->lock);
    m->eoi_map = NULL;
    if (m->eoi_page)
        put_page_and_type(m->eoi_page);
    m->eoi_page = NULL;
    spin_unlock(&m->lock);
    return 0;
}

void irq_domain_free(struct domain *d)
{
    if (!d->irq)
        return;
    hv_free(d->irq->irq);
    hv_free(d->irq);
    d->irq = NULL;
}
