// SPDX-License-Identifier: BSD-2-Clause
/* hypfs_op: the tree of names, what is read and set, who may, and arguments that are none. */
#include "fake/core.h"

#include <hv/boot.h>
#include <xen/hypfs.h>

static bool opt_switch, opt_fixed = true;
CMDLINE_RUNTIME("h_switch", PARAM_BOOL, opt_switch);
CMDLINE_PARAM("h_fixed", PARAM_BOOL, opt_fixed);
static unsigned int opt_count;
CMDLINE_RUNTIME("h_count", PARAM_UINT, opt_count);
static uint64_t opt_size;
CMDLINE_RUNTIME("h_size", PARAM_SIZE, opt_size);
static char opt_text[8];
CMDLINE_RUNTIME("h_text", PARAM_STRING, opt_text);
static char level[32];

static int take_level(const char *value)
{
    if (!strcmp(value, "no-level"))
        return -EINVAL;
    strlcpy(level, value, sizeof(level));
    return 0;
}

static void show_level(char *text, size_t size)
{
    snprintf(text, size, "<%s>", level);
}
CMDLINE_RUNTIME_CUSTOM("h_level", take_level, show_level);

static int take_line(const char *value)
{
    return 0;
}
CMDLINE_CUSTOM("h_line", take_line);

static int take_fixed(const char *value)
{
    return 0;
}
CMDLINE_CUSTOM("h_fixed", take_fixed);

#define ROOM 4096u
static uint8_t *buf;
static struct xen_hypfs_direntry *e;

static void prepare(void)
{
    core_as(control_domain->vcpu[0]);
    buf = guest_alloc(ROOM);
    e = (struct xen_hypfs_direntry *)buf;
    opt_switch = false;
    opt_count = 7;
    opt_size = 5ull << 32;
    strlcpy(opt_text, "abc", sizeof(opt_text));
    strlcpy(level, "one", sizeof(level));
}

static long call(unsigned int cmd, const char *path, void *data, unsigned long size)
{
    size_t n = strlen(path) + 1;
    char *at = guest_alloc(n);

    memcpy(at, path, n);
    return core_call5(__HYPERVISOR_hypfs_op, cmd, (unsigned long)at, n, (unsigned long)data, size);
}

static long look(const char *path)
{
    memset(buf, 0x5a, ROOM);
    return call(XEN_HYPFS_OP_read, path, buf, ROOM);
}

static long set(const char *path, const void *value, unsigned long size)
{
    void *at = guest_alloc(size + 1);

    memcpy(at, value, size);
    return call(XEN_HYPFS_OP_write_contents, path, at, size);
}

static void is(const char *path, uint8_t type, const void *content, uint32_t size, uint32_t most)
{
    assert_int_equal(look(path), 0);
    assert_int_equal(e->type, type);
    assert_int_equal(e->encoding, XEN_HYPFS_ENC_PLAIN);
    assert_int_equal(e->pad, 0);
    assert_int_equal(e->content_len, size);
    assert_int_equal(e->max_write_len, most);
    assert_memory_equal(e + 1, content, size);
    assert_int_equal(buf[sizeof(*e) + size], 0x5a); /* and no more */
}

static void is_text(const char *path, const char *text, uint32_t most)
{
    is(path, XEN_HYPFS_TYPE_STRING, text, (uint32_t)strlen(text) + 1, most);
}

/* The entry of a directory that was read; NULL: it has none of this name. *total: how many it has. */
static const struct xen_hypfs_dirlistentry *listed(const char *name, unsigned int *total)
{
    const struct xen_hypfs_dirlistentry *found = NULL, *l;
    uint32_t at = 0;

    assert_int_equal(e->type, XEN_HYPFS_TYPE_DIR);
    assert_int_equal(e->max_write_len, 0);
    for (*total = 1;; ++*total) {
        l = (const void *)(buf + sizeof(*e) + at);
        assert_int_equal(at % 4, 0);
        if (!strcmp(l->name, name)) {
            assert_null(found);
            found = l;
        }
        if (!l->off_next)
            break;
        at += l->off_next;
    }
    at += (uint32_t)ROUND_UP(offsetof(struct xen_hypfs_dirlistentry, name) + strlen(l->name) + 1, 4ul);
    assert_int_equal(at, e->content_len);
    return found;
}

