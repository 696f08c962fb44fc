/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot2 tags -> boot_info, and of UEFI firmware efi; nothing else. Runs first, on the page tables of head.S,
 * without a console: what a broken loader causes is remembered by printk until there is one. Every tag is checked
 * against the end of the information block, every string against the end of its tag. The block is not used afterwards,
 * so that its memory needs no reservation; the ACPI root pointer is therefore copied.
 *
 * Multiboot2 specification, section 3.6.
 */
#include <hv/boot.h>
#include <hv/efi.h>
#include <hv/page.h>

#define MB2_LOADER_MAGIC 0x36d76289
#define MB2_INFO_MAX     (1u << 20)

enum {
    TAG_END,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MMAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_EFI32 = 11,
    TAG_EFI64 = 12,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15,
    TAG_EFI_MMAP = 17,
};

struct tag {
    uint32_t type, size;
};

struct tag_module {
    struct tag head;
    uint32_t start, end;
    char cmdline[];
};

struct mmap_entry {
    uint64_t start, size;
    uint32_t type, reserved;
};

struct tag_mmap {
    struct tag head;
    uint32_t entry_size, entry_version;
    uint8_t entries[];
};

struct tag_framebuffer {
    struct tag head;
    uint64_t address;
    uint32_t pitch, width, height;
    uint8_t bpp, type;
};
#define FRAMEBUFFER_TEXT 2

struct tag_efi64 {
    struct tag head;
    uint64_t system_table;
};

struct tag_efi_mmap {
    struct tag head;
    uint32_t descriptor_size, descriptor_version;
    uint8_t descriptors[];
};

struct boot_info boot_info;
static uint8_t rsdp_copy[64] __attribute__((aligned(16)));

/* A string at offset from in a tag that ends within its size, whether or not it is terminated. */
static void copy_string(char *dst, size_t dst_size, const struct tag *t, size_t from)
{
    const char *s = (const char *)t + from;
    size_t n = t->size > from ? strnlen(s, t->size - from) : 0;

    if (n >= dst_size) {
        printk(XLOG_WARNING "boot loader: a command line of %zu bytes is cut to %zu\n", n, dst_size - 1);
        n = dst_size - 1;
    }
    memcpy(dst, s, n);
    dst[n] = 0;
}

static void take_module(const struct tag *t)
{
    const struct tag_module *m = (const struct tag_module *)t;
    struct boot_module *out;

    if (t->size < sizeof(*m) || m->end < m->start) {
        printk(XLOG_ERR "boot loader: module with broken bounds is left out\n");
        return;
    }
    if (boot_info.module_count == MAX_MODULES) {
        printk(XLOG_ERR "boot loader: only the first %d modules are used\n", MAX_MODULES);
        return;
    }
    out = &boot_info.module[boot_info.module_count++];
    out->start = m->start;
    out->size = m->end - m->start;
    copy_string(out->cmdline, sizeof(out->cmdline), t, offsetof(struct tag_module, cmdline));
}

static void take_region(const struct mmap_entry *e)
{
    struct mem_region *r;

    if (e->size == 0 || e->start + e->size < e->start)
        return;
    if (boot_info.region_count == MAX_MEM_REGIONS) {
        printk(XLOG_ERR "boot loader: only the first %d memory regions are used\n", MAX_MEM_REGIONS);
        return;
    }
    r = &boot_info.region[boot_info.region_count++];
    r->start = e->start;
    r->size = e->size;
    r->type = e->type >= 1 && e->type <= 5 ? e->type : 2;
}

static void take_mmap(const struct tag *t)
{
    const struct tag_mmap *m = (const struct tag_mmap *)t;
    size_t at, step;

    if (t->size < sizeof(*m) || m->entry_size < sizeof(struct mmap_entry))
        return;
    step = m->entry_size;
    for (at = sizeof(*m); at + step <= t->size; at += step) {
        struct mmap_entry e;

        memcpy(&e, (const uint8_t *)t + at, sizeof(e));
        take_region(&e);
    }
}

/* The version 2 pointer wins, whichever comes first: it has the 64-bit table address. */
static void take_rsdp(const struct tag *t)
{
    static uint32_t have;
    size_t n = t->size - sizeof(*t);

    if (t->type < have || n < 20)
        return;
    have = t->type;
    memset(rsdp_copy, 0, sizeof(rsdp_copy));
    memcpy(rsdp_copy, t + 1, MIN(n, sizeof(rsdp_copy)));
    boot_info.rsdp = maddr_x(virt_to_maddr(rsdp_copy));
}

/* 32-bit firmware has tables that a 64-bit kernel does not understand. */
static void take_efi(const struct tag *t)
{
    boot_info.has_vga_text = false;
    if (t->type == TAG_EFI64 && t->size >= sizeof(struct tag_efi64))
        efi.system_table = ((const struct tag_efi64 *)t)->system_table;
    else
        printk(XLOG_WARNING "boot loader: 32-bit EFI firmware: the control domain will not know of EFI\n");
}

static void take_efi_mmap(const struct tag *t)
{
    const struct tag_efi_mmap *m = (const struct tag_efi_mmap *)t;

    if (t->size < sizeof(*m) ||
        efi_parse_memory_map(m->descriptors, t->size - sizeof(*m), m->descriptor_size, &efi) != 0)
        printk(XLOG_ERR "boot loader: EFI's memory map is broken, left out\n");
}

static void take_tag(const struct tag *t)
{
    switch (t->type) {
    case TAG_CMDLINE:
        copy_string(boot_info.cmdline, sizeof(boot_info.cmdline), t, sizeof(*t));
        break;
    case TAG_LOADER:
        copy_string(boot_info.loader, sizeof(boot_info.loader), t, sizeof(*t));
        break;
    case TAG_MODULE:
        take_module(t);
        break;
    case TAG_MMAP:
        take_mmap(t);
        break;
    case TAG_FRAMEBUFFER:
        boot_info.has_vga_text = t->size >= offsetof(struct tag_framebuffer, type) + 1 &&
                                 ((const struct tag_framebuffer *)t)->type == FRAMEBUFFER_TEXT;
        break;
    case TAG_EFI32:
    case TAG_EFI64:
        take_efi(t);
        break;
    case TAG_EFI_MMAP:
        take_efi_mmap(t);
        break;
    case TAG_ACPI_OLD:
    case TAG_ACPI_NEW:
        take_rsdp(t);
        break;
    }
}

void multiboot2_parse(uint32_t magic, uint64_t info)
{
    const struct tag *head = maddr_to_virt(_maddr(info)), *t;
    uint32_t total, at;

    if (magic != MB2_LOADER_MAGIC)
        panic("not started by a Multiboot2 loader (magic %x): use GRUB's multiboot2 command\n", magic);
    total = *(const uint32_t *)head;
    if ((info & 7) || total < 16 || total > MB2_INFO_MAX || info + total > (1ull << 32))
        panic("boot loader: information block at %lx has size %u\n", (unsigned long)info, total);

    boot_info.has_vga_text = true;
    for (at = 8; at + sizeof(*t) <= total; at += ROUND_UP(t->size, 8u)) {
        t = (const struct tag *)((const uint8_t *)head + at);
        if (t->type == TAG_END || t->size < sizeof(*t) || t->size > total - at)
            break;
        take_tag(t);
    }
    if (boot_info.region_count == 0)
        panic("boot loader: no memory map\n");
}
