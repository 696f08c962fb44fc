/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads ACPI tables from bytes: MADT, FADT, HPET, MCFG and the \_S5_ package. ACPI specification 6.4, chapter 5. Pure:
 * acpi.c finds and maps the tables.
 *
 * Nothing outside [t, t + len) is read, whatever the table says. AML is not interpreted: \_S5_ is found by its bytes,
 * which is what power-off without the control domain needs; the control domain has a real interpreter.
 */
#include "acpi_tables.h"

bool acpi_checksum_ok(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

bool acpi_parse_rsdp(const uint8_t *p, size_t len, uint64_t *root, bool *is_xsdt)
{
    uint32_t full;

    if (len < 20 || memcmp(p, "RSD PTR ", 8) != 0 || !acpi_checksum_ok(p, 20))
        return false;
    *is_xsdt = false;
    *root = acpi_u32(p + 16);
    if (p[15] < 2 || len < 36)
        return *root != 0;
    full = acpi_u32(p + 20);
    if (full >= 33 && full <= len && acpi_checksum_ok(p, full) && acpi_u64(p + 24) != 0) {
        *is_xsdt = true;
        *root = acpi_u64(p + 24);
    }
    return *root != 0;
}

unsigned int acpi_root_count(uint32_t len, bool is_xsdt)
{
    return len < ACPI_HEADER_SIZE ? 0 : MIN((len - ACPI_HEADER_SIZE) / (is_xsdt ? 8 : 4), ACPI_MAX_TABLES);
}

uint64_t acpi_root_entry(const uint8_t *t, bool is_xsdt, unsigned int i)
{
    t += ACPI_HEADER_SIZE;
    return is_xsdt ? acpi_u64(t + 8 * (size_t)i) : acpi_u32(t + 4 * (size_t)i);
}

/* ---- MADT ---- */

#define MADT_ENABLED        1u
#define MADT_ONLINE_CAPABLE 2u

static void madt_cpu(struct acpi_info *info, uint32_t apicid, uint32_t acpi_id, uint32_t flags)
{
    if (!(flags & (MADT_ENABLED | MADT_ONLINE_CAPABLE)) || info->cpu_count == ARRAY_SIZE(info->cpu))
        return;
    for (unsigned int i = 0; i < info->cpu_count; i++)
        if (info->cpu[i].apicid == apicid)
            return;
    info->cpu[info->cpu_count++] = (struct acpi_cpu){apicid, acpi_id, flags & MADT_ENABLED};
}

static void madt_ioapic(struct acpi_info *info, const uint8_t *e)
{
    if (info->ioapic_count < ARRAY_SIZE(info->ioapic))
        info->ioapic[info->ioapic_count++] = (struct acpi_ioapic){e[2], acpi_u32(e + 4), acpi_u32(e + 8)};
}

static void madt_override(struct acpi_info *info, const uint8_t *e)
{
    /* Bus 0 is ISA, the only one defined. */
    if (e[2] == 0 && e[3] < 16 && info->override_count < ARRAY_SIZE(info->override))
        info->override[info->override_count++] =
            (struct acpi_override){.source = e[3], .gsi = acpi_u32(e + 4), .flags = acpi_u16(e + 8)};
}

static void madt_entry(struct acpi_info *info, const uint8_t *e, unsigned int len)
{
    switch (e[0]) {
    case 0:
        if (len >= 8 && e[3] != 0xff)
            madt_cpu(info, e[3], e[2], acpi_u32(e + 4));
        break;
    case 1:
        if (len >= 12)
            madt_ioapic(info, e);
        break;
    case 2:
        if (len >= 10)
            madt_override(info, e);
        break;
    case 5:
        if (len >= 12)
            info->lapic_address = acpi_u64(e + 4);
        break;
    case 9:
        if (len >= 16 && acpi_u32(e + 4) != 0xffffffffu)
            madt_cpu(info, acpi_u32(e + 4), acpi_u32(e + 12), acpi_u32(e + 8));
        break;
    default: /* NMI sources and what later versions added: not needed */
        break;
    }
}

int acpi_parse_madt(const uint8_t *t, uint32_t len, struct acpi_info *info)
{
    uint32_t pos = ACPI_HEADER_SIZE + 8;

    if (len < pos)
        return -EINVAL;
    info->lapic_address = acpi_u32(t + 36);
    while (len - pos >= 2) {
        unsigned int size = t[pos + 1];

        if (size < 2 || size > len - pos)
            return -EINVAL;
        madt_entry(info, t + pos, size);
        pos += size;
    }
    return 0;
}

/* ---- FADT ---- */

#define GAS_MEMORY               0
#define GAS_IO                   1
#define GAS_PCI                  2
#define FADT_RESET_REG_SUPPORTED (1u << 10)

/* Port of a register: the extended field when the table has it and it is a port, else the old field. */
static uint16_t fadt_port(const uint8_t *t, uint32_t len, unsigned int old, unsigned int extended)
{
    if (len >= extended + 12 && t[extended] == GAS_IO && acpi_u64(t + extended + 4) != 0 &&
        acpi_u64(t + extended + 4) <= 0xffff)
        return acpi_u16(t + extended + 4);
    return acpi_u32(t + old) <= 0xffff ? acpi_u16(t + old) : 0;
}

static void fadt_reset(const uint8_t *t, uint32_t len, struct acpi_info *info)
{
    if (len < 129 || !(acpi_u32(t + 112) & FADT_RESET_REG_SUPPORTED) || t[116] > GAS_PCI)
        return;
    info->has_reset_reg = true;
    info->reset_space = t[116];
    info->reset_address = acpi_u64(t + 120);
    info->reset_value = t[128];
}

int acpi_parse_fadt(const uint8_t *t, uint32_t len, struct acpi_info *info, uint64_t *dsdt)
{
    if (len < 116)
        return -EINVAL;
    info->facs_address = acpi_u32(t + 36);
    *dsdt = acpi_u32(t + 40);
    if (len >= 140 && acpi_u64(t + 132) != 0)
        info->facs_address = acpi_u64(t + 132);
    if (len >= 148 && acpi_u64(t + 140) != 0)
        *dsdt = acpi_u64(t + 140);
    info->sci_irq = acpi_u16(t + 46);
    info->smi_cmd = acpi_u32(t + 48) <= 0xffff ? acpi_u16(t + 48) : 0;
    info->acpi_enable = t[52];
    info->pm1a_cnt = fadt_port(t, len, 64, 172);
    info->pm1b_cnt = fadt_port(t, len, 68, 184);
    info->pm_timer_port = t[91] >= 4 ? fadt_port(t, len, 76, 208) : 0;
    fadt_reset(t, len, info);
    return 0;
}

/* ---- HPET, MCFG ---- */

int acpi_parse_hpet(const uint8_t *t, uint32_t len, struct acpi_info *info)
{
    if (len < 56 || t[40] != GAS_MEMORY)
        return -EINVAL;
    info->hpet_address = acpi_u64(t + 44);
    return 0;
}

/* The first segment counts; others have no devices that this hypervisor programs. */
int acpi_parse_mcfg(const uint8_t *t, uint32_t len, struct acpi_info *info)
{
    const uint8_t *e = t + ACPI_HEADER_SIZE + 8;

    if (len < ACPI_HEADER_SIZE + 8 + 16 || e[10] > e[11] || acpi_u64(e) == 0 || (acpi_u64(e) & 0xfffff))
        return -EINVAL;
    info->mcfg_address = acpi_u64(e);
    info->mcfg_segment = acpi_u16(e + 8);
    info->mcfg_bus_first = e[10];
    info->mcfg_bus_last = e[11];
    return 0;
}

/* ---- \_S5_ ---- */

/* One integer of a package at *p: Zero, One or a byte constant. */
static bool aml_small_int(const uint8_t **p, const uint8_t *end, uint8_t *value)
{
    if (*p < end && (**p == 0x00 || **p == 0x01)) {
        *value = *(*p)++;
        return true;
    }
    if (end - *p >= 2 && **p == 0x0a) {
        *value = (*p)[1];
        *p += 2;
        return true;
    }
    return false;
}

/* p points behind the name: PackageOp, PkgLength, NumElements, integers. */
static bool aml_s5_package(const uint8_t *p, const uint8_t *end, struct acpi_info *info)
{
    unsigned int length_bytes;
    uint8_t a, b;

    if (end - p < 3 || *p != 0x12)
        return false;
    p++;
    length_bytes = (*p >> 6) + 1u; /* PkgLength: its top two bits count the bytes that follow */
    if (end - p < length_bytes + 1 || p[length_bytes] < 2)
        return false;
    p += length_bytes;
    p++;
    if (!aml_small_int(&p, end, &a) || !aml_small_int(&p, end, &b))
        return false;
    info->has_s5 = true;
    info->s5_typa = a & 7;
    info->s5_typb = b & 7;
    return true;
}

bool acpi_find_s5(const uint8_t *t, uint32_t len, struct acpi_info *info)
{
    const uint8_t *end = t + len;

    /* NameOp, perhaps the root prefix, then the name. */
    for (uint32_t i = ACPI_HEADER_SIZE; i + 8 <= len; i++) {
        const uint8_t *name = t + i + 1;

        if (t[i] != 0x08)
            continue;
        if (*name == '\\')
            name++;
        if (end - name >= 4 && memcmp(name, "_S5_", 4) == 0 && aml_s5_package(name + 4, end, info))
            return true;
    }
    return false;
}
