/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: guests across their domains, on the stand-in for libctl.
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

/* --- records --------------------------------------------------------------------------------------------------------
 */

static void test_record(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG("")), now;
    char *text;

    gs.domid = 12;
    gs.short_lives = 3;
    gs.started = 99;
    assert_int_equal(guest_state_put(ctl, &gs, NULL), 0);
    assert_int_equal(guest_state_get(ctl, gs.uuid, &now, NULL), 0);
    assert_memory_equal(&gs, &now, sizeof(gs));
    assert_string_equal(fake_node("/umbra/guest/aa000000-0000-0000-0000-000000000000"),
                        "{\"state\":\"running\",\"name\":\"web2\",\"domid\":12,\"watched\":true,\"started\":99,"
                        "\"short_lives\":3}\n");
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_string_equal(text, CONFIG(""));
    free(text);
    assert_int_equal(guest_state_find(ctl, "web2", &now, NULL), 0);
    assert_int_equal(guest_state_find(ctl, "12", &now, NULL), 0);
    assert_int_equal(guest_state_find(ctl, "5", &now, NULL), -ENOENT);
    assert_int_equal(guest_state_remove(ctl, gs.uuid, NULL), 0);
    assert_int_equal(guest_state_get(ctl, gs.uuid, &now, NULL), -ENOENT);
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_null(text);
}

#define RECORD "/umbra/guest/aa000000-0000-0000-0000-000000000000"

/* Whatever somebody writes there: no running guest ends because its record is not understood, until it is asked for. */
static void test_hostile_records(void **state)
{
    static const char *const texts[] = {"{",
                                        "[]",
                                        "x",
                                        "{\"state\":7,\"name\":\"web2\"}",
                                        "{\"state\":\"\",\"name\":\"web2\"}",
                                        "{\"state\":\"dead\",\"name\":\"web2\"}",
                                        "{\"state\":\"partial\",\"name\":\"web2\"}",
                                        "{\"state\":\"running\"}"};
    struct guest_state *list, gs = {.uuid = {0xaa}, .name = "web2"};

    domain_of(&gs, 5);
    ctl_store_write(ctl, "/umbra/guest/nonsense", "x", NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ctl_store_write(ctl, RECORD, texts[i], NULL);
        assert_int_equal(guest_state_list(ctl, &list, NULL), 1);
        assert_int_equal(list[0].phase, GUEST_UNKNOWN);
        assert_int_equal(settle(&list[0]), 0);
        assert_int_equal(phase_of(&list[0]), GUEST_UNKNOWN);
        assert_int_equal(umbra("create -e g.json name=web3 uuid=aa000000-0000-0000-0000-000000000000"), 1);
        assert_non_null(strstr(err_text, "a guest of this uuid exists"));
        assert_string_equal(fake->acts, "");
        assert_string_equal(fake_node(RECORD), texts[i]);
        free(list);
    }
    ctl_store_write(ctl, RECORD, texts[5], NULL);
    assert_int_equal(umbra("rename web2 web3"), 1);
    assert_non_null(strstr(err_text, "its record is not understood"));
    assert_int_equal(umbra("create -e g.json"), 1);
    assert_non_null(strstr(err_text, "a guest of this name exists"));
    assert_int_equal(umbra("shutdown -w web2"), 0);
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(fake->n, 1);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
}

/* A record that was never finished never had a domain: one of this uuid is another tool's. */
static void test_unfinished_record(void **state)
{
    struct guest_state gs = {.uuid = {0xaa}, .name = "web2"};

    domain_of(&gs, 5);
    ctl_store_write(ctl, RECORD "/config/0", "{", NULL);
    assert_int_equal(phase_of(&gs), GUEST_PARTIAL);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    assert_int_equal(fake->n, 2);
}

/* xenstored does not answer: that a record cannot be read does not mean that there is none. */
static void test_store_fails(void **state)
{
    static const char *const lines[] = {"destroy web2", "destroy 5", "rename web2 web3", "shutdown web2",
                                        "create -e g.json name=web3"};
    struct guest_state gs = left(GUEST_RUNNING, CONFIG("")), now, *list;
    struct ctl_error err = {0};
    char *text;

    domain_of(&gs, 5);
    fake_stop(5, REBOOT);
    fake->store_fails = -EIO;
    assert_int_equal(guest_state_get(ctl, gs.uuid, &now, &err), -EIO);
    assert_int_equal(err.code, -EIO);
    assert_int_equal(guest_state_list(ctl, &list, NULL), -EIO);
    assert_null(list);
    assert_int_equal(guest_state_find(ctl, "web2", &now, NULL), -EIO);
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), -EIO);
    assert_null(text);
    assert_int_equal(settle(&gs), -EIO);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(umbra(lines[i]), 1);
        assert_non_null(strstr(err_text, "xenstored does not answer (Input/output error)"));
    }
    assert_int_equal(fake->n, 2);
    assert_string_equal(fake->acts, "");
    fake->store_fails = 0;
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
}

