/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: `migrate --check`. A guest's question and its stream are kept, and both come to hosts on which something
 * is in its way: what is said to the first has to be what happens to the second.
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
#include <unistd.h>
#include <cmocka.h>

#include "move_world.h"
#include "cli/migrate.h"
#include "fake_ctl.h"

#define GO       "domain is yours, you are cleared to unpause"
#define SAVED    "web2.save"
#define QUESTION "question"
#define ELSE     "else.id"
#define CHECK    "migrate -n -T relay web2 localhost"

static void test_check(void **state)
{
    created(state);
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 0);
    assert_non_null(strstr(out, "web2: localhost would take it"));
    one_guest(true);
    assert_int_equal(run("--json migrate -n -T relay web2 localhost"), 0);
    assert_non_null(strstr(out, "umbra.migrate-check/1"));
    fake->build_fails = -ENOMEM;
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 1);
    assert_non_null(strstr(err_text, "it would not take the guest: too large"));
    fake->build_fails = 0;
    assert_int_equal(run("migrate -n -T stock web2 localhost"), 1);
    assert_non_null(strstr(err_text, "it does not answer questions"));
    fake->cut_to = 0;
    assert_int_equal(run("migrate -n -T relay web2 localhost"), 1);
    one_guest(true);
}

/* --- another host --- */

static const char *const own_id = "/proc/sys/kernel/random/boot_id";
static struct guest_state its; /* the guest's record where it comes from */

/* A guest that asks with these options; its question and its stream, which it went away by, are files then. */
static void keep_guest(const char *options)
{
    char line[80];

    its = the_record();
    snprintf(line, sizeof(line), "migrate -n%s -T old web2 localhost", options);
    assert_int_equal(run(line), 1);
    assert_non_null(strstr(err_text, "it does not look at all that was asked"));
    snprintf(line, sizeof(line), "save -c%s web2 " SAVED, options);
    unlink(SAVED);
    assert_int_equal(umbra(line), 0);
}

/* What a receiver does with the file, and these bytes behind it. */
static int receive_file(const char *file, const char *more, size_t size)
{
    static char text[1 << 16];
    FILE *f = fopen(file, "r"), *input = fopen("input", "w");
    size_t n = fread(text, 1, sizeof(text), f);
    int in, rc, keep = dup(STDIN_FILENO);

    fwrite(text, 1, n, input);
    fwrite(more, 1, size, input);
    fclose(f);
    assert_int_equal(fclose(input), 0);
    in = open("input", O_RDONLY);
    dup2(in, STDIN_FILENO);
    rc = run("migrate-receive -e");
    dup2(keep, STDIN_FILENO);
    close(keep);
    close(in);
    unlink("input");
    return rc;
}

/* Behind the banner, which has a NUL at its end or none. */
static const char *answer(void)
{
    const char *at = memchr(out, '{', 200);

    return at ? at : "no answer";
}

static bool says_yes(void)
{
    assert_int_equal(receive_file(QUESTION, "", 0), 0);
    return strstr(answer(), "\"ok\":true") != NULL;
}

/* A guest with its domain, or the domain alone. */
static void here_is(enum guest_phase phase, const uint8_t uuid[16], const char *name, uint32_t domid)
{
    struct guest_state gs = {.phase = phase, .domid = domid};

    memcpy(gs.uuid, uuid, 16);
    snprintf(gs.name, sizeof(gs.name), "%s", phase == GUEST_HANDED_OVER ? "web2" : name);
    if (phase == GUEST_HANDED_OVER)
        snprintf(gs.real, sizeof(gs.real), "web2");
    if (phase != GUEST_UNKNOWN)
        assert_int_equal(guest_state_add(ctl, &gs, CONFIG(""), NULL, NULL), 0);
    if (phase == GUEST_HANDED_OVER)
        assert_int_equal(guest_state_rename(ctl, &gs, name, NULL), 0);
    memcpy(fake_add(domid, name)->uuid, uuid, 16);
}

