// SPDX-License-Identifier: BSD-2-Clause
/*
 * Kernel files are untrusted: good ones are understood, damaged ones are refused with a reason, and nothing is read
 * outside them. Every file handed to the parser is an exact allocation, so the address sanitizer guards its ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <unistd.h>
#include <lz4hc.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "elf_maker.h"
#include <cmocka.h>

static int parse(struct ctl_image *image, const struct ctl_bytes *file, struct ctl_error *err)
{
    struct ctl_bytes copy = em_copy(file, file->size);

    return ctl_image_parse(image, &copy, CTL_PV, "kernel", err);
}

static void expect_fault(const struct ctl_bytes *file, const char *words)
{
    struct ctl_error err = {0};
    struct ctl_image image;

    assert_true(parse(&image, file, &err) < 0);
    assert_true(err.code < 0);
    if (words && !strstr(err.message, words)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
}

static void elf_is_understood(void **state)
{
    struct ctl_bytes file = em_elf(&elf_linux);
    struct ctl_error err = {0};
    struct ctl_image image;

    assert_int_equal(parse(&image, &file, &err), 0);
    assert_int_equal(image.nr_segments, 1);
    assert_int_equal(image.start, EM_PLACE);
    assert_int_equal(image.end, EM_PLACE + EM_TEXT + EM_BSS);
    assert_true(image.notes.has_entry && image.notes.has_hypercall_page && image.notes.has_init_p2m);
    assert_true(image.notes.mod_start_pfn);
    assert_true(image.notes.entry == EM_BASE + EM_PLACE + 0x40);
    assert_string_equal(image.notes.guest_os, "test?[2J");
    assert_string_equal(image.format, "ELF");
    ctl_image_free(&image);
    free(file.data);
}

static void damaged_headers_are_refused(void **state)
{
    static const struct {
        size_t offset;
        uint64_t value;
        unsigned bytes;
        const char *words;
    } cases[] = {
        {0, 0, 1, "neither"},
        {EI_CLASS, ELFCLASS32, 1, "64-bit"},
        {offsetof(Elf64_Ehdr, e_machine), EM_386, 2, "64-bit"},
        {offsetof(Elf64_Ehdr, e_type), ET_REL, 2, "executable"},
        {offsetof(Elf64_Ehdr, e_phnum), 0, 2, "malformed"},
        {offsetof(Elf64_Ehdr, e_phnum), 0xffff, 2, "malformed"},
        {offsetof(Elf64_Ehdr, e_phoff), ~0ull, 8, "outside"},
        {64 + offsetof(Elf64_Phdr, p_offset), ~0ull - 0x10, 8, "outside"},
        {64 + offsetof(Elf64_Phdr, p_filesz), 1 << 20, 8, "outside"},
        {64 + offsetof(Elf64_Phdr, p_memsz), 0x10, 8, "larger"},
        {64 + offsetof(Elf64_Phdr, p_memsz), ~0ull, 8, "outside any"},
        {64 + offsetof(Elf64_Phdr, p_paddr), ~0ull - 0xfff, 8, "outside any"},
        {64 + offsetof(Elf64_Phdr, p_type), PT_NULL, 4, "nothing"},
        {120 + offsetof(Elf64_Phdr, p_type), PT_NULL, 4, "no Xen notes"},
        {0x200 + 4, 0xfffffff0, 4, "notes are malformed"},
        {0x200, 0xfffffffe, 4, "notes are malformed"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_bytes file = em_elf(&elf_linux);

        memcpy(file.data + cases[i].offset, &cases[i].value, cases[i].bytes);
        expect_fault(&file, cases[i].words);
        free(file.data);
    }
}

static void addresses_outside_are_refused(void **state)
{
    struct ctl_bytes file = em_elf(&elf_linux);
    uint64_t wrong = EM_BASE;
    size_t entry = 0;

    for (size_t at = 0x200; at < 0x300; at += 4) {
        uint64_t value;

        memcpy(&value, file.data + at, 8);
        entry = value == EM_BASE + EM_PLACE + 0x40 ? at : entry;
    }
    assert_true(entry != 0);
    memcpy(file.data + entry, &wrong, 8);
    expect_fault(&file, "entry point lies outside");
    free(file.data);
}

static void every_truncation_is_survived(void **state)
{
    struct ctl_bytes file = em_elf(&elf_linux);

    for (size_t size = 0; size < file.size; size += size < 0x420 ? 1 : 97) {
        struct ctl_bytes cut = {file.data, size};

        expect_fault(&cut, NULL);
    }
    free(file.data);
}

/* A fixed sequence, so that a failure repeats. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void random_damage_is_survived(void **state)
{
    struct ctl_bytes good = em_elf(&elf_linux);
    uint32_t seed = 7;

    for (int round = 0; round < 20000; round++) {
        struct ctl_bytes file = em_copy(&good, good.size);
        struct ctl_image image;

        for (unsigned n = 1 + next_random(&seed) % 4; n; n--) {
            file.data[next_random(&seed) % 0x320] = next_random(&seed);
        }
        if (ctl_image_parse(&image, &file, CTL_PV, "kernel", NULL) == 0) {
            for (unsigned i = 0; i < image.nr_segments; i++) {
                assert_true(image.segments[i].offset + image.segments[i].file_bytes <= image.elf.size);
            }
            ctl_image_free(&image);
        }
    }
    free(good.data);
}

static struct ctl_bytes pack_gzip(const struct ctl_bytes *in)
{
    struct ctl_bytes out = {malloc(1 << 20), 0};
    z_stream z = {.next_in = in->data, .avail_in = in->size, .next_out = out.data, .avail_out = 1 << 20};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.size = z.total_out;
    deflateEnd(&z);
    return out;
}

static struct ctl_bytes pack_xz(const struct ctl_bytes *in)
{
    struct ctl_bytes out = {malloc(1 << 20), 0};
    lzma_options_lzma options;
    lzma_filter filters[] = {{LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};

    assert_false(lzma_lzma_preset(&options, 6));
    assert_int_equal(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, in->data, in->size, out.data, &out.size,
                                               1 << 20),
                     LZMA_OK);
    return out;
}

static struct ctl_bytes pack_lzma(const struct ctl_bytes *in)
{
    struct ctl_bytes out = {malloc(1 << 20), 0};
    lzma_stream lz = LZMA_STREAM_INIT;
    lzma_options_lzma options;

    assert_false(lzma_lzma_preset(&options, 6));
    assert_int_equal(lzma_alone_encoder(&lz, &options), LZMA_OK);
    lz.next_in = in->data;
    lz.avail_in = in->size;
    lz.next_out = out.data;
    lz.avail_out = 1 << 20;
    assert_int_equal(lzma_code(&lz, LZMA_FINISH), LZMA_STREAM_END);
    out.size = lz.total_out;
    lzma_end(&lz);
    return out;
}

static struct ctl_bytes pack_zstd(const struct ctl_bytes *in)
{
    struct ctl_bytes out = {malloc(1 << 20), 0};

    out.size = ZSTD_compress(out.data, 1 << 20, in->data, in->size, 19);
    assert_false(ZSTD_isError(out.size));
    return out;
}

static struct ctl_bytes pack_lz4(const struct ctl_bytes *in)
{
    struct ctl_bytes out = {malloc(1 << 20), 8};
    uint32_t packed;

    memcpy(out.data, "\x02\x21\x4c\x18", 4);
    packed = LZ4_compress_HC((char *)in->data, (char *)out.data + 8, in->size, (1 << 20) - 8, 9);
    assert_true(packed > 0);
    memcpy(out.data + 4, &packed, 4);
    out.size += packed;
    return out;
}

static struct ctl_bytes pack_none(const struct ctl_bytes *in)
{
    return em_copy(in, in->size);
}

static const struct packer {
    const char *name;
    bool append_size;
    struct ctl_bytes (*pack)(const struct ctl_bytes *in);
} packers[] = {
    {"gzip", false, pack_gzip}, {"xz", true, pack_xz},   {"lzma", true, pack_lzma},
    {"zstd", true, pack_zstd},  {"lz4", true, pack_lz4}, {"none", false, pack_none},
};

#define PACKERS (sizeof(packers) / sizeof(packers[0]))

static void each_compression_is_unpacked(void **state)
{
    struct ctl_bytes elf = em_elf(&elf_linux);

    for (size_t i = 0; i < PACKERS; i++) {
        struct ctl_bytes payload = packers[i].pack(&elf);
        struct ctl_bytes file = em_bzimage(&payload, packers[i].append_size, elf.size);
        struct ctl_error err = {0};
        struct ctl_image image;

        if (parse(&image, &file, &err) < 0) {
            fail_msg("%s: %s", packers[i].name, err.message);
        }
        assert_string_equal(image.compression, packers[i].name);
        assert_string_equal(image.format, "bzImage");
        assert_int_equal(image.elf.size, elf.size);
        assert_memory_equal(image.elf.data, elf.data, elf.size);
        ctl_image_free(&image);
        free(payload.data);
        free(file.data);
    }
    free(elf.data);
}

static void damaged_payloads_are_refused(void **state)
{
    struct ctl_bytes elf = em_elf(&elf_linux);
    uint32_t seed = 3;

    for (size_t i = 0; i + 1 < PACKERS; i++) {
        struct ctl_bytes payload = packers[i].pack(&elf);

        for (size_t size = 0; size < payload.size; size += 1 + size / 16) {
            struct ctl_bytes cut = em_copy(&payload, size), out;
            char kind[8];

            ctl_payload_unpack(cut.data, cut.size, 1 << 20, kind, &out);
            assert_true(!out.data || out.size < elf.size || strcmp(kind, "gzip") == 0 || strcmp(kind, "lzma") == 0);
            ctl_bytes_free(&out);
            free(cut.data);
        }
        for (int round = 0; round < 500; round++) {
            struct ctl_bytes bad = em_copy(&payload, payload.size), out;
            char kind[8];

            bad.data[next_random(&seed) % bad.size] ^= 1 + next_random(&seed) % 255;
            ctl_payload_unpack(bad.data, bad.size, 1 << 20, kind, &out);
            ctl_bytes_free(&out);
            free(bad.data);
        }
        free(payload.data);
    }
    free(elf.data);
}

/* A small file must not fill the memory. */
static void unpacking_is_bounded(void **state)
{
    struct ctl_bytes zeros = {calloc(1, 8 << 20), 8 << 20};

    for (size_t i = 0; i + 1 < PACKERS; i++) {
        struct ctl_bytes payload = packers[i].pack(&zeros), out;
        char kind[8];

        assert_int_equal(ctl_payload_unpack(payload.data, payload.size, 3 << 20, kind, &out), -EFBIG);
        assert_null(out.data);
        assert_int_equal(ctl_payload_unpack(payload.data, payload.size, 8 << 20, kind, &out), 0);
        assert_int_equal(out.size, 8 << 20);
        ctl_bytes_free(&out);
        free(payload.data);
    }
    free(zeros.data);
}