/* At whatever read it happens: the guest comes back when the store does. */
static void test_restart_while_store_fails(void **state)
{
    int rc = -1, point;

    for (point = 1; rc < 0; point++) {
        struct guest_state gs;

        fresh(state);
        gs = left(GUEST_RUNNING, CONFIG(""));
        domain_of(&gs, 5);
        fake_stop(5, REBOOT);
        fake->reads = 0;
        fake->reads_fail_from = point;
        rc = settle(&gs);
        assert_true(rc == 0 || rc == -EIO);
        fake->reads_fail_from = 0;
        assert_int_equal(settle(&gs), 0);
        assert_int_equal(phase_of(&gs), GUEST_RUNNING);
        assert_non_null(guest_domain(fake->domains, fake->n, gs.uuid));
    }
    assert_true(point > 3);
}

/* A configuration longer than xenstore takes in one piece. */
static void test_long_config(void **state)
{
    struct guest_state gs;
    char config[9000], *text;

    memset(config, 'x', sizeof(config) - 1);
    config[sizeof(config) - 1] = '\0';
    gs = left(GUEST_RUNNING, config);
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_string_equal(text, config);
    free(text);
}

static void test_names(void **state)
{
    struct guest_state gs = left(GUEST_REBOOTING, CONFIG("")), other = gs, found;
    struct ctl_error err = {0};

    other.phase = GUEST_BUILDING;
    assert_int_equal(guest_state_add(ctl, &other, "", NULL, &err), -EEXIST);
    assert_string_equal(err.field, "uuid");
    other.uuid[0] = 0xab;
    assert_int_equal(guest_state_add(ctl, &other, "", &found, &err), -EEXIST);
    assert_string_equal(err.field, "name");
    assert_string_equal(err.message, "a guest of this name is just rebooting");
    assert_memory_equal(&found, &gs, sizeof(gs));
    snprintf(other.name, sizeof(other.name), "web3");
    assert_int_equal(guest_state_add(ctl, &other, "", NULL, &err), 0);
    assert_int_equal(guest_name_free(ctl, "web2", &err), -EEXIST);
    assert_int_equal(guest_name_free(ctl, "web3", &err), -EEXIST);
    assert_int_equal(guest_name_free(ctl, "Domain-0", &err), -EEXIST);
    assert_string_equal(err.message, "domain 0 has this name");
    assert_int_equal(guest_name_free(ctl, "web4", &err), 0);
}

#define NAME "/umbra/name/"

/* How much xenstore is asked for when one more guest is created. */
static int asked_for(const char *line)
{
    fake->asked = 0;
    assert_int_equal(umbra(line), 0);
    return fake->asked;
}

/* A guest costs as much when others run as when none does: they are not looked at. */
static void test_creation_does_not_grow(void **state)
{
    int first = asked_for("create -e g.json name=web1"), last = 0;
    char line[48];

    for (int i = 2; i <= 20; i++) {
        snprintf(line, sizeof(line), "create -e g.json name=web%d", i);
        last = asked_for(line);
    }
    assert_int_equal(fake->n, 21);
    assert_int_equal(last, first);
    assert_int_equal(umbra("create -e g.json name=web7"), 1);
    assert_non_null(strstr(err_text, "a guest of this name exists"));
}

