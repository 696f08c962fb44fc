/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest with paging of its own translates: formats of its tables as const descriptors, and for one setting of its
 * control registers the whole rule book in one structure. Unpaged, 2-level (32-bit), 3-level (PAE) and 4-level guests
 * differ in these tables only; nobody else asks which mode it is. Source: Intel SDM volume 3, chapter 4; AMD64 manual
 * volume 2, chapter 5.
 */
#ifndef HV_GUEST_FMT_H
#define HV_GUEST_FMT_H

#include <hv/page.h>

/* An entry of a guest's table, widened to 64 bits. Distinct from pte_t, which hardware walks. */
BOXED(gpte_t, _gpte, gpte_x)

#define GUEST_LEVELS 4

struct guest_level {
    uint8_t shift; /* lowest bit of the linear address that selects an entry; an entry covers 1 << shift bytes */
    uint8_t bits;  /* number of such bits */
    bool accessed; /* entries have A, RW, US and NX; the four roots of PAE have none of them */
};

struct guest_fmt {
    uint8_t levels;
    uint8_t entry_bytes;
    struct guest_level level[GUEST_LEVELS + 1]; /* [1] is the leaf level; [0] is not used */
};

extern const struct guest_fmt guest_fmt_2, guest_fmt_3, guest_fmt_4;

/* What the virtual processor offers; fixed for a domain. */
struct guest_cpu {
    uint8_t phys_bits; /* 32 to 52 */
    bool nx, pse36, page1gb;
};

struct guest_paging {
    const struct guest_fmt *fmt; /* NULL: paging is off */
    uint64_t cr3;
    uint64_t pdpte[4]; /* PAE: loaded with CR3, as the processor's own registers */
    /* Bits that have to be 0 in a present entry of a level: one that names a table, one that maps a page. */
    uint64_t reserved_table[GUEST_LEVELS + 1], reserved_page[GUEST_LEVELS + 1];
    bool pse; /* PS of a level 2 entry counts */
    bool wp;  /* CR0.WP */
    bool nx;  /* NX counts */
    bool smep, smap;
};

/*
 * Fills all but cr3 and pdpte from the registers' values, of which every combination is taken: PAE without paging is no
 * paging, LMA decides between PAE and 4 levels.
 */
void guest_paging_set(struct guest_paging *g, const struct guest_cpu *cpu, uint64_t cr0, uint64_t cr4, uint64_t efer);
/* May these be PAE's four roots? A present one with a reserved bit makes the load of CR3 fail with #GP. */
bool guest_pdptes_ok(const struct guest_cpu *cpu, const uint64_t pdpte[4]);

/* Does a present entry map a page, rather than name a table? */
static inline bool guest_maps_page(const struct guest_paging *g, unsigned int level, gpte_t e)
{
    return level == 1 || (level < 4 && g->fmt->level[level].accessed && g->pse && (e.n & PTE_PSE));
}

/* Index of a linear address in a table of the level. */
static inline unsigned int guest_index(const struct guest_fmt *f, unsigned int level, uint64_t linear)
{
    return (unsigned int)(linear >> f->level[level].shift) & ((1u << f->level[level].bits) - 1);
}

/* Frame that an entry names: the table, or the first frame of the page. PSE36 puts bits 32-39 at 13-20. */
gfn_t guest_entry_gfn(const struct guest_paging *g, unsigned int level, gpte_t e);

#endif
