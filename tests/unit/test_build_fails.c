// SPDX-License-Identifier: BSD-2-Clause
/*
 * tools/libctl: a guest is built, and every call that this takes - to the hypervisor, for a mapping, to xenstored -
 * fails once. Then the build fails with words, or has found another way, and either way nothing is left: no domain, no
 * node, no mapping, no buffer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "libctl/internal.h"

#include <xenstore_lib.h>

#include "elf_maker.h"
#include "fake_host.h"
#include "fake_xs.h"

static char kernel[] = "/tmp/umbra-build-XX"
                       "XX"
                       "XX";

static void make_kernel(const struct elf_options *options)
{
    struct ctl_bytes elf = em_elf(options);
    FILE *file = fopen(kernel, "w");

    assert_int_equal(fwrite(elf.data, 1, elf.size, file), elf.size);
    fclose(file);
    free(elf.data);
}

static int make_name(void **state)
{
    int fd = mkstemp(kernel);

    return fd < 0 ? -1 : close(fd);
}

static int remove_kernel(void **state)
{
    return unlink(kernel);
}

/* As the verb create does it; a guest that was built is destroyed. 0 or the error. */
static int build(const struct ctl_domain_config *config, struct ctl_error *err)
{
    struct ctl *ctl = ctl_open(err);
    uint32_t domid;
    int rc = ctl ? ctl_build_domain(ctl, config, &domid, err) : err->code;

    if (rc == 0) {
        assert_true(host.guest && xs_fake_count("/local/domain/1/console/port") == 1);
        assert_string_equal(getenv("XENSTORED_PATH"), xs_daemon_socket()); /* not the kernel's own door */
        host.fails_at = 0;                                                 /* the build was meant */
        assert_int_equal(ctl_domain_destroy(ctl, domid, NULL), 0);
    }
    ctl_close(ctl);
    return rc;
}

/* What is said names the step, and is more than that. */
static void failed_well(const struct ctl_error *err, int rc)
{
    assert_true(rc < 0);
    assert_int_equal(err->code, rc);
    assert_true(err->step[0] && err->message[0]);
}

/* The limit of memory is what a guest is given, and not what it may be given later; and the number that it asks for. */
static void limit_and_number(void **state)
{
    struct ctl_domain_config config = {
        .name = "g", .type = CTL_PV, .memory_kib = 40 << 10, .maxmem_kib = 80 << 10, .kernel = kernel, .uuid = {1}};
    struct ctl_error err = {0};
    struct ctl *ctl;
    uint32_t domid;

    make_kernel(&elf_linux);
    host_reset(0);
    xs_fake_set("/local/domain/0/name", "Domain-0");
    ctl = ctl_open(&err);
    assert_int_equal(ctl_build_domain(ctl, &config, &domid, &err), 0);
    assert_int_equal(host.max_kib, (40 << 10) + CTL_MEMORY_SLACK_KIB);
    assert_int_equal(ctl_domain_destroy(ctl, domid, NULL), 0);
    config.domid = host.taken = 9;
    assert_int_equal(ctl_build_domain(ctl, &config, &domid, &err), -EEXIST);
    assert_non_null(strstr(err.message, "domain 9 exists"));
    assert_false(host.guest);
    ctl_close(ctl);
    assert_int_equal(host.held, 0);
}

static void memory_nodes(void **state)
{
    uint8_t map[CTL_NODES_MAX / 8];
    struct ctl_error err = {0};
    struct ctl_node *nodes;
    struct ctl *ctl;

    host_reset(0);
    ctl = ctl_open(&err);
    assert_int_equal(ctl_host_nodes(ctl, &nodes, &err), 3);
    assert_int_equal(nodes[0].size_kib, 1 << 20);
    assert_int_equal(nodes[1].size_kib, 0);
    assert_int_equal(nodes[2].free_kib, 3 << 10);
    assert_int_equal(nodes[2].distance[1], 23);
    assert_int_equal(nodes[2].distance[2], 10);
    free(nodes);
    assert_int_equal(ctl_domain_nodes(ctl, 0, map, &err), 0);
    assert_int_equal(map[0], 2);
    host.fails_at = host.calls + 1;
    assert_true(ctl_host_nodes(ctl, &nodes, &err) < 0);
    assert_null(nodes);
    failed_well(&err, err.code);
    host.fails_at = host.calls + 1;
    assert_true(ctl_domain_nodes(ctl, 0, map, &err) < 0);
    host.fails_at = 0;
    ctl_close(ctl);
    assert_int_equal(host.held, 0);
}

/* Of guests. */
static int nodes(void)
{
    return xs_fake_count("/local/domain/1") + xs_fake_count("/vm") + xs_fake_count("/libxl");
}

