// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: direct writes to an L1 table that are not aligned, that cross from one entry into the next or from one table
 * page into another page, and that are narrower than an entry, so that an entry would be seen half changed. Whatever
 * the hypervisor completes is checked as a whole entry; the rest is a page fault and changes nothing. No such write
 * makes a page table writable.
 */
#include "guest.h"

static unsigned long *slot, frame;

/* width bytes of value at offset from the entry; -1 or the fault's vector. */
static int store(long offset, unsigned long value, unsigned int width)
{
    static uint8_t code[4][16] = {
        {0x88, 0x07}, {0x66, 0x89, 0x07}, {0x89, 0x07}, {0x48, 0x89, 0x07}, /* mov al, ax, eax, rax to (rdi) */
    };
    unsigned int n = width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3;
    uint8_t bytes[32] = {0x48, 0xbf, [10] = 0x48, [11] = 0xb8}; /* mov address, %rdi; mov value, %rax */
    unsigned long to = P(slot) + (unsigned long)offset;

    __builtin_memcpy(bytes + 2, &to, 8);
    __builtin_memcpy(bytes + 12, &value, 8);
    __builtin_memcpy(bytes + 20, code[n], 4);
    return run_code(bytes, 20 + (n == 1 || n == 3 ? 3 : 2));
}

void guest_main(void)
{
    char *page = new_page(), *above;
    unsigned long table = mfn_of(entry_of(page, 1)), next;

    REQUIRE(HYPERCALL2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables) == 0);
    slot = entry_of(page, 1);
    frame = *slot & PTE_ADDR;
    next = slot[1];

    /* Whole entries: a harmless one is stored, the attack is a fault. */
    CHECK_IS(store(0, frame | (PTE_ALL & ~PTE_RW), 8), -1);
    CHECK_IS(*slot & ~(PTE_A | PTE_D | PTE_G), frame | PTE_P | PTE_US); /* Xen keeps G for itself, and sets it */
    CHECK_IS(store(0, make_pte(table, PTE_ALL), 8), TRAP_PF);
    CHECK_IS(*slot & PTE_ADDR, frame);

    /* Low bytes alone: RW on a page table that is mapped read-only. */
    CHECK_IS(mmu_store(slot, make_pte(table, PTE_P | PTE_US)), 0);
    CHECK_IS(store(0, PTE_P | PTE_RW | PTE_US, 1), TRAP_PF);
    CHECK_IS(store(0, (table << 12 | PTE_P | PTE_RW | PTE_US) & 0xffff, 2), TRAP_PF);
    CHECK_IS(store(0, table << 12 | PTE_P | PTE_RW | PTE_US, 4), TRAP_PF);
    CHECK(!(*slot & PTE_RW));

    /* Across entries and pages. */
    for (long offset = -7; offset < 8; offset++)
        if (offset) {
            CHECK_IS(store(offset, ~0ul, 8), TRAP_PF);
            CHECK_IS(slot[1], next);
        }
    CHECK_IS(store(-2, ~0ul, 4), TRAP_PF);
    CHECK_IS(store(7, ~0ul, 2), TRAP_PF);
    above = (char *)(P(slot) | (PAGE_SIZE - 1)) + 1;
    slot = (unsigned long *)(above - 4);
    CHECK_IS(store(0, ~0ul, 8), TRAP_PF);
    CHECK_IS(try_write(entry_of(page, 2), 0), TRAP_PF);
    CHECK_IS(try_write(entry_of(page, 4), 0), TRAP_PF);
}
