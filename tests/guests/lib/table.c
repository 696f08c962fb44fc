// SPDX-License-Identifier: BSD-2-Clause
/*
 * Frames and page tables of a guest. Its first tables, its image and its start-of-day pages all lie in the first
 * mapping, frame by frame from VIRT_BASE on, so a frame number leads to an address by the machine-to-phys table.
 */
#include "internal.h"

static char pool[POOL_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));

void *new_page(void)
{
    static unsigned int next;
    unsigned int n = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);

    REQUIRE(n < POOL_PAGES);
    return pool[n];
}

unsigned long spare_mfn(unsigned int n)
{
    const unsigned long *p2m = (const unsigned long *)start_info->mfn_list;

    return p2m[start_info->nr_pages - 1 - n];
}

void *virt_of(unsigned long mfn)
{
    return (void *)(VIRT_BASE + m2p()[mfn] * PAGE_SIZE);
}

unsigned long *entry_of(const void *va, unsigned int level)
{
    unsigned long *table = (unsigned long *)start_info->pt_base;

    for (unsigned int l = 4; l > level; l--) {
        unsigned long e = READ_ONCE(table[PT_INDEX(va, l)]);

        if (!(e & PTE_P))
            return NULL;
        table = virt_of((e & PTE_ADDR) >> 12);
    }
    return &table[PT_INDEX(va, level)];
}

unsigned long mfn_of(const void *p)
{
    const unsigned long *entry = entry_of(p, 1);

    REQUIRE(entry && (*entry & PTE_P));
    return (*entry & PTE_ADDR) >> 12;
}

unsigned long maddr_of(const void *p)
{
    return mfn_of(p) << 12 | (P(p) & (PAGE_SIZE - 1));
}

long mmu_store_at(unsigned long maddr, unsigned long value)
{
    struct mmu_update u = {.ptr = maddr, .val = value};

    return hypercall(__HYPERVISOR_mmu_update, P(&u), 1, 0, DOMID_SELF, 0);
}

long mmu_store(const unsigned long *entry, unsigned long value)
{
    return mmu_store_at(maddr_of(entry), value);
}

long mmuext(unsigned int cmd, unsigned long arg1, unsigned long arg2)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = arg1, .arg2.src_mfn = arg2};

    return hypercall(__HYPERVISOR_mmuext_op, P(&op), 1, 0, DOMID_SELF, 0);
}

long map_at(const void *va, unsigned long pte, unsigned long flags)
{
    return HYPERCALL3(__HYPERVISOR_update_va_mapping, va, pte, flags);
}

long set_readonly(const void *page)
{
    return map_at(page, make_pte(mfn_of(page), PTE_ALL & ~PTE_RW), UVMF_INVLPG | UVMF_ALL);
}

long set_writable(const void *page)
{
    return map_at(page, make_pte(mfn_of(page), PTE_ALL), UVMF_INVLPG | UVMF_ALL);
}

void *new_table(unsigned int index, unsigned long pte)
{
    unsigned long *table = new_page();

    table[index] = pte;
    REQUIRE(set_readonly(table) == 0);
    return table;
}

/* Looks at the entry as well as at what the processor does. */
void check_readonly_at(const void *page, const char *file, int line)
{
    uint64_t before = *(const volatile uint64_t *)page;

    check_at(!(*entry_of(page, 1) & PTE_RW), file, line, "the page's own mapping has become writable");
    check_at(try_write((void *)page, 0x1234567) == TRAP_PF || *(const volatile uint64_t *)page == before, file, line,
             "the page was written to");
}
