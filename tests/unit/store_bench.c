/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See store_bench.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fake_xs.h"
#include "store_bench.h"

static struct ctl the_ctl;
struct ctl *const ctl = &the_ctl;
struct ctl_error err;

struct xs_handle *ctl_store_handle(struct ctl *c, struct ctl_error *e)
{
    c->store = (struct xs_handle *)&the_ctl;
    return c->store;
}

int ctl_fail_domain(struct ctl *c, struct ctl_error *e, int code, struct ctl_at at, const char *fmt, ...)
{
    return ctl_error_set(e, code, at.step, NULL, NULL, "%s", fmt);
}

void bench_fresh(void (*driver)(const char *path))
{
    xs_fake_reset();
    xs_fake_changed = driver;
    memset(&err, 0, sizeof(err));
}

bool is(const char *path, const char *value)
{
    return xs_fake_get(path) && strcmp(xs_fake_get(path), value) == 0;
}

void put_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}