static void damaged_bzimages_are_refused(void **state)
{
    struct ctl_bytes elf = em_elf(&elf_linux), payload = pack_gzip(&elf), file = em_bzimage(&payload, false, 0);
    uint32_t huge = 0xfffffff0;

    file.data[0x207] = 1;
    expect_fault(&file, "too old");
    file.data[0x207] = 2;
    memcpy(file.data + 0x248, &huge, 4);
    expect_fault(&file, "damaged");
    memcpy(file.data + 0x248, "\0\1\0\0", 4);
    memcpy(file.data + 0x24c, &huge, 4);
    expect_fault(&file, "damaged");
    memcpy(file.data + 5 * 512 + 0x100, "BZh9", 4);
    huge = payload.size;
    memcpy(file.data + 0x24c, &huge, 4);
    expect_fault(&file, "not supported");
    free(file.data);
    free(payload.data);
    free(elf.data);
}

static void garbage_is_refused(void **state)
{
    static const char *const texts[] = {"", "x", "MZ", "#!/bin/sh\n",
                                        ("\x7f"
                                         "ELF")};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct ctl_bytes file = {(uint8_t *)(uintptr_t)texts[i], strlen(texts[i])};

        expect_fault(&file, "neither");
    }
}

static void notes_of_odd_shape_are_passed_over(void **state)
{
    uint8_t data[64] = {0};
    struct ctl_notes notes = {0};
    size_t n = em_note(data, XEN_ELFNOTE_ENTRY, "abc", 3);

    assert_true(ctl_notes_parse(&notes, data, n));
    assert_false(notes.has_entry);
    assert_true(notes.any);
    /* The padding of the last note may be missing. */
    n = em_note(data, XEN_ELFNOTE_GUEST_OS, "ab", 2);
    assert_true(ctl_notes_parse(&notes, data, n - 2));
    assert_string_equal(notes.guest_os, "ab");
    assert_true(ctl_notes_parse(&notes, data, 0));
}

