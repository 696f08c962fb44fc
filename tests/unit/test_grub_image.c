// SPDX-License-Identifier: BSD-2-Clause
/*
 * GRUB as a guest's kernel: images of the shape that grub-mkimage makes, with a segment that begins in the middle of a
 * page, where the one before it ends in memory; of PV guests linked at 0 and without a hypercall page, of PVH guests of
 * the 32-bit class. Where Debian's own are, they are looked at as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <unistd.h>

#include "elf_maker.h"
#include <cmocka.h>

#define MIB       (1ull << 20)
#define NOTES     0x200u
#define CORE      0x1000u  /* offset in the file */
#define CORE_SIZE 0xaefu   /* bytes of it there */
#define CORE_ALL  0x41e1fu /* and in memory */
#define MODULES   0x5bd8u
#define FILE_SIZE (CORE + CORE_SIZE + MODULES)
#define PVH_PLACE 0x100000u
#define LAST      (CORE_ALL + MODULES) /* from its place on */

/* The contents: no two pages alike. */
static struct ctl_bytes blank(void)
{
    struct ctl_bytes out = {calloc(1, FILE_SIZE), FILE_SIZE};

    for (unsigned i = CORE; i < FILE_SIZE; i++) {
        out.data[i] = i * 7 + (i >> 8) + 1;
    }
    return out;
}

static struct ctl_bytes grub_pv(void)
{
    struct ctl_bytes out = blank();
    Elf64_Ehdr *head = (void *)out.data;
    Elf64_Phdr *ph = (void *)(out.data + sizeof(*head));
    uint64_t zero = 0;

    memcpy(head->e_ident, ELFMAG, SELFMAG);
    head->e_ident[EI_CLASS] = ELFCLASS64;
    head->e_ident[EI_DATA] = ELFDATA2LSB;
    head->e_type = ET_EXEC;
    head->e_machine = EM_X86_64;
    head->e_phoff = sizeof(*head);
    head->e_phentsize = sizeof(*ph);
    head->e_phnum = 4;
    ph[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_offset = CORE, .p_filesz = CORE_SIZE, .p_memsz = CORE_ALL};
    ph[1] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_offset = CORE + CORE_SIZE};
    ph[2] = (Elf64_Phdr){.p_type = PT_LOAD, .p_offset = CORE + CORE_SIZE, .p_paddr = CORE_ALL, .p_filesz = MODULES};
    ph[2].p_memsz = MODULES;
    ph[3] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = NOTES};
    ph[3].p_filesz = em_note(out.data + NOTES, XEN_ELFNOTE_GUEST_OS, "GRUB", 5);
    ph[3].p_filesz += em_note(out.data + NOTES + ph[3].p_filesz, XEN_ELFNOTE_LOADER, "generic", 8);
    ph[3].p_filesz += em_note(out.data + NOTES + ph[3].p_filesz, XEN_ELFNOTE_ENTRY, &zero, 8);
    ph[3].p_filesz += em_note(out.data + NOTES + ph[3].p_filesz, XEN_ELFNOTE_VIRT_BASE, &zero, 8);
    return out;
}

static struct ctl_bytes grub_pvh(void)
{
    struct ctl_bytes out = blank();
    Elf32_Ehdr *head = (void *)out.data;
    Elf32_Phdr *ph = (void *)(out.data + sizeof(*head));
    uint32_t entry = PVH_PLACE;

    memcpy(head->e_ident, ELFMAG, SELFMAG);
    head->e_ident[EI_CLASS] = ELFCLASS32;
    head->e_ident[EI_DATA] = ELFDATA2LSB;
    head->e_type = ET_EXEC;
    head->e_machine = EM_386;
    head->e_phoff = sizeof(*head);
    head->e_phentsize = sizeof(*ph);
    head->e_phnum = 4;
    ph[0] = (Elf32_Phdr){.p_type = PT_LOAD, .p_offset = CORE, .p_vaddr = PVH_PLACE, .p_paddr = PVH_PLACE};
    ph[0].p_filesz = CORE_SIZE;
    ph[0].p_memsz = CORE_ALL;
    ph[1] = (Elf32_Phdr){.p_type = PT_GNU_STACK, .p_offset = CORE + CORE_SIZE};
    ph[2] = (Elf32_Phdr){.p_type = PT_LOAD, .p_offset = CORE + CORE_SIZE, .p_paddr = PVH_PLACE + CORE_ALL};
    ph[2].p_filesz = ph[2].p_memsz = MODULES;
    ph[3] = (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = NOTES};
    ph[3].p_filesz = em_note(out.data + NOTES, XEN_ELFNOTE_PHYS32_ENTRY, &entry, 4);
    return out;
}

