/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: processes that work on guests end at every call that changes something, and the host they leave. The fake
 * host is shared with children, which are really killed.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest_world.h"
#include "cli/cli.h"
#include "cli/lock.h"
#include "fake_ctl.h"

static void settle_all(void)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, NULL);

    fake->kill_at = 0;
    for (int i = 0; i < n; i++)
        assert_int_equal(settle(&list[i]), 0);
    free(list);
}

/* Nothing at all, or a guest that was complete and runs. */
static void expect_all_or_nothing(int point)
{
    if (records() == 0) {
        assert_int_equal(fake->n, 1);
        assert_int_equal(nodes_below("/local/domain/") + nodes_below("/vm/"), 0);
        return;
    }
    assert_int_equal(records(), 1);
    assert_int_equal(fake->n, 2);
    assert_false(fake->domains[1].paused);
    assert_int_equal(fake->pauses[1], 0);
    assert_true(point > 8); /* it had been said to be complete */
}

static void test_create_killed_anywhere(void **state)
{
    int rc = -SIGKILL, point;

    for (point = 1; rc == -SIGKILL; point++) {
        fresh(state);
        fake->kill_at = point;
        rc = umbra("create -e g.json");
        settle_all();
        expect_all_or_nothing(point);
    }
    assert_int_equal(rc, 0);
    assert_true(point > 12);
}

/* xenstored dies at any moment: the guest was created, or there is no domain. */
static void test_create_while_store_dies(void **state)
{
    int rc = 1, point;

    for (point = 1; rc; point++) {
        fresh(state);
        fake->store_dies_at = point;
        rc = umbra("create -e g.json");
        assert_true(rc == 0 || rc == 1);
        assert_int_equal(fake->n, rc ? 1 : 2);
    }
    assert_true(point > 8);
}

/* A create that waits for the lock of the names gets a signal. */
static int create_and_signal(int sig, void (*disposition)(int))
{
    char *argv[] = {"umbra", "create", "-e", "g.json", NULL};
    pid_t child;
    int status;

    assert_int_equal(guest_names_lock(NULL), 0);
    child = fork();
    if (child == 0) {
        lock_forget();
        signal(sig, disposition);
        if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr))
            _exit(99);
        status = cli_main(4, argv);
        _exit(signal(sig, SIG_DFL) == disposition ? status : 98);
    }
    usleep(200000);
    kill(child, sig);
    guest_names_unlock();
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_create_interrupted(void **state)
{
    assert_int_equal(create_and_signal(SIGTERM, SIG_DFL), 1);
    assert_int_equal(records(), 0);
    assert_int_equal(fake->n, 1);
    assert_int_equal(create_and_signal(SIGHUP, SIG_IGN), 0); /* nohup */
    assert_int_equal(records(), 1);
    assert_int_equal(fake->n, 2);
}

/* Nobody is killed, but one write fails, whichever: the next one who looks brings the guest back. */
static void test_restart_write_fails(void **state)
{
    bool reached = true;
    int failed = 0;

    for (int point = 1; reached; point++) {
        struct guest_state gs;

        fresh(state);
        gs = left(GUEST_RUNNING, CONFIG(""));
        domain_of(&gs, 5);
        fake_stop(5, REBOOT);
        fake->calls = 0;
        fake->write_fails_at = point;
        failed += settle(&gs) < 0;
        reached = fake->calls >= point;
        fake->write_fails_at = 0;
        assert_int_equal(settle(&gs), 0);
        assert_int_equal(phase_of(&gs), GUEST_RUNNING);
        assert_int_equal(fake->n, 2);
        assert_false(guest_domain(fake->domains, fake->n, gs.uuid)->paused);
    }
    assert_int_equal(failed, 2); /* rebooting, starting; that it runs could not be written, but it does */
}

/* The next create of the name finds its way by itself, without any supervisor. */
static void test_create_after_a_killed_create(void **state)
{
    int rc = -SIGKILL;

    for (int point = 1; rc == -SIGKILL; point++) {
        fresh(state);
        fake->kill_at = point;
        rc = umbra("create -e g.json");
        fake->kill_at = 0;
        if (umbra("create -e g.json") != 0)
            assert_non_null(strstr(err_text, "a guest of this name exists"));
        assert_int_equal(records(), 1);
        assert_int_equal(fake->n, 2);
    }
}

