// SPDX-License-Identifier: BSD-2-Clause
/* libctl's copy of the log of the boot before, slice by slice. The call itself is scripted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libctl/internal.h"

static char log_bytes[UMBRA_PREVIOUS_LOG_max];
static uint32_t size, slice, too_many;
static int fails, buffers;
static struct ctl_error err;

void *ctl_buffer_get(struct ctl *ctl, size_t n)
{
    buffers++;
    return fails == -ENOMEM ? NULL : malloc(n);
}

void ctl_buffer_put(struct ctl *ctl, void *buffer)
{
    buffers--;
    free(buffer);
}

int ctl_call_sysctl(struct ctl *ctl, struct xen_sysctl *sysctl)
{
    return -ENOSYS;
}

int ctl_call_version(struct ctl *ctl, unsigned op, void *arg, size_t n)
{
    return -ENOSYS;
}

int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op)
{
    struct umbra_op_previous_log *p = &op->u.previous_log;
    uint32_t n = p->count;

    assert_int_equal(op->cmd, UMBRA_OP_previous_log);
    assert_true(p->offset <= size && p->offset + p->count == UMBRA_PREVIOUS_LOG_max);
    n = n < slice ? n : slice;
    n = n < size - p->offset ? n : size - p->offset;
    memcpy((void *)(uintptr_t)p->buffer, log_bytes + p->offset, n);
    p->count = n + too_many;
    return fails;
}

static void reads(uint32_t size_, uint32_t slice_)
{
    char *text;

    size = size_;
    slice = slice_;
    assert_int_equal(ctl_host_previous_log(NULL, &text, &err), size);
    assert_int_equal(strlen(text), size);
    assert_memory_equal(text, log_bytes, size);
    free(text);
    assert_int_equal(buffers, 0);
}

static void test_slices(void **state)
{
    memset(log_bytes, 'x', sizeof(log_bytes));
    memcpy(log_bytes, "abcdefghij", 10);
    reads(10, 4);
    reads(10, 5);
    reads(1, 4096);
    reads(UMBRA_PREVIOUS_LOG_max, 4096);
}

static void test_nul(void **state)
{
    char *text;

    memcpy(log_bytes, "a\0b", 3);
    size = 3;
    assert_int_equal(ctl_host_previous_log(NULL, &text, &err), 3);
    assert_string_equal(text, "a?b");
    free(text);
}

static void fails_by(int code, const char *why)
{
    char *text = log_bytes;

    assert_int_equal(ctl_host_previous_log(NULL, &text, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, why);
    assert_null(text);
    assert_int_equal(buffers, 0);
}

static void test_errors(void **state)
{
    size = 10;
    too_many = UMBRA_PREVIOUS_LOG_max;
    fails_by(-EIO, "the hypervisor refused");
    too_many = 0;
    fails = -ENOENT;
    fails_by(-ENOENT, "no log of a boot before was found");
    assert_non_null(strstr(err.hint, "the power was off"));
    fails = -ENOSYS;
    fails_by(-ENOSYS, "this hypervisor does not keep it");
    fails = -EPERM;
    fails_by(-EPERM, "the hypervisor refused");
    fails = -ENOMEM;
    fails_by(-ENOMEM, "the hypervisor refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slices), cmocka_unit_test(test_nul),
                                       cmocka_unit_test(test_errors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
