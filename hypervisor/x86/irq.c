/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt dispatch and vectors. do_irq (from entry.S, interrupts off) handles the hypervisor's own vectors and finds
 * the descriptor of a device's; the descriptor says whether a handler of the hypervisor or guests (pirq.c) get it.
 *
 * Level interrupts are masked at the IO-APIC, then acknowledged, then unmasked when the handler has run or the last
 * guest has finished: a slow guest holds up its own device and nothing else. Edges and messages are only acknowledged;
 * the event channel remembers one. Vectors are global: at most 190 devices' interrupts, then -ENOSPC.
 *
 * The descriptor's lock is never held while guests or handlers are called.
 */
#include <hv/heap.h>
#include <hv/irq_desc.h>
#include <hv/sched.h>
#include <hv/x86.h>

#define MSI_IRQS   256u
#define MAX_IRQS   1024u /* what event channels can name */
#define NO_IRQ     0xffffu
#define NR_VECTORS 256u

unsigned int nr_irqs_gsi, nr_irqs;
static struct irq_desc *descs;

/* Written under vector_lock; read by do_irq without. */
static uint16_t vector_irq[NR_VECTORS];
static spinlock_t vector_lock = SPINLOCK_INIT(RANK_LEAF);
static DEFINE_PER_CPU(const struct cpu_user_regs *, interrupted);

struct irq_desc *irq_to_desc(unsigned int irq)
{
    return irq < nr_irqs ? &descs[array_index_nospec(irq, nr_irqs)] : NULL;
}

const struct cpu_user_regs *irq_regs(void)
{
    return this_cpu(interrupted);
}

/* ---- vectors ---- */

static bool vectors_free(unsigned int first, unsigned int count)
{
    for (unsigned int v = first; v < first + count; v++)
        if (v > LAST_DYNAMIC_VECTOR || v == VECTOR_HYPERCALL || v == VECTOR_LEGACY_SYSCALL || vector_irq[v] != NO_IRQ)
            return false;
    return true;
}

int irq_assign_vectors(unsigned int irq, unsigned int count)
{
    unsigned long flags = spin_lock_irqsave(&vector_lock);
    unsigned int first = FIRST_DYNAMIC_VECTOR;
    int rc = -ENOSPC;

    while (first <= LAST_DYNAMIC_VECTOR && !vectors_free(first, count))
        first += count;
    if (first <= LAST_DYNAMIC_VECTOR) {
        for (unsigned int i = 0; i < count; i++) {
            descs[irq + i].vector = (uint8_t)(first + i);
            WRITE_ONCE(vector_irq[first + i], (uint16_t)(irq + i));
        }
        rc = 0;
    }
    spin_unlock_irqrestore(&vector_lock, flags);
    return rc;
}

void irq_release_vectors(unsigned int irq, unsigned int count)
{
    unsigned long flags = spin_lock_irqsave(&vector_lock);

    for (unsigned int i = irq; i < irq + count; i++) {
        if (descs[i].vector)
            WRITE_ONCE(vector_irq[descs[i].vector], NO_IRQ);
        descs[i].vector = 0;
    }
    spin_unlock_irqrestore(&vector_lock, flags);
}

/* ---- numbers ---- */

static bool msi_numbers_free(unsigned int first, unsigned int count)
{
    for (unsigned int i = first; i < first + count; i++)
        if (i >= nr_irqs || descs[i].kind != IRQ_UNUSED)
            return false;
    return true;
}

/* The caller (msi.c) serialises these two. */
int irq_alloc_msi(unsigned int count)
{
    for (unsigned int first = nr_irqs_gsi; first + count <= nr_irqs; first++) {
        if (!msi_numbers_free(first, count))
            continue;
        for (unsigned int i = first; i < first + count; i++) {
            descs[i].masked = true;
            descs[i].kind = IRQ_MSI;
        }
        return (int)first;
    }
    return -ENOSPC;
}

void irq_free_msi(unsigned int irq, unsigned int count)
{
    for (unsigned int i = irq; i < irq + count; i++)
        descs[i].kind = IRQ_UNUSED;
}

/* ---- hardware, by kind ---- */

void irq_mask(struct irq_desc *desc)
{
    desc->masked = true;
    if (desc->kind == IRQ_MSI)
        msi_set_mask(desc, true);
    else
        ioapic_set_mask(desc->irq, true);
}

void irq_unmask(struct irq_desc *desc)
{
    desc->masked = false;
    if (desc->kind == IRQ_MSI)
        msi_set_mask(desc, false);
    else
        ioapic_set_mask(desc->irq, false);
}

/* Both IO-APIC entries and messages name the target in eight bits; a CPU beyond that is served by CPU 0. */
void irq_retarget(struct irq_desc *desc, unsigned int cpu)
{
    desc->cpu = per_cpu(apicid, cpu) < 0xff ? cpu : 0;
    if (!desc->vector)
        return;
    if (desc->kind == IRQ_MSI)
        msi_write_message(desc);
    else
        ioapic_program(desc);
}

/* ---- dispatch ---- */

/* Whom to tell: for a level interrupt those who are not still busy with the last one. Lock held. */
static unsigned int collect_guests(struct irq_desc *desc, struct irq_guest *out)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < desc->nr_guests; i++) {
        struct irq_guest *g = &desc->guest[i];

        if (desc->kind == IRQ_LEVEL) {
            if (g->awaits_eoi)
                continue;
            g->awaits_eoi = true;
            desc->in_flight++;
        }
        out[n++] = *g;
    }
    return n;
}

