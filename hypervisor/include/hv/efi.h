/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UEFI firmware, once the loader has ended its boot services: what it left in memory, and the runtime services that can
 * still be called. Nothing here is there on a machine that a BIOS started. Source: UEFI specification 2.10, sections 4
 * (system table), 7.2 (memory map) and 8 (runtime services).
 */
#ifndef HV_EFI_H
#define HV_EFI_H

#include <hv/types.h>

#define MAX_EFI_REGIONS 512
#define EFI_VENDOR_MAX  100u /* characters of the vendor's name, the end included */

#define EFI_MEMORY_UC      (1ull << 0)
#define EFI_MEMORY_WT      (1ull << 2)
#define EFI_MEMORY_WB      (1ull << 3)
#define EFI_MEMORY_RUNTIME (1ull << 63)
#define EFI_RUNTIME_CODE   5u
#define EFI_RUNTIME_DATA   6u

/* Results of the services: an error has the highest bit set. */
#define EFI_SUCCESS          0ul
#define EFI_BUFFER_TOO_SMALL (1ul << 63 | 5)
#define EFI_ABORTED          (1ul << 63 | 21)

#define EFI_SYSTEM_TABLE_SIZE  120u
#define EFI_RUNTIME_TABLE_SIZE 136u /* of version 2; before it ended 24 bytes earlier */
#define EFI_RUNTIME_TABLE_V1   112u
#define EFI_VERSION_2          0x20000u

struct efi_region {
    uint64_t start, pages, attr; /* machine address, of 4 KiB, EFI_MEMORY_* */
    uint32_t type;               /* EFI_MEMORY_TYPE */
};

/* Services that are called. */
enum efi_service {
    EFI_GET_VARIABLE,
    EFI_NEXT_VARIABLE_NAME,
    EFI_SET_VARIABLE,
    EFI_NEXT_HIGH_COUNT,
    EFI_RESET_SYSTEM,
    EFI_QUERY_VARIABLE_INFO,
    NR_EFI_SERVICES
};

struct efi_info {
    bool present;          /* the firmware's tables were found: version, vendor, config */
    bool runtime;          /* runtime services can be called */
    bool whole_map;        /* no region is left out */
    uint64_t system_table; /* as the loader gave it; 0: a BIOS */
    uint32_t version, vendor_version, runtime_version;
    uint64_t config, runtime_table; /* machine addresses */
    uint32_t config_entries;
    uint16_t vendor[EFI_VENDOR_MAX]; /* UCS-2, empty: not known */
    uint64_t service[NR_EFI_SERVICES];
    unsigned int region_count;
    struct efi_region region[MAX_EFI_REGIONS];
};
extern struct efi_info efi;

/*
 * boot/efi_tables.c: tables as bytes.
 *
 * Descriptors of desc_size bytes each, len bytes in all -> e->region, neighbours of a kind joined. Nonsense is passed
 * over. 0, or -EINVAL: descriptors too small, e is as it was.
 */
int efi_parse_memory_map(const uint8_t *p, size_t len, uint32_t desc_size, struct efi_info *e);
/* The region an address lies in; NULL: none is known. */
const struct efi_region *efi_region_of(const struct efi_info *e, uint64_t address);
/* Does [start, start + size) lie in one region that the firmware keeps for itself, and the hypervisor leaves alone? */
bool efi_kept(const struct efi_info *e, uint64_t start, uint64_t size);
/* EFI_SYSTEM_TABLE_SIZE bytes -> version, config, runtime_table; *vendor is where the vendor's name lies. 0, or
 * -EINVAL: no system table. */
int efi_parse_system_table(const uint8_t *p, struct efi_info *e, uint64_t *vendor);
/* len bytes, EFI_RUNTIME_TABLE_V1 at least -> runtime_version, service. 0, or -EINVAL: no such table, or a service lies
 * outside of the firmware's code. */
int efi_parse_runtime_table(const uint8_t *p, size_t len, struct efi_info *e);
/* len bytes of UCS-2 -> vendor; cut where it does not end. */
void efi_take_vendor(const uint8_t *p, size_t len, struct efi_info *e);

/* boot/efi.c: reads the tables (after map_init_early), and makes the services callable unless told not to. */
void efi_init(void);

/*
 * x86/efi_call.c. The services see memory at its machine addresses, and beside it the hypervisor: arguments may point
 * to its memory.
 *
 * efi_map_services: makes the tables they run on. 0, -ENOMEM, or -EINVAL: a region that cannot be mapped.
 * efi_call: 0 with the service's own result in *status; -EOPNOTSUPP: there are no services; -EBUSY: one runs on another
 * CPU. Interrupts are off meanwhile, for as long as the firmware likes. A fault in the firmware ends the call with
 * EFI_ABORTED, and there are no services from then on.
 */
int efi_map_services(void);
int efi_call(enum efi_service service, const unsigned long args[6], unsigned long *status);
/* Asks the firmware for a restart or a power-off; returns when it cannot be had. May run in a panic. */
void efi_reset(bool power_off);
struct cpu_user_regs;
/* An exception in the hypervisor: was it the firmware's? Then the call is over, and execution goes on behind it. */
bool efi_fault(struct cpu_user_regs *regs);

#endif
