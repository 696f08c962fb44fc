/* SPDX-License-Identifier: BSD-2-Clause */
/* Scaling of the TSC: against exact division, over the range of frequencies; and as a guest computes it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/time_scale.h>

static const uint64_t frequencies[] = {1000000,    3579545,    33333333,   999999999,  1000000000,
                                       1000000001, 1600000000, 1999999999, 2000000000, 2000000001,
                                       2893437000, 4000000000, 5200000000, 64000000000};

static uint64_t exact_ns(uint64_t hz, uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * 1000000000u / hz);
}

static void fraction_is_normal(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(frequencies); i++)
        assert_true(time_scale_of(frequencies[i]).mul & 0x80000000u);
}

/* Within a part in 2^31, and two ticks for the bits shifted out. */
static void close_to_exact(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(frequencies); i++) {
        uint64_t hz = frequencies[i], two_ticks = 2000000000u / hz + 2;
        struct time_scale s = time_scale_of(hz);

        for (uint64_t seconds = 1; seconds < 100000000; seconds *= 10) {
            uint64_t want = exact_ns(hz, hz * seconds + 12345), got = time_scale_delta(s, hz * seconds + 12345);

            assert_true(got <= want + two_ticks);
            assert_true(want - got <= want / 2000000000u + two_ticks || got > want);
        }
    }
}

static void never_backwards(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(frequencies); i++) {
        struct time_scale s = time_scale_of(frequencies[i]);
        uint64_t last = 0;

        for (uint64_t t = frequencies[i] * 1000; t < frequencies[i] * 1000 + 20000; t += 7) {
            uint64_t now = time_scale_delta(s, t);

            assert_true(now >= last);
            last = now;
        }
    }
}

/* A guest reads its record and adds what has gone by since; it must agree with the hypervisor. */
static void guest_agrees(void **state)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(frequencies); i++) {
        uint64_t hz = frequencies[i], stamp = hz * 77 + 5, now = stamp + hz / 3 + 11;
        struct time_scale s = time_scale_of(hz);
        uint64_t delta = now - stamp, guest;

        delta = s.shift < 0 ? delta >> -s.shift : delta << s.shift;
        guest = time_scale_delta(s, stamp) + (uint64_t)(((unsigned __int128)delta * s.mul) >> 32);
        assert_in_range(guest, time_scale_delta(s, now) - 2000000000u / hz - 3,
                        time_scale_delta(s, now) + 2000000000u / hz + 3);
    }
}

static void ns_to_ticks(void **state)
{
    assert_int_equal(time_ns_to_ticks(1000000, 1), 1);
    assert_int_equal(time_ns_to_ticks(1000, 1), 1);
    assert_int_equal(time_ns_to_ticks(1000, 1001), 2);
    assert_int_equal(time_ns_to_ticks(2893437, 1000000), 2893437);
    assert_int_equal(time_ns_to_ticks(0, 5), 0);
    assert_true(time_ns_to_ticks(UINT64_MAX, UINT64_MAX) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fraction_is_normal), cmocka_unit_test(close_to_exact), cmocka_unit_test(never_backwards),
        cmocka_unit_test(guest_agrees),       cmocka_unit_test(ns_to_ticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
