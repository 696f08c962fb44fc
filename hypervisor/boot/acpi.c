/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the ACPI tables and fills acpi_info. Root pointer from the loader or a BIOS's area, XSDT or RSDT, then each
 * table: mapped, header and checksum verified, given to its parser (acpi_tables.c).
 *
 * Tables lie in memory of the firmware; RAM and ACPI memory are in the direct map, the rest is reached by
 * ioremap. A missing or broken table other than the MADT is survived with a warning.
 */
#include <hv/boot.h>
#include <hv/efi.h>
#include <hv/frame.h>
#include <hv/x86.h>
#include "acpi_tables.h"

struct acpi_info acpi_info;

/* ---- mapping ---- */

/* RAM frames and the firmware's ACPI memory: what map.c puts into the direct map. */
static bool in_direct_map(uint64_t start, uint64_t size)
{
    bool all_ram = true;

    for (uint64_t a = ROUND_DOWN(start, PAGE_SIZE); a < start + size; a += PAGE_SIZE)
        all_ram = all_ram && mfn_valid(maddr_to_mfn(_maddr(a)));
    for (unsigned int i = 0; !all_ram && i < boot_info.region_count; i++) {
        const struct mem_region *r = &boot_info.region[i];

        if ((r->type == 3 || r->type == 4) && start >= r->start && size <= r->size &&
            start - r->start <= r->size - size)
            return start + size <= DIRECTMAP_SIZE;
    }
    return all_ram;
}

static bool physical_ok(uint64_t start, uint64_t size)
{
    uint64_t limit = 1ull << MIN(cpu_features.phys_bits ? cpu_features.phys_bits : 36u, 46u);

    return start != 0 && size != 0 && start < limit && size <= limit - start;
}

static const uint8_t *acpi_map(uint64_t start, uint32_t size)
{
    if (!physical_ok(start, size))
        return NULL;
    if (in_direct_map(start, size))
        return maddr_to_virt(_maddr(start));
    return ioremap(_maddr(start), size);
}

static void acpi_unmap(const uint8_t *p, uint64_t start, uint32_t size)
{
    if (!in_direct_map(start, size))
        iounmap((void *)(uintptr_t)p);
}

struct acpi_table {
    uint64_t start;
    uint32_t len;
    const uint8_t *data;
    char sig[5];
};

/* Maps a whole table with a plausible header. False: nothing is mapped. */
static bool table_map(uint64_t start, struct acpi_table *t)
{
    const uint8_t *h = acpi_map(start, ACPI_HEADER_SIZE);

    if (!h)
        return false;
    t->start = start;
    memcpy(t->sig, h, 4);
    t->sig[4] = '\0';
    for (unsigned int i = 0; i < 4; i++)
        if (t->sig[i] < ' ' || t->sig[i] > '~')
            t->sig[i] = '?';
    t->len = acpi_u32(h + 4);
    acpi_unmap(h, start, ACPI_HEADER_SIZE);
    if (t->len < ACPI_HEADER_SIZE || t->len > ACPI_MAX_TABLE)
        return false;
    t->data = acpi_map(start, t->len);
    return t->data != NULL;
}

static void table_unmap(struct acpi_table *t)
{
    acpi_unmap(t->data, t->start, t->len);
}

/* ---- the root ---- */

static bool rsdp_at(uint64_t start, uint64_t *root, bool *is_xsdt)
{
    const uint8_t *p = acpi_map(start, 36);
    bool ok;

    if (!p)
        return false;
    ok = acpi_parse_rsdp(p, 36, root, is_xsdt);
    acpi_unmap(p, start, 36);
    return ok;
}

static bool rsdp_search(uint64_t start, uint32_t size, uint64_t *root, bool *is_xsdt)
{
    const uint8_t *p = acpi_map(start, size);
    bool found = false;

    if (!p)
        return false;
    for (uint32_t i = 0; i + 20 <= size && !found; i += 16)
        found = acpi_parse_rsdp(p + i, size - i, root, is_xsdt);
    acpi_unmap(p, start, size);
    return found;
}