struct obstacle {
    const char *options;    /* of the guest that comes */
    enum guest_phase phase; /* GUEST_UNKNOWN: a domain without a record */
    bool its_uuid;
    const char *name;
    uint32_t domid;
    const char *why; /* NULL: it is none */
};

/* The question is answered as the stream is, whose guest then runs, or never came. */
static void meets(void **state, const struct obstacle *o)
{
    static const uint8_t other[16] = {0x77};
    bool yes;

    fresh(state);
    if (o->name)
        here_is(o->phase, o->its_uuid ? its.uuid : other, o->name, o->domid);
    yes = says_yes();
    if (yes != !o->why || (o->why && !strstr(answer(), o->why)))
        fail_msg("%s, %s: \"%s\" is not \"%s\"", o->name ? o->name : "nothing", guest_phase_name(o->phase), answer(),
                 o->why ? o->why : "yes");
    assert_int_equal(receive_file(SAVED, GO, sizeof(GO)) == 0, yes);
    if (o->why && !strstr(err_text, o->why))
        fail_msg("%s: \"%s\" is not \"%s\"", o->name, err_text, o->why);
}

/* Whatever has its name, its uuid or its number there. */
static void test_as_the_move(void **state)
{
    static const struct obstacle list[] = {
        {"", GUEST_RUNNING, false, NULL, 0, NULL},
        {"", GUEST_RUNNING, false, "web3", 9, NULL},
        {"", GUEST_RUNNING, true, "web2", 9, "a guest of this uuid exists, web2 (running)"},
        {"", GUEST_SAVING, true, "web2", 9, "a guest of this uuid exists, web2 (saving)"},
        {"", GUEST_PRESERVED, true, "web2", 9, "a guest of this uuid exists, web2 (preserved)"},
        {"", GUEST_INCOMING, true, "web2--incoming", 9, "a guest of this uuid exists, web2--incoming (incoming)"},
        {"", GUEST_RUNNING, true, "shop", 9, "a guest of this uuid exists, shop (running)"},
        {"", GUEST_UNKNOWN, true, "shop", 9, "domain 9, which has no record, is of this uuid"},
        {"", GUEST_HANDED_OVER, true, "web2--migratedaway", 9, NULL},
        {"", GUEST_HANDED_OVER, false, "web2--migratedaway", 9, "a guest of this name was handed over"},
        {"", GUEST_RUNNING, false, "web2", 9, "name web2: a guest of this name exists"},
        {"", GUEST_RUNNING, false, "web2--incoming", 9, "a guest of this name exists"},
        {"", GUEST_UNKNOWN, false, "web2", 9, "name web2: domain 9 has this name"},
        {" -D", GUEST_RUNNING, false, NULL, 0, NULL},
        {" -D", GUEST_UNKNOWN, false, "dom", 1, NULL},
    };
    const char *options = NULL;

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        migrate_boot_id = own_id; /* of the asker */
        if (!options || strcmp(options, list[i].options) != 0) {
            created(state);
            keep_guest(options = list[i].options);
        }
        migrate_boot_id = ELSE;
        meets(state, &list[i]);
    }
    meets(state, &(struct obstacle){" -D", GUEST_UNKNOWN, false, "dom", (uint32_t)its.domid, "its number is taken"});
    migrate_boot_id = own_id;
}

/* The host has CPUs 0 to 3. */
static void test_cpus(void **state)
{
    struct obstacle o = {"", GUEST_RUNNING, false, NULL, 0, NULL};

    for (int i = 0; i < 2; i++) {
        migrate_boot_id = own_id;
        created(state);
        assert_int_equal(umbra("destroy web2"), 0);
        assert_int_equal(umbra(i ? "create -e g.json cpus=\"4-6\"" : "create -e g.json cpus=\"3-6\""), 0);
        keep_guest("");
        migrate_boot_id = ELSE;
        o.why = i ? "cpus 4-6: this host has CPUs 0 to 3" : NULL;
        meets(state, &o);
    }
    migrate_boot_id = own_id;
}