/* What leads from a name to a record comes and goes with it, and with its name. */
static void test_name_nodes(void **state)
{
    struct guest_state gs = {.uuid = {0xaa}, .name = "a_b.c+d", .phase = GUEST_RUNNING, .domid = -1}, other = gs;
    struct ctl_error err = {0};

    other.uuid[0] = 0xab;
    assert_int_equal(guest_state_add(ctl, &gs, "", NULL, &err), 0);
    assert_string_equal(fake_node(NAME "a_5fb_2ec_2bd"), "aa000000-0000-0000-0000-000000000000");
    assert_int_equal(guest_state_rename(ctl, &gs, "new", &err), 0);
    assert_null(fake_node(NAME "a_5fb_2ec_2bd"));
    assert_int_equal(guest_state_add(ctl, &other, "", NULL, &err), 0); /* the name is free */
    assert_int_equal(guest_name_free(ctl, "new", &err), -EEXIST);
    ctl_store_write(ctl, NAME "new", "ab000000-0000-0000-0000-000000000000", NULL); /* of another: it is left */
    assert_int_equal(guest_state_remove(ctl, gs.uuid, &err), 0);
    assert_non_null(fake_node(NAME "new"));
    assert_int_equal(guest_name_free(ctl, "new", &err), 0); /* its record has another name */
    assert_int_equal(guest_state_remove(ctl, other.uuid, &err), 0);
    assert_null(fake_node(NAME "a_5fb_2ec_2bd"));
}

/* Records of a version that made no such nodes, and some that were never finished: found all the same, and put right.
 */
static void test_names_without_nodes(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG("")), other = gs;
    struct ctl_error err = {0};

    ctl_store_remove(ctl, "/umbra/name", NULL);
    ctl_store_write(ctl, "/umbra/guest/ac000000-0000-0000-0000-000000000000/config/0", "{", NULL);
    other.uuid[0] = 0xab;
    assert_int_equal(guest_state_add(ctl, &other, "", NULL, &err), -EEXIST);
    assert_int_equal(guest_name_free(ctl, "web3", &err), 0);
    assert_string_equal(fake_node(NAME "web2"), "aa000000-0000-0000-0000-000000000000");
    assert_null(fake_node("/umbra/guest/ac000000-0000-0000-0000-000000000000"));
    fake->asked = 0;
    assert_int_equal(guest_name_free(ctl, "web3", &err), 0);
    assert_true(fake->asked <= 5);
}

