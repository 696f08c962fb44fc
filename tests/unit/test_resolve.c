/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: what the other host answers when it is asked for a guest whose move was not heard to its end, and what
 * `migrate-resolve` does with the answer: a copy that may run, wherever it went on to, is never joined by a second.
 */
#include <errno.h>
#include <fcntl.h>
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
#include "cli/arrivals.h"
#include "cli/guest_move.h"
#include "fake_ctl.h"

#define UUID     "aa000000-0000-0000-0000-000000000000" /* of guest_world's left() */
#define MOVE_A   "0123456789abcdef0123456789abcdef"
#define MOVE_B   "fedcba9876543210fedcba9876543210"
#define QUESTION "{\"schema\":\"umbra.migrate-question/1\",\"ask\":\"state\",\"name\":\"web2\",\"uuid\":\"" UUID "\""

/* Asked as another host asks. */
static void answers(const char *move, const char *state)
{
    char word[64];
    FILE *f = fopen("question", "w");
    int in, keep = dup(STDIN_FILENO);

    fprintf(f, move ? QUESTION ",\"move\":\"%s\"}\n" : QUESTION "}\n", move);
    fclose(f);
    in = open("question", O_RDONLY);
    dup2(in, STDIN_FILENO);
    assert_int_equal(run("migrate-receive -e"), 0);
    dup2(keep, STDIN_FILENO);
    close(keep);
    close(in);
    unlink("question");
    snprintf(word, sizeof(word), "\"state\":\"%s\"", state);
    if (!strstr(out, word))
        fail_msg("\"%s\" does not say %s", out, word);
}

static void says(int rc, const char *line, const char *text)
{
    int got = run(line);

    if (got != rc || !strstr(rc ? err_text : out, text))
        fail_msg("%s: %d, \"%s%s\"; not %d, \"%s\"", line, got, out, err_text, rc, text);
}

/* In whatever state its record is: only what sleeps for that very move is the asker's own. */
static void test_moved_on(void **state)
{
    for (enum guest_phase phase = GUEST_BUILDING; phase < GUEST_PHASES; phase++) {
        struct guest_state gs = {.phase = phase, .name = "web2", .uuid = {0xaa}, .real = "web2", .move = MOVE_B};

        fresh(state);
        assert_int_equal(guest_state_add(ctl, &gs, CONFIG(""), NULL, NULL), 0);
        answers(MOVE_A, guest_phase_name(phase));
        answers(NULL, guest_phase_name(phase));
        answers(MOVE_B, phase == GUEST_HANDED_OVER ? "absent" : guest_phase_name(phase));
    }
    fresh(state);
    answers(MOVE_A, "absent");
}

/* The report was lost; and then the copy, which runs, is moved on. */
static void lost_report(void **state)
{
    long all;

    created(state);
    assert_int_equal(run(MOVE), 0);
    all = fake->seen_back;
    created(state);
    fake->cut_back = all - 1;
    assert_int_equal(run(MOVE), 1);
    assert_int_equal(running(), 1);
    fake->cut_back = -1;
}

static struct guest_state record_of(const char *name)
{
    struct guest_state gs;

    assert_int_equal(guest_state_find(ctl, name, &gs, NULL), 0);
    return gs;
}

static void test_on_this_host(void **state)
{
    static const enum guest_phase phases[] = {GUEST_STARTING,    GUEST_RUNNING,   GUEST_SAVING,   GUEST_MIGRATING,
                                              GUEST_HANDED_OVER, GUEST_REBOOTING, GUEST_PRESERVED};

    lost_report(state);
    assert_int_equal(strlen(record_of("web2--migratedaway").move), GUEST_MOVE_TEXT - 1);
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct guest_state copy = record_of("web2");

        copy.phase = phases[i];
        snprintf(copy.real, sizeof(copy.real), "web2");
        snprintf(copy.move, sizeof(copy.move), MOVE_B);
        assert_int_equal(guest_state_put(ctl, &copy, NULL), 0);
        says(1, "migrate-resolve -H web2--migratedaway", "the other host has it");
        assert_int_equal(record_of("web2--migratedaway").phase, GUEST_HANDED_OVER);
        assert_int_equal(running(), 1);
    }
    says(0, "migrate-resolve -T web2--migratedaway", "");
    assert_int_equal(records(), 1);
}

/* What is still on its way in, or out, is no answer to either. */
static void test_at_work(void **state)
{
    static const enum guest_phase phases[] = {GUEST_INCOMING, GUEST_DYING};

    lost_report(state);
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct guest_state copy = record_of("web2");

        copy.phase = phases[i];
        assert_int_equal(guest_state_put(ctl, &copy, NULL), 0);
        says(1, "migrate-resolve -H web2--migratedaway", "is still at work on it");
        says(1, "migrate-resolve -T web2--migratedaway", "is still at work on it");
        assert_int_equal(record_of("web2--migratedaway").phase, GUEST_HANDED_OVER);
    }
}

