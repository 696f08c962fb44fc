// SPDX-License-Identifier: BSD-2-Clause
/*
 * CPUs that cache what they walked. A CPU keeps translations, and pointers to tables of every level, for as long as
 * nobody flushes it: the worst that hardware may do. Linear addresses are those of the guest's slots.
 */
#include <hv/boot.h>
#include "fake.h"

#define TLB_SIZE 64
#define PSC_SIZE 24

struct tlb_entry {
    bool valid, writable, window;
    unsigned long page;
    mfn_t frame;
};

struct psc_entry {
    bool valid, writable;
    unsigned int level;   /* of the table */
    unsigned long prefix; /* linear >> shift covered by that table */
    mfn_t table;
};

static struct {
    struct tlb_entry tlb[TLB_SIZE];
    struct psc_entry psc[PSC_SIZE];
    unsigned int next_tlb, next_psc;
    uint32_t flushed;
} cpus[FAKE_CPUS];
static uint32_t clock_now = 1;

struct cpu_features cpu_features = {.nx = true, .phys_bits = 46};
static pte_t idle_table[PT_ENTRIES];
pte_t *idle_l4 = idle_table;

void fake_tlb_reset(void)
{
    memset(cpus, 0, sizeof(cpus));
    clock_now = 1;
}

static void flush_cpu(unsigned int cpu)
{
    memset(cpus[cpu].tlb, 0, sizeof(cpus[cpu].tlb));
    memset(cpus[cpu].psc, 0, sizeof(cpus[cpu].psc));
    cpus[cpu].flushed = ++clock_now;
}

void tlb_flush_mask(cpumask_t mask)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpumask_and(mask, cpu_online_map))
        flush_cpu(cpu);
}

void tlb_flush_local(void)
{
    flush_cpu(smp_processor_id());
}

void tlb_poll(void)
{
}

/* One address: its translations go, and all cached table pointers, but it is no full flush. */
void tlb_flush_one_mask(cpumask_t mask, unsigned long linear)
{
    unsigned int cpu;

    for_each_cpu (cpu, cpumask_and(mask, cpu_online_map)) {
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (cpus[cpu].tlb[i].page == linear >> PAGE_SHIFT)
                cpus[cpu].tlb[i].valid = false;
        memset(cpus[cpu].psc, 0, sizeof(cpus[cpu].psc));
    }
}

uint32_t tlb_now(void)
{
    return clock_now;
}

cpumask_t tlb_filter(cpumask_t mask, uint32_t stamp)
{
    unsigned int cpu;
    cpumask_t left = CPUMASK_NONE;

    for_each_cpu (cpu, mask)
        if (cpu < FAKE_CPUS && cpus[cpu].flushed <= stamp)
            left.bits |= 1ull << cpu;
    return left;
}

void switch_cr3(unsigned long cr3)
{
    get_cpu_info()->cr3 = cr3;
    tlb_flush_local();
}

void call_on_cpus(cpumask_t mask, void (*fn)(void *), void *data)
{
    fn(data);
}

static bool tlb_lookup(unsigned int cpu, unsigned long linear, bool write, mfn_t *frame)
{
    for (unsigned int i = 0; i < TLB_SIZE; i++) {
        const struct tlb_entry *t = &cpus[cpu].tlb[i];

        if (t->valid && t->page == linear >> PAGE_SHIFT && (t->writable || !write)) {
            *frame = t->frame;
            return true;
        }
    }
    return false;
}

/* The lowest table that a cached pointer leads to, or the L4. */
static unsigned int walk_start(unsigned int cpu, unsigned long linear, mfn_t *table, bool *writable)
{
    unsigned int best = 4;

    *writable = true;
    *table = maddr_to_mfn(_maddr(get_cpu_info()->cr3));
    for (unsigned int i = 0; i < PSC_SIZE; i++) {
        const struct psc_entry *p = &cpus[cpu].psc[i];

        if (p->valid && p->level < best && p->prefix == linear >> (PAGE_SHIFT + 9 * p->level)) {
            best = p->level;
            *table = p->table;
            *writable = p->writable;
        }
    }
    return best;
}

static void psc_add(unsigned int cpu, unsigned long linear, unsigned int level, mfn_t table, bool writable)
{
    cpus[cpu].psc[cpus[cpu].next_psc++ % PSC_SIZE] =
        (struct psc_entry){true, writable, level, linear >> (PAGE_SHIFT + 9 * level), table};
}

/* ok: the access reached RAM. */
struct fake_access fake_mmu(unsigned int cpu, unsigned long linear, bool write)
{
    struct fake_access r = {.ok = false};
    bool writable;
    mfn_t m;

    if (tlb_lookup(cpu, linear, write, &r.frame))
        return (struct fake_access){mfn_is_ram(r.frame), r.frame};
    for (unsigned int level = walk_start(cpu, linear, &m, &writable); level > 0; level--) {
        uint64_t *slot, flags;

        if (!mfn_is_ram(m))
            return r;
        slot = (uint64_t *)mfn_to_virt(m) + pt_index(linear, level);
        flags = PTE_P | PTE_US;
        writable = writable && (*slot & PTE_RW);
        if ((*slot & flags) != flags || (write && !writable))
            return r;
        *slot |= PTE_A | (level == 1 && write ? PTE_D : 0);
        m = pte_mfn(_pte(*slot));
        if (level > 1)
            psc_add(cpu, linear, level - 1, m, writable);
    }
    /* Only a walk for a write, which sets D, makes an entry that writes go through. */
    cpus[cpu].tlb[cpus[cpu].next_tlb++ % TLB_SIZE] = (struct tlb_entry){true, write, false, linear >> PAGE_SHIFT, m};
    return (struct fake_access){mfn_is_ram(m), m};
}

void fake_tlb_window(unsigned int cpu, unsigned long linear, mfn_t frame)
{
    cpus[cpu].tlb[cpus[cpu].next_tlb++ % TLB_SIZE] = (struct tlb_entry){true, false, true, linear >> PAGE_SHIFT, frame};
}

void fake_tlb_each(void (*fn)(mfn_t frame, bool writable, bool window, void *data), void *data)
{
    for (unsigned int c = 0; c < FAKE_CPUS; c++)
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (cpus[c].tlb[i].valid)
                fn(cpus[c].tlb[i].frame, cpus[c].tlb[i].writable, cpus[c].tlb[i].window, data);
}

bool fake_tlb_any(mfn_t frame)
{
    for (unsigned int c = 0; c < FAKE_CPUS; c++) {
        for (unsigned int i = 0; i < TLB_SIZE; i++)
            if (cpus[c].tlb[i].valid && mfn_eq(cpus[c].tlb[i].frame, frame))
                return true;
        for (unsigned int i = 0; i < PSC_SIZE; i++)
            if (cpus[c].psc[i].valid && mfn_eq(cpus[c].psc[i].table, frame))
                return true;
    }
    return false;
}

void fake_psc_each(void (*fn)(mfn_t table, unsigned int level, void *data), void *data)
{
    for (unsigned int c = 0; c < FAKE_CPUS; c++)
        for (unsigned int i = 0; i < PSC_SIZE; i++)
            if (cpus[c].psc[i].valid)
                fn(cpus[c].psc[i].table, cpus[c].psc[i].level, data);
}
