/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: guests across their domains, and the supervisor, on the stand-in for libctl. The fake host is shared with
 * children: the supervisor here is a real process with real workers, and processes are really killed, at every call
 * that changes something.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/lock.h"
#include "cli/supervisor.h"
#include "fake_ctl.h"

#define POWEROFF 0
#define REBOOT   1
#define SUSPEND  2
#define CRASH    3

static char directory[64] = "/tmp/umbra-guest-";
static char lock_path[96], log_path[112];
static char out[16384], err_text[4096];
static struct ctl *ctl;

static void slurp(const char *file, char *buf, size_t size)
{
    FILE *f = fopen(file, "r");
    size_t n = f ? fread(buf, 1, size - 1, f) : 0;

    buf[n] = '\0';
    if (f)
        fclose(f);
}

/* Runs a command line in a child, since it may be killed: its exit code, or minus the signal. */
static int umbra(const char *line)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        char copy[512], *argv[16] = {"umbra"};
        int argc = 1;

        lock_forget();
        snprintf(copy, sizeof(copy), "%s", line);
        for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
            argv[argc++] = word;
        if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr))
            _exit(99);
        status = cli_main(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    slurp("out", out, sizeof(out));
    slurp("err", err_text, sizeof(err_text));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int kill_supervisor(void)
{
    pid_t pid = lock_holder(LOCK_SUPERVISOR);

    if (pid)
        kill(pid, SIGKILL);
    for (int i = 0; i < 500 && lock_holder(LOCK_SUPERVISOR); i++)
        usleep(10000);
    return lock_holder(LOCK_SUPERVISOR) ? -1 : 0;
}

/* A test that failed may have left its supervisor. */
static int fresh(void **state)
{
    if (kill_supervisor())
        return -1;
    fake_reset();
    snprintf(fake->events, sizeof(fake->events), "%s/events", directory);
    fake_add(0, "Domain-0");
    unlink(log_path);
    ctl = (struct ctl *)fake;
    return 0;
}

/* A guest as a killed or living process left it: a record in a phase, and perhaps a domain. */
static struct guest_state left(enum guest_phase phase, const char *config)
{
    struct guest_state gs = {.phase = phase, .name = "web2", .uuid = {0xaa}, .domid = 5, .watched = true};

    gs.started = 0;
    assert_int_equal(guest_state_add(ctl, &gs, config, NULL, NULL), 0);
    return gs;
}

static struct ctl_domain_info *domain_of(const struct guest_state *gs, uint32_t domid)
{
    struct ctl_domain_info *d = fake_add(domid, gs->name);

    memcpy(d->uuid, gs->uuid, sizeof(d->uuid));
    return d;
}

#define CONFIG(rest) "{\"name\":\"web2\",\"kernel\":\"/k\",\"memory\":64" rest "}"

static int settle(const struct guest_state *gs)
{
    struct ctl_error err = {0};

    return guest_settle(ctl, gs->uuid, &err);
}

static enum guest_phase phase_of(const struct guest_state *gs)
{
    struct guest_state now;

    return guest_state_get(ctl, gs->uuid, &now) < 0 ? GUEST_PHASES : now.phase; /* GUEST_PHASES: no record */
}

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
    assert_int_equal(guest_state_get(ctl, gs.uuid, &now), 0);
    assert_memory_equal(&gs, &now, sizeof(gs));
    assert_string_equal(fake_node("/umbra/guest/aa000000-0000-0000-0000-000000000000"),
                        "{\"state\":\"running\",\"name\":\"web2\",\"domid\":12,\"watched\":true,\"started\":99,"
                        "\"short_lives\":3}\n");
    text = guest_state_config(ctl, gs.uuid);
    assert_string_equal(text, CONFIG(""));
    free(text);
    assert_int_equal(guest_state_find(ctl, "web2", &now), 0);
    assert_int_equal(guest_state_find(ctl, "12", &now), 0);
    assert_int_equal(guest_state_find(ctl, "5", &now), -ENOENT);
    assert_int_equal(guest_state_remove(ctl, gs.uuid, NULL), 0);
    assert_int_equal(guest_state_get(ctl, gs.uuid, &now), -ENOENT);
    assert_null(guest_state_config(ctl, gs.uuid));
}