/* Its name is kept for it while nobody knows where it is: it goes on here under that. */
static void test_name_is_kept(void **state)
{
    struct guest_state gs;

    created(state);
    gs = the_record();
    gs.phase = GUEST_MIGRATING;
    snprintf(gs.move, sizeof(gs.move), MOVE_A);
    fake_stop(fake->domains[1].domid, SUSPEND);
    assert_int_equal(guest_hand_over(ctl, &gs, fake->domains[1].domid, NULL), 0);
    says(1, "create -e g.json", "was handed over to another host, and may come back");
    assert_int_equal(umbra("create -e g.json name=other"), 0);
    says(1, "rename other web2", "was handed over to another host, and may come back");
    assert_int_equal(umbra("destroy other"), 0);
    says(0, "migrate-resolve -H web2", "");
    one_guest(true);
    gs = the_record();
    gs.phase = GUEST_MIGRATING;
    assert_int_equal(guest_hand_over(ctl, &gs, fake->domains[1].domid, NULL), 0);
    says(0, "migrate-resolve -T web2", "");
    assert_int_equal(nodes_below("/umbra/name/"), 0);
    fake->n_devices = 0;
    assert_int_equal(umbra("create -e g.json"), 0);
}

/* --- it ran there, and nothing is left of it --- */

static void copy_is_gone(void **state)
{
    lost_report(state);
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(records(), 1);
    says(0, "migrate-resolve web2", "the other host says: gone");
}

static void test_gone(void **state)
{
    copy_is_gone(state);
    says(1, "migrate-resolve -H web2", "may have run there, and is gone");
    says(1, "migrate-resolve -H web2", "say --there, which removes it");
    assert_int_equal(running(), 0);
    says(0, "migrate-resolve -T web2", "");
    assert_int_equal(records(), 0);
    assert_int_equal(fake->n, 1);
    copy_is_gone(state);
    says(2, "migrate-resolve -f web2", "--force goes with --here");
    says(0, "migrate-resolve -H -f web2", "");
    assert_int_equal(running(), 1);
    assert_string_equal(the_record().name, "web2");
}

/* The other host was started again meanwhile, and xenstore with it. */
static void test_is_remembered(void **state)
{
    char move[GUEST_MOVE_TEXT];

    lost_report(state);
    snprintf(move, sizeof(move), "%s", record_of("web2--migratedaway").move);
    answers(move, "running");
    fake_forget();
    answers(move, "gone");
    answers(MOVE_A, "absent");
}

/* Whether it ran there does not save it from what is said of a copy that does: there is no force for that. */
static void test_no_force(void **state)
{
    lost_report(state);
    says(1, "migrate-resolve -H -f web2", "the other host has it");
    assert_int_equal(running(), 1);
}

/* One that ended on its way in never ran. */
static void test_struck_out(void **state)
{
    struct guest_state gs = {.phase = GUEST_INCOMING, .name = "web2", .uuid = {0xaa}, .real = "web2", .move = MOVE_B};

    assert_int_equal(guest_state_add(ctl, &gs, CONFIG(""), NULL, NULL), 0);
    assert_int_equal(arrivals_note(MOVE_B, gs.uuid, NULL), 0);
    answers(MOVE_B, "incoming");
    assert_int_equal(settle(&gs), 0);
    answers(MOVE_B, "absent");
}

/* It is on its way, paused, and of the phase that is said. */
static struct guest_state coming(void **state, enum guest_phase phase)
{
    struct guest_state gs = {
        .phase = phase, .name = "web2", .uuid = {0xaa}, .domid = 5, .real = "web2", .move = MOVE_B};

    fresh(state);
    unlink(arrivals_file);
    assert_int_equal(guest_state_add(ctl, &gs, CONFIG(""), NULL, NULL), 0);
    assert_int_equal(arrivals_note(MOVE_B, gs.uuid, NULL), 0);
    domain_of(&gs, 5)->paused = true;
    return gs;
}

/* Others hold some of its memory, so that it is removed by whoever finds it dying; or it is by hand. */
static void test_struck_out_later(void **state)
{
    struct guest_state gs = coming(state, GUEST_INCOMING);

    fake->held = 5;
    assert_int_equal(guest_give_up(ctl, &gs, NULL), -EBUSY);
    answers(MOVE_B, "dying");
    fake->n = 1; /* they let go */
    fake->held = 0;
    settle_all();
    assert_int_equal(records(), 0);
    answers(MOVE_B, "absent");
    coming(state, GUEST_INCOMING);
    assert_int_equal(umbra("destroy web2"), 0);
    answers(MOVE_B, "absent");
}

