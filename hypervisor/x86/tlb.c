/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLB shoot-down, and functions run on other CPUs: two uses of one mechanism.
 *
 * A CPU that wants something of others describes it in its own request, sets its bit in the inbox of each target,
 * sends the IPI and waits until no target is left in the request's `waiting`. There is no lock. The waiting CPU has
 * interrupts off, so that it has one request at a time, and serves its own inbox meanwhile: CPUs that wait for each
 * other make progress. So does a CPU that spins for a lock with interrupts off (tlb_poll). A function run this way
 * takes no locks and asks nothing of other CPUs.
 *
 * The clock counts flushes. It is advanced before a flush and read after a mapping was removed, so a CPU whose last
 * flush bears a later time than the frame's stamp cannot hold the mapping. Clock and flush times have 64 bits; a stamp
 * keeps the lower 32, and is taken for the latest time that it can mean: a stamp from an earlier round costs a flush
 * too many, never one too few.
 */
#include <hv/irq.h>
#include <hv/x86.h>

struct request {
    uint64_t waiting;     /* targets that have not finished */
    void (*fn)(void *);   /* NULL: TLB flush */
    void *data;           /* of fn */
    unsigned long linear; /* page to flush */
    bool one_page;
};

static uint64_t flush_clock;
static DEFINE_PER_CPU(uint64_t, flush_time);
static struct request requests[NR_CPUS]; /* by initiator */
static struct {
    uint64_t from; /* initiators that want something */
} __attribute__((aligned(64))) inbox[NR_CPUS];

cpumask_t cpu_online_map;

uint32_t tlb_now(void)
{
    return (uint32_t)__atomic_load_n(&flush_clock, __ATOMIC_SEQ_CST);
}

void switch_cr3(unsigned long cr3)
{
    unsigned long flags = irq_save();
    uint64_t time = __atomic_add_fetch(&flush_clock, 1, __ATOMIC_SEQ_CST);

    get_cpu_info()->cr3 = cr3;
    write_cr3(cr3);
    WRITE_ONCE(this_cpu(flush_time), time);
    irq_restore(flags);
}

unsigned long cpu_cr3(unsigned int cpu)
{
    const struct cpu_info *info = (struct cpu_info *)(per_cpu(stack_base, cpu) + STACK_SIZE) - 1;

    return READ_ONCE(info->cr3);
}

uint64_t tlb_flush_time(void)
{
    return this_cpu(flush_time);
}

void tlb_flush_local(void)
{
    unsigned long flags = irq_save();

    switch_cr3(read_cr3());
    irq_restore(flags);
}

cpumask_t tlb_filter(cpumask_t mask, uint32_t stamp)
{
    uint64_t now = __atomic_load_n(&flush_clock, __ATOMIC_SEQ_CST);
    uint64_t when = (now & ~0xffffffffull) | stamp;
    unsigned int cpu;

    if (when > now)
        when -= 1ull << 32;
    for_each_cpu (cpu, mask)
        if ((int64_t)READ_ONCE(per_cpu(flush_time, cpu)) > (int64_t)when)
            cpumask_clear(&mask, cpu);
    return mask;
}

static void serve(const struct request *r)
{
    if (r->fn)
        r->fn(r->data);
    else if (r->one_page)
        invlpg(r->linear);
    else
        tlb_flush_local();
}

/* Does what other CPUs want of this one. Interrupts are off. */
static void serve_inbox(void)
{
    unsigned int me = smp_processor_id(), from;
    cpumask_t todo;

    if (!READ_ONCE(inbox[me].from))
        return;
    todo.bits = __atomic_exchange_n(&inbox[me].from, 0, __ATOMIC_SEQ_CST);
    for_each_cpu (from, todo) {
        serve(&requests[from]);
        __atomic_fetch_and(&requests[from].waiting, ~(1ull << me), __ATOMIC_SEQ_CST);
    }
}

/* Sends r to the online CPUs of mask but this one, and waits. Interrupts are off. */
static void ask(cpumask_t mask, struct request r, uint8_t vector)
{
    unsigned int me = smp_processor_id(), cpu;
    struct request *mine = &requests[me];

    mask = cpumask_and(mask, cpu_online_map);
    cpumask_clear(&mask, me);
    if (cpumask_empty(mask))
        return;
    r.waiting = mask.bits;
    *mine = r;
    for_each_cpu (cpu, mask)
        __atomic_fetch_or(&inbox[cpu].from, 1ull << me, __ATOMIC_SEQ_CST);
    apic_send_ipi_mask(mask, vector);
    while (__atomic_load_n(&mine->waiting, __ATOMIC_SEQ_CST)) {
        serve_inbox();
        cpu_relax();
    }
}

void tlb_flush_mask(cpumask_t mask)
{
    unsigned long flags = irq_save();

    if (cpumask_test(&mask, smp_processor_id()))
        tlb_flush_local();
    ask(mask, (struct request){0}, VECTOR_INVALIDATE);
    irq_restore(flags);
}

void tlb_flush_one_mask(cpumask_t mask, unsigned long linear)
{
    unsigned long flags = irq_save();

    if (cpumask_test(&mask, smp_processor_id()))
        invlpg(linear);
    ask(mask, (struct request){.one_page = true, .linear = linear}, VECTOR_INVALIDATE);
    irq_restore(flags);
}

void call_on_cpus(cpumask_t mask, void (*fn)(void *), void *data)
{
    unsigned long flags = irq_save();

    if (cpumask_test(&mask, smp_processor_id()))
        fn(data);
    ask(mask, (struct request){.fn = fn, .data = data}, VECTOR_CALL_FUNCTION);
    irq_restore(flags);
}

void tlb_poll(void)
{
    serve_inbox();
}

void tlb_ipi(void)
{
    serve_inbox();
}

void call_function_ipi(void)
{
    serve_inbox();
}
