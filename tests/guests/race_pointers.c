// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: every hypercall that is given a pointer (lib/calls.def), to a page that vCPU 1 meanwhile maps, write-protects
 * and unmaps, and whose words it fills, through another address, with numbers and pointers that are hostile, or right,
 * or right somewhere else. A call that reads twice, or writes where it has only looked, does something that nobody has
 * checked. Each answer is one that the call may give; at the end the guest's page tables are what they were, and its
 * tables cannot be written to.
 */
#include "calls.h"

#define ROUNDS 24
#define WORDS  (PAGE_SIZE / 8)

static unsigned long values[12] = {
    0, 7, ~0ul, 0x7fffffff, NOT_MAPPED, NONCANONICAL, HV_TEXT, HV_DIRECTMAP | DOMID_SELF};
static unsigned long *words, *slot, evil;
static char *page; /* and the next one, which stays */
static evtchn_port_t port;

/* Whoever polls is woken. */
static void wake(void)
{
    struct evtchn_send send = {.port = port};

    __atomic_fetch_and(&shared_info->evtchn_pending[0], ~(1ul << port), __ATOMIC_SEQ_CST);
    (void)evtchn_op(EVTCHNOP_send, &send);
}

static void change(void)
{
    static const unsigned long flags[] = {PTE_ALL, PTE_ALL & ~PTE_RW, 0, PTE_ALL};
    unsigned long mfn = mfn_of(words);
    uint32_t seed = 1;

    for (unsigned int i = 0; !stop; i++) {
        for (unsigned int n = 0; n < 64; n++) {
            seed = seed * 1664525 + 1013904223;
            WRITE_ONCE(words[n < 48 ? n : WORDS - 64 + n], values[(seed >> 24) % ARRAY_SIZE(values)]);
        }
        CHECK_IS(map_at(page, flags[i & 3] ? make_pte(mfn, flags[i & 3]) : 0, UVMF_INVLPG | UVMF_ALL), 0);
        wake();
    }
}

/* Of all tables, which the domain builder puts one behind the other; the bits that the processor sets are left out. */
static unsigned long sum_of_tables(void)
{
    const unsigned long *entry = (const unsigned long *)start_info->pt_base;
    unsigned long sum = 0;

    for (unsigned long n = 0; n < start_info->nr_pt_frames * 512; n++)
        sum = (sum << 7 | sum >> 57) ^ (entry[n] & ~(PTE_A | PTE_D));
    return sum;
}

/* Among the values: the place and the contents of an entry that would make a page table writable. */
static void prepare(void)
{
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    unsigned long *table = new_table(0, 0);

    REQUIRE(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(table), 0) == 0);
    page = new_page();
    REQUIRE(new_page() == page + PAGE_SIZE);
    words = new_page();
    slot = entry_of(new_page(), 1);
    REQUIRE(map_at(words, make_pte(mfn_of(page), PTE_ALL), UVMF_INVLPG) == 0);
    REQUIRE(evtchn_op(EVTCHNOP_bind_ipi, &ipi) == 0);
    port = ipi.port;
    REQUIRE(map_at(page, make_pte(mfn_of(page), PTE_ALL), UVMF_INVLPG) == 0);
    values[8] = P(page) + 256; /* itself */
    values[9] = P(table);
    values[10] = maddr_of(slot);
    values[11] = evil = make_pte(mfn_of(table), PTE_ALL);
}

void guest_main(void)
{
    unsigned long before, was;

    prepare();
    before = sum_of_tables();
    was = *slot;
    start_vcpu(1, change);
    for (unsigned int i = 0; i < ROUNDS * nr_pointer_calls; i++) {
        const struct pointer_call *c = &pointer_calls[i % nr_pointer_calls];
        unsigned long p = P(page) + (i / nr_pointer_calls & 1 ? PAGE_SIZE - 16 : 0);

        for (unsigned int sub = c->first; sub <= c->last && !(c->flags & ENDS); sub++)
            check_documented(c, sub, p, call_with_pointer(c, sub, p));
    }
    stop = true;
    wait_vcpu(1);
    init_traps();
    CHECK_IS(*slot & PTE_P ? *slot : was, was);
    CHECK_IS(mmu_store(slot, was), 0);
    CHECK_IS(map_at(page, make_pte(mfn_of(words), PTE_ALL), UVMF_INVLPG | UVMF_ALL), 0);
    CHECK_IS(sum_of_tables(), before);
    CHECK_READONLY(virt_of(evil >> 12));
}