static void test_hypfs_version(void **state)
{
    prepare();
    assert_int_equal(core_call5(__HYPERVISOR_hypfs_op, XEN_HYPFS_OP_get_version, 0, 0, 0, 0), XEN_HYPFS_VERSION);
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(core_call5(__HYPERVISOR_hypfs_op, XEN_HYPFS_OP_get_version, i == 0, i == 1, i == 2, i == 3),
                         -EINVAL);
}

static void test_hypfs_privilege(void **state)
{
    struct domain *d = core_guest(1, 0);

    prepare();
    core_as(d->vcpu[0]);
    assert_int_equal(core_call5(__HYPERVISOR_hypfs_op, XEN_HYPFS_OP_get_version, 0, 0, 0, 0), -EPERM);
    assert_int_equal(look("/"), -EPERM);
    assert_int_equal(set("/params/h_switch", "\1", 1), -EPERM);
    assert_false(opt_switch);
}

static void test_hypfs_tree(void **state)
{
    const struct xen_hypfs_dirlistentry *l;
    const uint32_t major = 4, minor = 17;
    unsigned int n;
    uint32_t size;

    prepare();
    assert_int_equal(look("/params/"), 0);
    size = e->content_len;
    l = listed("h_text", &n);
    assert_int_equal(l->e.content_len, 4);
    assert_int_equal(l->e.max_write_len, sizeof(opt_text));
    assert_true(n >= 7);
    l = listed("h_fixed", &n); /* once, as its variable */
    assert_int_equal(l->e.type, XEN_HYPFS_TYPE_BOOL);
    assert_int_equal(look("/"), 0);
    l = listed("params", &n);
    assert_int_equal(n, 2);
    assert_int_equal(l->e.type, XEN_HYPFS_TYPE_DIR);
    assert_int_equal(l->e.content_len, size);
    assert_int_equal(look("/buildinfo"), 0);
    listed("", &n);
    assert_int_equal(n, 3);
    assert_int_equal(look("/buildinfo/version"), 0);
    assert_non_null(listed("extra", &n));
    is_text("/buildinfo/changeset", "umbra-" UMBRA_VERSION, 0);
    is_text("/buildinfo/compileinfo/compiler", HV_COMPILER, 0);
    is_text("/buildinfo/version/extra", ".umbra-" UMBRA_VERSION, 0);
    is("/buildinfo/version/major", XEN_HYPFS_TYPE_UINT, &major, 4, 0);
    is("/buildinfo/version/minor", XEN_HYPFS_TYPE_UINT, &minor, 4, 0);
}

static void test_hypfs_read(void **state)
{
    prepare();
    is("/params/h_switch", XEN_HYPFS_TYPE_BOOL, "", 1, 1);
    is("/params/h_fixed", XEN_HYPFS_TYPE_BOOL, "\1", 1, 0);
    is("/params/h_count", XEN_HYPFS_TYPE_UINT, &opt_count, 4, 4);
    is("/params/h_size", XEN_HYPFS_TYPE_UINT, &opt_size, 8, 8);
    is_text("/params/h_text", "abc", 8);
    is_text("/params/h_level", "<one>", 32);
    is_text("/params/h_line", "", 0);
    strlcpy(boot_info.cmdline, "h_line=x  h_linear=4 h_line=y,z h_lin=5", sizeof(boot_info.cmdline));
    is_text("/params/h_line", "y,z", 0);
    memset(boot_info.cmdline, 'x', 1000);
    memcpy(boot_info.cmdline, "h_line=", 7);
    boot_info.cmdline[1000] = '\0';
    assert_int_equal(look("/params/h_line"), 0); /* cut */
    assert_int_equal(e->content_len, 128);
    assert_int_equal(strlen((char *)(e + 1)), 127);
    strlcpy(boot_info.cmdline, "console=com1", sizeof(boot_info.cmdline));
}

