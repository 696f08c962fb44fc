/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which memory there is, and which of it is free while there is no heap.
 *
 * ram: whole frames of E820 RAM inside the direct map and below `mem=`. Everything in it has a
 * frame-table entry, the image and the boot modules included. Never changes after memmap_init.
 * free_ram: ram without the first MiB, the image, the modules and what memmap_alloc took. Blocks are taken from the
 * top, so that the scarce low memory is left for devices. Boot CPU only; given to the heap as a whole.
 */
#include <hv/boot.h>
#include <hv/efi.h>
#include <hv/heap.h>
#include <hv/page.h>

#define LOW_MEMORY_END 0x100000u
#define MAX_RANGES     (MAX_MEM_REGIONS + 2 * MAX_MODULES + 32)

struct range {
    uint64_t start, end; /* machine addresses of whole frames; end exclusive */
};

static struct ranges {
    unsigned int count;
    struct range r[MAX_RANGES]; /* sorted, disjoint */
} ram, free_ram;
uint64_t max_page;
uint64_t total_pages;

static uint64_t opt_mem;
CMDLINE_PARAM("mem", PARAM_SIZE, opt_mem);

extern char image_start[], image_end[];

static void range_drop(struct ranges *s, unsigned int i)
{
    for (s->count--; i < s->count; i++)
        s->r[i] = s->r[i + 1];
}

static void range_insert(struct ranges *s, unsigned int at, uint64_t start, uint64_t end)
{
    unsigned int i;

    if (s->count == MAX_RANGES) {
        printk(XLOG_WARNING "memory map too broken up: %lx-%lx is not used\n", start, end);
        return;
    }
    for (i = s->count++; i > at; i--)
        s->r[i] = s->r[i - 1];
    s->r[at] = (struct range){start, end};
}

/* Adds a range; those it overlaps or touches are joined with it. */
static void range_add(struct ranges *s, uint64_t start, uint64_t end)
{
    unsigned int i = 0;

    while (i < s->count && s->r[i].end < start)
        i++;
    while (i < s->count && s->r[i].start <= end) {
        start = MIN(start, s->r[i].start);
        end = MAX(end, s->r[i].end);
        range_drop(s, i);
    }
    range_insert(s, i, start, end);
}

/* Takes every frame out that [start, end) touches. */
static void range_carve(struct ranges *s, uint64_t start, uint64_t end)
{
    unsigned int i;

    start = ROUND_DOWN(start, PAGE_SIZE);
    end = ROUND_UP(end, PAGE_SIZE);
    for (i = 0; i < s->count; i++) {
        struct range r = s->r[i];

        if (r.end <= start || r.start >= end)
            continue;
        if (r.start >= start && r.end <= end) {
            range_drop(s, i--);
        } else if (r.start >= start) {
            s->r[i].start = end;
        } else {
            s->r[i].end = start;
            if (r.end > end)
                range_insert(s, i + 1, end, r.end);
        }
    }
}

void memmap_reserve(uint64_t start, uint64_t end)
{
    range_carve(&free_ram, start, end);
}

uint64_t memmap_find(uint64_t size, uint64_t align, uint64_t limit)
{
    unsigned int i;

    for (i = free_ram.count; i-- > 0;) {
        uint64_t end = MIN(free_ram.r[i].end, limit), start;

        if (end < size)
            continue;
        start = ROUND_DOWN(end - size, align);
        if (start >= free_ram.r[i].start)
            return start;
    }
    return 0;
}

uint64_t memmap_alloc(uint64_t size, uint64_t align, uint64_t limit)
{
    uint64_t start = memmap_find(size, align, limit);

    if (start) {
        memmap_reserve(start, start + size);
        return start;
    }
    panic("no %lu KiB of free memory below %lx while booting\n", size >> 10, limit);
}

static void reserve_boot_ranges(void)
{
    unsigned int i;

    memmap_reserve(0, LOW_MEMORY_END);
    memmap_reserve(maddr_x(virt_to_maddr(image_start)), maddr_x(virt_to_maddr(image_end)));
    for (i = 0; i < boot_info.module_count; i++) {
        uint64_t start = boot_info.module[i].start, end = start + boot_info.module[i].size;

        if (start < end && (!mfn_is_ram(maddr_to_mfn(_maddr(start))) || !mfn_is_ram(maddr_to_mfn(_maddr(end - 1)))))
            panic("boot module %u (%lx-%lx) lies outside the usable memory\n", i, start, end);
        memmap_reserve(start, end);
    }
}

