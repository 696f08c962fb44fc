/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UEFI's tables as bytes -> struct efi_info. The firmware is not an attacker, but it may be wrong: every field is
 * checked before it is used as a size or an address. UEFI specification 2.10, sections 4.2 to 4.5 and 7.2.3.
 */
#include <hv/efi.h>
#include <hv/lib.h>

#define SYSTEM_SIGNATURE  0x5453595320494249ull /* "IBI SYST" */
#define RUNTIME_SIGNATURE 0x56524553544e5552ull /* "RUNTSERV" */
#define DESCRIPTOR_SIZE   40u
#define FRAME_BITS        52 /* of a machine address */
#define MAX_CONFIG        1024u
#define CONFIG_SIZE       24u

struct efi_info efi;

static uint32_t u32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t u64_at(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* ---- memory map ---- */

static bool region_ok(const struct efi_region *r)
{
    uint64_t frames = 1ull << (FRAME_BITS - PAGE_SHIFT);

    return r->pages != 0 && !(r->start & (PAGE_SIZE - 1)) && r->start >> PAGE_SHIFT < frames &&
           r->pages <= frames - (r->start >> PAGE_SHIFT);
}

static void add_region(struct efi_info *e, const struct efi_region *r)
{
    struct efi_region *last = e->region_count ? &e->region[e->region_count - 1] : NULL;

    if (last && last->type == r->type && last->attr == r->attr && last->start + (last->pages << PAGE_SHIFT) == r->start)
        last->pages += r->pages;
    else if (e->region_count < MAX_EFI_REGIONS)
        e->region[e->region_count++] = *r;
    else
        e->whole_map = false;
}

int efi_parse_memory_map(const uint8_t *p, size_t len, uint32_t desc_size, struct efi_info *e)
{
    if (desc_size < DESCRIPTOR_SIZE)
        return -EINVAL;
    e->region_count = 0;
    e->whole_map = true;
    for (; len >= desc_size; p += desc_size, len -= desc_size) {
        struct efi_region r = {
            .type = u32_at(p), .start = u64_at(p + 8), .pages = u64_at(p + 24), .attr = u64_at(p + 32)};

        if (region_ok(&r))
            add_region(e, &r);
    }
    return 0;
}

const struct efi_region *efi_region_of(const struct efi_info *e, uint64_t address)
{
    for (unsigned int i = 0; i < e->region_count; i++)
        if (address >= e->region[i].start && (address - e->region[i].start) >> PAGE_SHIFT < e->region[i].pages)
            return &e->region[i];
    return NULL;
}

bool efi_kept(const struct efi_info *e, uint64_t start, uint64_t size)
{
    const struct efi_region *r = efi_region_of(e, start);

    return r && (r->attr & EFI_MEMORY_RUNTIME) && size <= (r->pages << PAGE_SHIFT) - (start - r->start);
}

/* ---- tables ---- */

int efi_parse_system_table(const uint8_t *p, struct efi_info *e, uint64_t *vendor)
{
    uint64_t entries = u64_at(p + 104);

    if (u64_at(p) != SYSTEM_SIGNATURE || u32_at(p + 12) < EFI_SYSTEM_TABLE_SIZE || entries > MAX_CONFIG)
        return -EINVAL;
    e->version = u32_at(p + 8);
    *vendor = u64_at(p + 24);
    e->vendor_version = u32_at(p + 32);
    e->runtime_table = u64_at(p + 88);
    e->config_entries = (uint32_t)entries;
    e->config = u64_at(p + 112);
    return entries && !efi_kept(e, e->config, entries * CONFIG_SIZE) ? -EINVAL : 0;
}

int efi_parse_runtime_table(const uint8_t *p, size_t len, struct efi_info *e)
{
    static const uint8_t offset[NR_EFI_SERVICES] = {
        [EFI_GET_VARIABLE] = 72,    [EFI_NEXT_VARIABLE_NAME] = 80, [EFI_SET_VARIABLE] = 88,
        [EFI_NEXT_HIGH_COUNT] = 96, [EFI_RESET_SYSTEM] = 104,      [EFI_QUERY_VARIABLE_INFO] = 128};

    if (len < EFI_RUNTIME_TABLE_V1 || u64_at(p) != RUNTIME_SIGNATURE)
        return -EINVAL;
    e->runtime_version = u32_at(p + 8);
    for (unsigned int i = 0; i < NR_EFI_SERVICES; i++) {
        uint64_t at = offset[i] + 8u <= len ? u64_at(p + offset[i]) : 0;
        const struct efi_region *r = efi_region_of(e, at);

        if (i == EFI_QUERY_VARIABLE_INFO && e->runtime_version < EFI_VERSION_2)
            continue;
        if (!r || r->type != EFI_RUNTIME_CODE || !(r->attr & EFI_MEMORY_RUNTIME))
            return -EINVAL;
        e->service[i] = at;
    }
    return 0;
}

void efi_take_vendor(const uint8_t *p, size_t len, struct efi_info *e)
{
    size_t n = MIN(len / 2, (size_t)EFI_VENDOR_MAX - 1), i;

    for (i = 0; i < n; i++) {
        e->vendor[i] = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
        if (!e->vendor[i])
            return;
    }
    e->vendor[n] = 0;
}
