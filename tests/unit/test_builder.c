// SPDX-License-Identifier: BSD-2-Clause
/*
 * Layout and first page tables of a PV domain, judged by a slow and obvious model: tables are walked from the L4 for
 * every address, and what is found must be what the layout promises. Also the checks of a configuration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <errno.h>
#include <unistd.h>

#include "elf_maker.h"
#include <cmocka.h>

/* A domain's memory as far as tables go: machine frame of each pfn, and the contents of those that are tables. */
struct model {
    struct ctl_layout layout;
    uint64_t *p2m;
    uint64_t *l4, *tables[2];
};

static uint64_t machine_frame(uint64_t pfn)
{
    return 0x100000 + (pfn * 7919) % 0x40000;
}

static struct ctl_image image_of(const struct elf_options *o)
{
    struct ctl_bytes file = em_elf(o);
    struct ctl_error err = {0};
    struct ctl_image image;

    if (ctl_image_parse(&image, &file, CTL_PV, "kernel", &err) < 0) {
        fail_msg("%s", err.message);
    }
    return image;
}

static uint64_t count_below_l4(const struct ctl_map *map)
{
    return map->nr[1] + map->nr[2] + map->nr[3];
}

static void model_open(struct model *m, const struct elf_options *o, uint64_t ramdisk, uint64_t pages)
{
    struct ctl_image image = image_of(o);
    struct ctl_error err = {0};

    memset(m, 0, sizeof(*m));
    if (ctl_layout_plan(&m->layout, &image, ramdisk, pages, "kernel", &err) < 0) {
        fail_msg("%s", err.message);
    }
    ctl_image_free(&image);
    m->p2m = malloc(pages * sizeof(*m->p2m));
    for (uint64_t pfn = 0; pfn < pages; pfn++) {
        m->p2m[pfn] = machine_frame(pfn);
    }
    m->l4 = calloc(1, 4096);
    for (unsigned i = 0; i < m->layout.nr_maps; i++) {
        m->tables[i] = malloc(4096 * count_below_l4(&m->layout.maps[i]));
        ctl_pagetable_build(&m->layout, i, m->p2m, m->l4, m->tables[i]);
    }
}

static void model_close(struct model *m)
{
    free(m->p2m);
    free(m->l4);
    free(m->tables[0]);
    free(m->tables[1]);
}

/* Contents of the table in a machine frame, found by looking through all tables. */
static const uint64_t *table_at(const struct model *m, uint64_t frame)
{
    if (m->p2m[m->layout.l4_pfn] == frame) {
        return m->l4;
    }
    for (unsigned i = 0; i < m->layout.nr_maps; i++) {
        const struct ctl_map *map = &m->layout.maps[i];

        for (uint64_t n = 0; n < count_below_l4(map); n++) {
            if (m->p2m[map->tables_pfn + n] == frame) {
                return m->tables[i] + 512 * n;
            }
        }
    }
    fail_msg("frame %llx is no table", (unsigned long long)frame);
    return NULL;
}

/* The leaf entry for an address, 0 when there is none. */
static uint64_t walk(const struct model *m, uint64_t virt)
{
    const uint64_t *table = m->l4;
    uint64_t entry = 0;

    for (unsigned level = 4; level; level--) {
        entry = table[virt >> (12 + 9 * (level - 1)) & 0x1ff];
        if (!(entry & 1)) {
            return 0;
        }
        if (level > 1) {
            assert_int_equal(entry & 0xfff, 0x67);
            table = table_at(m, entry >> 12);
        }
    }
    return entry;
}

static bool model_is_table(const struct ctl_layout *l, uint64_t pfn)
{
    if (pfn == l->l4_pfn) {
        return true;
    }
    for (unsigned i = 0; i < l->nr_maps; i++) {
        if (pfn >= l->maps[i].tables_pfn && pfn < l->maps[i].tables_pfn + count_below_l4(&l->maps[i])) {
            return true;
        }
    }
    return false;
}

