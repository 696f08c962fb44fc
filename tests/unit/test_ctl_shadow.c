// SPDX-License-Identifier: BSD-2-Clause
/* libctl's view of a guest's shadows, put together from the hypervisor's slices. The call itself is scripted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libctl/internal.h"

static unsigned calls, fail_from; /* the call from which on it fails */
static int failure;
static char reason[128];

void *ctl_buffer_get(struct ctl *ctl, size_t size)
{
    return calloc(1, size);
}

void ctl_buffer_put(struct ctl *ctl, void *buffer)
{
    free(buffer);
}

int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    err->code = code;
    return code;
}

static void stats(struct umbra_op_shadow_stats *s)
{
    static const struct umbra_figure figures[3][3] = {
        {{"tables", "4.1", 7}, {"pool", "size", 99}},
        {{"faults", "fixed", 5}, {"exits", "hlt", 1}, {"faults", "emulated", 2}},
        {{"faults", "fixed", 10}, {"exits", "hlt", 2}, {"exits", "cr", 3}},
    };

    assert_int_equal(s->position, calls);
    assert_true(s->room >= 100);
    s->nr = s->position ? 3 : 2;
    memcpy((void *)(uintptr_t)s->figures, figures[s->position], sizeof(figures[0]));
    s->position = s->position < 2 ? s->position + 1 : UMBRA_FIGURES_end;
}

static void audit(struct umbra_op_shadow_audit *a)
{
    struct umbra_shadow_finding *f = (void *)(uintptr_t)a->findings;

    assert_int_equal(a->next + a->p2m_next + a->broken, 0); /* each try from the beginning */
    assert_int_equal(a->room, CTL_AUDIT_FINDINGS);
    *f = (struct umbra_shadow_finding){.gfn = 3, .entry = 4, .index = 5};
    memset(f->rule, 'r', sizeof(f->rule)); /* not terminated */
    memset(f->what, 'w', sizeof(f->what));
    a->broken = 9;
    a->nr = 1;
    a->tables = 6;
    a->entries = 7;
    a->p2m_tables = 8;
}

static void dump(struct umbra_op_shadow_dump *d)
{
    struct umbra_shadow_record *r = (void *)(uintptr_t)d->records;

    assert_int_equal(d->position, 100 * calls);
    d->nr = calls == 1 ? 0 : d->room;
    for (uint32_t i = 0; i < d->nr; i++)
        r[i] = (struct umbra_shadow_record){.shadow = calls, .index = (uint16_t)(i % 600), .gfn = UMBRA_SHADOW_none};
    r[0].index = UMBRA_SHADOW_table;
    r[0].flags = UMBRA_SHADOW_direct;
    r[0].gfn = 77;
    d->position = calls == 3 ? UMBRA_SHADOW_end : d->position + 100;
}

int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op)
{
    assert_int_equal(op->domain, 7);
    if (calls >= fail_from) {
        calls++;
        return failure;
    }
    if (op->cmd == UMBRA_OP_shadow_stats)
        stats(&op->u.shadow_stats);
    else if (op->cmd == UMBRA_OP_shadow_audit)
        audit(&op->u.shadow_audit);
    else if (op->cmd == UMBRA_OP_shadow_dump)
        dump(&op->u.shadow_dump);
    else
        assert_int_equal(op->cmd, UMBRA_OP_shadow_blow);
    calls++;
    return 0;
}

static int begin(void **state)
{
    calls = 0;
    fail_from = ~0u;
    reason[0] = '\0';
    return 0;
}

/* Those of all vCPUs are one, and a group stands together. */
static void test_stats(void **state)
{
    static const struct ctl_figure expected[] = {{"tables", "4.1", 7},    {"pool", "size", 99},
                                                 {"faults", "fixed", 15}, {"faults", "emulated", 2},
                                                 {"exits", "hlt", 3},     {"exits", "cr", 3}};
    struct ctl_error err = {0};
    struct ctl_figure *list;

    assert_int_equal(ctl_shadow_stats(NULL, 7, &list, &err), 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(list[i].group, expected[i].group);
        assert_string_equal(list[i].name, expected[i].name);
        assert_int_equal(list[i].value, expected[i].value);
    }
    free(list);
}

static void test_audit(void **state)
{
    struct ctl_error err = {0};
    struct ctl_shadow_audit a;

    assert_int_equal(ctl_shadow_audit(NULL, 7, &a, &err), 0);
    assert_true(a.broken == 9 && a.n == 1 && a.tables == 6 && a.entries == 7 && a.map_tables == 8);
    assert_int_equal(strlen(a.finding[0].rule), sizeof(a.finding[0].rule) - 1);
    assert_int_equal(strlen(a.finding[0].what), sizeof(a.finding[0].what) - 1);
    assert_true(a.finding[0].gfn == 3 && a.finding[0].entry == 4 && a.finding[0].index == 5);
}

static void test_dump(void **state)
{
    struct ctl_error err = {0};
    struct ctl_shadow *list;
    long n = ctl_shadow_dump(NULL, 7, &list, &err);

    assert_int_equal(n, 3 * 4096);
    assert_true(!list[0].is_entry && list[0].is_part && list[0].has_gfn && list[0].gfn == 77);
    assert_true(list[1].is_entry && !list[1].has_gfn && list[1].index == 1 && list[1].shadow == 0);
    assert_int_equal(list[n - 1].shadow, 3);
    free(list);
}

static void test_errors(void **state)
{
    static const struct {
        int code;
        const char *why;
        unsigned calls; /* of an audit */
    } cases[] = {
        {-EOPNOTSUPP, "PV guest", 1}, {-EBUSY, "dying", 1},           {-ESRCH, "not exist", 1},
        {-ENOSYS, "cannot tell", 1},  {-EAGAIN, "memory map was", 5}, {-EPERM, "no answer", 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_error err = {0};
        struct ctl_shadow_audit a;
        struct ctl_figure *figures;
        struct ctl_shadow *list;

        failure = cases[i].code;
        calls = fail_from = 0;
        assert_int_equal(ctl_shadow_audit(NULL, 7, &a, &err), failure);
        assert_int_equal(calls, cases[i].calls);
        assert_non_null(strstr(reason, cases[i].why));
        assert_int_equal(ctl_shadow_blow(NULL, 7, &err), failure);
        for (fail_from = 0; fail_from < 3; fail_from++) {
            calls = 0;
            assert_int_equal(ctl_shadow_stats(NULL, 7, &figures, &err), failure);
            assert_null(figures);
            calls = 0;
            assert_int_equal(ctl_shadow_dump(NULL, 7, &list, &err), failure);
            assert_null(list);
        }
    }
    fail_from = ~0u;
    assert_int_equal(ctl_shadow_blow(NULL, 7, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stats, begin),
        cmocka_unit_test_setup(test_audit, begin),
        cmocka_unit_test_setup(test_dump, begin),
        cmocka_unit_test_setup(test_errors, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
