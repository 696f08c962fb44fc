/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel images, and where things lie in a new PV domain. Internal to libctl; nothing here needs a hypervisor.
 *
 * Flow: file -> payload.c (decompression) -> image.c (ELF segments) -> elfnotes.c (what the kernel asks for) ->
 * layout.c (frame and address of every part) -> pagetable.c (the first page tables); of a PVH guest layout_pvh.c and
 * acpi.c. Files are untrusted: every offset
 * and size is checked before it is used, and no size in a file makes the library allocate more than IMAGE_MAX.
 */
#ifndef CTL_IMAGE_H
#define CTL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "libctl/ctl.h"

#define CTL_IMAGE_MAX    (512ul << 20) /* bytes of a kernel file, and of what it unpacks to */
#define CTL_SEGMENTS_MAX 32

/* Bytes in memory, owned by whoever holds the structure. */
struct ctl_bytes {
    uint8_t *data;
    size_t size;
};

/* What the kernel's notes say. Addresses are linear. */
struct ctl_notes {
    bool any;
    bool has_entry, has_hypercall_page, has_init_p2m, has_paddr_offset;
    bool has_phys32_entry; /* runs as PVH: the entry's physical address */
    bool mod_start_pfn;    /* takes an initrd outside its first mapping */
    uint64_t entry, hypercall_page, virt_base, paddr_offset, init_p2m, phys32_entry;
    char guest_os[32], guest_version[32];
};

/* Part of the image: bytes of the file and their place from the start of the domain's memory. */
struct ctl_segment {
    uint64_t offset, file_bytes, memory_bytes, place;
};

struct ctl_image {
    enum ctl_type type; /* of guest that it is to be */
    struct ctl_bytes elf;
    char format[16], compression[8];
    struct ctl_segment segments[CTL_SEGMENTS_MAX];
    unsigned nr_segments;
    uint64_t start, end; /* places covered by the segments */
    struct ctl_notes notes;
};

/* file.c: opens a regular file and tells its size; reads it wholly. -errno with *err filled. */
int ctl_file_open(const char *path, uint64_t *size, struct ctl_error *err);
int ctl_file_read(const char *path, uint64_t limit, struct ctl_bytes *out, struct ctl_error *err);
/* Fills buffer from the file's start; -EIO when it has become shorter. */
int ctl_file_load(int fd, const char *path, void *buffer, uint64_t size, struct ctl_error *err);
/* Opens, loads, closes; a size of 0 does nothing. */
int ctl_file_fill(const char *path, void *buffer, uint64_t size, struct ctl_error *err);
void ctl_bytes_free(struct ctl_bytes *bytes);

/*
 * payload.c: unpacks gzip, xz, lzma, zstd or lz4 (legacy framing), told by the first bytes. kind receives the name;
 * "none" leaves *out empty. -EINVAL: damaged; -EOPNOTSUPP: a compression that is not supported; -EFBIG: more than
 * `limit`.
 */
int ctl_payload_unpack(const uint8_t *data, size_t size, size_t limit, char kind[8], struct ctl_bytes *out);

/* image.c: takes the file over (it may be freed or kept as image->elf). `path` names it in errors. */
int ctl_image_parse(struct ctl_image *image, struct ctl_bytes *file, enum ctl_type type, const char *path,
                    struct ctl_error *err);
int ctl_image_load(struct ctl_image *image, enum ctl_type type, const char *path, struct ctl_error *err);
/* All segments, zeros behind them, into memory that begins at the place `at`. */
void ctl_image_copy(const struct ctl_image *image, uint8_t *memory, uint64_t at);
void ctl_image_free(struct ctl_image *image);

/* elfnotes.c: one note segment. Notes that are damaged or not ours are skipped; false when the segment itself is
 * malformed. */
bool ctl_notes_parse(struct ctl_notes *notes, const uint8_t *data, size_t size);

/*
 * layout.c. Frames are numbered from the start of the domain's memory (pfn). The first mapping covers map_pages frames
 * from pfn 0 at virt_base; what lies above it is reached by the kernel through its own tables, or through the P2M's
 * mapping.
 */