static void check_map(const struct model *m, const struct ctl_map *map)
{
    for (uint64_t i = 0; i < map->pages; i++) {
        uint64_t entry = walk(m, map->virt + (i << 12)), pfn = map->pfn + i;

        assert_int_equal(entry >> 12, m->p2m[pfn]);
        assert_int_equal(entry & 0xfff, model_is_table(&m->layout, pfn) ? 0x61 : 0x63);
    }
    assert_int_equal(walk(m, map->virt - 0x1000), 0);
    assert_int_equal(walk(m, map->virt + (map->pages << 12)), 0);
}

struct part {
    uint64_t first, count;
};

/* Parts lie in the domain, in this order, without overlap. */
static void check_parts(const struct ctl_layout *l, const struct part *parts, unsigned n)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < n; i++) {
        if (parts[i].count == 0) {
            continue;
        }
        assert_true(parts[i].first >= at);
        at = parts[i].first + parts[i].count;
    }
    assert_true(at <= l->nr_pages);
    assert_true(at <= l->needed_pages);
}

static void check_layout(const struct ctl_layout *l)
{
    bool p2m_in = l->nr_maps == 1;
    const struct part parts[] = {
        {l->kernel_pfn, l->kernel_end_pfn - l->kernel_pfn},
        {l->ramdisk_pfn, l->ramdisk_mapped ? l->ramdisk_pages : 0},
        {l->p2m_pfn, p2m_in ? l->p2m_all_pages : 0},
        {l->start_info_pfn, 1},
        {l->store_pfn, 1},
        {l->console_pfn, 1},
        {l->l4_pfn, l->table_pages},
        {l->stack_pfn, 1},
        {l->boot_end_pfn + 127, 1},
        {l->maps[0].pages, 0},
        {l->p2m_pfn, p2m_in ? 0 : l->p2m_all_pages},
        {l->ramdisk_pfn, l->ramdisk_mapped ? 0 : l->ramdisk_pages},
    };

    check_parts(l, parts, sizeof(parts) / sizeof(parts[0]));
    assert_int_equal(l->maps[0].pages % 1024, 0);
    assert_true(l->boot_end_pfn + 128 <= l->maps[0].pages);
    assert_true(p2m_in || l->p2m_pfn >= l->maps[0].pages);
    assert_int_equal(l->table_pages, 1 + count_below_l4(&l->maps[0]));
    assert_true(l->p2m_pages * 512 >= l->nr_pages);
}

static void tables_match_the_model(void **state)
{
    static const uint64_t sizes[] = {9000, 16384, 131072 + 5, 600000};
    static const uint64_t ramdisks[] = {0, 1, 4096, 9000001};
    static const struct elf_options kinds[] = {
        {true, true, true, EM_BASE, 0x8000000000ull, 0},
        {true, false, true, EM_BASE, 0x8000000000ull, 0},
        {false, true, false, EM_BASE, 0, 0},
        {false, false, true, EM_BASE, 0, 0},
        {true, true, true, 0xffff880000000000ull, 0xffffc9ffffff0000ull, 0},
        {false, true, true, 0x7fc0000000ull, 0, 0},
        {false, true, true, 0, 0, 0},
    };

    for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        for (unsigned i = 0; i < 16; i++) {
            struct model m;

            model_open(&m, &kinds[k], ramdisks[i % 4], sizes[i / 4]);
            check_layout(&m.layout);
            for (unsigned j = 0; j < m.layout.nr_maps; j++) {
                check_map(&m, &m.layout.maps[j]);
            }
            model_close(&m);
        }
    }
}

static int plan(const struct elf_options *o, uint64_t ramdisk, uint64_t pages, struct ctl_error *err)
{
    struct ctl_image image = image_of(o);
    struct ctl_layout layout;
    int rc = ctl_layout_plan(&layout, &image, ramdisk, pages, "kernel", err);

    ctl_image_free(&image);
    return rc;
}

