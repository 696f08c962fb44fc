// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where everything lies in a new PV domain: the start-of-day layout of <xen/xen.h>.
 *
 * Place: after the image is known, before anything is made. In order of frames: kernel, ramdisk (unless the kernel
 * takes it unmapped), P2M (unless the kernel wants it elsewhere), start_info, xenstore ring, console ring, page tables,
 * stack; padding to the end of the first mapping; then a P2M that lies elsewhere with its tables, then an unmapped
 * ramdisk. Invariants: parts never overlap; the first mapping ends on 4 MiB with at least 512 KiB behind the stack;
 * pure computation.
 */
#include <errno.h>
#include <string.h>

#include "libctl/image.h"

#define PAGE_BITS 12
#define END_ALIGN 1024ull /* pages: 4 MiB */
#define PADDING   128ull  /* pages: 512 KiB */
/* L4 slots 256-271 belong to the hypervisor. */
#define HV_SLOT_FIRST 256
#define HV_SLOT_LAST  271

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes >> PAGE_BITS) + !!(bytes & 0xfff);
}

/* Tables of a level that cover pages from virt on: a table of level n covers 2^(12 + 9n) bytes. */
static uint64_t count_tables(uint64_t virt, uint64_t pages, unsigned level)
{
    unsigned shift = PAGE_BITS + 9 * level;
    uint64_t last = virt + (pages << PAGE_BITS) - 1;

    return (last >> shift) - (virt >> shift) + 1;
}

/* Sets the map's counts. Returns the tables below the L4. */
static uint64_t count_map(struct ctl_map *map)
{
    uint64_t sum = 0;

    for (unsigned level = 1; level <= 3; level++) {
        map->nr[level] = count_tables(map->virt, map->pages, level);
        sum += map->nr[level];
    }
    return sum;
}

/* Is the range canonical, free of wrapping, and clear of the hypervisor's slots? */
static bool range_ok(uint64_t virt, uint64_t pages)
{
    uint64_t last = virt + (pages << PAGE_BITS) - 1;
    uint64_t low = virt >> 39 & 0x1ff, high = last >> 39 & 0x1ff;

    if (pages == 0 || pages >> 40 || last < virt) {
        return false;
    }
    if (virt >> 47 != last >> 47 || (virt >> 47 != 0 && virt >> 47 != 0x1ffff)) {
        return false;
    }
    return high < HV_SLOT_FIRST || low > HV_SLOT_LAST;
}

/* The end of the first mapping depends on the number of tables, and that on the end: grows until both fit. */
static void plan_tables(struct ctl_layout *l)
{
    struct ctl_map *map = &l->maps[0];
    uint64_t tables = 1, need;

    do {
        l->table_pages = tables;
        l->stack_pfn = l->l4_pfn + tables;
        l->boot_end_pfn = l->stack_pfn + 1;
        need = l->boot_end_pfn + PADDING;
        map->pages = (need + END_ALIGN - 1) / END_ALIGN * END_ALIGN;
        /* Counting means nothing where the range wraps; address_fault() refuses it. */
        tables = range_ok(map->virt, map->pages) ? 1 + count_map(map) : tables;
    } while (tables != l->table_pages);
    map->virt = l->virt_base;
    map->pfn = 0;
    map->tables_pfn = l->l4_pfn + 1;
    l->nr_maps = 1;
}

/* The P2M outside the first mapping, with its own tables behind it. Returns the next free frame. */
static uint64_t plan_p2m(struct ctl_layout *l, uint64_t virt, uint64_t next)
{
    struct ctl_map *map = &l->maps[1];

    l->p2m_pfn = next;
    l->p2m_virt = virt;
    map->virt = virt;
    map->pages = l->p2m_pages;
    map->pfn = next;
    map->tables_pfn = next + l->p2m_pages;
    l->p2m_all_pages = l->p2m_pages + count_map(map);
    l->nr_maps = 2;
    return next + l->p2m_all_pages;
}

/* Assigns frames to all parts; addresses are judged afterwards. */
static void plan(struct ctl_layout *l, const struct ctl_image *image)
{
    const struct ctl_notes *notes = &image->notes;
    uint64_t next;

    l->virt_base = notes->virt_base;
    l->maps[0].virt = l->virt_base;
    l->kernel_pfn = image->start >> PAGE_BITS;
    l->kernel_end_pfn = next = pages_of(image->end);
    l->ramdisk_pages = pages_of(l->ramdisk_bytes);
    l->p2m_pages = pages_of(l->nr_pages * sizeof(uint64_t));
    l->ramdisk_mapped = l->ramdisk_pages && !notes->mod_start_pfn;
    if (l->ramdisk_mapped) {
        l->ramdisk_pfn = next;
        next += l->ramdisk_pages;
    }
    if (!notes->has_init_p2m) {
        l->p2m_pfn = next;
        l->p2m_virt = ctl_layout_virt(l, next);
        l->p2m_all_pages = l->p2m_pages;
        next += l->p2m_pages;
    }
    l->start_info_pfn = next++;
    l->store_pfn = next++;
    l->console_pfn = next++;
    l->l4_pfn = next;
    plan_tables(l);
    next = l->maps[0].pages;
    if (notes->has_init_p2m) {
        next = plan_p2m(l, notes->init_p2m, next);
    }
    if (l->ramdisk_pages && !l->ramdisk_mapped) {
        l->ramdisk_pfn = next;
        next += l->ramdisk_pages;
    }
    l->needed_pages = next;
}

static const char *address_fault(const struct ctl_layout *l)
{
    const struct ctl_map *a = &l->maps[0], *b = &l->maps[1];

    if (!range_ok(a->virt, a->pages)) {
        return "its first mapping does not fit where it wants to be";
    }
    if (l->nr_maps == 1) {
        return NULL;
    }
    if (!range_ok(b->virt, b->pages)) {
        return "its P2M does not fit where it wants it to be";
    }
    /* Each map has tables of its own below the L4, so no L4 slot may serve both. */
    if (b->virt >> 39 <= (a->virt + (a->pages << PAGE_BITS) - 1) >> 39 &&
        a->virt >> 39 <= (b->virt + (b->pages << PAGE_BITS) - 1) >> 39) {
        return "it wants its P2M in the same 512 GiB as itself";
    }
    return NULL;
}

uint64_t ctl_layout_virt(const struct ctl_layout *layout, uint64_t pfn)
{
    return layout->virt_base + (pfn << PAGE_BITS);
}

int ctl_layout_plan(struct ctl_layout *layout, const struct ctl_image *image, uint64_t ramdisk_bytes, uint64_t nr_pages,
                    const char *path, struct ctl_error *err)
{
    const char *fault;

    memset(layout, 0, sizeof(*layout));
    layout->nr_pages = nr_pages;
    layout->ramdisk_bytes = ramdisk_bytes;
    plan(layout, image);
    fault = address_fault(layout);
    if (fault) {
        return ctl_error_set(err, -EINVAL, "place the kernel in memory", path, NULL, "%s", fault);
    }
    if (layout->needed_pages > nr_pages) {
        ctl_error_set(err, -ENOSPC, "place the kernel in memory", path, "give the domain more memory",
                      "kernel, ramdisk and tables need %llu MiB, the domain has %llu MiB",
                      (unsigned long long)(layout->needed_pages + 255) / 256, (unsigned long long)nr_pages / 256);
        ctl_error_field(err, "memory");
        return -ENOSPC;
    }
    return 0;
}