/* Whatever somebody writes there, it is a record or it is not. */
static void test_hostile_records(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"state\":7}", "{\"state\":\"\"}", "{\"state\":\"dead\"}",
                                        "x"};
    struct guest_state *list;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ctl_store_write(ctl, "/umbra/guest/ab000000-0000-0000-0000-000000000000", texts[i], NULL);
        ctl_store_write(ctl, "/umbra/guest/nonsense", texts[i], NULL);
        assert_int_equal(guest_state_list(ctl, &list, NULL), 1);
        assert_int_equal(list[0].phase, GUEST_PARTIAL);
        assert_int_equal(settle(&list[0]), 0);
        assert_int_equal(phase_of(&list[0]), GUEST_PHASES);
        free(list);
    }
}

/* A configuration longer than xenstore takes in one piece. */
static void test_long_config(void **state)
{
    struct guest_state gs;
    char config[9000], *text;

    memset(config, 'x', sizeof(config) - 1);
    config[sizeof(config) - 1] = '\0';
    gs = left(GUEST_RUNNING, config);
    text = guest_state_config(ctl, gs.uuid);
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
    other.uuid[0] = 1;
    assert_int_equal(guest_state_add(ctl, &other, "", &found, &err), -EEXIST);
    assert_string_equal(err.field, "name");
    assert_string_equal(err.message, "a guest of this name is just rebooting");
    assert_memory_equal(&found, &gs, sizeof(gs));
    snprintf(other.name, sizeof(other.name), "web3");
    assert_int_equal(guest_state_add(ctl, &other, "", NULL, &err), 0);
    assert_int_equal(guest_state_rename(ctl, &other, "web2", &err), -EEXIST);
    assert_int_equal(guest_state_rename(ctl, &other, "Domain-0", &err), -EEXIST);
    assert_string_equal(err.message, "domain 0 has this name");
    assert_int_equal(guest_state_rename(ctl, &other, "web4", &err), 0);
    assert_int_equal(guest_state_find(ctl, "web4", &found), 0);
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
        {CONFIG(",\"on_crash\":\"restart\""), 4, "destroy 5;unpause 7;", GUEST_RUNNING},
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
    char vm[64], id[CTL_UUID_TEXT];

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
    assert_int_equal(guest_state_get(ctl, gs.uuid, &gs), 0);
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

/* --- killed at every moment -----------------------------------------------------------------------------------------
 */

static int records(void)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, NULL);

    free(list);
    return n;
}

static int nodes_below(const char *path)
{
    int found = 0;

    for (int i = 0; i < fake->n_nodes; i++)
        found += strncmp(fake->nodes[i].path, path, strlen(path)) == 0;
    return found;
}

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

/* --- the supervisor -------------------------------------------------------------------------------------------------
 */

static pid_t supervisor_pid(void)
{
    const char *text = fake_node("/umbra/supervisor");

    return text ? (pid_t)atoi(text) : 0;
}

static void wait_records(int n)
{
    for (int i = 0; i < 500 && records() != n; i++)
        usleep(10000);
    assert_int_equal(records(), n);
}

static void wait_domain(uint32_t domid)
{
    for (int i = 0; i < 500; i++) {
        if (fake->n > 1 && fake->domains[1].domid == domid && !fake->domains[1].paused)
            return;
        usleep(10000);
    }
    fail_msg("domain %u does not come", domid);
}

static void test_supervisor(void **state)
{
    char log[4096];
    pid_t first;

    assert_int_equal(umbra("create g.json"), 0);
    first = supervisor_pid();
    assert_int_equal(lock_holder(LOCK_SUPERVISOR), first);
    fake_stop(7, REBOOT);
    wait_domain(8);
    /* A second guest finds it running; a third one cannot be it. */
    assert_int_equal(umbra("create g.json name=web3"), 0);
    assert_int_equal(supervisor_pid(), first);
    assert_int_equal(umbra("supervise"), 1);
    assert_non_null(strstr(err_text, "is it already"));
    fake_stop(8, POWEROFF);
    wait_records(1);
    assert_int_equal(umbra("destroy web3"), 0);
    wait_records(0);
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, "Z web2: domain 7 rebooted\n"));
    assert_non_null(strstr(log, "Z web2: started again as domain 8\n"));
    assert_non_null(strstr(log, "Z web2: domain 8 powered off\n"));
    assert_int_equal(kill_supervisor(), 0);
}