static void each_call_fails(const struct ctl_domain_config *config)
{
    long n = 0, refused = 0;

    do {
        struct ctl_error err = {0};
        int rc;

        host_reset(++n);
        xs_fake_set("/local/domain/0/name", "Domain-0");
        rc = build(config, &err);
        if (rc) {
            assert_non_null(host.fails);
            failed_well(&err, rc);
            refused++;
        }
        if (host.guest || host.held || nodes())
            fail_msg("call %ld, %s, has failed: guest %d, %d held, %d nodes", n, host.fails, host.guest, host.held,
                     nodes());
    } while (host.fails);
    print_message("           %ld calls, %ld of them end the build\n", n - 1, refused);
    assert_true(n > 80 && refused > 60);
}

static void calls_of_pv(void **state)
{
    make_kernel(&elf_linux);
    each_call_fails(&(struct ctl_domain_config){
        .name = "g", .type = CTL_PV, .memory_kib = 40 << 10, .vcpus = 2, .kernel = kernel, .uuid = {1}});
}

static void calls_of_pvh(void **state)
{
    make_kernel(&elf_pvh);
    each_call_fails(&(struct ctl_domain_config){
        .name = "g", .type = CTL_PVH, .memory_kib = 40 << 10, .vcpus = 2, .kernel = kernel, .uuid = {1}});
}

/* Without the empty parents, which go with those of the next guest. */
static int own_nodes(void)
{
    return xs_fake_count("/local/domain/1") + xs_fake_count("/libxl/1") +
           xs_fake_count("/vm/01000000-0000-0000-0000-000000000000");
}

/* Whatever fails, a guest that was destroyed is gone, and one that was not is destroyed by the next attempt. */
static void calls_of_destroy(void **state)
{
    struct ctl_domain_config config = {
        .name = "g", .type = CTL_PV, .memory_kib = 40 << 10, .vcpus = 2, .kernel = kernel, .uuid = {1}};
    long n = 0, refused = 0;

    make_kernel(&elf_linux);
    do {
        struct ctl_error err = {0};
        struct ctl *ctl;
        uint32_t domid;
        int rc;

        host_reset(0);
        xs_fake_set("/local/domain/0/name", "Domain-0");
        ctl = ctl_open(&err);
        assert_int_equal(ctl_build_domain(ctl, &config, &domid, &err), 0);
        host.fails_at = host.calls + ++n;
        rc = ctl_domain_destroy(ctl, domid, &err);
        if (rc) {
            assert_non_null(host.fails);
            failed_well(&err, rc);
            refused++;
            ctl_domain_destroy(ctl, domid, NULL);
        }
        ctl_close(ctl);
        if (host.guest || host.held || own_nodes())
            fail_msg("call %ld, %s, has failed: guest %d, %d held, %d nodes", n, host.fails, host.guest, host.held,
                     own_nodes());
    } while (host.fails);
    print_message("           %ld calls, %ld of them are told\n", n - 1, refused);
    assert_true(n > 5 && refused > 1);
}

/* The paging mode: chosen as the host can, or as it is wanted; what the host has not is refused, and nothing is made.
 */
static void paging_modes(void **state)
{
    enum { HVM = XEN_SYSCTL_PHYSCAP_hvm, SHADOW = XEN_SYSCTL_PHYSCAP_shadow, HAP = XEN_SYSCTL_PHYSCAP_hap };
    static const struct {
        unsigned physcaps;
        enum ctl_hap want;
        bool hap;
        const char *field, *message;
    } cases[] = {
        {HVM | SHADOW, CTL_HAP_AUTO, false, NULL, NULL},
        {HVM | SHADOW | HAP, CTL_HAP_AUTO, true, NULL, NULL},
        {HVM | SHADOW | HAP, CTL_HAP_OFF, false, NULL, NULL},
        {HVM | SHADOW | HAP, CTL_HAP_ON, true, NULL, NULL},
        {HVM | SHADOW, CTL_HAP_ON, false, "hap", "the hypervisor has no nested paging"},
        {HVM | HAP, CTL_HAP_OFF, false, "hap", "the hypervisor has no shadow paging"},
        {SHADOW, CTL_HAP_AUTO, false, "type", "the host has no hardware virtualisation that the hypervisor can use"},
    };
    struct ctl_domain_config config = {
        .name = "g", .type = CTL_PVH, .memory_kib = 40 << 10, .vcpus = 1, .kernel = kernel, .uuid = {1}};

    make_kernel(&elf_pvh);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_error err = {0};
        int rc;

        host_reset(0);
        xs_fake_set("/local/domain/0/name", "Domain-0");
        host.physcaps = cases[i].physcaps;
        config.hap = cases[i].want;
        rc = build(&config, &err);
        assert_int_equal(rc, cases[i].field ? -EOPNOTSUPP : 0);
        if (!rc) {
            assert_int_equal(!!(host.flags & XEN_DOMCTL_CDF_hap), cases[i].hap);
            continue;
        }
        failed_well(&err, rc);
        assert_string_equal(err.field, cases[i].field);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(host.flags, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_pv),      cmocka_unit_test(calls_of_pvh), cmocka_unit_test(calls_of_destroy),
        cmocka_unit_test(limit_and_number), cmocka_unit_test(memory_nodes), cmocka_unit_test(paging_modes),
    };

    return cmocka_run_group_tests(tests, make_name, remove_kernel);
}