/* Memory that UEFI firmware needs at run time is none of ours, whatever the loader's map says. */
static void carve_efi(void)
{
    for (unsigned int i = 0; i < efi.region_count; i++) {
        const struct efi_region *r = &efi.region[i];

        if (r->attr & EFI_MEMORY_RUNTIME)
            range_carve(&ram, r->start, r->start + (r->pages << PAGE_SHIFT));
    }
}

/* Fills ram. Where the firmware's ranges overlap, whatever is not RAM wins. Returns the bytes beyond the limit. */
static uint64_t collect_ram(uint64_t limit)
{
    uint64_t ignored = 0;
    unsigned int i;

    for (i = 0; i < boot_info.region_count; i++) {
        const struct mem_region *r = &boot_info.region[i];
        uint64_t start = ROUND_UP(r->start, PAGE_SIZE), end = ROUND_DOWN(r->start + r->size, PAGE_SIZE);

        if (r->type != 1 || start >= end)
            continue;
        if (end > limit) {
            ignored += end - MAX(start, limit);
            end = limit;
        }
        if (start < end)
            range_add(&ram, start, end);
    }
    for (i = 0; i < boot_info.region_count; i++) {
        const struct mem_region *r = &boot_info.region[i];

        if (r->type != 1)
            range_carve(&ram, r->start, r->start + r->size);
    }
    carve_efi();
    return ignored;
}

void memmap_init(void)
{
    uint64_t limit = opt_mem ? MIN(ROUND_DOWN(opt_mem, PAGE_SIZE), DIRECTMAP_SIZE) : DIRECTMAP_SIZE;
    uint64_t ignored = collect_ram(limit);
    unsigned int i;

    if (ram.count == 0)
        panic("no usable memory\n");
    for (i = 0; i < ram.count; i++)
        total_pages += (ram.r[i].end - ram.r[i].start) >> PAGE_SHIFT;
    max_page = ram.r[ram.count - 1].end >> PAGE_SHIFT;
    free_ram = ram;
    reserve_boot_ranges();
    printk(XLOG_INFO "System RAM: %lu MiB (%lu KiB)\n", total_pages >> 8, total_pages << 2);
    if (ignored)
        printk(XLOG_WARNING "%lu MiB of memory above %lx are not used\n", ignored >> 20, limit);
}

#ifdef UMBRA_HOST
void memmap_reset(void)
{
    ram.count = free_ram.count = 0;
    total_pages = max_page = 0;
}
#endif

void memmap_release_to_heap(void)
{
    unsigned int i;

    for (i = 0; i < free_ram.count; i++)
        heap_add(maddr_to_mfn(_maddr(free_ram.r[i].start)), maddr_to_mfn(_maddr(free_ram.r[i].end)));
    free_ram.count = 0;
}

bool memmap_ram(unsigned int i, mfn_t *start, mfn_t *end)
{
    if (i >= ram.count)
        return false;
    *start = maddr_to_mfn(_maddr(ram.r[i].start));
    *end = maddr_to_mfn(_maddr(ram.r[i].end));
    return true;
}

bool mfn_is_ram(mfn_t m)
{
    unsigned int first = 0, past = ram.count;

    while (first < past) {
        unsigned int middle = (first + past) / 2;

        if (m.n >= ram.r[middle].end >> PAGE_SHIFT)
            first = middle + 1;
        else
            past = middle;
    }
    return first < ram.count && m.n >= ram.r[first].start >> PAGE_SHIFT;
}

static bool overlaps_module(uint64_t start, uint64_t end)
{
    unsigned int i;

    for (i = 0; i < boot_info.module_count; i++)
        if (start < boot_info.module[i].start + boot_info.module[i].size && end > boot_info.module[i].start)
            return true;
    return false;
}

/* The firmware's data lie at the bottom and at the top of the first 640 KiB: a page from the middle of its RAM. */
uint64_t memmap_trampoline(void)
{
    uint64_t page;

    for (page = 0x8f000; page >= 0x1000; page -= PAGE_SIZE)
        if (mfn_is_ram(maddr_to_mfn(_maddr(page))) && !overlaps_module(page, page + PAGE_SIZE))
            return page;
    panic("no page below 640 KiB to start other processors from\n");
}
