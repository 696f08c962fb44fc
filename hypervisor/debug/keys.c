/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug keys, from the serial line (three times CTRL-a switches it) or from XEN_SYSCTL_debug_keys. A key from the line
 * is queued by the receive interrupt and handled in a softirq; other parts register their own keys.
 */
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "console_private.h"

static struct debug_key {
    const char *desc;
    void (*fn)(void);
} keys[128];

static struct {
    spinlock_t lock; /* irqsave */
    char key[16];
    unsigned int head, tail; /* written at head, read at tail */
} queue = {.lock = SPINLOCK_INIT(RANK_LEAF)};

void register_debug_key(char key, const char *desc, void (*fn)(void))
{
    keys[(unsigned char)key % ARRAY_SIZE(keys)] = (struct debug_key){desc, fn};
}

void handle_debug_key(char key)
{
    unsigned char k = (unsigned char)key;

    if (k >= ARRAY_SIZE(keys))
        return;
    k = (unsigned char)array_index_nospec(k, ARRAY_SIZE(keys));
    if (!keys[k].fn)
        return;
    printk("'%c' pressed -> %s\n", k, keys[k].desc);
    keys[k].fn();
}

void keys_queue(char key)
{
    unsigned long flags = spin_lock_irqsave(&queue.lock);

    if (queue.head - queue.tail < ARRAY_SIZE(queue.key))
        queue.key[queue.head++ % ARRAY_SIZE(queue.key)] = key;
    spin_unlock_irqrestore(&queue.lock, flags);
    raise_softirq(SOFTIRQ_KEYS);
}

static bool queue_get(char *key)
{
    unsigned long flags = spin_lock_irqsave(&queue.lock);
    bool found = queue.tail != queue.head;

    if (found)
        *key = queue.key[queue.tail++ % ARRAY_SIZE(queue.key)];
    spin_unlock_irqrestore(&queue.lock, flags);
    return found;
}

static void keys_softirq(void)
{
    char key;

    while (queue_get(&key))
        handle_debug_key(key);
}

/* ---- the keys of this file ---- */

static void key_help(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].fn)
            printk(" key '%c' (ascii '%02x') => %s\n", i, i, keys[i].desc);
}

static void dump_one_cpu(void *data)
{
    const struct cpu_user_regs *regs = irq_regs();

    printk("*** Dumping CPU%u state: ***\n", smp_processor_id());
    dump_registers(regs ? regs : guest_cpu_user_regs());
    if (regs && !(regs->cs & 3))
        backtrace(regs->rip, regs->rbp);
    printk("\n");
}

/* One CPU after the other, so that their words do not mix. */
static void key_registers(void)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpu_online_map)
        call_on_cpus(cpumask_of(cpu), dump_one_cpu, NULL);
}

static void dump_vcpu(const struct vcpu *v)
{
    printk("    VCPU%u: CPU%u running=%d pause_count=%d pause_flags=%#lx upcall_pend=%u upcall_mask=%u\n", v->vcpu_id,
           v->processor, v->is_running, v->pause_count, v->pause_flags,
           v->vcpu_info ? v->vcpu_info->evtchn_upcall_pending : 0, v->vcpu_info ? v->vcpu_info->evtchn_upcall_mask : 0);
}

static void dump_entries(const struct vcpu *v)
{
    uint64_t n = 0;

    for (unsigned int i = 0; i < HVM_EXIT_REASONS; i++)
        n += v->hvm->exits[i];
    printk("    VCPU%u: %lu entries, %lu of them without translations in the TLB\n", v->vcpu_id, n, v->hvm->tlbs);
}

static void dump_domain(const struct domain *d)
{
    const struct vcpu *v;

    printk("General information for domain %u:\n", d->id);
    printk("    refcnt=%d dying=%d pause_count=%d shutdown=%d code=%u\n", d->refcount, d->dying, d->pause_count,
           d->is_shut_down, d->shutdown_code);
    printk("    nr_pages=%lu max_pages=%lu dirty_cpus=%#lx\n", d->tot_pages, d->max_pages, d->dirty_cpus.bits);
    for_each_vcpu (d, v) {
        dump_vcpu(v);
        if (is_hvm_vcpu(v))
            dump_entries(v);
    }
}

static void key_domains(void)
{
    struct domain *d;
    unsigned int id = 0;

    while (id < DOMID_FIRST_RESERVED && (d = domain_get_next((domid_t)id)) != NULL) {
        id = d->id + 1u;
        dump_domain(d);
        domain_put(d);
    }
}

static void key_memory(void)
{
    printk("Physical memory: %lu pages of RAM, %lu free\n", total_pages, heap_free_pages());
}

static void dump_time_here(void *data)
{
    printk("CPU%u: system time %ld ns, TSC %#lx\n", smp_processor_id(), system_time(), rdtsc());
}

static void key_time(void)
{
    unsigned int cpu;

    printk("TSC: %lu kHz, %sinvariant\n", tsc_khz, cpu_features.invariant_tsc ? "" : "not ");
    for_each_cpu (cpu, cpu_online_map)
        call_on_cpus(cpumask_of(cpu), dump_time_here, NULL);
}

void keys_init(void)
{
    open_softirq(SOFTIRQ_KEYS, keys_softirq);
    register_debug_key('h', "show this message", key_help);
    register_debug_key('d', "dump registers", key_registers);
    register_debug_key('q', "dump domain (and guest debug) info", key_domains);
    register_debug_key('m', "memory info", key_memory);
    register_debug_key('i', "dump interrupt bindings", irq_dump);
    register_debug_key('k', "processor protection, and a stray read of guest memory", cpu_protection_dump);
    register_debug_key('t', "display multi-cpu clock info", key_time);
    register_debug_key('b', "longest stretches between preemption points", stretch_dump);
    register_debug_key('R', "reboot machine", machine_restart);
}
