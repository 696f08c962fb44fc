/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: what xl finds of a guest (userdata.h), over its domains.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest_world.h"
#include "cli/userdata.h"
#include "fake_ctl.h"

/* Files for libxl, by a part of their names. */
static int userdata_files(const char *part)
{
    DIR *dir = opendir(userdata_dir);
    struct dirent *e;
    int n = 0;

    while (dir && (e = readdir(dir)) != NULL)
        n += *e->d_name != '.' && strstr(e->d_name, part);
    if (dir)
        closedir(dir);
    return n;
}

static void userdata_file(const char *name, const char *mode)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", userdata_dir, name);
    f = fopen(path, mode);
    assert_non_null(f);
    fclose(f);
}

#define OTHERS "userdata-d.5.ab000000-0000-0000-0000-000000000000.libxl-json"

/* xl finds a guest's configuration under the number of its present domain; with the guest all files of it go. */
static void test_userdata(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG("")), now;
    char name[100], text[2000];

    assert_int_equal(mkdir(userdata_dir, 0700), 0);
    userdata_file(OTHERS, "w");
    userdata_file("userdata-d.5.aa000000-0000-0000-0000-000000000000.libxl-json", "w");
    userdata_file("userdata-n.5.aa000000-0000-0000-0000-000000000000.xl", "w");
    domain_of(&gs, 5);
    fake_stop(5, REBOOT);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(guest_state_get(ctl, gs.uuid, &now, NULL), 0);
    assert_int_equal(userdata_files(".aa000000-"), 1);
    snprintf(name, sizeof(name), "userdata-d.%d.aa000000-0000-0000-0000-000000000000.libxl-json", (int)now.domid);
    assert_int_equal(userdata_files(name), 1);
    snprintf(text, sizeof(text), "userdata/%s", name);
    slurp(text, text, sizeof(text));
    assert_non_null(strstr(text, "\"name\":\"web2\""));
    assert_non_null(strstr(text, "\"type\":\"pv\""));
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(userdata_files(""), 1);
    snprintf(text, sizeof(text), "%s/%s", userdata_dir, OTHERS);
    assert_int_equal(unlink(text), 0);
    assert_int_equal(rmdir(userdata_dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_userdata, fresh),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