/* Nothing is lost while there is none, and the next verb that needs it starts it. */
static void test_supervisor_killed(void **state)
{
    pid_t first;

    assert_int_equal(umbra("create g.json"), 0);
    first = supervisor_pid();
    assert_int_equal(kill_supervisor(), 0);
    fake_stop(7, REBOOT);
    usleep(50000);
    assert_int_equal(fake->domains[1].domid, 7);
    assert_int_equal(umbra("create g.json name=web3"), 0);
    for (int i = 0; i < 500 && !(strstr(fake->acts, "unpause 8;") && strstr(fake->acts, "unpause 9;")); i++)
        usleep(10000);
    assert_non_null(strstr(fake->acts, "destroy 7;"));
    assert_int_equal(fake->n, 3);
    assert_int_not_equal(supervisor_pid(), first);
    assert_int_equal(kill_supervisor(), 0);
}

/* Its builder is killed while the supervisor runs: it notices by the lock, without an event. */
static void test_supervisor_removes_half_built(void **state)
{
    assert_int_equal(umbra("create g.json"), 0);
    fake->calls = 0;
    fake->kill_at = 6; /* the domain is there, its nodes are not */
    assert_int_equal(umbra("create g.json name=web3"), -SIGKILL);
    fake->kill_at = 0;
    wait_records(1);
    for (int i = 0; i < 500 && fake->n != 2; i++)
        usleep(10000);
    assert_int_equal(fake->n, 2);
    assert_int_equal(kill_supervisor(), 0);
}

/* Its worker is killed: another one goes on. */
static void test_worker_killed(void **state)
{
    char log[4096];

    assert_int_equal(umbra("create g.json"), 0);
    fake->calls = 0;
    fake->kill_at = 9;
    fake_stop(7, REBOOT);
    for (int i = 0; i < 500 && !strstr(fake->acts, "unpause 8;unpause") && fake->n; i++) {
        if (fake->n == 2 && fake->domains[1].domid > 7 && !fake->domains[1].paused)
            break;
        usleep(10000);
    }
    assert_int_equal(fake->n, 2);
    assert_true(fake->domains[1].domid > 7 && !fake->domains[1].paused);
    slurp(log_path, log, sizeof(log));
    assert_non_null(strstr(log, "web2: its worker was ended by signal 9\n"));
    assert_int_equal(kill_supervisor(), 0);
}

static int setup(void **state)
{
    FILE *f;

    memset(directory + strlen(directory), 'X', 6); /* mkdtemp() replaces these */
    if (!mkdtemp(directory) || chdir(directory) || mkfifo("events", 0600))
        return -1;
    snprintf(lock_path, sizeof(lock_path), "%s/lock", directory);
    snprintf(log_path, sizeof(log_path), "%s/supervisor.log", directory);
    lock_file = lock_path;
    guest_log_dir = directory;
    f = fopen("g.json", "w");
    fputs("{\"name\":\"web2\",\"kernel\":\"g.json\",\"memory\":64}", f);
    return fclose(f);
}

static int teardown(void **state)
{
    static const char *const files[] = {"out", "err", "events", "g.json", "lock", "supervisor.log"};

    kill_supervisor();
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i]);
    return chdir("/") || rmdir(directory) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_record, fresh),
        cmocka_unit_test_setup(test_hostile_records, fresh),
        cmocka_unit_test_setup(test_long_config, fresh),
        cmocka_unit_test_setup(test_names, fresh),
        cmocka_unit_test_setup(test_locks, fresh),
        cmocka_unit_test_setup(test_half_built_goes, fresh),
        cmocka_unit_test_setup(test_complete_one_runs, fresh),
        cmocka_unit_test_setup(test_actions, fresh),
        cmocka_unit_test_setup(test_unwatched, fresh),
        cmocka_unit_test_setup(test_rename_restart, fresh),
        cmocka_unit_test_setup(test_short_lives, fresh),
        cmocka_unit_test_setup(test_restart_without_memory, fresh),
        cmocka_unit_test_setup(test_held, fresh),
        cmocka_unit_test_setup(test_rebooting_guest_is_listed, fresh),
        cmocka_unit_test_setup(test_create_takes_over, fresh),
        cmocka_unit_test_setup(test_destroy_waits_for_others, fresh),
        cmocka_unit_test_setup(test_create_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_create_after_a_killed_create, fresh),
        cmocka_unit_test_setup(test_destroy_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_restart_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_rename_restart_killed_anywhere, fresh),
        cmocka_unit_test_setup(test_supervisor, fresh),
        cmocka_unit_test_setup(test_supervisor_killed, fresh),
        cmocka_unit_test_setup(test_supervisor_removes_half_built, fresh),
        cmocka_unit_test_setup(test_worker_killed, fresh),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
