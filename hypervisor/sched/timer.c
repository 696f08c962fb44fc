/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: per CPU a list ordered by deadline. The local APIC timer is programmed for the first; its interrupt raises
 * the timer softirq, which runs what is due. A timer armed for another CPU makes that CPU look by raising its softirq.
 */
#include <hv/sched.h>
#include <hv/timer.h>
#include <hv/x86.h>

struct timer_queue {
    spinlock_t lock; /* RANK_TIMER */
    struct list_head list;
    struct timer *running;
};
static DEFINE_PER_CPU(struct timer_queue, timers);

static struct timer_queue *queue_of(unsigned int cpu)
{
    return &per_cpu(timers, cpu);
}

/* Locks the queue that t belongs to, which may change under us until the lock is held. */
static struct timer_queue *lock_queue(struct timer *t, unsigned long *flags)
{
    for (;;) {
        unsigned int cpu = READ_ONCE(t->cpu);
        struct timer_queue *q = queue_of(cpu);

        *flags = spin_lock_irqsave(&q->lock);
        if (t->cpu == cpu)
            return q;
        spin_unlock_irqrestore(&q->lock, *flags);
    }
}

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned int cpu)
{
    list_init(&t->link);
    t->expires = STIME_MAX;
    t->fn = fn;
    t->data = data;
    t->cpu = cpu;
    t->killed = false;
}

/* True when t is now the first of its queue. */
static bool insert(struct timer_queue *q, struct timer *t)
{
    struct timer *pos;

    list_for_each (pos, &q->list, link)
        if (pos->expires > t->expires)
            break;
    list_add_tail(&t->link, &pos->link);
    return q->list.next == &t->link;
}

static void kick(unsigned int cpu)
{
    cpu_raise_softirq(cpu, SOFTIRQ_TIMER);
}

void timer_set(struct timer *t, s_time_t expires)
{
    unsigned long flags;
    struct timer_queue *q = lock_queue(t, &flags);
    unsigned int cpu = t->cpu;
    bool first = false;

    list_del(&t->link);
    t->expires = expires;
    if (!t->killed && expires != STIME_MAX)
        first = insert(q, t);
    spin_unlock_irqrestore(&q->lock, flags);
    if (first)
        kick(cpu);
}

void timer_stop(struct timer *t)
{
    unsigned long flags;
    struct timer_queue *q;

    if (!t->fn)
        return;
    q = lock_queue(t, &flags);
    list_del(&t->link);
    spin_unlock_irqrestore(&q->lock, flags);
}

/* Its function may still run on a CPU from which it was migrated meanwhile: all are looked at. */
void timer_kill(struct timer *t)
{
    unsigned long flags;
    struct timer_queue *q;
    unsigned int cpu;

    if (!t->fn)
        return;
    q = lock_queue(t, &flags);
    list_del(&t->link);
    t->killed = true;
    spin_unlock_irqrestore(&q->lock, flags);
    for_each_cpu (cpu, cpu_online_map)
        while (cpu != smp_processor_id() && READ_ONCE(queue_of(cpu)->running) == t)
            cpu_relax();
}

void timer_migrate(struct timer *t, unsigned int cpu)
{
    unsigned long flags;
    struct timer_queue *q;
    bool armed;

    if (READ_ONCE(t->cpu) == cpu)
        return;
    q = lock_queue(t, &flags);
    armed = !list_empty(&t->link);
    list_del(&t->link);
    t->cpu = cpu;
    spin_unlock_irqrestore(&q->lock, flags);
    if (armed)
        timer_set(t, t->expires);
}

static struct timer *take_due(struct timer_queue *q, s_time_t now)
{
    unsigned long flags = spin_lock_irqsave(&q->lock);
    struct timer *t = list_empty(&q->list) ? NULL : list_first(&q->list, struct timer, link);

    if (t && t->expires > now)
        t = NULL;
    if (t)
        list_del(&t->link);
    q->running = t;
    spin_unlock_irqrestore(&q->lock, flags);
    return t;
}

static s_time_t first_deadline(struct timer_queue *q)
{
    unsigned long flags = spin_lock_irqsave(&q->lock);
    s_time_t e = list_empty(&q->list) ? STIME_MAX : list_first(&q->list, struct timer, link)->expires;

    spin_unlock_irqrestore(&q->lock, flags);
    return e;
}

static void timer_softirq(void)
{
    struct timer_queue *q = &this_cpu(timers);

    do {
        s_time_t now = system_time();
        struct timer *t;

        while ((t = take_due(q, now)) != NULL)
            t->fn(t->data);
    } while (!apic_program_timer(first_deadline(q)));
}

void timer_dump_cpu(unsigned int cpu)
{
    struct timer_queue *q = queue_of(cpu);
    unsigned long flags = spin_lock_irqsave(&q->lock);
    struct timer *t;

    printk("CPU%u timers, now %ld:\n", cpu, system_time());
    list_for_each (t, &q->list, link)
        printk("    %ld (in %ld us) fn %p data %p\n", t->expires, (t->expires - system_time()) / 1000,
               (void *)(unsigned long)t->fn, t->data);
    spin_unlock_irqrestore(&q->lock, flags);
}

void timer_init_cpu(unsigned int cpu)
{
    struct timer_queue *q = queue_of(cpu);

    spin_lock_init(&q->lock, RANK_TIMER);
    list_init(&q->list);
}

void timer_boot_init(void)
{
    open_softirq(SOFTIRQ_TIMER, timer_softirq);
}
