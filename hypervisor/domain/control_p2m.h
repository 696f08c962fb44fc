/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to domain/: memory and initial page tables of the control domain, while nothing of it runs. */
#ifndef DOMAIN_CONTROL_P2M_H
#define DOMAIN_CONTROL_P2M_H

#include <hv/domain.h>

struct control_memory {
    struct domain *d;
    uint64_t nr_pages;
    xen_pfn_t *p2m; /* [nr_pages] */
    unsigned int p2m_order;
    uint64_t pt_next, pt_end;        /* pfns from which table pages are taken */
    uint64_t ro_start[2], ro_end[2]; /* pfn ranges that hold tables: mapped read-only */
    uint64_t l4_pfn;
};

/* Gives d nr_pages frames in blocks as large as there are and fills p2m and the M2P. Panics when memory runs out. */
void control_memory_init(struct control_memory *m, struct domain *d, uint64_t nr_pages);
void control_memory_free(struct control_memory *m);
/* Address of a frame in the direct map. */
void *control_page(const struct control_memory *m, uint64_t pfn);
/* Copies into consecutive pfns, starting at a byte offset. */
void control_write(const struct control_memory *m, uint64_t paddr, const void *src, size_t n);
/* Table pages needed to map [start, end) apart from the L4. */
uint64_t control_tables_for(unsigned long start, unsigned long end);
/* Maps [start, end) to consecutive pfns from pfn on, below the L4 at m->l4_pfn; tables come from [pt_next, pt_end). */
void control_map(struct control_memory *m, unsigned long start, unsigned long end, uint64_t pfn);

#endif
