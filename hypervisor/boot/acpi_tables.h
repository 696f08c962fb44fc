/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables as bytes: see acpi_tables.c. Each table is given as a buffer of the length that its header states; the
 * parsers believe nothing else.
 */
#ifndef ACPI_TABLES_H
#define ACPI_TABLES_H

#include <hv/boot.h>
#include <hv/lib.h>

#define ACPI_HEADER_SIZE 36u
#define ACPI_MAX_TABLE   (4u << 20) /* longer ones are refused */
#define ACPI_MAX_TABLES  128u

static inline uint16_t acpi_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t acpi_u32(const uint8_t *p)
{
    return acpi_u16(p) | (uint32_t)acpi_u16(p + 2) << 16;
}

static inline uint64_t acpi_u64(const uint8_t *p)
{
    return acpi_u32(p) | (uint64_t)acpi_u32(p + 4) << 32;
}

/* Sum of the bytes is zero. */
bool acpi_checksum_ok(const uint8_t *p, size_t len);
/* A root pointer at p, of which len bytes may be read; then *root and *is_xsdt say where the list of tables is. */
bool acpi_parse_rsdp(const uint8_t *p, size_t len, uint64_t *root, bool *is_xsdt);
/* Number of addresses in the root table, and address i. */
unsigned int acpi_root_count(uint32_t len, bool is_xsdt);
uint64_t acpi_root_entry(const uint8_t *t, bool is_xsdt, unsigned int i);

/* Each takes a table with a good header and checksum; 0, or -EINVAL when it is malformed. */
int acpi_parse_madt(const uint8_t *t, uint32_t len, struct acpi_info *info);
int acpi_parse_fadt(const uint8_t *t, uint32_t len, struct acpi_info *info, uint64_t *dsdt);
int acpi_parse_hpet(const uint8_t *t, uint32_t len, struct acpi_info *info);
int acpi_parse_mcfg(const uint8_t *t, uint32_t len, struct acpi_info *info);
/* Looks for the package \_S5_ in the AML of the DSDT or an SSDT. */
bool acpi_find_s5(const uint8_t *t, uint32_t len, struct acpi_info *info);

#endif
