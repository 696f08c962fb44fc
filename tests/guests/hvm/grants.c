// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a grant that is mapped at a guest physical address is memory there, as long as it is mapped and with the rights
 * that it was mapped with, but no code. The guest lends a page to itself, so it sees both sides. The last mapping
 * stays, for the audit. Without a hypervisor there is nobody to lend by.
 */
#include "call.h"

#define GRANTS 0x40000000ul /* physical addresses without memory: for the table of grants */
#define LENT   0x40001000ul /* and for what is mapped */
#define ENTRY  TEST_AREA    /* linear: the table */
#define SEEN   (TEST_AREA + PAGE_SIZE)
#define REF    8u

static volatile uint32_t *page; /* that is lent */
static uint16_t self;

static void make_table(void)
{
    REQUIRE(add_to_physmap(1, 0, GRANTS) == 0);
    map(ENTRY, (void *)GRANTS, PTE_ALL);
    at(ENTRY)[2 * REF + 1] = (uint32_t)((unsigned long)page / PAGE_SIZE);
    at(ENTRY)[2 * REF] = (uint32_t)self << 16 | GTF_PERMIT;
}

static uint32_t uses(void)
{
    return at(ENTRY)[2 * REF] & (GTF_READING | GTF_WRITING);
}

/* Stores by one address are seen by the other. */
static void check_shared(void)
{
    for (uint32_t i = 0; i < 100; i++) {
        at(SEEN)[1 + i] = i;
        CHECK_IS(page[1 + i], i);
        page[1 + i] = ~i;
        CHECK_IS(at(SEEN)[1 + i], ~i);
    }
    CHECK_IS(try_access(READ, SEEN).vector, VEC_END);
    CHECK_IS(try_access(WRITE, SEEN).vector, VEC_END);
    CHECK_IS(try_access(FETCH, SEEN).vector, TRAP_UD);
    CHECK_IS(try_access(FETCH, (unsigned long)page).vector, VEC_END);
}

/* A store is lost, as one to memory that only reads is. */
static void check_readonly(void)
{
    page[1] = 7;
    at(SEEN)[1] = 8;
    CHECK_IS(page[1], 7);
    CHECK_IS(at(SEEN)[1], 7);
    CHECK_IS(try_access(FETCH, SEEN).vector, TRAP_UD);
}

void guest_main(void)
{
    uint32_t handle;

    use_tables();
    CHECK(!on_xen || cpuid(0x40000000).b == 0x566e6558); /* "XenV" */
    if (!on_xen)
        return;
    self = (uint16_t)cpuid(0x40000004).c;
    page = new_page();
    *(volatile uint16_t *)page = CODE_END;
    make_table();
    for (unsigned int i = 0; i < 3; i++) {
        handle = map_grant(LENT, self, REF, 0);
        map(SEEN, (void *)LENT, PTE_ALL);
        CHECK_IS(uses(), GTF_READING | GTF_WRITING);
        check_shared();
        unmap_grant(LENT, handle);
        CHECK_IS(uses(), 0);
        CHECK_IS(*at(SEEN), ~0u); /* nothing is there */
        handle = map_grant(LENT, self, REF, GNTMAP_READONLY);
        CHECK_IS(uses(), GTF_READING);
        check_readonly();
        unmap_grant(LENT, handle);
    }
    (void)map_grant(LENT, self, REF, 0);
    check_shared();
}
