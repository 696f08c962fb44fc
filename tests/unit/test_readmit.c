/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/libctl: the nodes of a domain that outlives its xenstored: made anew they are those that the builder made, and
 * xenstored is told of the same ring.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libctl/build.h"
#include "fake_xs.h"

#define DOM "/local/domain/5"
#define VM  "/vm/aa000000-0000-0000-0000-000000000000"

static struct ctl the_ctl, *ctl = &the_ctl;
static const struct ctl_domain_config config = {.name = "web1",
                                                .name_taken = true,
                                                .uuid = {0xaa},
                                                .memory_kib = 65536,
                                                .maxmem_kib = 131072,
                                                .vcpus = 1,
                                                .maxvcpus = 2,
                                                .kernel = "/k",
                                                .on_reboot = CTL_ACTION_RESTART};
static const struct ctl_rings rings = {3, 4711, 4, 4712};

/* --- what the library stands on --- */

struct xs_handle *ctl_store_handle(struct ctl *c, struct ctl_error *e)
{
    c->store = (struct xs_handle *)&the_ctl;
    return c->store;
}

int ctl_fail_domain(struct ctl *c, struct ctl_error *e, int code, struct ctl_at at, const char *fmt, ...)
{
    return ctl_error_set(e, code, at.step, NULL, NULL, "%s", fmt);
}

/* --- tests --- */

static int fresh(void **state)
{
    xs_fake_reset();
    return 0;
}

static void is(const char *path, const char *value)
{
    assert_non_null(xs_fake_get(path));
    assert_string_equal(xs_fake_get(path), value);
}

static void test_nodes(void **state)
{
    struct ctl_error err = {0};
    struct ctl_rings found;

    assert_int_equal(ctl_domain_rings(ctl, 5, &found, &err), -ENOENT);
    assert_int_equal(ctl_domain_readmit(ctl, 5, &config, &rings, &err), 0);
    assert_int_equal(ctl_domain_rings(ctl, 5, &found, NULL), 0);
    assert_memory_equal(&found, &rings, sizeof(rings));
    is(DOM "/name", "web1");
    is(DOM "/vm", VM);
    is(DOM "/domid", "5");
    is(DOM "/memory/target", "65536");
    is(DOM "/memory/static-max", "131072");
    is(DOM "/cpu/0/availability", "online");
    is(DOM "/cpu/1/availability", "offline");
    is(DOM "/console/type", "xenconsoled");
    is(VM "/on_reboot", "restart");
    is("/libxl/5/type", "pv");
    assert_int_equal(xs_fake_introduced.domid, 5);
    assert_int_equal(xs_fake_introduced.frame, 4711);
    assert_int_equal(xs_fake_introduced.port, 3);
}

/* By somebody who was killed before: what he left is replaced, and what the domain said for itself is gone. */
static void test_again(void **state)
{
    int n;

    assert_int_equal(ctl_domain_readmit(ctl, 5, &config, &rings, NULL), 0);
    n = xs_fake_count("/");
    xs_fake_set(DOM "/data/said", "this");
    xs_fake_remove(DOM "/console/port");
    assert_int_equal(ctl_domain_readmit(ctl, 5, &config, &rings, NULL), 0);
    assert_int_equal(xs_fake_count("/"), n);
    is(DOM "/console/port", "4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nodes, fresh),
        cmocka_unit_test_setup(test_again, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