static void test_locks(void **state)
{
    const uint8_t uuid[16] = {0xaa}, other[16] = {0xab};
    int fds[2], status;
    pid_t child;
    char byte;

    assert_int_equal(pipe(fds), 0);
    assert_true(lock_of_guest(uuid) > LOCK_NAMES && lock_of_guest(uuid) != lock_of_guest(other));
    child = fork();
    if (child == 0) {
        lock_forget();
        byte = guest_lock(uuid, 0, NULL) == 0 && guest_lock(uuid, 0, NULL) == 0;
        if (write(fds[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    assert_int_equal(lock_holder(lock_of_guest(uuid)), child);
    assert_int_equal(guest_lock(uuid, 0, NULL), -EAGAIN);
    assert_int_equal(guest_lock(uuid, 50, NULL), -EAGAIN);
    assert_int_equal(guest_lock(other, 0, NULL), 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(lock_holder(lock_of_guest(uuid)), 0);
    assert_int_equal(guest_lock(uuid, 0, NULL), 0);
    guest_unlock(uuid);
    guest_unlock(other);
    close(fds[0]);
    close(fds[1]);
}

/* --- what a phase asks for ------------------------------------------------------------------------------------------
 */

static void test_half_built_goes(void **state)
{
    struct guest_state gs = left(GUEST_BUILDING, CONFIG(""));

    domain_of(&gs, 9)->name[0] = '\0'; /* another number than the record's: it was killed before it wrote that down */
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(fake->n, 1);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
}

static void test_complete_one_runs(void **state)
{
    struct guest_state gs = left(GUEST_STARTING, CONFIG(""));

    domain_of(&gs, 5)->paused = true;
    fake->pauses[1] = 1;
    assert_int_equal(settle(&gs), 0);
    assert_string_equal(fake->acts, "unpause 5;");
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    /* It had been let go already: not once more. */
    gs.phase = GUEST_STARTING;
    guest_state_put(ctl, &gs, NULL);
    assert_int_equal(settle(&gs), 0);
    assert_string_equal(fake->acts, "unpause 5;");
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
}

static void test_actions(void **state)
{
    static const struct {
        const char *config;
        unsigned reason;
        const char *acts;
        enum guest_phase after;
    } cases[] = {
        {CONFIG(""), POWEROFF, "destroy 5;", GUEST_PHASES},
        {CONFIG(""), REBOOT, "destroy 5;unpause 7;", GUEST_RUNNING},
        {CONFIG(""), CRASH, "destroy 5;", GUEST_PHASES},
        {CONFIG(""), SUSPEND, "", GUEST_RUNNING},
        {CONFIG(",\"on_poweroff\":\"preserve\""), POWEROFF, "", GUEST_PRESERVED},
        {CONFIG(",\"on_poweroff\":\"restart\""), POWEROFF, "destroy 5;unpause 7;", GUEST_RUNNING},
        {CONFIG(",\"on_reboot\":\"destroy\""), REBOOT, "destroy 5;", GUEST_PHASES},
        {CONFIG(",\"on_crash\":\"restart\""), CRASH, "destroy 5;unpause 7;", GUEST_RUNNING},
        {CONFIG(",\"on_crash\":\"restart\""), 5, "destroy 5;unpause 7;", GUEST_RUNNING},
        {CONFIG(",\"on_crash\":\"restart\""), WATCHDOG, "destroy 5;", GUEST_PHASES},
        {CONFIG(",\"on_watchdog\":\"restart\""), WATCHDOG, "destroy 5;unpause 7;", GUEST_RUNNING},
        {CONFIG(",\"on_watchdog\":\"preserve\""), CRASH, "destroy 5;", GUEST_PHASES},
        {CONFIG(",\"on_reboot\":\"rename-restart\""), REBOOT, "handle 5;unpause 7;", GUEST_RUNNING},
        {"{", POWEROFF, "", GUEST_PRESERVED}, /* a configuration that cannot be read: nothing is decided */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guest_state gs;

        fresh(state);
        gs = left(GUEST_RUNNING, cases[i].config);
        domain_of(&gs, 5);
        assert_int_equal(settle(&gs), 0);
        assert_string_equal(fake->acts, "");
        fake_stop(5, cases[i].reason);
        assert_int_equal(settle(&gs), 0);
        assert_string_equal(fake->acts, cases[i].acts);
        assert_int_equal(phase_of(&gs), cases[i].after);
    }
}

static void test_unwatched(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));

    gs.watched = false;
    guest_state_put(ctl, &gs, NULL);
    domain_of(&gs, 5);
    fake_stop(5, POWEROFF);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    ctl_domain_destroy(ctl, 5, NULL);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
}

/* The stopped domain becomes a guest of its own, with a name that says when. */
static void test_rename_restart(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(",\"on_crash\":\"rename-restart\"")), *list;
    const struct guest_state *kept;
    char vm[64], id[CTL_UUID_TEXT], named[160], *config;

    domain_of(&gs, 5);
    fake_stop(5, CRASH);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(guest_state_list(ctl, &list, NULL), 2);
    kept = &list[memcmp(list[0].uuid, gs.uuid, 16) == 0];
    assert_int_equal(kept->phase, GUEST_PRESERVED);
    assert_int_equal(kept->domid, 5);
    assert_memory_equal(kept->name, "web2-2", 6);
    assert_int_equal(strlen(kept->name), strlen("web2-20261125T220903Z"));
    ctl_uuid_format(kept->uuid, id);
    snprintf(vm, sizeof(vm), "/vm/%s", id);
    assert_string_equal(fake_node("/local/domain/5/vm"), vm);
    assert_string_equal(fake_node("/local/domain/5/name"), kept->name);
    assert_string_equal(fake_node("/local/domain/7/name"), "web2");
    assert_int_equal(guest_state_config(ctl, kept->uuid, &config, NULL), 0);
    snprintf(named, sizeof(named),
             "{\"name\":\"%s\",\"kernel\":\"/k\",\"memory\":64,\"on_crash\":\"rename-restart\"}\n", kept->name);
    assert_string_equal(config, named);
    free(config);
    assert_int_equal(settle(kept), 0);
    assert_int_equal(phase_of(kept), GUEST_PRESERVED);
    free(list);
}

static void test_short_lives(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));
    uint32_t domid = 5;

    gs.started = INT32_MAX; /* so that no life is long */
    guest_state_put(ctl, &gs, NULL);
    domain_of(&gs, domid);
    for (int life = 1; life < 5; life++) {
        fake_stop(domid, REBOOT);
        assert_int_equal(settle(&gs), 0);
        assert_int_equal(phase_of(&gs), GUEST_RUNNING);
        domid = 6 + (uint32_t)life;
    }
    fake_stop(domid, REBOOT);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    assert_int_equal(fake->n, 1);
}

