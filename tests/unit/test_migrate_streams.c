/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: `migrate --streams`: several connections agreed upon and joined to one move, or fewer where the other side
 * knows no more; any of them cut anywhere; who has not the secret of the move, and comes all the same, gets nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

#include "move_world.h"
#include "cli/cli.h"
#include "cli/handover.h"
#include "cli/migrate.h"
#include "fake_ctl.h"

#define MOVE3 "migrate -N 3 -T relay web2 localhost"

static void says(const char *text, const char *word)
{
    if (!strstr(text, word))
        fail_msg("\"%s\" does not say \"%s\"", text, word);
}

static void test_moves(void **state)
{
    created(state);
    assert_int_equal(run(MOVE3), 0);
    says(out, ", on 3 connections: 2 rounds");
    assert_int_equal(fake->opened, 3);
    assert_false(check(0));
    created(state);
    assert_int_equal(run("--json migrate --streams 16 -T relay web2 localhost"), 0);
    says(out, "\"streams\":16");
    assert_int_equal(fake->opened, 16);
    assert_false(check(0));
    created(state);
    assert_int_equal(run("--json " MOVE), 0);
    says(out, "\"streams\":1");
    assert_int_equal(fake->opened, 1);
}

/* What the other side does not know is no reason to stay; one that takes one connection is not asked again. */
static void test_fewer(void **state)
{
    static const struct {
        const char *how;
        int opened;
    } fewer[] = {{"first-stock", 2}, {"first-old", 2}, {"once", 1}};
    char line[80];

    for (size_t i = 0; i < sizeof(fewer) / sizeof(fewer[0]); i++) {
        created(state);
        snprintf(line, sizeof(line), "--json migrate -N 3 -T %s web2 localhost", fewer[i].how);
        assert_int_equal(run(line), 0);
        says(err_text, "umbra: web2: localhost takes it on one connection: that is used");
        says(out, "\"streams\":1");
        assert_int_equal(fake->opened, fewer[i].opened);
        assert_false(check(0));
    }
    created(state);
    assert_int_equal(run("migrate -N 3 -T stock web2 localhost"), 1); /* it wants no guest at all */
    one_guest(true);
}

static void test_check(void **state)
{
    created(state);
    assert_int_equal(run("migrate -n -N 3 -T relay web2 localhost"), 0);
    says(out, "web2: localhost would take it, on 3 connections");
    assert_int_equal(fake->opened, 1);
    assert_int_equal(run("--json migrate -n -N 3 -T relay web2 localhost"), 0);
    says(out, "\"streams\": 3");
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 0);
    says(out, "web2: localhost would take it\n");
    one_guest(true);
}

/*
 * One of them is cut. Another one than the first is lost before the guest is given away, if not at its end; a first one
 * that ends with the question how many is taken for one that knows one.
 */
static void cut(void **state, int which, long *bytes, long at)
{
    int rc;

    created(state);
    fake->cut_which = which;
    *bytes = at;
    rc = run(MOVE3);
    if (rc == 0 && which == 1)
        says(err_text, "takes it on one connection");
    assert_true(rc == 1 || which == 1 || bytes == &fake->cut_back);
    if (which == 1)
        check(rc);
    else
        one_guest(rc == 1);
}

/* Each of them, after any byte, either way. */
static void test_cut(void **state)
{
    for (int which = 1; which <= 3; which++) {
        long to, back;

        created(state);
        fake->cut_which = which;
        assert_int_equal(run(MOVE3), 0);
        to = fake->seen_to;
        back = fake->seen_back;
        assert_true(to > 100 && back > 60);
        for (long at = 0; at < to; at += at < to - 24 ? 37 : 1)
            cut(state, which, &fake->cut_to, at);
        for (long at = 0; at < back; at += at < back - 4 ? 17 : 1)
            cut(state, which, &fake->cut_back, at);
    }
}

/* Either side is killed at each call, or the sender gets a signal. */
static void test_killed(void **state)
{
    int rc = 1, point;

    for (point = 1; rc || fake->calls >= point; point += 3) {
        created(state);
        fake->kill_at = point;
        rc = run(MOVE3);
        check(rc);
    }
    assert_true(point > 40);
    for (int which = 1; which <= 3; which++) {
        created(state);
        fake->cut_which = which;
        fake->signal_at = 40;
        assert_int_equal(run(MOVE3), 1);
        says(err_text, "interrupted");
        one_guest(true);
    }
}

static void test_cannot_open(void **state)
{
    created(state);
    fake->cut_which = 2;
    fake->cut_back = 0;
    assert_int_equal(run(MOVE3), 1);
    says(err_text, "localhost, connection 2 of 3");
    one_guest(true);
}

/* --- the secret --- */

static struct json_value *parsed(const char *text)
{
    struct json_value *v = json_parse(text, strlen(text), NULL, NULL);

