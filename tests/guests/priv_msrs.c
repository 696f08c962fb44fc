// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: every MSR in the ranges that processors use is read, and written with zeros, ones and its own value with a
 * bit changed. A write either faults or has no effect on the processor: the entry point of system calls, the kind of
 * paging, the cache attributes and the APIC's place read the same afterwards, and hypercalls still arrive.
 */
#include "guest.h"

struct msr {
    uint32_t index;
    uint64_t value;
};

static void read_msr(void *arg)
{
    struct msr *m = arg;
    uint32_t low, high;

    __asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(m->index));
    m->value = (uint64_t)high << 32 | low;
}

static void write_msr(void *arg)
{
    const struct msr *m = arg;

    __asm__ __volatile__("wrmsr" ::"a"((uint32_t)m->value), "d"((uint32_t)(m->value >> 32)), "c"(m->index) : "memory");
}

static const uint32_t ranges[][2] = {
    {0, 0x300},
    {0x3f0, 0x500},
    {0x800, 0x840},
    {0xd90, 0xdb0},
    {0x40000000, 0x40000120},
    {0xc0000080, 0xc0000110},
    {0xc0010000, 0xc0010130},
    {0xc0011000, 0xc0011040},
};
static const uint32_t watched[] = {0x1b, 0x277, 0xc0000080};
/* Segment bases are the guest's own. */
static bool is_base(uint32_t index)
{
    return index >= 0xc0000100 && index <= 0xc0000102;
}

void guest_main(void)
{
    uint64_t before[ARRAY_SIZE(watched)];
    unsigned int readable = 0, accepted = 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(watched); i++) {
        struct msr m = {.index = watched[i]};

        CHECK(!faults(read_msr, &m, NULL));
        before[i] = m.value;
    }
    for (unsigned int r = 0; r < ARRAY_SIZE(ranges); r++)
        for (uint32_t index = ranges[r][0]; index < ranges[r][1]; index++) {
            struct msr m = {.index = index}, changed = {.index = index, .value = ~0ul};
            bool can_read = !faults(read_msr, &m, NULL);

            readable += can_read;
            if (is_base(index))
                continue;
            accepted += !faults(write_msr, &changed, NULL);
            changed.value = 0;
            accepted += !faults(write_msr, &changed, NULL);
            changed.value = m.value ^ 0x800;
            accepted += can_read && !faults(write_msr, &changed, NULL);
        }
    for (unsigned int i = 0; i < ARRAY_SIZE(watched); i++) {
        struct msr m = {.index = watched[i]};

        CHECK(!faults(read_msr, &m, NULL));
        CHECK_IS(m.value, before[i]);
    }
    CHECK(faults(write_msr, &(struct msr){0xc0000100, NONCANONICAL}, NULL));
    CHECK(faults(write_msr, &(struct msr){0xc0000101, NONCANONICAL}, NULL));
    CHECK_IS(HYPERCALL2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
    say("%u readable, %u writes without a fault", readable, accepted);
}
