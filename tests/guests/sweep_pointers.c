// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: every hypercall with every sub-operation that is given a pointer (lib/calls.def has the table), which is in
 * turn null, not mapped, not canonical, in the hypervisor's range, at the end of the address space, read-only, and at
 * the very end of a mapped page; then the same pointer in all arguments. One that cannot be read is refused as
 * documented, EFAULT unless the call is refused before it reads; of the others the answer is one that the call may
 * give. Neither the hypervisor nor what the guest has mapped read-only has changed.
 */
#include "calls.h"

static unsigned long pointers[16];
static unsigned int nr_pointers, nr_unreadable;
static const unsigned long *readonly;

static void collect(void)
{
    char *page = new_page();
    static const unsigned long fixed[] = {0,        8,       NOT_MAPPED,   NONCANONICAL, NONCANONICAL - 4,
                                          HV_FIRST, HV_TEXT, HV_DIRECTMAP, HV_END - 4,   ~0ul,
                                          ~7ul};

    readonly = entry_of(page, 1);
    for (unsigned int i = 0; i < ARRAY_SIZE(fixed); i++)
        pointers[nr_pointers++] = fixed[i];
    nr_unreadable = nr_pointers;
    pointers[nr_pointers++] = P(readonly);
    REQUIRE(map_at(page + PAGE_SIZE, 0, UVMF_INVLPG) == 0);
    pointers[nr_pointers++] = P(page) + PAGE_SIZE - 4;
}

/* In its place. */
static void attack(const struct pointer_call *c, unsigned int sub, unsigned int n)
{
    unsigned long p = pointers[n];
    long answer;

    if (n >= nr_unreadable && (c->flags & ENDS))
        return;
    answer = call_with_pointer(c, sub, p);
    if (n >= nr_unreadable || (p == 0 && (c->flags & NULL_MEANS)))
        check_documented(c, sub, p, answer);
    else
        check_refused(c, sub, p, answer);
}

/* Everywhere, as a count and as a number too. What it means is left to the call, which has to come back. */
static void attack_everywhere(const struct pointer_call *c, unsigned int sub, unsigned long p)
{
    long answer;

    if (c->place == FIRST) {
        answer = raw_hypercall(c->nr, p, 0x7fffffff, p, DOMID_SELF, 0);
    } else {
        (void)raw_hypercall(c->nr, sub, 1, p, p, p);
        answer = raw_hypercall(c->nr, sub, p, p, 1, 0);
    }
    CHECK(answer > -128);
}

void guest_main(void)
{
    unsigned long before;

    collect();
    before = *readonly;
    for (unsigned int i = 0; i < nr_pointer_calls; i++)
        for (unsigned int sub = pointer_calls[i].first; sub <= pointer_calls[i].last; sub++)
            for (unsigned int n = 0; n < nr_pointers; n++) {
                attack(&pointer_calls[i], sub, n);
                if (!(pointer_calls[i].flags & ENDS) && pointer_calls[i].place <= SECOND)
                    attack_everywhere(&pointer_calls[i], sub, pointers[n]);
            }
    CHECK_IS(*readonly & ~(PTE_A | PTE_D), before & ~(PTE_A | PTE_D));
    CHECK_IS(HYPERCALL2(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
}
