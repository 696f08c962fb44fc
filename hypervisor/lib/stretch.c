/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The longest stretches between preemption points, one slot for each operation. What is under way is each CPU's own,
 * and so are the counts; the table is shared and without a lock: a slot is only written when a stretch is longer than
 * all before.
 *
 * A number of a sub-operation beyond those known counts as the last one, so that the table has a fixed size whatever
 * guests ask for.
 */
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <hv/x86.h>
#include <umbra/umbra_op.h>

#define MAX_SLOTS 512u

/* Operations with sub-operations, and how many. All others have one slot. */
static const struct {
    uint8_t family, subs;
} known[] = {
    {__HYPERVISOR_memory_op, 29},       {__HYPERVISOR_sched_op, 8},  {__HYPERVISOR_event_channel_op, 15},
    {__HYPERVISOR_grant_table_op, 14},  {__HYPERVISOR_vcpu_op, 16},  {__HYPERVISOR_physdev_op, 34},
    {__HYPERVISOR_console_io, 3},       {__HYPERVISOR_domctl, 90},   {__HYPERVISOR_sysctl, 32},
    {__HYPERVISOR_mmuext_op, 22},       {__HYPERVISOR_umbra_op, 20}, {STRETCH_TRAP, 32},
    {STRETCH_SOFTIRQ, NR_SOFTIRQS + 1}, {STRETCH_TEARDOWN, 16},
};

DEFINE_PER_CPU(struct stretch_now, stretch_now);

static struct {
    uint64_t ticks;
    uint32_t work;
    uint16_t family, sub;
} slots[MAX_SLOTS]; /* slot 0 is nobody's */

struct stretch_counts {
    uint64_t n[MAX_SLOTS][STRETCH_SIZES];
};
static DEFINE_PER_CPU(struct stretch_counts, counts);

const char *const stretch_sizes[STRETCH_SIZES] = {"0-7", "8-63", "64-255", "256-512", "more"};
static_assert(STRETCH_BOUND == 512, "the last but one");

static uint16_t first_slot[STRETCH_FAMILIES + 1];

static unsigned int subs_of(unsigned int family)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].family == family)
            return known[i].subs;
    return 1;
}

void stretch_init(void)
{
    unsigned int n = 1;

    for (unsigned int family = 0; family < STRETCH_FAMILIES; family++) {
        first_slot[family] = (uint16_t)n;
        for (unsigned int sub = 0; sub < subs_of(family); sub++, n++) {
            BUG_ON(n == MAX_SLOTS);
            slots[n].family = (uint16_t)family;
            slots[n].sub = (uint16_t)sub;
        }
    }
    first_slot[STRETCH_FAMILIES] = (uint16_t)n;
}

static uint16_t slot_of(unsigned int family, unsigned int sub)
{
    unsigned int first, subs;

    family = (unsigned int)array_index_nospec(family, STRETCH_FAMILIES);
    first = first_slot[family];
    subs = first_slot[family + 1] - first;
    return (uint16_t)(first + (subs ? array_index_nospec(MIN(sub, subs - 1), subs) : 0));
}

void stretch_begin(unsigned int family, unsigned int sub)
{
    this_cpu(stretch_now) = (struct stretch_now){.start = rdtsc(), .slot = slot_of(family, sub)};
}

void stretch_name(unsigned int family, unsigned int sub)
{
    struct stretch_now *now = &this_cpu(stretch_now);

    if (now->slot)
        now->slot = slot_of(family, sub);
}

unsigned int stretch_family(void)
{
    unsigned int slot = this_cpu(stretch_now).slot;

    return slot ? slots[slot].family : (unsigned int)STRETCH_FAMILIES;
}

static void note_ticks(uint64_t *most, uint64_t value)
{
    uint64_t old = READ_ONCE(*most);

    while (value > old && !__atomic_compare_exchange_n(most, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void note_work(uint32_t *most, uint32_t value)
{
    uint32_t old = READ_ONCE(*most);

    while (value > old && !__atomic_compare_exchange_n(most, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void stretch_point(void)
{
    struct stretch_now *now = &this_cpu(stretch_now);
    uint64_t tsc = rdtsc();

    if (now->slot) {
        note_ticks(&slots[now->slot].ticks, tsc - now->start);
        note_work(&slots[now->slot].work, now->work);
        this_cpu(counts).n[now->slot][stretch_size(now->work)]++;
    }
    now->start = tsc;
    now->work = 0;
}

void stretch_end(void)
{
    stretch_point();
    this_cpu(stretch_now).slot = 0;
}

static void read_counts(unsigned int slot, bool reset, struct stretch *out)
{
    for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
        for (unsigned int size = 0; size < STRETCH_SIZES; size++) {
            uint64_t *n = &per_cpu(counts, cpu).n[slot][size];

            out->times[size] += READ_ONCE(*n);
            if (reset)
                WRITE_ONCE(*n, 0);
        }
}

static void read_slot(unsigned int slot, bool reset, struct stretch *out)
{
    *out = (struct stretch){.family = slots[slot].family,
                            .sub = slots[slot].sub,
                            .work = READ_ONCE(slots[slot].work),
                            .ticks = READ_ONCE(slots[slot].ticks)};
    if (reset) {
        WRITE_ONCE(slots[slot].work, 0);
        WRITE_ONCE(slots[slot].ticks, 0);
    }
    read_counts(slot, reset, out);
}

bool stretch_read(unsigned int *next, bool reset, struct stretch *out)
{
    while (*next < first_slot[STRETCH_FAMILIES]) {
        unsigned int slot = (unsigned int)array_index_nospec(*next, MAX_SLOTS);

        ++*next;
        if (!READ_ONCE(slots[slot].ticks))
            continue;
        read_slot(slot, reset, out);
        return true;
    }
    return false;
}
