// SPDX-License-Identifier: BSD-2-Clause
/*
 * Kernel files: Linux's bzImage or a plain ELF file, each perhaps compressed, down to segments and notes.
 *
 * Place: first step of a build, and of the checks that need no hypervisor. Invariant: after success every segment lies
 * within the image and within a range of places that does not wrap, and there is an entry inside it for the type of
 * guest.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libctl/image.h"

/* Offsets in the first sectors of a bzImage (Linux boot protocol 2.08 and later). */
#define BZ_SETUP_SECTS    0x1f1
#define BZ_BOOT_FLAG      0x1fe
#define BZ_MAGIC          0x202
#define BZ_VERSION        0x206
#define BZ_PAYLOAD_OFFSET 0x248
#define BZ_PAYLOAD_LENGTH 0x24c
#define BZ_HEADER_END     0x250

#define PHDR_MAX  128
#define PLACE_MAX (1ull << 40)

static const char step[] = "read the kernel";
static const char *const hints[] = {
    [CTL_PV] = "use a 64-bit kernel built with CONFIG_XEN_PV, as Debian's linux-image-amd64 is",
    [CTL_PVH] = "use a kernel built with CONFIG_PVH, as Debian's linux-image-amd64 is",
};

static int bad(const struct ctl_image *image, struct ctl_error *err, const char *path, int code, const char *what)
{
    return ctl_error_set(err, code, step, path, hints[image->type], "%s", what);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Finds the payload of a bzImage. 1 and its range; 0 when the file is no bzImage; -EINVAL when it is a damaged one. */
static int bzimage_payload(const struct ctl_bytes *file, size_t *offset, size_t *length)
{
    const uint8_t *d = file->data;
    size_t sectors;

    if (file->size < BZ_HEADER_END || d[BZ_BOOT_FLAG] != 0x55 || d[BZ_BOOT_FLAG + 1] != 0xaa ||
        memcmp(d + BZ_MAGIC, "HdrS", 4) != 0) {
        return 0;
    }
    if ((d[BZ_VERSION] | d[BZ_VERSION + 1] << 8) < 0x208) {
        return -EINVAL;
    }
    sectors = d[BZ_SETUP_SECTS] ? d[BZ_SETUP_SECTS] : 4;
    *offset = (sectors + 1) * 512 + (size_t)get32(d + BZ_PAYLOAD_OFFSET);
    *length = get32(d + BZ_PAYLOAD_LENGTH);
    if (*length == 0 || *offset > file->size || *length > file->size - *offset) {
        return -EINVAL;
    }
    return 1;
}

static const char *unpack_fault(int code)
{
    switch (code) {
    case -EFBIG:
        return "it unpacks to more than 512 MiB";
    case -EOPNOTSUPP:
        return "its compression is not supported (gzip, xz, lzma, zstd and lz4 are)";
    case -ENOMEM:
        return "no memory to unpack it";
    default:
        return "its compressed part is damaged or cut short";
    }
}

/* Turns the file into an ELF image in image->elf; the file's bytes are taken over or freed. */
static int unwrap(struct ctl_image *image, struct ctl_bytes *file, const char *path, struct ctl_error *err)
{
    size_t offset = 0, length = file->size;
    int rc = bzimage_payload(file, &offset, &length);

    if (rc < 0) {
        return bad(image, err, path, rc, "it is a bzImage whose header is damaged or too old");
    }
    snprintf(image->format, sizeof(image->format), rc ? "bzImage" : "ELF");
    rc = ctl_payload_unpack(file->data + offset, length, CTL_IMAGE_MAX, image->compression, &image->elf);
    if (rc < 0) {
        return bad(image, err, path, rc, unpack_fault(rc));
    }
    if (!image->elf.data && offset == 0) {
        image->elf = *file;
        memset(file, 0, sizeof(*file));
    } else if (!image->elf.data) {
        /* A payload that is not compressed: move it to the front. */
        memmove(file->data, file->data + offset, length);
        image->elf = (struct ctl_bytes){file->data, length};
        memset(file, 0, sizeof(*file));
    }
    return 0;
}

/* Where the segments are told of. Only a kernel without its own page tables may be of 32 bits: PVH begins so. */
struct segment_table {
    bool narrow; /* Elf32_Phdr, else Elf64_Phdr */
    uint64_t offset;
    unsigned size, nr; /* of an entry, and of them */
};

static void read_header(const uint8_t *data, bool narrow, struct segment_table *t)
{
    Elf32_Ehdr head32;
    Elf64_Ehdr head;

    if (narrow) {
        memcpy(&head32, data, sizeof(head32));
        *t = (struct segment_table){true, head32.e_phoff, head32.e_phentsize, head32.e_phnum};
    } else {
        memcpy(&head, data, sizeof(head));
        *t = (struct segment_table){false, head.e_phoff, head.e_phentsize, head.e_phnum};
    }
}

static const char *header_fault(const struct ctl_image *image, struct segment_table *t)
{
    const struct ctl_bytes *elf = &image->elf;
    Elf64_Ehdr head; /* the first members are those of an Elf32_Ehdr, too */
    bool narrow;

    if (elf->size < sizeof(head) || memcmp(elf->data, ELFMAG, SELFMAG) != 0) {
        return "it is neither a bzImage nor an ELF file";
    }
    memcpy(&head, elf->data, sizeof(head));
    narrow = head.e_ident[EI_CLASS] == ELFCLASS32 && image->type == CTL_PVH;
    if ((!narrow && head.e_ident[EI_CLASS] != ELFCLASS64) || head.e_ident[EI_DATA] != ELFDATA2LSB ||
        head.e_machine != (narrow ? EM_386 : EM_X86_64)) {
        return image->type == CTL_PVH ? "it is not a kernel for x86" : "it is not a kernel for 64-bit x86";
    }
    if (head.e_type != ET_EXEC && head.e_type != ET_DYN) {
        return "it is not an executable file";
    }
    read_header(elf->data, narrow, t);
    if (t->size != (narrow ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr)) || t->nr == 0 || t->nr > PHDR_MAX) {
        return "its table of segments is malformed";
    }
    if (t->offset > elf->size || (uint64_t)t->nr * t->size > elf->size - t->offset) {
        return "its table of segments lies outside the file";
    }
    return NULL;
}