/* The process that gives it up is killed at its n-th call; or was it through before? */
static bool killed_at(int n, struct guest_state *gs)
{
    int status;
    pid_t pid;

    fake->calls = 0;
    fake->kill_at = n;
    pid = fork();
    if (pid == 0)
        _exit(guest_give_up(ctl, gs, NULL) != 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(status == 0 || WIFSIGNALED(status));
    return status != 0;
}

/* What says starting is let run if nobody came to say otherwise: that is not struck out then. */
static void test_killed_giving_up(void **state)
{
    for (int starting = 0; starting < 2; starting++) {
        int ran = 0, n = 1;
        bool killed = true;

        for (; killed; n++) {
            struct guest_state gs = coming(state, starting ? GUEST_STARTING : GUEST_INCOMING);
            bool runs;

            killed = killed_at(n, &gs);
            settle_all();
            runs = running();
            ran += runs;
            answers(MOVE_B, runs ? "running" : "absent");
            assert_int_equal(umbra("destroy web2"), !runs);
            answers(MOVE_B, runs ? "gone" : "absent");
        }
        assert_true(n > ran + 5 && starting == (ran > 0));
    }
}

static void name(char move[GUEST_MOVE_TEXT], unsigned i)
{
    snprintf(move, GUEST_MOVE_TEXT, "%032x", i);
}

/* The last 1024, of which one that was struck out is none. */
static void test_the_last_ones(void **state)
{
    char move[GUEST_MOVE_TEXT];
    uint8_t uuid[16] = {0}, found[16];

    unlink(arrivals_file);
    assert_int_equal(arrivals_find(MOVE_A, found, NULL), 0);
    for (unsigned i = 0; i < 1100; i++) {
        name(move, i);
        uuid[3] = (uint8_t)i;
        assert_int_equal(arrivals_note(move, uuid, NULL), 0);
        if (i == 500)
            arrivals_strike(move);
    }
    for (unsigned i = 0; i < 1100; i++) {
        name(move, i);
        assert_int_equal(arrivals_find(move, found, NULL), i != 500 && i >= 1100 - 1025);
        assert_true(i == 500 || i < 1100 - 1025 || found[3] == (uint8_t)i);
    }
}

/* What somebody has written into it is no reason to forget the rest, nor one to fail. */
static void test_damaged(void **state)
{
    uint8_t uuid[16] = {7}, found[16];
    FILE *f;

    unlink(arrivals_file);
    assert_int_equal(arrivals_note(MOVE_A, uuid, NULL), 0);
    assert_int_equal(arrivals_note(MOVE_B, uuid, NULL), 0);
    f = fopen(arrivals_file, "r+");
    fputs("no line at all", f);
    fclose(f);
    assert_int_equal(arrivals_find(MOVE_A, found, NULL), 0);
    assert_int_equal(arrivals_find(MOVE_B, found, NULL), 1);
    assert_int_equal(arrivals_note(MOVE_A, uuid, NULL), 0);
    assert_int_equal(arrivals_find(MOVE_A, found, NULL), 1);
    assert_int_equal(truncate(arrivals_file, 160), 0); /* whoever made it was killed */
    assert_int_equal(arrivals_find(MOVE_A, found, NULL), 1);
    assert_int_equal(arrivals_find(MOVE_B, found, NULL), 0);
    assert_int_equal(arrivals_note(MOVE_B, uuid, NULL), 0);
    assert_int_equal(arrivals_find(MOVE_A, found, NULL), 1);
    assert_int_equal(arrivals_find(MOVE_B, found, NULL), 1);
}

/* A host that cannot remember takes no guest, and says so when it is asked. */
static void test_cannot_be_written(void **state)
{
    const char *file = arrivals_file;

    created(state);
    arrivals_file = "g.json/arrivals";
    says(1, "migrate -n -T relay web2 localhost", "it would not take the guest: the file cannot be used");
    assert_int_equal(run(MOVE), 1);
    one_guest(true);
    slurp("err.there", err_text, sizeof(err_text));
    assert_non_null(strstr(err_text, "remember the move"));
    arrivals_file = file;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_moved_on, fresh),
        cmocka_unit_test_setup(test_on_this_host, fresh),
        cmocka_unit_test_setup(test_at_work, fresh),
        cmocka_unit_test_setup(test_name_is_kept, fresh),
        cmocka_unit_test_setup(test_gone, fresh),
        cmocka_unit_test_setup(test_is_remembered, fresh),
        cmocka_unit_test_setup(test_no_force, fresh),
        cmocka_unit_test_setup(test_struck_out, fresh),
        cmocka_unit_test_setup(test_struck_out_later, fresh),
        cmocka_unit_test_setup(test_killed_giving_up, fresh),
        cmocka_unit_test_setup(test_the_last_ones, fresh),
        cmocka_unit_test_setup(test_damaged, fresh),
        cmocka_unit_test_setup(test_cannot_be_written, fresh),
    };

    return cmocka_run_group_tests(tests, move_setup, move_teardown);
}
