/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF64 program headers and Xen notes. Source: the System V ABI's ELF-64 chapter, <xen/elfnote.h>. */
#include "elf.h"

#include <xen/elfnote.h>

#define PT_LOAD_TYPE 1
#define PT_NOTE_TYPE 4

struct ehdr {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct note {
    uint32_t namesz, descsz, type;
};

static bool inside(const struct elf_image *elf, uint64_t offset, uint64_t size)
{
    return offset <= elf->size && size <= elf->size - offset;
}

static uint64_t number(const uint8_t *desc, uint32_t size)
{
    uint64_t v = 0;

    memcpy(&v, desc, MIN(size, 8u));
    return v;
}

static void take_note(struct elf_image *elf, uint32_t type, const uint8_t *desc, uint32_t size)
{
    uint64_t v = number(desc, size);

    if (type < 32)
        elf->have |= 1u << type;
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        elf->entry = v;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        elf->hypercall_page = v;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        elf->virt_base = v;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        elf->paddr_offset = v;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        elf->init_p2m = v;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        elf->mod_start_pfn = v != 0;
        break;
    default:
        break;
    }
}

static void parse_notes(struct elf_image *elf, uint64_t offset, uint64_t size)
{
    const uint8_t *p = elf->base + offset, *end = p + size;

    while ((size_t)(end - p) >= sizeof(struct note)) {
        struct note n;
        uint64_t name_room, desc_room;

        memcpy(&n, p, sizeof(n));
        p += sizeof(n);
        name_room = ROUND_UP((uint64_t)n.namesz, 4);
        desc_room = ROUND_UP((uint64_t)n.descsz, 4);
        if (name_room + desc_room > (uint64_t)(end - p))
            return;
        if (n.namesz == 4 && !memcmp(p, "Xen", 4))
            take_note(elf, n.type, p + name_room, n.descsz);
        p += name_room + desc_room;
    }
}

static const char *add_segment(struct elf_image *elf, const struct phdr *ph)
{
    if (elf->segment_count == ARRAY_SIZE(elf->segment))
        return "too many loadable segments";
    if (ph->filesz > ph->memsz || !inside(elf, ph->offset, ph->filesz) || ph->paddr + ph->memsz < ph->paddr)
        return "a segment lies outside the file";
    elf->segment[elf->segment_count++] = (struct elf_segment){ph->offset, ph->paddr, ph->filesz, ph->memsz};
    elf->paddr_start = MIN(elf->paddr_start, ph->paddr);
    elf->paddr_end = MAX(elf->paddr_end, ph->paddr + ph->memsz);
    return NULL;
}

const char *elf_parse(struct elf_image *elf, const void *base, size_t size)
{
    static const uint8_t ident[6] = {0x7f, 'E', 'L', 'F', 2, 1};
    struct ehdr eh;

    memset(elf, 0, sizeof(*elf));
    elf->base = base;
    elf->size = size;
    elf->paddr_start = UINT64_MAX;
    if (size < sizeof(eh))
        return "shorter than an ELF header";
    memcpy(&eh, base, sizeof(eh));
    if (memcmp(eh.ident, ident, sizeof(ident)) || eh.machine != 62 || eh.phentsize != sizeof(struct phdr))
        return "not an x86-64 ELF file";
    if (!inside(elf, eh.phoff, (uint64_t)eh.phnum * sizeof(struct phdr)))
        return "program headers lie outside the file";
    for (unsigned int i = 0; i < eh.phnum; i++) {
        const char *err = NULL;
        struct phdr ph;

        memcpy(&ph, elf->base + eh.phoff + i * sizeof(ph), sizeof(ph));
        if (ph.type == PT_LOAD_TYPE)
            err = add_segment(elf, &ph);
        else if (ph.type == PT_NOTE_TYPE && inside(elf, ph.offset, ph.filesz))
            parse_notes(elf, ph.offset, ph.filesz);
        if (err)
            return err;
    }
    return elf->segment_count ? NULL : "nothing to load";
}