static Elf64_Phdr segment_header(const struct ctl_image *image, const struct segment_table *t, unsigned i)
{
    const uint8_t *at = image->elf.data + t->offset + (uint64_t)i * t->size;
    Elf32_Phdr ph32;
    Elf64_Phdr ph;

    if (!t->narrow) {
        memcpy(&ph, at, sizeof(ph));
        return ph;
    }
    memcpy(&ph32, at, sizeof(ph32));
    return (Elf64_Phdr){.p_type = ph32.p_type,
                        .p_offset = ph32.p_offset,
                        .p_paddr = ph32.p_paddr,
                        .p_filesz = ph32.p_filesz,
                        .p_memsz = ph32.p_memsz};
}

static const char *segment_fault(struct ctl_image *image, const Elf64_Phdr *ph)
{
    struct ctl_segment *segment = &image->segments[image->nr_segments];

    if (ph->p_offset > image->elf.size || ph->p_filesz > image->elf.size - ph->p_offset) {
        return "a segment lies outside the file (is the file cut short?)";
    }
    if (ph->p_type == PT_NOTE) {
        return ctl_notes_parse(&image->notes, image->elf.data + ph->p_offset, ph->p_filesz) ? NULL
                                                                                            : "its notes are malformed";
    }
    if (ph->p_type != PT_LOAD || ph->p_memsz == 0) {
        return NULL;
    }
    if (image->nr_segments == CTL_SEGMENTS_MAX) {
        return "it has too many segments";
    }
    if (ph->p_filesz > ph->p_memsz) {
        return "a segment is larger in the file than in memory";
    }
    *segment = (struct ctl_segment){ph->p_offset, ph->p_filesz, ph->p_memsz, ph->p_paddr};
    image->nr_segments++;
    return NULL;
}

