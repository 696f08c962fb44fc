// SPDX-License-Identifier: BSD-2-Clause
/*
 * PVH domains before there is one: kernels that are and are not for them, where things lie, start information, ACPI
 * tables as a guest finds them from the RSDP on, checks of a configuration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <unistd.h>

#include "elf_maker.h"
#include <cmocka.h>

#define MIB     (1ull << 20)
#define GIB     (1ull << 30)
#define KERNEL  (EM_PLACE + 0x6000) /* end of the image, rounded up */
#define RAM     XEN_HVM_MEMMAP_TYPE_RAM
#define START   (KERNEL + 5 * MIB)
#define RAMDISK (5 * MIB - 100)

static int parse(const struct elf_options *o, struct ctl_image *image, struct ctl_error *err)
{
    struct ctl_bytes file = em_elf(o);

    return ctl_image_parse(image, &file, CTL_PVH, "kernel", err);
}

static void plan(struct ctl_pvh_layout *l, uint64_t ramdisk, uint64_t memory)
{
    struct ctl_image image;

    assert_int_equal(parse(&elf_pvh, &image, NULL), 0);
    assert_int_equal(ctl_pvh_plan(l, &image, ramdisk, memory, "kernel", NULL), 0);
    ctl_image_free(&image);
}

static void kernels_are_judged(void **state)
{
    struct elf_options o = elf_pvh;
    struct ctl_error err = {0};
    struct ctl_image image;

    assert_int_equal(parse(&o, &image, &err), 0);
    assert_int_equal(image.notes.phys32_entry, o.pvh_entry);
    assert_int_equal(image.segments[0].place, EM_PLACE);
    ctl_image_free(&image);
    assert_int_equal(parse(&elf_linux, &image, &err), -EINVAL);
    assert_non_null(strstr(err.message, "no PVH entry"));
    assert_non_null(strstr(err.hint, "CONFIG_PVH"));
    for (o.pvh_entry = EM_PLACE - 1; o.pvh_entry; o.pvh_entry = o.pvh_entry < EM_PLACE ? EM_PLACE + 0x5800 : 0) {
        assert_int_equal(parse(&o, &image, &err), -EINVAL);
        assert_non_null(strstr(err.message, "outside the image"));
    }
}

static const char *verdict_on_32_bits(enum ctl_type type, size_t offset, uint32_t value, unsigned bytes)
{
    static struct ctl_error err;
    struct ctl_bytes file = em_elf32(&elf_pvh);
    struct ctl_image image;

    memcpy(file.data + offset, &value, bytes);
    err = (struct ctl_error){0};
    if (ctl_image_parse(&image, &file, type, "kernel", &err) == 0) {
        ctl_image_free(&image);
    }
    return err.message;
}

/* PVH begins in 32-bit mode, so its kernels may be of 32 bits; PV's may not. */
static void kernels_of_32_bits(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        unsigned bytes;
        const char *words;
    } cases[] = {
        {offsetof(Elf32_Ehdr, e_machine), EM_X86_64, 2, "not a kernel for x86"},
        {offsetof(Elf32_Ehdr, e_type), ET_REL, 2, "executable"},
        {offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf64_Phdr), 2, "malformed"},
        {offsetof(Elf32_Ehdr, e_phnum), 0, 2, "malformed"},
        {offsetof(Elf32_Ehdr, e_phnum), 129, 2, "malformed"},
        {offsetof(Elf32_Ehdr, e_phoff), ~0u, 4, "outside the file"},
        {offsetof(Elf32_Ehdr, e_phoff), 0x400 + EM_TEXT - 63, 4, "outside the file"},
        {52 + offsetof(Elf32_Phdr, p_offset), ~0u - 0x10, 4, "outside the file"},
        {52 + offsetof(Elf32_Phdr, p_memsz), 0x10, 4, "larger"},
        {52 + offsetof(Elf32_Phdr, p_type), PT_NULL, 4, "nothing"},
        {84 + offsetof(Elf32_Phdr, p_type), PT_NULL, 4, "no PVH entry"},
        {84 + offsetof(Elf32_Phdr, p_filesz), ~0u, 4, "outside the file"},
    };
    struct ctl_bytes file = em_elf32(&elf_pvh);
    struct ctl_image image;

    assert_string_equal(verdict_on_32_bits(CTL_PVH, 0, 0x464c457f, 4), "");
    assert_non_null(strstr(verdict_on_32_bits(CTL_PV, 0, 0x464c457f, 4), "64-bit"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *words = verdict_on_32_bits(CTL_PVH, cases[i].offset, cases[i].value, cases[i].bytes);

        if (!strstr(words, cases[i].words)) {
            fail_msg("\"%s\" does not say \"%s\"", words, cases[i].words);
        }
    }
    for (size_t size = 0; size < file.size; size += size < 0x420 ? 1 : 97) {
        struct ctl_bytes cut = em_copy(&file, size);

        assert_true(ctl_image_parse(&image, &cut, CTL_PVH, "kernel", NULL) < 0);
    }
    assert_int_equal(ctl_image_parse(&image, &file, CTL_PVH, "kernel", NULL), 0);
    assert_int_equal(image.notes.phys32_entry, elf_pvh.pvh_entry);
    assert_int_equal(image.nr_segments, 1);
    assert_int_equal(image.start, EM_PLACE);
    assert_int_equal(image.end, EM_PLACE + EM_TEXT + EM_BSS);
    assert_int_equal(image.segments[0].file_bytes, EM_TEXT);
    ctl_image_free(&image);
}