    assert_non_null(v);
    return v;
}

static struct json_value *read_line(int fd)
{
    char line[1024];

    assert_int_equal(handover_line(fd, line, sizeof(line), 5000, NULL), 0);
    return parsed(line);
}

/* A process that is the first connection, and waits for two others; what they are to say is in *answer. */
static pid_t first_one(int *tell, int *hold, struct json_value **answer)
{
    int in[2], out_of[2];
    pid_t child;

    assert_int_equal(pipe(in) | pipe(out_of), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        struct gathering g = {.listener = -1};
        char word[8] = "";
        int rc;

        close(in[1]);
        rc = migrate_gather(&g, 3, in[0], out_of[1], NULL);
        for (unsigned i = 0; i < g.n && rc == 0; i++) /* what comes on each is what was sent there */
            rc = read(g.other[i].in, word, 8) != 8 || strcmp(word, i ? "second" : "first") != 0;
        migrate_scatter(&g);
        _exit(rc < 0 ? -rc : rc);
    }
    close(in[0]);
    close(out_of[1]);
    *hold = in[1];
    *tell = out_of[0];
    *answer = read_line(out_of[0]);
    return child;
}

/* A process that is another one, with that secret; its exit code is what it says, or 99: it stays. */
static int another_one(const char *place, const char *token, int in, pid_t *stays)
{
    char line[256];
    struct json_value *answer;
    int back[2], status;
    pid_t child;
    bool ok;

    assert_int_equal(pipe(back), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        struct ctl_error err = {0};

        for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
            if (fd != in && fd != back[1])
                close(fd);
        }
        snprintf(line, sizeof(line), "{\"place\":\"%s\",\"token\":\"%s\"}", place, token);
        _exit(-migrate_join(parsed(line), in, back[1], &err));
    }
    close(back[1]);
    answer = read_line(back[0]);
    ok = migrate_says_ok(answer);
    assert_true(ok || json_text(answer, "message"));
    json_free(answer);
    close(back[0]);
    if (ok) {
        *stays = child;
        return 0;
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int with_word(const char *word)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], word, 8), 8);
    close(ends[1]);
    return ends[0];
}

static int status_of(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_secret(void **state)
{
    char place[64], token[128], wrong[128];
    struct json_value *answer;
    pid_t first, others[2];
    int tell, hold, word;

    first = first_one(&tell, &hold, &answer);
    snprintf(place, sizeof(place), "%s", json_text(answer, "place"));
    snprintf(token, sizeof(token), "%s", json_text(answer, "token"));
    assert_int_equal(strlen(token), 2 * MIGRATE_TOKEN);
    json_free(answer);
    memcpy(wrong, token, sizeof(wrong));
    wrong[63] ^= 1;
    word = with_word("foreign");
    assert_int_equal(another_one(place, wrong, word, &others[0]), EACCES);
    assert_int_equal(another_one(place, "", word, &others[0]), EACCES);
    wrong[63] ^= 1;
    wrong[20] = '\0';
    assert_int_equal(another_one(place, wrong, word, &others[0]), EACCES);
    assert_int_equal(another_one("elsewhere", token, word, &others[0]), ECONNREFUSED);
    close(word);
    word = with_word("first\0\0");
    assert_int_equal(another_one(place, token, word, &others[0]), 0);
    close(word);
    word = with_word("second\0");
    assert_int_equal(another_one(place, token, word, &others[1]), 0);
    close(word);
    assert_int_equal(status_of(first), 0);
    assert_int_equal(status_of(others[0]), 0); /* they end when it has ended */
    assert_int_equal(status_of(others[1]), 0);
    word = with_word("toolate");
    assert_int_equal(another_one(place, token, word, &others[0]), ECONNREFUSED);
    close(word);
    close(tell);
    close(hold);
}

/* The sender is gone before all are there. */
static void test_gives_up(void **state)
{
    struct json_value *answer;
    pid_t first, other;
    int tell, hold, word = with_word("first\0\0");

    first = first_one(&tell, &hold, &answer);
    assert_int_equal(another_one(json_text(answer, "place"), json_text(answer, "token"), word, &other), 0);
    close(hold);
    assert_int_equal(status_of(first), EPIPE);
    assert_int_equal(status_of(other), 0);
    json_free(answer);
    close(tell);
    close(word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_moves, fresh),  cmocka_unit_test_setup(test_fewer, fresh),
        cmocka_unit_test_setup(test_check, fresh),  cmocka_unit_test_setup(test_cut, fresh),
        cmocka_unit_test_setup(test_killed, fresh), cmocka_unit_test_setup(test_cannot_open, fresh),
        cmocka_unit_test_setup(test_secret, fresh), cmocka_unit_test_setup(test_gives_up, fresh),
    };

    return cmocka_run_group_tests(tests, move_setup, move_teardown);
}