static void run_handler(struct irq_desc *desc, void (*fn)(void *), void *data, bool level)
{
    unsigned long flags;

    fn(data);
    if (!level)
        return;
    flags = spin_lock_irqsave(&desc->lock);
    irq_unmask(desc);
    spin_unlock_irqrestore(&desc->lock, flags);
}

void irq_wait_delivered(struct irq_desc *desc)
{
    while (__atomic_load_n(&desc->delivering, __ATOMIC_ACQUIRE))
        cpu_relax();
}

static void device_irq(uint8_t vector)
{
    struct irq_desc *desc = irq_to_desc(READ_ONCE(vector_irq[vector]));
    struct irq_guest guest[IRQ_MAX_GUESTS];
    void (*fn)(void *);
    unsigned long flags;
    unsigned int n;
    void *data;
    bool level;

    if (!desc) {
        apic_eoi();
        printk(XLOG_GUEST XLOG_WARNING "CPU%u: interrupt on unused vector %#x\n", smp_processor_id(), vector);
        return;
    }
    flags = spin_lock_irqsave(&desc->lock);
    level = desc->kind == IRQ_LEVEL;
    if (level)
        irq_mask(desc);
    apic_eoi();
    desc->count++;
    fn = desc->fn;
    data = desc->data;
    n = collect_guests(desc, guest);
    if (n)
        __atomic_fetch_add(&desc->delivering, 1, __ATOMIC_ACQUIRE);
    spin_unlock_irqrestore(&desc->lock, flags);
    if (fn)
        run_handler(desc, fn, data, level);
    if (n) {
        pirq_deliver(guest, n);
        __atomic_fetch_sub(&desc->delivering, 1, __ATOMIC_RELEASE);
    }
}

static void dispatch(uint8_t vector)
{
    switch (vector) {
    case VECTOR_SPURIOUS:
        return;
    case VECTOR_ERROR:
        apic_eoi();
        printk(XLOG_GUEST XLOG_WARNING "CPU%u: local APIC reports an error\n", smp_processor_id());
        return;
    case VECTOR_INVALIDATE:
        apic_eoi();
        tlb_ipi();
        return;
    case VECTOR_CALL_FUNCTION:
        apic_eoi();
        call_function_ipi();
        return;
    case VECTOR_EVENT_CHECK:
        apic_eoi();
        return;
    case VECTOR_LOCAL_TIMER:
        apic_eoi();
        raise_softirq(SOFTIRQ_TIMER);
        return;
    default:
        device_irq(vector);
        return;
    }
}

void do_irq(struct cpu_user_regs *regs)
{
    const struct cpu_user_regs *outer = this_cpu(interrupted);

    this_cpu(interrupted) = regs;
    dispatch((uint8_t)regs->entry_vector);
    this_cpu(interrupted) = outer;
}

/* ---- set-up ---- */

void irq_init(void)
{
    for (unsigned int i = 0; i < NR_VECTORS; i++)
        vector_irq[i] = NO_IRQ;
}

void irq_alloc_descs(unsigned int gsis)
{
    nr_irqs_gsi = gsis;
    nr_irqs = MIN(gsis + MSI_IRQS, MAX_IRQS);
    BUG_ON(gsis > nr_irqs);
    descs = hv_new_array(struct irq_desc, nr_irqs);
    if (!descs)
        panic("No memory for %u interrupt descriptors", nr_irqs);
    for (unsigned int i = 0; i < nr_irqs; i++) {
        spin_lock_init(&descs[i].lock, RANK_IRQ_DESC);
        descs[i].irq = (uint16_t)i;
        descs[i].masked = true;
    }
}

int irq_request_internal(unsigned int gsi, void (*fn)(void *), void *data)
{
    struct irq_desc *desc = irq_to_desc(gsi);
    unsigned long flags;
    int rc = 0;

    if (!desc || !ioapic_gsi_exists(gsi))
        return -ENODEV;
    flags = spin_lock_irqsave(&desc->lock);
    if (desc->fn || desc->nr_guests)
        rc = -EBUSY;
    else if (!desc->vector)
        rc = irq_assign_vectors(gsi, 1);
    if (!rc) {
        desc->fn = fn;
        desc->data = data;
        desc->masked = false;
        irq_retarget(desc, 0);
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    return rc;
}

static void dump_desc(struct irq_desc *desc)
{
    static const char *const kinds[] = {"unused", "edge", "level", "msi"};

    printk("  irq %3u vector %#04x CPU%u %s%s count %lu:%s", desc->irq, desc->vector, desc->cpu, kinds[desc->kind],
           desc->masked ? " masked" : "", desc->count, desc->fn ? " hypervisor" : "");
    for (unsigned int i = 0; i < desc->nr_guests; i++)
        printk(" d%u pirq %u%s", desc->guest[i].d->id, desc->guest[i].pirq,
               desc->guest[i].awaits_eoi ? " (not finished)" : "");
    printk("\n");
}

/* The lock keeps the guests of a descriptor alive while they are named. */
void irq_dump(void)
{
    printk("Interrupts (%u by IO-APIC, %u in all):\n", nr_irqs_gsi, nr_irqs);
    for (unsigned int i = 0; i < nr_irqs; i++) {
        unsigned long flags = spin_lock_irqsave(&descs[i].lock);

        if (descs[i].vector)
            dump_desc(&descs[i]);
        spin_unlock_irqrestore(&descs[i].lock, flags);
    }
}
