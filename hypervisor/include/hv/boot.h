/* SPDX-License-Identifier: BSD-2-Clause */
/* What boot/ found out, and the order of boot: see docs/life-of-a-boot.md. */
#ifndef HV_BOOT_H
#define HV_BOOT_H

#include <hv/types.h>

#define MAX_MEM_REGIONS 256
#define MAX_MODULES     8

struct mem_region {
    uint64_t start, size;
    uint32_t type; /* E820 types: 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 NVS, 5 unusable */
};

struct boot_module {
    uint64_t start, size; /* machine addresses */
    char cmdline[2048];
};

struct boot_info {
    char cmdline[2048];
    char loader[64];
    unsigned int region_count, module_count;
    struct mem_region region[MAX_MEM_REGIONS]; /* the machine's E820 */
    struct boot_module module[MAX_MODULES];
    uint64_t rsdp; /* machine address, 0: search the BIOS area */
    bool has_vga_text;
};

extern struct boot_info boot_info;

/* Command line options, Xen's spellings; each subsystem declares its own, unknown ones are warned about. */
struct cmdline_param {
    const char *name;
    enum { PARAM_STRING, PARAM_BOOL, PARAM_UINT, PARAM_SIZE, PARAM_CUSTOM } kind;
    void *var; /* char[len], bool, unsigned int, uint64_t, or int (*)(const char *value) */
    unsigned int len;
    bool runtime;                          /* may be set while domains run: cmdline_set */
    void (*show)(char *text, size_t size); /* what a PARAM_CUSTOM of these is now */
};
#ifdef __clang__
#define PARAM_UNPADDED no_sanitize("address"), /* host tests: the section is walked as one array */
#else
#define PARAM_UNPADDED
#endif
#define CMDLINE_DECLARE(id, ...)                                                                                   \
    static const struct cmdline_param __attribute__((PARAM_UNPADDED used, aligned(8), section(".cmdline_params"))) \
    param_##id = {__VA_ARGS__}
#define CMDLINE_PARAM(pname, pkind, pvar) CMDLINE_DECLARE(pvar, pname, pkind, (void *)&pvar, sizeof(pvar), false, NULL)
#define CMDLINE_CUSTOM(pname, pfn)        CMDLINE_DECLARE(pfn, pname, PARAM_CUSTOM, (void *)pfn, 0, false, NULL)
/* The same for what may change at any time, on any CPU: who looks at it is right with the old value and the new one. */
#define CMDLINE_RUNTIME(pname, pkind, pvar) CMDLINE_DECLARE(pvar, pname, pkind, (void *)&pvar, sizeof(pvar), true, NULL)

#define CMDLINE_RUNTIME_CUSTOM(pname, pfn, pshow) CMDLINE_DECLARE(pfn, pname, PARAM_CUSTOM, (void *)pfn, 0, true, pshow)
void cmdline_parse(const char *line);
/* The first parameter, or the one after p; NULL: there is no other. Of a variable and a function of one name, the
 * variable. */
const struct cmdline_param *cmdline_next(const struct cmdline_param *p);
/* A PARAM_STRING or PARAM_CUSTOM as text, cut to size: what it is, or, of one that only the command line sets, what
 * follows its name there; "" if nothing does. */
void cmdline_text(const struct cmdline_param *p, char *text, size_t size);
/* As if the command line said name=value. 0, -EACCES: not at run time, -EINVAL: not a value of it. */
int cmdline_set(const struct cmdline_param *p, const char *value);
/* Warns about what cmdline_parse did not know; the console is there by now. */
void cmdline_report(void);
/* Size with K, M, G, T suffix (default unit: bytes); 0 and *end as strtoull. */
uint64_t parse_size(const char *s, const char **end);

/* boot/multiboot2.c: the loader's tags at machine address info (below 4 GiB) -> boot_info. Panics on nonsense. */
void multiboot2_parse(uint32_t magic, uint64_t info);

/*
 * boot/memmap.c: RAM of the machine as sorted, disjoint ranges of frames, and the part of it that is still free while
 * there is no heap. `mem=` and the direct map's size cut the end off.
 */
void memmap_init(void);
/* Takes [start, end) out of the free ranges. */
void memmap_reserve(uint64_t start, uint64_t end);
/* Machine address of a block below limit that nobody has taken yet, in the highest free range; 0: there is none. */
uint64_t memmap_find(uint64_t size, uint64_t align, uint64_t limit);
/* Takes a block: its machine address, from the highest free range; panics when there is none. Zeroed by nobody. */
uint64_t memmap_alloc(uint64_t size, uint64_t align, uint64_t limit);
/* Gives all that is left to the heap; no memmap_alloc afterwards. */
void memmap_release_to_heap(void);
#ifdef UMBRA_HOST
void memmap_reset(void); /* tests start again */
#endif
/* Range i of RAM, false past the last. end is exclusive. */
bool memmap_ram(unsigned int i, mfn_t *start, mfn_t *end);
/* Does the frame lie in RAM, so that it has a frame-table entry? Any number. */
bool mfn_is_ram(mfn_t m);
/* Page below 1 MiB for the code that starts the other CPUs. */
uint64_t memmap_trampoline(void);

/* ACPI results. */
struct acpi_cpu {
    uint32_t apicid, acpi_id;
    bool enabled;
};
struct acpi_ioapic {
    uint32_t id, address, gsi_base;
};
struct acpi_override {
    uint8_t source;
    uint32_t gsi;
    uint16_t flags;
};
struct acpi_info {
    unsigned int cpu_count, ioapic_count, override_count;
    struct acpi_cpu cpu[256];
    struct acpi_ioapic ioapic[8];
    struct acpi_override override[16];
    uint64_t lapic_address, hpet_address, mcfg_address;
    uint16_t pm_timer_port, sci_irq, pm1a_cnt, pm1b_cnt;
    uint8_t mcfg_bus_first, mcfg_bus_last;
    bool has_reset_reg;
    uint8_t reset_space, reset_value;
    uint64_t reset_address;
    uint64_t facs_address;
    uint16_t mcfg_segment;
    bool has_s5;              /* \_S5_ was found: sleep type values for power-off */
    uint8_t s5_typa, s5_typb; /* SLP_TYP for PM1a and PM1b */
    uint16_t smi_cmd;         /* FADT: port and value that hand ACPI to the OS */
    uint8_t acpi_enable;
};
extern struct acpi_info acpi_info;
void acpi_init(void);

/* domain/build_control.c: builds domain 0 from modules 0 (kernel) and 1 (initrd). Panics with a reason when it cannot.
 */
void build_control_domain(void);

#endif