/* Nothing of another guest's or of the builder's is left behind a segment. */
static void segments_are_copied(void **state)
{
    struct ctl_image image;
    uint8_t *memory = malloc(0x6000);

    assert_int_equal(parse(&elf_pvh, &image, NULL), 0);
    memset(memory, 0xff, 0x6000);
    ctl_image_copy(&image, memory, EM_PLACE);
    assert_memory_equal(memory, image.elf.data + 0x400, EM_TEXT);
    for (unsigned i = EM_TEXT; i < EM_TEXT + EM_BSS; i++) {
        assert_int_equal(memory[i], 0);
    }
    assert_int_equal(memory[EM_TEXT + EM_BSS], 0xff);
    free(memory);
    ctl_image_free(&image);
}

static void parts_lie_behind_each_other(void **state)
{
    struct ctl_pvh_layout l;

    plan(&l, RAMDISK, 256 * MIB);
    assert_int_equal(l.kernel, EM_PLACE);
    assert_int_equal(l.ramdisk, KERNEL);
    assert_int_equal(l.start_info, START);
    assert_int_equal(l.end, START + 4096);
    plan(&l, 0, 256 * MIB);
    assert_int_equal(l.start_info, KERNEL);
}

/* All memory is in the map, nothing twice, and the hole is not RAM. */
static void memory_map_is_whole(void **state)
{
    static const uint64_t sizes[] = {64 * MIB, CTL_HOLE - MIB, CTL_HOLE, CTL_HOLE + MIB, 9 * GIB};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ctl_pvh_layout l;
        uint64_t ram = 0, end = 0;

        plan(&l, 0, sizes[i]);
        for (unsigned k = 0; k < l.nr_map; k++) {
            const struct hvm_memmap_table_entry *e = &l.map[k];

            assert_true(e->addr >= end && e->size && e->reserved == 0);
            end = e->addr + e->size;
            ram += e->type == RAM ? e->size : 0;
            assert_true(e->type != RAM || end <= CTL_HOLE || e->addr >= 4 * GIB);
        }
        assert_int_equal(ram, sizes[i]);
        assert_int_equal(l.low + l.high, sizes[i]);
        assert_int_equal(l.nr_map, sizes[i] > CTL_HOLE ? 4 : 3);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    struct ctl_pvh_layout l;
    struct ctl_error err = {0};
    struct ctl_image image;

    assert_int_equal(parse(&elf_pvh, &image, NULL), 0);
    assert_int_equal(ctl_pvh_plan(&l, &image, RAMDISK, START + 4096, "kernel", &err), 0);
    assert_int_equal(ctl_pvh_plan(&l, &image, RAMDISK, START, "kernel", &err), -ENOSPC);
    assert_string_equal(err.field, "memory");
    /* No size of memory makes room for this ramdisk below the hole. */
    assert_int_equal(ctl_pvh_plan(&l, &image, CTL_HOLE, 64 * GIB, "kernel", &err), -EINVAL);
    assert_non_null(strstr(err.hint, "ramdisk"));
    ctl_image_free(&image);
}

static const void *seen(const uint8_t *page, uint64_t from, uint64_t address)
{
    assert_true(address >= from && address < from + 4096);
    return page + (address - from);
}

static void start_information(void **state)
{
    uint8_t *page = malloc(4096);
    const struct hvm_start_info *info = (void *)page;
    const struct hvm_modlist_entry *module;
    struct ctl_pvh_layout l;
    char line[1024];

    memset(page, 0xff, 4096);
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = 0;
    plan(&l, RAMDISK, 8 * GIB);
    ctl_pvh_start_info(&l, line, page);
    assert_int_equal(info->magic, 0x336ec578);
    assert_int_equal(info->version, 1);
    assert_int_equal(info->flags, 0);
    assert_int_equal(info->reserved, 0);
    assert_int_equal(info->rsdp_paddr, CTL_ACPI);
    assert_string_equal(seen(page, START, info->cmdline_paddr), line);
    assert_int_equal(info->nr_modules, 1);
    module = seen(page, START, info->modlist_paddr);
    assert_int_equal(module->paddr, KERNEL);
    assert_int_equal(module->size, RAMDISK);
    assert_int_equal(module->cmdline_paddr, 0);
    assert_int_equal(info->memmap_entries, 4);
    assert_memory_equal(seen(page, START, info->memmap_paddr), l.map, sizeof(l.map));
    plan(&l, 0, 64 * MIB);
    ctl_pvh_start_info(&l, NULL, page);
    assert_int_equal(info->nr_modules, 0);
    assert_int_equal(info->modlist_paddr, 0);
    assert_string_equal(seen(page, KERNEL, info->cmdline_paddr), "");
    free(page);
}

/* ---- ACPI ---- */

