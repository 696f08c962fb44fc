/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/libctl: a guest is asked to suspend, on a store in memory (fake_xs.h): what is refused before it is asked, and
 * whether one that was asked may be asleep later, whatever failed.
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

#include "fake_xs.h"
#include "store_bench.h"

#define GUEST    5
#define DOM      "/local/domain/5"
#define REQUEST  DOM "/control/shutdown"
#define ANNOUNCE DOM "/control/feature-suspend"

static struct ctl_domain_info guest;
static int looks_left; /* then looking fails */
static bool asked;

/* --- the host --- */

int ctl_domain_info(struct ctl *c, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *e)
{
    *info = guest;
    if (looks_left-- == 0)
        return ctl_error_set(e, -EIO, "look", NULL, NULL, "the hypervisor does not answer");
    return domid == GUEST ? 0 : ctl_error_set(e, -ESRCH, "look", NULL, NULL, "no such domain");
}

int ctl_domain_resume(struct ctl *c, uint32_t domid, struct ctl_error *e)
{
    guest.shutdown = false;
    return 0;
}

void *ctl_buffer_get(struct ctl *c, size_t size)
{
    return calloc(1, size);
}

void ctl_buffer_put(struct ctl *c, void *buffer)
{
    free(buffer);
}

int ctl_call_domctl(struct ctl *c, struct xen_domctl *op)
{
    return 0;
}

int ctl_hvm_set_result(struct ctl *c, uint32_t domid, uint64_t value, struct ctl_error *e)
{
    return 0;
}

void *ctl_foreign_map(struct ctl *c, uint32_t domid, int prot, const uint64_t *frames, size_t n, struct ctl_error *e)
{
    return NULL;
}

void ctl_foreign_unmap(struct ctl *c, void *address, size_t n)
{
}

bool xs_resume_domain(struct xs_handle *h, unsigned domid)
{
    return true;
}

/* --- tests --- */

static int fresh(void **state)
{
    bench_fresh(NULL);
    guest = (struct ctl_domain_info){.domid = GUEST};
    looks_left = -1;
    xs_fake_set(DOM, "");
    xs_fake_set(ANNOUNCE, "1");
    return 0;
}

static int suspend_in(unsigned ms)
{
    return ctl_domain_suspend(ctl, GUEST, &(struct ctl_wait){.timeout_ms = ms}, &asked, &err);
}

/* Refused at once, when it is only looked at and when it is to be: nothing is written. */
static void refused(int code, const char *text)
{
    for (int i = 0; i < 2; i++) {
        memset(&err, 0, sizeof(err));
        asked = false;
        assert_int_equal(i ? suspend_in(100) : ctl_domain_can_suspend(ctl, GUEST, &err), code);
        assert_false(asked);
        assert_non_null(strstr(err.message, text));
        assert_null(xs_fake_get(REQUEST));
    }
}

static void test_refused(void **state)
{
    assert_int_equal(ctl_domain_can_suspend(ctl, GUEST, &err), 0);
    assert_null(xs_fake_get(REQUEST));
    guest.paused = true;
    refused(-EBUSY, "it is paused");
    guest.paused = false;
    xs_fake_set(ANNOUNCE, "");
    refused(-EOPNOTSUPP, "has not announced that it can suspend");
    assert_string_equal(err.hint, "if it is still booting, wait for that");
    xs_fake_remove(ANNOUNCE);
    refused(-EOPNOTSUPP, "has not announced that it can suspend");
    guest.shutdown = true;
    guest.shutdown_reason = SHUTDOWN_crash;
    refused(-ESRCH, "it has already shut down");
    guest.shutdown_reason = SHUTDOWN_suspend; /* whoever put it to sleep */
    assert_int_equal(ctl_domain_can_suspend(ctl, GUEST, &err), 0);
    assert_int_equal(suspend_in(100), 0);
    guest.dying = true;
    refused(-ESRCH, "it has already shut down");
    assert_int_equal(ctl_domain_can_suspend(ctl, 0, &err), -ESRCH);
    assert_int_equal(ctl_domain_takes(ctl, 0, CTL_REQUEST_SUSPEND, &err), -EINVAL);
}

/* --- it was asked --- */

static enum { SLEEPS, STAYS, ENDS, CRASHES } then;

/* Takes the request, and does what it does then. */
static void kernel(const char *path)
{
    if (strcmp(path, REQUEST) != 0 || strcmp(xs_fake_get(REQUEST), "suspend") != 0)
        return;
    xs_fake_set(REQUEST, "");
    guest.shutdown = then == SLEEPS || then == CRASHES;
    guest.shutdown_reason = then == SLEEPS ? SHUTDOWN_suspend : SHUTDOWN_crash;
    guest.dying = then == ENDS;
}

static int suspend(void)
{
    asked = false;
    memset(&err, 0, sizeof(err));
    return suspend_in(50);
}

