/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/libctl/lookup.c and console.c: a name, or a console, that is not there is told from a xenstored that ended.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_xs.h"
#include "libctl/internal.h"

static struct ctl the_ctl;
static struct ctl_error err;
static int answers_left; /* at 0 xenstored has ended; -1: never */

struct xs_handle *ctl_store_handle(struct ctl *ctl, struct ctl_error *e)
{
    ctl->store = (struct xs_handle *)&the_ctl;
    return ctl->store;
}

int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *e)
{
    return 0;
}

/* Domains 1 and 2. */
int ctl_domain_list(struct ctl *ctl, struct ctl_domain_info **list, struct ctl_error *e)
{
    *list = calloc(2, sizeof(**list));
    assert_non_null(*list);
    for (uint32_t i = 0; i < 2; i++) {
        char *name = ctl_store_read_domain(ctl, i + 1, "name", NULL);

        (*list)[i].domid = i + 1;
        snprintf((*list)[i].name, sizeof((*list)[i].name), "%s", name ? name : "");
        free(name);
    }
    return 2;
}

static bool ended(const char *name)
{
    errno = EBADF;
    answers_left -= answers_left > 0;
    return answers_left == 0;
}

static int fresh(void **state)
{
    xs_fake_reset();
    xs_fake_set("/local/domain/1/name", "web");
    xs_fake_set("/local/domain/2/name", "1");
    xs_fake_fails = ended;
    answers_left = -1;
    memset(&err, 0, sizeof(err));
    return 0;
}

static int find(const char *name, uint32_t *domid)
{
    *domid = 77;
    memset(&err, 0, sizeof(err));
    return ctl_domain_find(&the_ctl, name, domid, &err);
}

static void test_find(void **state)
{
    uint32_t domid;

    assert_int_equal(find("web", &domid), 0);
    assert_int_equal(domid, 1);
    assert_int_equal(find("1", &domid), 0);
    assert_int_equal(domid, 2); /* a name goes first */
    assert_int_equal(find("2", &domid), 0);
    assert_int_equal(domid, 2);
    assert_int_equal(find("we", &domid), -ESRCH);
    assert_string_equal(err.message, "no domain has that name");
    assert_int_equal(find("3", &domid), -ESRCH);
    assert_string_equal(err.message, "no domain has that name or id");
    assert_int_equal(domid, 77);
}

/* After any number of answers. */
static void test_find_ended(void **state)
{
    uint32_t domid;
    int rc = -1, refused = 0;

    for (int at = 0; rc < 0 && at < 20; at++) {
        answers_left = at + 1;
        rc = find("web", &domid);
        refused += rc == -ECONNREFUSED && strcmp(err.message, "xenstored does not answer") == 0;
        assert_true(rc == 0 || refused == at + 1);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(refused, 1);
    answers_left = 0;
    assert_int_equal(find("1", &domid), 0); /* by number, without it */
    assert_int_equal(domid, 1);
}

static void test_name(void **state)
{
    char *name;

    assert_int_equal(ctl_domain_name(&the_ctl, 2, &name, &err), 0);
    assert_string_equal(name, "1");
    free(name);
    assert_int_equal(ctl_domain_name(&the_ctl, 3, &name, &err), -ENOENT);
    assert_string_equal(err.message, "it has no name in xenstore");
    answers_left = 0;
    assert_int_equal(ctl_domain_name(&the_ctl, 2, &name, &err), -ECONNREFUSED);
    assert_string_equal(err.message, "xenstored does not answer");
}

static void test_console(void **state)
{
    char *path = NULL;

    assert_int_equal(ctl_console_tty(&the_ctl, 1, 10, &path, &err), -ETIMEDOUT);
    assert_string_equal(err.message, "no terminal was named for it in time");
    xs_fake_set("/local/domain/1/console/tty", "/dev/pts/3");
    assert_int_equal(ctl_console_tty(&the_ctl, 1, 10, &path, &err), 0);
    assert_string_equal(path, "/dev/pts/3");
    free(path);
    answers_left = 0;
    assert_int_equal(ctl_console_tty(&the_ctl, 1, 60000, &path, &err), -ECONNREFUSED);
    assert_string_equal(err.message, "xenstored does not answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_find, fresh),
        cmocka_unit_test_setup(test_find_ended, fresh),
        cmocka_unit_test_setup(test_name, fresh),
        cmocka_unit_test_setup(test_console, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