static void test_restart_without_memory(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));

    domain_of(&gs, 5);
    fake_stop(5, REBOOT);
    fake->build_fails_once = -ENOMEM; /* it comes back late */
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    fake_stop(7, REBOOT);
    fake->build_fails = -EINVAL; /* its kernel was replaced by something else */
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
    assert_int_equal(fake->n, 1);
}

/* Whoever builds it again is told to end: the next one goes on. */
static void test_restart_interrupted(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));

    domain_of(&gs, 5);
    fake_stop(5, REBOOT);
    fake->build_fails_once = -EINTR;
    assert_int_equal(settle(&gs), -EINTR);
    assert_int_equal(phase_of(&gs), GUEST_REBOOTING);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_int_equal(fake->domains[1].domid, 7);
}

/* Others hold frames of the old domain: a restart does not wait for them, a removal stays in sight. */
static void test_held(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));
    struct ctl_error err = {0};

    domain_of(&gs, 5);
    fake->held = 5;
    fake_stop(5, REBOOT);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_int_equal(umbra("list web2"), 0);
    assert_non_null(strstr(out, "web2                                         7   256     1     -b----"));
    assert_int_equal(umbra("list"), 0);
    assert_non_null(strstr(out, "web2                                         5   256     1     -b-s-d"));
    fake->held = 7;
    assert_int_equal(guest_state_get(ctl, gs.uuid, &gs, NULL), 0);
    assert_int_equal(guest_end(ctl, &gs, &err), -EBUSY);
    assert_int_equal(phase_of(&gs), GUEST_DYING);
    assert_int_equal(umbra("domid web2"), 0);
    assert_int_equal(umbra("domname 7"), 0);
    assert_string_equal(out, "web2\n");
    assert_int_equal(umbra("list --json web2"), 0);
    assert_non_null(strstr(out, "\"state\": \"dying\""));
    assert_int_equal(umbra("destroy web2"), 1);
    assert_non_null(strstr(err_text, "others hold it"));
    fake->n = 1; /* they let go */
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
}

/* --- verbs ----------------------------------------------------------------------------------------------------------
 */

/* A guest between two lives has no domain, and must be seen. */
static void test_rebooting_guest_is_listed(void **state)
{
    struct guest_state gs = left(GUEST_REBOOTING, CONFIG(""));

    assert_int_equal(umbra("list web2"), 0);
    assert_non_null(strstr(out, "web2                                         5     0     0     ---s--       0.0\n"));
    assert_int_equal(umbra("list --json 5"), 0);
    assert_non_null(strstr(out, "\"state\": \"rebooting\""));
    assert_non_null(strstr(out, "\"shutdown_reason\": \"reboot\""));
    assert_non_null(strstr(out, "\"memory\": 64"));
    assert_int_equal(umbra("list -l web2"), 0);
    assert_string_equal(out, "[]\n");
    assert_int_equal(umbra("vcpu-list web2"), 0);
    assert_int_equal(guest_lock(gs.uuid, 0, NULL), 0);
    assert_int_equal(umbra("create -e g.json"), 1);
    assert_non_null(strstr(err_text, "a guest of this name is just rebooting (File exists)\n"));
    guest_unlock(gs.uuid);
    guest_state_remove(ctl, gs.uuid, NULL);
    assert_int_equal(umbra("list web2"), 1);
}

/* What a killed process left of a name does not stop the next. */
static void test_create_takes_over(void **state)
{
    struct guest_state gs = left(GUEST_BUILDING, CONFIG(""));

    domain_of(&gs, 5);
    assert_int_equal(umbra("create -e g.json"), 0);
    assert_int_equal(fake->n, 2);
    assert_int_equal(fake->domains[1].domid, 7);
    assert_int_equal(umbra("create -e g.json"), 1);
    assert_non_null(strstr(err_text, "a guest of this name exists (File exists)\n"));
    /* The same with the same uuid. */
    fresh(state);
    gs = left(GUEST_DYING, CONFIG(""));
    assert_int_equal(umbra("create -e g.json uuid=aa000000-0000-0000-0000-000000000000"), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
}

/* The one that has the name has stopped, and what its configuration says cannot be read. */
static void test_create_finds_unreadable(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, "{");

    domain_of(&gs, 5);
    fake_stop(5, POWEROFF);
    assert_int_equal(umbra("create -e g.json"), 1);
    assert_non_null(strstr(err_text, "a guest of this name exists"));
    assert_int_equal(phase_of(&gs), GUEST_PRESERVED);
}

