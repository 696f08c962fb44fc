// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: an access faults exactly when the manuals say so, with the error code they say, and leaves the A and D bits
 * they say. All combinations are tried of P, RW, US and NX in the entry that maps a page, the same in each level above
 * it, of CR0.WP, CR4.SMEP, CR4.SMAP and EFER.NXE, with reads, stores and fetches by the supervisor and the user, and
 * with A and D clear before and set. Shadows made with the rights of one setting must not serve another one.
 */
#include "hvm.h"

#define PAGE (TEST_AREA + 0x5000)

static entry_t states[17];
static unsigned int nr_states;
static unsigned long tried, faulted;

/* Not present, and present with every mixture of rights. */
static void list_states(void)
{
    states[nr_states++] = PTE_RW | PTE_US;
    for (unsigned int i = 0; i < (PTE_NX ? 8 : 4); i++)
        states[nr_states++] = PTE_P | (i & 1 ? PTE_RW : 0) | (i & 2 ? PTE_US : 0) | (i & 4 ? PTE_NX : 0);
}

static bool set_modes(unsigned int modes)
{
    unsigned long cr4 = read_cr4() & ~(unsigned long)(CR4_SMEP | CR4_SMAP);

    if ((modes & 2 && !has.smep) || (modes & 4 && !has.smap) || (modes & 8 && !has.nx))
        return false;
    write_cr0((read_cr0() & ~(unsigned long)CR0_WP) | (modes & 1 ? CR0_WP : 0));
    write_cr4(cr4 | (modes & 2 ? CR4_SMEP : 0) | (modes & 4 ? CR4_SMAP : 0));
    if (LEVELS > 2)
        write_msr(MSR_EFER, (read_msr(MSR_EFER) & ~(uint64_t)EFER_NXE) | (modes & 8 ? EFER_NXE : 0));
    return true;
}

static void try_all(volatile entry_t *upper, entry_t up, volatile entry_t *leaf, entry_t low)
{
    static const unsigned int accesses[] = {READ, WRITE, FETCH, READ | USER, WRITE | USER, FETCH | USER, WRITE | AC};

    for (unsigned int i = 0; i < ARRAY_SIZE(accesses); i++) {
        entry_t bits = tried % 3 ? 0 : PTE_A | PTE_D;

        if ((accesses[i] & AC) && !(read_cr4() & CR4_SMAP))
            continue;
        *upper = up | (bits & PTE_A);
        *leaf = low | bits;
        invlpg(PAGE);
        faulted += !CHECK_ACCESS(accesses[i], PAGE);
        tried++;
    }
}

/* One level above the page with every state; those between have all rights. */
static void try_level(unsigned int level)
{
    volatile entry_t *upper = slot(PAGE, level), *leaf = slot(PAGE, 1);
    entry_t up = *upper & PTE_ADDR, low = *leaf & PTE_ADDR;

    for (unsigned int i = 0; i < nr_states; i++)
        for (unsigned int k = 0; k < nr_states; k++)
            try_all(upper, up | states[i], leaf, low | states[k]);
    *upper = up | PTE_ALL | PTE_A;
}

/* The fault for want of rights drops the entry that lacked them: more rights need no flush. */
static void try_more_rights(const void *page)
{
    map(PAGE, page, PTE_P | PTE_US);
    CHECK(!CHECK_ACCESS(WRITE | USER, PAGE));
    *slot(PAGE, 1) |= PTE_RW;
    CHECK(try_access(WRITE | USER, PAGE).vector == VEC_END || try_access(WRITE | USER, PAGE).vector == VEC_END);
    CHECK_IS(*slot(PAGE, 1) & PTE_KEPT, PTE_KEPT);
}

void guest_main(void)
{
    unsigned int modes = 0, used = 0;
    uint8_t *page = new_page();

    use_tables();
    *(volatile uint16_t *)page = CODE_END;
    list_states();
    map(PAGE, page, PTE_ALL);
    for (; modes < 16; modes++)
        if (set_modes(modes)) {
            try_level(2 + used % (TOP - 1));
            used++;
        }
    try_more_rights(page);
    say("%lu accesses in %u settings, %lu faulted", tried, used, faulted);
    CHECK(faulted > tried / 4 && faulted < tried);
}