struct ctl_map {
    uint64_t virt, pages; /* what is mapped */
    uint64_t pfn;         /* to which frames, contiguously */
    uint64_t tables_pfn;  /* its L3s, then L2s, then L1s, contiguously */
    uint64_t nr[4];       /* number of tables of levels 1-3 */
};

struct ctl_layout {
    uint64_t nr_pages; /* the whole domain */
    uint64_t virt_base;
    uint64_t kernel_pfn, kernel_end_pfn;
    uint64_t ramdisk_pfn, ramdisk_pages, ramdisk_bytes;
    bool ramdisk_mapped;
    uint64_t p2m_pfn, p2m_pages, p2m_virt; /* the list itself */
    uint64_t p2m_all_pages;                /* with the tables that map it, when it lies elsewhere */
    uint64_t start_info_pfn, store_pfn, console_pfn;
    uint64_t l4_pfn, table_pages; /* L4 first, then the tables of maps[0] */
    uint64_t stack_pfn;
    uint64_t boot_end_pfn;  /* first frame after the stack */
    uint64_t needed_pages;  /* the least a domain must have */
    struct ctl_map maps[2]; /* [0] the first mapping, [1] the P2M where the kernel wants it elsewhere */
    unsigned nr_maps;
};

/* 0, or -errno with *err filled: memory too small (-ENOSPC, field "memory") or addresses that cannot be used (-EINVAL).
 */
int ctl_layout_plan(struct ctl_layout *layout, const struct ctl_image *image, uint64_t ramdisk_bytes, uint64_t nr_pages,
                    const char *path, struct ctl_error *err);
uint64_t ctl_layout_virt(const struct ctl_layout *layout, uint64_t pfn);

/*
 * pagetable.c: writes all tables of one map. `tables` is the memory of maps[m].tables_pfn onwards; `l4` that of l4_pfn;
 * p2m turns pfn into machine frames. Frames that are tables themselves are mapped read-only.
 */
void ctl_pagetable_build(const struct ctl_layout *layout, unsigned m, const uint64_t *p2m, uint64_t *l4,
                         uint64_t *tables);

/*
 * layout_pvh.c. Memory is as on a machine: RAM from 0, from 4 GiB on what does not fit below the hole; in the hole a
 * few frames of the builder's and the local APIC. Addresses are physical.
 */
#define CTL_HOLE         0xf0000000ull /* where RAM ends at the latest, up to 4 GiB */
#define CTL_ACPI         0xfc000000ull /* one page of tables */
#define CTL_CONSOLE_RING 0xfc001000ull
#define CTL_STORE_RING   0xfc002000ull
#define CTL_SPECIAL_END  0xfc003000ull

struct ctl_pvh_layout {
    uint64_t low, high; /* bytes of RAM below the hole and above 4 GiB */
    uint64_t kernel, ramdisk, ramdisk_bytes;
    uint64_t start_info; /* one page, behind all that is loaded */
    uint64_t end;        /* of it */
    struct hvm_memmap_table_entry map[4];
    uint32_t nr_map;
};

/* The memory map alone: RAM and what stands in the hole. */
void ctl_pvh_map(struct ctl_pvh_layout *layout, uint64_t memory_bytes);
/* 0, or -errno with *err filled: -ENOSPC, field "memory". */
int ctl_pvh_plan(struct ctl_pvh_layout *layout, const struct ctl_image *image, uint64_t ramdisk_bytes,
                 uint64_t memory_bytes, const char *path, struct ctl_error *err);
/* The start information's page: structure, module, memory map, command line. */
void ctl_pvh_start_info(const struct ctl_pvh_layout *layout, const char *cmdline, void *page);

/* acpi.c: the tables for so many vCPUs, at most 128, in a zeroed page that the guest sees at CTL_ACPI. Returns their
 * length. */
#define CTL_ACPI_VCPUS 128u
size_t ctl_acpi_build(uint8_t *page, uint32_t vcpus);

/* check.c: the checks of ctl_build_check, handing out what was loaded, and where it is to lie (one of the two). Returns
 * the number of faults. */
int ctl_check_load(const struct ctl_domain_config *config, struct ctl_image *image, struct ctl_layout *layout,
                   struct ctl_pvh_layout *pvh, struct ctl_error *errors, unsigned max);

#endif