/* The extended BIOS data area's segment stands at 0x40e. */
static uint64_t ebda_start(void)
{
    const uint8_t *p = acpi_map(0x400, 16);
    uint64_t start;

    if (!p)
        return 0;
    start = (uint64_t)acpi_u16(p + 0xe) << 4;
    acpi_unmap(p, 0x400, 16);
    return start >= 0x80000 && start <= 0x9fc00 ? start : 0;
}

static bool find_root(uint64_t *root, bool *is_xsdt)
{
    uint64_t ebda;

    if (boot_info.rsdp && rsdp_at(boot_info.rsdp, root, is_xsdt))
        return true;
    if (efi.system_table)
        return false; /* the BIOS area is just memory there */
    ebda = ebda_start();
    return (ebda && rsdp_search(ebda, 1024, root, is_xsdt)) || rsdp_search(0xe0000, 0x20000, root, is_xsdt);
}

/* ---- the tables ---- */

static void parse_dsdt(uint64_t start)
{
    struct acpi_table t;

    if (!table_map(start, &t))
        return;
    if (memcmp(t.sig, "DSDT", 4) == 0)
        acpi_find_s5(t.data, t.len, &acpi_info);
    table_unmap(&t);
}

static int parse_table(const struct acpi_table *t, uint64_t *dsdt)
{
    if (memcmp(t->sig, "APIC", 4) == 0)
        return acpi_parse_madt(t->data, t->len, &acpi_info);
    if (memcmp(t->sig, "FACP", 4) == 0)
        return acpi_parse_fadt(t->data, t->len, &acpi_info, dsdt);
    if (memcmp(t->sig, "HPET", 4) == 0)
        return acpi_parse_hpet(t->data, t->len, &acpi_info);
    if (memcmp(t->sig, "MCFG", 4) == 0)
        return acpi_parse_mcfg(t->data, t->len, &acpi_info);
    if (memcmp(t->sig, "SSDT", 4) == 0 && !acpi_info.has_s5)
        acpi_find_s5(t->data, t->len, &acpi_info);
    return 0;
}

static void visit_table(uint64_t start, uint64_t *dsdt)
{
    struct acpi_table t;

    if (!table_map(start, &t)) {
        printk(XLOG_WARNING "ACPI: table at %#lx cannot be read, ignored\n", start);
        return;
    }
    if (!acpi_checksum_ok(t.data, t.len))
        printk(XLOG_WARNING "ACPI: %s at %#lx has a bad checksum, ignored\n", t.sig, start);
    else if (parse_table(&t, dsdt) != 0)
        printk(XLOG_WARNING "ACPI: %s at %#lx is malformed\n", t.sig, start);
    table_unmap(&t);
}

static void visit_root(const struct acpi_table *root, bool is_xsdt)
{
    uint64_t dsdt = 0;

    for (unsigned int i = 0; i < acpi_root_count(root->len, is_xsdt); i++)
        visit_table(acpi_root_entry(root->data, is_xsdt, i), &dsdt);
    if (dsdt)
        parse_dsdt(dsdt);
}

static void report(void)
{
    const struct acpi_info *i = &acpi_info;

    printk(XLOG_INFO "ACPI: %u CPUs, %u IO-APICs, %u overrides, LAPIC %#lx, HPET %#lx, PM timer %#x, MCFG %#lx\n",
           i->cpu_count, i->ioapic_count, i->override_count, i->lapic_address, i->hpet_address, i->pm_timer_port,
           i->mcfg_address);
}

void acpi_init(void)
{
    struct acpi_table root;
    uint64_t start;
    bool is_xsdt;

    if (!find_root(&start, &is_xsdt))
        panic("ACPI: no root pointer found: the machine's firmware must offer ACPI");
    if (!table_map(start, &root))
        panic("ACPI: the root table at %#lx cannot be read", start);
    if (memcmp(root.sig, is_xsdt ? "XSDT" : "RSDT", 4) != 0 || !acpi_checksum_ok(root.data, root.len))
        panic("ACPI: the root table at %#lx is damaged", start);
    visit_root(&root, is_xsdt);
    table_unmap(&root);
    report();
    if (acpi_info.ioapic_count == 0)
        panic("ACPI: the MADT names no IO-APIC");
}