static void debian_kernel_is_understood(void **state)
{
    const char *path = getenv("UMBRA_TEST_KERNEL");
    struct ctl_error err = {0};
    struct ctl_image image;

    path = path ? path : "build/image/vmlinuz";
    if (access(path, R_OK) != 0) {
        print_message("no kernel at %s (set UMBRA_TEST_KERNEL)\n", path);
        skip();
    }
    if (ctl_image_load(&image, CTL_PV, path, &err) < 0) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(image.format, "bzImage");
    assert_string_equal(image.notes.guest_os, "linux");
    assert_true(image.notes.has_entry && image.notes.has_init_p2m && image.notes.mod_start_pfn);
    assert_true(image.notes.virt_base == EM_BASE);
    ctl_image_free(&image);
    if (ctl_image_load(&image, CTL_PVH, path, &err) < 0) {
        fail_msg("%s", err.message);
    }
    assert_true(image.notes.phys32_entry >= image.start && image.notes.phys32_entry < image.end);
    assert_int_equal(image.start, EM_PLACE);
    ctl_image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf_is_understood),
        cmocka_unit_test(damaged_headers_are_refused),
        cmocka_unit_test(addresses_outside_are_refused),
        cmocka_unit_test(every_truncation_is_survived),
        cmocka_unit_test(random_damage_is_survived),
        cmocka_unit_test(each_compression_is_unpacked),
        cmocka_unit_test(damaged_payloads_are_refused),
        cmocka_unit_test(unpacking_is_bounded),
        cmocka_unit_test(damaged_bzimages_are_refused),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(notes_of_odd_shape_are_passed_over),
        cmocka_unit_test(debian_kernel_is_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
