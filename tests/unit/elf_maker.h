/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes small kernel files in memory for the tests of libctl: an ELF image with notes, a bzImage around it,
 * compression. The makers never fail: they assert.
 */
#ifndef ELF_MAKER_H
#define ELF_MAKER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/elfnote.h>

#include "libctl/image.h"

#define EM_BASE  0xffffffff80000000ull
#define EM_PLACE 0x1000000ull
#define EM_TEXT  0x3000u /* bytes of the segment in the file */
#define EM_BSS   0x2800u /* and zeros behind them */

struct elf_options {
    bool init_p2m, mod_start_pfn, hypercall_page;
    uint64_t virt_base, p2m_address;
    uint32_t pvh_entry; /* 0: none */
};

static const struct elf_options elf_linux = {true, true, true, EM_BASE, 0x8000000000ull, 0};
static const struct elf_options elf_pvh = {false, false, false, EM_BASE, 0, EM_PLACE + 0x80};

static inline size_t em_note(uint8_t *at, uint32_t type, const void *data, uint32_t size)
{
    uint32_t head[3] = {4, size, type};

    memcpy(at, head, sizeof(head));
    memcpy(at + 12, "Xen", 4);
    memset(at + 16, 0, (size + 3) & ~3u);
    memcpy(at + 16, data, size);
    return 16 + ((size + 3) & ~3u);
}

static inline size_t em_notes(uint8_t *at, const struct elf_options *o)
{
    uint64_t entry = o->virt_base + EM_PLACE + 0x40, page = o->virt_base + EM_PLACE + 0x1000, base = o->virt_base,
             zero = 0;
    uint32_t one = 1;
    size_t n = em_note(at, XEN_ELFNOTE_GUEST_OS, "test\033[2J", 9);

    n += em_note(at + n, XEN_ELFNOTE_GUEST_VERSION, "1.0", 4);
    n += em_note(at + n, XEN_ELFNOTE_VIRT_BASE, &base, 8);
    n += em_note(at + n, XEN_ELFNOTE_PADDR_OFFSET, &zero, 8);
    n += em_note(at + n, XEN_ELFNOTE_ENTRY, &entry, 8);
    if (o->hypercall_page) {
        n += em_note(at + n, XEN_ELFNOTE_HYPERCALL_PAGE, &page, 8);
    }
    if (o->init_p2m) {
        n += em_note(at + n, XEN_ELFNOTE_INIT_P2M, &o->p2m_address, 8);
    }
    if (o->mod_start_pfn) {
        n += em_note(at + n, XEN_ELFNOTE_MOD_START_PFN, &one, 4);
    }
    if (o->pvh_entry) {
        n += em_note(at + n, XEN_ELFNOTE_PHYS32_ENTRY, &o->pvh_entry, 4);
    }
    return n;
}

/* An ELF file: header, two program headers, notes at 0x200, the segment at 0x400. */
static inline struct ctl_bytes em_elf(const struct elf_options *o)
{
    struct ctl_bytes out = {calloc(1, 0x400 + EM_TEXT), 0x400 + EM_TEXT};
    Elf64_Ehdr *head = (void *)out.data;
    Elf64_Phdr *ph = (void *)(out.data + sizeof(*head));

    memcpy(head->e_ident, ELFMAG, SELFMAG);
    head->e_ident[EI_CLASS] = ELFCLASS64;
    head->e_ident[EI_DATA] = ELFDATA2LSB;
    head->e_type = ET_EXEC;
    head->e_machine = EM_X86_64;
    head->e_phoff = sizeof(*head);
    head->e_phentsize = sizeof(*ph);
    head->e_phnum = 2;
    ph[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_offset = 0x400, .p_paddr = EM_PLACE, .p_filesz = EM_TEXT};
    ph[0].p_memsz = EM_TEXT + EM_BSS;
    ph[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x200};
    ph[1].p_filesz = em_notes(out.data + 0x200, o);
    for (unsigned i = 0; i < EM_TEXT; i++) {
        out.data[0x400 + i] = i * 7 + (i >> 8);
    }
    return out;
}

/* The same file for i386. */
static inline struct ctl_bytes em_elf32(const struct elf_options *o)
{
    struct ctl_bytes out = em_elf(o);
    Elf32_Ehdr *head = (void *)out.data;
    Elf32_Phdr *ph = (void *)(out.data + sizeof(*head));

    memset(out.data, 0, 0x200);
    memcpy(head->e_ident, ELFMAG, SELFMAG);
    head->e_ident[EI_CLASS] = ELFCLASS32;
    head->e_ident[EI_DATA] = ELFDATA2LSB;
    head->e_type = ET_EXEC;
    head->e_machine = EM_386;
    head->e_phoff = sizeof(*head);
    head->e_phentsize = sizeof(*ph);
    head->e_phnum = 2;
    ph[0] = (Elf32_Phdr){.p_type = PT_LOAD, .p_offset = 0x400, .p_paddr = EM_PLACE, .p_filesz = EM_TEXT};
    ph[0].p_memsz = EM_TEXT + EM_BSS;
    ph[1] = (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = 0x200, .p_filesz = 0x200};
    return out;
}

/* A bzImage with 4 setup sectors around a payload; Linux appends the unpacked size to most payloads. */
static inline struct ctl_bytes em_bzimage(const struct ctl_bytes *payload, bool append_size, uint32_t unpacked)
{
    size_t before = 5 * 512 + 0x100, length = payload->size + (append_size ? 4 : 0);
    struct ctl_bytes out = {calloc(1, before + length + 64), before + length + 64};
    uint32_t offset = 0x100, length32 = length;

    out.data[0x1f1] = 4;
    out.data[0x1fe] = 0x55;
    out.data[0x1ff] = 0xaa;
    memcpy(out.data + 0x202, "HdrS\x0f\x02", 6);
    memcpy(out.data + 0x248, &offset, 4);
    memcpy(out.data + 0x24c, &length32, 4);
    memcpy(out.data + before, payload->data, payload->size);
    if (append_size) {
        memcpy(out.data + before + payload->size, &unpacked, 4);
    }
    return out;
}

/* An exact copy, so that the sanitizer sees every read beyond its end. */
static inline struct ctl_bytes em_copy(const struct ctl_bytes *from, size_t size)
{
    struct ctl_bytes out = {malloc(size ? size : 1), size};

    memcpy(out.data, from->data, size);
    return out;
}

#endif
