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
#include "store_bench.h"

#define DOM "/local/domain/5"
#define VM  "/vm/aa000000-0000-0000-0000-000000000000"

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

/* --- tests --- */

static int fresh(void **state)
{
    bench_fresh(NULL);
    return 0;
}

static void has(const char *path, const char *value)
{
    assert_non_null(xs_fake_get(path));
    assert_string_equal(xs_fake_get(path), value);
}

static void test_nodes(void **state)
{
    struct ctl_rings found;

    assert_int_equal(ctl_domain_rings(ctl, 5, &found, &err), -ENOENT);
    assert_int_equal(ctl_domain_readmit(ctl, 5, &config, &rings, &err), 0);
    assert_int_equal(ctl_domain_rings(ctl, 5, &found, NULL), 0);
    assert_memory_equal(&found, &rings, sizeof(rings));
    has(DOM "/name", "web1");
    has(DOM "/vm", VM);
    has(DOM "/domid", "5");
    has(DOM "/memory/target", "65536");
    has(DOM "/memory/static-max", "131072");
    has(DOM "/cpu/0/availability", "online");
    has(DOM "/cpu/1/availability", "offline");
    has(DOM "/console/type", "xenconsoled");
    has(VM "/on_reboot", "restart");
    has("/libxl/5/type", "pv");
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
    has(DOM "/console/port", "4");
}

static const char *broken; /* the call that fails */

static bool fails(const char *name)
{
    errno = EIO;
    return broken && strcmp(name, broken) == 0;
}

/* A domain whose name nobody has looked after yet. */
static int take(void)
{
    struct ctl_domain_config named = config;

    named.name_taken = false;
    return ctl_domain_readmit(ctl, 5, &named, &rings, &err);
}

/* Who cannot be asked has not said that a name is free. */
static void test_name(void **state)
{
    static const char *const calls[] = {"xs_directory", "xs_read"};

    assert_int_equal(take(), 0); /* there was no domain at all */
    assert_int_equal(take(), 0); /* nor is one its own rival */
    xs_fake_set("/local/domain/6/memory", "");
    xs_fake_set("/local/domain/7/name", "web2");
    assert_int_equal(take(), 0);
    xs_fake_fails = fails;
    for (size_t i = 0; i < CTL_ARRAY(calls); i++) {
        broken = calls[i];
        assert_int_equal(take(), -EIO);
        assert_string_equal(err.step, "read from xenstore");
        broken = NULL;
    }
    xs_fake_set("/local/domain/7/name", "web1");
    assert_int_equal(take(), -EEXIST);
    assert_string_equal(err.step, "take the name");
}

/* One that was restored is asked for what it was asked for before. */
static void test_target(void **state)
{
    struct ctl_domain_config less = config;

    less.target_kib = 49152;
    assert_int_equal(ctl_domain_readmit(ctl, 5, &less, &rings, &err), 0);
    has(DOM "/memory/target", "49152");
    has(DOM "/memory/static-max", "131072");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_target, fresh),
        cmocka_unit_test_setup(test_nodes, fresh),
        cmocka_unit_test_setup(test_again, fresh),
        cmocka_unit_test_setup(test_name, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