static uint64_t number(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

static void check_sum(const uint8_t *p, size_t n)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += p[i];
    }
    assert_int_equal(sum, 0);
}

/* A table by its address: head and checksum are right; returns its bytes. */
static const uint8_t *table(const uint8_t *page, uint64_t address, const char *signature, uint32_t length)
{
    const uint8_t *t = seen(page, CTL_ACPI, address);

    assert_memory_equal(t, signature, 4);
    assert_int_equal(number(t + 4, 4), length);
    assert_int_equal(address % 8, 0);
    check_sum(t, length);
    return t;
}

static void check_madt(const uint8_t *madt, uint32_t vcpus)
{
    assert_int_equal(number(madt + 36, 4), 0xfee00000);
    for (uint32_t i = 0; i < vcpus; i++) {
        const uint8_t *apic = madt + 44 + 8 * i;

        assert_int_equal(apic[0], 0);
        assert_int_equal(apic[1], 8);
        assert_int_equal(apic[2], i);
        assert_int_equal(apic[3], 2 * i);
        assert_int_equal(number(apic + 4, 4), 1);
    }
}

static void acpi_tables(void **state)
{
    for (uint32_t vcpus = 1; vcpus <= CTL_ACPI_VCPUS; vcpus++) {
        uint8_t *page = calloc(1, 4096);
        const uint8_t *rsdp = page, *xsdt, *fadt;

        assert_true(ctl_acpi_build(page, vcpus) <= 4096);
        assert_memory_equal(rsdp, "RSD PTR ", 8);
        check_sum(rsdp, 20);
        check_sum(rsdp, 36);
        assert_int_equal(rsdp[15], 2);
        assert_int_equal(number(rsdp + 16, 4), 0);
        assert_int_equal(number(rsdp + 20, 4), 36);
        xsdt = table(page, number(rsdp + 24, 8), "XSDT", 36 + 2 * 8);
        fadt = table(page, number(xsdt + 36, 8), "FACP", 268);
        check_madt(table(page, number(xsdt + 44, 8), "APIC", 44 + 8 * vcpus), vcpus);
        assert_int_equal(number(fadt + 40, 4), number(fadt + 140, 8));
        table(page, number(fadt + 140, 8), "DSDT", 36);
        assert_int_equal(number(fadt + 109, 2), 0x24); /* no VGA, no CMOS clock; nor an 8042 */
        assert_true(number(fadt + 112, 4) & 1 << 20);  /* hardware reduced */
        free(page);
    }
}

/* ---- configuration ---- */

static char kernel[] = "/tmp/umbra-pvh-XX"
                       "XX"
                       "XX";

static int faults(const struct ctl_domain_config *config, struct ctl_error *first)
{
    struct ctl_error errors[8] = {0};
    int n = ctl_build_check(config, NULL, errors, 8);

    *first = errors[0];
    return n;
}

static void configurations_are_checked(void **state)
{
    struct ctl_bytes elf = em_elf(&elf_pvh);
    int fd = mkstemp(kernel);
    struct ctl_domain_config good = {.name = "g", .type = CTL_PVH, .memory_kib = 256 << 10, .kernel = kernel}, c = good;
    struct ctl_build_facts facts;
    struct ctl_error e;

    assert_int_equal(write(fd, elf.data, elf.size), elf.size);
    close(fd);
    assert_int_equal(ctl_build_check(&good, &facts, &e, 1), 0);
    assert_int_equal(facts.least_memory_kib, (KERNEL + 4096) >> 10);
    c.maxmem_kib = 257 << 10;
    assert_int_equal(faults(&c, &e), 1);
    assert_string_equal(e.field, "maxmem");
    c = good;
    c.maxvcpus = CTL_ACPI_VCPUS + 1;
    assert_int_equal(faults(&c, &e), 1);
    assert_string_equal(e.field, "maxvcpus");
    c = good;
    c.shadow_kib = 1 << 10;
    assert_int_equal(faults(&c, &e), 1);
    assert_string_equal(e.field, "shadow_memory");
    c.shadow_kib = ctl_shadow_default_kib(c.memory_kib, 1) / 2;
    assert_int_equal(faults(&c, &e), 0);
    c = good;
    c.memory_kib = 16 << 10;
    assert_int_equal(faults(&c, &e), 1);
    assert_string_equal(e.field, "memory");
    c = good;
    c.type = CTL_PV; /* it could be either */
    assert_int_equal(faults(&c, &e), 0);
    unlink(kernel);
    free(elf.data);
}

/* libxl's rule. */
static void default_pool(void **state)
{
    assert_int_equal(ctl_shadow_default_kib(256 << 10, 1), 3072);
    assert_int_equal(ctl_shadow_default_kib(1 << 20, 4), 12288);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_judged),         cmocka_unit_test(kernels_of_32_bits),
        cmocka_unit_test(segments_are_copied),        cmocka_unit_test(parts_lie_behind_each_other),
        cmocka_unit_test(memory_map_is_whole),        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(start_information),          cmocka_unit_test(acpi_tables),
        cmocka_unit_test(configurations_are_checked), cmocka_unit_test(default_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