static int parse(struct ctl_image *image, const struct ctl_bytes *file, enum ctl_type type, struct ctl_error *err)
{
    struct ctl_bytes copy = em_copy(file, file->size);

    return ctl_image_parse(image, &copy, type, "grub", err);
}

static void must_parse(struct ctl_image *image, struct ctl_bytes file, enum ctl_type type)
{
    struct ctl_error err = {0};

    if (parse(image, &file, type, &err) < 0) {
        fail_msg("%s", err.message);
    }
    free(file.data);
}

/* GRUB finds its modules by the end of what it takes in memory, to the byte; between the two are zeros. */
static void check_contents(const struct ctl_image *image, uint64_t place)
{
    uint8_t *memory = malloc(LAST);

    memset(memory, 0xff, LAST);
    ctl_image_copy(image, memory, place);
    assert_memory_equal(memory, image->elf.data + CORE, CORE_SIZE);
    for (unsigned i = CORE_SIZE; i < CORE_ALL; i++) {
        assert_int_equal(memory[i], 0);
    }
    assert_memory_equal(memory + CORE_ALL, image->elf.data + CORE + CORE_SIZE, MODULES);
    free(memory);
}

static void pv_image_is_understood(void **state)
{
    struct ctl_image image;

    must_parse(&image, grub_pv(), CTL_PV);
    assert_int_equal(image.nr_segments, 2);
    assert_int_equal(image.start, 0);
    assert_int_equal(image.end, LAST);
    assert_true(image.notes.has_entry && image.notes.entry == 0 && image.notes.virt_base == 0);
    assert_false(image.notes.has_hypercall_page || image.notes.has_init_p2m || image.notes.mod_start_pfn);
    assert_string_equal(image.notes.guest_os, "GRUB");
    check_contents(&image, 0);
    ctl_image_free(&image);
}

/* It takes the list of frames where it has been mapped, and goes through all of it: nothing lies elsewhere. */
static void pv_image_is_placed(void **state)
{
    struct ctl_error err = {0};
    struct ctl_layout l;
    struct ctl_image image;

    must_parse(&image, grub_pv(), CTL_PV);
    assert_int_equal(ctl_layout_plan(&l, &image, 0, 512 * MIB >> 12, "grub", &err), 0);
    assert_int_equal(l.kernel_pfn, 0);
    assert_int_equal(l.kernel_end_pfn, (LAST + 4095) >> 12);
    assert_int_equal(l.nr_maps, 1);
    assert_int_equal(l.p2m_pfn, l.kernel_end_pfn);
    assert_true(l.p2m_virt == l.p2m_pfn << 12);
    assert_true(l.maps[0].virt == 0 && l.maps[0].pages > l.boot_end_pfn);
    /* All but the list ends where the first mapping does, and that is less than any guest has. */
    assert_true(l.needed_pages << 12 < 16 * MIB);
    ctl_image_free(&image);
}

static void pvh_image_is_understood(void **state)
{
    struct ctl_pvh_layout l;
    struct ctl_image image;

    must_parse(&image, grub_pvh(), CTL_PVH);
    assert_int_equal(image.nr_segments, 2);
    assert_int_equal(image.start, PVH_PLACE);
    assert_int_equal(image.end, PVH_PLACE + LAST);
    assert_int_equal(image.notes.phys32_entry, PVH_PLACE);
    check_contents(&image, PVH_PLACE);
    assert_int_equal(ctl_pvh_plan(&l, &image, 0, 512 * MIB, "grub", NULL), 0);
    assert_int_equal(l.kernel, PVH_PLACE);
    assert_true(l.start_info >= PVH_PLACE + LAST);
    ctl_image_free(&image);
}

/* Each is for its own type of guest. */
static void the_other_type_is_refused(void **state)
{
    struct ctl_bytes pv = grub_pv(), pvh = grub_pvh();
    struct ctl_error err = {0};
    struct ctl_image image;

    assert_int_equal(parse(&image, &pvh, CTL_PV, &err), -EINVAL);
    assert_non_null(strstr(err.message, "64-bit"));
    assert_int_equal(parse(&image, &pv, CTL_PVH, &err), -EINVAL);
    assert_non_null(strstr(err.message, "no PVH entry"));
    free(pv.data);
    free(pvh.data);
}

