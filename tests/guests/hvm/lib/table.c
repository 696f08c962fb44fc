// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest's own tables: below HOME_END memory as it is, in pages of 4 KiB, for the supervisor alone but for what user
 * mode runs; from TEST_AREA on what is tried. Pages come from a pool and are not given back.
 */
#include "internal.h"

#define POOL_PAGES 512

volatile entry_t *root;
/* A guest takes pages of one while the tables of the guest before it are still in the other. */
static unsigned long pools[2][POOL_PAGES][PAGE_SIZE / sizeof(long)] __attribute__((aligned(4096)));
static unsigned int pool, used;

void *new_page(void)
{
    unsigned long *page = pools[pool][used++];

    REQUIRE(used <= POOL_PAGES);
    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(long); i++)
        page[i] = 0;
    return page;
}

volatile entry_t *slot(unsigned long linear, unsigned int level)
{
    volatile entry_t *table = root;

    for (unsigned int l = LEVELS; l > level; l--) {
        volatile entry_t *e = &table[INDEX(linear, l)];

        if (!(*e & PTE_P))
            *e = entry_of(new_page(), l == 3 && LEVELS == 3 ? PTE_P : PTE_ALL | PTE_A);
        table = (volatile entry_t *)(unsigned long)(*e & PTE_ADDR);
    }
    return &table[INDEX(linear, level)];
}

void map(unsigned long linear, const volatile void *page, entry_t flags)
{
    *slot(linear, 1) = entry_of(page, flags);
    invlpg(linear);
}

void use_tables(void)
{
    if (!(read_cr0() & CR0_PG))
        turn_paging_on();
}

/* Control registers as a guest finds them. */
static void set_registers(void)
{
    if (LEVELS == 2 && !PSE && (read_cr0() & CR0_PG))
        write_cr0(CR0_PE | CR0_ET);
    if (LEVELS > 2)
        write_msr(MSR_EFER, read_msr(MSR_EFER) & ~(uint64_t)EFER_NXE);
    write_cr4(LEVELS > 2 ? CR4_PAE : PSE ? CR4_PSE : 0);
    write_cr3((unsigned long)root);
    if (LEVELS > 2 || PSE)
        turn_paging_on();
}

void init_tables(void)
{
    pool ^= 1;
    used = 0;
    root = new_page();
    for (unsigned long a = 0; a < HOME_END; a += PAGE_SIZE) {
        bool user = a >= (unsigned long)user_start && a < (unsigned long)user_end;

        *slot(a, 1) = (entry_t)a | PTE_P | PTE_RW | PTE_A | PTE_D | (user ? PTE_US : 0);
    }
    (void)slot(TEST_AREA, 1); /* PAE's pointers are read when CR3 is loaded */
    (void)slot(TEST_AREA + (1ul << 30), 1);
    set_registers();
}
