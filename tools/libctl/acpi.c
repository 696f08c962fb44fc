// SPDX-License-Identifier: BSD-2-Clause
/*
 * The ACPI tables of a PVH guest (ACPI specification 5.1): a machine without ACPI's own registers ("hardware reduced"),
 * without VGA, keyboard controller and clock chip, with one local APIC for each vCPU and nothing else.
 *
 * Place: filled by the builder into one page of the guest. vCPU n has the APIC id 2n, as the hypervisor tells it by
 * CPUID. All that it can ever have are listed as enabled: which of them are online is the word of xenstore's
 * cpu/N/availability, as for PV guests. Pure computation.
 */
#include <stdio.h>
#include <string.h>

#include "libctl/image.h"

#define LOCAL_APIC 0xfee00000u

#define FADT_HW_REDUCED (1u << 20)
#define FADT_WBINVD     (1u << 0)
#define BOOT_NO_VGA     (1u << 2)
#define BOOT_NO_CMOS    (1u << 5)
#define APIC_ENABLED    1u

struct header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem[6];
    uint8_t revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

struct xsdt {
    struct header head;
    uint64_t fadt, madt;
} __attribute__((packed));

struct fadt {
    struct header head;
    uint32_t facs, dsdt;
    uint8_t to_boot_flags[65]; /* registers of the fixed hardware: none */
    uint16_t boot_flags;
    uint8_t reserved;
    uint32_t flags;
    uint8_t to_minor[15];
    uint8_t minor;
    uint64_t x_facs, x_dsdt;
    uint8_t to_end[120]; /* the same registers, by their newer addresses */
} __attribute__((packed));

struct madt {
    struct header head;
    uint32_t local_apic, flags;
} __attribute__((packed));

struct madt_apic {
    uint8_t type, length, processor, id;
    uint32_t flags;
} __attribute__((packed));

_Static_assert(sizeof(struct rsdp) == 36 && sizeof(struct header) == 36 && sizeof(struct madt_apic) == 8, "ACPI");
_Static_assert(offsetof(struct fadt, boot_flags) == 109 && offsetof(struct fadt, flags) == 112, "ACPI 5.1, 5.2.9");
_Static_assert(offsetof(struct fadt, minor) == 131 && offsetof(struct fadt, x_dsdt) == 140, "ACPI 5.1, 5.2.9");
_Static_assert(sizeof(struct fadt) == 268, "ACPI 5.1, 5.2.9");

/* The page: one structure, so that it is plain what lies where. */
struct tables {
    struct rsdp rsdp;
    uint8_t align[4];
    struct xsdt xsdt;
    uint8_t align2[4];
    struct fadt fadt;
    uint8_t align3[4];
    struct header dsdt;
    uint8_t align4[4];
    struct madt madt;
    struct madt_apic apic[CTL_ACPI_VCPUS];
} __attribute__((packed));

_Static_assert(sizeof(struct tables) <= 4096, "one page");

/* What makes the bytes' sum 0. */
static uint8_t checksum(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    uint8_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += bytes[i];
    }
    return -sum;
}

/* The head of a table whose contents are complete. */
static void finish(struct header *head, const char *signature, uint8_t revision, size_t length)
{
    memcpy(head->signature, signature, 4);
    memcpy(head->oem, "UMBRA ", 6);
    memcpy(head->oem_table, "PVH     ", 8);
    memcpy(head->creator, "UMBR", 4);
    head->oem_revision = head->creator_revision = 1;
    head->length = length;
    head->revision = revision;
    head->checksum = 0;
    head->checksum = checksum(head, length);
}

static uint64_t at(size_t offset)
{
    return CTL_ACPI + offset;
}

static void build_rsdp(struct rsdp *r)
{
    memcpy(r->signature, "RSD PTR ", 8);
    memcpy(r->oem, "UMBRA ", 6);
    r->revision = 2;
    r->length = sizeof(*r);
    r->xsdt = at(offsetof(struct tables, xsdt));
    r->checksum = checksum(r, 20);
    r->extended_checksum = checksum(r, sizeof(*r));
}

size_t ctl_acpi_build(uint8_t *page, uint32_t vcpus)
{
    struct tables *t = (void *)page;

    for (uint32_t i = 0; i < vcpus; i++) {
        t->apic[i] = (struct madt_apic){.length = sizeof(t->apic[i]), .processor = i, .id = 2 * i};
        t->apic[i].flags = APIC_ENABLED;
    }
    t->madt.local_apic = LOCAL_APIC;
    finish(&t->madt.head, "APIC", 3, sizeof(t->madt) + vcpus * sizeof(t->apic[0]));
    finish(&t->dsdt, "DSDT", 2, sizeof(t->dsdt));
    t->fadt.boot_flags = BOOT_NO_VGA | BOOT_NO_CMOS;
    t->fadt.flags = FADT_HW_REDUCED | FADT_WBINVD;
    t->fadt.minor = 1;
    t->fadt.dsdt = at(offsetof(struct tables, dsdt));
    t->fadt.x_dsdt = at(offsetof(struct tables, dsdt));
    finish(&t->fadt.head, "FACP", 5, sizeof(t->fadt));
    t->xsdt.fadt = at(offsetof(struct tables, fadt));
    t->xsdt.madt = at(offsetof(struct tables, madt));
    finish(&t->xsdt.head, "XSDT", 1, sizeof(t->xsdt));
    build_rsdp(&t->rsdp);
    return offsetof(struct tables, apic) + vcpus * sizeof(t->apic[0]);
}
