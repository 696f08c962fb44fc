// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where everything lies in a new PVH domain, and what it is told of that: <xen/arch-x86/hvm/start_info.h>.
 *
 * Place: after the image is known, before anything is made. The kernel lies where its segments say; then ramdisk and
 * start information, each from a page on. All of it is RAM below the hole; kernels read the start information before
 * they have tables of their own, so it stays next to them. Invariants: parts never overlap; pure computation.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libctl/image.h"

#define PAGE  4096ull
#define GIB_4 (4ull << 30)

/* The page, in its order. */
struct start_page {
    struct hvm_start_info info;
    struct hvm_modlist_entry ramdisk;
    struct hvm_memmap_table_entry map[4];
    char cmdline[1024];
};

_Static_assert(sizeof(struct start_page) <= PAGE, "one page");

static uint64_t page_up(uint64_t address)
{
    return (address + PAGE - 1) & ~(PAGE - 1);
}

static void add(struct ctl_pvh_layout *l, uint64_t at, uint64_t size, uint32_t type)
{
    if (size) {
        l->map[l->nr_map++] = (struct hvm_memmap_table_entry){.addr = at, .size = size, .type = type};
    }
}

void ctl_pvh_map(struct ctl_pvh_layout *l, uint64_t memory_bytes)
{
    memset(l, 0, sizeof(*l));
    l->low = memory_bytes < CTL_HOLE ? memory_bytes : CTL_HOLE;
    l->high = memory_bytes - l->low;
    add(l, 0, l->low, XEN_HVM_MEMMAP_TYPE_RAM);
    add(l, CTL_ACPI, PAGE, XEN_HVM_MEMMAP_TYPE_ACPI);
    add(l, CTL_CONSOLE_RING, CTL_SPECIAL_END - CTL_CONSOLE_RING, XEN_HVM_MEMMAP_TYPE_RESERVED);
    add(l, GIB_4, l->high, XEN_HVM_MEMMAP_TYPE_RAM);
}

int ctl_pvh_plan(struct ctl_pvh_layout *l, const struct ctl_image *image, uint64_t ramdisk_bytes, uint64_t memory_bytes,
                 const char *path, struct ctl_error *err)
{
    ctl_pvh_map(l, memory_bytes);
    l->kernel = image->start & ~(PAGE - 1);
    l->ramdisk = page_up(image->end);
    l->ramdisk_bytes = ramdisk_bytes;
    l->start_info = l->ramdisk + page_up(ramdisk_bytes);
    l->end = l->start_info + PAGE;
    if (l->end > CTL_HOLE) {
        return ctl_error_set(err, -EINVAL, "place the kernel in memory", path, "use a smaller ramdisk",
                             "kernel and ramdisk end at %llu MiB, beyond %llu MiB, where memory below 4 GiB ends",
                             (unsigned long long)l->end >> 20, CTL_HOLE >> 20);
    }
    if (l->end > l->low) {
        ctl_error_set(err, -ENOSPC, "place the kernel in memory", path, "give the domain more memory",
                      "kernel and ramdisk need %llu MiB, the domain has %llu MiB",
                      (unsigned long long)(l->end + (1 << 20) - 1) >> 20, (unsigned long long)memory_bytes >> 20);
        ctl_error_field(err, "memory");
        return -ENOSPC;
    }
    return 0;
}

static uint64_t at(const struct ctl_pvh_layout *l, size_t offset)
{
    return l->start_info + offset;
}

void ctl_pvh_start_info(const struct ctl_pvh_layout *l, const char *cmdline, void *page)
{
    struct start_page *p = page;

    memset(page, 0, PAGE);
    p->info = (struct hvm_start_info){
        .magic = XEN_HVM_START_MAGIC_VALUE,
        .version = 1,
        .cmdline_paddr = at(l, offsetof(struct start_page, cmdline)),
        .rsdp_paddr = CTL_ACPI,
        .memmap_paddr = at(l, offsetof(struct start_page, map)),
        .memmap_entries = l->nr_map,
    };
    if (l->ramdisk_bytes) {
        p->info.nr_modules = 1;
        p->info.modlist_paddr = at(l, offsetof(struct start_page, ramdisk));
        p->ramdisk = (struct hvm_modlist_entry){.paddr = l->ramdisk, .size = l->ramdisk_bytes};
    }
    memcpy(p->map, l->map, sizeof(p->map));
    snprintf(p->cmdline, sizeof(p->cmdline), "%s", cmdline ? cmdline : "");
}