/* A domain without a record may have the uuid: a create that fails must not take it for its own. */
static void test_create_spares_domains(void **state)
{
    const char *line = "create -e g.json uuid=aa000000-0000-0000-0000-000000000000";
    struct guest_state gs = {.uuid = {0xaa}, .name = "other"};
    struct ctl_domain_info *d = domain_of(&gs, 5);

    fake->build_fails = -EEXIST;
    assert_int_equal(umbra(line), 1);
    assert_non_null(strstr(err_text, "domain 5, which has no record, is of this uuid"));
    assert_string_equal(fake->acts, "");
    assert_int_equal(records(), 0);
    fake->build_fails = 0;
    d->dying = true; /* others hold what is left of it */
    assert_int_equal(umbra(line), 0);
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
}

static void test_destroy_waits_for_others(void **state)
{
    struct guest_state gs = left(GUEST_REBOOTING, CONFIG(""));
    pid_t child;
    int status;

    assert_int_equal(guest_lock(gs.uuid, 0, NULL), 0);
    child = fork();
    if (child == 0) {
        lock_forget();
        _exit(umbra("destroy web2"));
    }
    usleep(100000);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    domain_of(&gs, 8);
    guest_unlock(gs.uuid);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_string_equal(fake->acts, "destroy 8;");
    assert_int_equal(phase_of(&gs), GUEST_PHASES);
}

/* What was so before it had the lock may be so no more: no node is written of a domain that went meanwhile. */
static void test_rename_waits_for_others(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));
    struct ctl_domain_info *d = domain_of(&gs, 5);
    pid_t child;
    int status;

    assert_int_equal(guest_lock(gs.uuid, 0, NULL), 0);
    child = fork();
    if (child == 0) {
        lock_forget();
        _exit(umbra("rename web2 web3"));
    }
    usleep(100000);
    d->dying = true;
    guest_state_remove(ctl, gs.uuid, NULL);
    guest_unlock(gs.uuid);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(nodes_below("/local/domain/5") + nodes_below("/vm"), 0);
}

/* It is dead but others hold it: it has lost its nodes, and gets no new ones. */
static void test_verbs_on_the_dead(void **state)
{
    static const char *const lines[] = {"sysrq 5 h", "vcpu-set 5 1", "rename 5 web3"};
    struct guest_state gs = {.uuid = {0xaa}, .name = "web2"};

    domain_of(&gs, 5)->dying = true;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(umbra(lines[i]), 1);
        assert_non_null(strstr(err_text, "it is dying, or gone (No such process)"));
        assert_int_equal(nodes_below("/local/domain/5") + nodes_below("/vm"), 0);
    }
    /* With a record, the guest keeps its name as such. */
    gs = left(GUEST_DYING, CONFIG(""));
    assert_int_equal(umbra("rename web2 web3"), 0);
    assert_int_equal(guest_state_get(ctl, gs.uuid, &gs, NULL), 0);
    assert_string_equal(gs.name, "web3");
    assert_int_equal(nodes_below("/local/domain/5") + nodes_below("/vm"), 0);
}

/* The configuration is renamed with the record, or neither is, however many pieces it has; one that is not understood
 * stays, and so does one whose guest is on its way to another host. */
static void test_rename_config(void **state)
{
    static char config[6000], named[sizeof(config)];
    struct guest_state gs, now;
    char *text;

    snprintf(config, sizeof(config), "{\"name\":\"web2\",\"uuid\":\"x\",\"cmdline\":\"%05000d\"}", 0);
    snprintf(named, sizeof(named),
             "{\"name\":\"web3\",\"uuid\":\"aa000000-0000-0000-0000-000000000000\",\"cmdline\":\"%05000d\"}\n", 0);
    gs = left(GUEST_RUNNING, config);
    fake->write_fails_at = fake->calls + 1;
    assert_int_equal(guest_state_rename_all(ctl, &gs, "web3", NULL), -EIO);
    fake->write_fails_at = 0;
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_string_equal(text, config);
    free(text);
    assert_int_equal(guest_state_get(ctl, gs.uuid, &gs, NULL), 0);
    assert_string_equal(gs.name, "web2");
    assert_int_equal(guest_state_rename_all(ctl, &gs, "web3", NULL), 0);
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_string_equal(text, named);
    free(text);
    assert_int_equal(guest_state_find(ctl, "web3", &now, NULL), 0);
    assert_string_equal(fake_node("/umbra/name/web3"), "aa000000-0000-0000-0000-000000000000");
    assert_null(fake_node("/umbra/name/web2"));
    snprintf(gs.real, sizeof(gs.real), "web3");
    assert_int_equal(guest_state_rename_all(ctl, &gs, "web3--away", NULL), 0);
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_string_equal(text, named);
    free(text);
    fresh(state);
    gs = left(GUEST_RUNNING, "[]");
    assert_int_equal(guest_state_rename_all(ctl, &gs, "web3", NULL), 0);
    assert_int_equal(guest_state_config(ctl, gs.uuid, &text, NULL), 0);
    assert_string_equal(text, "[]");
    free(text);
}