/* Turns the segments' physical addresses into places, now that all notes are known; of PVH guests they are the same. */
static const char *place_fault(struct ctl_image *image)
{
    image->start = UINT64_MAX;
    for (unsigned i = 0; i < image->nr_segments; i++) {
        struct ctl_segment *segment = &image->segments[i];

        segment->place -= image->type == CTL_PV ? image->notes.paddr_offset : 0;
        if (segment->place > PLACE_MAX || segment->memory_bytes > PLACE_MAX) {
            return "a segment lies outside any domain's memory";
        }
        if (segment->place < image->start) {
            image->start = segment->place;
        }
        if (segment->place + segment->memory_bytes > image->end) {
            image->end = segment->place + segment->memory_bytes;
        }
    }
    return image->nr_segments ? NULL : "it has nothing to load";
}

static bool covers(const struct ctl_image *image, uint64_t place)
{
    return place >= image->start && place < image->end;
}

static bool inside(const struct ctl_image *image, uint64_t address)
{
    return covers(image, address - image->notes.virt_base);
}

static const char *pvh_fault(const struct ctl_image *image)
{
    if (!image->notes.has_phys32_entry) {
        return "it names no PVH entry point, so it cannot run as a PVH guest";
    }
    if (!covers(image, image->notes.phys32_entry) || image->notes.phys32_entry > UINT32_MAX) {
        return "its PVH entry point lies outside the image";
    }
    return NULL;
}

static const char *pv_fault(const struct ctl_image *image)
{
    const struct ctl_notes *notes = &image->notes;

    if (!notes->any) {
        return "it has no Xen notes, so it cannot run as a PV guest";
    }
    if (!notes->has_entry) {
        return "it names no PV entry point";
    }
    if (notes->virt_base & 0xfff) {
        return "its base address is not page aligned";
    }
    if (!inside(image, notes->entry)) {
        return "its entry point lies outside the image";
    }
    if (notes->has_hypercall_page && (notes->hypercall_page & 0xfff || !inside(image, notes->hypercall_page))) {
        return "its hypercall page lies outside the image";
    }
    if (notes->has_init_p2m && notes->init_p2m & 0xfff) {
        return "its address for the P2M is not page aligned";
    }
    return NULL;
}

int ctl_image_parse(struct ctl_image *image, struct ctl_bytes *file, enum ctl_type type, const char *path,
                    struct ctl_error *err)
{
    struct segment_table table = {0};
    const char *fault;
    int rc;

    memset(image, 0, sizeof(*image));
    image->type = type;
    rc = unwrap(image, file, path, err);
    ctl_bytes_free(file);
    if (rc < 0) {
        return rc;
    }
    fault = header_fault(image, &table);
    for (unsigned i = 0; !fault && i < table.nr; i++) {
        Elf64_Phdr ph = segment_header(image, &table, i);

        fault = segment_fault(image, &ph);
    }
    fault = fault ? fault : place_fault(image);
    fault = fault ? fault : type == CTL_PV ? pv_fault(image) : pvh_fault(image);
    if (fault) {
        ctl_image_free(image);
        return bad(image, err, path, -EINVAL, fault);
    }
    return 0;
}

int ctl_image_load(struct ctl_image *image, enum ctl_type type, const char *path, struct ctl_error *err)
{
    struct ctl_bytes file = {0};
    int rc = ctl_file_read(path, CTL_IMAGE_MAX, &file, err);

    if (rc < 0) {
        memset(image, 0, sizeof(*image));
        return rc;
    }
    return ctl_image_parse(image, &file, type, path, err);
}

void ctl_image_copy(const struct ctl_image *image, uint8_t *memory, uint64_t at)
{
    for (unsigned i = 0; i < image->nr_segments; i++) {
        const struct ctl_segment *s = &image->segments[i];
        uint8_t *to = memory + (s->place - at);

        memcpy(to, image->elf.data + s->offset, s->file_bytes);
        memset(to + s->file_bytes, 0, s->memory_bytes - s->file_bytes);
    }
}

void ctl_image_free(struct ctl_image *image)
{
    ctl_bytes_free(&image->elf);
}
