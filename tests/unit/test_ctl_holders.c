// SPDX-License-Identifier: BSD-2-Clause
/* libctl's sums of the hypervisor's slices: who holds a domain. The call itself is scripted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "libctl/internal.h"

static const struct umbra_op_holders *script;
static unsigned calls, last_ok;

int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op)
{
    assert_int_equal(op->cmd, UMBRA_OP_holders);
    assert_int_equal(op->u.holders.position, calls ? script[calls - 1].position : 0);
    if (calls > last_ok) {
        return -ENOSYS;
    }
    op->u.holders = script[calls++];
    return 0;
}

int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
{
    err->code = code;
    return code;
}

static int run(const struct umbra_op_holders *slices, unsigned ok, struct ctl_holders *sums, struct ctl_holder **list)
{
    struct ctl_error err = {0};
    int rc;

    script = slices;
    calls = 0;
    last_ok = ok;
    rc = ctl_domain_holders(NULL, 7, sums, list, &err);
    assert_int_equal(err.code, rc < 0 ? rc : 0);
    return rc;
}

static const struct umbra_op_holders two_slices[] = {
    {.position = 5,
     .references = 10,
     .frames = 3,
     .shared_frames = 1,
     .nr_rows = 2,
     .row = {{.domain = 9, .host_grants = 2}, {.domain = 0, .device_grants = 1}}},
    {.position = UMBRA_HOLDERS_end,
     .references = 4,
     .frames = 2,
     .nr_rows = 3,
     .row = {{.domain = 4, .entries = 1}, {.domain = 9, .entries = 5}, {.domain = 0, .device_grants = 1}}},
};

/* Rows of one holder from several slices, in any order, are one entry; what grants do not explain is foreign. */
static void test_sums(void **state)
{
    struct ctl_holders sums;
    struct ctl_holder *list;

    assert_int_equal(run(two_slices, 9, &sums, &list), 3);
    assert_int_equal(sums.frames, 5);
    assert_int_equal(sums.shared_frames, 1);
    assert_int_equal(sums.other, 14 - 6 - 2);
    assert_true(list[0].domid == 0 && list[0].grants == 2 && list[0].foreign == 0);
    assert_true(list[1].domid == 4 && list[1].grants == 0 && list[1].foreign == 1);
    assert_true(list[2].domid == 9 && list[2].grants == 2 && list[2].foreign == 3);
    free(list);
}

/* A holder that has overwritten an entry of a grant still has the handle: less than nothing is foreign, and other. */
static void test_never_below_zero(void **state)
{
    static const struct umbra_op_holders slice[] = {
        {.position = UMBRA_HOLDERS_end, .nr_rows = 1, .row = {{.domain = 3, .host_grants = 4, .entries = 1}}}};
    struct ctl_holders sums;
    struct ctl_holder *list;

    assert_int_equal(run(slice, 0, &sums, &list), 1);
    assert_true(list[0].grants == 4 && list[0].foreign == 0 && sums.other == 0);
    free(list);
}

/* More rows than there are in the structure are not read. */
static void test_too_many_rows(void **state)
{
    static const struct umbra_op_holders slice[] = {
        {.position = UMBRA_HOLDERS_end, .nr_rows = ~0u, .row = {{.domain = 1, .entries = 1}}}};
    struct ctl_holders sums;
    struct ctl_holder *list;

    assert_int_equal(run(slice, 0, &sums, &list), 2); /* 1, and the zeroes of the others as 0 */
    free(list);
}

static void test_errors(void **state)
{
    struct ctl_holders sums;
    struct ctl_holder *list;
    struct ctl_error err = {0};

    assert_int_equal(run(two_slices, 0, &sums, &list), -ENOSYS); /* after the first slice: nothing is left */
    assert_int_equal(calls, 1);
    assert_int_equal(ctl_domain_holders(NULL, CTL_DOMID_MAX + 1, &sums, &list, &err), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_never_below_zero),
        cmocka_unit_test(test_too_many_rows),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
