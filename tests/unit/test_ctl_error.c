// SPDX-License-Identifier: BSD-2-Clause
/*
 * The error object and uuids: what users read and type.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/ctl.h"
#include <cmocka.h>

static void an_error_says_all(void **state)
{
    struct ctl_error err = {0};
    char text[512];

    assert_int_equal(ctl_error_set(&err, -ENOMEM, "populate memory", "domain 3", "ask for less", "%d of %d MiB", 5, 8),
                     -ENOMEM);
    ctl_error_field(&err, "memory");
    ctl_error_format(&err, text, sizeof(text));
    assert_string_equal(text, "populate memory: domain 3: 5 of 8 MiB (Cannot allocate memory)\n  ask for less");
    assert_string_equal(err.field, "memory");
}

static void absent_parts_leave_no_trace(void **state)
{
    struct ctl_error err = {0};
    char text[512];

    ctl_error_set(&err, -EPERM, "open", NULL, NULL, "refused");
    ctl_error_format(&err, text, sizeof(text));
    assert_string_equal(text, "open: refused (Operation not permitted)");
}

static void long_parts_are_cut(void **state)
{
    struct ctl_error err = {0};
    char text[4096], small[8];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    ctl_error_set(&err, -EIO, text, text, text, "%s", text);
    assert_int_equal(strlen(err.step), sizeof(err.step) - 1);
    assert_int_equal(strlen(err.object), sizeof(err.object) - 1);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_true(ctl_error_format(&err, small, sizeof(small)) > sizeof(small));
    assert_int_equal(strlen(small), sizeof(small) - 1);
}

static void nobody_has_to_listen(void **state)
{
    assert_int_equal(ctl_error_set(NULL, -EIO, "s", NULL, NULL, "m"), -EIO);
    ctl_error_field(NULL, "memory");
}

static void an_error_can_replace_itself(void **state)
{
    struct ctl_error err = {0};

    ctl_error_set(&err, -EIO, "first", "domain 3", NULL, "m");
    ctl_error_set(&err, -EIO, "second", err.object, NULL, "m");
    assert_string_equal(err.object, "domain 3");
}

static void uuids_come_back(void **state)
{
    static const char good[] = "0fb5e1a2-1c3d-4e5f-8a9b-00ff10c0ffee";
    static const char *const bad[] = {"",
                                      "0",
                                      "0fb5e1a2-1c3d-4e5f-8a9b-00ff10c0ffe",
                                      "0fb5e1a2-1c3d-4e5f-8a9b-00ff10c0ffeee",
                                      "0fb5e1a21c3d-4e5f-8a9b-00ff10c0ffeee",
                                      "0fb5e1a2-1c3d-4e5f-8a9b-00ff10c0ffeg",
                                      "-fb5e1a2-1c3d-4e5f-8a9b-00ff10c0ffee"};
    char text[CTL_UUID_TEXT];
    uint8_t uuid[16], other[16];

    assert_int_equal(ctl_uuid_parse(good, uuid), 0);
    ctl_uuid_format(uuid, text);
    assert_string_equal(text, good);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ctl_uuid_parse(bad[i], uuid), -EINVAL);
    }
    assert_int_equal(ctl_uuid_random(uuid), 0);
    assert_int_equal(ctl_uuid_random(other), 0);
    assert_memory_not_equal(uuid, other, 16);
    assert_int_equal(uuid[6] >> 4, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_says_all),           cmocka_unit_test(absent_parts_leave_no_trace),
        cmocka_unit_test(long_parts_are_cut),          cmocka_unit_test(nobody_has_to_listen),
        cmocka_unit_test(an_error_can_replace_itself), cmocka_unit_test(uuids_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
