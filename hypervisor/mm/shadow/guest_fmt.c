// SPDX-License-Identifier: BSD-2-Clause
/*
 * The three formats, and what the control registers make of them. Pure; built for the host too.
 *
 * Reserved bits. Each format leaves some bits of an entry without meaning, and the processor faults on them (RSVD) as
 * soon as the entry is present. Which they are depends on the width of physical addresses, on NXE, on the level and on
 * whether the entry maps a page; all of it is computed once here, so that the walk compares with one mask.
 */
#include <hv/guest_fmt.h>
#include <hv/x86.h>

const struct guest_fmt guest_fmt_2 = {
    .levels = 2,
    .entry_bytes = 4,
    .level = {[1] = {12, 10, true}, [2] = {22, 10, true}},
};

const struct guest_fmt guest_fmt_3 = {
    .levels = 3,
    .entry_bytes = 8,
    .level = {[1] = {12, 9, true}, [2] = {21, 9, true}, [3] = {30, 2, false}},
};

const struct guest_fmt guest_fmt_4 = {
    .levels = 4,
    .entry_bytes = 8,
    .level = {[1] = {12, 9, true}, [2] = {21, 9, true}, [3] = {30, 9, true}, [4] = {39, 9, true}},
};

/* Bits [from, to], both included; none when to is below from. */
static uint64_t bits(unsigned int from, unsigned int to)
{
    return to < from ? 0 : (~0ull >> (63 - (to - from))) << from;
}

/* 2 levels: 32-bit entries. A 4 MiB page keeps bits 32 to 39 of its address, as far as there are such, from bit 13 on.
 */
static void reserve_2(struct guest_paging *g, const struct guest_cpu *cpu)
{
    unsigned int high = cpu->pse36 ? MIN(cpu->phys_bits, 40) - 32 : 0;

    g->reserved_page[2] = bits(13 + high, 21);
}

static void reserve_3(struct guest_paging *g, const struct guest_cpu *cpu)
{
    uint64_t above = bits(cpu->phys_bits, 62) | (g->nx ? 0 : PTE_NX);

    g->reserved_page[1] = above;
    g->reserved_table[2] = above;
    g->reserved_page[2] = above | bits(13, 20);
    g->reserved_table[3] = bits(cpu->phys_bits, 63) | bits(1, 2) | bits(5, 8);
}

static void reserve_4(struct guest_paging *g, const struct guest_cpu *cpu)
{
    uint64_t above = bits(cpu->phys_bits, 51) | (g->nx ? 0 : PTE_NX);

    g->reserved_page[1] = above;
    g->reserved_table[2] = g->reserved_table[3] = above;
    g->reserved_page[2] = above | bits(13, 20);
    g->reserved_page[3] = above | (cpu->page1gb ? bits(13, 29) : PTE_PSE);
    g->reserved_table[4] = above | PTE_PSE;
}

void guest_paging_set(struct guest_paging *g, const struct guest_cpu *cpu, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    bool pae = cr4 & CR4_PAE;

    *g = (struct guest_paging){
        .cr3 = g->cr3,
        .pdpte = {g->pdpte[0], g->pdpte[1], g->pdpte[2], g->pdpte[3]},
        .pse = pae || (cr4 & CR4_PSE),
        .wp = cr0 & CR0_WP,
        .nx = pae && cpu->nx && (efer & EFER_NXE),
        .smep = cr4 & CR4_SMEP,
        .smap = cr4 & CR4_SMAP,
    };
    if (!(cr0 & CR0_PG))
        return;
    if (!pae) {
        g->fmt = &guest_fmt_2;
        reserve_2(g, cpu);
    } else if (efer & EFER_LMA) {
        g->fmt = &guest_fmt_4;
        reserve_4(g, cpu);
    } else {
        g->fmt = &guest_fmt_3;
        reserve_3(g, cpu);
    }
}

bool guest_pdptes_ok(const struct guest_cpu *cpu, const uint64_t pdpte[4])
{
    uint64_t reserved = bits(cpu->phys_bits, 63) | bits(1, 2) | bits(5, 8);

    for (unsigned int i = 0; i < 4; i++)
        if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
            return false;
    return true;
}

gfn_t guest_entry_gfn(const struct guest_paging *g, unsigned int level, gpte_t e)
{
    uint64_t page_mask = guest_maps_page(g, level, e) ? bits(0, g->fmt->level[level].shift - 1u) : PAGE_SIZE - 1;
    uint64_t addr = e.n & PTE_ADDR & ~page_mask;

    if (g->fmt == &guest_fmt_2 && level == 2 && page_mask >= PAGE_SIZE)
        addr |= (e.n & bits(13, 20)) << (32 - 13);
    return _gfn(addr >> PAGE_SHIFT);
}
