/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The per-domain area (L4 slot 260): page tables that map each vCPU's descriptor windows. One L3, one L2, and one L1
 * for each 16 vCPUs; the hypervisor's own frames, never visible to the guest. d->pv.gdt_ldt_l1[vcpu] points to the 32
 * entries of a vCPU.
 */
#include <hv/heap.h>
#include "internal.h"

#define ENTRIES_PER_VCPU (GDT_PAGES + LDT_PAGES)
#define TABLE_FLAGS      (PTE_P | PTE_RW | PTE_A | PTE_D)

static_assert(ENTRIES_PER_VCPU * PAGE_SIZE == 1ul << GDT_LDT_VCPU_SHIFT, "a vCPU's window");
static_assert(MAX_VIRT_CPUS << GDT_LDT_VCPU_SHIFT <= 1ul << 30, "all windows lie under one L2");

static pte_t *new_table(void)
{
    struct page_info *pg = alloc_hv_pages(0, MEMF_ZERO);

    return pg ? page_to_virt(pg) : NULL;
}

static pte_t *table_of(pte_t e)
{
    return e.n & PTE_P ? mfn_to_virt(pte_mfn(e)) : NULL;
}

static pte_t *perdomain_l2(const struct domain *d)
{
    pte_t *l3 = mfn_to_virt(d->pv.perdomain_l3);

    return table_of(l3[pt_index(PERDOMAIN_VIRT, 3)]);
}

int pv_perdomain_init(struct domain *d)
{
    pte_t *l3 = new_table(), *l2 = new_table();

    d->pv.gdt_ldt_l1 = hv_new_array(pte_t *, d->max_vcpus);
    if (!l3 || !l2 || !d->pv.gdt_ldt_l1) {
        if (l3)
            free_hv_mem(l3, 0);
        if (l2)
            free_hv_mem(l2, 0);
        hv_free(d->pv.gdt_ldt_l1);
        d->pv.gdt_ldt_l1 = NULL;
        return -ENOMEM;
    }
    l3[pt_index(PERDOMAIN_VIRT, 3)] = pte_make(virt_to_mfn(l2), TABLE_FLAGS);
    d->pv.perdomain_l3 = virt_to_mfn(l3);
    return 0;
}

void pv_perdomain_free(struct domain *d)
{
    pte_t *l2;

    if (!d->pv.gdt_ldt_l1)
        return;
    l2 = perdomain_l2(d);
    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        if (table_of(l2[i]))
            free_hv_mem(table_of(l2[i]), 0);
    free_hv_mem(l2, 0);
    free_hv_mem(mfn_to_virt(d->pv.perdomain_l3), 0);
    hv_free(d->pv.gdt_ldt_l1);
    d->pv.gdt_ldt_l1 = NULL;
    d->pv.perdomain_l3 = INVALID_MFN;
}

int pv_perdomain_add_vcpu(struct domain *d, unsigned int vcpu_id)
{
    pte_t *slot = &perdomain_l2(d)[pt_index(GDT_VIRT(vcpu_id), 2)];
    pte_t *l1 = table_of(*slot);

    if (!l1) {
        l1 = new_table();
        if (!l1)
            return -ENOMEM;
        *slot = pte_make(virt_to_mfn(l1), TABLE_FLAGS);
    }
    d->pv.gdt_ldt_l1[vcpu_id] = l1 + pt_index(GDT_VIRT(vcpu_id), 1);
    return 0;
}