/* Whoever renames a domain of another tool must not take a record that is just being written for one that was left. */
static void test_rename_locks_names(void **state)
{
    struct guest_state gs = {.uuid = {0xaa}, .name = "web2"};
    pid_t child;

    domain_of(&gs, 5);
    assert_int_equal(guest_names_lock(NULL), 0);
    ctl_store_write(ctl, "/umbra/guest/ab000000-0000-0000-0000-000000000000/config/0", "{}", NULL);
    child = fork();
    if (child == 0) {
        lock_forget();
        _exit(umbra("rename web2 web3"));
    }
    usleep(100000);
    assert_non_null(fake_node("/umbra/guest/ab000000-0000-0000-0000-000000000000/config/0"));
    guest_names_unlock();
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_string_equal(fake_node("/local/domain/5/name"), "web3");
}

/* The number of an old domain that others still hold is not that of the guest which lives on. */
static void test_destroy_old_domain(void **state)
{
    struct guest_state gs = left(GUEST_RUNNING, CONFIG(""));

    domain_of(&gs, 5);
    fake->held = 5;
    fake_stop(5, REBOOT);
    assert_int_equal(settle(&gs), 0);
    assert_int_equal(umbra("destroy 5"), 1);
    assert_non_null(strstr(err_text, "others hold it"));
    assert_int_equal(phase_of(&gs), GUEST_RUNNING);
    assert_non_null(guest_domain(fake->domains, fake->n, gs.uuid));
    assert_int_equal(umbra("destroy 7"), 1);
    assert_null(guest_domain(fake->domains, fake->n, gs.uuid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_record, fresh),
        cmocka_unit_test_setup(test_hostile_records, fresh),
        cmocka_unit_test_setup(test_unfinished_record, fresh),
        cmocka_unit_test_setup(test_store_fails, fresh),
        cmocka_unit_test_setup(test_restart_while_store_fails, fresh),
        cmocka_unit_test_setup(test_long_config, fresh),
        cmocka_unit_test_setup(test_names, fresh),
        cmocka_unit_test_setup(test_creation_does_not_grow, fresh),
        cmocka_unit_test_setup(test_name_nodes, fresh),
        cmocka_unit_test_setup(test_names_without_nodes, fresh),
        cmocka_unit_test_setup(test_locks, fresh),
        cmocka_unit_test_setup(test_half_built_goes, fresh),
        cmocka_unit_test_setup(test_complete_one_runs, fresh),
        cmocka_unit_test_setup(test_actions, fresh),
        cmocka_unit_test_setup(test_unwatched, fresh),
        cmocka_unit_test_setup(test_rename_restart, fresh),
        cmocka_unit_test_setup(test_short_lives, fresh),
        cmocka_unit_test_setup(test_restart_without_memory, fresh),
        cmocka_unit_test_setup(test_restart_interrupted, fresh),
        cmocka_unit_test_setup(test_held, fresh),
        cmocka_unit_test_setup(test_rebooting_guest_is_listed, fresh),
        cmocka_unit_test_setup(test_create_takes_over, fresh),
        cmocka_unit_test_setup(test_create_finds_unreadable, fresh),
        cmocka_unit_test_setup(test_create_spares_domains, fresh),
        cmocka_unit_test_setup(test_destroy_waits_for_others, fresh),
        cmocka_unit_test_setup(test_rename_waits_for_others, fresh),
        cmocka_unit_test_setup(test_verbs_on_the_dead, fresh),
        cmocka_unit_test_setup(test_rename_config, fresh),
        cmocka_unit_test_setup(test_rename_locks_names, fresh),
        cmocka_unit_test_setup(test_destroy_old_domain, fresh),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
