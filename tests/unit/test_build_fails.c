// SPDX-License-Identifier: BSD-2-Clause
/*
 * tools/libctl: a guest is built, or restored, and every call that this takes - to the hypervisor, for a mapping, to
 * xenstored - fails once. Then that fails with words, or has found another way, and either way nothing is left: no
 * domain, no node, no mapping, no buffer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "libctl/internal.h"
#include "libctl/image.h"
#include "libctl/stream.h"

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
        assert_true(host.came && host.claimed == 0 && host.strays == 0);
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

static void each_call_fails(const struct ctl_domain_config *config,
                            int (*make)(const struct ctl_domain_config *config, struct ctl_error *err))
{
    long n = 0, refused = 0;

    do {
        struct ctl_error err = {0};
        int rc;

        host_reset(++n);
        xs_fake_set("/local/domain/0/name", "Domain-0");
        rc = make(config, &err);
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
    each_call_fails(
        &(struct ctl_domain_config){
            .name = "g", .type = CTL_PV, .memory_kib = 40 << 10, .vcpus = 2, .kernel = kernel, .uuid = {1}},
        build);
}

static void calls_of_pvh(void **state)
{
    make_kernel(&elf_pvh);
    each_call_fails(
        &(struct ctl_domain_config){
            .name = "g", .type = CTL_PVH, .memory_kib = 40 << 10, .vcpus = 2, .kernel = kernel, .uuid = {1}},
        build);
}

/* --- from a stream --- */

static const struct ctl_domain_config saved = {.name = "g", .type = CTL_PVH, .memory_kib = 8 << 10, .uuid = {1}};
static int stream_fd;

/* So many of a guest's frames as memory without contents. */
static void put_pages(struct ctl_stream *s, uint64_t first, uint32_t count)
{
    struct page_header h = {.count = count};
    uint64_t words[PAGE_BATCH];

    for (uint32_t i = 0; i < count; i++)
        words[i] = (first + i) | (uint64_t)PAGE_ALLOC << PAGE_TYPE_SHIFT;
    assert_int_equal(ctl_record_write(s, REC_PAGE_DATA, (struct ctl_piece){&h, sizeof(h)},
                                      (struct ctl_piece){words, count * sizeof(words[0])}),
                     0);
}

static void put_params(struct ctl_stream *s)
{
    struct hvm_param list[] = {{HVM_PARAM_STORE_PFN, CTL_STORE_RING >> CTL_PAGE_SHIFT},
                               {HVM_PARAM_CONSOLE_PFN, CTL_CONSOLE_RING >> CTL_PAGE_SHIFT}};
    struct params_header h = {.count = CTL_ARRAY(list)};

    ctl_record_write(s, REC_HVM_PARAMS, (struct ctl_piece){&h, sizeof(h)}, (struct ctl_piece){list, sizeof(list)});
}

/* A guest that has given back half of its memory. */
static int make_stream(void **state)
{
    const struct ctl_piece none = {"", 0};
    struct ctl_stream *s;

    stream_fd = memfd_create("stream", MFD_CLOEXEC);
    s = ctl_stream_open(stream_fd, "file", NULL);
    if (!s || ctl_stream_begin(s, STREAM_TYPE_HVM) < 0)
        return -1;
    ctl_record_write(s, REC_STATIC_DATA_END, none, none);
    put_pages(s, 0, PAGE_BATCH);
    put_pages(s, CTL_ACPI >> CTL_PAGE_SHIFT, 3);
    ctl_record_write(s, REC_HVM_CONTEXT, (struct ctl_piece){"context", 8}, none);
    put_params(s);
    ctl_record_write(s, REC_END, none, none);
    assert_int_equal(ctl_stream_finish(s), 0);
    ctl_stream_close(s);
    return make_name(state);
}

static int remove_stream(void **state)
{
    close(stream_fd);
    return remove_kernel(state);
}

/* Whatever fails, nothing is set aside any more when the guest is removed; but if giving it up is what fails. */
static int restore(const struct ctl_domain_config *config, struct ctl_error *err)
{
    struct ctl *ctl = ctl_open(err);
    struct ctl_stream *s = ctl_stream_open(stream_fd, "file", err);
    uint32_t domid;
    int rc = ctl && lseek(stream_fd, 0, SEEK_SET) == 0 ? ctl_restore_domain(ctl, config, s, &domid, err) : err->code;

    assert_true(host.claimed == 0 && host.strays == 0);
    if (rc == 0) {
        assert_int_equal(host.came, PAGE_BATCH + 3);
        host.fails_at = 0;
        assert_int_equal(ctl_domain_destroy(ctl, domid, NULL), 0);
    }
    assert_true(host.left == 0 || strcmp(err->message, "what was set aside could not be given up") == 0);
    ctl_stream_close(s);
    ctl_close(ctl);
    return rc;
}

static void calls_of_restore(void **state)
{
    each_call_fails(&saved, restore);
}

/* Without the memory nothing comes; and what never came is not kept for the guest that it was meant for. */
static void restore_claims(void **state)
{
    struct ctl_error err = {0};
    long n = 0;

    do {
        host_reset(++n);
        xs_fake_set("/local/domain/0/name", "Domain-0");
        restore(&saved, &err);
        assert_non_null(host.fails);
    } while (!strstr(err.message, "the host cannot set 8 MiB aside"));
    assert_int_equal(host.came, 0);
    assert_false(host.guest);
    assert_int_equal(ftruncate(stream_fd, lseek(stream_fd, 0, SEEK_END) - 64), 0);
    host_reset(0);
    xs_fake_set("/local/domain/0/name", "Domain-0");
    assert_true(restore(&saved, &err) < 0);
    assert_non_null(strstr(err.message, "it ends after"));
    assert_int_equal(host.came, PAGE_BATCH + 3);
    assert_false(host.guest);
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
        cmocka_unit_test(calls_of_pv),      cmocka_unit_test(calls_of_pvh),   cmocka_unit_test(calls_of_destroy),
        cmocka_unit_test(limit_and_number), cmocka_unit_test(memory_nodes),   cmocka_unit_test(paging_modes),
        cmocka_unit_test(calls_of_restore), cmocka_unit_test(restore_claims),
    };

    return cmocka_run_group_tests(tests, make_stream, remove_stream);
}
