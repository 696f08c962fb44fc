/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads what UEFI firmware left: the system table whose address the loader gave, the vendor's name, the table of
 * runtime services. All of it lies in memory that the firmware keeps (efi_kept), so that it is still there when the
 * heap has the rest. What cannot be believed is done without, with a warning: the machine then is one without UEFI to
 * the control domain, or one without runtime services.
 */
#include <hv/boot.h>
#include <hv/efi.h>
#include <hv/x86.h>

static bool opt_runtime = true;

static int parse_efi(const char *value)
{
    if (!strcmp(value, "rs") || !strcmp(value, "no-rs")) {
        opt_runtime = value[0] == 'r';
        return 0;
    }
    return -EINVAL;
}
CMDLINE_CUSTOM("efi", parse_efi);

/* NULL: the firmware does not keep that much there. */
static const uint8_t *map_kept(uint64_t start, uint64_t size)
{
    return efi_kept(&efi, start, size) ? ioremap(_maddr(start), size) : NULL;
}

static void unmap_kept(const uint8_t *p)
{
    iounmap((void *)(uintptr_t)p);
}

static void read_vendor(uint64_t start)
{
    const struct efi_region *r = efi_region_of(&efi, start);
    uint64_t size = r ? MIN((r->pages << PAGE_SHIFT) - (start - r->start), 2ull * EFI_VENDOR_MAX) : 0;
    const uint8_t *p = size ? map_kept(start, size) : NULL;

    if (!p)
        return;
    efi_take_vendor(p, size, &efi);
    unmap_kept(p);
}

static bool read_system_table(void)
{
    const uint8_t *p = map_kept(efi.system_table, EFI_SYSTEM_TABLE_SIZE);
    uint64_t vendor = 0;
    int rc;

    if (!p)
        return false;
    rc = efi_parse_system_table(p, &efi, &vendor);
    unmap_kept(p);
    if (rc)
        return false;
    read_vendor(vendor);
    return true;
}

static bool read_runtime_table(void)
{
    uint32_t size = efi.version < EFI_VERSION_2 ? EFI_RUNTIME_TABLE_V1 : EFI_RUNTIME_TABLE_SIZE;
    const uint8_t *p = map_kept(efi.runtime_table, size);
    int rc;

    if (!p)
        return false;
    rc = efi_parse_runtime_table(p, size, &efi);
    unmap_kept(p);
    return rc == 0;
}

/* What of the vendor's name the log can show. */
static void show_vendor(char *out)
{
    for (unsigned int i = 0; i < EFI_VENDOR_MAX && efi.vendor[i]; i++) {
        *out++ = efi.vendor[i] >= ' ' && efi.vendor[i] <= '~' ? (char)efi.vendor[i] : '?';
    }
    *out = '\0';
}

void efi_init(void)
{
    char vendor[EFI_VENDOR_MAX];

    if (!efi.system_table)
        return;
    efi.present = read_system_table();
    if (!efi.present) {
        printk(XLOG_WARNING "EFI: the system table at %#lx cannot be used; the control domain will not know of EFI\n",
               efi.system_table);
        return;
    }
    show_vendor(vendor);
    printk(XLOG_INFO "EFI: version %u.%u by %s, %u tables, %u regions%s\n", efi.version >> 16,
           (efi.version & 0xffff) / 10, vendor, efi.config_entries, efi.region_count, efi.whole_map ? "" : " and more");
    if (!opt_runtime)
        return;
    if (!efi.whole_map || !read_runtime_table() || efi_map_services() != 0)
        printk(XLOG_WARNING "EFI: the firmware's runtime services cannot be used\n");
    else
        efi.runtime = true;
}
