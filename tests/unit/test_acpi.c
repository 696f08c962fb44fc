/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI tables: what the parsers take from good ones, and that malformed ones are refused or cut short. Every buffer is
 * allocated to its exact length, so that the address sanitizer sees any byte read beyond it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "../../hypervisor/boot/acpi_tables.h"

static struct acpi_info info;

static int clear_info(void **state)
{
    memset(&info, 0, sizeof(info));
    return 0;
}

static void put(uint8_t *p, uint64_t v, unsigned int bytes)
{
    for (unsigned int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void fix_checksum(uint8_t *p, size_t len, size_t at)
{
    uint8_t sum = 0;

    p[at] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    p[at] = (uint8_t)-sum;
}

/* A copy of exactly len bytes. */
static uint8_t *exact(const uint8_t *p, size_t len)
{
    uint8_t *q = malloc(len ? len : 1);

    memcpy(q, p, len);
    return q;
}

/* ---- root pointer and root table ---- */

static void make_rsdp(uint8_t *p, unsigned int revision, uint32_t rsdt, uint64_t xsdt)
{
    memset(p, 0, 36);
    memcpy(p, "RSD PTR ", 8);
    p[15] = (uint8_t)revision;
    put(p + 16, rsdt, 4);
    put(p + 20, 36, 4);
    put(p + 24, xsdt, 8);
    fix_checksum(p, 20, 8);
    fix_checksum(p, 36, 32);
}

static void rsdp_chooses_the_root(void **state)
{
    uint8_t p[36];
    uint64_t root;
    bool x;

    make_rsdp(p, 0, 0x1000, 0x2000);
    assert_true(acpi_parse_rsdp(p, 36, &root, &x));
    assert_false(x);
    assert_int_equal(root, 0x1000);
    make_rsdp(p, 2, 0x1000, 0x200000000);
    assert_true(acpi_parse_rsdp(p, 36, &root, &x));
    assert_true(x);
    assert_int_equal(root, 0x200000000);
    /* A damaged extension, or one that does not fit, leaves the RSDT. */
    p[33] ^= 1;
    assert_true(acpi_parse_rsdp(p, 36, &root, &x));
    assert_false(x);
    make_rsdp(p, 2, 0x1000, 0x2000);
    assert_true(acpi_parse_rsdp(p, 20, &root, &x));
    assert_false(x);
}

static void bad_rsdp_is_refused(void **state)
{
    uint8_t p[36], *q;
    uint64_t root;
    bool x;

    make_rsdp(p, 0, 0x1000, 0);
    p[9] ^= 1;
    assert_false(acpi_parse_rsdp(p, 36, &root, &x));
    make_rsdp(p, 0, 0, 0);
    assert_false(acpi_parse_rsdp(p, 36, &root, &x));
    make_rsdp(p, 2, 0x1000, 0x2000);
    for (size_t len = 0; len < 20; len++) {
        q = exact(p, len);
        assert_false(acpi_parse_rsdp(q, len, &root, &x));
        free(q);
    }
}

static void root_entries(void **state)
{
    uint8_t t[36 + 16];

    memset(t, 0, sizeof(t));
    put(t + 36, 0x100000002, 8);
    assert_int_equal(acpi_root_count(sizeof(t), true), 2);
    assert_int_equal(acpi_root_count(sizeof(t), false), 4);
    assert_int_equal(acpi_root_entry(t, true, 0), 0x100000002);
    assert_int_equal(acpi_root_entry(t, false, 1), 1);
    assert_int_equal(acpi_root_count(35, true), 0);
    assert_int_equal(acpi_root_count(36 + 7, true), 0);
    assert_int_equal(acpi_root_count(0xffffffff, false), ACPI_MAX_TABLES);
}

/* ---- MADT ---- */

static size_t madt_start(uint8_t *t)
{
    memset(t, 0, 44);
    memcpy(t, "APIC", 4);
    put(t + 36, 0xfee00000, 4);
    return 44;
}

static size_t madt_add(uint8_t *t, size_t at, unsigned int type, unsigned int len, const uint8_t *body)
{
    t[at] = (uint8_t)type;
    t[at + 1] = (uint8_t)len;
    memcpy(t + at + 2, body, len - 2);
    return at + len;
}

static size_t good_madt(uint8_t *t)
{
    size_t n = madt_start(t);

    n = madt_add(t, n, 0, 8, (uint8_t[]){0, 0, 1, 0, 0, 0});
    n = madt_add(t, n, 0, 8, (uint8_t[]){1, 1, 1, 0, 0, 0});
    n = madt_add(t, n, 0, 8, (uint8_t[]){2, 2, 0, 0, 0, 0}); /* not there */
    n = madt_add(t, n, 1, 12, (uint8_t[]){9, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0});
    n = madt_add(t, n, 2, 10, (uint8_t[]){0, 9, 9, 0, 0, 0, 0x0d, 0});
    n = madt_add(t, n, 4, 6, (uint8_t[]){0xff, 0, 0, 1});
    return madt_add(t, n, 9, 16, (uint8_t[]){0, 0, 0x34, 0x12, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0});
}

static void madt_is_understood(void **state)
{
    uint8_t t[256], *q;
    size_t n = good_madt(t);

    q = exact(t, n);
    assert_int_equal(acpi_parse_madt(q, (uint32_t)n, &info), 0);
    free(q);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.cpu[2].apicid, 0x1234);
    assert_int_equal(info.cpu[2].acpi_id, 7);
    assert_true(info.cpu[0].enabled);
    assert_int_equal(info.ioapic_count, 1);
    assert_int_equal(info.ioapic[0].address, 0xfec00000);
    assert_int_equal(info.override_count, 1);
    assert_int_equal(info.override[0].flags, 0x0d);
    assert_int_equal(info.lapic_address, 0xfee00000);
}

/* Cut anywhere: never a read beyond the end, never an invented CPU. */
static void madt_cut_short(void **state)
{
    uint8_t t[256], *q;
    size_t n = good_madt(t);

    for (size_t len = 36; len < n; len++) {
        clear_info(NULL);
        q = exact(t, len);
        acpi_parse_madt(q, (uint32_t)len, &info);
        assert_true(info.cpu_count <= 3);
        free(q);
    }
    q = exact(t, 43);
    assert_int_equal(acpi_parse_madt(q, 43, &info), -EINVAL);
    free(q);
}

static void madt_bad_entry_lengths(void **state)
{
    uint8_t t[64];
    size_t n = madt_start(t);

    t[n] = 0;
    t[n + 1] = 0; /* would never end */
    assert_int_equal(acpi_parse_madt(t, 64, &info), -EINVAL);
    t[n + 1] = 1;
    assert_int_equal(acpi_parse_madt(t, 64, &info), -EINVAL);
    t[n + 1] = 200;
    assert_int_equal(acpi_parse_madt(t, 64, &info), -EINVAL);
    /* Right length field, too short for its type: skipped. */
    memset(t + n, 0, 64 - n);
    for (size_t at = n; at + 4 <= 64; at += 4)
        t[at + 1] = 4;
    assert_int_equal(acpi_parse_madt(t, 64, &info), 0);
    assert_int_equal(info.cpu_count, 0);
}

static void madt_more_than_fits(void **state)
{
    size_t n = 44 + 400 * 16, at;
    uint8_t *t = calloc(1, n);

    at = madt_start(t);
    for (unsigned int i = 0; i < 400; i++) {
        uint8_t body[14] = {0};

        put(body + 2, i, 4);
        body[6] = 1;
        at = madt_add(t, at, 9, 16, body);
    }
    assert_int_equal(acpi_parse_madt(t, (uint32_t)n, &info), 0);
    assert_int_equal(info.cpu_count, ARRAY_SIZE(info.cpu));
    for (at = 44; at < n; at += 16)
        t[at] = 1;
    assert_int_equal(acpi_parse_madt(t, (uint32_t)n, &info), 0);
    assert_int_equal(info.ioapic_count, ARRAY_SIZE(info.ioapic));
    free(t);
}

/* ---- FADT ---- */

static void make_fadt(uint8_t *t)
{
    memset(t, 0, 244);
    put(t + 36, 0x7000, 4);
    put(t + 40, 0x8000, 4);
    put(t + 46, 9, 2);
    put(t + 48, 0xb2, 4);
    t[52] = 0xf1;
    put(t + 64, 0x604, 4);
    put(t + 76, 0x608, 4);
    t[91] = 4;
    put(t + 112, 1 << 10, 4);
    t[116] = 1;
    put(t + 120, 0xcf9, 8);
    t[128] = 0x0f;
}

static void fadt_is_understood(void **state)
{
    uint8_t t[244];
    uint64_t dsdt = 0;

    make_fadt(t);
    assert_int_equal(acpi_parse_fadt(t, 244, &info, &dsdt), 0);
    assert_int_equal(dsdt, 0x8000);
    assert_int_equal(info.sci_irq, 9);
    assert_int_equal(info.pm1a_cnt, 0x604);
    assert_int_equal(info.pm_timer_port, 0x608);
    assert_true(info.has_reset_reg);
    assert_int_equal(info.reset_address, 0xcf9);
    assert_int_equal(info.reset_value, 0x0f);
    /* The extended fields win. */
    put(t + 140, 0x123456789, 8);
    t[172] = 1;
    put(t + 176, 0x1804, 8);
    assert_int_equal(acpi_parse_fadt(t, 244, &info, &dsdt), 0);
    assert_int_equal(dsdt, 0x123456789);
    assert_int_equal(info.pm1a_cnt, 0x1804);
    /* Not a port: the old field. */
    put(t + 176, 0x10000, 8);
    assert_int_equal(acpi_parse_fadt(t, 244, &info, &dsdt), 0);
    assert_int_equal(info.pm1a_cnt, 0x604);
}

static void fadt_of_every_length(void **state)
{
    uint8_t t[244], *q;
    uint64_t dsdt;

    make_fadt(t);
    for (uint32_t len = 36; len <= 244; len++) {
        clear_info(NULL);
        q = exact(t, len);
        assert_int_equal(acpi_parse_fadt(q, len, &info, &dsdt), len < 116 ? -EINVAL : 0);
        assert_int_equal(info.has_reset_reg, len >= 129);
        free(q);
    }
}

/* ---- HPET, MCFG ---- */

static void hpet_and_mcfg(void **state)
{
    uint8_t t[64] = {0};

    put(t + 44, 0xfed00000, 8);
    assert_int_equal(acpi_parse_hpet(t, 56, &info), 0);
    assert_int_equal(info.hpet_address, 0xfed00000);
    assert_int_equal(acpi_parse_hpet(t, 55, &info), -EINVAL);
    t[40] = 1;
    assert_int_equal(acpi_parse_hpet(t, 56, &info), -EINVAL);

    memset(t, 0, sizeof(t));
    put(t + 44, 0xb0000000, 8);
    t[54] = 0;
    t[55] = 255;
    assert_int_equal(acpi_parse_mcfg(t, 60, &info), 0);
    assert_int_equal(info.mcfg_address, 0xb0000000);
    assert_int_equal(info.mcfg_bus_last, 255);
    assert_int_equal(acpi_parse_mcfg(t, 59, &info), -EINVAL);
    t[54] = 5;
    t[55] = 4;
    assert_int_equal(acpi_parse_mcfg(t, 60, &info), -EINVAL);
}

/* ---- \_S5_ ---- */

static bool find_s5(const uint8_t *aml, size_t n)
{
    uint8_t *t = calloc(1, 36 + n);
    bool found;

    memcpy(t + 36, aml, n);
    clear_info(NULL);
    found = acpi_find_s5(t, (uint32_t)(36 + n), &info);
    free(t);
    return found;
}

static void s5_forms(void **state)
{
    static const uint8_t bytes[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 4, 0x0a, 5, 0x0a, 3, 0, 0};
    static const uint8_t consts[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x06, 4, 0x00, 0x01, 0, 0};
    static const uint8_t long_length[] = {0x5b, 0x08, '_', 'S', '5', '_', 0x12, 0x48, 0, 4, 0x0a, 7, 0x00, 0, 0};

    assert_true(find_s5(bytes, sizeof(bytes)));
    assert_int_equal(info.s5_typa, 5);
    assert_int_equal(info.s5_typb, 3);
    assert_true(find_s5(consts, sizeof(consts)));
    assert_int_equal(info.s5_typa, 0);
    assert_int_equal(info.s5_typb, 1);
    assert_true(find_s5(long_length, sizeof(long_length)));
    assert_int_equal(info.s5_typa, 7);
}

static void s5_damaged(void **state)
{
    static const uint8_t good[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 4, 0x0a, 5, 0x0a, 3};
    static const uint8_t not_package[] = {0x08, '_', 'S', '5', '_', 0x0a, 5, 0, 0, 0, 0};
    static const uint8_t one_element[] = {0x08, '_', 'S', '5', '_', 0x12, 3, 1, 0x0a, 5, 0, 0};
    static const uint8_t far_length[] = {0x08, '_', 'S', '5', '_', 0x12, 0xff, 0xff};

    for (size_t n = 0; n < sizeof(good); n++)
        assert_false(find_s5(good, n));
    assert_true(find_s5(good, sizeof(good)));
    assert_false(find_s5(not_package, sizeof(not_package)));
    assert_false(find_s5(one_element, sizeof(one_element)));
    assert_false(find_s5(far_length, sizeof(far_length)));
    assert_false(info.has_s5);
}

/* Random bytes as each table: nothing but the sanitizers judges. */
static void noise(void **state)
{
    uint64_t x = 88172645463325252ull, dsdt;

    for (unsigned int round = 0; round < 20000; round++) {
        uint32_t len = 36 + (uint32_t)(x >> 33) % 300;
        uint8_t *t = malloc(len);

        for (uint32_t i = 0; i < len; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            t[i] = (uint8_t)(x % 5 == 0 ? x >> 8 : x % 13);
        }
        clear_info(NULL);
        acpi_parse_madt(t, len, &info);
        acpi_parse_fadt(t, len, &info, &dsdt);
        acpi_parse_hpet(t, len, &info);
        acpi_parse_mcfg(t, len, &info);
        acpi_find_s5(t, len, &info);
        assert_true(info.cpu_count <= ARRAY_SIZE(info.cpu));
        free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rsdp_chooses_the_root, clear_info),
        cmocka_unit_test_setup(bad_rsdp_is_refused, clear_info),
        cmocka_unit_test_setup(root_entries, clear_info),
        cmocka_unit_test_setup(madt_is_understood, clear_info),
        cmocka_unit_test_setup(madt_cut_short, clear_info),
        cmocka_unit_test_setup(madt_bad_entry_lengths, clear_info),
        cmocka_unit_test_setup(madt_more_than_fits, clear_info),
        cmocka_unit_test_setup(fadt_is_understood, clear_info),
        cmocka_unit_test_setup(fadt_of_every_length, clear_info),
        cmocka_unit_test_setup(hpet_and_mcfg, clear_info),
        cmocka_unit_test_setup(s5_forms, clear_info),
        cmocka_unit_test_setup(s5_damaged, clear_info),
        cmocka_unit_test_setup(noise, clear_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