static void test_hypfs_write(void **state)
{
    const uint32_t count = 99;
    const uint64_t size = 1ull << 40;

    prepare();
    assert_int_equal(set("/params/h_switch", "\1", 1), 0);
    assert_true(opt_switch);
    assert_int_equal(set("/params/h_switch", "\0", 1), 0);
    assert_false(opt_switch);
    assert_int_equal(set("/params/h_count", &count, 4), 0);
    assert_int_equal(opt_count, 99);
    assert_int_equal(set("/params/h_size", &size, 8), 0);
    assert_int_equal(opt_size, 1ull << 40);
    assert_int_equal(set("/params/h_text", "1234567", 8), 0);
    assert_string_equal(opt_text, "1234567");
    assert_int_equal(set("/params/h_text", "", 1), 0);
    assert_string_equal(opt_text, "");
    assert_int_equal(set("/params/h_level", "two", 4), 0);
    is_text("/params/h_level", "<two>", 32);
}

static void test_hypfs_write_errors(void **state)
{
    static const struct {
        const char *path, *value;
        unsigned long size;
        long error;
    } bad[] = {
        {"/params/h_fixed", "", 1, -EACCES},
        {"/params/h_line", "x", 2, -EACCES},
        {"/params", "x", 2, -EACCES},
        {"/", "x", 2, -EACCES},
        {"/buildinfo/version/extra", "", 1, -EACCES},
        {"/params/nothing", "x", 2, -ENOENT},
        {"/params/h_switch", "\2", 1, -EINVAL},
        {"/params/h_switch", "", 0, -EDOM},
        {"/params/h_switch", "\1", 2, -ENOSPC},
        {"/params/h_count", "\1", 2, -EDOM},
        {"/params/h_count", "12345678", 8, -ENOSPC},
        {"/params/h_size", "1234", 4, -EDOM},
        {"/params/h_text", "12345678", 9, -ENOSPC},
        {"/params/h_text", "1234567", 7, -EINVAL},
        {"/params/h_text", "12\0", 4, -EINVAL},
        {"/params/h_text", "", 0, -EINVAL},
        {"/params/h_level", "no-level", 9, -EINVAL},
        {"/params/h_level", "x", ~0ul, -ENOSPC},
    };

    prepare();
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        char *at = guest_alloc(16);

        memcpy(at, bad[i].value, strlen(bad[i].value));
        assert_int_equal(call(XEN_HYPFS_OP_write_contents, bad[i].path, at, bad[i].size), bad[i].error);
    }
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++) {
        assert_int_equal(call(XEN_HYPFS_OP_write_contents, "/params/h_switch", core_bad_pointer(kind, 1), 1), -EFAULT);
        assert_int_equal(call(XEN_HYPFS_OP_write_contents, "/params/h_text", core_bad_pointer(kind, 3), 3), -EFAULT);
    }
    assert_false(opt_switch);
    assert_true(opt_fixed);
    assert_int_equal(opt_count, 7);
    assert_int_equal(opt_size, 5ull << 32);
    assert_string_equal(opt_text, "abc");
    assert_string_equal(level, "one");
}