static void test_answers(void **state)
{
    static const struct {
        int then, rc;
        bool may;
    } cases[] = {{SLEEPS, 0, true}, {STAYS, -ETIMEDOUT, true}, {ENDS, -ESRCH, false}, {CRASHES, -ECANCELED, false}};

    assert_int_equal(suspend(), -ETIMEDOUT); /* nobody takes it */
    assert_true(asked);
    assert_true(is(REQUEST, ""));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh(state);
        xs_fake_changed = kernel;
        then = cases[i].then;
        assert_int_equal(suspend(), cases[i].rc);
        assert_int_equal(asked, cases[i].may);
    }
}

/* The hypervisor is asked again and again, and does not answer once: a guest that took the request may be asleep. */
static void test_looking_fails(void **state)
{
    unsigned may = 0;
    int rc = -1;

    for (int at = 0; rc < 0; at++) {
        fresh(state);
        xs_fake_changed = kernel;
        then = SLEEPS;
        looks_left = at;
        rc = suspend();
        assert_true(rc == 0 || rc == -EIO);
        assert_true(asked || !guest.shutdown);
        may += rc < 0 && asked;
    }
    assert_true(may >= 2);
}

/* Asked meanwhile, it says so the third time. */
static int third(void *ctx, struct ctl_error *e)
{
    int *times = ctx;

    return ++*times < 3 ? 0 : ctl_error_set(e, -EINTR, "wait", NULL, NULL, "interrupted");
}

static int times;

static int suspend_asked(unsigned ms, int from)
{
    times = from;
    asked = false;
    memset(&err, 0, sizeof(err));
    return ctl_domain_suspend(ctl, GUEST, &(struct ctl_wait){ms, third, &times}, &asked, &err);
}

/* Whoever waits is asked again and again, and his word is the error: a request that was not taken is withdrawn. */
static void test_given_up(void **state)
{
    assert_int_equal(suspend_asked(60000, 0), -EINTR); /* nobody takes it */
    assert_string_equal(err.message, "interrupted");
    assert_int_equal(times, 3);
    assert_true(asked);
    assert_true(is(REQUEST, ""));
    fresh(state);
    xs_fake_changed = kernel;
    then = STAYS;
    assert_int_equal(suspend_asked(60000, 0), -EINTR);
    assert_string_equal(err.message, "interrupted");
    assert_true(asked); /* it may fall asleep yet */
    fresh(state);
    assert_int_equal(suspend_asked(450, -100), -ETIMEDOUT); /* his word comes too late */
    assert_true(times >= -98);
    fresh(state);
    xs_fake_changed = kernel;
    then = SLEEPS;
    assert_int_equal(suspend_asked(60000, 0), 0);
}

static int answers_left, first_error; /* then xenstored has ended, or is asked what it does not understand */

static bool daemon_ends(const char *name)
{
    if (answers_left > 0 && --answers_left > 0)
        return false;
    errno = first_error;
    first_error = EBADF;
    return true;
}

/* At any moment: whoever asked does not take it for an answer, nor wait for one. */
static void test_daemon_ends(void **state)
{
    static const enum ctl_request what[] = {CTL_REQUEST_POWEROFF, CTL_REQUEST_SUSPEND};

    for (int i = 0; i < 8; i++) {
        int rc = -ECONNREFUSED, at = 0;

        while (rc == -ECONNREFUSED) {
            fresh(state);
            xs_fake_changed = i % 4 < 2 ? kernel : NULL;
            first_error = i < 4 ? EBADF : EINVAL;
            then = STAYS;
            xs_fake_fails = daemon_ends;
            answers_left = ++at;
            memset(&err, 0, sizeof(err));
            rc = ctl_domain_request(ctl, GUEST, what[i % 2], 50, &err);
            if (rc < 0 && rc != -ETIMEDOUT)
                assert_string_equal(err.message, "xenstored does not answer");
        }
        assert_int_equal(rc, i % 4 == 1 ? 0 : -ETIMEDOUT);
        assert_true(at > 3);
    }
}

static bool not_understood(const char *name)
{
    errno = EINVAL;
    return strcmp(name, "xs_write") == 0;
}

static void test_refuses(void **state)
{
    xs_fake_set("/", "");
    xs_fake_fails = not_understood;
    assert_int_equal(ctl_domain_request(ctl, GUEST, CTL_REQUEST_POWEROFF, 50, &err), -EINVAL);
    assert_string_equal(err.message, "xenstored refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_refused, fresh),       cmocka_unit_test_setup(test_answers, fresh),
        cmocka_unit_test_setup(test_looking_fails, fresh), cmocka_unit_test_setup(test_given_up, fresh),
        cmocka_unit_test_setup(test_daemon_ends, fresh),   cmocka_unit_test_setup(test_refuses, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