/* The same record is in the way of a guest from elsewhere, and is the asker's own here. */
static void test_own_host(void **state)
{
    created(state);
    assert_int_equal(run(CHECK), 0);
    assert_int_equal(run("migrate -n -T old web2 localhost"), 1);
    assert_true(says_yes());
    migrate_boot_id = ELSE;
    assert_false(says_yes());
    assert_non_null(strstr(answer(), "a guest of this uuid exists, web2 (running)"));
    migrate_boot_id = "nowhere";
    assert_false(says_yes());
    assert_non_null(strstr(answer(), "it does not say which host this is"));
    fake->opened = 0;
    assert_int_equal(run(CHECK), 1);
    assert_non_null(strstr(err_text, "nowhere: it does not say which host this is"));
    assert_int_equal(fake->opened, 0);
    migrate_boot_id = own_id;
    assert_int_equal(run("migrate -n -D -T relay web2 localhost"), 1); /* it has the number itself, as when it moves */
    assert_non_null(strstr(err_text, "localhost: it would not take the guest: its number is taken"));
    one_guest(true);
}

/* --- another version --- */

/* A question of which only the versions matter, as what comes first. */
static void asks_as(const char *versions, const char *why)
{
    FILE *f = fopen(QUESTION, "w");

    fprintf(f,
            "{\"schema\":\"umbra.migrate-question/1\",\"ask\":\"check\",\"name\":\"web2\","
            "\"uuid\":\"11111111-1111-1111-1111-111111111111\"%s}\n",
            versions);
    assert_int_equal(fclose(f), 0);
    assert_false(says_yes());
    if (!strstr(answer(), why) || !strstr(answer(), "\"form\":2"))
        fail_msg("%s: \"%s\" does not say \"%s\"", versions, answer(), why);
}

#define FORM(form, libxl, libxc, abi) \
    ",\"form\":" form ",\"libxl\":" libxl ",\"libxc\":" libxc ",\"abi_minor\":17,\"abi_major\":" abi

static void test_versions(void **state)
{
    asks_as("", "the question is of form 1, as of another version of umbra");
    asks_as(",\"libxl\":2,\"libxc\":3", "the question is of form 1");
    asks_as(FORM("3", "2", "3", "4"), "the question is of form 3");
    asks_as(FORM("\"2\"", "2", "3", "4"), "the question is of form 1");
    asks_as(FORM("2", "3", "3", "4"), "streams of libxc's version 3 in libxl's 3 are not read here, only 3 in 2");
    asks_as(FORM("2", "2", "4", "4"), "streams of libxc's version 4 in libxl's 2 are not read here");
    asks_as(FORM("2", "2", "3", "5"), "the guest ran on the hypervisor's ABI 5.17, another than 4.17 here");
    asks_as(FORM("2", "2", "3", "4"), "it is no JSON object"); /* these would do: it is the rest that is missing */
}

/* What an older one says yes to is less than was asked. */
static void test_old_receiver(void **state)
{
    created(state);
    assert_int_equal(run("migrate -n -T old web2 localhost"), 1);
    assert_non_null(strstr(err_text, "it does not look at all that was asked: it has another version of umbra"));
    assert_int_equal(run("--json migrate -n -T old web2 localhost"), 1);
    assert_non_null(strstr(out, "\"ok\": false"));
    one_guest(true);
}

static int setup(void **state)
{
    int rc = move_setup(state);
    FILE *f = rc ? NULL : fopen(ELSE, "w");

    if (f)
        fputs("another-host\n", f);
    return !f || fclose(f);
}

static int teardown(void **state)
{
    unlink(SAVED);
    unlink(QUESTION);
    unlink(ELSE);
    return move_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_check, fresh),       cmocka_unit_test_setup(test_cpus, fresh),
        cmocka_unit_test_setup(test_as_the_move, fresh), cmocka_unit_test_setup(test_own_host, fresh),
        cmocka_unit_test_setup(test_versions, fresh),    cmocka_unit_test_setup(test_old_receiver, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
