/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: what is seen of a migration while it goes on: the line on a terminal, in its width; and that whoever looks
 * on, and is slow, does not hold it up.
 */
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "move_world.h"
#include "cli/cli.h"
#include "cli/lock.h"
#include "fake_ctl.h"

#define STAGE_MS    250 /* longer than a line stands */
#define BANNER_SIZE (sizeof("xl migration receiver ready, send binary domain data.\n") - 1)
#define READY_SIZE  sizeof("domain received, ready to unpause")

static char shown[8192];

/* A process whose standard output and error are these. */
static pid_t move(int to, int errors, bool json)
{
    char *argv[] = {"umbra", "--json", "migrate", "-T", "relay", "web2", "localhost", NULL};
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        lock_forget();
        if (!json)
            argv[1] = "umbra";
        if ((to >= 0 && dup2(to, STDOUT_FILENO) < 0) || (errors >= 0 && dup2(errors, STDERR_FILENO) < 0) ||
            (to < 0 && !freopen("out", "w", stdout)) || (errors < 0 && !freopen("err", "w", stderr)))
            _exit(99);
        child = cli_main(json ? 7 : 6, argv + !json);
        fflush(NULL);
        _exit(child);
    }
    return child;
}

static void ends(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* All that is said on a terminal of this width. */
static void watch(unsigned short columns)
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    int ends_of[2];
    size_t got = 0;
    ssize_t n;
    pid_t child;

    assert_int_equal(openpty(&ends_of[0], &ends_of[1], NULL, NULL, &size), 0);
    child = move(-1, ends_of[1], false);
    close(ends_of[1]);
    while (got < sizeof(shown) - 1 && (n = read(ends_of[0], shown + got, sizeof(shown) - 1 - got)) > 0)
        got += (size_t)n;
    shown[got] = '\0';
    close(ends_of[0]);
    ends(child);
}

static bool seen(const char *text)
{
    return strstr(shown, text) != NULL;
}

/* One line, written over; it ends before anything else is said. */
static void test_line(void **state)
{
    created(state);
    fake->stage_ms = STAGE_MS;
    watch(100);
    assert_true(seen("\rweb2: round 1:  50 %, 12.0 MiB/s, 1234 pages/s dirtied, 250 ms of downtime left\033[K"));
    assert_true(seen("\rweb2: suspend 1:  50 %"));
    assert_true(seen("\rweb2: rest 1: "));
    assert_ptr_equal(strchr(shown, '\n'), shown + strlen(shown) - 1);
    slurp("out", out, sizeof(out));
    assert_non_null(strstr(out, "web2: moved to localhost in"));
    assert_false(check(0));
}

/* What is too long for the terminal would leave a line behind each time. */
static void test_narrow(void **state)
{
    created(state);
    fake->stage_ms = STAGE_MS;
    watch(40);
    assert_true(seen("\rweb2: round 1:  50 %, 12.0 MiB/s, 1234 \033[K"));
    assert_false(seen("dirtied"));
    assert_false(check(0));
}

/* Whoever reads the objects has stopped reading: the guest moves all the same, and the sums are there. */
static void test_nobody_reads(void **state)
{
    static char filler[65536];
    int ends_of[2];
    size_t got = 0;
    ssize_t n;
    pid_t child;

    created(state);
    assert_int_equal(pipe2(ends_of, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends_of[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends_of[1], filler, sizeof(filler)) > 0)
        ;
    assert_int_equal(fcntl(ends_of[1], F_SETFL, 0), 0);
    child = move(ends_of[1], -1, true);
    close(ends_of[1]);
    for (int i = 0; i < 1000 && (records() != 1 || the_record().phase != GUEST_RUNNING || !fake->opened ||
                                 strcmp(the_record().name, "web2") != 0);
         i++)
        usleep(10000);
    assert_false(check(0));
    while ((n = read(ends_of[0], filler, sizeof(filler))) > 0) {
        for (ssize_t i = 0; i < n && got < sizeof(shown) - 1; i++) {
            if (filler[i])
                shown[got++] = filler[i];
        }
    }
    shown[got] = '\0';
    close(ends_of[0]);
    ends(child);
    assert_false(seen("umbra.migrate-progress/1"));
    assert_true(seen("umbra.migrate/1"));
}

/* In the second in which it may be back, nothing is noted; of a longer sleep it is told how far it is. */
static void test_asleep(void **state)
{
    created(state);
    fake->stage_ms = 1100;
    assert_int_equal(run("--json " MOVE), 0);
    assert_non_null(strstr(out, "\"stage\":\"live\""));
    assert_non_null(strstr(out, "\"stage\":\"suspend\""));
    assert_non_null(strstr(out, "\"stage\":\"rest\"")); /* the stand-in's guest fell asleep long ago */
}

/* The other host takes its time, to make the guest and to say that it runs. */
static void test_waits(void **state)
{
    unsigned objects;

    for (int i = 0; i < 2; i++) {
        created(state);
        fake->late_at = (long)(BANNER_SIZE + (i ? READY_SIZE : 0));
        fake->late_ms = 2300;
        assert_int_equal(run("--json " MOVE), 0);
        objects = 0;
        for (const char *at = out; (at = strstr(at, "\"stage\":\"done\"")); at++) {
            assert_ptr_equal(strstr(at, "\"percent\":"), strstr(at, "\"percent\":100"));
            objects++;
        }
        assert_in_range(objects, 2, 4);
        assert_false(check(0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_line, fresh),         cmocka_unit_test_setup(test_narrow, fresh),
        cmocka_unit_test_setup(test_nobody_reads, fresh), cmocka_unit_test_setup(test_asleep, fresh),
        cmocka_unit_test_setup(test_waits, fresh),
    };

    return cmocka_run_group_tests(tests, move_setup, move_teardown);
}