/* The buffer's size is what the caller says, and nothing behind it is touched. */
static void test_hypfs_buffers(void **state)
{
    prepare();
    for (unsigned long size = 0; size < sizeof(*e); size++)
        assert_int_equal(call(XEN_HYPFS_OP_read, "/params/h_text", buf, size), -EINVAL);
    memset(buf, 0x5a, ROOM);
    for (unsigned long size = sizeof(*e); size < sizeof(*e) + 4; size++) {
        assert_int_equal(call(XEN_HYPFS_OP_read, "/params/h_text", buf, size), -ENOBUFS);
        assert_int_equal(e->content_len, 4);
        assert_int_equal(buf[sizeof(*e)], 0x5a);
    }
    assert_int_equal(call(XEN_HYPFS_OP_read, "/params/h_text", buf, sizeof(*e) + 4), 0);
    assert_int_equal(call(XEN_HYPFS_OP_read, "/params/h_text", buf, ~0ul), 0);
    assert_int_equal(call(XEN_HYPFS_OP_read, "/params", buf, 40), -ENOBUFS);
    assert_int_equal(buf[sizeof(*e) + 4], 0x5a);
    memset(buf, 0, ROOM);
    assert_int_equal(call(XEN_HYPFS_OP_read, "/params/h_text", buf + 1, ROOM - 1), 0); /* not aligned */
    assert_string_equal(buf + 1 + sizeof(*e), "abc");
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++)
        assert_int_equal(call(XEN_HYPFS_OP_read, "/params/h_text", core_bad_pointer(kind, sizeof(*e)), 64), -EFAULT);
    for (unsigned int n = 2; n < 6; n++) { /* a page of it goes away meanwhile */
        core.fail_copy = n;
        assert_int_equal(call(XEN_HYPFS_OP_read, "/params", buf, ROOM), -EFAULT);
        assert_int_equal(core.fail_copy, 0);
    }
}

static void test_hypfs_paths(void **state)
{
    static const struct {
        const char *path;
        long error;
    } paths[] = {
        {"", -EINVAL},
        {"params", -EINVAL},
        {"//", -ENOENT},
        {"/para", -ENOENT},
        {"/paramsx", -ENOENT},
        {"/params//", -ENOENT},
        {"/params/h_tex", -ENOENT},
        {"/params/h_text/", -ENOENT},
        {"/params/h_text/x", -ENOENT},
        {"/buildinfo/", 0},
        {"/params/../params", -ENOENT},
        {"/PARAMS", -ENOENT},
    };
    char *at;

    prepare();
    at = guest_alloc(XEN_HYPFS_MAX_PATHLEN + 1);
    for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++)
        assert_int_equal(look(paths[i].path), paths[i].error);
    memset(at, 'x', XEN_HYPFS_MAX_PATHLEN + 1);
    at[0] = '/';
    at[XEN_HYPFS_MAX_PATHLEN - 1] = '\0';
#define AT(n) core_call5(__HYPERVISOR_hypfs_op, XEN_HYPFS_OP_read, (unsigned long)at, n, (unsigned long)buf, ROOM)
    assert_int_equal(AT(XEN_HYPFS_MAX_PATHLEN), -ENOENT);
    assert_int_equal(AT(XEN_HYPFS_MAX_PATHLEN - 1), -EINVAL); /* not terminated */
    assert_int_equal(AT(XEN_HYPFS_MAX_PATHLEN + 1), -EINVAL);
    assert_int_equal(AT(~0ul), -EINVAL);
    assert_int_equal(AT(0ul), -EINVAL);
    memcpy(at, "/\0", 3);
    assert_int_equal(AT(3ul), -EINVAL); /* terminated too early */
    assert_int_equal(AT(2ul), 0);
    for (unsigned int kind = 0; kind < NR_BAD_POINTERS; kind++) {
        at = core_bad_pointer(kind, 8);
        assert_int_equal(AT(8ul), -EFAULT);
    }
    assert_int_equal(call(XEN_HYPFS_OP_write_contents + 1, "/", buf, ROOM), -EOPNOTSUPP);
    assert_int_equal(call(~0u, "/nothing", buf, ROOM), -ENOENT);
}

int core_hypfs_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_hypfs_version), CORE_TEST(test_hypfs_privilege), CORE_TEST(test_hypfs_tree),
        CORE_TEST(test_hypfs_read),    CORE_TEST(test_hypfs_write),     CORE_TEST(test_hypfs_write_errors),
        CORE_TEST(test_hypfs_buffers), CORE_TEST(test_hypfs_paths),
    };

    return cmocka_run_group_tests_name("hypfs", tests, NULL, NULL);
}