static void test_destroy_killed_anywhere(void **state)
{
    int rc = -SIGKILL, point;

    for (point = 1; rc == -SIGKILL; point++) {
        fresh(state);
        assert_int_equal(umbra("create -e g.json"), 0);
        fake->calls = 0;
        fake->kill_at = point;
        rc = umbra("destroy web2");
        settle_all();
        if (point == 1 && records()) /* killed before it did anything */
            continue;
        assert_int_equal(records(), 0);
        expect_all_or_nothing(0);
    }
    assert_int_equal(rc, 0);
    assert_true(point > 8);
}

static void wait_all_gone(void)
{
    for (int i = 0; i < 500 && (records() || fake->n > 1); i++)
        usleep(10000);
    assert_int_equal(records(), 0);
    expect_all_or_nothing(0);
}

/* It is killed before the guest is asked: that runs on, and the next shutdown ends it; or after: the guest is at its
 * end, and whoever supervises it removes it. The supervisor is there, or the verb has to start it. */
static int shutdown_killed(void **state, bool supervised, int point)
{
    int rc;

    fresh(state);
    assert_int_equal(umbra("create g.json"), 0);
    fake->obeys = true;
    assert_int_equal(supervised ? 0 : kill_supervisor(), 0);
    fake->kill_at_step = point;
    rc = umbra("shutdown -w web2");
    fake->kill_at_step = 0;
    if (!strstr(fake->acts, "poweroff 7;")) {
        assert_int_equal(rc, -SIGKILL);
        assert_false(fake->domains[1].paused || fake->domains[1].shutdown);
        assert_int_equal(records(), 1);
        assert_int_equal(umbra("shutdown -w web2"), 0);
    }
    wait_all_gone();
    assert_int_equal(umbra("create -e g.json"), 0); /* the name is free */
    return rc;
}

static void test_shutdown_killed_anywhere(void **state)
{
    int rc = -SIGKILL, point;

    for (point = 1; rc == -SIGKILL; point++)
        rc = shutdown_killed(state, point % 2, point);
    assert_int_equal(rc, 0);
    print_message("           %d steps\n", point - 2);
    assert_true(point > 12);
}

/* Whoever restarts a guest is killed, and the next one goes on: one guest runs at the end, let go once, and a renamed
 * one is kept once. */
static void killed_restart(void **state, const char *config, int domains)
{
    int status = SIGKILL, point;

    for (point = 1; status == SIGKILL; point++) {
        struct guest_state gs;
        pid_t child;

        fresh(state);
        gs = left(GUEST_RUNNING, config);
        domain_of(&gs, 5);
        ctl_store_write(ctl, "/local/domain/5/vm", "/vm/aa000000-0000-0000-0000-000000000000", NULL);
        fake_stop(5, REBOOT);
        fake->calls = 0;
        fake->kill_at = point;
        child = fork();
        if (child == 0)
            _exit(settle(&gs));
        assert_int_equal(waitpid(child, &status, 0), child);
        settle_all();
        assert_int_equal(fake->n, domains);
        assert_int_equal(records(), domains - 1);
        assert_int_equal(phase_of(&gs), GUEST_RUNNING);
        assert_non_null(guest_domain(fake->domains, fake->n, gs.uuid));
        assert_false(guest_domain(fake->domains, fake->n, gs.uuid)->paused);
        assert_int_equal(nodes_below("/local/domain/5/"), domains == 2 ? 0 : 2);
    }
    assert_int_equal(status, 0);
    assert_true(point > 15);
}

static void test_restart_killed_anywhere(void **state)
{
    killed_restart(state, CONFIG(""), 2);
}

static void test_rename_restart_killed_anywhere(void **state)
{
    killed_restart(state, CONFIG(",\"on_reboot\":\"rename-restart\""), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_create_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_create_while_store_dies, fresh),
        cmocka_unit_test_setup(test_create_interrupted, fresh),
        cmocka_unit_test_setup(test_create_after_a_killed_create, fresh),
        cmocka_unit_test_setup(test_destroy_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_shutdown_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_restart_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_restart_write_fails, fresh),
        cmocka_unit_test_setup(test_rename_restart_killed_anywhere, fresh),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