static void impossible_addresses_are_refused(void **state)
{
    static const struct elf_options kinds[] = {
        {false, true, true, 0xffffffffff000000ull, 0, 0},      /* wraps */
        {false, true, true, 0xffff800000000000ull, 0, 0},      /* the hypervisor's own */
        {false, true, true, 0xffff87ffff000000ull, 0, 0},      /* partly the hypervisor's */
        {false, true, true, 0x7fffff000000ull, 0, 0},          /* runs into the hole */
        {false, true, true, 0x1234000000000000ull, 0, 0},      /* not canonical */
        {true, true, true, EM_BASE, 0xffff800000000000ull, 0}, /* P2M: likewise */
        {true, true, true, EM_BASE, 0xfffffffffffff000ull, 0}, /* wraps */
        {true, true, true, EM_BASE, 0xffffff8000000000ull, 0}, /* same 512 GiB */
        {true, true, true, EM_BASE, 0xfff0000000000000ull, 0},
    };

    for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct ctl_error err = {0};

        assert_int_equal(plan(&kinds[k], 0, 32768, &err), -EINVAL);
        assert_int_equal(err.code, -EINVAL);
    }
}

static void little_memory_is_refused(void **state)
{
    struct ctl_error err = {0};
    struct ctl_image image = image_of(&elf_linux);
    struct ctl_layout layout;

    assert_int_equal(ctl_layout_plan(&layout, &image, 1 << 20, 32768, "kernel", &err), 0);
    /* The P2M shrinks with the domain, so the exact bound is found by trying. */
    while (ctl_layout_plan(&layout, &image, 1 << 20, layout.needed_pages, "kernel", &err) == 0 &&
           layout.needed_pages < layout.nr_pages) {
    }
    assert_int_equal(ctl_layout_plan(&layout, &image, 1 << 20, layout.needed_pages - 1, "kernel", &err), -ENOSPC);
    assert_string_equal(err.field, "memory");
    assert_true(err.hint[0] != 0);
    ctl_image_free(&image);
}

static struct ctl_domain_config config_of(const char *name, const char *kernel)
{
    struct ctl_domain_config config = {.memory_kib = 128 << 10, .vcpus = 1, .kernel = kernel};

    strncpy(config.name, name, sizeof(config.name) - 1);
    return config;
}

static void all_faults_are_found_at_once(void **state)
{
    struct ctl_domain_config config = config_of("bad name", "/nonexistent/kernel");
    struct ctl_error errors[8] = {0};

    config.memory_kib = 0;
    config.vcpus = 8;
    config.maxvcpus = 2;
    config.ramdisk = "/";
    assert_int_equal(ctl_build_check(&config, NULL, errors, 8), 5);
    assert_string_equal(errors[0].field, "name");
    assert_string_equal(errors[1].field, "memory");
    assert_string_equal(errors[2].field, "maxvcpus");
    assert_string_equal(errors[3].field, "ramdisk");
    assert_string_equal(errors[4].field, "kernel");
    assert_string_equal(errors[4].object, "/nonexistent/kernel");
    assert_int_equal(ctl_build_check(&config, NULL, errors, 2), 2);
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = {"", "a b", "a/b", "7", "a\n", "caf\xc3\xa9"};
    char path[] = "test_builder.XX"
                  "XX"
                  "XX";
    struct ctl_bytes elf = em_elf(&elf_linux);
    int fd = mkstemp(path);
    struct ctl_domain_config config = config_of("web-1", path);
    struct ctl_build_facts facts;
    struct ctl_error error = {0};

    assert_int_equal(write(fd, elf.data, elf.size), elf.size);
    close(fd);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ctl_domain_config c = config_of(bad[i], path);

        assert_int_equal(ctl_build_check(&c, NULL, &error, 1), 1);
        assert_string_equal(error.field, "name");
    }
    assert_int_equal(ctl_build_check(&config, &facts, &error, 1), 0);
    assert_string_equal(facts.format, "ELF");
    assert_true(facts.least_memory_kib > 20 << 10 && facts.least_memory_kib < 24 << 10);
    memset(config.name, 'a', sizeof(config.name));
    assert_int_equal(ctl_build_check(&config, NULL, &error, 1), 1);
    unlink(path);
    free(elf.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_match_the_model),   cmocka_unit_test(impossible_addresses_are_refused),
        cmocka_unit_test(little_memory_is_refused), cmocka_unit_test(all_faults_are_found_at_once),
        cmocka_unit_test(names_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