static void damaged_headers_are_refused(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        unsigned bytes;
        const char *words;
    } cases[] = {
        {0, 0, 1, "neither"},
        {EI_CLASS, ELFCLASSNONE, 1, "for x86"},
        {EI_CLASS, ELFCLASS64, 1, "for x86"},
        {EI_DATA, ELFDATA2MSB, 1, "for x86"},
        {offsetof(Elf32_Ehdr, e_machine), EM_X86_64, 2, "for x86"},
        {offsetof(Elf32_Ehdr, e_type), ET_REL, 2, "executable"},
        {offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf64_Phdr), 2, "malformed"},
        {offsetof(Elf32_Ehdr, e_phnum), 0, 2, "malformed"},
        {offsetof(Elf32_Ehdr, e_phnum), 0xffff, 2, "malformed"},
        {offsetof(Elf32_Ehdr, e_phoff), FILE_SIZE - 4 * sizeof(Elf32_Phdr) + 1, 4, "outside"},
        {offsetof(Elf32_Ehdr, e_phoff), ~0u, 4, "outside"},
        {52 + offsetof(Elf32_Phdr, p_offset), ~0u - 0x10, 4, "outside"},
        {52 + offsetof(Elf32_Phdr, p_filesz), ~0u, 4, "outside"},
        {52 + offsetof(Elf32_Phdr, p_memsz), 0x10, 4, "larger"},
        {52 + offsetof(Elf32_Phdr, p_paddr), ~0u, 4, "outside the image"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_bytes file = grub_pvh();
        struct ctl_error err = {0};
        struct ctl_image image;

        memcpy(file.data + cases[i].offset, &cases[i].value, cases[i].bytes);
        assert_true(parse(&image, &file, CTL_PVH, &err) < 0);
        if (!strstr(err.message, cases[i].words)) {
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].words);
        }
        free(file.data);
    }
}

/* The file is an exact allocation at each size, so that the sanitizer sees what is read beyond it. */
static void every_truncation_is_refused(void **state)
{
    struct ctl_bytes file = grub_pvh();

    for (size_t size = 0; size < file.size; size += size < 0x280 ? 1 : 97) {
        struct ctl_bytes cut = {file.data, size};
        struct ctl_image image;

        assert_true(parse(&image, &cut, CTL_PVH, NULL) < 0);
    }
    free(file.data);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void random_damage_is_survived(void **state)
{
    struct ctl_bytes good = grub_pvh();
    uint32_t seed = 7;

    for (int round = 0; round < 20000; round++) {
        struct ctl_bytes file = em_copy(&good, good.size);
        struct ctl_image image;

        for (unsigned n = 1 + next_random(&seed) % 4; n; n--) {
            file.data[next_random(&seed) % 0x220] = next_random(&seed);
        }
        if (ctl_image_parse(&image, &file, CTL_PVH, "grub", NULL) == 0) {
            for (unsigned i = 0; i < image.nr_segments; i++) {
                assert_true(image.segments[i].offset + image.segments[i].file_bytes <= image.elf.size);
            }
            ctl_image_free(&image);
        }
    }
    free(good.data);
}

static void load(struct ctl_image *image, enum ctl_type type, const char *name)
{
    const char *folder = getenv("UMBRA_TEST_GRUB");
    struct ctl_error err = {0};
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "build/image/debian/overlay/usr/lib/grub-xen", name);
    if (access(path, R_OK) != 0) {
        print_message("no %s (make debian-disk, or set UMBRA_TEST_GRUB)\n", path);
        skip();
    }
    if (ctl_image_load(image, type, path, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void debian_images_are_understood(void **state)
{
    struct ctl_pvh_layout pvh;
    struct ctl_layout pv;
    struct ctl_image image;

    load(&image, CTL_PV, "grub-x86_64-xen.bin");
    assert_string_equal(image.notes.guest_os, "GRUB");
    assert_int_equal(ctl_layout_plan(&pv, &image, 0, 64 * MIB >> 12, "grub", NULL), 0);
    ctl_image_free(&image);
    load(&image, CTL_PVH, "grub-i386-xen_pvh.bin");
    assert_int_equal(image.notes.phys32_entry, image.start);
    assert_int_equal(ctl_pvh_plan(&pvh, &image, 0, 64 * MIB, "grub", NULL), 0);
    ctl_image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pv_image_is_understood),      cmocka_unit_test(pv_image_is_placed),
        cmocka_unit_test(pvh_image_is_understood),     cmocka_unit_test(the_other_type_is_refused),
        cmocka_unit_test(damaged_headers_are_refused), cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(random_damage_is_survived),   cmocka_unit_test(debian_images_are_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
