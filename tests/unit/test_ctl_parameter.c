// SPDX-License-Identifier: BSD-2-Clause
/* libctl's words of the hypervisor's command line: types, values, errors. The call itself is scripted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "libctl/internal.h"

static struct xen_hypfs_direntry e;
static char content[256];
static char asked[XEN_HYPFS_MAX_PATHLEN];
static char written[256];
static size_t written_size;
static int read_fails, write_fails;
static struct ctl_error err;

int ctl_call_hypfs(struct ctl *ctl, unsigned op, const char *path, void *data, size_t size)
{
    strcpy(asked, path);
    if (op == XEN_HYPFS_OP_write_contents) {
        memcpy(written, data, size);
        written_size = size;
        return write_fails;
    }
    assert_int_equal(op, XEN_HYPFS_OP_read);
    assert_true(size >= sizeof(e));
    if (!read_fails || read_fails == -ENOBUFS)
        memcpy(data, &e, sizeof(e));
    if (!read_fails)
        memcpy((char *)data + sizeof(e), content, size - sizeof(e));
    return read_fails;
}

static void entry(uint8_t type, const void *data, uint32_t size, uint32_t most)
{
    memset(content, 'x', sizeof(content));
    memcpy(content, data, size);
    e = (struct xen_hypfs_direntry){.type = type, .content_len = size, .max_write_len = most};
    read_fails = write_fails = 0;
    written_size = 0;
}

static int set(const char *value)
{
    memset(&err, 0, sizeof(err));
    return ctl_parameter_set(NULL, "word", value, &err);
}

static void is(const char *value, bool is_switch)
{
    struct ctl_parameter p;

    assert_int_equal(ctl_parameter_get(NULL, "word", &p, &err), 0);
    assert_string_equal(asked, "/params/word");
    assert_string_equal(p.value, value);
    assert_int_equal(p.is_switch, is_switch);
}

static void test_get(void **state)
{
    const uint64_t large = 1ull << 40;
    const uint32_t small = 77;
    char longer[128];

    entry(XEN_HYPFS_TYPE_BOOL, "\1", 1, 1);
    is("on", true);
    entry(XEN_HYPFS_TYPE_BOOL, "", 1, 1);
    is("off", true);
    entry(XEN_HYPFS_TYPE_UINT, &small, 4, 0);
    is("77", false);
    entry(XEN_HYPFS_TYPE_UINT, &large, 8, 0);
    is("1099511627776", false);
    entry(XEN_HYPFS_TYPE_STRING, "info/info", 10, 32);
    is("info/info", false);
    memset(longer, 'y', sizeof(longer));
    entry(XEN_HYPFS_TYPE_STRING, longer, sizeof(longer), 32);
    longer[sizeof(longer) - 1] = '\0';
    is(longer, false);
    read_fails = -ENOBUFS; /* more than there is room for: it is there all the same */
    is("", false);
    entry(XEN_HYPFS_TYPE_DIR, "", 1, 0);
    is("", false);
}

static void test_get_errors(void **state)
{
    static const char *const names[] = {"", "/", "a/b", "../buildinfo"};
    struct ctl_parameter p;
    char longer[XEN_HYPFS_MAX_PATHLEN];

    entry(XEN_HYPFS_TYPE_BOOL, "", 1, 1);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(ctl_parameter_get(NULL, names[i], &p, &err), -ENOENT);
    memset(longer, 'z', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(ctl_parameter_get(NULL, longer, &p, NULL), -ENOENT);
    read_fails = -ENOENT;
    assert_int_equal(ctl_parameter_get(NULL, "word", &p, &err), -ENOENT);
    assert_string_equal(err.object, "word");
    assert_string_equal(err.message, "there is no such word");
    read_fails = -ENOSYS;
    assert_int_equal(ctl_parameter_get(NULL, "word", &p, &err), -ENOSYS);
    assert_string_equal(err.hint, "this hypervisor does not offer the operation");
}

static void test_set_switch(void **state)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "disable", "enable", "0", "1"};
    static const char *const bad[] = {"", "2", "On", "onn", "perhaps"};

    entry(XEN_HYPFS_TYPE_BOOL, "", 1, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(set(words[i]), 0);
        assert_int_equal(written_size, 1);
        assert_int_equal(written[0], i % 2);
    }
    written_size = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(set(bad[i]), -EINVAL);
    assert_int_equal(written_size, 0);
    assert_string_equal(err.message, "it does not take the value \"perhaps\"");
}

static void test_set_number(void **state)
{
    static const char *const bad[] = {"", "x", "-1", "+1", " 1", "1x", "0x100000000", "99999999999999999999999"};

    entry(XEN_HYPFS_TYPE_UINT, "1234", 4, 4);
    assert_int_equal(set("0xffffffff"), 0);
    assert_int_equal(written_size, 4);
    assert_memory_equal(written, "\xff\xff\xff\xff", 4);
    for (int i = 0; i < 8; i++)
        assert_int_equal(set(bad[i]), -EINVAL);
    entry(XEN_HYPFS_TYPE_UINT, "12345678", 8, 8);
    assert_int_equal(set("0x100000000"), 0);
    assert_int_equal(written_size, 8);
    assert_int_equal(set("99999999999999999999999"), -EINVAL);
    entry(XEN_HYPFS_TYPE_INT, "1234", 4, 4); /* this library writes none */
    assert_int_equal(set("1"), -EINVAL);
    entry(XEN_HYPFS_TYPE_UINT, "123456789", 9, 9);
    assert_int_equal(set("1"), -EINVAL);
    assert_int_equal(written_size, 0);
}

static void test_set_text(void **state)
{
    char longer[200];

    entry(XEN_HYPFS_TYPE_STRING, "abc", 4, 8);
    assert_int_equal(set("1234567"), 0);
    assert_int_equal(written_size, 8);
    assert_string_equal(written, "1234567");
    assert_int_equal(set(""), 0);
    assert_int_equal(written_size, 1);
    assert_int_equal(set("12345678"), -EINVAL);
    read_fails = -ENOBUFS; /* what it was is of no interest */
    assert_int_equal(set("1"), 0);
    entry(XEN_HYPFS_TYPE_STRING, "abc", 4, 4096);
    memset(longer, 'y', sizeof(longer));
    longer[128] = '\0';
    assert_int_equal(set(longer), -EINVAL);
    longer[127] = '\0';
    assert_int_equal(set(longer), 0);
}

static void test_set_errors(void **state)
{
    entry(XEN_HYPFS_TYPE_STRING, "abc", 4, 0);
    assert_int_equal(set("x"), -EACCES);
    assert_string_equal(err.message, "this word cannot be set while the machine runs");
    assert_non_null(strstr(err.hint, "UMBRA_CMDLINE"));
    entry(XEN_HYPFS_TYPE_STRING, "abc", 4, 8);
    write_fails = -EINVAL;
    assert_int_equal(set("x"), -EINVAL);
    assert_string_equal(err.object, "word");
    assert_string_equal(err.message, "it does not take the value \"x\"");
    write_fails = -EPERM;
    assert_int_equal(set("x"), -EPERM);
    assert_string_equal(err.hint, "run it as root in the control domain");
    read_fails = -ENOENT;
    assert_int_equal(set("x"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),        cmocka_unit_test(test_get_errors), cmocka_unit_test(test_set_switch),
        cmocka_unit_test(test_set_number), cmocka_unit_test(test_set_text),   cmocka_unit_test(test_set_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
