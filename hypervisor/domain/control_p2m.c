/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control domain's memory before it runs: frames, P2M, and page tables written as plain data. They get their types,
 * and with them all checks, when the boot vCPU's base pointer is set: there is no second route into validity.
 */
#include "control_p2m.h"

#include <hv/heap.h>

void control_memory_init(struct control_memory *m, struct domain *d, uint64_t nr_pages)
{
    uint64_t pfn = 0;
    unsigned int order = 9;

    m->d = d;
    m->nr_pages = nr_pages;
    m->p2m_order = get_order_bytes(nr_pages * sizeof(xen_pfn_t));
    m->p2m = alloc_hv_mem(m->p2m_order);
    if (!m->p2m)
        panic("no memory for the control domain's P2M");
    while (pfn < nr_pages) {
        struct page_info *pg = (nr_pages - pfn) >> order ? alloc_domain_pages(d, order, 0) : NULL;

        if (!pg && order-- == 0)
            panic("out of memory: control domain has %lu of %lu pages", pfn, nr_pages);
        for (uint64_t i = 0; pg && i < 1ul << order; i++, pfn++) {
            m->p2m[pfn] = page_to_mfn(pg + i).n;
            set_gpfn_from_mfn(_mfn(m->p2m[pfn]), pfn);
        }
    }
}

void control_memory_free(struct control_memory *m)
{
    free_hv_mem(m->p2m, m->p2m_order);
}

void *control_page(const struct control_memory *m, uint64_t pfn)
{
    if (pfn >= m->nr_pages)
        panic("control domain too small: page %lu of %lu is needed", pfn, m->nr_pages);
    return mfn_to_virt(_mfn(m->p2m[pfn]));
}

void control_write(const struct control_memory *m, uint64_t paddr, const void *src, size_t n)
{
    const char *s = src;

    while (n) {
        size_t off = paddr & ~PAGE_MASK, part = MIN(n, PAGE_SIZE - off);

        memcpy((char *)control_page(m, paddr >> PAGE_SHIFT) + off, s, part);
        paddr += part;
        s += part;
        n -= part;
    }
}

static uint64_t tables_at(unsigned long start, unsigned long end, unsigned int level)
{
    unsigned int shift = PAGE_SHIFT + 9 * level;

    return ((end - 1) >> shift) - (start >> shift) + 1;
}

uint64_t control_tables_for(unsigned long start, unsigned long end)
{
    return tables_at(start, end, 1) + tables_at(start, end, 2) + tables_at(start, end, 3);
}

static bool holds_table(const struct control_memory *m, uint64_t pfn)
{
    return (pfn >= m->ro_start[0] && pfn < m->ro_end[0]) || (pfn >= m->ro_start[1] && pfn < m->ro_end[1]);
}

/* The table below an entry, made when it is missing. */
static pte_t *next_table(struct control_memory *m, pte_t *e)
{
    if (!(e->n & PTE_P)) {
        if (m->pt_next == m->pt_end)
            panic("control domain: page tables miscounted");
        *e = pte_make(_mfn(m->p2m[m->pt_next++]), PTE_P | PTE_RW | PTE_US | PTE_A);
    }
    return mfn_to_virt(pte_mfn(*e));
}

void control_map(struct control_memory *m, unsigned long start, unsigned long end, uint64_t pfn)
{
    for (unsigned long a = start; a != end; a += PAGE_SIZE, pfn++) {
        pte_t *t = control_page(m, m->l4_pfn);

        for (unsigned int level = 4; level > 1; level--)
            t = next_table(m, &t[pt_index(a, level)]);
        control_page(m, pfn);
        t[pt_index(a, 1)] =
            pte_make(_mfn(m->p2m[pfn]), PTE_P | PTE_US | PTE_A | PTE_D | (holds_table(m, pfn) ? 0 : PTE_RW));
    }
}
