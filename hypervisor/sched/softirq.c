/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Softirqs: work raised from anywhere, run with interrupts on and no locks held on the way back to a guest or in the
 * idle loop. The schedule softirq comes last, since it may not return. Tasklets are small pieces of such work with
 * data.
 */
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <hv/x86.h>

DEFINE_PER_CPU(unsigned long, softirq_pending);

static void (*handlers[NR_SOFTIRQS])(void);

struct tasklet_queue {
    spinlock_t lock;
    struct list_head list;
};
static DEFINE_PER_CPU(struct tasklet_queue, tasklets);

void open_softirq(enum softirq nr, void (*fn)(void))
{
    handlers[nr] = fn;
}

void raise_softirq(enum softirq nr)
{
    set_bit(nr, &this_cpu(softirq_pending));
}

void cpu_raise_softirq(unsigned int cpu, enum softirq nr)
{
    if (!test_and_set_bit(nr, &per_cpu(softirq_pending, cpu)) && cpu != smp_processor_id())
        apic_send_ipi(cpu, VECTOR_EVENT_CHECK);
}

void do_softirq(void)
{
    static const enum softirq order[] = {SOFTIRQ_TIMER, SOFTIRQ_TASKLET, SOFTIRQ_KEYS, SOFTIRQ_SCHEDULE};

    for (;;) {
        unsigned int i = 0;

        while (i < ARRAY_SIZE(order) && !test_bit(order[i], &this_cpu(softirq_pending)))
            i++;
        if (i == ARRAY_SIZE(order))
            return;
        clear_bit(order[i], &this_cpu(softirq_pending));
        stretch_begin(STRETCH_SOFTIRQ, order[i]);
        handlers[order[i]]();
        stretch_end();
    }
}

static struct tasklet_queue *my_queue(void)
{
    struct tasklet_queue *q = &this_cpu(tasklets);

    if (!q->list.next) {
        spin_lock_init(&q->lock, RANK_TIMER);
        list_init(&q->list);
    }
    return q;
}

static void run_tasklets(void)
{
    struct tasklet_queue *q = my_queue();

    for (;;) {
        unsigned long flags = spin_lock_irqsave(&q->lock);
        struct tasklet *t = list_empty(&q->list) ? NULL : list_first(&q->list, struct tasklet, link);

        if (t)
            list_del(&t->link);
        spin_unlock_irqrestore(&q->lock, flags);
        if (!t)
            return;
        t->fn(t->data);
    }
}

void tasklet_init(struct tasklet *t, void (*fn)(void *), void *data)
{
    list_init(&t->link);
    t->fn = fn;
    t->data = data;
}

void tasklet_schedule(struct tasklet *t)
{
    unsigned long flags = irq_save();
    struct tasklet_queue *q = my_queue();

    spin_lock(&q->lock);
    if (list_empty(&t->link))
        list_add_tail(&t->link, &q->list);
    spin_unlock(&q->lock);
    irq_restore(flags);
    raise_softirq(SOFTIRQ_TASKLET);
}

void softirq_boot_init(void)
{
    open_softirq(SOFTIRQ_TASKLET, run_tasklets);
}
