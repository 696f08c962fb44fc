// SPDX-License-Identifier: BSD-2-Clause
/*
 * The hypervisor's library against what the C library or a plain model says: strings, formatting, 128-bit division, bit
 * search, rangesets. Random inputs; the seed is printed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/heap.h>
#include <hv/rangeset.h>
#include "fake/fake.h"
#include "lib_renamed.h"

static bool no_memory;

void *hv_alloc(size_t size)
{
    return no_memory ? NULL : calloc(1, size);
}

void hv_free(void *p)
{
    free(p);
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void random_bytes(uint8_t *p, size_t n, unsigned int alphabet)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)fake_below(alphabet);
}

static void test_memory_functions(void **state)
{
    for (unsigned int round = 0; round < 3000; round++) {
        uint8_t a[96], b[96];
        unsigned int from = fake_below(32), to = fake_below(32), n = fake_below(64);

        random_bytes(a, sizeof(a), 256);
        memcpy(b, a, sizeof(a));
        assert_ptr_equal(hv_memmove(a + to, a + from, n), a + to);
        memmove(b + to, b + from, n);
        assert_memory_equal(a, b, sizeof(a));
        assert_ptr_equal(hv_memset(a + to, (int)round, n), a + to);
        memset(b + to, (int)round, n);
        assert_memory_equal(a, b, sizeof(a));
        assert_ptr_equal(hv_memcpy(a, b + from, n), a);
        assert_memory_equal(a, b + from, n);
        random_bytes(a, sizeof(a), 2);
        random_bytes(b, sizeof(b), 2);
        a[0] = (uint8_t)(a[0] * 255);
        assert_int_equal(sign(hv_memcmp(a, b, n)), sign(memcmp(a, b, n)));
    }
}

static void random_string(char *s, size_t max)
{
    size_t n = fake_below((unsigned int)max);

    for (size_t i = 0; i < n; i++)
        s[i] = fake_chance(5) ? (char)0xe4 : (char)('a' + fake_below(2));
    s[n] = '\0';
}

static void test_string_functions(void **state)
{
    for (unsigned int round = 0; round < 3000; round++) {
        char a[24], b[8], copy[16];
        size_t n = fake_below(12), size = fake_below(sizeof(copy) + 1), len;
        int c = fake_chance(20) ? '\0' : (int)('a' + fake_below(3));

        random_string(a, sizeof(a));
        random_string(b, sizeof(b));
        len = strlen(a);
        assert_int_equal(hv_strlen(a), len);
        assert_int_equal(hv_strnlen(a, n), strnlen(a, n));
        assert_int_equal(sign(hv_strcmp(a, b)), sign(strcmp(a, b)));
        assert_int_equal(sign(hv_strncmp(a, b, n)), sign(strncmp(a, b, n)));
        assert_ptr_equal(hv_strchr(a, c), strchr(a, c));
        assert_ptr_equal(hv_strstr(a, b), strstr(a, b));
        memset(copy, '#', sizeof(copy));
        assert_int_equal(strlcpy(copy, a, size), len);
        if (size)
            assert_int_equal(strnlen(copy, size), MIN(len, size - 1));
        for (size_t i = size ? MIN(len + 1, size) : 0; i < sizeof(copy); i++)
            assert_int_equal(copy[i], '#');
    }
}

/* One random conversion of the subset; returns the letter. */
static char random_format(char *fmt, bool *is_long)
{
    static const char *const sizes[] = {"", "", "l", "ll", "z", "h", "hh"};
    const char *size = sizes[fake_below(ARRAY_SIZE(sizes))];
    char conv = "diuxX"[fake_below(5)];
    bool precise = fake_chance(30);
    char *p = fmt;

    p += sprintf(p, "<%%");
    if (fake_chance(30))
        *p++ = '-';
    if (fake_chance(30))
        *p++ = '0';
    if (fake_chance(30) && (conv == 'x' || conv == 'X'))
        *p++ = '#';
    if (fake_chance(30) && (conv == 'd' || conv == 'i'))
        *p++ = '+';
    if (fake_chance(50))
        p += sprintf(p, "%u", 1 + fake_below(24));
    if (precise)
        p += sprintf(p, ".%u", 1 + fake_below(22));
    sprintf(p, "%s%c>", size, conv);
    *is_long = *size && *size != 'h';
    return conv;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
static void test_format_numbers(void **state)
{
    for (unsigned int round = 0; round < 20000; round++) {
        char fmt[32], want[64], got[64];
        size_t size = fake_chance(20) ? fake_below(12) : sizeof(got);
        uint64_t v = fake_rand() >> fake_below(64);
        bool is_long;
        int n, m;

        if (fake_chance(30))
            v = -v;
        random_format(fmt, &is_long);
        memset(want, '#', sizeof(want));
        memset(got, '#', sizeof(got));
        n = is_long ? snprintf(want, size, fmt, v) : snprintf(want, size, fmt, (int)v);
        m = is_long ? hv_snprintf(got, size, fmt, v) : hv_snprintf(got, size, fmt, (int)v);
        if (n != m || memcmp(want, got, sizeof(got)))
            fail_msg("%s of %#lx: \"%.64s\" (%d), wanted \"%.64s\" (%d)", fmt, v, got, m, want, n);
    }
}
#pragma GCC diagnostic pop

static void format_is(const char *want, const char *fmt, ...)
{
    char got[64];
    va_list ap;

    va_start(ap, fmt);
    assert_int_equal(hv_vsnprintf(got, sizeof(got), fmt, ap), strlen(want));
    va_end(ap);
    assert_string_equal(got, want);
}

static void test_format_rest(void **state)
{
    format_is("[abc]", "[%s]", "abc");
    format_is("[  abc|abc  |ab]", "[%5s|%-5s|%.2s]", "abc", "abc", "abc");
    format_is("[ab  ]", "[%-*.*s]", 4, 2, "abc");
    format_is("[ab  ]", "[%*.*s]", -4, 2, "abc");
    format_is("[abc]", "[%.*s]", -1, "abc");
    format_is("[(null)]", "[%s]", (const char *)NULL);
    format_is("[x%]", "[%c%%]", 'x');
    format_is("0000000000001234", "%p", (void *)0x1234);
    format_is("-9223372036854775808", "%ld", INT64_MIN);
    format_is("18446744073709551615", "%lu", UINT64_MAX);
    format_is("[]", "[%.0d]", 0);
    format_is("50", "50%"); /* a lone percent sign ends the output */
}

static void test_numbers_from_text(void **state)
{
    const char *end;

    assert_int_equal(strtoull_hv("0x1fg", &end, 0), 0x1f);
    assert_string_equal(end, "g");
    assert_int_equal(strtoull_hv("0x1F", NULL, 16), 0x1f);
    assert_int_equal(strtoull_hv("0xg", &end, 0), 0);
    assert_string_equal(end, "xg");
    assert_int_equal(strtoull_hv("010", NULL, 0), 10);
    assert_int_equal(strtoull_hv("777", NULL, 8), 0777);
    assert_int_equal(strtoull_hv("78", &end, 8), 7);
    assert_string_equal(end, "8");
    assert_int_equal(strtoull_hv("", &end, 10), 0);
    assert_int_equal(strtoull_hv("-1", &end, 10), 0);
    assert_string_equal(end, "-1");
    assert_true(strtoull_hv("18446744073709551615", NULL, 10) == UINT64_MAX);
}

static unsigned __int128 random_128(void)
{
    unsigned __int128 v = (unsigned __int128)fake_rand() << 64 | fake_rand();

    return v >> fake_below(128);
}

static void test_division(void **state)
{
    for (unsigned int round = 0; round < 20000; round++) {
        unsigned __int128 n = random_128(), d = random_128();
        __int128 sn = fake_chance(50) ? (__int128)n : -(__int128)(n >> 1);
        __int128 sd = fake_chance(50) ? (__int128)(d >> 1) : -(__int128)(d >> 1);

        if (d)
            assert_true(hv_udivti3(n, d) == n / d);
        if (sd && !(sn == (__int128)((unsigned __int128)1 << 127) && sd == -1))
            assert_true(hv_divti3(sn, sd) == sn / sd);
    }
    assert_true(hv_udivti3(~(unsigned __int128)0, 1) == ~(unsigned __int128)0);
    assert_true(hv_divti3(-7, 2) == -3);
    assert_true(hv_divti3(7, -2) == -3);
}

static void test_bit_search(void **state)
{
    for (unsigned int round = 0; round < 3000; round++) {
        unsigned long map[4];
        unsigned int n = fake_below(257), from = fake_below(280), set = from, clear = from;

        for (unsigned int i = 0; i < 4; i++)
            map[i] = fake_chance(30) ? 0 : fake_chance(30) ? ~0ul : fake_rand() & fake_rand() & fake_rand();
        while (set < n && !test_bit(set, map))
            set++;
        while (clear < n && test_bit(clear, map))
            clear++;
        assert_int_equal(find_next_bit(map, n, from), MIN(set, n) < from ? n : MIN(set, n));
        assert_int_equal(find_next_zero_bit(map, n, from), MIN(clear, n) < from ? n : MIN(clear, n));
    }
}

static void test_small_arithmetic(void **state)
{
    static const struct {
        uint64_t bytes;
        unsigned int order;
    } orders[] = {{0, 0}, {1, 0}, {4096, 0}, {4097, 1}, {8192, 1}, {8193, 2}, {1u << 20, 8}, {(1u << 20) + 1, 9}};

    for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++)
        assert_int_equal(get_order_bytes(orders[i].bytes), orders[i].order);
    for (unsigned long i = 0; i < 70; i++)
        assert_int_equal(array_index_nospec(i, 64), i < 64 ? i : 0);
    assert_int_equal(array_index_nospec(~0ul, 64), 0);
    assert_int_equal(array_index_nospec(0, 0), 0);
}

