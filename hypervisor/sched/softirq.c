/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Softirqs: work raised from anywhere, run with interrupts on and no locks held on the way back to a guest or in the
 * idle loop. The schedule softirq comes last, since it may not return.
 */
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <hv/x86.h>

DEFINE_PER_CPU(unsigned long, softirq_pending);

static void (*handlers[NR_SOFTIRQS])(void);

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
    static const enum softirq order[] = {SOFTIRQ_TIMER, SOFTIRQ_KEYS, SOFTIRQ_SCHEDULE};

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
