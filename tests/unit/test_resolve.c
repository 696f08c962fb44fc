/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: what the other host answers when it is asked for a guest whose move was not heard to its end, and what
 * `migrate-resolve` does with the answer: a copy that may run, wherever it went on to, is never joined by a second.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "move_world.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_moved_on, fresh),
        cmocka_unit_test_setup(test_on_this_host, fresh),
        cmocka_unit_test_setup(test_at_work, fresh),
    };

    return cmocka_run_group_tests(tests, move_setup, move_teardown);
}