/* ---- rangesets against a bit per number; numbers near the top of the 64-bit range, too ---- */
#define UNIVERSE 96u

static uint64_t place(bool high, unsigned int i)
{
    return high ? UINT64_MAX - (UNIVERSE - 1) + i : i;
}

static void random_ranges(bool high)
{
    struct rangeset *r = rangeset_new();
    bool model[UNIVERSE] = {false};

    assert_non_null(r);
    for (unsigned long op = 0; op < fake_ops(3000); op++) {
        unsigned int a = fake_below(UNIVERSE), b = a + fake_below(MIN(UNIVERSE - a, 12u)), kind = fake_below(3);
        bool all = true;

        for (unsigned int i = a; i <= b; i++) {
            all = all && model[i];
            if (kind < 2)
                model[i] = kind == 0;
        }
        if (kind == 0)
            assert_int_equal(rangeset_add(r, place(high, a), place(high, b)), 0);
        else if (kind == 1)
            assert_int_equal(rangeset_remove(r, place(high, a), place(high, b)), 0);
        else
            assert_int_equal(rangeset_contains(r, place(high, a), place(high, b)), all);
    }
    for (unsigned int i = 0; i < UNIVERSE; i++)
        assert_int_equal(rangeset_contains(r, place(high, i), place(high, i)), model[i]);
    rangeset_free(r);
}

