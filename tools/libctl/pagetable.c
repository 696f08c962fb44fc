// SPDX-License-Identifier: BSD-2-Clause
/*
 * The first page tables of a PV domain.
 *
 * Place: last write into the new domain's memory before its L4 is pinned. Invariant: no frame that is a table is mapped
 * writable, else the pin is refused. Leaves are kernel pages: the user bit is the hypervisor's to add.
 */
#include <string.h>

#include "libctl/image.h"

#define PRESENT  0x01ull
#define RW       0x02ull
#define USER     0x04ull
#define ACCESSED 0x20ull
#define DIRTY    0x40ull

#define LEAF_PROT  (PRESENT | RW | ACCESSED | DIRTY)
#define TABLE_PROT (PRESENT | RW | USER | ACCESSED | DIRTY)

static bool is_table(const struct ctl_layout *l, uint64_t pfn)
{
    const struct ctl_map *p2m = &l->maps[1];

    if (pfn >= l->l4_pfn && pfn < l->l4_pfn + l->table_pages) {
        return true;
    }
    return l->nr_maps == 2 && pfn >= p2m->tables_pfn && pfn < l->p2m_pfn + l->p2m_all_pages;
}

/* Index of a level's first table among the map's tables: L3s, L2s, L1s. */
static uint64_t first_table(const struct ctl_map *map, unsigned level)
{
    uint64_t first = 0;

    for (unsigned above = 3; above > level; above--) {
        first += map->nr[above];
    }
    return first;
}

/* Entries of one level of one map that point to the tables of the level below; level 4 writes into the L4. */
static void link_level(const struct ctl_map *map, unsigned level, const uint64_t *p2m, uint64_t *table)
{
    unsigned shift = 12 + 9 * (level - 1);
    uint64_t child = map->tables_pfn + first_table(map, level - 1);
    uint64_t slot = map->virt >> shift & 0x1ff;

    /* Tables of a level lie one behind the other, so the slot simply runs on into the next one. */
    for (uint64_t i = 0; i < map->nr[level - 1]; i++) {
        table[slot + i] = p2m[child + i] << 12 | TABLE_PROT;
    }
}

void ctl_pagetable_build(const struct ctl_layout *layout, unsigned m, const uint64_t *p2m, uint64_t *l4,
                         uint64_t *tables)
{
    const struct ctl_map *map = &layout->maps[m];
    uint64_t *l1 = tables + 512 * first_table(map, 1);
    uint64_t slot = map->virt >> 12 & 0x1ff;

    memset(tables, 0, 4096 * (map->nr[1] + map->nr[2] + map->nr[3]));
    link_level(map, 4, p2m, l4);
    link_level(map, 3, p2m, tables + 512 * first_table(map, 3));
    link_level(map, 2, p2m, tables + 512 * first_table(map, 2));
    for (uint64_t i = 0; i < map->pages; i++) {
        uint64_t pfn = map->pfn + i;

        l1[slot + i] = p2m[pfn] << 12 | (is_table(layout, pfn) ? LEAF_PROT & ~RW : LEAF_PROT);
    }
}
