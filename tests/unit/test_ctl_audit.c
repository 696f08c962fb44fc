// SPDX-License-Identifier: BSD-2-Clause
/* libctl's audit of a guest: of its tables, and then of its grants until a moment when nobody uses them. The hypervisor
 * is scripted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libctl/internal.h"

static struct {
    int tables, busy, grants; /* answer about tables; so often are grants in use; answer then */
    uint32_t broken;          /* of the grants */
    unsigned calls;
} hv;

void *ctl_buffer_get(struct ctl *ctl, size_t size)
{
    return calloc(1, size);
}

void ctl_buffer_put(struct ctl *ctl, void *p)
{
    free(p);
}

int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *err)
{
    return 0;
}

int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
{
    err->code = code;
    return code;
}

static int answer_grants(struct umbra_op_grant_audit *a)
{
    struct umbra_grant_finding *f = (void *)(uintptr_t)a->findings;

    assert_true(!a->step && !a->next && !a->broken && !a->nr && a->room == CTL_AUDIT_FINDINGS);
    a->step = 3; /* how far it came */
    if (hv.busy-- > 0)
        return -EAGAIN;
    a->broken = hv.broken;
    a->nr = hv.broken ? 1 : 0;
    a->entries = 512;
    a->handles = 20;
    memset(f, 'x', sizeof(*f)); /* not terminated */
    f->number = 8;
    return hv.grants;
}

int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op)
{
    hv.calls++;
    assert_int_equal(op->domain, 7);
    if (op->cmd == UMBRA_OP_grant_audit)
        return answer_grants(&op->u.grant_audit);
    assert_int_equal(op->cmd, UMBRA_OP_audit);
    op->u.audit.broken = 2;
    op->u.audit.nr = op->u.audit.room;
    op->u.audit.frames = 100;
    return hv.tables;
}

static int run(struct ctl_audit *a)
{
    struct ctl_error err = {0};
    int rc;

    hv.calls = 0;
    rc = ctl_domain_audit(NULL, 7, a, &err);
    assert_int_equal(err.code, rc);
    return rc;
}

static void test_quiet(void **state)
{
    struct ctl_audit a;

    memset(&hv, 0, sizeof(hv));
    hv.broken = 3;
    assert_int_equal(run(&a), 0);
    assert_true(a.broken == 5 && a.frames == 100 && a.grants == 512 && a.handles == 20 && !a.grants_in_use);
    assert_int_equal(a.n, CTL_AUDIT_FINDINGS + 1);
    assert_false(a.finding[a.n - 2].is_grant);
    assert_true(a.finding[a.n - 1].is_grant && a.finding[a.n - 1].number == 8);
    assert_int_equal(strlen(a.finding[a.n - 1].rule), sizeof(a.finding[0].rule) - 1);
    assert_int_equal(strlen(a.finding[a.n - 1].what), sizeof(a.finding[0].what) - 1);
}

/* In use for a while, or for too long. */
static void test_busy(void **state)
{
    struct ctl_audit a;

    memset(&hv, 0, sizeof(hv));
    hv.busy = 5;
    assert_int_equal(run(&a), 0);
    assert_int_equal(hv.calls, 1 + 6);
    assert_true(!a.grants_in_use && a.handles == 20);
    hv.busy = 1000000;
    assert_int_equal(run(&a), 0);
    assert_int_equal(hv.calls, 1 + 100);
    assert_true(a.grants_in_use && !a.grants && !a.handles && a.broken == 2);
}

/* No PV guest: its grants alone. */
static void test_translated(void **state)
{
    struct ctl_audit a;

    memset(&hv, 0, sizeof(hv));
    hv.tables = -EOPNOTSUPP;
    hv.broken = 1;
    assert_int_equal(run(&a), 0);
    assert_int_equal(hv.calls, 2);
    assert_true(a.only_grants && a.broken == 1 && a.n == 1 && a.finding[0].is_grant && !a.frames && a.handles == 20);
    hv.grants = -EOPNOTSUPP; /* the control domain */
    assert_int_equal(run(&a), -EOPNOTSUPP);
}

static void test_refused(void **state)
{
    struct ctl_audit a;

    memset(&hv, 0, sizeof(hv));
    hv.tables = -ENOMEM;
    assert_int_equal(run(&a), -ENOMEM);
    assert_int_equal(hv.calls, 1);
    hv.tables = -EAGAIN;
    assert_int_equal(run(&a), -EAGAIN);
    assert_int_equal(hv.calls, 3);
    hv.tables = 0;
    hv.grants = -EBUSY; /* it dies in between */
    assert_int_equal(run(&a), -EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_translated),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