static void test_rangeset_random(void **state)
{
    random_ranges(false);
    random_ranges(true);
}

static void test_rangeset_limits(void **state)
{
    struct rangeset *r = rangeset_new();

    assert_int_equal(rangeset_add(r, 2, 1), -EINVAL);
    assert_int_equal(rangeset_remove(r, 2, 1), -EINVAL);
    assert_false(rangeset_contains(r, 2, 1));
    assert_false(rangeset_contains(NULL, 0, 0));
    for (uint64_t i = 0; i < 512; i++)
        assert_int_equal(rangeset_add(r, i * 10, i * 10 + 4), 0);
    assert_int_equal(rangeset_add(r, 6000, 6000), -ENOMEM);
    assert_false(rangeset_contains(r, 6000, 6000));
    assert_int_equal(rangeset_remove(r, 2, 2), -ENOMEM); /* would split */
    assert_true(rangeset_contains(r, 0, 4));
    assert_int_equal(rangeset_add(r, 5, 9), 0); /* joins two */
    assert_true(rangeset_contains(r, 0, 14));
    assert_int_equal(rangeset_remove(r, 2, 2), 0);
    assert_int_equal(rangeset_add(r, 0, UINT64_MAX), 0);
    assert_true(rangeset_contains(r, 0, UINT64_MAX));
    assert_int_equal(rangeset_remove(r, 0, UINT64_MAX), 0);
    assert_false(rangeset_contains(r, 0, 0));
    rangeset_free(r);
    no_memory = true;
    assert_null(rangeset_new());
    no_memory = false;
    rangeset_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_functions),  cmocka_unit_test(test_string_functions),
        cmocka_unit_test(test_format_numbers),    cmocka_unit_test(test_format_rest),
        cmocka_unit_test(test_numbers_from_text), cmocka_unit_test(test_division),
        cmocka_unit_test(test_bit_search),        cmocka_unit_test(test_small_arithmetic),
        cmocka_unit_test(test_rangeset_random),   cmocka_unit_test(test_rangeset_limits),
    };

    fake_seed("test_lib");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
