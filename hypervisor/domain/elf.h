/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to domain/: the control domain's kernel as an ELF image, and its Xen notes (<xen/elfnote.h>). */
#ifndef DOMAIN_ELF_H
#define DOMAIN_ELF_H

#include <hv/lib.h>

struct elf_segment {
    uint64_t offset, paddr, filesz, memsz;
};

struct elf_image {
    const uint8_t *base;
    size_t size;
    unsigned int segment_count;
    struct elf_segment segment[16];
    uint64_t paddr_start, paddr_end; /* of all loaded segments */
    /* Notes. have: bit n set when note type n is there. */
    uint32_t have;
    uint64_t entry, virt_base, init_p2m, hypercall_page, paddr_offset;
    bool mod_start_pfn;
};

/* Reads headers and notes; all offsets are checked against size. NULL, or what is wrong. */
const char *elf_parse(struct elf_image *elf, const void *base, size_t size);

/* The ELF image inside a kernel file: the file itself, or a bzImage's payload, decoded into memory of its own. NULL, or
 * what is wrong. */
struct kernel_image {
    const void *elf;
    size_t size;
    void *buffer; /* to be freed by kernel_image_free */
    unsigned int order;
};
const char *kernel_image_open(struct kernel_image *k, const void *file, size_t size);
void kernel_image_free(struct kernel_image *k);

#endif
